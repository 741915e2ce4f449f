//! What the threads that serve listeners tell of themselves with each tick, in numbers that all of them add to.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The numbers; each second they are read, and what counts a second begins anew.
#[derive(Debug, Default)]
pub(crate) struct Strain {
    lag_ms: AtomicU32,
    spans: AtomicU32,
    late_spans: AtomicU32,
    cpu_us: AtomicU64,
    listeners: AtomicU32,
    blocked: AtomicU32,
    joins: AtomicU32,
}

/// What a second brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Second {
    pub(super) lag_ms: u32,
    pub(super) spans: u32,
    pub(crate) late_spans: u32,
    pub(super) listeners: u32,
    pub(super) blocked: u32,
    pub(super) cpu_us: u64,
    /// How long newcomers waited, in thousandths of what is overload.
    pub(super) joins: u32,
}

/// What one thread has counted and told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    lag_ms: u32,
    spans: u32,
    late_spans: u32,
    listeners: u32,
    blocked: u32,
    cpu_us: u64,
    joins: u32,
}

impl Told {
    /// A tick began so late.
    pub(crate) fn ticked(&mut self, late: Duration) {
        let late_ms = u32::try_from(late.as_millis()).unwrap_or(u32::MAX);
        self.lag_ms = self.lag_ms.max(late_ms);
    }

    /// Newcomers wait so long, in thousandths of what is overload.
    pub(crate) fn note_joins(&mut self, per_mille: u32) {
        self.joins = self.joins.max(per_mille);
    }

    /// A span was sent.
    pub(crate) fn sent(&mut self, is_late: bool) {
        self.spans += 1;
        self.late_spans += u32::from(is_late);
    }
}

impl Strain {
    /// Takes over what a thread has counted since the last time, on that thread; so many listen there now, and of so many
    /// the send buffer is full.
    pub(crate) fn settle(&self, told: &mut Told, listeners: u32, blocked: usize) {
        let blocked = u32::try_from(blocked).unwrap_or(u32::MAX).min(listeners);
        let cpu_us = thread_cpu_us();
        self.lag_ms.fetch_max(told.lag_ms, Ordering::Relaxed);
        self.joins.fetch_max(told.joins, Ordering::Relaxed);
        self.spans.fetch_add(told.spans, Ordering::Relaxed);
        self.late_spans
            .fetch_add(told.late_spans, Ordering::Relaxed);
        self.cpu_us
            .fetch_add(cpu_us - told.cpu_us, Ordering::Relaxed);
        // The sum of all threads never falls below what one has added, however often it wraps in between.
        let more = |now: u32, before: u32| now.wrapping_sub(before);
        self.listeners
            .fetch_add(more(listeners, told.listeners), Ordering::Relaxed);
        self.blocked
            .fetch_add(more(blocked, told.blocked), Ordering::Relaxed);
        *told = Told {
            listeners,
            blocked,
            cpu_us,
            ..Told::default()
        };
    }

    /// Ends the second.
    pub(crate) fn end_second(&self) -> Second {
        Second {
            lag_ms: self.lag_ms.swap(0, Ordering::Relaxed),
            spans: self.spans.swap(0, Ordering::Relaxed),
            late_spans: self.late_spans.swap(0, Ordering::Relaxed),
            listeners: self.listeners.load(Ordering::Relaxed),
            blocked: self.blocked.load(Ordering::Relaxed),
            cpu_us: self.cpu_us.swap(0, Ordering::Relaxed),
            joins: self.joins.swap(0, Ordering::Relaxed),
        }
    }
}

/// Time of the processor that this thread has used.
fn thread_cpu_us() -> u64 {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanoseconds) = (used.tv_sec.cast_unsigned(), used.tv_nsec.cast_unsigned());
    seconds * 1_000_000 + nanoseconds / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_the_sum_of_all_threads_and_begins_anew() {
        let (strain, mut one, mut other) = (Strain::default(), Told::default(), Told::default());
        one.ticked(Duration::from_millis(30));
        one.sent(true);
        one.note_joins(50);
        one.note_joins(20);
        other.ticked(Duration::from_millis(7));
        other.sent(false);
        strain.settle(&mut one, 5, 7);
        strain.settle(&mut other, 3, 1);
        let second = strain.end_second();
        assert_eq!((second.lag_ms, second.spans, second.late_spans), (30, 2, 1));
        assert_eq!(second.joins, 50);
        assert_eq!((second.listeners, second.blocked), (8, 6));
        strain.settle(&mut one, 1, 0);
        let second = strain.end_second();
        assert_eq!((second.lag_ms, second.spans), (0, 0));
        assert_eq!(
            (second.listeners, second.blocked),
            (4, 1),
            "those who are here"
        );
    }
}
