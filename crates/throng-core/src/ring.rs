//! What has happened lately, by number, for who reads on where he stopped.
//!
//! Numbers begin where the owner says, and grow by one. Who asks for what is no longer here, or was never here, begins
//! anew: he is told so, and never a part of the truth.

use std::collections::VecDeque;

/// The newest of a row of things, as many as there is room for.
#[derive(Clone, Debug)]
pub struct Ring<T> {
    first: u64,
    room: usize,
    kept: VecDeque<T>,
}

/// What somebody has missed.
#[derive(Debug, PartialEq, Eq)]
pub enum Missed<'r, T> {
    /// These, each with its number.
    These(Vec<(u64, &'r T)>),
    /// Nobody can say what; the newest number, or the one before the first where nothing has happened.
    Unknown(u64),
}

impl<T> Ring<T> {
    /// Nothing has happened; the first thing will have this number, which is at least 1.
    pub fn new(first: u64, room: usize) -> Self {
        Self {
            first: first.max(1),
            room: room.max(1),
            kept: VecDeque::new(),
        }
    }

    /// The newest number; the one before the first where nothing has happened.
    pub fn newest(&self) -> u64 {
        self.first + self.kept.len() as u64 - 1
    }

    /// Adds what has happened, and forgets the oldest where there is no room.
    pub fn push(&mut self, thing: T) -> u64 {
        if self.kept.len() == self.room {
            self.kept.pop_front();
            self.first += 1;
        }
        self.kept.push_back(thing);
        self.newest()
    }

    /// What has happened since a number that somebody was told last.
    pub fn since(&self, last: u64) -> Missed<'_, T> {
        let newest = self.newest();
        if last.saturating_add(1) < self.first || last > newest {
            return Missed::Unknown(newest);
        }
        let known = usize::try_from(last + 1 - self.first).unwrap_or(usize::MAX);
        let numbered = (self.first..).zip(&self.kept).skip(known);
        Missed::These(numbered.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_on_gets_what_he_has_missed_and_no_more() {
        let mut ring = Ring::new(100, 3);
        assert_eq!((ring.newest(), ring.since(99)), (99, Missed::These(vec![])));
        assert_eq!((ring.push('a'), ring.push('b')), (100, 101));
        assert_eq!(
            ring.since(99),
            Missed::These(vec![(100, &'a'), (101, &'b')])
        );
        assert_eq!(ring.since(100), Missed::These(vec![(101, &'b')]));
        assert_eq!(ring.since(101), Missed::These(vec![]));
    }

    #[test]
    fn who_was_away_for_too_long_begins_anew() {
        let mut ring = Ring::new(1, 2);
        for thing in ['a', 'b', 'c', 'd'] {
            ring.push(thing);
        }
        assert_eq!(ring.since(2), Missed::These(vec![(3, &'c'), (4, &'d')]));
        assert_eq!(ring.since(1), Missed::Unknown(4));
    }

    #[test]
    fn a_number_of_another_row_begins_anew() {
        let mut ring = Ring::new(1_000, 2);
        ring.push('a');
        assert_eq!(ring.since(7), Missed::Unknown(1_000));
        assert_eq!(ring.since(1_001), Missed::Unknown(1_000));
        assert_eq!(ring.since(u64::MAX - 1), Missed::Unknown(1_000));
    }
}
