//! How loud a speaker is, and whether he talks, from his decoded samples: not every client tells (RFC 6464), and none
//! is believed.

use crate::{FRAME_LEN, Frame};

/// The level of silence, dBov: RFC 6464 counts no lower either.
pub const SILENCE_DBOV: f32 = -127.0;

/// Share of the way to a louder frame that a meter goes in one frame: nearly there after 40 ms.
const ATTACK: f32 = 0.7;
/// Share of the way to a quieter frame: a syllable's pause does not empty the meter.
const RELEASE: f32 = 0.1;

/// A level meter (RMS) that rises quickly and falls slowly.
#[derive(Clone, Copy, Debug, Default)]
pub struct Meter {
    power: f32,
}

impl Meter {
    /// Hears the next frame.
    pub fn hear(&mut self, frame: &Frame) {
        let power = power(frame);
        let share = if power > self.power { ATTACK } else { RELEASE };
        self.power += (power - self.power) * share;
    }

    /// The level in dB relative to overload (RFC 6464: a full-scale square wave is 0 dBov).
    pub fn dbov(&self) -> f32 {
        dbov(self.power)
    }
}

/// When a [`Talk`] begins and ends.
#[derive(Clone, Copy, Debug)]
pub struct Thresholds {
    /// A frame at least this loud begins talk, dBov.
    pub open_dbov: f32,
    /// A frame at least this loud prolongs it, dBov.
    pub hold_dbov: f32,
    /// For so many frames talk goes on after the last loud one.
    pub hold_frames: u32,
}

/// Detects talk, with hysteresis: it begins within the frame that is loud enough and ends after a pause.
#[derive(Clone, Copy, Debug)]
pub struct Talk {
    thresholds: Thresholds,
    frames_left: u32,
}

impl Talk {
    /// A detector that has heard silence.
    pub const fn new(thresholds: Thresholds) -> Self {
        Self {
            thresholds,
            frames_left: 0,
        }
    }

    /// Hears the next frame and says whether it belongs to talk.
    pub fn hear(&mut self, frame: &Frame) -> bool {
        let level = dbov(power(frame));
        let needed = if self.frames_left > 0 {
            self.thresholds.hold_dbov
        } else {
            self.thresholds.open_dbov
        };
        self.frames_left = if level >= needed {
            self.thresholds.hold_frames + 1
        } else {
            self.frames_left
        };
        let talks = self.frames_left > 0;
        self.frames_left = self.frames_left.saturating_sub(1);
        talks
    }
}

/// Mean square of a frame.
#[allow(clippy::cast_precision_loss, reason = "960 fits")]
fn power(frame: &Frame) -> f32 {
    frame.iter().map(|sample| sample * sample).sum::<f32>() / FRAME_LEN as f32
}

fn dbov(power: f32) -> f32 {
    (10.0 * power.log10()).clamp(SILENCE_DBOV, 0.0)
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "small numbers"
    )]

    use super::*;
    use crate::SILENCE;

    fn square(level_db: f32) -> Frame {
        let amplitude = 10_f32.powf(level_db / 20.0);
        std::array::from_fn(|i| if i % 96 < 48 { amplitude } else { -amplitude })
    }

    #[test]
    fn a_full_scale_square_wave_is_0_dbov_and_silence_is_minus_127() {
        // RFC 6464, section 3: 0 is the level of a signal at the overload point, -127 is digital silence.
        let mut meter = Meter::default();
        assert!((meter.dbov() - SILENCE_DBOV).abs() < f32::EPSILON);
        for _ in 0..20 {
            meter.hear(&square(0.0));
        }
        assert!(meter.dbov() > -0.01);
        for expected in [-0.5, -0.9, -1.4] {
            meter.hear(&SILENCE);
            assert!(
                (meter.dbov() - expected).abs() < 0.1,
                "falls slowly: {}",
                meter.dbov()
            );
        }
    }

    #[test]
    fn talk_begins_at_once_survives_a_short_pause_and_ends_after_a_long_one() {
        let mut talk = Talk::new(Thresholds {
            open_dbov: -50.0,
            hold_dbov: -56.0,
            hold_frames: 10,
        });
        assert!(!talk.hear(&square(-53.0)), "not loud enough to begin");
        assert!(talk.hear(&square(-40.0)));
        assert!(talk.hear(&square(-53.0)), "loud enough to go on");
        let after = (0..20).take_while(|_| talk.hear(&SILENCE)).count();
        assert_eq!(after, 10);
        assert!(!talk.hear(&square(-53.0)));
    }
}
