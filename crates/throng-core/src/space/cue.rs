//! The cue: a countdown at the end of which the space goes live, so that everybody on stage knows when.
//!
//! It names a part, as listeners hear the cut at the beginning of one. It is not kept: who finds a space again after a
//! crash is not sent on air by what somebody said before.

use super::{Act, CUT_LEAD_MS, PIPELINE_START_MS, Refusal, Space, first_part_after};
use crate::dates::Now;
use crate::time::UnixMillis;
use crate::timeline::PartIndex;

/// Fewer would be over before every speaker's page, which looks once a second, has shown them.
pub const CUE_SECONDS_MIN: u32 = 3;
/// Whoever has to wait longer looks away; that is what the scheduled time is for.
pub const CUE_SECONDS_MAX: u32 = 30;
/// The step is taken so long before the last moment at which its part can still be cut: keeping it takes time. Less than a
/// part, or it would land on the one before.
const SLACK_MS: u64 = 160;

impl Space {
    /// The part at which a countdown that begins now ends.
    pub fn cue(&self, now: impl Into<Now>, seconds: u32) -> Result<PartIndex, Refusal> {
        if !self.state.allows(&Act::GoLive) {
            return Err(Refusal::DoesNotFollow {
                state: self.state,
                act: "count down to the start",
            });
        }
        if !(CUE_SECONDS_MIN..=CUE_SECONDS_MAX).contains(&seconds) {
            return Err(Refusal::Cue { asked: seconds });
        }
        let now = now.into().steady;
        let ms = u64::from(seconds) * 1_000;
        Ok(first_part_after(self.created_at, now, ms))
    }

    /// When, by the steady clock, to go live so that it takes effect at a part.
    pub fn cue_due(&self, part: PartIndex) -> UnixMillis {
        let lead_ms = match self.doors_part {
            None => PIPELINE_START_MS,
            Some(_) => CUT_LEAD_MS,
        };
        let begins = self.created_at.plus_ms(part.start_ms());
        begins.minus_ms(lead_ms + SLACK_MS)
    }
}
