//! Whether somebody has set the wall clock: told to hosts and operators, because appointments and keys go by it.

use std::sync::{Mutex, PoisonError};

use throng_core::dates::Now;
use throng_core::time::UnixMillis;

use crate::alarm::Alarm;

/// Less is a leap second, or a clock that is kept right: nobody can or need do anything.
const STEP_MIN_MS: u64 = 2_000;
/// Hosts are told for so long: until they have looked again at when their spaces are to begin.
const TOLD_MS: u64 = 10 * 60 * 1_000;

/// Looks at the two clocks of a node.
#[derive(Default)]
pub(crate) struct ClockWatch(Mutex<Watched>);

#[derive(Default)]
struct Watched {
    /// How far the wall clock was ahead of the steady one when somebody looked last.
    ahead_ms: Option<i64>,
    step: Option<Step>,
}

/// The newest step of the wall clock.
#[derive(Clone, Copy)]
struct Step {
    by_ms: i64,
    /// By the steady clock.
    at: UnixMillis,
    /// As it was shown then.
    wall: UnixMillis,
}

impl ClockWatch {
    /// Looks; says by how much the wall clock was set since the last time, if it was.
    pub(crate) fn look(&self, now: Now) -> Option<i64> {
        let mut watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ahead_ms = now.wall.0.saturating_sub(now.steady.0);
        let before = *watched.ahead_ms.get_or_insert(ahead_ms);
        let by_ms = ahead_ms.saturating_sub(before);
        if by_ms.unsigned_abs() < STEP_MIN_MS {
            return None;
        }
        watched.ahead_ms = Some(ahead_ms);
        watched.step = Some(Step {
            by_ms,
            at: now.steady,
            wall: now.wall,
        });
        Some(by_ms)
    }

    /// What hosts must know.
    pub(crate) fn alarm(&self, now: Now) -> Option<Alarm> {
        let watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let step = watched
            .step
            .filter(|step| now.steady.ms_since(step.at) < TOLD_MS)?;
        let seconds = step.by_ms.unsigned_abs() / 1_000;
        let way = match step.by_ms {
            0.. => format!("forward by {seconds} s, or the server slept"),
            _ => format!("back by {seconds} s"),
        };
        Some(Alarm {
            kind: "clock",
            title: "The clock of the server was set.",
            detail: format!(
                "It went {way}. Sound and recording go on. Doors that open by themselves and links that expire go by the \
                 new time: look whether it is right."
            ),
            since: step.wall,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(steady: i64, ahead: i64) -> Now {
        Now {
            wall: UnixMillis(steady + ahead),
            steady: UnixMillis(steady),
        }
    }

    #[test]
    fn a_clock_that_was_set_is_told_for_ten_minutes() {
        let watch = ClockWatch::default();
        assert_eq!(
            watch.look(at(0, 7)),
            None,
            "what was before is nobody's fault"
        );
        assert_eq!(watch.look(at(1_000, 1_006)), None, "a leap second");
        assert_eq!(watch.alarm(at(1_000, 1_006)), None);
        assert_eq!(watch.look(at(2_000, -3_600_000)), Some(-3_600_007));
        let alarm = watch.alarm(at(601_999, -3_600_000)).unwrap();
        assert!(alarm.detail.contains("went back by 3600 s"), "{alarm:?}");
        assert_eq!(watch.look(at(602_000, -3_600_000)), None);
        assert_eq!(watch.alarm(at(602_000, -3_600_000)), None);
    }
}
