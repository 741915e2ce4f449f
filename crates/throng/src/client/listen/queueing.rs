//! A listener who found the house full: he keeps his ticket, looks how far the queue has come when he was told to, and
//! goes in when it is his turn. What he does next is decided here; whoever asks and sleeps is the source.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

/// What a full house tells (`503`).
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Told {
    pub(super) ticket: String,
    place: u64,
    #[serde(default)]
    serving: u64,
    #[serde(default)]
    drawn: Option<bool>,
    ask_again_seconds: u32,
    #[serde(default)]
    wait_seconds: Option<u64>,
}

/// How far the queue has come (`now-serving.json`).
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Progress {
    serving: u64,
    #[serde(default)]
    of: Option<u64>,
    #[serde(default)]
    per_minute: u64,
    #[serde(default)]
    drawn: Option<bool>,
}

/// Where somebody stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// How many are before him; `None` while the order is still to be drawn.
    pub before: Option<u64>,
    /// How long it takes, if anybody knows.
    pub wait: Option<Duration>,
}

/// What he does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Shows his ticket.
    Ask,
    /// Looks again after so long, at the earliest.
    Look(Duration),
}

impl Told {
    pub(super) fn standing(&self) -> Standing {
        let wait = self.wait_seconds.map(Duration::from_secs);
        self.at(self.serving, self.drawn, wait)
    }

    /// What he was told to wait.
    pub(super) fn again(&self) -> Duration {
        Duration::from_secs(self.ask_again_seconds.into())
    }

    /// When he looks again who could not see the counter, so often in a row: each time twice as far.
    pub(super) fn after_failure(&self, failed: u32) -> Duration {
        let longer = self.again().max(NEAR) * (1 << failed.min(LOOK_DOUBLINGS_MAX));
        longer.min(LOOK_MAX)
    }

    /// Whether he was called already, and is to show his ticket again when he was told.
    pub(super) fn is_called(&self) -> bool {
        self.place <= self.serving
    }

    /// What he does who knows how far the queue has come.
    pub(super) fn next(&self, progress: &Progress) -> (Standing, Next) {
        // The order was drawn, or the house began anew: the ticket tells which place it is now.
        let is_moved = progress.of.is_some_and(|of| of < self.place)
            || self.drawn.is_some() && self.drawn != progress.drawn;
        let left = self.place.saturating_sub(progress.serving);
        let seconds = (left * 60).checked_div(progress.per_minute);
        let standing = self.at(
            progress.serving,
            progress.drawn,
            seconds.map(Duration::from_secs),
        );
        let next = if is_moved || left == 0 {
            Next::Ask
        } else if seconds.is_some_and(|seconds| seconds <= NEAR_S) {
            Next::Look(NEAR)
        } else {
            Next::Look(self.again())
        };
        (standing, next)
    }

    fn at(&self, serving: u64, drawn: Option<bool>, wait: Option<Duration>) -> Standing {
        let before = self.place.saturating_sub(serving + 1);
        Standing {
            before: (drawn != Some(false)).then_some(before),
            wait: wait.filter(|_| drawn != Some(false)),
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.before {
            None => return out.write_str("places are drawn when the talk begins"),
            Some(0) => out.write_str("next")?,
            Some(before) => write!(out, "{before} before us")?,
        }
        match self.wait.map(|wait| wait.as_secs()) {
            None => {
                out.write_str("; nobody has been let in lately, so nobody knows how long it takes")
            }
            Some(seconds @ 0..60) => write!(out, "; about {seconds} s"),
            Some(seconds) => write!(out, "; about {} min", (seconds + 30) / 60),
        }
    }
}

/// Not earlier than he was told, and not with all others who were told the same.
pub(super) fn spread(again: Duration, chance: f64) -> Duration {
    again + Duration::from_secs(1).min(again / 4).mul_f64(chance)
}

/// Who is so close to his turn looks this often: a cache keeps the counter for a second.
const NEAR: Duration = Duration::from_secs(2);
/// Close is what takes no longer than so many seconds, at the pace of the last.
const NEAR_S: u64 = 20;
/// The longest time from look to look while the counter does not come.
const LOOK_MAX: Duration = Duration::from_mins(1);
/// Doublings that reach it.
const LOOK_DOUBLINGS_MAX: u32 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    fn told(json: &str) -> Told {
        serde_json::from_str(json).unwrap()
    }

    fn progress(json: &str) -> Progress {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn he_looks_as_told_often_when_near_and_asks_when_it_is_his_turn() {
        let told = told(
            r#"{"ticket":"t","place":90,"serving":10,"drawn":true,"ask_again_seconds":15,"wait_seconds":240,"reason":""}"#,
        );
        assert_eq!(told.standing().to_string(), "79 before us; about 4 min");
        for (serving, next, words) in [
            (
                30,
                Next::Look(Duration::from_secs(15)),
                "59 before us; about 3 min",
            ),
            (84, Next::Look(NEAR), "5 before us; about 18 s"),
            (89, Next::Look(NEAR), "next; about 3 s"),
            (90, Next::Ask, "next; about 0 s"),
        ] {
            let now = progress(&format!(
                r#"{{"serving":{serving},"of":200,"per_minute":20,"drawn":true}}"#
            ));
            let (standing, decided) = told.next(&now);
            assert_eq!((decided, standing.to_string().as_str()), (next, words));
        }
        let stuck = progress(r#"{"serving":89,"of":200,"per_minute":0,"drawn":true}"#);
        let (standing, next) = told.next(&stuck);
        assert_eq!(next, Next::Look(Duration::from_secs(15)));
        assert!(standing.to_string().contains("nobody knows"));
    }

    #[test]
    fn who_cannot_see_the_counter_looks_ever_more_seldom() {
        let told = told(r#"{"ticket":"t","place":9,"ask_again_seconds":15}"#);
        let waits = [1, 2, 3, 9].map(|failed| told.after_failure(failed).as_secs());
        assert_eq!(waits, [30, 60, 60, 60]);
    }

    #[test]
    fn a_place_that_was_drawn_or_belongs_to_another_queue_is_asked_for_anew() {
        let early = told(r#"{"ticket":"t","place":9,"drawn":false,"ask_again_seconds":15}"#);
        assert_eq!(early.standing().before, None);
        let waits = progress(r#"{"serving":0,"of":20,"drawn":false}"#);
        assert_eq!(early.next(&waits).1, Next::Look(Duration::from_secs(15)));
        let drawn = progress(r#"{"serving":0,"of":20,"drawn":true}"#);
        assert_eq!(early.next(&drawn).1, Next::Ask);
        let anew = progress(r#"{"serving":0,"of":3,"drawn":false}"#);
        assert_eq!(early.next(&anew).1, Next::Ask);
    }
}
