//! The queue: a door that answers each who comes, and two numbers that say how far it has come.
//!
//! Who finds the house full is given the next number. Every quarter of a second one of the processes calls as many as
//! are expected to fill what is free ([`calling`]); who was called and comes in time is let in, in the order of the
//! queue, and each number only once. Who does not come in time begins anew at the end: hoarded tickets delay nobody for
//! longer than it takes to see that nobody comes.

mod calling;
mod used;

use std::sync::atomic::Ordering::SeqCst;

pub use self::calling::Call;
use super::board::{Board, Lane, QUEUE};
use super::draw::Chances;
use super::flow::Share;
use super::sticky::Remembered;
use super::ticket::Ticket;
use crate::ladder::Rung;
use crate::rendition::Rendition;

/// The number of the queue; it counts those that have come and gone.
const NUMBER: usize = QUEUE;
/// Tickets given.
const NEXT: usize = QUEUE + 1;
/// Places called: those below.
const SERVING: usize = QUEUE + 2;
/// Places of which the time is over: those below.
const FLOOR: usize = QUEUE + 3;
/// The tick that was last done.
const TICK: usize = QUEUE + 4;
/// How many of those who are called come, of [`calling::ALL_COME`].
const SHOWN: usize = QUEUE + 5;
/// Places that are kept for those who were called and have not come yet.
const KEPT: usize = QUEUE + 6;
/// People let in by ticket per second, times [`calling::RATE_UNIT`].
const RATE: usize = QUEUE + 7;
/// Whether the order of those who came early is drawn.
const DRAWN: usize = QUEUE + 8;
/// How many came early.
const EARLY: usize = QUEUE + 9;
/// People let in by ticket.
const SERVED: usize = QUEUE + 10;
/// How many were called in the last tick.
const CALLED: usize = QUEUE + 11;
/// Of the queue before: how many came early, and how many tickets were given.
const LAST_EARLY: usize = QUEUE + 12;
const LAST_OF: usize = QUEUE + 13;
const HISTORY: usize = QUEUE + 16;
const USED: usize = HISTORY + calling::CELLS;
pub(super) const CELLS: usize = 16 + calling::CELLS + used::CELLS;

/// Who was called and finds no place asks again after so many seconds at most.
const SOON_S: u64 = 3;
/// The shortest wait that is dealt: a cache keeps the counter for a second.
const AGAIN_MIN_S: u64 = 2;

/// Somebody at the door.
#[derive(Clone, Copy, Debug)]
pub struct Asking {
    /// The process that he came to.
    pub lane: Lane,
    /// What he wants to hear.
    pub rendition: Rendition,
    /// The rung that is sent.
    pub rung: Rung,
    /// The hash of the number that his player made up.
    pub player: Option<u64>,
    /// The ticket that he brought.
    pub ticket: Option<Ticket>,
    /// Which newcomers are taken on now.
    pub share: Share,
    /// A clock that all processes of the node share, in milliseconds.
    pub now_ms: u64,
    /// The wall clock in seconds, for the ticket.
    pub wall_s: u32,
    /// A random number.
    pub chance: u64,
}

/// What he is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// He is in: a place is taken for him.
    Enter(Entered),
    /// He is to come again.
    Wait(Wait),
}

/// Somebody who is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entered {
    /// What is to be told when he goes.
    pub remembered: Option<Remembered>,
    /// By which right.
    pub standing: Standing,
}

/// By which right somebody came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// There was room.
    Room,
    /// He was inside lately.
    Returned,
    /// He is of the drawn sample.
    Sampled,
    /// His number was called.
    Served,
}

/// Somebody who waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// What he is to bring.
    pub ticket: Ticket,
    /// His place; it is called when so many are being served.
    pub place: u64,
    /// When he is to ask again.
    pub ask_again_s: u32,
    /// Why he waits.
    pub reason: Reason,
}

/// Why somebody waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// More come at once than can be let in.
    Busy,
    /// The order is drawn at the start.
    Early,
    /// All places are taken, or the line is.
    Full,
    /// He came after his time; his ticket is a new one.
    Late,
    /// His number was called, and a place will be free in a moment.
    Soon,
}

/// How far the queue has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Its number.
    pub queue: u32,
    /// Places called.
    pub serving: u64,
    /// Tickets given.
    pub of: u64,
    /// Whether the order of the early ones is drawn.
    pub is_drawn: bool,
    /// How many came early.
    pub early: u64,
    /// People let in per minute.
    pub per_minute: u64,
}

/// A queue that is over: its draws may be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastQueue {
    /// Its number.
    pub queue: u32,
    /// Tickets given.
    pub of: u64,
    /// How many came early.
    pub early: u64,
}

impl Board {
    /// Answers somebody who wants to come in. A place that he is given is given back by [`Board::leave`].
    pub fn ask(&self, asking: &Asking, secret: &[u8; 32]) -> Verdict {
        let ticket = asking.ticket.filter(|ticket| ticket.queue == self.number());
        // While there is room, who somebody is makes no difference.
        if let Some(entered) = ticket.is_none().then(|| self.walk_in(asking)).flatten() {
            return entered;
        }
        let now_s = asking.now_ms / 1_000;
        let is_known = asking
            .player
            .is_some_and(|player| self.knows(player, now_s));
        if is_known && self.enter_again(asking.lane, asking.rendition, asking.rung) {
            return self.entered(asking, Standing::Returned);
        }
        match ticket {
            Some(ticket) => self.redeem(asking, ticket, secret),
            None => self.queue_up(asking, secret),
        }
    }

    /// Somebody without a ticket: in, if nobody waits and there is room beyond what is kept for those who were called.
    fn walk_in(&self, asking: &Asking) -> Option<Verdict> {
        let may_enter = is_taken_on(asking) && !self.is_waited_for(asking);
        let enters = may_enter && self.enter(asking.lane, asking.rendition, asking.rung);
        enters.then(|| self.entered(asking, Standing::Room))
    }

    /// Which queue is open; it is over half a century before the numbers are used up.
    fn number(&self) -> u32 {
        u32::try_from(self.read(NUMBER)).unwrap_or(u32::MAX)
    }

    /// How far the queue has come.
    pub fn progress(&self) -> Progress {
        let of = self.read(NEXT);
        Progress {
            queue: self.number(),
            serving: self.read(SERVING).min(of),
            of,
            is_drawn: self.read(DRAWN) != 0,
            early: self.read(EARLY),
            per_minute: self.read(RATE) * 60 / calling::RATE_UNIT,
        }
    }

    /// The queue before the one that is open, if there was one.
    pub fn last_queue(&self) -> Option<LastQueue> {
        Some(LastQueue {
            queue: self.number().checked_sub(1)?,
            of: self.read(LAST_OF),
            early: self.read(LAST_EARLY),
        })
    }

    /// Tickets that are neither served nor over.
    pub fn queued(&self) -> u64 {
        let over = self.read(FLOOR);
        let called = self.used(over..self.read(SERVING));
        (self.read(NEXT).saturating_sub(over)).saturating_sub(called)
    }

    /// The next ticket, for somebody who has none or came too late with his.
    fn queue_up(&self, asking: &Asking, secret: &[u8; 32]) -> Verdict {
        let ticket = Ticket {
            queue: self.number(),
            arrived: self.cell(NEXT).fetch_add(1, SeqCst),
            at_s: asking.wall_s,
        };
        let chances = Chances::of(secret, ticket.queue);
        let is_sampled = self.is_of_sample(&chances, ticket);
        let admitted = is_sampled.then(|| self.admit(asking, ticket.arrived, Standing::Sampled));
        if let Some(entered) = admitted.flatten() {
            return entered;
        }
        let reason = match asking.ticket {
            Some(_) => Reason::Late,
            None if self.read(DRAWN) == 0 => Reason::Early,
            None if is_taken_on(asking) => Reason::Full,
            None => Reason::Busy,
        };
        self.wait(asking, ticket, &chances, reason)
    }

    /// Whether a newcomer would take the place of somebody who waits.
    fn is_waited_for(&self, asking: &Asking) -> bool {
        if !self.is_bounded() {
            return false;
        }
        let of = self.read(NEXT);
        let standing = match of {
            0 => 0,
            _ => self.standing(0..u64::MAX, asking.now_ms / 1_000),
        };
        let kept = self.read(KEPT) + standing + self.orphaned(asking.now_ms);
        self.read(SERVING) < of || self.room(asking.rung).free <= kept && kept > 0
    }

    /// Somebody with a ticket of this queue.
    fn redeem(&self, asking: &Asking, ticket: Ticket, secret: &[u8; 32]) -> Verdict {
        let chances = Chances::of(secret, ticket.queue);
        let place = self.place(&chances, ticket);
        if place < self.read(FLOOR) || self.is_used(place) {
            let walked = self.walk_in(asking);
            return walked.unwrap_or_else(|| self.queue_up(asking, secret));
        }
        let is_called = place < self.read(SERVING);
        let standing = if is_called {
            Standing::Served
        } else {
            Standing::Sampled
        };
        let may_enter = is_called || self.is_of_sample(&chances, ticket);
        let admitted = may_enter.then(|| self.admit(asking, place, standing));
        if let Some(entered) = admitted.flatten() {
            return entered;
        }
        if place < self.read(SERVING) {
            return self.wait(asking, ticket, &chances, Reason::Soon);
        }
        let reason = if self.read(DRAWN) == 0 {
            Reason::Early
        } else {
            Reason::Full
        };
        self.wait(asking, ticket, &chances, reason)
    }

    /// Lets in whoever's turn it is, unless all that is free is another's who stands at the gate before him.
    fn admit(&self, asking: &Asking, place: u64, standing: Standing) -> Option<Verdict> {
        let now_s = asking.now_ms / 1_000;
        let before = self.standing(0..place, now_s);
        let is_his = standing == Standing::Sampled || self.room(asking.rung).free > before;
        if is_his && self.use_up(place) {
            if self.enter(asking.lane, asking.rendition, asking.rung) {
                self.pass(place);
                self.cell(SERVED).fetch_add(1, SeqCst);
                return Some(self.entered(asking, standing));
            }
            self.give_back(place);
        }
        let is_served = standing == Standing::Served;
        if let Some(back) = is_served.then(|| self.stand(place, now_s)).flatten() {
            self.cell(SERVING).fetch_min(back, SeqCst);
        }
        None
    }

    fn entered(&self, asking: &Asking, standing: Standing) -> Verdict {
        // Who listens by playlist is remembered by his lease.
        let is_kept = self.is_bounded() && asking.lane != Lane::PLAYLISTS;
        let remembered = asking.player.filter(|_| is_kept).map(|player| {
            let replaces = standing == Standing::Returned;
            self.remember(player, asking.now_ms / 1_000, replaces)
        });
        Verdict::Enter(Entered {
            remembered,
            standing,
        })
    }

    fn wait(&self, asking: &Asking, ticket: Ticket, chances: &Chances, reason: Reason) -> Verdict {
        let place = self.place(chances, ticket);
        let ask_again_s = match reason {
            Reason::Soon => 1 + asking.chance % SOON_S,
            _ => self.again_s(chances, ticket, place),
        };
        Verdict::Wait(Wait {
            ticket,
            place: place + 1,
            ask_again_s: u32::try_from(ask_again_s).expect("waits are short"),
            reason,
        })
    }

    /// What he is dealt; less, where his turn is to come before that.
    fn again_s(&self, chances: &Chances, ticket: Ticket, place: u64) -> u64 {
        let dealt = u64::from(chances.retry_after_s(ticket.arrived));
        let before = place.saturating_sub(self.read(SERVING));
        let expected = match self.read(RATE) {
            0 if before == 0 => 0,
            0 => u64::MAX,
            rate => before * calling::RATE_UNIT / rate / 2,
        };
        dealt.min(expected).max(AGAIN_MIN_S)
    }

    /// Whether a ticket goes straight through. Before the order is drawn nobody has a place yet that could be used up,
    /// and one too far ahead has no bit.
    fn is_of_sample(&self, chances: &Chances, ticket: Ticket) -> bool {
        self.read(DRAWN) != 0
            && self.place(chances, ticket) < self.read(FLOOR) + used::PLACES
            && chances.samples(ticket.arrived)
    }

    /// The place of a ticket: drawn, for those who came early.
    fn place(&self, chances: &Chances, ticket: Ticket) -> u64 {
        if self.read(DRAWN) == 0 {
            ticket.arrived
        } else {
            chances.place(ticket.arrived, self.read(EARLY))
        }
    }
}

/// Whether the doors take him on now; who is let in once stays on that side.
fn is_taken_on(asking: &Asking) -> bool {
    let number = asking.player.unwrap_or(asking.chance);
    asking.share.takes(number)
}
