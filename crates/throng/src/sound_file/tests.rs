//! A tone of 1 kHz in every format comes out as long, as loud and as high as it went in.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a second of sound and bytes of a file are small numbers"
)]

use std::f32::consts::TAU;

use throng_core::rendition::Channels;
use throng_media::FRAME_LEN;

use super::*;

/// Amplitude of a frequency in 48 kHz sound, by correlation.
fn amplitude(sound: &[f32], hz: f32) -> f32 {
    let (mut real, mut imaginary) = (0.0, 0.0);
    for (at, sample) in sound.iter().enumerate() {
        let turn = TAU * hz * at as f32 / RATE_HZ as f32;
        real += sample * turn.cos();
        imaginary += sample * turn.sin();
    }
    2.0 * f32::hypot(real, imaginary) / sound.len() as f32
}

fn tone(rate_hz: u32, samples: usize) -> Vec<f32> {
    (0..samples)
        .map(|at| 0.5 * (TAU * 1_000.0 * at as f32 / rate_hz as f32).sin())
        .collect()
}

/// A WAV of one tone on the first of `channels`, whose header announces `announced` bytes (all, if None).
fn wav(
    tag: u16,
    bits: u16,
    channels: u16,
    rate_hz: u32,
    samples: usize,
    announced: Option<u32>,
) -> Vec<u8> {
    let mut sound = Vec::new();
    for sample in tone(rate_hz, samples) {
        for channel in 0..channels {
            let sample = if channel == 0 { sample } else { 0.0 };
            match (tag, bits) {
                (3, _) => sound.extend(sample.to_le_bytes()),
                (_, 8) => sound.push((sample * 127.0 + 128.0) as u8),
                _ => sound.extend(
                    &((sample * 2_147_483_000.0) as i32).to_le_bytes()[4 - usize::from(bits / 8)..],
                ),
            }
        }
    }
    let width = channels * bits / 8;
    let mut wav = Vec::new();
    wav.extend(b"RIFF\xff\xff\xff\xffWAVEodd \x03\0\0\0abc\0fmt \x10\0\0\0");
    wav.extend([tag, channels].iter().flat_map(|word| word.to_le_bytes()));
    wav.extend(
        [rate_hz, rate_hz * u32::from(width)]
            .iter()
            .flat_map(|word| word.to_le_bytes()),
    );
    wav.extend([width, bits].iter().flat_map(|word| word.to_le_bytes()));
    wav.extend(b"data");
    wav.extend(announced.unwrap_or(sound.len() as u32).to_le_bytes());
    wav.extend(sound);
    wav
}

fn from_vec(bytes: Vec<u8>) -> Result<Vec<f32>, SoundFileError> {
    let source = Box::new(Cursor::new(bytes));
    Ok(decode::decode("a test", Channels::Mono, source, None, LONGEST_SAMPLES)?.mid)
}

#[track_caller]
fn assert_tone(sound: &[f32], samples: usize, tolerance: usize, level: f32) {
    assert!(
        sound.len().abs_diff(samples) <= tolerance,
        "{} samples for {samples}",
        sound.len()
    );
    let middle = &sound[4_800..sound.len() - 4_800];
    let heard = amplitude(middle, 1_000.0);
    assert!(
        (heard / level - 1.0).abs() < 0.06,
        "amplitude {heard} for {level}"
    );
    let power = middle.iter().map(|sample| sample * sample).sum::<f32>() / middle.len() as f32;
    assert!(power < 1.02 * heard * heard / 2.0, "nothing but the tone");
}

#[test]
fn every_accepted_format_is_decoded_mixed_down_and_converted() {
    let vorbis = from_bytes("tone.ogg", include_bytes!("fixtures/tone.ogg")).unwrap();
    let opus = from_bytes("tone.opus", include_bytes!("fixtures/tone.opus")).unwrap();
    let mp3 = from_bytes("tone.mp3", include_bytes!("fixtures/tone.mp3")).unwrap();
    assert_tone(&vorbis, 24_000, 64, 0.25);
    assert_tone(&opus, 24_000, 64, 0.25);
    assert_tone(&mp3, 24_000, 1_300, 0.25);
}

#[test]
fn a_voice_of_the_demo_is_speech_of_the_expected_length() {
    let sound = from_bytes(
        "08-ben.flac",
        include_bytes!("../../../../assets/voices/08-ben.flac"),
    )
    .unwrap();
    let seconds = sound.len() as f32 / RATE_HZ as f32;
    assert!((2.5..5.0).contains(&seconds), "{seconds} s");
    assert!(sound.iter().all(|sample| sample.abs() <= 1.0));
}

#[test]
fn wav_of_every_depth_and_rate_reads_alike_whole_and_streamed() {
    for (tag, bits, channels, rate_hz) in [
        (1, 16, 1, 48_000),
        (1, 16, 2, 44_100),
        (1, 24, 1, 96_000),
        (3, 32, 2, 22_050),
        (1, 32, 1, 8_000),
    ] {
        let bytes = wav(tag, bits, channels, rate_hz, rate_hz as usize, None);
        let level = 0.5 / f32::from(channels);
        let whole = from_vec(bytes.clone()).unwrap();
        assert_tone(&whole, 48_000, 0, level);
        let streamed: Vec<f32> = WavStream::new(&bytes[..], "a test", Channels::Mono)
            .unwrap()
            .flat_map(|frame| frame.unwrap().mid)
            .collect();
        assert_eq!(streamed.len(), 50 * FRAME_LEN);
        let apart = whole
            .iter()
            .zip(&streamed)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(apart < 1e-4, "{bits} bits at {rate_hz} Hz: {apart} apart");
    }
}

#[test]
fn converted_sound_stays_aligned_with_its_source() {
    let sound = from_vec(wav(1, 16, 1, 44_100, 44_100, None)).unwrap();
    let meant = tone(48_000, 48_000);
    let apart = sound[2_000..46_000]
        .iter()
        .zip(&meant[2_000..46_000])
        .map(|(a, b)| (a - b).abs());
    assert!(apart.fold(0.0, f32::max) < 0.002);
}

#[test]
fn a_pipe_that_cannot_know_its_length_is_read_to_its_end() {
    for announced in [0, u32::MAX, 0x7FFF_FFFF - 36] {
        let bytes = wav(1, 16, 1, 48_000, 2_000, Some(announced));
        let frames: Vec<_> = WavStream::new(&bytes[..], "a test", Channels::Mono)
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(frames.len(), 3, "two frames and a part of one");
        assert!(frames[2].mid[80..].iter().all(|sample| *sample == 0.0));
    }
}

#[test]
fn what_is_heard_is_written_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("heard.wav");
    let meant = tone(48_000, 100_000);
    let mut writer = WavWriter::create(&path).unwrap();
    for frame in meant.chunks(FRAME_LEN) {
        writer.push(frame).unwrap();
    }
    let killed_now = read(&path).unwrap();
    assert!(
        killed_now.len() >= 96_000,
        "all but the last second plays without finish"
    );
    writer.finish().unwrap();
    let heard = read(&path).unwrap();
    assert_eq!(heard.len(), meant.len());
    assert!(
        heard
            .iter()
            .zip(&meant)
            .all(|(heard, meant)| (heard - meant).abs() < 1e-4)
    );
}

#[test]
fn an_error_says_which_file_and_what_to_do() {
    let words = |result: Result<Vec<f32>, SoundFileError>| result.unwrap_err().to_string();
    let text = words(from_vec(b"My talk, in words. ".repeat(100)));
    assert_eq!(
        text,
        "a test is not a sound file that Throng reads; give WAV, FLAC, Ogg (Vorbis, Opus) or MP3"
    );
    assert!(words(read(Path::new("no/such.wav"))).starts_with("cannot read no/such.wav: "));
    assert!(words(read(Path::new("."))).ends_with("it is a folder"));
    assert_eq!(
        words(from_vec(wav(1, 16, 1, 48_000, 0, Some(0)))),
        "a test contains no sound"
    );
    assert!(
        words(from_vec(wav(1, 16, 1, 500_000, 5_000, None))).contains("500000 samples a second")
    );
    let law = WavStream::new(&wav(7, 8, 1, 8_000, 80, None)[..], "a test", Channels::Mono)
        .err()
        .unwrap();
    assert!(
        law.to_string().contains("WAV format 7, 8 bits") && law.to_string().contains("ffmpeg -i")
    );
}

#[test]
fn damaged_files_never_panic() {
    let good = wav(1, 16, 2, 44_100, 3_000, None);
    let opus = include_bytes!("fixtures/tone.opus");
    let mut state = 1_u32;
    for _ in 0..300 {
        for source in [&good[..], &opus[..]] {
            let mut bytes = source.to_vec();
            for _ in 0..4 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let at = (state >> 8) as usize % bytes.len().min(600);
                bytes[at] = state as u8;
            }
            let _ = from_vec(bytes.clone());
            if let Ok(stream) = WavStream::new(&bytes[..], "a test", Channels::Mono) {
                assert!(stream.take(1_000).count() <= 1_000);
            }
        }
    }
}

#[test]
fn two_channels_are_read_as_two_and_from_a_pipe_alike_and_one_stays_one() {
    let one = Box::new(Cursor::new(wav(1, 16, 1, 48_000, 4_800, None)));
    let sound = decode::decode("a test", Channels::Stereo, one, None, LONGEST_SAMPLES).unwrap();
    assert_eq!((sound.mid.len(), sound.side.len()), (4_800, 0));
    for rate_hz in [48_000, 44_100] {
        // The tone is on the left alone: half of it is the middle, half the side.
        let bytes = wav(1, 16, 2, rate_hz, rate_hz as usize, None);
        let source = Box::new(Cursor::new(bytes.clone()));
        let sound = decode::decode("a test", Channels::Stereo, source, None, LONGEST_SAMPLES);
        let sound = sound.unwrap();
        assert_eq!(sound.mid.len(), sound.side.len());
        for plane in [&sound.mid, &sound.side] {
            assert!((amplitude(plane, 1_000.0) - 0.25).abs() < 0.01);
        }
        let right = sound.mid.iter().zip(&sound.side);
        assert!(right.map(|(mid, side)| mid - side).all(|x| x.abs() < 1e-6));
        let frames = WavStream::new(&bytes[..], "a test", Channels::Stereo).unwrap();
        for (number, frame) in frames.enumerate() {
            let (frame, from) = (frame.unwrap(), number * FRAME_LEN);
            let until = sound.mid.len().min(from + FRAME_LEN);
            assert_eq!(frame.mid[..until - from], sound.mid[from..until]);
            assert_eq!(frame.side.unwrap()[..until - from], sound.side[from..until]);
        }
    }
}
