//! What a tick of the mixer costs: `cargo run --release -p throng-media --example mixer_cost [SEATS] [TALKING]`.
#![allow(
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measurement reads the clock and prints; small numbers"
)]

use std::time::{Duration, Instant};

use throng_media::codec::{OpusEncode, OpusSettings, opus_encoder};
use throng_media::jitter::{PacketKind, SpeakerPacket};
use throng_media::mixer::{Mixer, SeatId};
use throng_media::programme::Programme;

const FRAMES: u16 = 1_500;

fn main() {
    let mut numbers = std::env::args()
        .skip(1)
        .map_while(|number| number.parse::<u32>().ok());
    let (seats, talking) = (numbers.next().unwrap_or(13), numbers.next().unwrap_or(3));
    let mut encoders: Vec<_> = (0..seats)
        .map(|_| opus_encoder(OpusSettings::conversation()))
        .collect();
    let mut mixer = Mixer::new();
    for seat in 0..seats {
        mixer
            .join(SeatId(seat))
            .expect("no more seats than the mixer has");
    }
    let mut programme = Programme::resume_live(0);
    let mut mixing: Vec<Duration> = Vec::new();
    let mut limiting: Vec<Duration> = Vec::new();
    for frame in 0..FRAMES {
        let now = Duration::from_millis(20 * u64::from(frame));
        for (seat, encoder) in (0..).zip(&mut encoders) {
            let loudness = if seat < talking { 0.3 } else { 0.0 };
            let bytes = encoder
                .encode(&voice(seat, frame, loudness))
                .expect("a tone can be encoded");
            let timestamp = u32::from(frame) * 960;
            mixer.push(
                SeatId(seat),
                now,
                &SpeakerPacket {
                    sequence: frame,
                    timestamp,
                    kind: PacketKind::Opus,
                    bytes,
                },
            );
        }
        let begin = Instant::now();
        let mixed = mixer.tick(now);
        mixing.push(begin.elapsed());
        let begin = Instant::now();
        programme.tick(&mixed.stage);
        limiting.push(begin.elapsed());
    }
    mixing.sort();
    limiting.sort();
    let of = |times: &[Duration], percent: usize| times[times.len() * percent / 100];
    println!("{seats} seats, {talking} talking, medians (a busy machine spoils means):");
    println!(
        "mixer {:?} (90 % of ticks within {:?})",
        of(&mixing, 50),
        of(&mixing, 90)
    );
    println!("programme {:?}", of(&limiting, 50));
}

/// A buzz with syllables, a different pitch for each seat.
fn voice(seat: u32, frame: u16, loudness: f32) -> throng_media::Frame {
    std::array::from_fn(|i| {
        let at = (f32::from(frame) * 960.0 + i as f32) / 48_000.0;
        let pitch = 100.0 + 17.0 * seat as f32;
        let syllables = (at * 4.0 * std::f32::consts::TAU + seat as f32)
            .sin()
            .max(0.0);
        ((at * pitch).fract() * 2.0 - 1.0) * syllables * loudness
    })
}
