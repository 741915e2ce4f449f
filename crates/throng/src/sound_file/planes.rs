//! A sound on its way to 48 kHz: its middle and, where two channels are wanted, its side.

use throng_core::rendition::Channels;

use super::SoundFileError;
use super::resample::Resampler;

/// Sound at 48 kHz by its middle, half of left and right together, and its side, half of left less right.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WideSound {
    /// All there is in mono.
    pub mid: Vec<f32>,
    /// As long as the middle, or empty in mono.
    pub side: Vec<f32>,
}

impl WideSound {
    /// Adds samples that interleave so many channels. What is not a number becomes silence.
    pub(super) fn take_in(&mut self, wanted: Channels, interleaved: &[f32], channels: usize) {
        mix_down(interleaved, channels, &mut self.mid);
        if !wanted.is_stereo() {
            return;
        }
        self.side
            .extend(interleaved.chunks_exact(channels).map(|frame| {
                let right = frame.get(1).copied().unwrap_or(frame[0]);
                let side = (frame[0] - right) / 2.0;
                if side.is_finite() { side } else { 0.0 }
            }));
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.mid.clear();
        self.side.clear();
    }
}

/// What converts both planes, in step.
pub(super) struct Planes {
    mid: Resampler,
    side: Option<Resampler>,
}

impl Planes {
    /// For a stream of the given rate. `name` is for errors.
    pub(super) fn new(name: &str, wanted: Channels, rate_hz: u32) -> Result<Self, SoundFileError> {
        let resampler = || Resampler::new(name, rate_hz);
        let side = wanted.is_stereo().then(resampler);
        Ok(Self {
            mid: resampler()?,
            side: side.transpose()?,
        })
    }

    /// Takes samples, adds those that are ready.
    pub(super) fn push(&mut self, sound: &WideSound, out: &mut WideSound) {
        self.mid.push(&sound.mid, &mut out.mid);
        if let Some(side) = &mut self.side {
            side.push(&sound.side, &mut out.side);
        }
    }

    /// Adds what is left.
    pub(super) fn finish(self, out: &mut WideSound) {
        self.mid.finish(&mut out.mid);
        if let Some(side) = self.side {
            side.finish(&mut out.side);
        }
    }
}

/// One channel out of many, interleaved. What is not a number becomes silence.
pub(crate) fn mix_down(interleaved: &[f32], channels: usize, mono: &mut Vec<f32>) {
    #[expect(clippy::cast_precision_loss, reason = "channels are few")]
    let share = 1.0 / channels as f32;
    mono.extend(interleaved.chunks_exact(channels).map(|frame| {
        let mixed = frame.iter().sum::<f32>() * share;
        if mixed.is_finite() { mixed } else { 0.0 }
    }));
}
