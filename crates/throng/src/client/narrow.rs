//! Whether a link is too narrow for what we send: it loses packets, and those that arrive come later and later.
//!
//! Loss alone is no reason to send less: redundancy is what fills it, and less of it would make it worse. Where a queue
//! has filled as well, we are the cause: then we send lean. Whether the link has become wider cannot be seen from there,
//! so after a while we try again; each time that was too early, the while is twice as long. A machine without clock.

use std::time::{Duration, Instant};

/// What is known of a link.
#[derive(Debug, Default)]
pub struct Narrow {
    least: Option<Duration>,
    lean_until: Option<Instant>,
    tries: u32,
}

impl Narrow {
    /// Takes a report of the far end (loss from 0 to 1); says whether to send lean.
    pub fn report(&mut self, now: Instant, lost: f32, round_trip: Duration) -> bool {
        let least = self.least.map_or(round_trip, |least| least.min(round_trip));
        self.least = Some(least);
        if let Some(until) = self.lean_until {
            // A report tells of the second before it: the first after a lean time is not one of the usual.
            self.lean_until = Some(until).filter(|&until| now < until);
            return self.lean_until.is_some();
        }
        let is_bad = lost >= LOST_MIN && round_trip >= least + QUEUE_MIN;
        if !is_bad {
            return false;
        }
        self.lean_until = Some(now + LEAN_AT_FIRST * (1 << self.tries.min(TRIES_MAX)));
        self.tries += 1;
        true
    }
}

/// Of the second that a report tells of. Less is filled by redundancy, or was a hiccup.
const LOST_MIN: f32 = 0.2;
/// A queue that is filled: beyond the jitter of most networks.
const QUEUE_MIN: Duration = Duration::from_millis(200);
const LEAN_AT_FIRST: Duration = Duration::from_mins(1);
/// Up to half an hour.
const TRIES_MAX: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    const CALM: (f32, u64) = (0.0, 80);
    const LOSSY: (f32, u64) = (0.3, 90);
    const LATE: (f32, u64) = (0.0, 400);
    const FULL: (f32, u64) = (0.5, 580);

    /// One report a second; for each, whether we are lean.
    fn told(reports: impl IntoIterator<Item = (f32, u64)>) -> Vec<bool> {
        let (start, mut narrow) = (Instant::now(), Narrow::default());
        let seconds = (0..).map(Duration::from_secs);
        let told = reports
            .into_iter()
            .zip(seconds)
            .map(|((lost, ms), at)| narrow.report(start + at, lost, Duration::from_millis(ms)));
        told.collect()
    }

    #[test]
    fn neither_loss_nor_delay_alone_makes_us_lean() {
        let reports = [CALM, LOSSY, LOSSY, LOSSY, LATE, LATE, LATE, CALM];
        assert!(told(reports).iter().all(|lean| !lean));
    }

    #[test]
    fn a_full_queue_makes_us_lean_and_we_try_again_less_and_less_often() {
        let lean = told([CALM].into_iter().chain([FULL; 400]));
        let tries: Vec<_> = (1..lean.len())
            .filter(|&at| lean[at - 1] && !lean[at])
            .collect();
        assert_eq!(&lean[..2], [false, true]);
        assert_eq!(
            tries,
            [61, 182],
            "after one minute, then after two, each for the second that it takes"
        );
    }
}
