//! What the doors of a node share, as the supervisor keeps it: the board, what seals its tickets, and whose lane is whose.

use std::collections::BTreeMap;
use std::io;

use rustix::process::Pid;
use throng_air::room;
use throng_air::room::shared::{QueueSecret, SharedBoard};
use throng_core::admission::Lane;

/// The board and its lanes.
pub(super) struct Queue {
    pub(super) board: SharedBoard,
    pub(super) secret: QueueSecret,
    /// By the number of the process. The first lane is the origin's, who lets nobody in.
    lanes: BTreeMap<i32, usize>,
}

impl Queue {
    /// An empty one.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            board: SharedBoard::create()?,
            secret: QueueSecret::drawn(),
            lanes: BTreeMap::new(),
        })
    }

    /// That of the program before, whose children still count on it.
    pub(super) fn inherit(
        board: SharedBoard,
        secret: QueueSecret,
        lanes: impl IntoIterator<Item = (i32, usize)>,
    ) -> Self {
        Self {
            board,
            secret,
            lanes: lanes.into_iter().collect(),
        }
    }

    /// Whose lane is whose.
    pub(super) fn lanes(&self) -> Vec<(i32, usize)> {
        self.lanes.iter().map(|(pid, lane)| (*pid, *lane)).collect()
    }

    /// A lane that no living process has: one that is replaced counts on until its last listener has gone.
    pub(super) fn free_lane(&self) -> usize {
        let taken = |lane: &usize| self.lanes.values().any(|other| other == lane);
        let next = self.lanes.len() + 1;
        (1..next).find(|lane| !taken(lane)).unwrap_or(next)
    }

    /// This process has it from now on.
    pub(super) fn take_lane(&mut self, pid: Pid, lane: usize) {
        self.lanes.insert(pid.as_raw_nonzero().get(), lane);
    }

    /// It has ended, however that was.
    pub(super) fn forget(&mut self, pid: Pid) {
        if let Some(lane) = self.lanes.remove(&pid.as_raw_nonzero().get()) {
            room::mourn(self.board.board(), Lane::new(lane));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_is_one_process_as_long_as_it_lives() {
        let mut queue = Queue::new().unwrap();
        let pids = [11, 12, 13].map(|pid| Pid::from_raw(pid).unwrap());
        for (pid, lane) in pids.into_iter().zip(1..) {
            assert_eq!(queue.free_lane(), lane);
            queue.take_lane(pid, lane);
        }
        queue.forget(pids[1]);
        assert_eq!(queue.free_lane(), 2);
        assert_eq!(queue.lanes(), [(11, 1), (13, 3)]);
    }
}
