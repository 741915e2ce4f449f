//! `state.json`, as far as a listener's report needs it.

use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::playout::samples_in;
use crate::client::Error;
use crate::client::http::{Client, is_this_machine};

/// The state of a space.
#[derive(Clone, Debug, Deserialize)]
pub struct SpaceState {
    /// `announced`, `doors`, `live`, `ended` or `cancelled`.
    pub state: String,
    /// Sample 0 of the programme clock, RFC 3339.
    epoch: Option<String>,
    /// How far the server's clock is ahead of ours.
    #[serde(skip)]
    clock_ahead: SignedDuration,
}

impl SpaceState {
    /// Asks for the state of a space.
    pub fn fetch(client: &Client, space_url: &str) -> Result<Self, Error> {
        let url = format!("{space_url}/state.json");
        let answer = client.get(&url)?;
        let date = answer.header("date").map(str::to_owned);
        let mut state: Self = answer.json()?;
        if !is_this_machine(&url) {
            state.clock_ahead = date
                .and_then(|date| clock_ahead(&date, Timestamp::now()))
                .unwrap_or_default();
        }
        Ok(state)
    }

    /// Whether no more sound is made.
    pub fn is_over(&self) -> bool {
        matches!(self.state.as_str(), "ended" | "cancelled")
    }

    /// As [`Self::behind_playhead_ms`], where only the low 32 bits of the sample are known (an RTP timestamp); none if
    /// they are far from the playhead: then the server counts from a random number (RFC 3550, section 5.1).
    pub fn behind_playhead_ms_rtp(&self, sample: u64, at: SystemTime) -> Option<f64> {
        let behind_epoch_ms = self.behind_playhead_ms(0, at)?;
        let playhead = samples_in(Duration::try_from_secs_f64(behind_epoch_ms / 1_000.0).ok()?);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "RTP timestamps are the low 32 bits"
        )]
        let behind = (playhead as u32).wrapping_sub(sample as u32).cast_signed();
        (behind.unsigned_abs() < RTP_NEAR_SAMPLES).then(|| f64::from(behind) / 48.0)
    }

    /// By how many milliseconds a listener who hears `sample` at `at` is behind what the mixer puts out then.
    pub fn behind_playhead_ms(&self, sample: u64, at: SystemTime) -> Option<f64> {
        let at = Timestamp::try_from(at)
            .ok()?
            .checked_add(self.clock_ahead)
            .ok()?;
        let epoch: Timestamp = self.epoch.as_deref()?.parse().ok()?;
        let since_epoch = at.duration_since(epoch).as_secs_f64();
        #[expect(
            clippy::cast_precision_loss,
            reason = "2^53 samples are some 5,900 years"
        )]
        let heard = sample as f64 / 48_000.0;
        Some((since_epoch - heard) * 1_000.0)
    }
}

/// How far another machine's clock is ahead, by its `Date` header, which counts whole seconds (RFC 9110, section 5.6.7):
/// a smaller difference than that says nothing.
fn clock_ahead(date: &str, now: Timestamp) -> Option<SignedDuration> {
    let there = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
    let ahead = there
        .checked_add(SignedDuration::from_millis(500))
        .ok()?
        .duration_since(now);
    (ahead.abs() > SignedDuration::from_secs(1)).then_some(ahead)
}

/// Ten seconds: a random number is so near only once in 4,500 times.
const RTP_NEAR_SAMPLES: u32 = 480_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behind_the_playhead_is_the_mixers_now_less_what_is_heard() {
        let json = r#"{"state":"live","epoch":"2026-12-01T20:00:00.250Z"}"#;
        let state: SpaceState = serde_json::from_str(json).unwrap();
        let now: Timestamp = "2026-12-01T20:01:00.250Z".parse().unwrap();
        let behind = state.behind_playhead_ms(57 * 48_000, now.into()).unwrap();
        assert!((behind - 3_000.0).abs() < 0.001, "{behind}");
        let rtp = state
            .behind_playhead_ms_rtp((7 << 32) + 59 * 48_000, now.into())
            .unwrap();
        assert!((rtp - 1_000.0).abs() < 0.1, "{rtp}");
        assert_eq!(state.behind_playhead_ms_rtp(1 << 31, now.into()), None);
    }

    #[test]
    fn a_clock_is_corrected_by_more_than_its_header_can_be_wrong() {
        let now: Timestamp = "2026-12-01T20:00:00Z".parse().unwrap();
        assert_eq!(
            clock_ahead("Tue, 01 Dec 2026 20:00:01 GMT", now).map(|ahead| ahead.as_millis()),
            Some(1_500)
        );
        assert_eq!(clock_ahead("Tue, 01 Dec 2026 20:00:00 GMT", now), None);
        assert_eq!(clock_ahead("now", now), None);
    }
}
