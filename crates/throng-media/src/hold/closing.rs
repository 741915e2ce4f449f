//! Closes the host's own file into a loop of whole segments.

use throng_core::timeline::SEGMENT_SAMPLES;

/// The shortest crossfade between an end and a beginning, 160 ms: long enough to hide the cut in any music, and what
/// remains of the shortest file (4 s) is then exactly one segment.
pub(super) const SHORTEST_FADE: usize = 7_680;
/// A file shorter than this (30 s) is repeated within the loop, so that its crossfades need not be long: they must
/// make up for the difference to a whole segment.
const REPEATED_BELOW: usize = 30 * 48_000;

/// Lays copies of the file end over end in a circle of whole segments. Each fades in while the one before fades out,
/// with equal power. All of the file is heard, but for what the fades take.
pub(super) fn close(pcm: &[f32]) -> Vec<f32> {
    let segment = usize::try_from(SEGMENT_SAMPLES).expect("a segment has 184,320 samples");
    let copies = REPEATED_BELOW.div_ceil(pcm.len());
    let len = copies * (pcm.len() - SHORTEST_FADE) / segment * segment;
    let start = |copy: usize| copy * len / copies;
    let mut closed = vec![0.0; len];
    for copy in 0..copies {
        let fade_in = pcm.len() - (start(copy + copies) - start(copy + copies - 1));
        let fade_out = pcm.len() - (start(copy + 1) - start(copy));
        for (place, sample) in pcm.iter().enumerate() {
            let gain = equal_power(place, fade_in) * equal_power(pcm.len() - 1 - place, fade_out);
            closed[(start(copy) + place) % len] += gain * sample;
        }
    }
    closed
}

/// The quarter sine from 0 to 1 over a fade; squares of two that meet add up to 1.
fn equal_power(place: usize, fade: usize) -> f32 {
    if place >= fade {
        return 1.0;
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "a fade is shorter than 2^24 samples"
    )]
    let share = (place as f32 + 0.5) / fade as f32;
    (share * std::f32::consts::FRAC_PI_2).sin()
}
