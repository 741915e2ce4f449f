//! The listeners of one agent: their slots, timers, and all that surrounds them while they decide. No sockets here.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use crate::chance::{Chance, mixed};
use crate::listener::{Act, Listener, Scene, Shared};
use crate::mix::Via;
use crate::orders::Orders;
use crate::tally::Tally;

/// An answer that must be read as a whole is kept until it is; a longer one ends the connection.
const CARRIED_BYTES_MAX: usize = 2 << 20;
/// Of each agent's first listeners so many streams are kept.
pub(super) const KEPT_LISTENERS: u32 = 2;

/// The listeners.
pub(super) struct Guests {
    pub(super) orders: Orders,
    pub(super) slots: Vec<Slot>,
    /// How each of the crowd listens, again and again.
    vias: Vec<Via>,
    /// When which slot wants to act.
    timers: BinaryHeap<Reverse<(u64, u32)>>,
    /// The beginnings of answers that are not whole yet. Rare: most answers come in one piece.
    pub(super) carried: BTreeMap<u32, Vec<u8>>,
    pub(super) kept: BTreeMap<u32, Vec<u8>>,
    shared: Shared,
    chance: Chance,
    pub(super) tally: Tally,
    /// The request to send.
    pub(super) out: Vec<u8>,
}

/// One listener.
pub(super) struct Slot {
    /// Whether he has a connection, or is on the way to one.
    pub(super) is_connected: bool,
    /// When he wants to act; a timer of another time is an old one.
    wake_us: u64,
    pub(super) listener: Listener,
}

impl Guests {
    pub(super) fn new(orders: Orders) -> Self {
        Self {
            slots: Vec::with_capacity(orders.own_of(orders.listeners) as usize),
            vias: orders.mix.run(),
            timers: BinaryHeap::new(),
            carried: BTreeMap::new(),
            kept: BTreeMap::new(),
            shared: Shared::default(),
            chance: Chance::new(orders.seed ^ u64::from(orders.agent)),
            tally: Tally::default(),
            out: Vec::new(),
            orders,
        }
    }

    /// How many have set out.
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.slots.len()).expect("a crowd is counted in 32 bits")
    }

    /// One more sets out; which one.
    pub(super) fn begin(&mut self, now: u64) -> u32 {
        let own = self.count();
        let number = self.orders.number_of(own);
        let via = self.vias[number as usize % self.vias.len()];
        if own < KEPT_LISTENERS && self.orders.keep && via != Via::Plain {
            self.kept.insert(own, Vec::new());
        }
        self.tally.begun += 1;
        // Of another crowd's listeners nobody is taken for one of this.
        let player = mixed(self.orders.seed ^ mixed(number.into()));
        self.slots.push(Slot {
            is_connected: false,
            wake_us: 0,
            listener: Listener::new(player, via, now, &self.orders.funnel),
        });
        own
    }

    /// Brings a listener what was read, behind what was carried; several answers may be in it.
    pub(super) fn bring(&mut self, own: u32, now: u64, read: &[u8]) -> Act {
        self.tally.bytes += read.len() as u64;
        let mut whole = self.carried.remove(&own);
        if let Some(carried) = &mut whole {
            carried.extend_from_slice(read);
        }
        let bytes = whole.as_deref().unwrap_or(read);
        let (used, act) = self.with(own, now, |listener, scene| listener.take(scene, bytes));
        let rest = bytes.get(used..).unwrap_or_default();
        if act == Act::Wait && rest.len() > CARRIED_BYTES_MAX {
            return self.with(own, now, |listener, scene| {
                listener.unreached(scene, "endless answer")
            });
        }
        if act == Act::Wait && !rest.is_empty() {
            self.carried.insert(own, rest.to_vec());
        }
        act
    }

    /// Calls a listener with all that surrounds him.
    pub(super) fn with<T>(
        &mut self,
        own: u32,
        now_us: u64,
        call: impl FnOnce(&mut Listener, &mut Scene<'_>) -> T,
    ) -> T {
        let mut scene = Scene {
            now_us,
            funnel: &self.orders.funnel,
            shared: &mut self.shared,
            tally: &mut self.tally,
            chance: &mut self.chance,
            out: &mut self.out,
            keep: self.kept.get_mut(&own),
        };
        call(&mut self.slots[own as usize].listener, &mut scene)
    }

    /// He wants to act then.
    pub(super) fn wake(&mut self, own: u32, at_us: u64) {
        self.slots[own as usize].wake_us = at_us;
        self.timers.push(Reverse((at_us, own)));
    }

    /// When somebody next wants to act.
    pub(super) fn next_us(&self) -> Option<u64> {
        self.timers.peek().map(|Reverse((at_us, _))| *at_us)
    }

    /// Somebody who wants to act now.
    pub(super) fn due(&mut self, now: u64) -> Option<u32> {
        while self.next_us().is_some_and(|at_us| at_us <= now) {
            let Reverse((at_us, own)) = self.timers.pop()?;
            let slot = &mut self.slots[own as usize];
            if !slot.listener.is_gone() && slot.wake_us == at_us {
                slot.wake_us = 0;
                return Some(own);
            }
        }
        None
    }
}
