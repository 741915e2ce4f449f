//! What one shard counts, for metrics and for the ledger. Doors balance: accepted = joined + handed on + refused +
//! content + undecided. The ledger takes the accounts over with each tick, so that nothing is shared in between.

use std::time::Duration;

use axum::http::StatusCode;
use metrics::{Counter, Gauge, counter, gauge};
use throng_core::timeline::PART_SAMPLES;

use super::head::Refusal;
use crate::air::Air;
use crate::counting::Verdict;
use crate::format::Format;
use crate::ladder::strain::Told;
use crate::ledger::{self, Account, Accounts, Door};
use crate::metric::{self, count};
use crate::presence::Shard;
use crate::tls::handshake::Failure;

/// Why somebody who asked for nothing that was given to him has no connection any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The ordinary server had no place.
    Crowded,
    /// There was no place for another listener.
    Full,
    /// He went before he had asked.
    Gone,
    /// His head was not fit to be answered.
    Head(Refusal),
    /// The process is about to end.
    Leaving,
    /// The process has taken the memory that it may.
    Memory,
    /// He said nothing, and so did too many of his network.
    Network,
    /// He said nothing in time.
    Silent,
    /// His head did not end in time.
    Unfinished,
    /// The programme was not made ready in time.
    Unready,
}

impl Refused {
    const ALL: [Self; 13] = [
        Self::Crowded,
        Self::Full,
        Self::Gone,
        Self::Leaving,
        Self::Memory,
        Self::Network,
        Self::Silent,
        Self::Unfinished,
        Self::Unready,
        Self::Head(Refusal::Framing),
        Self::Head(Refusal::Host),
        Self::Head(Refusal::Malformed),
        Self::Head(Refusal::TooLarge),
    ];

    /// The reason as the ledger has it.
    const fn entry(self) -> ledger::Refused {
        match self {
            Self::Crowded | Self::Full | Self::Leaving | Self::Memory | Self::Unready => {
                ledger::Refused::Busy
            }
            Self::Gone => ledger::Refused::Left,
            Self::Head(_) => ledger::Refused::Malformed,
            Self::Network | Self::Silent | Self::Unfinished => ledger::Refused::Silent,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Crowded => "crowded",
            Self::Full => "full",
            Self::Gone => "gone",
            Self::Head(refusal) => refusal.name(),
            Self::Leaving => "leaving",
            Self::Memory => "memory",
            Self::Network => "network",
            Self::Silent => "silent",
            Self::Unfinished => "unfinished",
            Self::Unready => "unready",
        }
    }
}

/// Why a listener is none any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// Nothing more comes from this process.
    Cut,
    /// The programme ended, and he got all of it.
    Ended,
    /// He went.
    Left,
    /// He was sent away at his time, because the process is about to end.
    Moved,
    /// Somebody came in by his number after him: he himself, as a rule, by another way.
    Replaced,
    /// He could not keep up in any rendition.
    Slow,
    /// He took nothing for long.
    Stalled,
}

impl Closed {
    const ALL: [Self; 7] = [
        Self::Cut,
        Self::Ended,
        Self::Left,
        Self::Moved,
        Self::Replaced,
        Self::Slow,
        Self::Stalled,
    ];

    /// The reason as the ledger has it.
    const fn entry(self) -> ledger::Closed {
        match self {
            Self::Cut | Self::Moved | Self::Slow | Self::Stalled => ledger::Closed::Stopped,
            Self::Ended => ledger::Closed::Ended,
            Self::Left | Self::Replaced => ledger::Closed::Left,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Ended => "ended",
            Self::Left => "left",
            Self::Moved => "moved",
            Self::Replaced => "replaced",
            Self::Slow => "slow",
            Self::Stalled => "stalled",
        }
    }
}

/// The counters of a shard.
pub(crate) struct Tally {
    accepted: Counter,
    handed_on: Counter,
    content: Counter,
    answers: Counter,
    held: Gauge,
    joins: [(Format, Counter); 3],
    refused: [(Refused, Counter); 13],
    closed: [(Closed, Counter); 7],
    sends: Counter,
    bytes: Counter,
    blocked: Counter,
    skips: Counter,
    missed_parts: Counter,
    late_spans: Counter,
    late_ticks: Counter,
    lag: Gauge,
    connections: Gauge,
    listeners: Gauge,
    listening: u32,
    accounts: Accounts,
    strain: Told,
}

impl Tally {
    /// All zero.
    pub(crate) fn new(shard: Shard) -> Self {
        let shard = shard.0.to_string();
        let count = |name: &'static str| counter!(name, "shard" => shard.clone());
        let gauge = |name: &'static str| gauge!(name, "shard" => shard.clone());
        Self {
            accepted: count(metric::ACCEPTED),
            handed_on: count(metric::HANDED_ON),
            content: count(metric::CONTENT),
            answers: count(metric::ANSWERS),
            held: gauge(metric::HELD),
            joins: Format::ALL.map(|format| {
                let name = format.name();
                let joins = counter!(metric::JOINS, "format" => name, "shard" => shard.clone());
                (format, joins)
            }),
            refused: Refused::ALL.map(|reason| {
                let name = reason.name();
                let refused = counter!(metric::REFUSED, "reason" => name, "shard" => shard.clone());
                (reason, refused)
            }),
            closed: Closed::ALL.map(|reason| {
                let name = reason.name();
                let closed = counter!(metric::CLOSED, "reason" => name, "shard" => shard.clone());
                (reason, closed)
            }),
            sends: count(metric::SENDS),
            bytes: count(metric::SENT_BYTES),
            blocked: count(metric::BLOCKED),
            skips: count(metric::SKIPS),
            missed_parts: count(metric::MISSED_PARTS),
            late_spans: count(metric::LATE_SPANS),
            late_ticks: count(metric::LATE_TICKS),
            lag: gauge(metric::LAG_SECONDS),
            connections: gauge(metric::SHARD_CONNECTIONS),
            listeners: gauge(metric::SHARD_LISTENERS),
            listening: 0,
            accounts: Accounts::default(),
            strain: Told::default(),
        }
    }

    /// A connection was accepted.
    pub(crate) fn accepted(&mut self) {
        self.accepted.increment(1);
        self.of(Door::Connection).arrive();
    }

    /// Somebody came whose handshake came to nothing.
    pub(crate) fn failed(&mut self, failure: Failure) {
        let reason = match failure {
            Failure::Gone => ledger::Refused::Left,
            Failure::Silent | Failure::Unfinished => ledger::Refused::Silent,
            _ => ledger::Refused::Malformed,
        };
        let connection = self.of(Door::Connection);
        connection.arrive();
        connection.refuse(reason);
    }

    /// A connection went to the ordinary server.
    pub(crate) fn handed_on(&mut self) {
        self.handed_on.increment(1);
        self.let_in();
    }

    /// A request came to a door.
    pub(crate) fn asked(&mut self, door: Door) {
        self.of(door).arrive();
    }

    /// It was answered in one piece, with so many samples in it; whether the end of that is to be noted.
    pub(crate) fn answered(&mut self, door: Door, status: StatusCode, samples: u64) -> bool {
        self.answers.increment(1);
        let verdict = Verdict::of(status);
        let account = self.of(door);
        verdict.write(account);
        account.deliver(samples);
        verdict == Verdict::Admitted
    }

    /// It went unanswered.
    pub(crate) fn not_answered(&mut self, door: Door) {
        self.of(door).refuse(ledger::Refused::Left);
    }

    /// An answer was sent whole.
    pub(crate) fn taken(&mut self, door: Door) {
        self.of(door).close(ledger::Closed::Ended);
    }

    /// The rest of an answer was not wanted, or not taken in time.
    pub(crate) fn not_taken(&mut self, door: Door) {
        self.of(door).close(ledger::Closed::Left);
    }

    /// So many requests are held.
    #[allow(clippy::cast_precision_loss, reason = "a shard has few connections")]
    pub(crate) fn holds(&self, held: usize) {
        self.held.set(held as f64);
    }

    /// A connection ended that had got all answers it wanted.
    pub(crate) fn content(&mut self) {
        self.content.increment(1);
        self.let_in();
    }

    /// A connection was refused.
    pub(crate) fn refused(&mut self, reason: Refused) {
        count(&self.refused, reason);
        self.of(Door::Connection).refuse(reason.entry());
    }

    /// Somebody who asked for a stream did not get it.
    pub(crate) fn not_joined(&mut self, reason: Refused) {
        self.of(Door::Stream).refuse(reason.entry());
    }

    /// A connection became a listener.
    pub(crate) fn joined(&mut self, format: Format) {
        self.listening += 1;
        count(&self.joins, format);
        self.let_in();
        self.of(Door::Stream).admit();
    }

    /// A listener is none any more.
    pub(crate) fn closed(&mut self, reason: Closed) {
        self.listening -= 1;
        count(&self.closed, reason);
        self.of(Door::Stream).close(reason.entry());
    }

    /// A span of so many bytes and parts was given to the system, late or not, with so many parts left out before it.
    pub(crate) fn sent(&mut self, bytes: usize, parts: u64, missed_parts: u64, is_late: bool) {
        self.of(Door::Stream).deliver(parts * PART_SAMPLES);
        self.sends.increment(1);
        self.strain.sent(is_late);
        self.bytes.increment(bytes as u64);
        if missed_parts > 0 {
            self.skips.increment(1);
            self.missed_parts.increment(missed_parts);
        }
        if is_late {
            self.late_spans.increment(1);
        }
    }

    /// A span did not fit.
    pub(crate) fn blocked(&self) {
        self.blocked.increment(1);
    }

    /// Newcomers wait so long, in thousandths of what is overload.
    pub(crate) fn note_joins(&mut self, per_mille: u32) {
        self.strain.note_joins(per_mille);
    }

    /// A tick began so late.
    pub(crate) fn ticked(&mut self, late: Duration, is_too_late: bool, connections: u32) {
        self.lag.set(late);
        if self.listening > 0 {
            self.strain.ticked(late);
        }
        self.connections.set(connections);
        self.listeners.set(self.listening);
        if is_too_late {
            self.late_ticks.increment(1);
        }
    }

    /// Gives to the ledger and the ladder what was counted since the last time; so many are blocked now.
    pub(crate) fn settle(&mut self, air: &Air, blocked: usize) {
        air.ledger().settle(&mut self.accounts);
        air.ladder()
            .strain()
            .settle(&mut self.strain, self.listening, blocked);
    }

    /// A connection has asked for something: what becomes of that is counted at its door.
    fn let_in(&mut self) {
        let connection = self.of(Door::Connection);
        connection.admit();
        connection.close(ledger::Closed::Ended);
    }

    fn of(&mut self, door: Door) -> &mut Account {
        &mut self.accounts[door.index()]
    }
}
