//! The hold programme of one space: the node's, or the host's own from a part on. What a part was made of does not change:
//! each turn from one to the other has its part, and those that are asked for again keep theirs, for as long as a window can
//! hold them. Then the loop before is let go: it is large.

use std::sync::Arc;

use throng_core::timeline::{PARTS_PER_SEGMENT, PartIndex};
use throng_core::window::{PARTS_KEPT, Part};
use throng_media::hold::HoldLoop;
use tokio::sync::watch;

use super::hold::Hold;

/// Turns that are remembered. Beyond, in great haste, the oldest is forgotten before its time, and its parts are gone.
const TURNS_MAX: usize = 4;
/// A part is asked for until so many later ones have been played: as long as a window holds it, and a segment more.
pub(super) const ASKED_FOR_PARTS: u64 = PARTS_KEPT as u64 + PARTS_PER_SEGMENT;

/// Which loop plays when.
pub(crate) struct SpaceHold {
    /// At least one; the first is at part 0 until it is forgotten.
    turns: watch::Sender<Vec<Turn>>,
    ours: Arc<Hold>,
}

#[derive(Clone)]
struct Turn {
    from: PartIndex,
    hold: Arc<Hold>,
}

impl SpaceHold {
    /// The node's, until it is turned to another.
    pub(crate) fn new(ours: Arc<Hold>) -> Arc<Self> {
        let first = Turn {
            from: PartIndex(0),
            hold: Arc::clone(&ours),
        };
        Arc::new(Self {
            turns: watch::Sender::new(vec![first]),
            ours,
        })
    }

    /// The node's own.
    pub(super) fn ours(&self) -> Arc<Hold> {
        Arc::clone(&self.ours)
    }

    /// Another plays from a part on, the node's own or the host's.
    pub(super) fn turn_to(&self, hold: Arc<Hold>, from: PartIndex) {
        self.turns.send_modify(|turns| {
            // Two turns in haste: the later one holds.
            turns.retain(|turn| turn.from < from);
            turns.push(Turn { from, hold });
            if turns.len() > TURNS_MAX {
                turns.remove(0);
            }
        });
    }

    /// The turns before the one that begins at a part are forgotten, if that one has come to be.
    pub(super) fn forget_before(&self, from: PartIndex) {
        self.turns.send_if_modified(|turns| {
            let known = turns.len();
            if turns.last().is_some_and(|last| last.from >= from) {
                turns.retain(|turn| turn.from >= from);
            }
            turns.len() < known
        });
    }

    /// The host's own is forgotten: the space is over.
    pub(super) fn let_go(&self, from: PartIndex) {
        let ours = Turn {
            from,
            hold: self.ours(),
        };
        self.turns.send_replace(vec![ours]);
    }

    /// The loop that plays now, as sound.
    pub(crate) async fn sound(&self) -> HoldLoop {
        self.latest().sound().await
    }

    /// The same, if it is there.
    pub(crate) fn sound_as_it_stands(&self) -> Option<HoldLoop> {
        self.latest().sound_as_it_stands()
    }

    /// A part of the programme of the space, if it is encoded, and known still.
    pub(crate) fn part(&self, index: PartIndex) -> Option<Part> {
        self.at(index)?.part(index)
    }

    /// The same, waited for.
    pub(super) async fn part_when_encoded(&self, index: PartIndex) -> Part {
        let hold = self.at(index).unwrap_or_else(|| self.ours());
        hold.part_when_encoded(index).await
    }

    fn latest(&self) -> Arc<Hold> {
        let turns = self.turns.borrow();
        let last = turns.last().expect("there is always one");
        Arc::clone(&last.hold)
    }

    fn at(&self, index: PartIndex) -> Option<Arc<Hold>> {
        let turns = self.turns.borrow();
        let turn = turns.iter().rfind(|turn| turn.from <= index)?;
        Some(Arc::clone(&turn.hold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A loop that is never made.
    fn hold() -> Arc<Hold> {
        Arc::default()
    }

    #[test]
    fn a_loop_is_let_go_once_another_has_played_long_enough() {
        let space = SpaceHold::new(hold());
        let own = hold();
        space.turn_to(Arc::clone(&own), PartIndex(120));
        let then = |part| space.at(PartIndex(part));
        assert!(Arc::ptr_eq(&then(120).unwrap(), &own));
        space.turn_to(space.ours(), PartIndex(240));
        space.forget_before(PartIndex(120));
        assert!(then(119).is_none(), "the first turn is forgotten");
        assert!(Arc::ptr_eq(&then(239).unwrap(), &own));
        space.forget_before(PartIndex(240));
        assert!(then(239).is_none());
        assert!(Arc::ptr_eq(&then(240).unwrap(), &space.ours()));
        assert_eq!(Arc::strong_count(&own), 1);
        space.forget_before(PartIndex(360));
        assert!(then(240).is_some(), "something always plays");
    }
}
