//! Sound for tests: like speech in what matters to a codec, made from a seed, and the yardsticks to compare it with.

use std::f32::consts::TAU;

use crate::{FRAME_LEN, Frame};

/// Speech-like sound: gliding voices, hisses, sweeps and pauses over a faint noise, peaking near half of full scale.
pub(crate) fn speech(seed: u64, samples: usize) -> Vec<f32> {
    let mut chance = Chance(seed | 1);
    let mut sound: Vec<f32> = (0..samples).map(|_| chance.noise() * 0.002).collect();
    let mut start = 0;
    while start < samples {
        let length = 4_800 + chance.below(7_200);
        let end = samples.min(start + length);
        syllable(&mut chance, &mut sound[start..end]);
        start += length + chance.below(2_400);
    }
    sound
}

fn syllable(chance: &mut Chance, out: &mut [f32]) {
    let kind = chance.below(4);
    let pitch_hz = 100.0 + 150.0 * chance.unit();
    let glide = 0.6 + 0.8 * chance.unit();
    let length = out.len() as f32;
    let mut phase = 0.0;
    for (i, sample) in out.iter_mut().enumerate() {
        let place = i as f32 / length;
        let envelope = (0.5 - 0.5 * (TAU * place).cos()).sqrt();
        let hz = pitch_hz * (1.0 + (glide - 1.0) * place);
        let sound = match kind {
            0 => 0.2 * chance.noise(),
            1 => {
                phase += TAU * (200.0 + 7_800.0 * place) / 48_000.0;
                0.35 * phase.sin()
            }
            _ => {
                phase += TAU * hz / 48_000.0;
                (1_u8..30)
                    .map(|k| 0.25 * (phase * f32::from(k)).sin() / f32::from(k))
                    .sum()
            }
        };
        *sample += envelope * sound;
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
