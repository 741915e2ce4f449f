//! Which places were used: a bit for each that was called and is not over, in a ring.

use std::ops::Range;
use std::sync::atomic::Ordering::SeqCst;

use super::{Board, USED};

/// Places that are called and not over, at once: who is called has a minute, and seventeen thousand a second are more
/// than a node lets in.
pub(super) const PLACES: u64 = 1 << 20;
pub(super) const CELLS: usize = (PLACES / 64) as usize;

fn word(place: u64) -> (usize, u64) {
    let index = usize::try_from(place % PLACES / 64).expect("the ring is small");
    (USED + index, 1 << (place % 64))
}

impl Board {
    /// Uses a place up, if it is not.
    pub(super) fn use_up(&self, place: u64) -> bool {
        let (index, bit) = word(place);
        self.cell(index).fetch_or(bit, SeqCst) & bit == 0
    }

    /// It was not used after all.
    pub(super) fn give_back(&self, place: u64) {
        let (index, bit) = word(place);
        self.cell(index).fetch_and(!bit, SeqCst);
    }

    pub(super) fn is_used(&self, place: u64) -> bool {
        let (index, bit) = word(place);
        self.read(index) & bit != 0
    }

    /// How many of these are used.
    pub(super) fn used(&self, places: Range<u64>) -> u64 {
        let ones =
            words(places).map(|(place, mask)| (self.read(word(place).0) & mask).count_ones());
        ones.map(u64::from).sum()
    }

    /// These are over; their bits are those of places to come.
    pub(super) fn clear(&self, places: Range<u64>) {
        for (place, mask) in words(places) {
            self.cell(word(place).0).fetch_and(!mask, SeqCst);
        }
    }
}

/// The words of a range, by a place in each, and which of their bits are of it.
fn words(places: Range<u64>) -> impl Iterator<Item = (u64, u64)> {
    let Range { start, end } = places;
    (start / 64..end.max(start).div_ceil(64)).map(move |word| {
        let first = word * 64;
        let from = start.max(first) - first;
        let to = end.min(first + 64).saturating_sub(first);
        let below = |count: u64| {
            if count >= 64 {
                u64::MAX
            } else {
                (1 << count) - 1
            }
        };
        (first, below(to) & !below(from))
    })
}
