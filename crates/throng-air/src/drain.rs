//! A process that is about to end lets its listeners go one by one, each at a time dealt to him, so that whoever serves
//! them next meets no storm. Pure: time comes in.
//!
//! The end of a stream is how a player is told to move: it comes where a span ends, and never in the middle of one.

use std::time::Duration;

/// Listeners who are sent away in a second by one process: a tenth of the joins that one core takes.
const LEAVING_PER_SECOND: u64 = 2_000;
/// Nobody is sent away sooner: by then whoever was on his way in is in, and every listener was visited once.
const BEGIN: Duration = Duration::from_millis(400);
/// The longest that it takes. Of more listeners than go in this time more go in a second; service managers wait for 90 s.
pub const DRAIN_MAX: Duration = Duration::from_secs(30);

/// Who takes over from a process that ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Successor {
    /// Nobody at this address: newcomers are told to come again.
    Elsewhere,
    /// Another process that has the same listening sockets: this one accepts no more.
    Here,
}

/// The order to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// Who takes over.
    pub successor: Successor,
    /// From the first to the last who is sent away.
    over: Duration,
}

impl Drain {
    /// For so many listeners.
    pub fn new(successor: Successor, listeners: u64) -> Self {
        let over = Duration::from_millis(listeners.saturating_mul(1_000) / LEAVING_PER_SECOND);
        Self {
            successor,
            over: over.min(DRAIN_MAX),
        }
    }

    /// From the order until the last one is due.
    pub fn duration(&self) -> Duration {
        BEGIN + self.over
    }

    /// Whether a listener is to go, so long after the order. His number need only differ from those of others.
    pub(crate) fn is_due(&self, number: u64, since: Duration) -> bool {
        since >= BEGIN + self.over.mul_f64(share(number))
    }
}

/// A number from 0 to below 1; those of numbers that follow each other lie evenly, whatever their count (the golden
/// ratio, Weyl 1916).
fn share(number: u64) -> f64 {
    let [a, b, c, d, ..] = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    f64::from(u32::from_be_bytes([a, b, c, d])) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_go_evenly_over_the_time_that_their_number_takes() {
        for (listeners, seconds) in [(0, 0), (2_000, 1), (5_000, 2), (1_000_000, 30)] {
            let drain = Drain::new(Successor::Here, listeners);
            assert_eq!(drain.over.as_secs(), seconds, "{listeners}");
        }
        let drain = Drain::new(Successor::Elsewhere, 10_000);
        for tenth in 0..=10 {
            let since = BEGIN + drain.over * tenth / 10;
            let gone = (0..10_000)
                .filter(|number| drain.is_due(*number, since))
                .count();
            let wanted = 1_000 * tenth as usize;
            assert!(gone.abs_diff(wanted) <= 10, "{gone} instead of {wanted}");
        }
        assert!(
            !drain.is_due(0, Duration::from_millis(399)),
            "nobody goes at once"
        );
        assert!(drain.is_due(u64::MAX, drain.duration()), "nobody stays");
    }
}
