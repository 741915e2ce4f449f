//! Whether somebody talks, from the power of his frames: talk goes up and down, noise and tones stay where they are.
//!
//! The floor is the least that was heard in the last three seconds; what is well above it is talk. So a fan, hum, hiss or
//! a steady tone is its own floor from the first frame on, and speech falls to its floor at every closing of the lips.

use super::loudness::{lufs, power_at};

/// Frames under one of the least values that are kept, 0.5 s.
const BUCKET_FRAMES: u32 = 25;
/// Least values kept: those of the last 3 s.
const BUCKETS: usize = 6;
/// Share of the way that the smoothed power goes in a frame: with it, noise is hardly ever far from its own least.
const SMOOTHING: f32 = 0.25;
/// So much above the floor is talk.
const ABOVE_FLOOR_LU: f32 = 9.0;
/// No floor is below this: what little moves in silence is no talk.
const FLOOR_LUFS_MIN: f32 = -64.0;
/// A pause begins so many frames after the last that was talk, 160 ms: closings of the lips are shorter.
const HOLD_FRAMES: u32 = 8;

/// Tells talk from the rest.
#[derive(Clone, Debug, Default)]
pub(super) struct Activity {
    smoothed: Option<f32>,
    /// The newest is first.
    least: [Option<f32>; BUCKETS],
    frames_in_bucket: u32,
    hold_frames_left: u32,
}

impl Activity {
    /// Hears the power of the next frame, and says whether it is talk.
    pub(super) fn hear(&mut self, power: f32) -> bool {
        let before = self.smoothed.unwrap_or(power);
        let smoothed = before + (power - before) * SMOOTHING;
        self.smoothed = Some(smoothed);
        self.keep_least(smoothed);
        let talks = lufs(power) >= self.floor_lufs() + ABOVE_FLOOR_LU;
        self.hold_frames_left = if talks {
            HOLD_FRAMES
        } else {
            self.hold_frames_left.saturating_sub(1)
        };
        talks
    }

    /// Whether he has stopped talking.
    pub(super) fn is_pause(&self) -> bool {
        self.hold_frames_left == 0
    }

    fn keep_least(&mut self, smoothed: f32) {
        if self.frames_in_bucket == BUCKET_FRAMES {
            self.frames_in_bucket = 0;
            self.least.rotate_right(1);
            self.least[0] = None;
        }
        self.frames_in_bucket += 1;
        let least = self.least[0].get_or_insert(smoothed);
        *least = least.min(smoothed);
    }

    fn floor_lufs(&self) -> f32 {
        let floor = self.least.iter().flatten().copied().reduce(f32::min);
        lufs(floor.unwrap_or(0.0).max(power_at(FLOOR_LUFS_MIN)))
    }
}
