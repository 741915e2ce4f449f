//! The hold programme of one space: the node's, or the host's own from a part on. What a part was made of does not change:
//! each turn from one to the other has its part, and those that are asked for again keep theirs.

use std::sync::Arc;

use throng_core::timeline::PartIndex;
use throng_core::window::Part;
use throng_media::hold::HoldLoop;
use tokio::sync::watch;

use super::hold::Hold;

/// Turns that are remembered: all parts that a window can hold. Beyond, the oldest is forgotten, and its parts are gone.
const TURNS_MAX: usize = 4;

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
