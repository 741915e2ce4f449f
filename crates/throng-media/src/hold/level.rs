//! Brings a loop to the loudness of the house and keeps its peaks below a ceiling.

use ebur128::{EbuR128, Mode};

use crate::FRAME_LEN;

/// Loudness of the hold programme: that of [levelled](crate::levelling) talk, so that nobody reaches for the volume when the
/// host begins.
pub(super) const LOUDNESS_LUFS: f64 = -16.0;
/// No sample is beyond this: -3 dBFS, so that what codecs add stays below full scale.
pub(super) const CEILING: f32 = 0.7;
/// Nothing below this counts as sound: the absolute gate of ITU-R BS.1770.
const SILENT_LUFS: f64 = -70.0;

/// Levels a loop; answers whether there was any sound in it.
pub(super) fn level(pcm: &mut [f32]) -> bool {
    let loudness = loudness_lufs(pcm);
    if loudness <= SILENT_LUFS {
        return false;
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a gain needs no more than f32"
    )]
    let gain = 10_f64.powf((LOUDNESS_LUFS - loudness) / 20.0) as f32;
    for sample in &mut *pcm {
        *sample *= gain;
    }
    limit(pcm);
    true
}

/// Integrated loudness (EBU R 128); minus infinity for silence.
pub(super) fn loudness_lufs(pcm: &[f32]) -> f64 {
    let mut meter =
        EbuR128::new(1, 48_000, Mode::I).expect("one channel at 48 kHz is a valid layout");
    meter
        .add_frames_f32(pcm)
        .expect("one channel divides every length");
    meter
        .loudness_global()
        .expect("the meter was made to integrate")
}

/// Each frame has the gain that its peak allows; at a boundary the lower neighbour counts, and between boundaries the
/// gain moves in a straight line. So it is never above what a frame allows, it has no steps, and the loop stays one.
fn limit(pcm: &mut [f32]) {
    let allowed: Vec<f32> = pcm
        .chunks(FRAME_LEN)
        .map(|frame| {
            CEILING
                / frame
                    .iter()
                    .fold(CEILING, |peak, sample| peak.max(sample.abs()))
        })
        .collect();
    for (place, frame) in pcm.chunks_mut(FRAME_LEN).enumerate() {
        let before = allowed[(place + allowed.len() - 1) % allowed.len()];
        let after = allowed[(place + 1) % allowed.len()];
        let (from, to) = (before.min(allowed[place]), after.min(allowed[place]));
        ramp(frame, from, to);
    }
}

fn ramp(frame: &mut [f32], from: f32, to: f32) {
    #[expect(clippy::cast_precision_loss, reason = "a frame has 960 samples")]
    let step = (to - from) / frame.len() as f32;
    let mut gain = from;
    for sample in frame {
        *sample *= gain;
        gain += step;
    }
}
