//! Who listens to a space elsewhere: at the workers and edges that report to this process.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::presence::{Counts, LISTENING_FOR};

/// Consumers that report listeners of one space; more are not counted.
const CONSUMERS_MAX: usize = 256;

/// The listeners of one space at all consumers.
#[derive(Debug, Default)]
pub(crate) struct Behind {
    /// How many listen at each consumer, and when it said so.
    consumers: BTreeMap<u128, (u64, Duration)>,
    joined: u64,
    peak: u64,
}

impl Behind {
    /// A consumer says how many listen there now, and how many have joined since it last said so.
    pub(crate) fn report(&mut self, consumer: u128, listening: u64, joined: u64, now: Duration) {
        self.joined += joined;
        if self.consumers.len() < CONSUMERS_MAX || self.consumers.contains_key(&consumer) {
            self.consumers.insert(consumer, (listening, now));
        }
    }

    /// The counts over all, when these are the counts here.
    pub(crate) fn with(&mut self, here: Counts, doors_open: bool, now: Duration) -> Counts {
        self.consumers
            .retain(|_, (_, said_at)| now.saturating_sub(*said_at) < LISTENING_FOR);
        let listening =
            here.listening + self.consumers.values().map(|(count, _)| count).sum::<u64>();
        if doors_open {
            self.peak = self.peak.max(here.peak).max(listening);
        }
        Counts {
            listening,
            peak: self.peak.max(here.peak),
            joined: here.joined + self.joined,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Counts = Counts {
        listening: 2,
        peak: 9,
        joined: 10,
    };

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn counts_add_up_and_the_peak_is_that_of_the_sum() {
        let mut behind = Behind::default();
        behind.report(1, 5, 5, at(0));
        behind.report(2, 7, 8, at(0));
        let counts = behind.with(HERE, true, at(1));
        assert_eq!((counts.listening, counts.peak, counts.joined), (14, 14, 23));
        behind.report(1, 1, 0, at(2));
        let counts = behind.with(HERE, true, at(2));
        assert_eq!((counts.listening, counts.peak, counts.joined), (10, 14, 23));
    }

    #[test]
    fn a_consumer_that_falls_silent_counts_for_ten_seconds() {
        let mut behind = Behind::default();
        behind.report(1, 5, 5, at(0));
        assert_eq!(behind.with(HERE, false, at(9)).listening, 7);
        let counts = behind.with(HERE, false, at(10));
        assert_eq!((counts.listening, counts.peak, counts.joined), (2, 9, 15));
    }
}
