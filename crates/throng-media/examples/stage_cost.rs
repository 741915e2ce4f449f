//! What a stage costs in thread CPU time, from the speakers' packets to the packaged parts:
//! `cargo run --release -p throng-media --example stage_cost [SEATS] [TALKING]`.
//!
//! Packets come as browsers send them over an ordinary network: RED (RFC 2198), jitter, one in a hundred lost. Talking
//! goes round the table, so that returns come and go. Prints `figure<TAB>value<TAB>limit`.
#![allow(
    clippy::cast_precision_loss,
    clippy::print_stdout,
    reason = "a measurement prints; small numbers"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use rustix::time::{ClockId, clock_gettime};
use throng_core::rendition::Channels;
use throng_core::timeline::PartIndex;
use throng_media::WideFrame;
use throng_media::codec::{OpusEncode, OpusEncoder, OpusSettings, opus_encoder};
use throng_media::jitter::{PacketKind, SpeakerPacket};
use throng_media::mixer::{Mixer, SeatId};
use throng_media::programme::Programme;
use throng_media::rendering::{Renderer, Silence, Track};

/// A minute.
const FRAMES: u16 = 3_000;
/// Each turn lasts 5 s.
const TURN_FRAMES: u16 = 250;
/// The most that a packet is late.
const JITTER_MS: u64 = 30;
const OPUS: u8 = 111;

fn main() {
    let mut numbers = std::env::args()
        .skip(1)
        .map_while(|number| number.parse::<u16>().ok());
    let (seats, talking) = (numbers.next().unwrap_or(13), numbers.next().unwrap_or(3));
    let mut network = Network::new(seats);
    let mut mixer = Mixer::new();
    mixer.set_levelling(true);
    mixer.set_tracks(true);
    for seat in 0..seats {
        mixer
            .join(SeatId(seat.into()))
            .expect("no more seats than the mixer has");
    }
    let mut programme = Programme::resume_live(Channels::Mono, 0);
    let mut renderer = Renderer::new(Channels::Mono, PartIndex(0), &[]);
    let silence = Silence::new(Channels::Mono);
    let mut tracks: Vec<_> = (0..seats)
        .map(|_| Track::new(Channels::Mono, PartIndex(0)))
        .collect();
    let [mut mixing, mut limiting, mut rendering, mut tracking] = [Duration::ZERO; 4];
    for frame in 0..FRAMES {
        let now = frame_time(frame);
        for seat in 0..seats {
            let place = (seat + seats - frame / TURN_FRAMES % seats) % seats;
            network.send(seat, frame, if place < talking { 0.3 } else { 0.0 });
        }
        let arrived = network.arrived(now);
        let mixed = spend(&mut mixing, || {
            for (at, seat, packet) in &arrived {
                mixer.push(*seat, *at, packet);
            }
            mixer.tick(now)
        });
        let heard = spend(&mut limiting, || programme.tick(mixed.stage.clone()));
        spend(&mut rendering, || renderer.push(&heard));
        spend(&mut tracking, || {
            for (seat, track) in (0..).zip(&mut tracks) {
                let sent = mixed.tracks.iter().find(|(id, _)| *id == SeatId(seat));
                track.push(
                    sent.map_or(&WideFrame::SILENCE, |(_, frame)| frame),
                    &silence,
                );
            }
        });
    }
    let share = |cpu: Duration| 100.0 * cpu.as_secs_f64() / frame_time(FRAMES).as_secs_f64();
    let row = |figure: &str, cpu, limit: &str| {
        println!("{figure}\t{:.1} % of a core\t{limit}", share(cpu));
    };
    println!("{seats} speakers, {talking} talking");
    row(
        "jitter buffers, decoding, levelling, mix, returns",
        mixing,
        "-",
    );
    row("programme and limiter", limiting, "-");
    row("five renditions, packaged", rendering, "-");
    row(
        "speakers' packets to parts",
        mixing + limiting + rendering,
        "<= 30 % of a core",
    );
    row("a track of each, where they are kept", tracking, "-");
}

/// Adds the CPU time of this thread that the work takes.
fn spend<T>(spent: &mut Duration, work: impl FnOnce() -> T) -> T {
    let begin = thread_cpu();
    let done = work();
    *spent += thread_cpu().saturating_sub(begin);
    done
}

fn thread_cpu() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime)
        .try_into()
        .expect("a thread has not run for less than nothing")
}

fn frame_time(frame: u16) -> Duration {
    Duration::from_millis(20 * u64::from(frame))
}

/// The speakers' ends and what is between: repeatable.
struct Network {
    speakers: Vec<(OpusEncoder, Bytes)>,
    /// Packets under way, by the time at which they come; the number keeps equal times apart.
    under_way: BTreeMap<(Duration, u64), (SeatId, SpeakerPacket)>,
    chance: u64,
}

impl Network {
    fn new(seats: u16) -> Self {
        let speaker = || (opus_encoder(OpusSettings::conversation()), Bytes::new());
        Self {
            speakers: std::iter::repeat_with(speaker).take(seats.into()).collect(),
            under_way: BTreeMap::new(),
            chance: 0x9E37_79B9_7F4A_7C15,
        }
    }

    fn send(&mut self, seat: u16, frame: u16, loudness: f32) {
        let (encoder, last) = &mut self.speakers[usize::from(seat)];
        let opus = encoder
            .encode(&voice(seat, frame, loudness))
            .expect("a tone can be encoded");
        let packet = SpeakerPacket {
            sequence: frame,
            timestamp: u32::from(frame) * 960,
            kind: PacketKind::Red,
            bytes: red(last, &opus),
        };
        *last = opus;
        let chance = self.next_chance();
        if !chance.is_multiple_of(100) {
            let at = frame_time(frame) + Duration::from_millis(chance / 100 % JITTER_MS);
            self.under_way
                .insert((at, chance), (SeatId(seat.into()), packet));
        }
    }

    fn arrived(&mut self, now: Duration) -> Vec<(Duration, SeatId, SpeakerPacket)> {
        let later = self.under_way.split_off(&(now, u64::MAX));
        let arrived = std::mem::replace(&mut self.under_way, later);
        arrived
            .into_iter()
            .map(|((at, _), (seat, packet))| (at, seat, packet))
            .collect()
    }

    /// xorshift64 (Marsaglia 2003).
    fn next_chance(&mut self) -> u64 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        self.chance
    }
}

/// RFC 2198, section 3: the packet before as a copy, then the primary.
fn red(copy: &Bytes, primary: &Bytes) -> Bytes {
    let mut packet = Vec::with_capacity(5 + copy.len() + primary.len());
    if !copy.is_empty() {
        let header = 1 << 31
            | u32::from(OPUS) << 24
            | 960 << 10
            | u32::try_from(copy.len()).expect("below 1,024");
        packet.extend(header.to_be_bytes());
    }
    packet.push(OPUS);
    packet.extend_from_slice(copy);
    packet.extend_from_slice(primary);
    packet.into()
}

/// A buzz with syllables, a different pitch for each seat.
fn voice(seat: u16, frame: u16, loudness: f32) -> throng_media::Frame {
    std::array::from_fn(|i| {
        let at = (f32::from(frame) * 960.0 + i as f32) / 48_000.0;
        let pitch = 100.0 + 17.0 * f32::from(seat);
        let syllables = (at * 4.0 * std::f32::consts::TAU + f32::from(seat))
            .sin()
            .max(0.0);
        ((at * pitch).fract() * 2.0 - 1.0) * syllables * loudness
    })
}
