//! The board: the numbers that all processes of a node who let listeners in have in common.
//!
//! It lies in memory that they share, or in one process alone. Each cell is written with one atomic operation, and each
//! process counts its listeners in a lane of its own: when it dies, its lane is wiped, and nobody's count is wrong.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use super::{gate, queue, sticky};
use crate::ladder::Rung;
use crate::rendition::{RENDITION_COUNT, Rendition};

/// Processes that let listeners in on one node: the origin, and four times as many as there may be workers, because one
/// that is replaced counts on until its last listener has gone.
pub(super) const LANES_MAX: usize = 1_025;
/// Cells of a lane: one for each rendition, in a line of the processor's cache, so that no two processes share one.
const LANE_CELLS: usize = 8;
const _: () = assert!(RENDITION_COUNT <= LANE_CELLS);

/// Most listeners, or [`u64::MAX`].
const SLOTS: usize = 0;
/// Most bits per second, or [`u64::MAX`].
const EGRESS: usize = 1;
/// Lanes that were ever used.
const LANES: usize = 2;
/// Places of processes that died, and until when they are kept for those who had them.
const ORPHANED: usize = 3;
const ORPHANED_UNTIL_MS: usize = 4;
/// Where the numbers of the queue begin.
pub(super) const QUEUE: usize = 16;
const LANES_FROM: usize = QUEUE + queue::CELLS;
pub(super) const GATE_FROM: usize = LANES_FROM + (LANES_MAX + 1) * LANE_CELLS;
pub(super) const STICKY_FROM: usize = GATE_FROM + gate::CELLS;
const CELLS: usize = STICKY_FROM + sticky::CELLS;

/// Who was inside may come back when this part of all slots is taken beyond the last: a process that died took its
/// listeners' places with it, and newcomers may have been faster.
const RETURN_SHARE: u64 = 16;
/// Who lost his process is back within so long, our own players within seconds.
const RETURN_MS: u64 = 8_000;

/// Where the cells lie.
pub trait Cells: Send + Sync {
    /// All of them, zero at first, [`Board::CELLS`] or more.
    fn cells(&self) -> &[AtomicU64];
}

impl Cells for Box<[AtomicU64]> {
    fn cells(&self) -> &[AtomicU64] {
        self
    }
}

/// The bounds of a node; absent means none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Listeners at once.
    pub slots: Option<u64>,
    /// Bits per second on the wire.
    pub egress_bits: Option<u64>,
}

/// The lane of a process; no two that live have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lane(usize);

impl Lane {
    /// The places of those who listen by playlist: they are no process's, and stay when one dies.
    pub(super) const PLAYLISTS: Self = Self(LANES_MAX);

    /// The lane of a process by its place in the node, from 0. Places beyond the last share it, and are counted rightly
    /// as long as none of them dies.
    pub fn new(place: usize) -> Self {
        Self(place.min(LANES_MAX - 1))
    }
}

/// What is free, and what was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Listeners who are in.
    pub held: u64,
    /// Bits per second that they are sent.
    pub bits: u64,
    /// How many more of the default rendition may come.
    pub free: u64,
}

/// The numbers that a node's processes share.
pub struct Board {
    cells: Box<dyn Cells>,
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board").finish_non_exhaustive()
    }
}

/// Bits per second that a listener takes on the wire: containers, HTTP, TCP and IP add some 7 % to 12 % at spans of
/// 0.96 s, and retransmissions have the rest.
pub const fn wire_bits(rendition: Rendition) -> u64 {
    rendition.bit_rate() as u64 * 9 / 8
}

impl Board {
    /// Cells that it needs.
    pub const CELLS: usize = CELLS;

    /// A board over shared cells.
    pub fn over(cells: impl Cells + 'static) -> Self {
        assert!(
            cells.cells().len() >= CELLS,
            "the cells are made for a board"
        );
        Self {
            cells: Box::new(cells),
        }
    }

    /// A board that one process has alone.
    pub fn alone() -> Self {
        let cells: Box<[AtomicU64]> = (0..CELLS).map(|_| AtomicU64::new(0)).collect();
        let board = Self::over(cells);
        board.limit(Limits::default());
        board
    }

    pub(super) fn cell(&self, index: usize) -> &AtomicU64 {
        &self.cells.cells()[index]
    }

    pub(super) fn read(&self, index: usize) -> u64 {
        self.cell(index).load(SeqCst)
    }

    pub(super) fn cells(&self, range: Range<usize>) -> &[AtomicU64] {
        &self.cells.cells()[range]
    }

    /// From now on these bounds; whoever is in stays.
    pub fn limit(&self, limits: Limits) {
        self.cell(SLOTS)
            .store(limits.slots.unwrap_or(u64::MAX), SeqCst);
        let egress = limits.egress_bits.unwrap_or(u64::MAX);
        self.cell(EGRESS).store(egress, SeqCst);
    }

    /// A process begins, in a lane that may have been another's before.
    pub fn begin(&self, lane: Lane) {
        self.cell(LANES).fetch_max(lane.0 as u64 + 1, SeqCst);
        for cell in self.lane(lane) {
            cell.store(0, SeqCst);
        }
    }

    /// A process has died. Its places are free, and for a moment kept for those who had them.
    pub fn mourn(&self, lane: Lane, now_ms: u64) {
        let orphaned: u64 = self
            .lane(lane)
            .iter()
            .map(|cell| cell.swap(0, SeqCst))
            .sum();
        let before = self.orphaned(now_ms);
        self.keep_places(before + orphaned, now_ms + RETURN_MS);
    }

    /// So many places are for those who had them, until then.
    pub(super) fn keep_places(&self, places: u64, until_ms: u64) {
        self.cell(ORPHANED).store(places, SeqCst);
        self.cell(ORPHANED_UNTIL_MS).store(until_ms, SeqCst);
    }

    /// Places that are kept for those whose process died.
    pub(super) fn orphaned(&self, now_ms: u64) -> u64 {
        let is_over = now_ms >= self.read(ORPHANED_UNTIL_MS);
        if is_over { 0 } else { self.read(ORPHANED) }
    }

    /// Takes a place for a listener of this rendition, if there is one. Each that is taken is given back by
    /// [`Board::leave`], with the same rendition.
    #[must_use]
    pub fn enter(&self, lane: Lane, rendition: Rendition, rung: Rung) -> bool {
        self.enter_below(lane, rendition, rung, 0)
    }

    /// The same for who was inside a moment ago: his place may be taken, and a few are kept for that.
    #[must_use]
    pub(super) fn enter_again(&self, lane: Lane, rendition: Rendition, rung: Rung) -> bool {
        let slots = self.read(SLOTS);
        self.enter_below(lane, rendition, rung, slots / RETURN_SHARE)
    }

    fn enter_below(&self, lane: Lane, rendition: Rendition, rung: Rung, margin: u64) -> bool {
        let cell = &self.lane(lane)[rendition.index()];
        // Counted first and looked at then: two who want the last place may both be told to wait, and never both come in.
        cell.fetch_add(1, SeqCst);
        let (held, bits) = self.taken(rung);
        let slots = self.read(SLOTS).saturating_add(margin);
        let egress = self.read(EGRESS);
        let egress_margin = if margin == 0 {
            0
        } else {
            egress / RETURN_SHARE
        };
        let fits = held <= slots && bits <= egress.saturating_add(egress_margin);
        if !fits {
            cell.fetch_sub(1, SeqCst);
        }
        fits
    }

    /// Takes a place whether there is one or not.
    pub(super) fn count_in(&self, lane: Lane, rendition: Rendition) {
        self.lane(lane)[rendition.index()].fetch_add(1, SeqCst);
    }

    /// Gives a place back.
    pub fn leave(&self, lane: Lane, rendition: Rendition) {
        let cell = &self.lane(lane)[rendition.index()];
        // A lane that was wiped meanwhile owes nothing.
        let _ = cell.fetch_update(SeqCst, SeqCst, |count| count.checked_sub(1));
    }

    /// Places that a process has taken.
    pub fn held_by(&self, lane: Lane) -> u64 {
        self.lane(lane).iter().map(|cell| cell.load(SeqCst)).sum()
    }

    /// What is taken and free on this rung.
    pub fn room(&self, rung: Rung) -> Room {
        let (held, bits) = self.taken(rung);
        let slots = self.read(SLOTS).saturating_sub(held);
        let each = wire_bits(rung.cap(Rendition::O48));
        let egress = self.read(EGRESS).saturating_sub(bits) / each;
        Room {
            held,
            bits,
            free: slots.min(egress),
        }
    }

    /// Whether anything is bounded at all.
    pub fn is_bounded(&self) -> bool {
        self.read(SLOTS) < u64::MAX || self.read(EGRESS) < u64::MAX
    }

    /// Listeners, and their bits per second.
    fn taken(&self, rung: Rung) -> (u64, u64) {
        let lanes =
            usize::try_from(self.read(LANES)).map_or(LANES_MAX, |lanes| lanes.min(LANES_MAX));
        let lanes = (0..lanes).map(Lane).chain([Lane::PLAYLISTS]);
        let (mut held, mut bits) = (0, 0);
        for lane in lanes {
            for (cell, rendition) in self.lane(lane).iter().zip(Rendition::ALL) {
                let count = cell.load(SeqCst);
                // Who listens by playlist chooses what he is sent.
                let sent = if lane == Lane::PLAYLISTS {
                    rendition
                } else {
                    rung.cap(rendition)
                };
                held += count;
                bits += count * wire_bits(sent);
            }
        }
        (held, bits)
    }

    fn lane(&self, lane: Lane) -> &[AtomicU64] {
        let from = LANES_FROM + lane.0 * LANE_CELLS;
        self.cells(from..from + LANE_CELLS)
    }
}
