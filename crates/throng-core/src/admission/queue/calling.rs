//! How many are called: as many as fill what is free, by how many came of those who were called before.
//!
//! Where everybody comes, one is called for each place, and nobody finds none. Where hardly anybody does, as when tickets
//! were hoarded, many are called at once, each time at most twice as many as before.

use std::sync::atomic::Ordering::SeqCst;

use super::{
    CALLED, DRAWN, EARLY, FLOOR, HISTORY, KEPT, LAST_EARLY, LAST_OF, NEXT, NUMBER, RATE, SERVED,
    SERVING, SHOWN, TICK, used,
};
use crate::admission::Board;
use crate::ladder::Rung;

/// From call to call.
const TICK_MS: u64 = 250;
/// Who was called and is there comes within so many ticks, 5 s: near the front players look every two seconds.
const COMING_TICKS: u64 = 20;
/// After so many, 60 s, a place is over: longer than any wait that is dealt.
const OVER_TICKS: u64 = 240;
/// Called in one tick at most.
const CALLED_MAX: u64 = 65_536;
/// Called in a tick after one in which nobody was, at most, where not all come.
const CALLED_FIRST: u64 = 64;
/// Everybody comes.
pub(super) const ALL_COME: u64 = 1 << 16;
/// Hardly anybody does.
const FEW_COME: u64 = ALL_COME >> 10;
/// Who was called in so many ticks before those is judged by, 10 s, if they are enough.
const JUDGED_TICKS: u64 = 40;
const JUDGED_MIN: u64 = 8;
/// One person per second.
pub(super) const RATE_UNIT: u64 = 256;

/// What each tick leaves behind: where the queue stood, and how many were let in.
const RING: usize = 256;
const STOOD: usize = HISTORY;
const LET_IN: usize = STOOD + RING;
pub(super) const CELLS: usize = 2 * RING;

/// A free place is a small number even where there is no bound.
const FREE_MAX: u64 = 1 << 32;

fn at(ring: usize, tick: u64) -> usize {
    ring + usize::try_from(tick).expect("a process has 64 bits") % RING
}

/// What happened in a tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// How many were called.
    pub called: u64,
    /// How many had their time and did not come.
    pub lapsed: u64,
    /// Whether the order of the early ones was drawn now.
    pub drew: bool,
    /// Whether the queue was over, and the next has begun.
    pub began_anew: bool,
}

impl Board {
    /// Whether a tick is due that nobody has done.
    pub fn is_due(&self, now_ms: u64) -> bool {
        now_ms / TICK_MS > self.read(TICK)
    }

    /// Calls those whose turn it is; all processes say this often, and one of them does it in each tick. `is_live` says
    /// that a space of this node is live.
    pub fn call(&self, now_ms: u64, rung: Rung, is_live: bool) -> Option<Call> {
        let (tick, last) = (now_ms / TICK_MS, self.read(TICK));
        if tick <= last
            || self
                .cell(TICK)
                .compare_exchange(last, tick, SeqCst, SeqCst)
                .is_err()
        {
            return None;
        }
        for missed in (last + 1).max(tick.saturating_sub(RING as u64 - 1))..tick {
            self.note(missed);
        }
        self.note(tick);
        self.end_leases(tick, now_ms / 1_000);
        let drew = is_live && self.draw();
        let lapsed = self.lapse(tick);
        let called = self.call_out(tick, now_ms, rung);
        self.cell(at(STOOD, tick)).store(self.read(SERVING), SeqCst);
        let began_anew = !is_live && self.begin_anew();
        Some(Call {
            called,
            lapsed,
            drew,
            began_anew,
        })
    }

    fn note(&self, tick: u64) {
        self.cell(at(STOOD, tick)).store(self.read(SERVING), SeqCst);
        let served = self.read(SERVED);
        self.cell(at(LET_IN, tick)).store(served, SeqCst);
        let before = self.read(at(LET_IN, tick.saturating_sub(COMING_TICKS)));
        let rate = served.saturating_sub(before) * RATE_UNIT * 1_000 / (COMING_TICKS * TICK_MS);
        self.cell(RATE).store(rate, SeqCst);
    }

    /// Draws the order of those who came before the start.
    fn draw(&self) -> bool {
        if self.read(DRAWN) != 0 {
            return false;
        }
        self.cell(EARLY).store(self.read(NEXT), SeqCst);
        self.cell(DRAWN).store(1, SeqCst);
        true
    }

    /// Ends the time of those who were called a minute ago.
    fn lapse(&self, tick: u64) -> u64 {
        let (floor, serving) = (self.read(FLOOR), self.read(SERVING));
        let over = self
            .stood(tick.saturating_sub(OVER_TICKS))
            .min(serving)
            .max(floor);
        let lapsed = over - floor - self.used(floor..over).min(over - floor);
        self.cell(FLOOR).store(over, SeqCst);
        self.clear(floor..over);
        lapsed
    }

    fn call_out(&self, tick: u64, now_ms: u64, rung: Rung) -> u64 {
        let now_s = now_ms / 1_000;
        let (serving, of) = (self.read(SERVING), self.read(NEXT));
        let young = self.stood(tick.saturating_sub(COMING_TICKS)).min(serving)..serving;
        let shown = self.shown(tick, &young, now_s);
        let came = self.used(young.clone());
        let coming = ((young.end - young.start) * shown / ALL_COME).saturating_sub(came);
        let standing = self.standing(0..u64::MAX, now_s);
        let free = self.room(rung).free.min(FREE_MAX);
        let free = free.saturating_sub(standing + coming + self.orphaned(now_ms));
        let called = if self.read(DRAWN) == 0 {
            0
        } else {
            let wanted = (free * ALL_COME).div_ceil(shown);
            let most = if wanted == free {
                CALLED_MAX
            } else {
                self.read(CALLED).max(CALLED_FIRST) * 2
            };
            let ring = used::PLACES - serving.saturating_sub(self.read(FLOOR)).min(used::PLACES);
            wanted
                .min(most)
                .min(CALLED_MAX)
                .min(ring)
                .min(of.saturating_sub(serving))
        };
        self.cell(CALLED).store(called, SeqCst);
        self.cell(SERVING).fetch_add(called, SeqCst);
        self.cell(KEPT)
            .store(coming + called * shown / ALL_COME, SeqCst);
        called
    }

    /// How many of those who are called come: of the newest of whom that is known, half and half with those before;
    /// at once more, when more have come already.
    fn shown(&self, tick: u64, young: &std::ops::Range<u64>, now_s: u64) -> u64 {
        let before = match self.read(SHOWN) {
            0 => ALL_COME,
            shown => shown,
        };
        let share = |places: std::ops::Range<u64>| {
            let all = places.end - places.start;
            let came = self.used(places.clone()) + self.standing(places, now_s);
            (all >= JUDGED_MIN).then(|| came.min(all) * ALL_COME / all)
        };
        let since = self.stood(tick.saturating_sub(COMING_TICKS + JUDGED_TICKS));
        let judged = since.max(self.read(FLOOR)).min(young.start)..young.start;
        let known = share(judged).map_or(before, |share| u64::midpoint(before, share));
        let shown = share(young.clone())
            .map_or(known, |share| share.max(known))
            .max(FEW_COME);
        self.cell(SHOWN).store(shown, SeqCst);
        shown
    }

    fn stood(&self, tick: u64) -> u64 {
        self.read(at(STOOD, tick))
    }

    /// When nobody waits, nobody may come any more and nothing is live, the next queue is another.
    fn begin_anew(&self) -> bool {
        let of = self.read(NEXT);
        let is_over = self.read(DRAWN) != 0 && self.read(SERVING) == of && self.read(FLOOR) == of;
        if is_over {
            self.cell(LAST_OF).store(of, SeqCst);
            self.cell(LAST_EARLY).store(self.read(EARLY), SeqCst);
            self.cell(NUMBER).fetch_add(1, SeqCst);
            for cell in [NEXT, SERVING, FLOOR, SHOWN, KEPT, DRAWN, EARLY, CALLED] {
                self.cell(cell).store(0, SeqCst);
            }
            for cell in self.cells(STOOD..LET_IN) {
                cell.store(0, SeqCst);
            }
        }
        is_over
    }
}
