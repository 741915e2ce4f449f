//! One person: what he came for, with what, and where he is now.

use throng_air::engine::cursor::Format;
use throng_core::admission::{Remembered, Ticket};
use throng_rehearsal::chance::Chance;
use throng_rehearsal::retry::Comeback;

use crate::scenario::Crowd;

/// A time that does not come.
pub(crate) const NEVER: u32 = u32::MAX;

/// Where somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Between two attempts.
    Away,
    /// His kernel asks again for a connection, which nobody has answered so often.
    Dialling { tries: u8 },
    /// Gone for good.
    Gone,
    /// He waits for the answer to a request.
    InLine,
    /// He hears it.
    Listening,
    /// He holds a ticket.
    Waiting,
}

/// What he listens with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Device {
    /// Our page: it keeps its ticket, and comes when it is told to.
    Page,
    /// A player of his own choice: it knows no tickets.
    Plain,
}

/// How he is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    /// By a line of his own.
    Own,
    /// By an address that he has in common with many.
    Carrier,
}

/// His place in the queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    pub(crate) ticket: Ticket,
    pub(crate) place: u64,
    /// Boards that his node had lost by then.
    pub(crate) boards_lost: u16,
    /// Whether the order was not drawn when he got it.
    pub(crate) is_early: bool,
    /// How long he was told to wait at first, which bounds every later wait.
    pub(crate) dealt_s: u32,
}

/// Somebody who wants to hear the talk.
#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) crowd: u8,
    pub(crate) device: Device,
    pub(crate) network: Network,
    /// His line does not carry what he asks for, or stalls.
    pub(crate) is_slow: bool,
    /// He was inside, and a fault put him out.
    pub(crate) is_lost: bool,
    /// Whether he has the page already.
    pub(crate) has_page: bool,
    pub(crate) state: State,
    /// His attempts, so that an answer to an earlier one is none.
    pub(crate) attempt: u16,
    /// Attempts in a row of a player that knows no tickets.
    pub(crate) tries: u8,
    /// Calls that a service without a plan has answered.
    pub(crate) calls: u8,
    /// The tries of our page.
    pub(crate) comeback: Comeback,
    pub(crate) node: u16,
    pub(crate) wanted_ms: u32,
    pub(crate) gives_up_ms: u32,
    pub(crate) leaves_ms: u32,
    pub(crate) heard_ms: u32,
    /// The step in which he does something next.
    pub(crate) wakes: u32,
    pub(crate) held: Option<Held>,
    pub(crate) remembered: Option<Remembered>,
    /// Parts of the longest span that his cushion bears.
    pub(crate) bears_parts: u8,
    /// His place among the listeners of his node.
    pub(crate) place: u32,
}

impl Person {
    /// Somebody of a crowd, who comes now.
    pub(crate) fn new(crowd: u8, of: &Crowd, node: u16, now_ms: u32, chance: &mut Chance) -> Self {
        let mut is_one_of = |percent: u32| chance.below(100) < u64::from(percent);
        let device = if is_one_of(of.plain_percent) {
            Device::Plain
        } else {
            Device::Page
        };
        let network = if is_one_of(of.carrier_percent) {
            Network::Carrier
        } else {
            Network::Own
        };
        let is_slow = is_one_of(of.slow_percent);
        let last_ms = of.leave.map_or(NEVER, |leave| {
            leave.from_s * 1_000 + small(chance.below(u64::from(leave.over_s) * 1_000))
        });
        let patience_ms = about(of.patience_s, chance);
        Self {
            crowd,
            device,
            network,
            is_slow,
            is_lost: false,
            has_page: false,
            state: State::Away,
            attempt: 0,
            tries: 0,
            calls: 0,
            comeback: Comeback::default(),
            node,
            wanted_ms: now_ms,
            gives_up_ms: now_ms.saturating_add(patience_ms).min(last_ms),
            leaves_ms: last_ms,
            heard_ms: NEVER,
            wakes: NEVER,
            held: None,
            remembered: None,
            bears_parts: 0,
            place: 0,
        }
    }

    /// What his player asks for.
    pub(crate) fn format(&self) -> Format {
        match self.device {
            Device::Page => Format::Mp4,
            Device::Plain => Format::Webm,
        }
    }
}

/// From half of a time to half as much again, in milliseconds.
pub(crate) fn about(mean_s: u32, chance: &mut Chance) -> u32 {
    let mean_ms = u64::from(mean_s) * 1_000;
    small(mean_ms / 2 + chance.below(mean_ms + 1))
}

/// Times of one evening.
pub(crate) fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(NEVER)
}
