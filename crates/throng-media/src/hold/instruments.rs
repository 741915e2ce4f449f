//! The players of the hold programme: five small synthesisers that add one note to a loop.
//!
//! A note that sounds beyond the end of the loop goes on at its beginning, so that the loop has no seam.

#![expect(
    clippy::cast_precision_loss,
    reason = "places and table entries are far below 2^24 where it matters"
)]
#![expect(
    clippy::cast_possible_truncation,
    reason = "phases are 32-bit turns and wrap by design"
)]
#![expect(clippy::cast_sign_loss, reason = "frequencies are positive")]

use std::f32::consts::TAU;

use super::RATE_HZ;

/// A note to be played: where, how long until it is let go, which pitch, how strong.
#[derive(Clone, Copy)]
pub(super) struct Note {
    pub(super) start: usize,
    pub(super) len: usize,
    pub(super) frequency_hz: f32,
    pub(super) strength: f32,
}

/// The waveforms, computed once.
pub(super) struct Instruments {
    sine: Wave,
    dark: Wave,
    bright: Wave,
}

impl Instruments {
    pub(super) fn new() -> Self {
        let rolled_off =
            |corner: f32| move |harmonic: f32| (-harmonic / corner).exp() / harmonic.sqrt();
        Self {
            sine: Wave::new(1, |_| 1.0),
            dark: Wave::new(8, rolled_off(1.7)),
            bright: Wave::new(20, rolled_off(5.5)),
        }
    }

    /// A warm chord tone: three detuned strings that open and close slowly.
    pub(super) fn pad(&self, track: &mut [f32], note: Note, phase: u32) {
        let (attack, release) = (0.7, 1.4);
        let steps = [0.996_6, 1.0, 1.003_7].map(|detune| turn(note.frequency_hz * detune));
        let mut phases = [phase, phase.rotate_left(11), phase.rotate_left(23)];
        let mut sweep = phase.rotate_left(5);
        let sweep_step = turn(0.19);
        add(track, note.start, note.len + samples(release), |at| {
            sweep = sweep.wrapping_add(sweep_step);
            let open = 0.34 + 0.26 * self.sine.at(sweep);
            let mut sum = 0.0;
            for (phase, step) in phases.iter_mut().zip(steps) {
                *phase = phase.wrapping_add(step);
                let dark = self.dark.at(*phase);
                sum += dark + open * (self.bright.at(*phase) - dark);
            }
            sum * note.strength * rise(at, attack) * fall(at, note.len, release)
        });
    }

    /// An electric piano: a sine bent by its own pitch, brighter the harder it is struck, and a short tine on top.
    pub(super) fn keys(&self, track: &mut [f32], note: Note) {
        let release = 0.28;
        let (step, tine_step, tremolo_step) = (
            turn(note.frequency_hz),
            turn(note.frequency_hz * 7.0),
            turn(4.3),
        );
        let (mut phase, mut tine, mut tremolo) = (0_u32, 0_u32, 0_u32);
        let mut body = Decay::new(1.5);
        let mut bend = Decay::new(0.45);
        let mut strike = Decay::new(0.05);
        add(track, note.start, note.len + samples(release), |at| {
            phase = phase.wrapping_add(step);
            tine = tine.wrapping_add(tine_step);
            tremolo = tremolo.wrapping_add(tremolo_step);
            let index = (0.12 + 2.6 * note.strength.sqrt() * bend.next()) / TAU;
            let tone = self
                .sine
                .at(phase.wrapping_add(turns(index * self.sine.at(phase))));
            let sound = body.next() * tone + 0.05 * strike.next() * self.sine.at(tine);
            let swell = 1.0 + 0.07 * self.sine.at(tremolo);
            sound * swell * note.strength * rise(at, 0.004) * fall(at, note.len, release)
        });
    }

    /// A vibraphone bar: its fundamental and the double octave, which fades first.
    pub(super) fn vibes(&self, track: &mut [f32], note: Note) {
        let (step, over_step) = (turn(note.frequency_hz), turn(note.frequency_hz * 4.0));
        let (mut phase, mut over) = (0_u32, 0_u32);
        let mut body = Decay::new(0.8);
        let mut strike = Decay::new(0.11);
        let len = samples(3.2);
        add(track, note.start, len, |at| {
            phase = phase.wrapping_add(step);
            over = over.wrapping_add(over_step);
            let sound =
                body.next() * self.sine.at(phase) + 0.2 * strike.next() * self.sine.at(over);
            sound * note.strength * rise(at, 0.003) * fall(at, len - samples(0.4), 0.4)
        });
    }

    /// A soft bass, with enough of its second and third harmonic to be heard from a telephone's speaker.
    pub(super) fn bass(&self, track: &mut [f32], note: Note) {
        let release = 0.14;
        let step = turn(note.frequency_hz);
        let mut phase = 0_u32;
        let mut body = Decay::new(1.7);
        add(track, note.start, note.len + samples(release), |at| {
            phase = phase.wrapping_add(step);
            let body = body.next();
            let sound = self.sine.at(phase)
                + 0.42 * body * self.sine.at(phase.wrapping_mul(2))
                + 0.16 * body * self.sine.at(phase.wrapping_mul(3));
            sound
                * (0.35 + 0.65 * body)
                * note.strength
                * rise(at, 0.018)
                * fall(at, note.len, release)
        });
    }
}

/// One stroke of a brush on a drum skin: a breath of noise between 1.5 and 5 kHz.
pub(super) fn brush(track: &mut [f32], start: usize, strength: f32, chance: &mut Chance) {
    let (mut low, mut high) = (0.0_f32, 0.0_f32);
    let mut body = Decay::new(0.045);
    add(track, start, samples(0.3), |at| {
        low += 0.48 * (chance.next_signed() - low);
        high += 0.18 * (low - high);
        (low - high) * body.next() * strength * rise(at, 0.012)
    });
}

/// Adds a sound to a loop, from `start` on, around its end where need be.
fn add(track: &mut [f32], start: usize, len: usize, mut sound: impl FnMut(usize) -> f32) {
    let (head, tail) = track.split_at_mut(start % track.len());
    for (at, sample) in tail.iter_mut().chain(head).take(len).enumerate() {
        *sample += sound(at);
    }
}

/// From 0 to 1 over `seconds`, without a corner at either end.
fn rise(at: usize, seconds: f32) -> f32 {
    smooth(at as f32 / (seconds * RATE_HZ))
}

/// From 1 at the moment when the note is let go to 0 after `seconds`.
fn fall(at: usize, held: usize, seconds: f32) -> f32 {
    if at < held {
        1.0
    } else {
        smooth(1.0 - (at - held) as f32 / (seconds * RATE_HZ))
    }
}

fn smooth(x: f32) -> f32 {
    let x = x.clamp(0.0, 1.0);
    x * x * (3.0 - 2.0 * x)
}

/// Samples of a time.
pub(super) fn samples(seconds: f32) -> usize {
    (seconds * RATE_HZ) as usize
}

/// How far a phase goes in one sample; a whole turn is 2^32.
fn turn(frequency_hz: f32) -> u32 {
    (f64::from(frequency_hz) / f64::from(RATE_HZ) * 4_294_967_296.0) as u32
}

/// A phase offset of any number of turns, forth or back.
fn turns(offset: f32) -> u32 {
    (offset * 4_294_967_296.0) as i64 as u32
}

/// An exponential decay from 1.
struct Decay {
    level: f32,
    factor: f32,
}

impl Decay {
    fn new(time_constant_seconds: f32) -> Self {
        Self {
            level: 1.0,
            factor: (-1.0 / (time_constant_seconds * RATE_HZ)).exp(),
        }
    }

    fn next(&mut self) -> f32 {
        self.level *= self.factor;
        self.level
    }
}

/// Bits of a phase that choose a table entry: 2,048 entries put interpolation noise below -100 dB.
const WAVE_BITS: u32 = 11;

/// One period of a waveform.
struct Wave(Vec<f32>);

impl Wave {
    fn new(harmonics: u16, amplitude: impl Fn(f32) -> f32) -> Self {
        let len = 1_usize << WAVE_BITS;
        let at = |place: usize| {
            (1..=harmonics)
                .map(|harmonic| {
                    let harmonic = f32::from(harmonic);
                    amplitude(harmonic) * (TAU * harmonic * place as f32 / len as f32).sin()
                })
                .sum()
        };
        // One entry more than a period, so that interpolation needs no wrap.
        Self((0..=len).map(at).collect())
    }

    fn at(&self, phase: u32) -> f32 {
        let place = (phase >> (32 - WAVE_BITS)) as usize;
        let between = (phase << WAVE_BITS) as f32 / 4_294_967_296.0;
        self.0[place] + between * (self.0[place + 1] - self.0[place])
    }
}

/// The small irregularities of players, from a seed (xorshift): the same on every run.
pub(super) struct Chance(u32);

impl Chance {
    pub(super) fn new(seed: u32) -> Self {
        Self(seed | 1)
    }

    /// 32 random bits.
    pub(super) fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    /// Between -1 and 1.
    pub(super) fn next_signed(&mut self) -> f32 {
        self.next() as f32 / 2_147_483_648.0 - 1.0
    }
}
