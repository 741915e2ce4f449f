//! What one shard counts, for metrics. Doors balance: accepted = joined + handed on + refused + content + undecided.

use std::time::Duration;

use metrics::{Counter, Gauge, counter, gauge};

use super::head::Refusal;
use crate::format::Format;
use crate::metric;
use crate::presence::Shard;

/// Why somebody who asked for nothing that was given to him has no connection any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The ordinary server had no place.
    Crowded,
    /// He went before he had asked.
    Gone,
    /// His head was not fit to be answered.
    Head(Refusal),
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
    const ALL: [Self; 10] = [
        Self::Crowded,
        Self::Gone,
        Self::Network,
        Self::Silent,
        Self::Unfinished,
        Self::Unready,
        Self::Head(Refusal::Framing),
        Self::Head(Refusal::Host),
        Self::Head(Refusal::Malformed),
        Self::Head(Refusal::TooLarge),
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Crowded => "crowded",
            Self::Gone => "gone",
            Self::Head(refusal) => refusal.name(),
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
    /// He could not keep up in any rendition.
    Slow,
    /// He took nothing for long.
    Stalled,
}

impl Closed {
    const ALL: [Self; 5] = [
        Self::Cut,
        Self::Ended,
        Self::Left,
        Self::Slow,
        Self::Stalled,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Ended => "ended",
            Self::Left => "left",
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
    refused: [(Refused, Counter); 10],
    closed: [(Closed, Counter); 5],
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
        }
    }

    /// A connection was accepted.
    pub(crate) fn accepted(&self) {
        self.accepted.increment(1);
    }

    /// A connection went to the ordinary server.
    pub(crate) fn handed_on(&self) {
        self.handed_on.increment(1);
    }

    /// A page, a playlist, a part or another answer in one piece was sent.
    pub(crate) fn answered(&self) {
        self.answers.increment(1);
    }

    /// So many requests are held.
    #[allow(clippy::cast_precision_loss, reason = "a shard has few connections")]
    pub(crate) fn holds(&self, held: usize) {
        self.held.set(held as f64);
    }

    /// A connection ended that had got all answers it wanted.
    pub(crate) fn content(&self) {
        self.content.increment(1);
    }

    /// A connection was refused.
    pub(crate) fn refused(&self, reason: Refused) {
        count(&self.refused, reason);
    }

    /// A connection became a listener.
    pub(crate) fn joined(&mut self, format: Format) {
        self.listening += 1;
        count(&self.joins, format);
    }

    /// A listener is none any more.
    pub(crate) fn closed(&mut self, reason: Closed) {
        self.listening -= 1;
        count(&self.closed, reason);
    }

    /// A span of so many bytes was given to the system, late or not, with so many parts left out before it.
    pub(crate) fn sent(&self, bytes: usize, missed_parts: u64, is_late: bool) {
        self.sends.increment(1);
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

    /// A tick began so late.
    pub(crate) fn ticked(&self, late: Duration, is_too_late: bool, connections: u32) {
        self.lag.set(late);
        self.connections.set(connections);
        self.listeners.set(self.listening);
        if is_too_late {
            self.late_ticks.increment(1);
        }
    }
}

fn count<K: Copy + PartialEq>(counters: &[(K, Counter)], key: K) {
    let found = counters.iter().find(|(of, _)| *of == key);
    let (_, counter) = found.expect("every reason has its counter");
    counter.increment(1);
}
