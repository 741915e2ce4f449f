//! One agent: a process with one thread, one epoll and a slot for each of its listeners.
//!
//! It reads its [`Orders`] from the first line of its input, begins when they say, writes a [`Line`] each second and a
//! last one at the end, and stops when its input is closed. Everything that is decided is decided in [`listener`]; here
//! are sockets, time and bytes.

mod misbehaving;
mod said;
mod second;
mod socket;
mod time;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io::{self, BufRead, Write};
use std::os::fd::OwnedFd;

use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use serde::{Deserialize, Serialize};

use self::misbehaving::Misbehaving;
pub use self::said::{Kept, Said};
use self::socket::Ports;
pub use self::socket::raise_open_files;
pub use self::time::{cpu_us, now_us};
use crate::SECOND_US;
use crate::chance::Chance;
use crate::listener::{Act, Listener, Scene, Shared};
use crate::mix::Via;
use crate::netns;
use crate::orders::Orders;
use crate::tally::Tally;

/// Connects before the loop looks at its events again: they must not starve those who listen.
const CONNECTS_AT_ONCE: u32 = 64;
/// Events of one look; more wait for the next.
const EVENTS_MAX: usize = 1_024;
/// What one listener is read at once: a burst of 9 s has 55 KB.
const READ_BYTES: usize = 256 << 10;
/// An answer that must be read as a whole is kept until it is; a longer one ends the connection.
const CARRIED_BYTES_MAX: usize = 2 << 20;
/// The loop wakes at least so often, to let the crowd come and go.
const IDLE_WAIT_US: u64 = 20_000;
/// Of each agent's first listeners so many streams are kept.
pub const KEPT_LISTENERS: u32 = 2;
/// How long after the end answers are still waited for.
const LAST_LINE_US: u64 = SECOND_US;

/// What an agent says each second.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    /// All that was counted so far.
    pub tally: Tally,
    /// In this second: the longest time between two deliveries to a listener.
    pub wait_us: u64,
    /// In this second: the longest time in which the agent looked after nobody.
    pub lag_us: u64,
    /// Whether this is the last one.
    pub done: bool,
}

/// Runs one agent, from the orders on `input` to the last line on `output`.
pub fn run(mut input: impl BufRead, output: &mut dyn Write) -> io::Result<()> {
    let mut text = String::new();
    input.read_line(&mut text)?;
    let orders: Orders = serde_json::from_str(&text)?;
    if !orders.are_sound() {
        return Err(io::Error::other("these orders cannot be carried out"));
    }
    if let Some(name) = &orders.netns {
        netns::enter(name).map_err(io::Error::other)?;
    }
    raise_open_files();
    Agent::new(orders)?.run(output)
}

struct Agent {
    orders: Orders,
    epoll: OwnedFd,
    ports: Ports,
    slots: Vec<Slot>,
    misbehaving: Misbehaving,
    /// How each of the crowd listens, again and again.
    vias: Vec<Via>,
    /// When which slot wants to act.
    timers: BinaryHeap<Reverse<(u64, u32)>>,
    /// The beginnings of answers that are not whole yet. Rare: most answers come in one piece.
    carried: BTreeMap<u32, Vec<u8>>,
    kept: BTreeMap<u32, Vec<u8>>,
    shared: Shared,
    chance: Chance,
    tally: Tally,
    buffer: Vec<u8>,
    out: Vec<u8>,
    /// Slots whose listeners have left.
    left: u32,
    /// Where the search for stuck connections goes on.
    looked_at: usize,
    next_line_us: u64,
    lag_us: u64,
}

struct Slot {
    socket: Option<OwnedFd>,
    /// Counts connections, so that an event of an older one is known.
    turn: u32,
    /// Whether the connection is made.
    connected: bool,
    /// When the listener wants to act; a timer of another time is an old one.
    wake_us: u64,
    listener: Listener,
}

impl Agent {
    fn new(orders: Orders) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let data = epoll::EventData::new_u64(INPUT);
        epoll::add(&epoll, io::stdin(), data, epoll::EventFlags::RDHUP)?;
        Ok(Self {
            epoll,
            ports: Ports::new(orders.address, &orders.sources),
            slots: Vec::with_capacity(orders.own_of(orders.listeners) as usize),
            misbehaving: Misbehaving::new(orders.misbehaving),
            vias: orders.mix.run(),
            timers: BinaryHeap::new(),
            carried: BTreeMap::new(),
            kept: BTreeMap::new(),
            shared: Shared::default(),
            chance: Chance::new(orders.seed ^ u64::from(orders.agent)),
            tally: Tally::default(),
            buffer: vec![0; READ_BYTES],
            out: Vec::new(),
            left: 0,
            looked_at: 0,
            next_line_us: orders.begin_us + SECOND_US,
            lag_us: 0,
            orders,
        })
    }

    fn run(mut self, output: &mut dyn Write) -> io::Result<()> {
        let mut events = Vec::with_capacity(EVENTS_MAX);
        loop {
            let began_us = now_us();
            if began_us >= self.next_line_us {
                self.write_line(output, false)?;
            }
            if began_us > self.orders.end_us() + LAST_LINE_US {
                return self.write_line(output, true);
            }
            let busy = self.come_and_go(began_us);
            self.fire_timers(now_us());
            let done_us = now_us();
            self.lag_us = self.lag_us.max(done_us - began_us);
            if self.wait(&mut events, busy, done_us)? {
                return self.write_line(output, true);
            }
        }
    }

    /// Waits for events and looks after them; whether the input was closed.
    fn wait(&mut self, events: &mut Vec<epoll::Event>, busy: bool, now: u64) -> io::Result<bool> {
        let wait_us = if busy { 0 } else { self.wait_us(now) };
        let timeout = Timespec {
            tv_sec: 0,
            tv_nsec: i64::try_from(wait_us * 1_000).unwrap_or(0),
        };
        events.clear();
        match epoll::wait(
            &self.epoll,
            rustix::buffer::spare_capacity(events),
            Some(&timeout),
        ) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let woken_us = now_us();
        self.lag_us = self.lag_us.max(woken_us.saturating_sub(now + wait_us));
        let mut closed = false;
        for event in events.iter() {
            let data = event.data.u64();
            if data == INPUT {
                closed = true;
            } else if misbehaving::is_one(data) {
                self.misbehaving.event(data, &mut self.tally);
            } else {
                self.event(data, event.flags, now_us());
            }
        }
        self.lag_us = self.lag_us.max(now_us() - woken_us);
        Ok(closed)
    }

    fn wait_us(&self, now: u64) -> u64 {
        let timer = self.timers.peek().map(|Reverse((at_us, _))| *at_us);
        let due = timer.map_or(IDLE_WAIT_US, |at_us| at_us.saturating_sub(now));
        // A timer fires within the millisecond: the crowd's clock needs to be no finer.
        due.clamp(1_000, IDLE_WAIT_US)
    }

    /// Lets listeners in and out as the curves say; whether some had to wait for the next look.
    fn come_and_go(&mut self, now: u64) -> bool {
        let Some(after_us) = now.checked_sub(self.orders.begin_us) else {
            return false;
        };
        let due = self.orders.arrive.arrived(after_us, self.orders.listeners);
        let due = self.orders.own_of(due);
        let mut busy = false;
        for number in (u32::try_from(self.slots.len()).unwrap_or(u32::MAX)..due)
            .take(CONNECTS_AT_ONCE as usize)
        {
            self.begin(number, now);
            busy = true;
        }
        if let Some(after_us) = now.checked_sub(self.orders.leave_us()) {
            let gone = self.orders.leave.arrived(after_us, self.orders.listeners);
            let gone = self
                .orders
                .own_of(gone)
                .min(u32::try_from(self.slots.len()).unwrap_or(0));
            while self.left < gone {
                self.let_go(self.left, now);
                self.left += 1;
            }
        }
        busy
    }

    fn begin(&mut self, own: u32, now: u64) {
        let number = self.orders.number_of(own);
        let via = self.vias[number as usize % self.vias.len()];
        if own < KEPT_LISTENERS && self.orders.keep && via != Via::Plain {
            self.kept.insert(own, Vec::new());
        }
        self.tally.begun += 1;
        self.slots.push(Slot {
            socket: None,
            turn: 0,
            connected: false,
            wake_us: 0,
            listener: Listener::new(number, via, now, &self.orders.funnel),
        });
        self.connect(own, now);
    }

    fn let_go(&mut self, own: u32, now: u64) {
        let slot = &mut self.slots[own as usize];
        slot.listener.leave(now, &mut self.tally);
        slot.socket = None;
        self.carried.remove(&own);
    }

    fn connect(&mut self, own: u32, now: u64) {
        let slot = &mut self.slots[own as usize];
        slot.turn = slot.turn.wrapping_add(1);
        slot.connected = false;
        slot.socket = None;
        slot.listener.connecting(now);
        let data = u64::from(slot.turn) << 32 | u64::from(own);
        match self.ports.connect(&self.epoll, data) {
            Ok(socket) => slot.socket = Some(socket),
            Err(trouble) => {
                self.tally.own_limits += u64::from(trouble.is_our_own());
                let act = self.with(own, now, |listener, scene| {
                    listener.unreached(scene, trouble.reason())
                });
                self.act(own, act);
            }
        }
    }

    fn event(&mut self, data: u64, flags: epoll::EventFlags, now: u64) {
        let own = u32::try_from(data & u64::from(u32::MAX)).expect("the lower half");
        let slot = &mut self.slots[own as usize];
        let turn = u32::try_from(data >> 32).expect("the upper half");
        if slot.turn != turn || slot.socket.is_none() {
            return;
        }
        if !slot.connected {
            match socket::made(slot.socket.as_ref()) {
                Ok(()) => {
                    slot.connected = true;
                    let act = self.with(own, now, Listener::ask);
                    self.act(own, act);
                }
                Err(trouble) => {
                    let act = self.with(own, now, |listener, scene| {
                        listener.unreached(scene, trouble.reason())
                    });
                    self.act(own, act);
                    return;
                }
            }
        }
        // A connection that has just been made has nothing to read.
        if flags != epoll::EventFlags::OUT {
            // The end of a connection is told once: then all is read up to it.
            let ends = epoll::EventFlags::RDHUP | epoll::EventFlags::HUP | epoll::EventFlags::ERR;
            self.read(own, now, flags.intersects(ends));
        }
    }

    /// Reads until nothing more is there: events come only when something new does.
    fn read(&mut self, own: u32, now: u64, to_its_end: bool) {
        loop {
            let Some(socket) = self.slots[own as usize].socket.as_ref() else {
                return;
            };
            let act =
                match rustix::net::recv(socket, self.buffer.as_mut_slice(), RecvFlags::empty()) {
                    Ok((_, 0)) => self.with(own, now, Listener::closed),
                    Ok((_, length)) => {
                        self.tally.bytes += length as u64;
                        let act = self.bring(own, now, length);
                        self.act(own, act);
                        if length < READ_BYTES && !to_its_end {
                            return;
                        }
                        continue;
                    }
                    Err(Errno::AGAIN | Errno::INTR) => return,
                    Err(_) => self.with(own, now, |listener, scene| {
                        listener.unreached(scene, "connection reset")
                    }),
                };
            self.act(own, act);
            return;
        }
    }

    /// Brings the listener what was read, behind what was carried; several answers may be in it.
    fn bring(&mut self, own: u32, now: u64, length: usize) -> Act {
        let buffer = std::mem::take(&mut self.buffer);
        let mut whole = self.carried.remove(&own);
        if let Some(carried) = &mut whole {
            carried.extend_from_slice(&buffer[..length]);
        }
        let bytes = whole.as_deref().unwrap_or(&buffer[..length]);
        let (used, mut act) = self.with(own, now, |listener, scene| listener.take(scene, bytes));
        let rest = bytes.get(used..).unwrap_or_default();
        if act == Act::Wait && rest.len() > CARRIED_BYTES_MAX {
            act = self.with(own, now, |listener, scene| {
                listener.unreached(scene, "endless answer")
            });
        } else if act == Act::Wait && !rest.is_empty() {
            self.carried.insert(own, rest.to_vec());
        }
        self.buffer = buffer;
        act
    }

    /// Calls a listener with all that surrounds him.
    fn with<T>(
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

    fn act(&mut self, own: u32, act: Act) {
        match act {
            Act::Wait => {}
            Act::Send => {
                let socket = self.slots[own as usize].socket.as_ref();
                let sent =
                    socket.map(|socket| rustix::net::send(socket, &self.out, SendFlags::NOSIGNAL));
                if sent != Some(Ok(self.out.len())) {
                    let act = self.with(own, now_us(), |listener, scene| {
                        listener.unreached(scene, "request not sent")
                    });
                    self.act(own, act);
                }
            }
            Act::SendAt { at_us } => self.wake(own, at_us),
            Act::ComeBack { at_us } => {
                self.hang_up(own);
                self.wake(own, at_us);
            }
            Act::Leave => self.hang_up(own),
        }
    }

    fn wake(&mut self, own: u32, at_us: u64) {
        self.slots[own as usize].wake_us = at_us;
        self.timers.push(Reverse((at_us, own)));
    }

    fn hang_up(&mut self, own: u32) {
        self.slots[own as usize].socket = None;
        self.carried.remove(&own);
    }

    fn fire_timers(&mut self, now: u64) {
        while let Some(Reverse((at_us, own))) = self.timers.peek().copied() {
            if at_us > now {
                return;
            }
            self.timers.pop();
            let slot = &mut self.slots[own as usize];
            if slot.listener.is_gone() || slot.wake_us != at_us {
                continue;
            }
            slot.wake_us = 0;
            if slot.socket.is_none() {
                self.connect(own, now);
            } else {
                let act = self.with(own, now, Listener::ask);
                self.act(own, act);
            }
        }
    }
}

/// The mark of the agent's own input among its events.
const INPUT: u64 = u64::MAX;
