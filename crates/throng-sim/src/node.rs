//! A machine: its processors, its backlog, and the real board, flow, climber and books of one node.

use std::collections::{BTreeMap, VecDeque};

use throng_air::ledger::{Account, Closed, Refused};
use throng_core::admission::{
    Asking, Board, Flow, Lane, Limits, Reason, Remembered, Standing, Ticket, Verdict, Wait,
};
use throng_core::ladder::Rung;
use throng_core::ladder::climber::Climber;
use throng_core::ladder::signals::{Share, Signals};
use throng_core::rendition::Rendition;

use crate::cost;
use crate::line::Line;
use crate::scenario::Nodes;

#[cfg(test)]
mod tests;

/// The clock of a machine is not at its beginning when an evening begins.
const CLOCK_BEGINS_MS: u64 = 1_000_000;
/// Who was promised a place that is soon free, and has not asked again for so long, has gone.
const PROMISED_MS: u64 = 8_000;
/// Serving that is owed at most; who waits longer has stalled.
const OWED_MAX_MS: u64 = cost::STALL_MS;

/// Something that waits in the backlog.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    pub(crate) kind: Kind,
    pub(crate) person: u32,
    /// His attempt by then.
    pub(crate) attempt: u16,
    pub(crate) since_ms: u32,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// To listen, after so many pages.
    Ask { pages: u8 },
    /// One of the calls of a service without a plan.
    Call,
    /// A ticket for nobody.
    Hoard,
    /// How far the queue has come.
    Look,
    /// A page, by somebody who does not listen.
    Page,
}

impl Kind {
    /// Whether it is at the door of the stream.
    fn is_stream(self) -> bool {
        matches!(self, Self::Ask { .. } | Self::Call | Self::Hoard)
    }
}

/// One machine.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) board: Board,
    /// Boards that were lost before this one; a ticket of one is none of another.
    pub(crate) boards_lost: u16,
    secret: [u8; 32],
    flow: Flow,
    climber: Climber,
    pub(crate) is_up: bool,
    /// It answers nobody, not even with a refusal.
    pub(crate) is_silent: bool,
    /// Until when newcomers are sent here though it is down.
    pub(crate) listed_until_ms: u64,
    pub(crate) line: VecDeque<Item>,
    line_max: usize,
    /// Requests at the door of the stream that wait; counted apart from the books.
    pending: u64,
    pub(crate) listeners: Vec<u32>,
    /// Of them, those whose cushion bears only short spans.
    pub(crate) bear_short: u64,
    pub(crate) lines: Vec<Line>,
    pub(crate) stream: Account,
    pub(crate) page: Account,
    promised: BTreeMap<u64, u64>,
    pub(crate) violations: u64,
    /// What a cache says of the queue.
    pub(crate) seen: Seen,
    pub(crate) cores: u64,
    limits: Limits,
    /// What is left of the processors, or owed to them.
    spare_us: i64,
    owed_us: u64,
    used_us: u64,
    serving_us: u64,
}

/// The counter of the queue, as a cache has it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) queue: u32,
    pub(crate) serving: u64,
    pub(crate) is_drawn: bool,
    pub(crate) per_minute: u64,
}

/// Somebody at the door.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guest {
    pub(crate) player: Option<u64>,
    pub(crate) ticket: Option<Ticket>,
    pub(crate) waited_ms: u64,
    pub(crate) chance: u64,
}

impl Node {
    pub(crate) fn new(number: u16, like: &Nodes, weight: u64, line_per_core: u32) -> Self {
        let slots = (like.listeners_max / weight).max(1);
        let limits = Limits {
            slots: Some(slots),
            egress_bits: like.egress_max.map(|bits| bits / weight),
        };
        let line_max = u64::from(line_per_core) * u64::from(like.cores) / weight;
        let mut secret = [7; 32];
        secret[..2].copy_from_slice(&number.to_be_bytes());
        Self {
            board: board(limits),
            boards_lost: 0,
            secret,
            flow: Flow::new(),
            climber: Climber::default(),
            is_up: true,
            is_silent: false,
            listed_until_ms: u64::MAX,
            line: VecDeque::new(),
            line_max: usize::try_from(line_max).unwrap_or(usize::MAX).max(1),
            pending: 0,
            listeners: Vec::new(),
            bear_short: 0,
            lines: Vec::new(),
            stream: Account::default(),
            page: Account::default(),
            promised: BTreeMap::new(),
            violations: 0,
            seen: Seen::default(),
            cores: like.cores.into(),
            limits,
            spare_us: 0,
            owed_us: 0,
            used_us: 0,
            serving_us: 0,
        }
    }

    /// The rung that is sent.
    pub(crate) fn rung(&self) -> Rung {
        self.climber.decision().rung
    }

    /// Listeners that it could hold as it is.
    pub(crate) fn capacity(&self) -> u64 {
        let of_line = |bits| bits / throng_core::admission::wire_bits(Rendition::O48);
        let egress = self.limits.egress_bits.map_or(u64::MAX, of_line);
        if self.is_up {
            self.limits.slots.unwrap_or(u64::MAX).min(egress)
        } else {
            0
        }
    }

    /// Takes something into the backlog, unless that is full.
    pub(crate) fn push(&mut self, item: Item) -> bool {
        if self.line.len() >= self.line_max {
            return false;
        }
        self.line.push_back(item);
        if item.kind.is_stream() {
            self.pending += 1;
            self.stream.arrive();
        } else {
            self.page.arrive();
        }
        true
    }

    /// The next of the backlog.
    pub(crate) fn pop(&mut self) -> Option<Item> {
        let item = self.line.pop_front()?;
        self.pending -= u64::from(item.kind.is_stream());
        Some(item)
    }

    /// A step begins: listeners first. What is left for the doors, and the part of the sound that came in time, of 1,000.
    pub(crate) fn serve_listeners(&mut self, step_ms: u64, weight: u64) -> (i64, u64) {
        let span = |bears: u64| cost::listener_ns(bears.min(self.rung().span_parts()));
        let (short, long) = (
            cost::bearable_parts(Rung::default().burst_samples()),
            cost::bearable_parts(Rung::DEEPEST.burst_samples()),
        );
        let bear_long = self.listeners.len() as u64 - self.bear_short;
        let all_ns = self.bear_short * span(short) + bear_long * span(long);
        let due_us = all_ns * weight * step_ms / 1_000_000;
        let budget_us = self.cores * step_ms * 1_000;
        let paid_us = (self.owed_us + due_us).min(budget_us);
        self.owed_us = (self.owed_us + due_us - paid_us).min(self.cores * OWED_MAX_MS * 1_000);
        self.used_us += paid_us;
        self.serving_us += paid_us;
        let in_time = if self.lag_ms() > cost::CUSHION_MS {
            1_000 * paid_us.min(due_us) / due_us.max(1)
        } else {
            1_000
        };
        let left_us = signed(budget_us - paid_us) + self.spare_us.min(0);
        (left_us, in_time)
    }

    /// A step ends with so much left; what was taken of it was used by the doors.
    pub(crate) fn settle(&mut self, had_us: i64, left_us: i64) {
        self.used_us += u64::try_from(had_us - left_us).unwrap_or(0);
        self.spare_us = left_us;
    }

    /// How late it serves.
    pub(crate) fn lag_ms(&self) -> u64 {
        self.owed_us / (self.cores * 1_000)
    }

    /// Calls whose turn it is; often.
    pub(crate) fn call(&mut self, now_ms: u64, is_live: bool) {
        if !self.promised.is_empty() {
            // Who was sent back to the queue has been promised nothing, though it may come as far again.
            let serving = self.board.progress().serving;
            self.promised.split_off(&(serving + 1));
        }
        let rung = self.rung();
        self.board.call(CLOCK_BEGINS_MS + now_ms, rung, is_live);
    }

    /// Answers somebody at the door, and books it.
    pub(crate) fn ask(&mut self, guest: Guest, now_ms: u64) -> Verdict {
        let clock_ms = CLOCK_BEGINS_MS + now_ms;
        self.flow.note(guest.waited_ms * 1_000, clock_ms);
        let asking = Asking {
            lane: Lane::new(0),
            rendition: Rendition::O48,
            rung: self.rung(),
            player: guest.player,
            ticket: guest.ticket,
            share: self.flow.share(clock_ms),
            now_ms: clock_ms,
            wall_s: 0,
            chance: guest.chance,
        };
        let verdict = self.board.ask(&asking, &self.secret);
        match verdict {
            Verdict::Enter(_) => self.stream.admit(),
            Verdict::Wait(wait) => {
                self.stream.refuse(Refused::Busy);
                self.note_wait(wait, now_ms);
            }
        }
        verdict
    }

    fn note_wait(&mut self, wait: Wait, now_ms: u64) {
        if wait.reason == Reason::Soon {
            self.promised.insert(wait.place, now_ms);
        }
    }

    /// Somebody came in by his ticket: was the place another's, who stood before him?
    pub(crate) fn check_order(&mut self, place: u64, standing: Standing, now_ms: u64) {
        self.promised.remove(&place);
        if standing == Standing::Served {
            let since = now_ms.saturating_sub(PROMISED_MS);
            let before = self
                .promised
                .range(..place)
                .filter(|(_, asked)| **asked >= since);
            let left = self.board.room(self.rung()).free;
            self.violations += u64::from(before.count() as u64 > left);
        }
    }

    /// A second is over: the ladder, and what caches say of the queue. Whether the books balance.
    pub(crate) fn second(&mut self, weight: u64, admits: bool) -> bool {
        let signals = self.signals(weight);
        self.climber.second(&signals);
        (self.used_us, self.serving_us) = (0, 0);
        let progress = self.board.progress();
        self.seen = Seen {
            queue: progress.queue,
            serving: progress.serving,
            is_drawn: progress.is_drawn,
            per_minute: progress.per_minute,
        };
        let held = self.listeners.len() as u64;
        let is_on_board = !admits || self.board.room(self.rung()).held == held;
        let is_decided =
            self.stream.pending() == Some(self.pending) && self.stream.held() == Some(held);
        is_on_board && is_decided && self.page.held() == Some(0)
    }

    /// Percent of its processors that are in use.
    pub(crate) fn cpu_percent(&self) -> u64 {
        self.used_us / (self.cores * 10_000)
    }

    fn signals(&self, weight: u64) -> Signals {
        let listeners = self.listeners.len() as u64 * weight;
        let second_us = self.cores * 1_000_000;
        let spans = listeners / 2;
        let is_late = self.lag_ms() > 320;
        let blocked = self.lines.iter().filter(|line| line.is_blocked()).count() as u64 * weight;
        let whole = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        Signals {
            lag_ms: whole(self.lag_ms()),
            spans: whole(spans),
            late_spans: if is_late { whole(spans) } else { 0 },
            listeners: whole(listeners),
            blocked: whole(blocked),
            cpu: Share::of(self.used_us, second_us),
            cpu_serving: Share::of(self.serving_us, second_us),
            ..Signals::default()
        }
    }

    /// A place on the board is given back.
    pub(crate) fn leave_board(&self, remembered: Option<Remembered>, now_ms: u64) {
        self.board.leave(Lane::new(0), Rendition::O48);
        if let Some(remembered) = remembered {
            let now_s = (CLOCK_BEGINS_MS + now_ms) / 1_000;
            self.board.stepped_out(remembered, now_s);
        }
    }

    /// All that it did is over. Those who listened, and what waited.
    pub(crate) fn stop(&mut self, now_ms: u64, forgets: bool) -> (Vec<u32>, Vec<Item>) {
        self.is_up = false;
        self.is_silent = forgets;
        self.listed_until_ms = now_ms + cost::UNLISTED_MS;
        let waiting: Vec<Item> = self.line.drain(..).collect();
        for item in &waiting {
            if item.kind.is_stream() {
                self.stream.fail();
            } else {
                self.page.fail();
            }
        }
        self.pending = 0;
        for _ in &self.listeners {
            self.stream.close(Closed::Stopped);
        }
        self.lines.clear();
        self.bear_short = 0;
        (self.spare_us, self.owed_us) = (0, 0);
        if forgets {
            self.board = board(self.limits);
            self.boards_lost += 1;
        } else {
            self.board.begin(Lane::new(0));
        }
        (self.flow, self.climber) = (Flow::new(), Climber::default());
        self.promised.clear();
        (std::mem::take(&mut self.listeners), waiting)
    }

    /// It serves again.
    pub(crate) fn start(&mut self) {
        (self.is_up, self.is_silent) = (true, false);
        self.listed_until_ms = u64::MAX;
    }
}

fn board(limits: Limits) -> Board {
    let board = Board::alone();
    board.limit(limits);
    board.begin(Lane::new(0));
    board
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
