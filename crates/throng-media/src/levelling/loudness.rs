//! Loudness as ITU-R BS.1770 and EBU R 128 define it, of what one speaker said lately.
//!
//! Frames are K-weighted; blocks of 400 ms begin every 100 ms; of the blocks kept, those more than 10 LU below their mean
//! do not count. Blocks are those of talk alone, and the oldest make room for new ones: somebody who has moved away from
//! his microphone is another voice ten seconds of talk later, not sooner.

use std::collections::VecDeque;

use crate::{FRAME_LEN, Frame};

/// Blocks kept: 10 s of talk. The oldest goes.
const BLOCKS_MAX: usize = 100;
/// Fewer say nothing yet: 700 ms.
const BLOCKS_MIN: usize = 4;
/// Frames of a block, 400 ms (BS.1770-4, annex 1).
const BLOCK_FRAMES: usize = 20;
/// Frames from the beginning of a block to that of the next, 100 ms.
const STEP_FRAMES: usize = 5;
/// Frames of a block that are talk, at least: R 128 counts pauses in talk, too, down to its gate.
const TALK_FRAMES_MIN: usize = 5;
/// A block quieter than this is no talk that anybody could want to hear.
const QUIETEST_LUFS: f32 = -50.0;
/// The relative gate (BS.1770-4, annex 1).
const GATE_LU: f32 = -10.0;
/// Takes back what the filters add at 997 Hz (BS.1770-4, annex 1).
const OFFSET_LU: f32 = -0.691;
/// What a filter holds below this is nothing, 600 dB down. Left to itself it never comes to zero but stays at numbers so
/// small (subnormal ones) that a processor takes many times as long for each of them.
const NOTHING: f64 = 1e-30;

/// The loudness of a K-weighted power.
pub(super) fn lufs(power: f32) -> f32 {
    OFFSET_LU + 10.0 * power.max(f32::MIN_POSITIVE).log10()
}

/// The K-weighted power of a loudness.
pub(super) fn power_at(lufs: f32) -> f32 {
    10_f32.powf((lufs - OFFSET_LU) / 10.0)
}

/// The two filters of K-weighting: of the head, and of the low end.
#[derive(Clone, Debug, Default)]
pub(super) struct KWeighting {
    shelf: Biquad,
    high_pass: Biquad,
}

impl KWeighting {
    /// The mean square of the next frame, weighted.
    pub(super) fn power(&mut self, frame: &Frame) -> f32 {
        let squares = frame.iter().map(|&sample| {
            let shelved = self.shelf.step(&SHELF, f64::from(sample));
            let weighted = self.high_pass.step(&HIGH_PASS, shelved);
            weighted * weighted
        });
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            reason = "a power needs no more than f32"
        )]
        let power = (squares.sum::<f64>() / FRAME_LEN as f64) as f32;
        self.shelf.settle();
        self.high_pass.settle();
        if power.is_finite() {
            return power;
        }
        // What is no number would stay in the filters for ever.
        *self = Self::default();
        0.0
    }
}

/// Coefficients at 48 kHz: b0, b1, b2, a1, a2 (BS.1770-4, tables 1 and 2).
const SHELF: [f64; 5] = [
    1.535_124_859_586_97,
    -2.691_696_189_406_38,
    1.198_392_810_852_85,
    -1.690_659_293_182_41,
    0.732_480_774_215_85,
];
const HIGH_PASS: [f64; 5] = [1.0, -2.0, 1.0, -1.990_047_454_833_98, 0.990_072_250_366_21];

#[derive(Clone, Debug, Default)]
struct Biquad {
    held: [f64; 2],
}

impl Biquad {
    /// Transposed direct form II.
    fn step(&mut self, &[b0, b1, b2, a1, a2]: &[f64; 5], input: f64) -> f64 {
        let output = b0 * input + self.held[0];
        self.held = [
            b1 * input - a1 * output + self.held[1],
            b2 * input - a2 * output,
        ];
        output
    }

    /// Comes to zero where it is as good as there.
    fn settle(&mut self) {
        for held in &mut self.held {
            if held.abs() < NOTHING {
                *held = 0.0;
            }
        }
    }
}

/// How loud somebody talks.
#[derive(Clone, Debug, Default)]
pub(super) struct TalkLoudness {
    /// Power of the last frames, and whether each was talk; at most a block.
    frames: VecDeque<(f32, bool)>,
    frames_since_block: usize,
    /// Powers of the last blocks of talk, at most [`BLOCKS_MAX`].
    blocks: VecDeque<f32>,
    of_talk: Option<f32>,
}

impl TalkLoudness {
    /// Hears the power of the next frame.
    pub(super) fn hear(&mut self, power: f32, talks: bool) {
        if self.frames.len() == BLOCK_FRAMES {
            self.frames.pop_front();
        }
        self.frames.push_back((power, talks));
        self.frames_since_block += 1;
        if self.frames.len() == BLOCK_FRAMES && self.frames_since_block >= STEP_FRAMES {
            self.frames_since_block = 0;
            self.take_block();
        }
    }

    /// His loudness, once he has talked a little.
    pub(super) fn of_talk(&self) -> Option<f32> {
        self.of_talk
    }

    /// The power of the last 400 ms.
    #[allow(clippy::cast_precision_loss, reason = "20 fits")]
    pub(super) fn momentary(&self) -> f32 {
        self.frames.iter().map(|(power, _)| power).sum::<f32>() / BLOCK_FRAMES as f32
    }

    fn take_block(&mut self) {
        let block = self.momentary();
        let talked = self.frames.iter().filter(|(_, talks)| *talks).count();
        if talked < TALK_FRAMES_MIN || lufs(block) < QUIETEST_LUFS {
            return;
        }
        if self.blocks.len() == BLOCKS_MAX {
            self.blocks.pop_front();
        }
        self.blocks.push_back(block);
        if self.blocks.len() >= BLOCKS_MIN {
            let gate = mean(self.blocks.iter().copied()) * 10_f32.powf(GATE_LU / 10.0);
            let loud = self.blocks.iter().copied().filter(|&block| block > gate);
            self.of_talk = Some(lufs(mean(loud)));
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "at most 100")]
fn mean(powers: impl Iterator<Item = f32> + Clone) -> f32 {
    let count = powers.clone().count().max(1);
    powers.sum::<f32>() / count as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SILENCE;

    #[test]
    fn after_sound_the_filters_come_to_rest() {
        let mut weighting = KWeighting::default();
        let tone = core::array::from_fn(|at| if at % 96 < 48 { 0.5 } else { -0.5 });
        for _ in 0..50 {
            assert!(weighting.power(&tone) > 0.0);
        }
        for _ in 0..500 {
            weighting.power(&SILENCE);
        }
        let held = [weighting.shelf.held, weighting.high_pass.held];
        assert!(held.iter().flatten().all(|&held| held == 0.0), "{held:?}");
    }
}
