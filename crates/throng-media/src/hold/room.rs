//! The room in which the hold programme is played: an echo, a hall and the tone of the whole.
//!
//! Each effect is a function of one sample with memory. [`around`] runs it through the end of the loop first, so that
//! its memory at the beginning is what the end left there: tails ring on across the seam.

use super::RATE_HZ;
use super::instruments::samples;

/// How much of the end is played into an effect before the beginning; by then its memory of silence is 70 dB down.
const WARM_UP_SECONDS: f32 = 6.0;

/// Applies an effect to a loop.
pub(super) fn around(track: &mut [f32], mut effect: impl FnMut(f32) -> f32) {
    let warm_up = samples(WARM_UP_SECONDS).min(track.len());
    for &sample in &track[track.len() - warm_up..] {
        effect(sample);
    }
    for sample in track {
        *sample = effect(*sample);
    }
}

/// Repeats that come back darker and softer.
pub(super) fn echo(delay: usize, feedback: f32, level: f32) -> impl FnMut(f32) -> f32 {
    let mut line = Line::new(delay);
    let mut dark = LowPass::new(2_200.0);
    move |sample| {
        let heard = dark.next(line.oldest());
        line.push(sample + feedback * heard);
        sample + level * heard
    }
}

/// Delay lines of the hall, in samples: primes, so that their echoes do not fall together.
const HALL_LINES: [usize; 8] = [1_423, 1_777, 1_949, 2_269, 2_647, 3_001, 3_307, 3_739];
/// Time in which the hall fades by 60 dB.
const HALL_FADE_SECONDS: f32 = 2.3;

/// A feedback delay network with a Householder matrix (Jot): a mid-sized, dark hall.
pub(super) fn hall(level: f32) -> impl FnMut(f32) -> f32 {
    let mut lines = HALL_LINES.map(Line::new);
    let mut darks = HALL_LINES.map(|_| LowPass::new(3_600.0));
    let fades = HALL_LINES.map(|len| {
        let passes_per_fade =
            HALL_FADE_SECONDS * RATE_HZ / f32::from(u16::try_from(len).expect("a line is short"));
        10_f32.powf(-3.0 / passes_per_fade)
    });
    let mut before = Line::new(samples(0.022));
    move |sample| {
        let entering = before.oldest();
        before.push(sample);
        let mut heard = [0.0; 8];
        for place in 0..8 {
            heard[place] = fades[place] * darks[place].next(lines[place].oldest());
        }
        let reflected = heard.iter().sum::<f32>() * 0.25;
        for (line, heard) in lines.iter_mut().zip(heard) {
            line.push(entering + heard - reflected);
        }
        let alternating: f32 = heard.chunks_exact(2).map(|pair| pair[0] - pair[1]).sum();
        sample + level * alternating
    }
}

/// The tone of the whole: no rumble, no hiss, and peaks that bend rather than break.
pub(super) fn tone() -> impl FnMut(f32) -> f32 {
    let mut rumble = [LowPass::new(45.0), LowPass::new(45.0)];
    let mut hiss = LowPass::new(9_000.0);
    move |sample| {
        let mut sample = hiss.next(sample.tanh());
        for rumble in &mut rumble {
            sample -= rumble.next(sample);
        }
        sample
    }
}

/// A delay of a fixed length.
struct Line {
    samples: Vec<f32>,
    oldest: usize,
}

impl Line {
    fn new(len: usize) -> Self {
        Self {
            samples: vec![0.0; len],
            oldest: 0,
        }
    }

    fn oldest(&self) -> f32 {
        self.samples[self.oldest]
    }

    fn push(&mut self, sample: f32) {
        self.samples[self.oldest] = sample;
        self.oldest = if self.oldest + 1 == self.samples.len() {
            0
        } else {
            self.oldest + 1
        };
    }
}

/// One pole.
struct LowPass {
    level: f32,
    share: f32,
}

impl LowPass {
    fn new(corner_hz: f32) -> Self {
        Self {
            level: 0.0,
            share: 1.0 - (-std::f32::consts::TAU * corner_hz / RATE_HZ).exp(),
        }
    }

    fn next(&mut self, sample: f32) -> f32 {
        self.level += self.share * (sample - self.level);
        self.level
    }
}
