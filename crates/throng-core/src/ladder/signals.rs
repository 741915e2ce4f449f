//! What a node measures of itself each second, and when that is too much.
//!
//! Each signal has two thresholds: from the higher one on it presses a node down the ladder, below the lower one it is
//! calm. Who has no listeners is calm whatever he measures: there is nobody for whom less could be done.

use crate::ladder::Rung;
use crate::ladder::reason::{Limits, Reason, Reasons};

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
mod tests;
