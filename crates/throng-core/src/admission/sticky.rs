//! Who was inside lately, by the number that his player made up (`?l=`): he is let in again when newcomers are not.
//!
//! A table of fixed size. A number that falls out of it costs nobody more than the queue, and somebody who shares his
//! number shares one place: whoever comes in by it last has it.

use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::atomic::Ordering::SeqCst;

use super::board::{Board, STICKY_FROM};

/// Numbers remembered at once, 4 MB: more than twice the listeners that a node of two cores was seen to hold.
pub(super) const CELLS: usize = 1 << 19;
/// Cells among which a number has its choice; the one that was seen longest ago goes.
const WAYS: usize = 8;
/// How long somebody is remembered who has gone.
const REMEMBERED_S: u64 = 600;

/// `tag 31 | inside 1 | seen_s 24 | turn 8`; zero is empty. Seconds wrap after half a year.
const TURN_BITS: u32 = 8;
const SEEN_BITS: u32 = 24;
const INSIDE: u64 = 1 << (TURN_BITS + SEEN_BITS);
const TAG_SHIFT: u32 = TURN_BITS + SEEN_BITS + 1;
const SEEN_MASK: u64 = (1 << SEEN_BITS) - 1;

/// Where somebody is remembered, and since which of his arrivals; in four bytes, for every listener has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remembered(NonZeroU32);

impl Remembered {
    fn new(index: usize, turn: u8) -> Self {
        let index = u32::try_from(index - STICKY_FROM).expect("the table is small");
        let packed = (index + 1) << TURN_BITS | u32::from(turn);
        Self(NonZeroU32::new(packed).expect("it counts from one"))
    }

    fn index(self) -> usize {
        STICKY_FROM + (self.0.get() >> TURN_BITS) as usize - 1
    }

    fn turn(self) -> u8 {
        self.0.get().to_le_bytes()[0]
    }
}

#[derive(Clone, Copy)]
struct Entry(u64);

impl Entry {
    fn new(tag: u64, is_inside: bool, seen_s: u64, turn: u8) -> Self {
        let inside = u64::from(is_inside) * INSIDE;
        Self(tag << TAG_SHIFT | inside | (seen_s & SEEN_MASK) << TURN_BITS | u64::from(turn))
    }

    fn tag(self) -> u64 {
        self.0 >> TAG_SHIFT
    }

    fn is_inside(self) -> bool {
        self.0 & INSIDE != 0
    }

    fn age_s(self, now_s: u64) -> u64 {
        now_s.wrapping_sub(self.0 >> TURN_BITS) & SEEN_MASK
    }

    fn turn(self) -> u8 {
        self.0.to_le_bytes()[0]
    }

    /// How willingly it is given up.
    fn staleness(self, now_s: u64) -> u64 {
        match self {
            Self(0) => u64::MAX,
            entry if entry.is_inside() => 0,
            entry => 1 + entry.age_s(now_s),
        }
    }
}

fn tag(player: u64) -> u64 {
    (player >> 33).max(1)
}

fn ways(player: u64) -> Range<usize> {
    let sets = (CELLS / WAYS) as u64;
    let set = usize::try_from(player % sets).expect("sets are few");
    STICKY_FROM + set * WAYS..STICKY_FROM + (set + 1) * WAYS
}

impl Board {
    /// Whether this player is inside, or was within ten minutes.
    pub(super) fn knows(&self, player: u64, now_s: u64) -> bool {
        self.find(player)
            .is_some_and(|(_, entry)| entry.is_inside() || entry.age_s(now_s) <= REMEMBERED_S)
    }

    /// Remembers that this player came in; who came in by the same number before is that no longer, if `replaces`.
    pub(super) fn remember(&self, player: u64, now_s: u64, replaces: bool) -> Remembered {
        let (index, before) = self.find(player).unwrap_or_else(|| {
            let stalest =
                ways(player).max_by_key(|index| Entry(self.read(*index)).staleness(now_s));
            let index = stalest.expect("a set has ways");
            (index, Entry(0))
        });
        let turn = before.turn().wrapping_add(u8::from(replaces));
        let entry = Entry::new(tag(player), true, now_s, turn);
        self.cell(index).store(entry.0, SeqCst);
        Remembered::new(index, turn)
    }

    /// Whether nobody has come in by the same number since.
    pub fn is_last(&self, remembered: Remembered) -> bool {
        Entry(self.read(remembered.index())).turn() == remembered.turn()
    }

    /// He has gone; for a while he is known.
    pub fn stepped_out(&self, remembered: Remembered, now_s: u64) {
        let cell = self.cell(remembered.index());
        let _ = cell.fetch_update(SeqCst, SeqCst, |entry| {
            let entry = Entry(entry);
            (entry.0 != 0 && entry.turn() == remembered.turn())
                .then(|| Entry::new(entry.tag(), false, now_s, entry.turn()).0)
        });
    }

    fn find(&self, player: u64) -> Option<(usize, Entry)> {
        let entries = ways(player).map(|index| (index, Entry(self.read(index))));
        entries
            .into_iter()
            .find(|(_, entry)| entry.0 != 0 && entry.tag() == tag(player))
    }
}
