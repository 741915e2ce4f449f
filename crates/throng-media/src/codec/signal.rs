//! Sound for tests: like speech in what matters to a codec, made from a seed, and the yardsticks to compare it with.

#![allow(
    clippy::cast_precision_loss,
    reason = "sound for tests needs no last digit"
)]

use std::f32::consts::TAU;

use crate::{FRAME_LEN, Frame};

/// Speech-like sound: gliding voices, hisses, sweeps and pauses over a faint noise, peaking near half of full scale.
pub(crate) fn speech(seed: u64, samples: usize) -> Vec<f32> {
    syllables(seed, samples, &[voice, voice, hiss, sweep])
}

/// Hisses alone: what has every frequency.
pub(crate) fn hisses(seed: u64, samples: usize) -> Vec<f32> {
    syllables(seed, samples, &[hiss])
}

/// Vowels alone: what a codec can predict.
pub(crate) fn vowels(seed: u64, samples: usize) -> Vec<f32> {
    syllables(seed, samples, &[voice])
}

type Sound = fn(&mut Chance, &mut [f32]);

fn syllables(seed: u64, samples: usize, kinds: &[Sound]) -> Vec<f32> {
    let mut chance = Chance(seed | 1);
    let mut sound: Vec<f32> = (0..samples).map(|_| chance.noise() * 0.002).collect();
    let mut start = 0;
    while start < samples {
        let length = 4_800 + chance.below(7_200);
        let end = samples.min(start + length);
        let mut syllable = vec![0.0; end - start];
        kinds[chance.below(kinds.len())](&mut chance, &mut syllable);
        for (i, (sample, sound)) in sound[start..end].iter_mut().zip(&syllable).enumerate() {
            *sample += sound * (0.5 - 0.5 * (TAU * i as f32 / length as f32).cos()).sqrt();
        }
        start += length + chance.below(2_400);
    }
    sound
}

fn voice(chance: &mut Chance, out: &mut [f32]) {
    let (start_hz, end_hz) = (100.0 + 150.0 * chance.unit(), 100.0 + 150.0 * chance.unit());
    glide(start_hz, end_hz, out, |phase| {
        (1_u8..30)
            .map(|k| 0.25 * (phase * f32::from(k)).sin() / f32::from(k))
            .sum()
    });
}

fn hiss(chance: &mut Chance, out: &mut [f32]) {
    out.fill_with(|| 0.2 * chance.noise());
}

fn sweep(_: &mut Chance, out: &mut [f32]) {
    glide(200.0, 8_000.0, out, |phase| 0.35 * phase.sin());
}

fn glide(start_hz: f32, end_hz: f32, out: &mut [f32], wave: impl Fn(f32) -> f32) {
    let step_hz = (end_hz - start_hz) / out.len() as f32;
    let (mut phase, mut hz) = (0.0, start_hz);
    for sample in out {
        *sample = wave(phase);
        phase = (phase + TAU * hz / 48_000.0) % TAU;
        hz += step_hz;
    }
}

/// The whole frames of a sound.
pub(crate) fn frames(sound: &[f32]) -> Vec<Frame> {
    sound.as_chunks::<FRAME_LEN>().0.to_vec()
}

/// By how many samples `heard` lags `source`, between -`reach` and `reach`: the peak of their correlation.
pub(crate) fn lag(source: &[f32], heard: &[f32], reach: usize) -> isize {
    let length = source.len().min(heard.len()) - 2 * reach;
    let source = &source[reach..reach + length];
    let correlation = |at: &usize| dot(source, &heard[*at..*at + length]);
    let peak = (0..=2 * reach).max_by(|a, b| correlation(a).total_cmp(&correlation(b)));
    peak.unwrap().cast_signed() - reach.cast_signed()
}

/// Level of the difference below the level of the source, decibels.
pub(crate) fn snr_db(source: &[f32], heard: &[f32]) -> f64 {
    let difference: Vec<f32> = source.iter().zip(heard).map(|(a, b)| a - b).collect();
    10.0 * (dot(source, source) / dot(&difference, &difference).max(f64::MIN_POSITIVE)).log10()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.chunks(4_096)
        .zip(b.chunks(4_096))
        .map(|(a, b)| f64::from(a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>()))
        .sum()
}

/// Chance from a seed (xorshift64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 32).unwrap() % limit
    }

    /// 0 to 1.
    fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 24) as f32
    }

    /// -1 to 1.
    fn noise(&mut self) -> f32 {
        2.0 * self.unit() - 1.0
    }
}
