//! The gate: the few who were called, came, and found no place free, because more came than were expected. A place that
//! becomes free is theirs in the order of the queue.
//!
//! Each asks again within seconds; who does not is forgotten. When there are too many, the queue is called back.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use super::board::{Board, GATE_FROM};

/// People who stand here at once; the one who is last in the queue is sent back to it when there is one more.
pub(super) const CELLS: usize = 512;
/// Who has not asked again for so long has gone: he was told one to three seconds.
const FORGOTTEN_S: u64 = 8;

/// `place + 1 (40 bits) | asked_s (24 bits)`; zero is empty.
const ASKED_BITS: u32 = 24;
const ASKED_MASK: u64 = (1 << ASKED_BITS) - 1;

fn entry(place: u64, now_s: u64) -> u64 {
    (place + 1) << ASKED_BITS | now_s & ASKED_MASK
}

/// Whose it is, unless he has gone.
fn place(entry: u64, now_s: u64) -> Option<u64> {
    let age_s = now_s.wrapping_sub(entry) & ASKED_MASK;
    let place = (entry >> ASKED_BITS).checked_sub(1)?;
    // A second backwards is two processes that read the clock one after the other.
    (age_s <= FORGOTTEN_S || age_s == ASKED_MASK).then_some(place)
}

impl Board {
    /// He stands at the gate from now on, or still. Where it is full, the first place that is sent back to the queue.
    pub(super) fn stand(&self, at: u64, now_s: u64) -> Option<u64> {
        let mut last = (0, 0, 0);
        let mut free = None;
        for (index, cell) in self.gate() {
            let held = cell.load(SeqCst);
            match place(held, now_s) {
                Some(here) if here == at => {
                    cell.store(entry(at, now_s), SeqCst);
                    return None;
                }
                Some(here) if here >= last.0 => last = (here, index, held),
                Some(_) => {}
                None => free = free.or(Some((index, held))),
            }
        }
        if let Some((index, held)) = free {
            let taken = self.swap(index, held, entry(at, now_s));
            // Another process was faster; he asks again soon.
            return (!taken).then_some(at);
        }
        let (furthest, index, held) = last;
        if at < furthest && self.swap(index, held, entry(at, now_s)) {
            return Some(furthest);
        }
        Some(at)
    }

    /// How many stand there with a place in this range.
    pub(super) fn standing(&self, among: Range<u64>, now_s: u64) -> u64 {
        let places = self
            .gate()
            .filter_map(|(_, cell)| place(cell.load(SeqCst), now_s));
        places.filter(|place| among.contains(place)).count() as u64
    }

    /// He has come in.
    pub(super) fn pass(&self, at: u64) {
        for (index, cell) in self.gate() {
            let held = cell.load(SeqCst);
            if held >> ASKED_BITS == at + 1 {
                self.swap(index, held, 0);
            }
        }
    }

    fn swap(&self, index: usize, from: u64, to: u64) -> bool {
        let cell = self.cell(GATE_FROM + index);
        cell.compare_exchange(from, to, SeqCst, SeqCst).is_ok()
    }

    fn gate(&self) -> impl Iterator<Item = (usize, &AtomicU64)> {
        self.cells(GATE_FROM..GATE_FROM + CELLS).iter().enumerate()
    }
}
