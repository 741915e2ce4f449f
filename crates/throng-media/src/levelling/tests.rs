//! What listeners notice of levelling, measured by EBU R 128 with a crate that shares nothing with it.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "yardsticks need no last digit"
)]

use ebur128::{EbuR128, Mode};

use super::*;
use crate::FRAME_LEN;
use crate::codec::signal::{frames, speech};
use crate::limiter::Limiter;

const SECOND: usize = 48_000;

fn measured(sound: &[f32]) -> EbuR128 {
    let mut meter = EbuR128::new(1, 48_000, Mode::I | Mode::TRUE_PEAK).unwrap();
    meter.add_frames_f32(sound).unwrap();
    meter
}

fn loudness(sound: &[f32]) -> f32 {
    measured(sound).loudness_global().unwrap() as f32
}

fn true_peak_db(sound: &[f32]) -> f64 {
    20.0 * measured(sound).true_peak(0).unwrap().log10()
}

fn level_db(sound: &[f32]) -> f32 {
    10.0 * (sound.iter().map(|x| x * x).sum::<f32>() / sound.len() as f32).log10()
}

/// Speech at a loudness, in phrases of two seconds with a breath between.
fn voice(seed: u64, seconds: usize, lufs: f32) -> Vec<f32> {
    let mut sound = speech(seed, seconds * SECOND);
    for phrase in sound.chunks_mut(2 * SECOND) {
        phrase[..SECOND / 4].fill(0.0);
    }
    scaled(&sound, lufs - loudness(&sound))
}

fn scaled(sound: &[f32], db: f32) -> Vec<f32> {
    let gain = amplitude(db);
    sound.iter().map(|sample| sample * gain).collect()
}

/// White noise at a level.
fn noise(seconds: usize, dbfs: f32) -> Vec<f32> {
    let mut chance = 0x9E37_79B9_u32;
    let mut next = || {
        chance ^= chance << 13;
        chance ^= chance >> 17;
        chance ^= chance << 5;
        chance as f32 / u32::MAX as f32 * 2.0 - 1.0
    };
    let sound: Vec<f32> = (0..seconds * SECOND).map(|_| next()).collect();
    scaled(&sound, dbfs - level_db(&sound))
}

fn levelled_by(leveller: &mut Leveller, sound: &[f32]) -> Vec<f32> {
    let mut out = Vec::with_capacity(sound.len());
    for frame in frames(sound) {
        let mut frame = frame.into();
        leveller.level(&mut frame);
        out.extend(frame.mid);
    }
    out
}

fn levelled(sound: &[f32]) -> Vec<f32> {
    levelled_by(&mut Leveller::default(), sound)
}

fn limited(mut sound: Vec<f32>) -> Vec<f32> {
    Limiter::new().process(&mut sound);
    sound
}

#[test]
fn voices_of_any_loudness_come_out_at_minus_16_lufs_and_below_minus_1_dbtp() {
    for lufs in [-30.0, -26.0, -20.0, -16.0, -13.0, -10.0] {
        let out = limited(levelled(&voice(5, 60, lufs)));
        let (loudness, peak) = (loudness(&out), true_peak_db(&out));
        assert!(
            (TARGET_LUFS - 1.0..=TARGET_LUFS + 1.0).contains(&loudness),
            "{lufs} LUFS in, {loudness} LUFS out"
        );
        assert!(peak <= -1.0, "{lufs} LUFS in, {peak} dBTP out");
    }
}

#[test]
fn a_voice_with_high_peaks_is_as_loud_as_others_behind_the_limiter() {
    let peaky: Vec<f32> = voice(25, 40, -16.0)
        .iter()
        .map(|sample| sample.powi(3))
        .collect();
    let sound = scaled(&peaky, TARGET_LUFS - loudness(&peaky));
    let [as_it_was, out] = [&sound, &levelled(&sound)]
        .map(|sound| loudness(&limited(sound.clone())[10 * SECOND..]) - TARGET_LUFS);
    assert!(as_it_was < -1.0, "the limiter takes as much: {as_it_was}");
    assert!(out.abs() < 1.0, "{out}");
}

#[test]
fn two_speakers_14_db_apart_are_alike_after_some_seconds() {
    let [soft, loud] = [-28.0, -14.0].map(|lufs| levelled(&voice(11, 20, lufs)));
    let apart = loudness(&soft[8 * SECOND..]) - loudness(&loud[8 * SECOND..]);
    assert!(apart.abs() <= 2.0, "{apart} LU apart");
}

#[test]
fn who_is_near_the_target_is_hardly_touched_and_nobody_is_lifted_by_more_than_3_db_in_a_second() {
    let mut leveller = Leveller::default();
    levelled_by(&mut leveller, &voice(7, 20, -16.0));
    assert!(leveller.gain_db().abs() < 1.0, "{}", leveller.gain_db());

    let mut leveller = Leveller::default();
    let mut before = 0.0;
    for second in voice(7, 20, -30.0).chunks(SECOND) {
        levelled_by(&mut leveller, second);
        assert!(leveller.gain_db() - before <= 3.0);
        before = leveller.gain_db();
    }
    assert!(before > 12.0, "{before}");
}

#[test]
fn steady_sound_is_no_talk_and_passes_as_it_is() {
    let tone: Vec<f32> = (0..20 * SECOND)
        .map(|i| (i as f32 % 4_800.0 * 0.13).sin() * 0.05)
        .collect();
    for sound in [tone, noise(20, -50.0), noise(20, -30.0)] {
        assert_eq!(levelled(&sound), sound);
    }
}

#[test]
fn the_room_behind_a_soft_voice_is_not_lifted_in_pauses() {
    let room = noise(40, -58.0);
    let mut sound = room.clone();
    let voice = voice(9, 40, -30.0);
    // Five seconds of talk, three of pause.
    let talks = |i: usize| i % (8 * SECOND) < 5 * SECOND;
    for (i, sample) in sound.iter_mut().enumerate().filter(|(i, _)| talks(*i)) {
        *sample += voice[i];
    }
    let out = levelled(&sound);
    for pause in (5 * SECOND..40 * SECOND).step_by(8 * SECOND) {
        let heard = pause + SECOND * 3 / 10..(pause + 3 * SECOND).min(out.len());
        let rise = level_db(&out[heard.clone()]) - level_db(&room[heard]);
        assert!(rise <= 3.0, "{rise} dB in the pause at {}", pause / SECOND);
    }
    assert!(
        loudness(&out[10 * SECOND..]) > TARGET_LUFS - 1.5,
        "while the voice is lifted"
    );
}

#[test]
fn a_shout_after_a_whisper_does_not_clip_and_is_turned_down_at_once() {
    let whisper = voice(13, 15, -38.0);
    let shout = voice(13, 4, -8.0);
    let out = limited(levelled(&[whisper.clone(), shout].concat()));
    assert!(
        out.iter()
            .all(|sample| sample.abs() <= crate::limiter::CEILING)
    );
    assert!(true_peak_db(&out) <= -1.0, "{}", true_peak_db(&out));
    let soon = &out[whisper.len() + SECOND..];
    assert!(loudness(soon) < TARGET_LUFS + 4.0, "{}", loudness(soon));
}

#[test]
fn who_moves_away_from_the_microphone_is_lifted_again() {
    let sound = [voice(15, 15, -16.0), voice(15, 40, -28.0)].concat();
    let out = levelled(&sound);
    let end = loudness(&out[45 * SECOND..]);
    assert!((end - TARGET_LUFS).abs() < 1.0, "{end}");
}

#[test]
fn switched_off_it_goes_back_without_a_jump_and_then_changes_no_bit() {
    let mut leveller = Leveller::default();
    levelled_by(&mut leveller, &voice(17, 10, -28.0));
    assert!(leveller.gain_db() > 6.0);
    let mut before = leveller.gain_db();
    for _ in 0..200 {
        leveller.pass(&mut [0.1; FRAME_LEN].into());
        assert!(before - leveller.gain_db() <= 0.11);
        before = leveller.gain_db();
    }
    let sound = frames(&voice(19, 1, -28.0));
    for frame in sound {
        let mut passed = frame.into();
        leveller.pass(&mut passed);
        assert_eq!(passed, frame.into());
    }
}

#[test]
fn what_is_no_number_is_forgotten() {
    let mut leveller = Leveller::default();
    for bad in [f32::NAN, f32::INFINITY, f32::MAX] {
        leveller.level(&mut [bad; FRAME_LEN].into());
    }
    for _ in 0..100 {
        leveller.level(&mut WideFrame::SILENCE.clone());
    }
    let out = levelled_by(&mut leveller, &voice(21, 30, -24.0));
    let end = loudness(&out[15 * SECOND..]);
    assert!((end - TARGET_LUFS).abs() < 1.0, "{end}");
}

#[test]
fn loudness_is_that_of_ebu_r_128() {
    let sound = voice(23, 8, -20.0);
    let (mut weighting, mut talk) = (KWeighting::default(), TalkLoudness::default());
    for frame in frames(&sound) {
        let power = weighting.power(&frame);
        talk.hear(power, true);
    }
    let ours = talk.of_talk().unwrap();
    assert!((ours - loudness(&sound)).abs() < 0.1, "{ours}");
}

#[test]
fn in_stereo_a_voice_comes_to_the_target_as_both_ears_hear_it() {
    let mut leveller = Leveller::of(Channels::Stereo);
    let mut pairs = Vec::new();
    for frame in frames(&voice(23, 20, -28.0)) {
        // To the left, with a third of it in the other ear.
        let mut frame = WideFrame::new(frame, frame.map(|sample| sample * 0.5));
        leveller.level(&mut frame);
        let side = frame.side.unwrap_or_else(|| Box::new(SILENCE));
        let ears = frame.mid.iter().zip(side.iter());
        pairs.extend(ears.flat_map(|(mid, side)| [mid + side, mid - side]));
    }
    let mut meter = EbuR128::new(2, 48_000, Mode::I).unwrap();
    meter.add_frames_f32(&pairs[2 * 10 * SECOND..]).unwrap();
    let end = meter.loudness_global().unwrap() as f32;
    assert!((end - TARGET_LUFS).abs() < 1.0, "{end}");
}
