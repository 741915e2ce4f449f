//! Decoded sound on its way out: what was decoded, guessed or left silent, joined without a click.
//!
//! Every sample passes one gain that moves but never jumps: down through a long concealment, down at the beginning of
//! a pause, up when sound comes back.

use super::FRAME_SAMPLES;
use crate::codec::OpusDecode;
use crate::{FRAME_LEN, Frame, SILENCE};

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
    gain: f32,
    concealed_in_a_row: i64,
}

impl<D: OpusDecode> Voice<D> {
    pub(super) fn new(decoder: D) -> Self {
        Self {
            decoder,
            pcm: Vec::new(),
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

    /// The sound to come, for time to be taken out of it or put in.
    pub(super) fn pcm_mut(&mut self) -> &mut Vec<f32> {
        &mut self.pcm
    }

    /// Decodes a packet that lasts `samples`; says whether it could be decoded. What cannot is concealed.
    pub(super) fn decode(&mut self, packet: &[u8], samples: i64) -> bool {
        let Ok(decoded) = self.decoder.decode(packet) else {
            self.conceal(samples);
            return false;
        };
        append(&mut self.pcm, &mut self.gain, decoded, 1.0 / RISE_SAMPLES);
        self.concealed_in_a_row = 0;
        true
    }

    /// Puts the lost frame before `following` there, from the copy inside it; says whether there was one.
    pub(super) fn recover(&mut self, following: &[u8]) -> bool {
        let Ok(recovered) = self.decoder.recover(following) else {
            self.conceal(FRAME_SAMPLES);
            return false;
        };
        append(&mut self.pcm, &mut self.gain, recovered, 1.0 / RISE_SAMPLES);
        self.concealed_in_a_row = 0;
        true
    }

    /// Guesses `samples`, fading out once the guess is too old.
    pub(super) fn conceal(&mut self, samples: i64) {
        let samples = count(samples);
        let guess = self
            .decoder
            .conceal(samples.next_multiple_of(CONCEAL_STEP_SAMPLES));
        for &sample in guess.iter().take(samples) {
            self.concealed_in_a_row += 1;
            if self.concealed_in_a_row > CONCEAL_FULL_SAMPLES {
                #[allow(clippy::cast_precision_loss, reason = "2,880 fits")]
                let step = 1.0 / (CONCEAL_MAX_SAMPLES - CONCEAL_FULL_SAMPLES) as f32;
                self.gain = (self.gain - step).max(0.0);
            }
            self.pcm.push(sample * self.gain);
        }
    }

    /// Fades into a pause. It takes 10 ms, or nothing if all is silent already.
    pub(super) fn fade_out(&mut self) {
        if self.gain > 0.0 {
            let guess = self.decoder.conceal(FALL_SAMPLES);
            #[allow(clippy::cast_precision_loss, reason = "480 fits")]
            append(
                &mut self.pcm,
                &mut self.gain,
                guess,
                -1.0 / FALL_SAMPLES as f32,
            );
            self.gain = 0.0;
        }
        self.concealed_in_a_row = 0;
    }

    /// Adds silence; the voice must have faded out.
    pub(super) fn silence(&mut self, samples: i64) {
        self.pcm.resize(self.pcm.len() + count(samples), 0.0);
    }

    /// Drops up to `samples` unheard and fades in what follows; says how many were dropped.
    pub(super) fn skip(&mut self, samples: i64) -> i64 {
        let skipped = samples.min(self.len());
        self.pcm.drain(..count(skipped));
        self.gain = if self.pcm.is_empty() { 0.0 } else { self.gain };
        let mut gain = 0.0;
        for sample in &mut self.pcm {
            *sample *= gain;
            gain = (gain + 1.0 / RISE_SAMPLES).min(1.0);
        }
        skipped
    }

    /// The next frame; what is missing is silence.
    pub(super) fn take_frame(&mut self) -> Frame {
        let mut frame = SILENCE;
        let len = self.pcm.len().min(FRAME_LEN);
        for (to, from) in frame.iter_mut().zip(self.pcm.drain(..len)) {
            *to = from;
        }
        frame
    }
}

/// A number of samples, never negative.
fn count(samples: i64) -> usize {
    usize::try_from(samples).unwrap_or(0)
}

/// Adds samples under a gain that moves by `step` each, within 0 to 1.
fn append(pcm: &mut Vec<f32>, gain: &mut f32, samples: &[f32], step: f32) {
    if step > 0.0 && *gain >= 1.0 {
        return pcm.extend_from_slice(samples);
    }
    pcm.extend(samples.iter().map(|sample| {
        *gain = (*gain + step).clamp(0.0, 1.0);
        sample * *gain
    }));
}
