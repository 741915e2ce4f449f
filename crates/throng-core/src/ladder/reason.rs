//! What presses a node down the ladder: from which measure on, and how that is said.

use crate::ladder::signals::{Share, Signals};

/// What can press.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Many listeners' lines take nothing.
    Backlog,
    /// The cores are used up.
    Cpu,
    /// Too much waits for a core.
    CpuWaiting,
    /// Too many come in at once.
    Joins,
    /// The threads that serve are behind.
    Lag,
    /// Sound is sent late.
    LateSpans,
    /// Memory is used up.
    Memory,
    /// Too much waits for memory.
    MemoryWaiting,
}

/// Where a signal begins and ceases to press, in its own unit.
pub(super) struct Limits {
    /// Below it is calm.
    pub(super) back: u32,
    /// From here on it presses.
    pub(super) deeper: u32,
    /// From here on it presses hard.
    pub(super) critical: u32,
}

/// Fewer listeners than these say nothing about our line: some always have a bad one of their own.
const LISTENERS_MIN: u32 = 100;
/// Where those who serve use less of the cores than this, serving less often gives nothing back.
const SERVING_MIN: Share = Share::new(150).expect("it is no more than all");
/// Where we use less of the cores than this, what waits for them waits for somebody else.
const USING_MIN: Share = Share::new(500).expect("it is no more than all");
/// Beyond every share: such a signal is never critical.
const NEVER: u32 = 1_001;

impl Reason {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Backlog,
        Self::Cpu,
        Self::CpuWaiting,
        Self::Joins,
        Self::Lag,
        Self::LateSpans,
        Self::Memory,
        Self::MemoryWaiting,
    ];

    /// Its name in metrics and in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Backlog => "backlog",
            Self::Cpu => "cpu",
            Self::CpuWaiting => "cpu_waiting",
            Self::Joins => "joins",
            Self::Lag => "lag",
            Self::LateSpans => "late_spans",
            Self::Memory => "memory",
            Self::MemoryWaiting => "memory_waiting",
        }
    }

    /// The reason in words for everybody.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Backlog => "the lines of many listeners are full",
            Self::Cpu => "the processors are nearly used up",
            Self::CpuWaiting => "too much waits for a processor",
            Self::Joins => "many people are coming in at once",
            Self::Lag => "the server is behind with its work",
            Self::LateSpans => "sound is sent late",
            Self::Memory => "memory is nearly used up",
            Self::MemoryWaiting => "too much waits for memory",
        }
    }

    /// What it is measured by: thousandths, or ms of lag.
    pub fn of(self, signals: &Signals) -> u32 {
        let Signals {
            cpu, cpu_serving, ..
        } = *signals;
        let share = match self {
            Self::Lag => return signals.lag_ms,
            Self::Backlog if signals.listeners < LISTENERS_MIN => Share::default(),
            Self::Backlog => Share::of(signals.blocked.into(), signals.listeners.into()),
            Self::Cpu | Self::CpuWaiting if cpu_serving < SERVING_MIN => Share::default(),
            Self::Cpu => cpu,
            Self::CpuWaiting if cpu < USING_MIN => Share::default(),
            Self::CpuWaiting => signals.cpu_waiting,
            Self::Joins => signals.joins.unwrap_or_default(),
            Self::LateSpans => Share::of(signals.late_spans.into(), signals.spans.into()),
            Self::Memory => signals.memory_of_budget.max(signals.memory_of_machine),
            Self::MemoryWaiting => signals.memory_waiting,
        };
        share.thousandths().into()
    }

    pub(super) const fn limits(self) -> Limits {
        let (back, deeper, critical) = match self {
            Self::Backlog => (150, 400, 700),
            // A rung costs at least 0.6 of the one before: who goes back from below half does not come down again.
            Self::Cpu => (500, 850, 970),
            Self::CpuWaiting => (300, 700, NEVER),
            Self::Joins => (600, 900, NEVER),
            // Ticks come every 107 ms; a listener with a span of 0.96 s has some 3 s of cushion left.
            Self::Lag => (100, 250, 1_000),
            Self::LateSpans => (5, 50, 250),
            Self::Memory => (800, 900, 960),
            Self::MemoryWaiting => (50, 200, 500),
        };
        Limits {
            back,
            deeper,
            critical,
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Some reasons, or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reasons(u8);

impl Reasons {
    /// As one byte; each is some reasons.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The reasons of a byte.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each of them.
    pub fn each(self) -> impl Iterator<Item = Reason> {
        Reason::ALL
            .into_iter()
            .filter(move |reason| self.0 & reason.bit() != 0)
    }

    /// In words, one after the other.
    pub fn words(self) -> String {
        self.each()
            .map(Reason::words)
            .collect::<Vec<_>>()
            .join(", ")
    }
}

impl FromIterator<Reason> for Reasons {
    fn from_iter<I: IntoIterator<Item = Reason>>(reasons: I) -> Self {
        Self(
            reasons
                .into_iter()
                .fold(0, |bits, reason| bits | reason.bit()),
        )
    }
}
