//! Whether a link is too narrow for what we send: it loses packets, and those that arrive come later and later.
//!
//! Loss alone is no reason to send less: redundancy is what fills it, and less of it would make it worse. Where a queue
//! has filled as well, or stands, we are the cause, or part of it: then we send lean. Whether the link has become wider
//! cannot be seen from there, so after a while we try again; each time that was too early, the while is twice as long. A
//! way that stays long although we send lean is no queue of ours. A machine without clock.

use std::time::{Duration, Instant};

/// What is known of a link.
#[derive(Debug, Default)]
pub struct Narrow {
    least: Option<Duration>,
    was_late: bool,
    lean_until: Option<Instant>,
    tries: u32,
    queue: Duration,
}

impl Narrow {
    /// Takes a report of the far end (loss from 0 to 1); says whether to send lean.
    pub fn report(&mut self, now: Instant, lost: f32, round_trip: Duration) -> bool {
        let least = self.least.map_or(round_trip, |least| least.min(round_trip));
        self.least = Some(least);
        if let Some(until) = self.lean_until {
            if now >= until {
                // A report tells of the time before it: this one is not one of the usual.
                (self.lean_until, self.was_late) = (None, false);
                self.least = Some(round_trip);
            }
            return self.lean_until.is_some();
        }
        let is_late = round_trip >= least + QUEUE_MIN;
        let is_narrow = is_late && (self.was_late || lost >= LOST_MIN);
        self.was_late = is_late;
        if !is_narrow {
            return false;
        }
        self.lean_until = Some(now + LEAN_AT_FIRST * (1 << self.tries.min(TRIES_MAX)));
        self.tries += 1;
        self.queue = round_trip.saturating_sub(least).min(QUEUE_MAX);
        true
    }

    /// How much waited on the way when we became lean: for so long nothing should be sent, so that the queue is gone.
    /// All that is said meanwhile would come too late.
    pub fn queue(&self) -> Duration {
        self.queue
    }
}

/// Of the time that a report tells of. Less is filled by redundancy, or was a hiccup.
const LOST_MIN: f32 = 0.2;
/// A queue that is filled: beyond the jitter of most networks. Two reports in a row say that it stands.
const QUEUE_MIN: Duration = Duration::from_millis(200);
/// As much as routers hold. What is longer is both ways, or an outage.
const QUEUE_MAX: Duration = Duration::from_millis(500);
const LEAN_AT_FIRST: Duration = Duration::from_secs(45);
/// Up to 24 minutes.
const TRIES_MAX: u32 = 5;

#[cfg(test)]
#[expect(clippy::cast_precision_loss, reason = "small counts")]
mod tests {
    use super::*;

    const CALM: (f32, u64) = (0.0, 80);
    const LOSSY: (f32, u64) = (0.3, 90);
    const LATE: (f32, u64) = (0.0, 400);
    const FULL: (f32, u64) = (0.5, 580);

    /// Four reports a second; for each, whether we are lean.
    fn told(reports: impl IntoIterator<Item = (f32, u64)>) -> Vec<bool> {
        let (start, mut narrow) = (Instant::now(), Narrow::default());
        let quarters = (0..).map(|n| Duration::from_millis(n * 250));
        let told = reports
            .into_iter()
            .zip(quarters)
            .map(|((lost, ms), at)| narrow.report(start + at, lost, Duration::from_millis(ms)));
        told.collect()
    }

    /// When it was tried again, in seconds.
    fn tries(lean: &[bool]) -> Vec<f64> {
        let ends = (1..lean.len()).filter(|&at| lean[at - 1] && !lean[at]);
        ends.map(|at| at as f64 / 4.0).collect()
    }

    #[test]
    fn neither_loss_nor_a_late_moment_makes_us_lean() {
        let reports = [CALM, LOSSY, LOSSY, LOSSY, LATE, CALM, LATE, LOSSY, LATE];
        assert!(told(reports).iter().all(|lean| !lean));
    }

    #[test]
    fn a_queue_that_fills_or_stands_makes_us_lean() {
        assert_eq!(told([CALM, FULL]), [false, true]);
        assert_eq!(told([CALM, LATE, LATE]), [false, false, true]);
    }

    #[test]
    fn we_try_again_less_and_less_often() {
        // A queue is there whenever we are not lean, and known half a second later.
        let (start, mut narrow) = (Instant::now(), Narrow::default());
        let mut lean = vec![narrow.report(start, CALM.0, Duration::from_millis(CALM.1))];
        for n in 1..1_600_usize {
            let (lost, ms) = if lean[n.saturating_sub(2)] {
                CALM
            } else {
                FULL
            };
            let at = start + Duration::from_millis(n as u64 * 250);
            lean.push(narrow.report(at, lost, Duration::from_millis(ms)));
        }
        let tries = tries(&lean);
        assert_eq!(tries.len(), 3, "{tries:?}");
        for (try_, seconds) in tries.iter().zip([45.0, 135.0, 315.0]) {
            assert!((try_ - seconds).abs() < 3.0, "{tries:?}");
        }
    }

    #[test]
    fn a_way_that_stays_long_is_no_queue_of_ours() {
        let lean = told([CALM].into_iter().chain([LATE; 800]));
        assert_eq!(tries(&lean), [45.5], "one lean time, and no other");
    }
}
