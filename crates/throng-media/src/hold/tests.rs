//! What a listener would notice: loudness, peaks, the seam, and whether it is music.

#![expect(
    clippy::cast_precision_loss,
    reason = "places in a loop are far below 2^24 where it matters"
)]

use std::sync::LazyLock;

use ebur128::{EbuR128, Mode};
use throng_core::timeline::SEGMENT_SAMPLES;

use super::level::CEILING;
use super::*;

/// Rendered once for all tests.
static OURS: LazyLock<HoldLoop> = LazyLock::new(HoldLoop::render);

fn measured(pcm: &[f32]) -> EbuR128 {
    let mut meter = EbuR128::new(1, 48_000, Mode::I | Mode::LRA | Mode::TRUE_PEAK).unwrap();
    meter.add_frames_f32(pcm).unwrap();
    meter
}

fn true_peak_db(meter: &EbuR128) -> f64 {
    20.0 * meter.true_peak(0).unwrap().log10()
}

/// The largest difference of neighbours, and that across the seam.
fn steps(pcm: &[f32]) -> (f32, f32) {
    let largest = pcm
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).abs())
        .fold(0.0, f32::max);
    (largest, (pcm[0] - pcm[pcm.len() - 1]).abs())
}

fn power(pcm: &[f32]) -> f32 {
    pcm.iter().map(|sample| sample * sample).sum::<f32>() / pcm.len() as f32
}

#[test]
fn our_piece_lasts_three_minutes_of_whole_segments_at_minus_16_lufs() {
    assert_eq!(OURS.len_samples(), 48 * SEGMENT_SAMPLES);
    let meter = measured(&OURS.pcm);
    let loudness = meter.loudness_global().unwrap();
    assert!(
        (-16.5..=-15.5).contains(&loudness),
        "{loudness} LUFS (EBU R 128)"
    );
    assert!(true_peak_db(&meter) < -2.0, "{} dBTP", true_peak_db(&meter));
    let mean = OURS
        .pcm
        .iter()
        .map(|sample| f64::from(*sample))
        .sum::<f64>()
        / OURS.pcm.len() as f64;
    assert!(mean.abs() < 1e-4, "no DC: {mean}");
}

#[test]
fn the_seam_cannot_be_told_from_the_rest() {
    let (largest, seam) = steps(&OURS.pcm);
    assert!(seam < largest / 2.0, "step {seam} against {largest}");
    // Half a second on either side of the seam: what rings before it still rings after it.
    let len = OURS.pcm.len();
    let (before, after) = (power(&OURS.pcm[len - 2_400..]), power(&OURS.pcm[..2_400]));
    assert!(
        (0.1..10.0).contains(&(after / before)),
        "{before} then {after}"
    );
}

#[test]
fn our_piece_moves_and_never_falls_silent() {
    let seconds: Vec<f32> = OURS.pcm.chunks(48_000).map(power).collect();
    let quietest = seconds.iter().copied().fold(f32::MAX, f32::min);
    let loudest = seconds.iter().copied().fold(0.0, f32::max);
    assert!(
        quietest > 3e-4,
        "a listener who tunes in at any second hears something: {quietest}"
    );
    assert!(loudest / quietest > 2.0, "a drone would have one level");
    let range = measured(&OURS.pcm).loudness_range().unwrap();
    assert!((0.5..9.0).contains(&range), "calm, yet alive: {range} LU");
}

#[test]
fn the_piece_is_the_same_on_every_run() {
    assert_eq!(HoldLoop::render().pcm, OURS.pcm);
}

#[test]
fn frames_follow_the_programme_clock_round_the_loop() {
    let frames = OURS.len_samples() / FRAME_SAMPLES;
    assert_eq!(
        OURS.frame(3 * frames + 7)[..],
        OURS.pcm[7 * FRAME_LEN..8 * FRAME_LEN]
    );
    assert_eq!(OURS.frame(u64::MAX)[..], OURS.frame(u64::MAX % frames)[..]);
}

/// A tone that swells, so that neither end is silent.
fn tone(samples: usize, level: f32) -> Vec<f32> {
    (0..samples)
        .map(|at| level * (at as f32 * 0.031).sin() * (1.2 + (at as f32 * 0.000_05).sin()))
        .collect()
}

#[test]
fn a_hosts_file_of_any_length_becomes_a_levelled_loop_without_a_click() {
    for samples in [
        SHORTEST_FILE_SAMPLES,
        200_001,
        391_871,
        1_439_999,
        1_440_000,
        2_000_003,
    ] {
        for level in [0.004, 0.45] {
            let made = HoldLoop::from_pcm(tone(samples, level)).unwrap();
            assert_eq!(made.len_samples() % SEGMENT_SAMPLES, 0);
            assert!(
                made.len_samples() + SEGMENT_SAMPLES + 7_680 > samples as u64,
                "all of the file is heard"
            );
            let loudness = measured(&made.pcm).loudness_global().unwrap();
            assert!(
                (-17.0..=-15.0).contains(&loudness),
                "{samples} at {level}: {loudness} LUFS"
            );
            let (largest, seam) = steps(&made.pcm);
            assert!(
                seam <= largest && largest < 0.03,
                "{samples}: step {seam} against {largest}"
            );
        }
    }
}

#[test]
fn peaks_of_a_hosts_file_stay_below_the_ceiling() {
    let mut clicks = tone(480_000, 0.01);
    for at in (0..clicks.len()).step_by(9_001) {
        clicks[at] = 1.0;
    }
    let made = HoldLoop::from_pcm(clicks).unwrap();
    assert!(made.pcm.iter().all(|sample| sample.abs() <= CEILING + 1e-6));
}

#[test]
fn a_file_that_cannot_loop_is_refused_with_the_reason() {
    let refusal = |pcm| HoldLoop::from_pcm(pcm).unwrap_err();
    assert_eq!(
        refusal(vec![0.1; 1_000]),
        HoldError::TooShort { samples: 1_000 }
    );
    assert_eq!(refusal(vec![0.0; 200_000]), HoldError::Silent);
    assert_eq!(refusal(vec![f32::NAN; 200_000]), HoldError::NotFinite);
    assert!(matches!(
        refusal(vec![0.1; LONGEST_FILE_SAMPLES + 1]),
        HoldError::TooLong { .. }
    ));
}
