//! Decoded sound on its way out: what was decoded, guessed or left silent, joined without a click.
//!
//! Every sample passes one gain that moves but never jumps: down through a long concealment, down at the beginning of
//! a pause, up when sound comes back.

use super::{FRAME_SAMPLES, stretch};
use crate::codec::OpusDecode;
use crate::{FRAME_LEN, Frame, SILENCE, WideFrame};

/// Samples that a fade-in takes, 5 ms.
const RISE_SAMPLES: f32 = 240.0;
/// Samples that the fade into a pause takes, 10 ms.
const FALL_SAMPLES: usize = 480;
/// How long concealment is heard in full, 60 ms: a vowel can be guessed for about that long before it buzzes.
const CONCEAL_FULL_SAMPLES: i64 = 2_880;
/// When concealment has faded to silence, 120 ms.
pub(super) const CONCEAL_MAX_SAMPLES: i64 = 5_760;
/// Opus conceals in steps of 2.5 ms.
const CONCEAL_STEP_SAMPLES: usize = 120;

/// One speaker's sound.
pub(super) struct Voice<D> {
    decoder: D,
    /// Sound to come. At most what a tick wants (2 frames) and one packet (120 ms).
    pcm: Vec<f32>,
    /// Its side, as long, where the decoder has two channels; else empty. Whatever is done to the one is done to the other.
    side: Vec<f32>,
    gain: f32,
    concealed_in_a_row: i64,
}

impl<D: OpusDecode> Voice<D> {
    pub(super) fn new(decoder: D) -> Self {
        Self {
            decoder,
            pcm: Vec::new(),
            side: Vec::new(),
            gain: 0.0,
            concealed_in_a_row: 0,
        }
    }

    /// Samples to come.
    #[allow(clippy::cast_possible_wrap, reason = "a few thousand")]
    pub(super) fn len(&self) -> i64 {
        self.pcm.len() as i64
    }

    /// Samples concealed since the last real sound.
    pub(super) fn concealed_in_a_row(&self) -> i64 {
        self.concealed_in_a_row
    }

    /// The sound to come, in one channel.
    pub(super) fn pcm(&self) -> &[f32] {
        &self.pcm
    }

    /// Takes a period of time out of the sound to come.
    pub(super) fn shrink(&mut self, period: usize) {
        stretch::shrink(&mut self.pcm, period);
        if self.has_side() {
            stretch::shrink(&mut self.side, period);
        }
    }

    /// Puts a period in.
    pub(super) fn stretch(&mut self, period: usize) {
        stretch::stretch(&mut self.pcm, period);
        if self.has_side() {
            stretch::stretch(&mut self.side, period);
        }
    }

    /// Decodes a packet that lasts `samples`; says whether it could be decoded. What cannot is concealed.
    pub(super) fn decode(&mut self, packet: &[u8], samples: i64) -> bool {
        let Ok(decoded) = self.decoder.decode(packet) else {
            self.conceal(samples);
            return false;
        };
        let fade = Fade::to_one(self.gain);
        self.gain = append(&mut self.pcm, decoded, fade);
        self.append_side(fade);
        self.concealed_in_a_row = 0;
        true
    }

    /// Puts the lost frame before `following` there, from the copy inside it; says whether there was one.
    pub(super) fn recover(&mut self, following: &[u8]) -> bool {
        let Ok(recovered) = self.decoder.recover(following) else {
            self.conceal(FRAME_SAMPLES);
            return false;
        };
        let fade = Fade::to_one(self.gain);
        self.gain = append(&mut self.pcm, recovered, fade);
        self.append_side(fade);
        self.concealed_in_a_row = 0;
        true
    }

    /// Guesses `samples`, fading out once the guess is too old.
    pub(super) fn conceal(&mut self, samples: i64) {
        let samples = count(samples);
        let guess = self
            .decoder
            .conceal(samples.next_multiple_of(CONCEAL_STEP_SAMPLES));
        let (before, mut aging) = (self.gain, self.concealed_in_a_row);
        for &sample in guess.iter().take(samples) {
            aged(&mut self.gain, &mut self.concealed_in_a_row);
            self.pcm.push(sample * self.gain);
        }
        let mut gain = before;
        for &sample in self.decoder.side().into_iter().flatten().take(samples) {
            aged(&mut gain, &mut aging);
            self.side.push(sample * gain);
        }
    }

    /// Fades into a pause. It takes 10 ms, or nothing if all is silent already.
    pub(super) fn fade_out(&mut self) {
        if self.gain > 0.0 {
            let guess = self.decoder.conceal(FALL_SAMPLES);
            let fade = Fade::to_silence(self.gain);
            append(&mut self.pcm, guess, fade);
            self.append_side(fade);
            self.gain = 0.0;
        }
        self.concealed_in_a_row = 0;
    }

    /// Adds silence; the voice must have faded out.
    pub(super) fn silence(&mut self, samples: i64) {
        self.pcm.resize(self.pcm.len() + count(samples), 0.0);
        if self.has_side() {
            self.side.resize(self.pcm.len(), 0.0);
        }
    }

    /// Drops up to `samples` unheard and fades in what follows; says how many were dropped.
    pub(super) fn skip(&mut self, samples: i64) -> i64 {
        let skipped = samples.min(self.len());
        for plane in [&mut self.pcm, &mut self.side] {
            plane.drain(..count(skipped).min(plane.len()));
            let mut gain = 0.0;
            for sample in plane {
                *sample *= gain;
                gain = (gain + 1.0 / RISE_SAMPLES).min(1.0);
            }
        }
        self.gain = if self.pcm.is_empty() { 0.0 } else { self.gain };
        skipped
    }

    /// The next frame; what is missing is silence.
    pub(super) fn take_frame(&mut self) -> WideFrame {
        let mid = take(&mut self.pcm);
        if self.has_side() {
            WideFrame::new(mid, take(&mut self.side))
        } else {
            mid.into()
        }
    }

    fn has_side(&self) -> bool {
        self.decoder.side().is_some()
    }

    /// Adds the side of what the decoder has put out last, under the gain of its middle.
    fn append_side(&mut self, fade: Fade) {
        if let Some(side) = self.decoder.side() {
            append(&mut self.side, side, fade);
        }
    }
}

/// A gain that moves by so much with each sample, within 0 to 1.
#[derive(Clone, Copy)]
struct Fade {
    gain: f32,
    step: f32,
}

impl Fade {
    fn to_one(gain: f32) -> Self {
        Self {
            gain,
            step: 1.0 / RISE_SAMPLES,
        }
    }

    fn to_silence(gain: f32) -> Self {
        #[allow(clippy::cast_precision_loss, reason = "480 fits")]
        let step = -1.0 / FALL_SAMPLES as f32;
        Self { gain, step }
    }
}

/// The gain of a guess's next sample.
fn aged(gain: &mut f32, concealed_in_a_row: &mut i64) {
    *concealed_in_a_row += 1;
    if *concealed_in_a_row > CONCEAL_FULL_SAMPLES {
        #[allow(clippy::cast_precision_loss, reason = "2,880 fits")]
        let step = 1.0 / (CONCEAL_MAX_SAMPLES - CONCEAL_FULL_SAMPLES) as f32;
        *gain = (*gain - step).max(0.0);
    }
}

/// Removes a frame; what is missing is silence.
fn take(plane: &mut Vec<f32>) -> Frame {
    let mut frame = SILENCE;
    let len = plane.len().min(FRAME_LEN);
    for (to, from) in frame.iter_mut().zip(plane.drain(..len)) {
        *to = from;
    }
    frame
}

/// A number of samples, never negative.
fn count(samples: i64) -> usize {
    usize::try_from(samples).unwrap_or(0)
}

/// Adds samples under a gain that moves; says where it has got to.
fn append(plane: &mut Vec<f32>, samples: &[f32], fade: Fade) -> f32 {
    let Fade { mut gain, step } = fade;
    if step > 0.0 && gain >= 1.0 {
        plane.extend_from_slice(samples);
        return gain;
    }
    plane.extend(samples.iter().map(|sample| {
        gain = (gain + step).clamp(0.0, 1.0);
        sample * gain
    }));
    gain
}
