//! The last thing that touches the programme: a peak limiter that looks ahead, so that no encoder ever clips.
//!
//! Sound below the ceiling passes bit for bit, late by [`LATENCY_SAMPLES`]. A peak, also one between two samples (found
//! by fourfold interpolation), is met by a gain that is down in time: the least gain needed by any sample ahead,
//! smoothed over the look-ahead. Gain is held in whole numbers, so that it returns to exactly one. Input may be
//! anything, NaN and infinity too; output is always within the ceiling. Both ears have one gain, so that nothing moves
//! from its place.

use std::collections::VecDeque;

use throng_core::rendition::Channels;

use crate::{SILENCE, WideFrame};

/// By how much the output is later than the input, 5 ms.
pub const LATENCY_SAMPLES: usize = 240;

/// The highest output, -1.06 dBFS: lossy codecs overshoot by about that much, and a true-peak meter that looks between samples
/// at other points than we do finds no more than -1 dBTP.
pub const CEILING: f32 = 0.885;

/// Input beyond this (36 dB over) is held there; no sum of voices comes near.
const INPUT_MAX: f32 = 64.0;
/// Points between two samples at which a peak is looked for, beside the sample itself.
const BETWEEN: usize = 3;
/// Taps of the interpolator: flat to about 18 kHz.
const TAPS: usize = 12;
/// Samples ahead of a point that its interpolation needs.
const TAPS_AHEAD: usize = TAPS / 2;
/// Gains that are averaged: what is left of the look-ahead after interpolation, less one for the sample after a peak.
const SMOOTHED: usize = LATENCY_SAMPLES - TAPS_AHEAD;
/// A needed gain is held so long that it is in every average that its sample, or the next, passes.
const HELD: u64 = SMOOTHED as u64 + 2;
/// Gain one.
const UNITY: u32 = 1 << 30;
/// Of the way back to one, 1/2^13 in each sample: 63 % in 170 ms.
const RELEASE_SHIFT: u32 = 13;

/// The limiter.
#[derive(Clone, Debug)]
pub struct Limiter {
    /// The input that is not put out yet.
    delayed: VecDeque<f32>,
    /// Its side, in stereo; else empty.
    delayed_side: VecDeque<f32>,
    taps: [[f32; TAPS]; BETWEEN],
    /// (sample number, needed gain) rising in both: the first is the least of the held.
    needed: VecDeque<(u64, u32)>,
    released: u32,
    smoothed: VecDeque<u32>,
    sum: u64,
    samples: u64,
}

impl Default for Limiter {
    fn default() -> Self {
        Self::new()
    }
}

impl Limiter {
    /// A limiter of one channel that has heard silence.
    pub fn new() -> Self {
        Self::of(Channels::Mono)
    }

    /// The same of one channel or two.
    pub fn of(channels: Channels) -> Self {
        let side = if channels.is_stereo() {
            LATENCY_SAMPLES
        } else {
            0
        };
        Self {
            delayed: VecDeque::from(vec![0.0; LATENCY_SAMPLES]),
            delayed_side: VecDeque::from(vec![0.0; side]),
            taps: interpolator(),
            needed: VecDeque::with_capacity(SMOOTHED + 2),
            released: UNITY,
            smoothed: VecDeque::from(vec![UNITY; SMOOTHED]),
            sum: u64::from(UNITY) * SMOOTHED as u64,
            samples: 0,
        }
    }

    /// Limits samples in place; they come out [`LATENCY_SAMPLES`] later.
    pub fn process(&mut self, samples: &mut [f32]) {
        for sample in samples {
            *sample = self.step(*sample);
        }
    }

    /// Limits a frame in place, in as many channels as the limiter has.
    pub fn process_wide(&mut self, frame: &mut WideFrame) {
        if self.delayed_side.is_empty() {
            frame.side = None;
            return self.process(&mut frame.mid);
        }
        let mut side = frame.side.take().map_or(SILENCE, |side| *side);
        for (mid, side) in frame.mid.iter_mut().zip(&mut side) {
            (*mid, *side) = self.step_wide(*mid, *side);
        }
        *frame = WideFrame::new(frame.mid, side);
    }

    fn step(&mut self, input: f32) -> f32 {
        let output = later(&mut self.delayed, input);
        let needed = needed_gain(self.peak());
        let gain = self.smooth(needed);
        (output * gain).clamp(-CEILING, CEILING)
    }

    fn step_wide(&mut self, mid: f32, side: f32) -> (f32, f32) {
        let mid = later(&mut self.delayed, mid);
        let side = later(&mut self.delayed_side, side);
        let needed = needed_gain(self.peak());
        let gain = self.smooth(needed);
        let (mid, side) = (mid * gain, side * gain);
        if mid.abs() + side.abs() <= CEILING {
            return (mid, side);
        }
        let left = (mid + side).clamp(-CEILING, CEILING);
        let right = (mid - side).clamp(-CEILING, CEILING);
        (f32::midpoint(left, right), (left - right) / 2.0)
    }

    /// The highest point of either ear between the sample that now has its look-ahead and the one after it: of `m + s` and
    /// `m - s` the higher is `|m| + |s|`.
    fn peak(&self) -> f32 {
        let mut points = self.points(&self.delayed);
        if !self.delayed_side.is_empty() {
            let side = self.points(&self.delayed_side);
            for (point, side) in points.iter_mut().zip(side) {
                *point += side;
            }
        }
        points.into_iter().fold(0.0, f32::max)
    }

    /// How high the sample is that now has its look-ahead, and the points between it and the next.
    fn points(&self, delayed: &VecDeque<f32>) -> [f32; BETWEEN + 1] {
        let newest = delayed.len();
        let mut around = [0.0; TAPS];
        for (to, &from) in around.iter_mut().zip(delayed.range(newest - TAPS..)) {
            *to = from;
        }
        core::array::from_fn(|point| match point.checked_sub(1) {
            None => around[TAPS - 1 - TAPS_AHEAD].abs(),
            Some(between) => {
                let taps = self.taps[between].iter().zip(&around);
                taps.map(|(tap, x)| tap * x).sum::<f32>().abs()
            }
        })
    }

    /// From the gain that a sample needs to the gain of the sample that leaves now.
    fn smooth(&mut self, needed: u32) -> f32 {
        while self
            .needed
            .back()
            .is_some_and(|&(_, later)| later >= needed)
        {
            self.needed.pop_back();
        }
        self.needed.push_back((self.samples, needed));
        while self
            .needed
            .front()
            .is_some_and(|&(then, _)| then + HELD <= self.samples)
        {
            self.needed.pop_front();
        }
        self.samples += 1;
        let least = self.needed.front().map_or(UNITY, |&(_, gain)| gain);
        let back = ((UNITY - self.released) >> RELEASE_SHIFT).max(1);
        self.released = least.min(self.released.saturating_add(back)).min(UNITY);
        self.smoothed.push_back(self.released);
        let oldest = self.smoothed.pop_front().unwrap_or(UNITY);
        self.sum = self.sum + u64::from(self.released) - u64::from(oldest);
        #[allow(
            clippy::cast_precision_loss,
            reason = "half a step of f32 is far below hearing; one is exact"
        )]
        let gain = self.sum as f32 / (u64::from(UNITY) * SMOOTHED as u64) as f32;
        gain
    }
}

/// Takes a sample, and gives that of [`LATENCY_SAMPLES`] before.
fn later(delayed: &mut VecDeque<f32>, input: f32) -> f32 {
    let input = if input.is_nan() {
        0.0
    } else {
        input.clamp(-INPUT_MAX, INPUT_MAX)
    };
    delayed.push_back(input);
    delayed.pop_front().unwrap_or(0.0)
}

fn needed_gain(peak: f32) -> u32 {
    if peak <= CEILING {
        return UNITY;
    }
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "between 0 and 2^30"
    )]
    let gain = (CEILING / peak * UNITY as f32) as u32;
    gain
}

/// Windowed sinc filters for the points 1/4, 2/4 and 3/4 after the middle sample.
fn interpolator() -> [[f32; TAPS]; BETWEEN] {
    use core::f32::consts::PI;
    core::array::from_fn(|point| {
        core::array::from_fn(|tap| {
            #[allow(clippy::cast_precision_loss, reason = "small numbers")]
            let distance = tap as f32
                - (TAPS - 1 - TAPS_AHEAD) as f32
                - (point + 1) as f32 / (BETWEEN + 1) as f32;
            #[allow(clippy::cast_precision_loss, reason = "small numbers")]
            let window = (PI * distance / TAPS as f32).cos().powi(2);
            (PI * distance).sin() / (PI * distance) * window
        })
    })
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "small numbers"
    )]

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_input_leaves_within_the_ceiling(bits in prop::collection::vec(any::<u32>(), 1..2_000)) {
            let mut limiter = Limiter::new();
            let mut samples: Vec<f32> = bits.into_iter().map(f32::from_bits).collect();
            limiter.process(&mut samples);
            prop_assert!(samples.iter().all(|sample| sample.abs() <= CEILING));
            let mut calm = vec![0.5; 120_000];
            limiter.process(&mut calm);
            prop_assert_eq!(calm.last(), Some(&0.5), "and it recovers entirely");
        }
    }

    #[test]
    fn sound_below_the_ceiling_passes_bit_for_bit_and_late_by_the_latency() {
        let input: Vec<f32> = (0..48_000)
            .map(|i| (i as f32 * 0.05).sin() * 0.85)
            .collect();
        let mut output = input.clone();
        Limiter::new().process(&mut output);
        assert_eq!(output[LATENCY_SAMPLES..], input[..48_000 - LATENCY_SAMPLES]);
    }

    #[test]
    fn a_loud_tone_is_turned_down_not_clipped() {
        // +9 dB over full scale, 997 Hz: after the first instant it is a clean tone at the ceiling.
        let tone = |i: usize| (i as f32 * 997.0 / 48_000.0 * std::f32::consts::TAU).sin();
        let mut output: Vec<f32> = (0..48_000).map(|i| tone(i) * 2.8).collect();
        Limiter::new().process(&mut output);
        let steady = &output[4_800..];
        let amplitude = steady
            .iter()
            .zip(4_800 - LATENCY_SAMPLES..)
            .map(|(y, i)| y * tone(i))
            .sum::<f32>()
            * 2.0
            / steady.len() as f32;
        let residue = steady
            .iter()
            .zip(4_800 - LATENCY_SAMPLES..)
            .map(|(y, i)| (y - amplitude * tone(i)).powi(2));
        let distortion_db =
            10.0 * (residue.sum::<f32>() / steady.iter().map(|y| y * y).sum::<f32>()).log10();
        assert!(amplitude > 0.87, "{amplitude}");
        assert!(distortion_db < -50.0, "{distortion_db}");
    }

    #[test]
    fn in_stereo_the_louder_ear_decides_and_both_are_turned_down_alike() {
        // All of it in the left ear, 6 dB over full scale.
        let tone = |i: usize| (i as f32 * 997.0 / 48_000.0 * std::f32::consts::TAU).sin();
        let mut limiter = Limiter::of(Channels::Stereo);
        let mut loudest = 0.0_f32;
        for frame in 0..100 {
            let half = core::array::from_fn(|i| tone(frame * 960 + i));
            let mut wide = WideFrame::new(half, half);
            limiter.process_wide(&mut wide);
            let side = wide.side.as_deref().unwrap();
            for (mid, side) in wide.mid.iter().zip(side) {
                assert_eq!(mid.to_bits(), side.to_bits(), "the right ear is silent");
                loudest = loudest.max(mid + side);
            }
        }
        assert!((0.86..=CEILING).contains(&loudest), "{loudest}");
        let mut rest = [WideFrame::SILENCE, WideFrame::SILENCE];
        for frame in &mut rest {
            limiter.process_wide(frame);
        }
        assert!(rest[0].side.is_some(), "what was late comes still");
        assert!(rest[1].is_silent() && rest[1].side.is_none());
    }

    #[test]
    fn a_peak_between_two_samples_is_found() {
        // A quarter of the sample rate, 45 degrees off: the samples are 3 dB below the wave's peaks.
        let mut output: Vec<f32> = (0..9_600)
            .map(|i| {
                (i as f32 * std::f32::consts::FRAC_PI_2 + std::f32::consts::FRAC_PI_4).sin() * 1.2
            })
            .collect();
        assert!(output.iter().all(|x| x.abs() < CEILING));
        Limiter::new().process(&mut output);
        let sample = output[9_000].abs();
        let peak = sample * std::f32::consts::SQRT_2;
        assert!((0.85..0.93).contains(&peak), "true peak {peak}");
    }
}
