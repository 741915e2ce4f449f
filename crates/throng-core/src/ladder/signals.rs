//! What a node measures of itself each second, and when that is too much.
//!
//! Each signal has two thresholds: from the higher one on it presses a node down the ladder, below the lower one it is
//! calm. Who has no listeners is calm whatever he measures: there is nobody for whom less could be done.

use crate::ladder::Rung;

/// A share of a whole, in thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(u16);

impl Share {
    /// The whole.
    pub const ALL: Self = Self(1_000);

    /// A part of a whole; all of it at most, and nothing of nothing.
    pub fn of(part: u64, whole: u64) -> Self {
        let thousandths = (u128::from(part) * 1_000).checked_div(u128::from(whole));
        let thousandths = u16::try_from(thousandths.unwrap_or(0)).unwrap_or(u16::MAX);
        Self(thousandths).min(Self::ALL)
    }

    /// So many thousandths.
    pub const fn new(thousandths: u16) -> Option<Self> {
        if thousandths <= Self::ALL.0 {
            Some(Self(thousandths))
        } else {
            None
        }
    }

    /// How many thousandths it is.
    pub const fn thousandths(self) -> u16 {
        self.0
    }

    /// From 0 to 1.
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / 1_000.0
    }

    fn plus(self, other: Self) -> Self {
        Self(self.0 + other.0).min(Self::ALL)
    }
}

/// What one second brought, of one process or of all that serve for a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signals {
    /// How late the latest tick of a thread that serves began.
    pub lag_ms: u32,
    /// Spans that were sent.
    pub spans: u32,
    /// Of them, those that were late by our own fault.
    pub late_spans: u32,
    /// Progressive listeners.
    pub listeners: u32,
    /// Of them, those whose send buffer is full.
    pub blocked: u32,
    /// Time of the processor, of what the cores that may be used have.
    pub cpu: Share,
    /// The same, of the threads that serve listeners: only this grows less with a deeper rung.
    pub cpu_serving: Share,
    /// Time in which something waited for a core (pressure stall information, `some`).
    pub cpu_waiting: Share,
    /// Memory, of the budget that the operator has given.
    pub memory_of_budget: Share,
    /// Memory that is taken by whatever runs there, of what the container or machine has.
    pub memory_of_machine: Share,
    /// Time in which something waited for memory.
    pub memory_waiting: Share,
    /// Joins in flight, of those that are admitted at once; absent where nobody bounds them.
    pub joins: Option<Share>,
}

impl Signals {
    /// Those of two processes that share a machine and an audience: what each uses adds up, the worst of the rest counts.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self {
            lag_ms: self.lag_ms.max(other.lag_ms),
            spans: self.spans.saturating_add(other.spans),
            late_spans: self.late_spans.saturating_add(other.late_spans),
            listeners: self.listeners.saturating_add(other.listeners),
            blocked: self.blocked.saturating_add(other.blocked),
            cpu: self.cpu.plus(other.cpu),
            cpu_serving: self.cpu_serving.plus(other.cpu_serving),
            cpu_waiting: self.cpu_waiting.max(other.cpu_waiting),
            memory_of_budget: self.memory_of_budget.plus(other.memory_of_budget),
            memory_of_machine: self.memory_of_machine.max(other.memory_of_machine),
            memory_waiting: self.memory_waiting.max(other.memory_waiting),
            joins: self.joins.max(other.joins),
        }
    }

    /// What presses from a threshold on.
    fn beyond(&self, threshold: impl Fn(Limits) -> u32) -> Reasons {
        let beyond = |reason: &Reason| reason.of(self) >= threshold(reason.limits());
        Reason::ALL.into_iter().filter(beyond).collect()
    }

    /// How much they press.
    pub fn level(&self) -> Level {
        let pressing = self.beyond(|limits| limits.deeper);
        if self.listeners == 0 || self.beyond(|limits| limits.back).is_empty() {
            Level::Calm
        } else if pressing.is_empty() {
            Level::Bearable
        } else if self.beyond(|limits| limits.critical).is_empty() {
            Level::Trouble(pressing)
        } else {
            Level::Critical(pressing)
        }
    }
}

/// How much a node is pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// It could do more.
    Calm,
    /// Neither more nor less.
    Bearable,
    /// It has to do less.
    Trouble(Reasons),
    /// It has to do much less at once.
    Critical(Reasons),
}

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
struct Limits {
    /// Below it is calm.
    back: u32,
    /// From here on it presses.
    deeper: u32,
    /// From here on it presses hard.
    critical: u32,
}

/// Fewer listeners than these say nothing about our line: some always have a bad one of their own.
const LISTENERS_MIN: u32 = 100;
/// Where those who serve use less of the cores than this, serving less often gives nothing back.
const SERVING_MIN: Share = Share(150);
/// Where we use less of the cores than this, what waits for them waits for somebody else.
const USING_MIN: Share = Share(500);
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

    const fn limits(self) -> Limits {
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

/// On which rung a node is, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// The rung.
    pub rung: Rung,
    /// Whether the operator has set it, so that it stays.
    pub locked: bool,
    /// What pressed when it last went deeper.
    pub reasons: Reasons,
}

impl Decision {
    /// Why it is not normal, in words for everybody; nothing where it is.
    pub fn words(self) -> Option<String> {
        match self {
            Self { locked: true, .. } => Some("the operator has set it".to_owned()),
            Self { rung, .. } if rung == Rung::default() => None,
            Self { reasons, .. } if reasons.is_empty() => {
                Some("the operator had set it, and it goes back step by step".to_owned())
            }
            Self { reasons, .. } => Some(reasons.words()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node in whose signals nothing stands out.
    fn quiet() -> Signals {
        Signals {
            lag_ms: 5,
            spans: 1_000,
            listeners: 1_000,
            cpu: Share(300),
            cpu_serving: Share(200),
            ..Signals::default()
        }
    }

    #[test]
    fn each_signal_presses_by_itself_and_says_so() {
        let pressed = |signals: Signals| match signals.level() {
            Level::Trouble(reasons) | Level::Critical(reasons) => reasons.words(),
            level => format!("{level:?}"),
        };
        assert_eq!(pressed(quiet()), "Calm");
        let beyond = [
            Signals {
                blocked: 400,
                ..quiet()
            },
            Signals {
                cpu: Share(850),
                ..quiet()
            },
            Signals {
                cpu: Share(500),
                cpu_waiting: Share(700),
                ..quiet()
            },
            Signals {
                joins: Some(Share(900)),
                ..quiet()
            },
            Signals {
                lag_ms: 250,
                ..quiet()
            },
            Signals {
                late_spans: 50,
                ..quiet()
            },
            Signals {
                memory_of_budget: Share(900),
                ..quiet()
            },
            Signals {
                memory_waiting: Share(200),
                ..quiet()
            },
        ];
        for (signals, reason) in beyond.into_iter().zip(Reason::ALL) {
            assert_eq!(pressed(signals), reason.words());
            let nobody = Signals {
                listeners: 0,
                ..signals
            };
            assert_eq!(pressed(nobody), "Calm", "nobody to do less for");
        }
        let machine = Signals {
            memory_of_machine: Share(900),
            ..quiet()
        };
        assert_eq!(pressed(machine), Reason::Memory.words());
    }

    #[test]
    fn what_others_do_on_the_machine_and_a_few_bad_lines_press_nobody() {
        let neighbours = Signals {
            cpu: Share(900),
            cpu_serving: Share(20),
            cpu_waiting: Share(990),
            ..quiet()
        };
        assert_eq!(neighbours.level(), Level::Calm);
        let bad_lines = Signals {
            listeners: 99,
            blocked: 99,
            ..quiet()
        };
        assert_eq!(bad_lines.level(), Level::Calm);
    }

    #[test]
    fn processes_of_a_node_add_up_to_what_they_use_and_the_worst_that_they_suffer() {
        let one = Signals {
            cpu: Share(500),
            memory_of_budget: Share(600),
            memory_of_machine: Share(700),
            ..quiet()
        };
        let both = one.with(Signals {
            lag_ms: 300,
            joins: Some(Share(1)),
            ..one
        });
        assert_eq!((both.lag_ms, both.listeners), (300, 2_000));
        assert_eq!((both.cpu, both.memory_of_budget), (Share::ALL, Share::ALL));
        assert_eq!(
            (both.memory_of_machine, both.joins),
            (Share(700), Some(Share(1)))
        );
        assert_eq!(Share::of(u64::MAX, 1), Share::ALL);
        assert_eq!(Share::of(1, 0), Share::default());
    }
}
