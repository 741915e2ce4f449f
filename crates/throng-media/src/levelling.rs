//! Brings every speaker gently to the loudness of the house, so that nobody has to reach for the volume.
//!
//! How loud somebody talks is measured as EBU R 128 measures a programme, over the last seconds in which he talked;
//! his gain follows slowly, and only while he talks. Noise, pauses and steady sounds are not talk: they teach nothing,
//! and a gain that lifts a soft voice does not lift the room behind it. Who becomes much too loud at once is turned down
//! at once. Nothing is delayed: a frame is judged before it leaves. The host's gain, and the limiter, come after; what the
//! limiter takes from a voice with high peaks is made up for.

mod activity;
mod loudness;
mod peaks;
#[cfg(test)]
mod tests;

use self::activity::Activity;
use self::loudness::{KWeighting, TalkLoudness, lufs};
use self::peaks::{Peaks, highest};
use throng_core::rendition::Channels;

use crate::{SILENCE, WideFrame};

/// Where talk is brought to: what podcasts and streams are mixed for (AES TD1008 asks for -18 to -16 where people talk).
pub const TARGET_LUFS: f32 = -16.0;
/// The most that a voice is lifted: one at -30 LUFS comes within a unit of the target. Beyond, more comes up than voice.
pub const GAIN_DB_MAX: f32 = 15.0;
/// The most that a voice is turned down.
pub const GAIN_DB_MIN: f32 = -12.0;

/// In pauses a voice's lift is taken back to this, so that a room is nearly as quiet as it was.
const PAUSE_GAIN_DB_MAX: f32 = 2.0;
/// By how much in a frame the lift goes at the beginning of a pause: 12 dB within 120 ms.
const PAUSE_DB_PER_FRAME: f32 = 2.0;
/// Of what is missing to the wanted gain in a frame: nearly all within 2 s.
const SHARE_PER_FRAME: f32 = 0.04;
/// But upwards no faster than 2.75 dB a second, which is hardly noticed in talk.
const UP_DB_PER_FRAME: f32 = 0.055;
/// And downwards no faster than 8 dB a second.
const DOWN_DB_PER_FRAME: f32 = 0.16;
/// Syllables of a well levelled voice are up to so much above its mean, in 400 ms. What is louder comes as a surprise.
const SURPRISE_LU: f32 = 8.0;
/// By how much in a frame a surprise is turned down: 40 dB a second. The limiter holds what is left.
const SURPRISE_DB_PER_FRAME: f32 = 0.8;
/// A gain that is too high by more says nothing of the peaks that a voice has.
const SETTLED_DB: f32 = 2.0;
/// By how much in a frame the gain goes when levelling is switched off.
const HOME_DB_PER_FRAME: f32 = 0.1;
/// Samples in which a frame gets from the gain of the last one to its own, 5 ms.
const RAMP_SAMPLES: u8 = 240;

/// What levels one speaker.
#[derive(Clone, Debug, Default)]
pub struct Leveller {
    channels: Channels,
    weighting: KWeighting,
    side_weighting: KWeighting,
    activity: Activity,
    loudness: TalkLoudness,
    peaks: Peaks,
    /// The gain of his talk.
    gain_db: f32,
    /// The gain with which the last frame ended.
    applied_db: f32,
}

impl Leveller {
    /// One for a programme of one channel or two. Two ears count twice (BS.1770-4): a voice in the middle of a stereo
    /// programme is as loud as one that sends half the power in mono.
    pub fn of(channels: Channels) -> Self {
        Self {
            channels,
            ..Self::default()
        }
    }

    /// The gain that his talk has now.
    pub fn gain_db(&self) -> f32 {
        self.gain_db
    }

    /// Levels his next frame.
    pub fn level(&mut self, frame: &mut WideFrame) {
        let power = self.power(frame);
        let talks = self.activity.hear(power);
        self.loudness.hear(power, talks);
        let is_settled = talks && self.follow();
        let goal_db = if self.activity.is_pause() {
            self.gain_db.min(PAUSE_GAIN_DB_MAX)
        } else {
            self.gain_db
        };
        let to_db = goal_db.max(self.applied_db - PAUSE_DB_PER_FRAME);
        self.apply(to_db, frame);
        let gain = amplitude(to_db);
        self.peaks
            .hear(highest(frame), power * gain * gain, is_settled);
    }

    /// Lets a frame pass as it is; where it was levelled before, the gain goes back without a jump.
    pub fn pass(&mut self, frame: &mut WideFrame) {
        if self.applied_db == 0.0 {
            return;
        }
        let step = self.applied_db.clamp(-HOME_DB_PER_FRAME, HOME_DB_PER_FRAME);
        self.apply(self.applied_db - step, frame);
        self.gain_db = self.applied_db;
    }

    /// Moves the gain towards what his loudness asks for; whether it was about right.
    fn follow(&mut self) -> bool {
        let mut missing = 0.0;
        if let Some(talk) = self.loudness.of_talk() {
            let wanted = TARGET_LUFS - talk + self.peaks.taken_db();
            missing = wanted.clamp(GAIN_DB_MIN, GAIN_DB_MAX) - self.gain_db;
            self.gain_db += (missing * SHARE_PER_FRAME).clamp(-DOWN_DB_PER_FRAME, UP_DB_PER_FRAME);
        }
        let is_surprise =
            lufs(self.loudness.momentary()) + self.gain_db > TARGET_LUFS + SURPRISE_LU;
        if is_surprise {
            self.gain_db = (self.gain_db - SURPRISE_DB_PER_FRAME).max(GAIN_DB_MIN);
        }
        missing > -SETTLED_DB && !is_surprise
    }

    /// The K-weighted power of all ears.
    fn power(&mut self, frame: &WideFrame) -> f32 {
        let mid = self.weighting.power(&frame.mid);
        match self.channels {
            Channels::Mono => mid,
            Channels::Stereo => {
                let side = frame.side.as_deref().unwrap_or(&SILENCE);
                // Left and right together are twice the middle and the side.
                2.0 * (mid + self.side_weighting.power(side))
            }
        }
    }

    fn apply(&mut self, to_db: f32, frame: &mut WideFrame) {
        let (from, to) = (amplitude(self.applied_db), amplitude(to_db));
        self.applied_db = to_db;
        let mut at = 0;
        frame.scale(|| {
            if at == RAMP_SAMPLES {
                return to;
            }
            at += 1;
            from + (to - from) * f32::from(at - 1) / f32::from(RAMP_SAMPLES)
        });
    }
}

/// 0 dB is exactly one.
fn amplitude(db: f32) -> f32 {
    10_f32.powf(db / 20.0)
}
