//! When a certificate is asked for: at once where there is none, before it ends, and later after every refusal.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use crate::tls;

/// The last third of a life is for renewing, as authorities ask; a certificate for a week has as many tries as one for a year.
const RENEWED_AT: f64 = 2.0 / 3.0;
/// First wait after a refusal. Doubled each time that is five tries in the first hour, which is what authorities take
/// of one account for one name (Let's Encrypt, "Authorization Failures per Identifier").
const WAIT_MIN: Duration = Duration::from_mins(2);
const WAIT_MAX: Duration = Duration::from_hours(6);
/// Least time between two certificates.
const PAUSE: Duration = Duration::from_secs(10);
/// From look to look: the clock of the machine may have been set meanwhile, or the machine have slept.
const LOOK_AGAIN: Duration = Duration::from_hours(1);

/// From when to when a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lifetime {
    begins: Timestamp,
    ends: Timestamp,
}

impl Lifetime {
    /// That of the certificate in a file, where there is one that can be read.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let [begins, ends] = tls::lifetime(path)?;
        Some(Self { begins, ends })
    }

    /// From when on it is renewed. Those who began together do not all ask together: `chance` (0 to 1) takes up to a
    /// twentieth of its life off.
    fn renewed_at(self, chance: f64) -> Timestamp {
        let life = self.ends.duration_since(self.begins).as_secs_f64().max(0.0);
        let wait = Duration::from_secs_f64(life * (RENEWED_AT - chance / 20.0));
        self.begins + wait
    }
}

/// Who asks, and what came of it so far.
#[derive(Debug)]
pub(super) struct Asking {
    /// From 0 to 1, drawn for each certificate.
    chance: f64,
    /// In a row.
    failures: u32,
    /// Since the process began, by a clock that nobody sets.
    not_before: Duration,
}

impl Asking {
    pub(super) const fn new(chance: f64) -> Self {
        Self {
            chance,
            failures: 0,
            not_before: Duration::ZERO,
        }
    }

    /// How long to wait before it is looked again; zero: ask now. `elapsed` is the time since the process began.
    pub(super) fn wait(
        &self,
        lifetime: Option<Lifetime>,
        now: Timestamp,
        elapsed: Duration,
    ) -> Duration {
        let until_due = lifetime.map_or(Duration::ZERO, |lifetime| {
            let due = lifetime.renewed_at(self.chance).duration_since(now);
            Duration::try_from(due).unwrap_or_default()
        });
        let until_allowed = self.not_before.saturating_sub(elapsed);
        until_due.max(until_allowed).min(LOOK_AGAIN)
    }

    /// It was asked, and there is a new certificate or not. After one, too, there is a pause: where a clock is wrong it
    /// may be due at once.
    pub(super) fn asked(&mut self, is_done: bool, elapsed: Duration, chance: f64) {
        self.failures = if is_done {
            0
        } else {
            self.failures.saturating_add(1)
        };
        let doubled =
            WAIT_MIN.saturating_mul(2_u32.saturating_pow(self.failures.saturating_sub(1)));
        let pause = match self.failures {
            0 => PAUSE,
            // From half to whole, so that many do not come back together.
            _ => doubled.min(WAIT_MAX).mul_f64(0.5 + chance / 2.0),
        };
        self.chance = chance;
        self.not_before = elapsed + pause;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn day(number: u32) -> Timestamp {
        Timestamp::UNIX_EPOCH + DAY * number
    }

    fn ninety_days() -> Lifetime {
        Lifetime {
            begins: day(0),
            ends: day(90),
        }
    }

    fn is_asked_for(lifetime: Option<Lifetime>, now: Timestamp, chance: f64) -> bool {
        Asking::new(chance)
            .wait(lifetime, now, Duration::ZERO)
            .is_zero()
    }

    #[test]
    fn where_there_is_none_it_is_asked_for_at_once() {
        assert!(is_asked_for(None, day(0), 0.5));
    }

    #[test]
    fn one_of_ninety_days_is_renewed_by_the_sixtieth_and_one_that_has_ended_at_once() {
        let second = Duration::from_secs(1);
        assert!(!is_asked_for(Some(ninety_days()), day(60) - second, 0.0));
        assert!(is_asked_for(Some(ninety_days()), day(60), 0.0));
        assert!(is_asked_for(Some(ninety_days()), day(100), 0.0));
        assert!(!is_asked_for(Some(ninety_days()), day(55), 1.0));
        assert!(is_asked_for(Some(ninety_days()), day(56), 1.0));
    }

    #[test]
    fn a_clock_that_is_set_is_seen_within_the_hour() {
        let asking = Asking::new(0.0);
        assert_eq!(
            asking.wait(Some(ninety_days()), day(1), Duration::ZERO),
            LOOK_AGAIN
        );
    }

    #[test]
    fn refusals_are_answered_with_patience() {
        let mut asking = Asking::new(0.0);
        let minutes: Vec<_> = (0..12)
            .map(|_| {
                asking.asked(false, Duration::ZERO, 1.0);
                asking.not_before.as_secs() / 60
            })
            .collect();
        assert_eq!(minutes[..5], [2, 4, 8, 16, 32]);
        assert_eq!(minutes[11], 6 * 60);
        asking.asked(true, DAY, 1.0);
        asking.asked(false, DAY, 0.0);
        assert_eq!(asking.wait(None, day(0), DAY), Duration::from_mins(1));
    }

    #[test]
    fn a_certificate_that_is_due_as_it_comes_is_not_asked_for_without_end() {
        let mut asking = Asking::new(0.0);
        asking.asked(true, Duration::ZERO, 0.0);
        let reversed = Lifetime {
            begins: day(9),
            ends: day(1),
        };
        for lifetime in [None, Some(reversed), Some(ninety_days())] {
            assert_eq!(asking.wait(lifetime, day(80), Duration::ZERO), PAUSE);
        }
    }
}
