//! Time taken out of sound, or put in, without a click: one pitch period is overlapped with the next.
//!
//! The period is where the sound resembles itself most. In silence anything resembles anything, so a fixed 10 ms goes; and
//! what is far quieter than the speech around it, a pause with the noise of a room, may be joined anywhere.

use crate::FRAME_LEN;

/// Shortest period, 2.5 ms (400 Hz), and longest, 15 ms (67 Hz): the range of voices.
const PERIOD_MIN: usize = 120;
const PERIOD_MAX: usize = 720;
/// Samples compared, 10 ms.
const COMPARED: usize = 480;
/// The first search looks at every fourth sample and period.
const STRIDE: usize = 4;
/// Mean square below which sound is silence, -55 dBov.
const SILENCE_POWER: f32 = 3.2e-6;
/// So much quieter than the loudest frame, 20 dB, what is heard is a pause: consonants are some 10 dB below the vowels.
const PAUSE: f32 = 0.01;
/// What is kept of the loudest frame's power from frame to frame: 10 dB less in 9 s, so that a speaker who turns away is known.
const LOUDEST_KEEP: f32 = 0.995;
/// Samples that must lie ahead so that any period can be taken out and a frame is left.
pub(super) const SHRINK_SAMPLES: i64 = 720 + super::FRAME_SAMPLES;
const _: () = assert!(SHRINK_SAMPLES.unsigned_abs() == (PERIOD_MAX + FRAME_LEN) as u64);

/// Where sound repeats.
#[derive(Clone, Copy, Debug)]
pub(super) struct Repeat {
    /// After how many samples.
    pub(super) period: usize,
    /// How alike, -1 to 1.
    pub(super) likeness: f32,
}

/// What is taken out of silence, or put in: 10 ms.
pub(super) const SILENT_REPEAT: Repeat = Repeat {
    period: 480,
    likeness: 1.0,
};

/// Whether the next frame is silence.
pub(super) fn is_silent(pcm: &[f32]) -> bool {
    power(&pcm[..pcm.len().min(FRAME_LEN)]) < SILENCE_POWER
}

/// How loud a speaker is.
#[derive(Debug, Default)]
pub(super) struct Loudness {
    /// Mean square of the loudest frame of the last seconds.
    loudest: f32,
}

impl Loudness {
    /// A frame was heard.
    pub(super) fn hear(&mut self, frame: &[f32]) {
        self.loudest = (self.loudest * LOUDEST_KEEP).max(power(frame));
    }

    /// Whether the next frame is a pause between words.
    pub(super) fn is_pause(&self, pcm: &[f32]) -> bool {
        power(&pcm[..pcm.len().min(FRAME_LEN)]) < self.loudest * PAUSE
    }
}

/// The mean square.
fn power(pcm: &[f32]) -> f32 {
    #[allow(clippy::cast_precision_loss, reason = "a frame")]
    let samples = pcm.len().max(1) as f32;
    pcm.iter().map(|x| x * x).sum::<f32>() / samples
}

/// Finds the period at the beginning of `pcm`; `None` if it is too short to tell.
pub(super) fn find_repeat(pcm: &[f32]) -> Option<Repeat> {
    let longest = PERIOD_MAX
        .min(pcm.len() / 2)
        .min(pcm.len().saturating_sub(COMPARED));
    if longest < PERIOD_MIN {
        return None;
    }
    let coarse = best(pcm, (PERIOD_MIN..=longest).step_by(STRIDE), STRIDE)?;
    let near = (coarse.0 - STRIDE).max(PERIOD_MIN)..=(coarse.0 + STRIDE).min(longest);
    let (period, likeness) = best(pcm, near, 1)?;
    Some(Repeat { period, likeness })
}

/// Takes one period out of the beginning.
pub(super) fn shrink(pcm: &mut Vec<f32>, period: usize) {
    for i in 0..period {
        pcm[i] = blend(pcm[i], pcm[i + period], i, period);
    }
    pcm.drain(period..2 * period);
}

/// Puts one period in at the beginning.
pub(super) fn stretch(pcm: &mut Vec<f32>, period: usize) {
    // What is heard: the first period, then the second turning into the first again, then the second.
    let joint: Vec<f32> = (0..period)
        .map(|i| blend(pcm[i + period], pcm[i], i, period))
        .collect();
    pcm.splice(period..period, joint);
}

fn blend(from: f32, to: f32, i: usize, len: usize) -> f32 {
    #[allow(clippy::cast_precision_loss, reason = "at most 720")]
    let share = (i as f32 + 0.5) / len as f32;
    from + (to - from) * share
}

/// The period of greatest likeness among the given.
fn best(pcm: &[f32], periods: impl Iterator<Item = usize>, stride: usize) -> Option<(usize, f32)> {
    periods
        .map(|period| (period, likeness(pcm, period, stride)))
        .max_by(|a, b| a.1.total_cmp(&b.1))
}

/// Normalised correlation of the beginning with what follows a period later.
fn likeness(pcm: &[f32], period: usize, stride: usize) -> f32 {
    let (mut product, mut power_a, mut power_b) = (0.0, 0.0, 0.0);
    for i in (0..COMPARED).step_by(stride) {
        let (a, b) = (pcm[i], pcm[i + period]);
        product += a * b;
        power_a += a * a;
        power_b += b * b;
    }
    product / (power_a * power_b).sqrt().max(f32::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::cast_precision_loss, reason = "small numbers")]

    use super::*;

    /// 125 Hz with harmonics: a period of 384 samples.
    fn vowel(len: usize) -> Vec<f32> {
        (0..len)
            .map(|i| {
                let phase = i as f32 / 384.0 * std::f32::consts::TAU;
                0.3 * phase.sin() + 0.2 * (2.0 * phase).sin() + 0.1 * (5.0 * phase).sin()
            })
            .collect()
    }

    #[test]
    fn a_vowel_is_shortened_and_lengthened_by_its_own_period_and_stays_the_same_wave() {
        let wave = vowel(3_000);
        let repeat = find_repeat(&wave).unwrap();
        assert_eq!(repeat.period, 384);
        let (mut shorter, mut longer) = (wave.clone(), wave.clone());
        shrink(&mut shorter, repeat.period);
        stretch(&mut longer, repeat.period);
        assert_eq!((shorter.len(), longer.len()), (3_000 - 384, 3_000 + 384));
        for (changed, expected) in shorter
            .iter()
            .zip(&wave)
            .chain(longer.iter().zip(&vowel(3_384)))
        {
            assert!((changed - expected).abs() < 1e-3, "{changed} {expected}");
        }
    }

    #[test]
    fn a_change_joins_the_old_beginning_to_the_old_rest() {
        let ramp: Vec<f32> = (0..3_000).map(|i| i as f32).collect();
        let (mut shorter, mut longer) = (ramp.clone(), ramp);
        shrink(&mut shorter, 500);
        stretch(&mut longer, 500);
        assert!(shorter[0] < 2.0 && longer[0] < 1.0, "begins where it began");
        assert_eq!(
            shorter[500..],
            (1_000..3_000).map(|i| i as f32).collect::<Vec<_>>()[..]
        );
        assert_eq!(
            longer[1_000..],
            (500..3_000).map(|i| i as f32).collect::<Vec<_>>()[..]
        );
    }

    #[test]
    fn a_pause_in_a_noisy_room_is_told_from_speech_loud_or_low() {
        for gain in [1.0, 0.05] {
            let wave: Vec<f32> = vowel(960).iter().map(|x| x * gain).collect();
            let quieter = |by: f32| wave.iter().map(|x| x * by).collect::<Vec<_>>();
            let mut loudness = Loudness::default();
            assert!(!loudness.is_pause(&wave), "nothing was heard before");
            loudness.hear(&wave);
            assert!(!loudness.is_pause(&quieter(0.2)) && loudness.is_pause(&quieter(0.05)));
            // Who turns away from his microphone is low from now on.
            let low = quieter(0.05);
            (0..1_000).for_each(|_| loudness.hear(&low));
            assert!(!loudness.is_pause(&low));
        }
    }

    #[test]
    fn silence_is_told_from_sound_and_too_little_sound_has_no_period() {
        assert!(is_silent(&[0.001; 2_000]) && !is_silent(&[0.01; 2_000]));
        assert!(find_repeat(&vowel(599)).is_none());
    }
}
