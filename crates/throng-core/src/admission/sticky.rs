//! Who was inside lately, by the number that his player made up (`?l=`): he is let in again when newcomers are not. Who
//! listens by playlist has his place here, too, as a [`super::lease`].
//!
//! A table of fixed size. A number that falls out of it costs nobody more than the queue, and somebody who shares his
//! number shares one place: whoever comes in by it last has it. A node that is started again is told who was remembered
//! before ([`Board::recall`]).

use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::atomic::Ordering::SeqCst;

use super::board::{Board, Lane, STICKY_FROM};
use crate::rendition::Rendition;

/// Numbers remembered at once, 4 MB: more than twice the listeners that a node of two cores was seen to hold.
pub(super) const CELLS: usize = 1 << 19;
/// Cells among which a number has its choice; the one that was seen longest ago goes.
const WAYS: usize = 8;
const SET_MASK: u64 = (CELLS / WAYS) as u64 - 1;
const _: () = assert!(CELLS.is_power_of_two() && WAYS.is_power_of_two());
/// How long somebody is remembered who has gone.
const REMEMBERED_S: u64 = 600;
/// Who lost the whole node is back within so long after it is: our players wait at most 10 s between two tries, and a full
/// house does not come in at once.
const RECALLED_MS: u64 = 30_000;

/// A number as it is kept while there is no node: `tag 27 | has a place 1 | 20 unused | set 16`.
const KEPT_INSIDE: u64 = 1 << TAG_SHIFT >> 1;

/// `tag 27 | from the start 1 | lease 3 | inside 1 | seen_s 24 | turn 8`; zero is empty. Seconds wrap after half a year.
const TURN_BITS: u32 = 8;
const SEEN_BITS: u32 = 24;
const INSIDE: u64 = 1 << (TURN_BITS + SEEN_BITS);
const LEASE_SHIFT: u32 = TURN_BITS + SEEN_BITS + 1;
const LEASE_MASK: u64 = 0b111;
const FROM_THE_START: u64 = 1 << (LEASE_SHIFT + 3);
const TAG_SHIFT: u32 = LEASE_SHIFT + 4;
const SEEN_MASK: u64 = (1 << SEEN_BITS) - 1;
/// Processes read the clock one after the other: who was seen so soon from now was seen now.
const AHEAD_MAX_S: u64 = 2;

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

#[derive(Clone, Copy, Default)]
pub(super) struct Entry(u64);

impl Entry {
    fn tag(self) -> u64 {
        self.0 >> TAG_SHIFT
    }

    fn is_inside(self) -> bool {
        self.0 & INSIDE != 0
    }

    /// In a stream, or by playlist.
    fn has_place(self) -> bool {
        self.is_inside() || self.lease().is_some()
    }

    /// How long ago he was last seen.
    pub(super) fn age_s(self, now_s: u64) -> u64 {
        let age_s = now_s.wrapping_sub(self.0 >> TURN_BITS) & SEEN_MASK;
        if age_s > SEEN_MASK - AHEAD_MAX_S {
            0
        } else {
            age_s
        }
    }

    fn turn(self) -> u8 {
        self.0.to_le_bytes()[0]
    }

    /// In which rendition he holds a place by playlist.
    pub(super) fn lease(self) -> Option<Rendition> {
        let number = usize::try_from(self.0 >> LEASE_SHIFT & LEASE_MASK).ok()?;
        Rendition::ALL.get(number.checked_sub(1)?).copied()
    }

    fn of(self, player: u64) -> Self {
        Self(self.0 & ((1 << TAG_SHIFT) - 1) | tag(player) << TAG_SHIFT)
    }

    fn inside(self, is_inside: bool) -> Self {
        let inside = u64::from(is_inside) * INSIDE;
        Self(self.0 & !INSIDE | inside)
    }

    fn seen(self, now_s: u64) -> Self {
        let seen = SEEN_MASK << TURN_BITS;
        Self(self.0 & !seen | (now_s & SEEN_MASK) << TURN_BITS)
    }

    fn after(self, turn: u8) -> Self {
        Self(self.0 & !u64::from(u8::MAX) | u64::from(turn))
    }

    pub(super) fn leased(self, lease: Option<Rendition>) -> Self {
        let number = lease.map_or(0, |rendition| rendition.index() as u64 + 1);
        Self(self.0 & !(LEASE_MASK << LEASE_SHIFT) | number << LEASE_SHIFT)
    }

    /// He hears the talk from its beginning.
    pub(super) fn starting_over(self) -> Self {
        Self(self.0 | FROM_THE_START)
    }

    /// Whether whoever this was is known yet.
    fn is_known(self, now_s: u64) -> bool {
        self.has_place() || self.age_s(now_s) <= REMEMBERED_S
    }

    /// How willingly it is given up.
    fn staleness(self, now_s: u64) -> u64 {
        match self {
            Self(0) => u64::MAX,
            entry if entry.has_place() => 0,
            entry => 1 + entry.age_s(now_s),
        }
    }
}

fn tag(player: u64) -> u64 {
    (player >> TAG_SHIFT).max(1)
}

fn ways(player: u64) -> Range<usize> {
    let set = usize::try_from(player & SET_MASK).expect("sets are few");
    STICKY_FROM + set * WAYS..STICKY_FROM + (set + 1) * WAYS
}

impl Board {
    /// Whether this player is inside, or was within ten minutes.
    pub(super) fn knows(&self, player: u64, now_s: u64) -> bool {
        self.find(player)
            .is_some_and(|(_, entry)| entry.is_known(now_s))
    }

    /// Whether this player has begun at the talk's beginning since he is known.
    pub(super) fn starts_over(&self, player: u64, now_s: u64) -> bool {
        self.find(player)
            .is_some_and(|(_, entry)| entry.0 & FROM_THE_START != 0 && entry.is_known(now_s))
    }

    /// Remembers that this player came in; who came in by the same number before is that no longer, if `replaces`.
    pub(super) fn remember(&self, player: u64, now_s: u64, replaces: bool) -> Remembered {
        let (index, before) = self.find_or_clear(player, now_s);
        let turn = before.turn().wrapping_add(u8::from(replaces));
        let entry = before.of(player).inside(true).seen(now_s).after(turn);
        self.put(index, entry);
        Remembered::new(index, turn)
    }

    /// Notes that this player is here now, and that he holds a place by playlist, where a rendition is named.
    pub(super) fn note_here(&self, player: u64, now_s: u64, lease: Option<Rendition>) {
        let (index, before) = self.find_or_clear(player, now_s);
        let lease = lease.or(before.lease());
        self.put(index, before.of(player).seen(now_s).leased(lease));
    }

    /// Whether nobody has come in by the same number since.
    pub fn is_last(&self, remembered: Remembered) -> bool {
        Entry(self.read(remembered.index())).turn() == remembered.turn()
    }

    /// He has gone; for a while he is known.
    pub fn stepped_out(&self, remembered: Remembered, now_s: u64) {
        self.change(remembered.index(), |entry| {
            let is_his = entry.0 != 0 && entry.turn() == remembered.turn();
            is_his.then(|| entry.inside(false).seen(now_s))
        });
    }

    /// Everybody who is inside or was lately, in numbers for [`Board::recall`].
    pub fn remembered(&self, now_s: u64) -> Vec<u64> {
        let cells = self.cells(STICKY_FROM..STICKY_FROM + CELLS);
        let entries = cells.iter().map(|cell| Entry(cell.load(SeqCst)));
        let known = entries
            .enumerate()
            .filter(|(_, entry)| entry.0 != 0 && entry.is_known(now_s));
        let kept = known.map(|(index, entry)| {
            let inside = u64::from(entry.has_place()) * KEPT_INSIDE;
            entry.tag() << TAG_SHIFT | inside | (index / WAYS) as u64
        });
        kept.collect()
    }

    /// A node begins that had these numbers in mind when it ended: they are known from now on, and the places of those who
    /// were inside are kept until they have had time to come back.
    pub fn recall(&self, remembered: &[u64], now_ms: u64) {
        for kept in remembered {
            let free = ways(*kept).find(|index| self.read(*index) == 0);
            // More than fit are no board's: the rest are newcomers.
            let Some(index) = free else { continue };
            let entry = Entry::default().of(*kept).seen(now_ms / 1_000);
            self.cell(index).store(entry.0, SeqCst);
        }
        let inside = remembered.iter().filter(|kept| *kept & KEPT_INSIDE != 0);
        self.keep_places(inside.count() as u64, now_ms + RECALLED_MS);
    }

    /// Changes what is known of this player, who is here now, if there is anything to change.
    pub(super) fn change_of(
        &self,
        player: u64,
        now_s: u64,
        change: impl Fn(Entry) -> Option<Entry>,
    ) -> bool {
        let found = self.find(player);
        found.is_some_and(|(index, _)| {
            self.change(index, |entry| {
                let is_his = entry.tag() == tag(player);
                is_his
                    .then(|| change(entry))
                    .flatten()
                    .map(|entry| entry.seen(now_s))
            })
        })
    }

    /// Changes the entries of one of so many runs.
    pub(super) fn sweep(&self, run: usize, runs: usize, change: impl Fn(Entry) -> Option<Entry>) {
        let length = CELLS / runs;
        let from = STICKY_FROM + run % runs * length;
        for index in from..from + length {
            self.change(index, &change);
        }
    }

    /// Changes an entry, if there is anything to change; the places that leases hold follow.
    fn change(&self, index: usize, change: impl Fn(Entry) -> Option<Entry>) -> bool {
        let changed = |entry| change(Entry(entry)).map(|entry| entry.0);
        let before = self.cell(index).fetch_update(SeqCst, SeqCst, changed);
        if let Ok(before) = before {
            let after = changed(before).map_or(Entry(before), Entry);
            self.follow_lease(Entry(before), after);
        }
        before.is_ok()
    }

    /// Writes an entry; the places that leases hold follow.
    fn put(&self, index: usize, entry: Entry) {
        let before = Entry(self.cell(index).swap(entry.0, SeqCst));
        self.follow_lease(before, entry);
    }

    fn follow_lease(&self, before: Entry, after: Entry) {
        if before.lease() == after.lease() {
            return;
        }
        if let Some(rendition) = after.lease() {
            self.count_in(Lane::PLAYLISTS, rendition);
        }
        if let Some(rendition) = before.lease() {
            self.leave(Lane::PLAYLISTS, rendition);
        }
    }

    /// Where this player is known, or may be; then with an empty entry.
    fn find_or_clear(&self, player: u64, now_s: u64) -> (usize, Entry) {
        self.find(player).unwrap_or_else(|| {
            let stalest =
                ways(player).max_by_key(|index| Entry(self.read(*index)).staleness(now_s));
            (stalest.expect("a set has ways"), Entry::default())
        })
    }

    fn find(&self, player: u64) -> Option<(usize, Entry)> {
        let entries = ways(player).map(|index| (index, Entry(self.read(index))));
        entries
            .into_iter()
            .find(|(_, entry)| entry.0 != 0 && entry.tag() == tag(player))
    }
}
