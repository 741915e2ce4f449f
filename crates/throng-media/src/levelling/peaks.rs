//! What the limiter takes from somebody's loudness: a voice with high peaks comes out of it softer than one without.
//!
//! Judged as if he were alone, from the peak of each frame: the limiter turns down what is above its ceiling and comes back
//! slowly, so that what follows a peak is softer, too.

use super::loudness::lufs;
use crate::WideFrame;
use crate::limiter::CEILING;

/// Of the way back to one that the limiter's gain goes in a frame: 63 % in 170 ms, as it does.
const RELEASE_PER_FRAME: f32 = 0.11;
/// Share of the mean that a frame of talk is: some 5 s of it count.
const SHARE_PER_FRAME: f32 = 0.004;
/// That of full scale: what is beyond is no voice, and soon forgotten.
const POWER_MAX: f32 = 1.0;
/// More is not made up for: it would go into the limiter, too.
const TAKEN_DB_MAX: f32 = 2.5;

/// What the limiter took from somebody lately.
#[derive(Clone, Debug)]
pub(super) struct Peaks {
    /// The gain that the limiter has now.
    gain: f32,
    /// Mean power of talk before it and after it.
    before: f32,
    after: f32,
}

impl Default for Peaks {
    fn default() -> Self {
        Self {
            gain: 1.0,
            before: 0.0,
            after: 0.0,
        }
    }
}

impl Peaks {
    /// Hears a frame as it leaves: its highest point, its power, and whether it tells something: talk that is
    /// about as loud as it is to be.
    pub(super) fn hear(&mut self, peak: f32, power: f32, tells: bool) {
        let needed = (CEILING / peak.max(CEILING)).max(f32::MIN_POSITIVE);
        self.gain += (1.0 - self.gain) * RELEASE_PER_FRAME;
        self.gain = self.gain.min(needed);
        if tells {
            let power = power.min(POWER_MAX);
            self.before += (power - self.before) * SHARE_PER_FRAME;
            self.after += (power * self.gain * self.gain - self.after) * SHARE_PER_FRAME;
        }
    }

    /// By how much softer his talk came out, in dB.
    pub(super) fn taken_db(&self) -> f32 {
        (lufs(self.before) - lufs(self.after)).clamp(0.0, TAKEN_DB_MAX)
    }
}

/// The highest sample of either ear: of `m + s` and `m - s` the higher is `|m| + |s|`.
pub(super) fn highest(frame: &WideFrame) -> f32 {
    let mid = frame.mid.iter().map(|mid| mid.abs());
    match frame.side.as_deref() {
        None => mid.fold(0.0, f32::max),
        Some(side) => mid
            .zip(side)
            .map(|(mid, side)| mid + side.abs())
            .fold(0.0, f32::max),
    }
}
