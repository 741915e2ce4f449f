//! One agent: a process with one thread and a slot for each of its listeners.
//!
//! It reads its [`Orders`] from the first line of its input, begins when they say, writes a [`Line`] each second and a
//! last one at the end, and stops when its input is closed. Everything that is decided is decided in
//! [`listener`](crate::listener); here time and bytes are brought to it, and a [`port`] has the sockets.

mod epoll;
mod guests;
mod misbehaving;
mod port;
mod said;
mod second;
mod sources;
mod time;
mod tls;
mod uring;

use std::io::{self, BufRead, Write};

use rustix::event::{PollFd, PollFlags, Timespec};
use serde::{Deserialize, Serialize};

use self::guests::Guests;
use self::misbehaving::Misbehaving;
pub use self::port::connections_max;
use self::port::{Event, Port, Taken};
pub use self::said::{Kept, Said};
use self::sources::{Sources, raise_open_files};
pub use self::time::{cpu_us, now_us};
use self::tls::TlsPort;
use crate::SECOND_US;
use crate::listener::{Act, Listener};
use crate::netns;
use crate::orders::Orders;
use crate::tally::Tally;

/// Connects before the loop looks at its events again: they must not starve those who listen.
const CONNECTS_AT_ONCE: u32 = 64;
/// The loop wakes at least so often, to let the crowd come and go.
const IDLE_WAIT_US: u64 = 20_000;
/// How often the input is looked at, and the hasty come again.
const INPUT_LOOK_US: u64 = 100_000;
/// Of each agent so many streams are kept at most.
pub const KEPT_MAX: u32 = guests::KEPT_LISTENERS;
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

/// The port towards the server, with TLS where it speaks that.
fn port_for(sources: Sources, orders: &Orders) -> io::Result<Box<dyn Port>> {
    let connections = orders.own_of(orders.listeners);
    let port = port::open(sources, connections)?;
    match &orders.tls {
        Some(tls) => Ok(Box::new(TlsPort::new(port, tls, connections)?)),
        None => Ok(port),
    }
}

struct Agent {
    port: Box<dyn Port>,
    guests: Guests,
    misbehaving: Misbehaving,
    /// Slots whose listeners have left.
    left: u32,
    /// Where the search for stuck connections goes on.
    looked_at: usize,
    next_line_us: u64,
    next_input_us: u64,
    lag_us: u64,
}

impl Agent {
    fn new(orders: Orders) -> io::Result<Self> {
        let sources = Sources::new(orders.address, &orders.sources);
        Ok(Self {
            misbehaving: Misbehaving::new(&orders, sources.besides())?,
            port: port_for(sources, &orders)?,
            left: 0,
            looked_at: 0,
            next_line_us: orders.begin_us + SECOND_US,
            next_input_us: 0,
            lag_us: 0,
            guests: Guests::new(orders),
        })
    }

    fn run(mut self, output: &mut dyn Write) -> io::Result<()> {
        loop {
            let began_us = now_us();
            if began_us >= self.next_line_us {
                self.write_line(output, false)?;
            }
            let end_us = self.guests.orders.end_us() + LAST_LINE_US;
            if began_us > end_us || self.is_dismissed(began_us)? {
                return self.write_line(output, true);
            }
            let busy = self.come_and_go(began_us);
            self.fire_timers(now_us());
            let done_us = now_us();
            self.lag_us = self.lag_us.max(done_us - began_us);
            self.wait(busy, done_us)?;
        }
    }

    /// Whether the input was closed.
    fn is_dismissed(&mut self, now: u64) -> io::Result<bool> {
        if now < self.next_input_us {
            return Ok(false);
        }
        self.next_input_us = now + INPUT_LOOK_US;
        self.misbehaving.hasten(&mut self.guests.tally);
        let input = io::stdin();
        let mut polled = [PollFd::new(&input, PollFlags::RDHUP)];
        let at_once = Timespec::default();
        Ok(rustix::event::poll(&mut polled, Some(&at_once))? > 0)
    }

    /// Waits until something happens and looks after it.
    fn wait(&mut self, busy: bool, now: u64) -> io::Result<()> {
        let wait_us = if busy { 0 } else { self.wait_us(now) };
        self.port.wait(wait_us)?;
        let woken_us = now_us();
        self.lag_us = self.lag_us.max(woken_us.saturating_sub(now + wait_us));
        while let Some(event) = self.port.next() {
            self.event(event, now_us());
        }
        self.lag_us = self.lag_us.max(now_us() - woken_us);
        Ok(())
    }

    fn wait_us(&self, now: u64) -> u64 {
        let due = self.guests.next_us();
        let due = due.map_or(IDLE_WAIT_US, |at_us| at_us.saturating_sub(now));
        // A timer fires within the millisecond: the crowd's clock needs to be no finer.
        due.clamp(1_000, IDLE_WAIT_US)
    }

    /// Lets listeners in and out as the curves say; whether some had to wait for the next look.
    fn come_and_go(&mut self, now: u64) -> bool {
        let orders = &self.guests.orders;
        let Some(after_us) = now.checked_sub(orders.begin_us) else {
            return false;
        };
        let due = orders.own_of(orders.arrive.arrived(after_us, orders.listeners));
        let gone = now.checked_sub(orders.leave_us()).map_or(0, |after_us| {
            orders.own_of(orders.leave.arrived(after_us, orders.listeners))
        });
        let more = due.saturating_sub(self.guests.count());
        for _ in 0..more.min(CONNECTS_AT_ONCE) {
            let own = self.guests.begin(now);
            self.connect(own, now);
        }
        let gone = gone.min(self.guests.count());
        while self.left < gone {
            self.let_go(self.left, now);
            self.left += 1;
        }
        more > 0
    }

    fn let_go(&mut self, own: u32, now: u64) {
        let guests = &mut self.guests;
        let listener = &mut guests.slots[own as usize].listener;
        listener.leave(now, &mut guests.tally);
        self.hang_up(own);
    }

    fn connect(&mut self, own: u32, now: u64) {
        let slot = &mut self.guests.slots[own as usize];
        slot.is_connected = true;
        slot.listener.connecting(now);
        self.guests.tally.connects += 1;
        if let Err(trouble) = self.port.connect(own) {
            self.guests.tally.own_limits += u64::from(trouble.is_our_own());
            self.miss(own, now, trouble.reason());
        }
    }

    fn miss(&mut self, own: u32, now: u64, reason: &str) {
        let act = self.guests.with(own, now, |listener, scene| {
            listener.unreached(scene, reason)
        });
        self.act(own, act);
    }

    fn event(&mut self, event: Event, now: u64) {
        match event {
            Event::Made(own) => {
                let act = self.guests.with(own, now, Listener::ask);
                self.act(own, act);
            }
            Event::Missed(own, trouble) => self.miss(own, now, trouble.reason()),
            Event::Readable(own) => self.read(own, now),
            Event::Unsent(own) => self.miss(own, now, "request not sent"),
        }
    }

    /// Reads until nothing more is there: events come only when something new does.
    fn read(&mut self, own: u32, now: u64) {
        loop {
            let act = match self.port.take(own) {
                Taken::Bytes(bytes) => self.guests.bring(own, now, bytes),
                Taken::End => self.guests.with(own, now, Listener::closed),
                Taken::Broken => return self.miss(own, now, "connection reset"),
                Taken::Nothing => return,
            };
            self.act(own, act);
        }
    }

    fn act(&mut self, own: u32, act: Act) {
        match act {
            Act::Wait => {}
            Act::Send => {
                if !self.port.send(own, &self.guests.out) {
                    self.miss(own, now_us(), "request not sent");
                }
            }
            Act::SendAt { at_us } => self.guests.wake(own, at_us),
            Act::ComeBack { at_us } => {
                self.hang_up(own);
                self.guests.wake(own, at_us);
            }
            Act::Leave => self.hang_up(own),
        }
    }

    fn hang_up(&mut self, own: u32) {
        self.guests.slots[own as usize].is_connected = false;
        self.guests.carried.remove(&own);
        self.port.close(own);
    }

    fn fire_timers(&mut self, now: u64) {
        while let Some(own) = self.guests.due(now) {
            if self.guests.slots[own as usize].is_connected {
                let act = self.guests.with(own, now, Listener::ask);
                self.act(own, act);
            } else {
                self.connect(own, now);
            }
        }
    }
}
