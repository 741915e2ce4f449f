//! Turns: who talked when, in parts of the programme.
//!
//! A breath, or a search for a word, is no end of a turn: a pause of less than 2 s is part of it, and several may have
//! turns at once. What is held is bounded: where there are too many turns, longer pauses are taken into them, so that all
//! of the talk stays in sight, more coarsely.

mod speeches;

use std::collections::BTreeMap;

pub use self::speeches::{SPEECH_PARTS_MIN, Speech};

use crate::key::SeatNumber;
use crate::space::SPEAKERS_MAX;
use crate::timeline::PartIndex;

/// Longest pause within a turn, 1.92 s: people who change turns leave about 0.2 s, who thinks leaves more.
pub const PAUSE_PARTS: u64 = 6;
/// Most turns of one space, 100 KB: three hours with a turn of 2.6 s after the other. Beyond, the pauses within a turn may
/// be twice as long, until half of the turns are left.
pub const TURNS_MAX: usize = 4_096;

/// One seat talked, with pauses at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The part in which it begins.
    pub from_part: PartIndex,
    /// Who.
    pub seat: SeatNumber,
    /// The first part after it.
    pub until_part: PartIndex,
}

impl Turn {
    /// How long it is.
    pub const fn parts(&self) -> u64 {
        self.until_part.0 - self.from_part.0
    }
}

/// All turns of a space, in the order in which they began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turns {
    heard: Vec<Turn>,
    /// Where in `heard` the last of each seat is.
    last: BTreeMap<SeatNumber, usize>,
    pause_parts: u64,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            heard: Vec::new(),
            last: BTreeMap::new(),
            pause_parts: PAUSE_PARTS,
        }
    }
}

impl Turns {
    /// As they were kept; none if that cannot have been kept of a space.
    pub fn new(turns: Vec<Turn>) -> Option<Self> {
        let is_sound = |turn: &Turn| turn.from_part < turn.until_part && is_seat(turn.seat);
        let in_order = turns.is_sorted_by_key(|turn| turn.from_part);
        if turns.len() > TURNS_MAX || !in_order || !turns.iter().all(is_sound) {
            return None;
        }
        let mut last: BTreeMap<SeatNumber, usize> = BTreeMap::new();
        for (at, turn) in turns.iter().enumerate() {
            let before = last.insert(turn.seat, at);
            if before.is_some_and(|before| turns[before].until_part > turn.from_part) {
                return None;
            }
        }
        Some(Self {
            heard: turns,
            last,
            pause_parts: PAUSE_PARTS,
        })
    }

    /// Hears whether somebody talks in a part. Parts come in their order, the same as often as one likes.
    pub fn heard(&mut self, part: PartIndex, seat: SeatNumber, talking: bool) {
        if !talking || !is_seat(seat) {
            return;
        }
        let last = self.last.get(&seat).map(|&at| &mut self.heard[at]);
        match last {
            Some(turn) if part.0 <= turn.until_part.0.saturating_add(self.pause_parts) => {
                turn.until_part = turn.until_part.max(part.next());
            }
            _ => self.begin(part, seat),
        }
    }

    fn begin(&mut self, part: PartIndex, seat: SeatNumber) {
        if self.heard.len() >= TURNS_MAX {
            self.coarsen();
        }
        // Parts that run backwards are heard where the programme is.
        let from_part = self
            .heard
            .last()
            .map_or(part, |last| part.max(last.from_part));
        self.last.insert(seat, self.heard.len());
        self.heard.push(Turn {
            from_part,
            seat,
            until_part: from_part.next(),
        });
    }

    /// Takes longer pauses into the turns until half of them are left. It ends: with one turn for each seat at the latest.
    fn coarsen(&mut self) {
        while self.heard.len() > TURNS_MAX / 2 {
            self.pause_parts = self.pause_parts.saturating_mul(2);
            let mut merged = Self {
                pause_parts: self.pause_parts,
                ..Self::default()
            };
            for turn in &self.heard {
                let last = merged.last.get(&turn.seat).map(|&at| &mut merged.heard[at]);
                match last {
                    Some(last)
                        if turn.from_part.0
                            <= last.until_part.0.saturating_add(self.pause_parts) =>
                    {
                        last.until_part = turn.until_part;
                    }
                    _ => {
                        merged.last.insert(turn.seat, merged.heard.len());
                        merged.heard.push(*turn);
                    }
                }
            }
            *self = merged;
        }
    }

    /// All of them.
    pub fn all(&self) -> &[Turn] {
        &self.heard
    }

    /// Those that reach beyond the beginning of a part.
    pub fn since(&self, part: PartIndex) -> impl Iterator<Item = &Turn> + '_ {
        self.heard.iter().filter(move |turn| turn.until_part > part)
    }

    /// For how many parts each seat that was heard has talked.
    pub fn shares(&self) -> BTreeMap<SeatNumber, u64> {
        let mut shares = BTreeMap::new();
        for turn in &self.heard {
            *shares.entry(turn.seat).or_default() += turn.parts();
        }
        shares
    }

    /// The longest pause within a turn, in parts.
    pub const fn pause_parts(&self) -> u64 {
        self.pause_parts
    }
}

fn is_seat(seat: SeatNumber) -> bool {
    (1..=SPEAKERS_MAX).contains(&seat.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE: SeatNumber = SeatNumber(1);
    const TWO: SeatNumber = SeatNumber(2);

    fn turn(seat: SeatNumber, from: u64, until: u64) -> Turn {
        Turn {
            from_part: PartIndex(from),
            seat,
            until_part: PartIndex(until),
        }
    }

    /// Who talks in each of these parts.
    fn turns(talking: &[(u64, SeatNumber)]) -> Turns {
        let mut turns = Turns::default();
        for &(part, seat) in talking {
            for talks in [true, false] {
                turns.heard(PartIndex(part), seat, talks);
            }
        }
        turns
    }

    #[test]
    fn a_pause_of_less_than_two_seconds_is_part_of_a_turn() {
        assert_eq!(turns(&[(5, ONE), (12, ONE)]).all(), [turn(ONE, 5, 13)]);
        assert_eq!(
            turns(&[(5, ONE), (13, ONE)]).all(),
            [turn(ONE, 5, 6), turn(ONE, 13, 14)]
        );
    }

    #[test]
    fn several_have_turns_at_once_and_each_has_a_share() {
        let turns = turns(&[(1, ONE), (2, TWO), (3, ONE), (4, TWO), (40, ONE)]);
        assert_eq!(
            turns.all(),
            [turn(ONE, 1, 4), turn(TWO, 2, 5), turn(ONE, 40, 41)]
        );
        assert_eq!(turns.shares(), [(ONE, 4), (TWO, 3)].into());
        let late: Vec<_> = turns.since(PartIndex(4)).copied().collect();
        assert_eq!(late, [turn(TWO, 2, 5), turn(ONE, 40, 41)]);
    }

    #[test]
    fn too_many_turns_become_coarser_and_none_is_lost() {
        let mut heard = Turns::default();
        let parts = TURNS_MAX as u64 * 40;
        let seats = (1..=3).map(SeatNumber).cycle();
        for (part, seat) in (0..parts).step_by(20).zip(seats) {
            heard.heard(PartIndex(part), seat, true);
        }
        assert!(heard.all().len() <= TURNS_MAX);
        assert!(heard.pause_parts() > PAUSE_PARTS);
        let last = heard.all().iter().map(|turn| turn.until_part).max();
        assert_eq!(heard.all()[0].from_part, PartIndex(0));
        assert_eq!(last, Some(PartIndex(parts - 19)));
    }

    #[test]
    fn what_was_damaged_is_not_taken_up() {
        for damaged in [
            vec![turn(ONE, 5, 5)],
            vec![turn(ONE, 5, 9), turn(TWO, 4, 6)],
            vec![turn(ONE, 5, 9), turn(ONE, 8, 10)],
            vec![turn(SeatNumber(0), 1, 2)],
            vec![turn(SeatNumber(SPEAKERS_MAX + 1), 1, 2)],
        ] {
            assert_eq!(Turns::new(damaged.clone()), None, "{damaged:?}");
        }
    }

    proptest! {
        #[test]
        fn turns_go_on_where_they_were_kept(
            talking in proptest::collection::vec((0_u64..12, 0_u32..4), 0..200), cut in 0_usize..200,
        ) {
            let mut part = 0;
            let talking: Vec<_> = talking.into_iter().map(|(wait, seat)| { part += wait; (part, SeatNumber(seat)) }).collect();
            let cut = cut.min(talking.len());
            let mut resumed = Turns::new(turns(&talking[..cut]).all().to_vec()).unwrap();
            for &(part, seat) in &talking[cut..] {
                resumed.heard(PartIndex(part), seat, true);
            }
            prop_assert_eq!(&resumed, &turns(&talking));
            for one in resumed.all() {
                prop_assert!(talking.contains(&(one.from_part.0, one.seat)));
                prop_assert!(talking.contains(&(one.until_part.0 - 1, one.seat)));
            }
        }
    }
}
