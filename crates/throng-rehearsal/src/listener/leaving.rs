//! A listener who is refused, loses his connection, gives up or leaves: what is counted, and when he comes back.

use super::{Act, Listener, Scene, State, Step};
use crate::SECOND_US;
use crate::answer::Head;
use crate::playback::AUDIBLE_MIN_US;
use crate::stream::Reader;
use crate::tally::Tally;

impl Listener {
    /// The server closed, or the connection broke.
    pub fn closed(&mut self, scene: &mut Scene<'_>) -> Act {
        self.lose(scene, "connection closed")
    }

    /// The connection could not be made.
    pub fn unreached(&mut self, scene: &mut Scene<'_>, reason: &str) -> Act {
        self.lose(scene, reason)
    }

    /// Nothing has come for too long.
    pub fn stuck(&mut self, scene: &mut Scene<'_>) -> Act {
        self.lose(scene, "silent connection")
    }

    /// He leaves as planned. What he misses at that moment counts.
    pub fn leave(&mut self, now_us: u64, tally: &mut Tally) {
        let silent_us = self.playback.silent_us(now_us);
        if silent_us >= AUDIBLE_MIN_US && self.state != State::Gone {
            self.note_gap(silent_us, tally);
        }
        match self.depart(tally) {
            // Who goes out of the queue was told why, and where he stood.
            State::Joining if self.waiting.is_some() => {}
            State::Joining => tally.failed += 1,
            State::Joined { .. } => tally.left += 1,
            State::Gone => {}
        }
    }

    /// A refusal was read to its end.
    pub(super) fn refused(&mut self, scene: &mut Scene<'_>, head: Head, text: &[u8]) -> Act {
        if head.status == 503
            && let Some(act) = self.wait_in_queue(scene, text)
        {
            return act;
        }
        let asked_us = u64::from(head.retry_after_seconds.unwrap_or(0)) * SECOND_US;
        self.back(scene, asked_us)
    }

    /// A connection is of no use any more; comes back if the budget allows.
    pub(super) fn lose(&mut self, scene: &mut Scene<'_>, reason: &str) -> Act {
        if self.state == State::Gone {
            return Act::Leave;
        }
        scene.tally.note_trouble(reason);
        if let State::Joined { listening: true } = self.state {
            scene.tally.lost += 1;
        }
        self.back(scene, 0)
    }

    /// Comes back after a wait, to where sound begins if he has had any.
    fn back(&mut self, scene: &mut Scene<'_>, asked_us: u64) -> Act {
        let cut = self.state == State::Joined { listening: true };
        if cut {
            scene.tally.listening -= 1;
            self.state = State::Joined { listening: false };
        }
        if !matches!(self.step, Step::Before(_)) {
            self.step = self.first_of_sound();
        }
        self.answer = None;
        self.reader = Reader::None;
        self.playlist = None;
        match self.wait_us(scene, asked_us, cut) {
            Some(wait_us) => Act::ComeBack {
                at_us: scene.now_us + wait_us,
            },
            None => self.give_up(scene, "gave up"),
        }
    }

    /// How long he waits before the next try; `None` when he gives up, which nobody does who has heard something.
    fn wait_us(&mut self, scene: &mut Scene<'_>, asked_us: u64, cut: bool) -> Option<u64> {
        match (self.state, asked_us) {
            (State::Joining | State::Gone, _) => self.retries.next_wait_us(asked_us, scene.chance),
            (State::Joined { .. }, 0) => {
                Some(self.comeback.next_wait_us(scene.now_us, cut, scene.chance))
            }
            // What was dictated is obeyed, and not with all others who were told the same.
            (State::Joined { .. }, _) => Some(asked_us + scene.chance.below(SECOND_US)),
        }
    }

    pub(super) fn give_up(&mut self, scene: &mut Scene<'_>, reason: &str) -> Act {
        scene.tally.note_trouble(reason);
        if self.depart(scene.tally) == State::Joining {
            scene.tally.failed += 1;
        }
        Act::Leave
    }

    /// The programme is over.
    pub(super) fn end(&mut self, scene: &mut Scene<'_>) -> Act {
        match self.depart(scene.tally) {
            State::Joining => scene.tally.failed += 1,
            State::Joined { .. } => scene.tally.ended += 1,
            State::Gone => {}
        }
        Act::Leave
    }

    /// Is gone from now on; what he was.
    fn depart(&mut self, tally: &mut Tally) -> State {
        if let State::Joined { listening: true } = self.state {
            tally.listening -= 1;
        }
        std::mem::replace(&mut self.state, State::Gone)
    }
}
