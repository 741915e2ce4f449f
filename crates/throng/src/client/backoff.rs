//! How long to wait before asking again: exponential with full jitter, so that many who lost the same server do not
//! come back in step.

use std::time::Duration;

use crate::chance;

/// The waits of one outage.
#[derive(Debug, Default)]
pub struct Backoff {
    tries: u32,
}

impl Backoff {
    /// The wait before the next try.
    pub fn next_wait(&mut self) -> Duration {
        self.wait_at(chance::fraction())
    }

    /// As [`Self::next_wait`], with the chance (0 to 1) given. Pure.
    fn wait_at(&mut self, chance: f64) -> Duration {
        let longest = LONGEST_AT_LAST.min(LONGEST_AT_FIRST.saturating_mul(1 << self.tries.min(16)));
        self.tries += 1;
        longest.mul_f64(chance)
    }
}

/// A restart takes a second or so: the first tries are close together, and a refused one costs nobody anything.
const LONGEST_AT_FIRST: Duration = Duration::from_millis(300);
/// A server that is away for longer should find its speakers soon after it is back.
const LONGEST_AT_LAST: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_their_limit_and_chance_spreads_each_over_its_whole_length() {
        let mut backoff = Backoff::default();
        let longest: Vec<_> = (0..7).map(|_| backoff.wait_at(1.0).as_millis()).collect();
        assert_eq!(longest, [300, 600, 1_200, 2_400, 4_800, 5_000, 5_000]);
        assert_eq!(backoff.wait_at(0.5).as_millis(), 2_500);
        assert_eq!(backoff.wait_at(0.0), Duration::ZERO);
    }
}
