//! How many listeners this process has room for: all endless answers count, whoever serves them.
//!
//! One number that joins and departures touch, and nothing in between. Who listens by playlist holds no place.

use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Seconds after which somebody may come again who found the house full: some are in sooner, so that all do not
/// come again at once.
const COME_AGAIN_S: Range<u32> = 5..16;

/// The places of a process.
#[derive(Debug)]
pub(crate) struct Room {
    most: AtomicU64,
    inside: AtomicU64,
}

impl Room {
    /// Room without a bound.
    pub(crate) fn endless() -> Arc<Self> {
        Arc::new(Self {
            most: AtomicU64::new(u64::MAX),
            inside: AtomicU64::new(0),
        })
    }

    /// From now on so many at once; whoever is in stays.
    pub(crate) fn limit(&self, most: u64) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// Takes a place, if there is one. Each that is taken is given back by [`Room::leave`].
    #[must_use]
    pub(crate) fn enter(&self) -> bool {
        let most = self.most.load(Ordering::Relaxed);
        let entered = self
            .inside
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |inside| {
                (inside < most).then_some(inside + 1)
            });
        entered.is_ok()
    }

    /// Places that are taken.
    pub(crate) fn inside(&self) -> u64 {
        self.inside.load(Ordering::Relaxed)
    }

    /// Gives a place back.
    pub(crate) fn leave(&self) {
        self.inside.fetch_sub(1, Ordering::Relaxed);
    }

    /// A place that is given back by itself, if there is one.
    pub(crate) fn seat(self: &Arc<Self>) -> Option<Inside> {
        self.enter().then(|| Inside(Arc::clone(self)))
    }
}

/// A place that is taken until this is dropped.
pub(crate) struct Inside(Arc<Room>);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// When somebody who finds the house full is to come again, drawn for him alone.
pub(crate) fn come_again_s() -> u32 {
    let [drawn, ..] = RandomState::new().hash_one(()).to_le_bytes();
    COME_AGAIN_S.start + u32::from(drawn) % (COME_AGAIN_S.end - COME_AGAIN_S.start)
}

/// What he is told.
pub(crate) fn full(seconds: u32) -> String {
    let reason = "The house is full. Everybody who is in stays in; somebody's place may be yours in a moment.";
    format!("{{\"reason\":\"{reason}\",\"ask_again_seconds\":{seconds}}}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_taken_once_and_given_back_once() {
        let room = Room::endless();
        room.limit(2);
        let first = room.seat();
        assert!(first.is_some() && room.enter());
        assert!(room.seat().is_none() && !room.enter());
        drop(first);
        assert!(room.enter() && !room.enter());
        room.limit(1);
        room.leave();
        assert!(!room.enter(), "one is in, and one may be");
        room.leave();
        assert!(room.enter());
    }

    #[test]
    fn a_full_house_says_so_in_json() {
        let told: serde_json::Value = serde_json::from_str(&full(7)).unwrap();
        assert_eq!(told["ask_again_seconds"], 7);
        assert!((0..100).all(|_| COME_AGAIN_S.contains(&come_again_s())));
    }
}
