//! What levelling makes of voices, measured by EBU R 128: `cargo run --release -p throng-media --example loudness`.
//!
//! The voices are those of the demo, brought to many loudnesses, over the noise of a room; what is measured is what the
//! encoders get. Prints `figure<TAB>value<TAB>limit`.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::print_stdout,
    reason = "a measurement prints; small numbers"
)]

use std::fs::File;
use std::path::Path;

use ebur128::{EbuR128, Mode};
use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::formats::FormatOptions;
use symphonia::core::formats::probe::Hint;
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;
use throng_media::hold::HoldLoop;
use throng_media::levelling::{Leveller, TARGET_LUFS};
use throng_media::limiter::Limiter;
use throng_media::{FRAME_LEN, WideFrame};

const SECOND: usize = 48_000;
/// What a levelled voice is measured from: by then its gain has come to rest.
const SETTLED: usize = 8 * SECOND;
/// A quiet room.
const ROOM_DBFS: f32 = -60.0;
const VOICES: [(&str, &[&str]); 2] = [
    (
        "ada",
        &["01-ada", "03-ada", "05-ada", "07-ada", "09-ada", "11-ada"],
    ),
    (
        "ben",
        &["02-ben", "04-ben", "06-ben", "08-ben", "10-ben", "12-ben"],
    ),
];

fn main() {
    for (name, clips) in VOICES {
        let voice: Vec<f32> = clips.iter().flat_map(|clip| clip_of(clip)).collect();
        for lufs in [-30.0, -26.0, -20.0, -16.0, -10.0] {
            table(name, &at(&voice, lufs), lufs);
        }
        shout(name, &voice);
        pauses(name, &voice);
    }
    alike();
    let hold = HoldLoop::render().pcm();
    off_target("hold music", &hold, 1.0);
}

fn table(name: &str, voice: &[f32], lufs: f32) {
    let out = programme(&with_room(voice));
    off_target(
        &format!("{name} at {lufs} LUFS, off the target from the first word on"),
        &out,
        1.5,
    );
    off_target(
        &format!("{name} at {lufs} LUFS, off the target after 8 s"),
        &out[SETTLED..],
        1.0,
    );
    let peak = 20.0
        * measured(&out)
            .true_peak(0)
            .expect("it was asked for")
            .log10();
    println!("{name} at {lufs} LUFS, true peak\t{peak:.2} dBTP\t<= -1.0 dBTP");
}

fn off_target(what: &str, sound: &[f32], limit: f32) {
    let off = (loudness(sound) - TARGET_LUFS).abs();
    println!("{what}\t{off:.2} LU\t<= {limit} LU");
}

/// A whisper, then a shout.
fn shout(name: &str, voice: &[f32]) {
    let whisper = at(voice, -38.0);
    let out = programme(&[whisper.clone(), at(voice, -8.0)].concat());
    let peak = 20.0
        * measured(&out)
            .true_peak(0)
            .expect("it was asked for")
            .log10();
    println!("{name} shouts after a whisper, true peak\t{peak:.2} dBTP\t<= -1.0 dBTP");
    let soon = &out[whisper.len() + SECOND..whisper.len() + 4 * SECOND];
    let above = loudness(soon) - TARGET_LUFS;
    println!("{name} shouts after a whisper, above the target from 1 s on\t{above:.2} LU\t<= 4 LU");
}

/// By how much the room is louder in the pauses of a soft voice.
fn pauses(name: &str, voice: &[f32]) {
    let voice = at(voice, -30.0);
    let turns = voice.chunks(5 * SECOND);
    let sound: Vec<f32> = turns
        .flat_map(|turn| [turn, &vec![0.0; 3 * SECOND]].concat())
        .collect();
    let (room, out) = (
        with_room(&vec![0.0; sound.len()]),
        programme(&with_room(&sound)),
    );
    let pauses = (SETTLED..sound.len() - 8 * SECOND).step_by(8 * SECOND);
    let rises = pauses.map(|at| {
        let heard = at + 5 * SECOND + SECOND * 3 / 10..at + 8 * SECOND;
        level_db(&out[heard.clone()]) - level_db(&room[heard])
    });
    let rise = rises.fold(f32::MIN, f32::max);
    println!("room in the pauses of {name} at -30 LUFS, louder by at most\t{rise:.2} dB\t<= 3 dB");
}

/// Two people 14 dB apart who talk in turn.
fn alike() {
    let [ada, ben] = VOICES.map(|(_, clips)| {
        let voice: Vec<f32> = clips.iter().flat_map(|clip| clip_of(clip)).collect();
        voice
    });
    let [soft, loud] =
        [at(&ada, -28.0), at(&ben, -14.0)].map(|voice| programme(&with_room(&voice)));
    let apart = (loudness(&soft[SETTLED..]) - loudness(&loud[SETTLED..])).abs();
    println!("two speakers 14 dB apart, after 8 s\t{apart:.2} LU\t<= 2 LU");
}

/// What the encoders get of one speaker.
fn programme(sound: &[f32]) -> Vec<f32> {
    let (mut leveller, mut limiter) = (Leveller::default(), Limiter::new());
    let frames = sound.as_chunks::<FRAME_LEN>().0;
    let out = frames.iter().flat_map(|frame| {
        let mut frame = WideFrame::from(*frame);
        leveller.level(&mut frame);
        limiter.process_wide(&mut frame);
        frame.mid
    });
    out.collect()
}

fn at(sound: &[f32], lufs: f32) -> Vec<f32> {
    scaled(sound, lufs - loudness(sound))
}

fn scaled(sound: &[f32], db: f32) -> Vec<f32> {
    let gain = 10_f32.powf(db / 20.0);
    sound.iter().map(|sample| sample * gain).collect()
}

fn with_room(sound: &[f32]) -> Vec<f32> {
    let mut chance = 0x9E37_79B9_u32;
    let room: Vec<f32> = sound
        .iter()
        .map(|_| {
            chance ^= chance << 13;
            chance ^= chance >> 17;
            chance ^= chance << 5;
            chance as f32 / u32::MAX as f32 * 2.0 - 1.0
        })
        .collect();
    let room = scaled(&room, ROOM_DBFS - level_db(&room));
    sound
        .iter()
        .zip(room)
        .map(|(sound, room)| sound + room)
        .collect()
}

fn level_db(sound: &[f32]) -> f32 {
    10.0 * (sound.iter().map(|x| x * x).sum::<f32>() / sound.len() as f32).log10()
}

fn loudness(sound: &[f32]) -> f32 {
    measured(sound).loudness_global().expect("it was asked for") as f32
}

fn measured(sound: &[f32]) -> EbuR128 {
    let mode = Mode::I | Mode::TRUE_PEAK;
    let mut meter = EbuR128::new(1, 48_000, mode).expect("one channel at 48 kHz");
    meter
        .add_frames_f32(sound)
        .expect("one channel divides every length");
    meter
}

/// A clip of the demo, at 48 kHz.
fn clip_of(name: &str) -> Vec<f32> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/voices");
    let file = File::open(folder.join(format!("{name}.flac"))).expect("the clip is in the tree");
    let source = MediaSourceStream::new(Box::new(file), MediaSourceStreamOptions::default());
    let mut hint = Hint::new();
    hint.with_extension("flac");
    let mut reader = symphonia::default::get_probe()
        .probe(
            &hint,
            source,
            FormatOptions::default(),
            MetadataOptions::default(),
        )
        .expect("it is FLAC");
    let parameters = reader.tracks()[0].codec_params.clone();
    let parameters = parameters
        .as_ref()
        .and_then(|parameters| parameters.audio());
    let parameters = parameters.expect("it is sound").clone();
    let rate = parameters.sample_rate.expect("FLAC tells its rate");
    let mut decoder = symphonia::default::get_codecs()
        .make_audio_decoder(&parameters, &AudioDecoderOptions::default())
        .expect("FLAC is known");
    let mut sound = Vec::new();
    while let Some(packet) = reader.next_packet().expect("the clip is whole") {
        let mut samples: Vec<f32> = Vec::new();
        decoder
            .decode(&packet)
            .expect("the clip is whole")
            .copy_to_vec_interleaved(&mut samples);
        sound.extend(samples);
    }
    stretched(&sound, rate)
}

/// Repeats or interpolates to 48 kHz: loudness does not hear the difference.
fn stretched(sound: &[f32], rate: u32) -> Vec<f32> {
    let count = sound.len() as u64 * 48_000 / u64::from(rate);
    let places = (0..count).map(|i| i as f64 * f64::from(rate) / 48_000.0);
    let samples = places.map(|place| {
        let (first, share) = (place as usize, place.fract() as f32);
        let next = sound.get(first + 1).copied().unwrap_or(0.0);
        sound[first] * (1.0 - share) + next * share
    });
    samples.collect()
}
