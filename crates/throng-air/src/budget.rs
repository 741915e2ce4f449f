//! The memory that a process which serves listeners may take.
//!
//! A process at its budget sheds before it grows: it has learnt how many connections it can hold, and lets nobody in,
//! hands nothing on and keeps no connection for another request while it has as many. Who listens is served as before.
//! What connections leave behind is used again by those that follow, whether the system gets it back or not.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::interval;

use crate::ladder::resident_bytes;

/// From look to look: some two thousand people come in meanwhile, at the worst, who take a few kilobytes each.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Below its budget less this part of it a process learns anew how many it can hold: what it has goes up and down.
const BACK_SHARE: u64 = 16;
/// No bound, in bytes and in connections.
const NONE: u64 = u64::MAX;

/// What a process may take, and whether it has.
#[derive(Debug)]
pub struct Budget {
    bytes: AtomicU64,
    connections: AtomicU64,
    /// Connections with which the budget was reached,
    most: AtomicU64,
    /// and how many bytes the process had then.
    with_bytes: AtomicU64,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            bytes: AtomicU64::new(NONE),
            connections: AtomicU64::new(0),
            most: AtomicU64::new(NONE),
            with_bytes: AtomicU64::new(0),
        }
    }
}

impl Budget {
    /// From now on it may take so many bytes, and the program's own are of them.
    pub fn bound(&self, bytes: u64) {
        self.bytes.store(bytes, Relaxed);
    }

    /// Whether there is nothing for the connection that has come last.
    pub(crate) fn is_spent(&self) -> bool {
        self.connections.load(Relaxed) > self.most.load(Relaxed)
    }

    /// A connection, counted until this is dropped.
    pub(crate) fn hold(self: &Arc<Self>) -> Held {
        self.came();
        Held(Arc::clone(self))
    }

    /// One connection more.
    pub(crate) fn came(&self) {
        self.connections.fetch_add(1, Relaxed);
    }

    /// One less.
    pub(crate) fn left(&self) {
        self.connections.fetch_sub(1, Relaxed);
    }

    /// The process has so many bytes now.
    pub(crate) fn look(&self, resident_bytes: u64) {
        let bytes = self.bytes.load(Relaxed);
        if resident_bytes < bytes - bytes / BACK_SHARE {
            self.most.store(NONE, Relaxed);
            self.with_bytes.store(0, Relaxed);
        } else if resident_bytes >= bytes
            && resident_bytes > self.with_bytes.fetch_max(resident_bytes, Relaxed)
        {
            let now = self.connections.load(Relaxed);
            let before = self.most.fetch_min(now, Relaxed);
            if before == NONE {
                tracing::warn!(
                    connections = now,
                    "memory is used up; nobody more is let in here"
                );
            }
        }
    }
}

/// A connection that is counted.
#[derive(Debug)]
pub(crate) struct Held(Arc<Budget>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.left();
    }
}

/// Looks now and then how much a process has, as long as it serves.
pub async fn keep(budget: Weak<Budget>) {
    let mut due = interval(LOOK_EVERY);
    loop {
        due.tick().await;
        let Some(budget) = budget.upgrade() else {
            return;
        };
        if let Some(bytes) = resident_bytes() {
            budget.look(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_at_its_budget_holds_as_many_as_it_had_then_and_lets_others_in_for_those_who_go() {
        let budget = Arc::new(Budget::default());
        let mut held: Vec<_> = (0..10).map(|_| budget.hold()).collect();
        budget.look(NONE - 1);
        assert!(!budget.is_spent(), "without a bound it never is");
        budget.bound(1_000);
        budget.look(999);
        assert!(!budget.is_spent());
        budget.look(1_000);
        assert!(!budget.is_spent(), "whoever is here stays");
        held.push(budget.hold());
        assert!(budget.is_spent());
        held.pop();
        held.pop();
        held.push(budget.hold());
        assert!(!budget.is_spent(), "what one left is there for the next");
        held.pop();
        budget.look(1_000);
        held.push(budget.hold());
        assert!(
            !budget.is_spent(),
            "whoever goes leaves a place behind, as long as memory does not grow"
        );
        held.pop();
        budget.look(1_001);
        held.push(budget.hold());
        budget.look(940);
        assert!(budget.is_spent(), "it is full with fewer");
        budget.look(900);
        held.extend((0..20).map(|_| budget.hold()));
        assert!(!budget.is_spent(), "the system has some of it back");
    }
}
