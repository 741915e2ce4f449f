//! Mouth to ear between two speakers through a server: `speaker_delay SPEAKER_URL SPEAKER_URL [SECONDS]`.
//!
//! The first says a chirp now and then over a faint noise, the second hears it. A sample is said when its frame is
//! complete and heard when its packet has come, both counted to the sample; what the speaker's own encoder adds is
//! taken off, and the ear has no jitter buffer: what remains is added by the network and the server. Prints
//! `figure<TAB>value<TAB>limit`.
#![allow(
    clippy::cast_precision_loss,
    clippy::print_stdout,
    reason = "a measurement prints; small numbers"
)]

use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;
use throng::client::http::Client;
use throng::client::link::SpeakerLink;
use throng::client::session::{Door, Session};
use throng_media::codec::{OpusDecode, OpusEncode, OpusSettings, opus_decoder, opus_encoder};
use throng_media::{FRAME_LEN, Frame, SILENCE};
use throng_stage::client::{ClientKind, Heard};

const RATE_HZ: f64 = 48_000.0;
const FRAME: Duration = Duration::from_millis(20);
const CHIRP_SAMPLES: usize = 1_440;
/// From chirp to chirp: over half a second, and each at another place in its frame.
const CHIRP_EVERY_SAMPLES: usize = 24_337;
/// No delay is longer; longer is lost.
const DELAY_SAMPLES_MAX: usize = 24_000;
/// From here on what was found is the chirp.
const LIKENESS_MIN: f64 = 0.7;

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [mouth, ear, rest @ ..] = words.as_slice() else {
        anyhow::bail!("usage: speaker_delay SPEAKER_URL SPEAKER_URL [SECONDS]");
    };
    let seconds: usize = rest.first().map_or(Ok(60), |seconds| seconds.parse())?;
    let said = said(seconds * 50 * FRAME_LEN);
    let spoken = speak(enter(mouth)?, enter(ear)?, &said)?;
    let heard = decode(&spoken.heard)?;
    let mut delays_ms = Vec::new();
    for at in chirps(said.len()) {
        if let Some(place) = find(&said[at..at + CHIRP_SAMPLES], at, &spoken, &heard) {
            delays_ms.push(spoken.delay_ms(at, place));
        }
    }
    report(
        &mut delays_ms,
        chirps(said.len()).count(),
        spoken.heard.len(),
    )
}

fn report(delays_ms: &mut [f64], chirps: usize, packets: usize) -> anyhow::Result<()> {
    ensure!(
        !delays_ms.is_empty(),
        "no chirp was heard in {packets} packets"
    );
    delays_ms.sort_by(f64::total_cmp);
    let at = |percent: usize| delays_ms[(delays_ms.len() - 1) * percent / 100];
    println!("chirps heard\t{} of {chirps}\t-", delays_ms.len());
    println!("speaker to speaker, added, p50\t{:.1} ms\t-", at(50));
    println!(
        "speaker to speaker, added, p95\t{:.1} ms\ttarget <= 120 ms",
        at(95)
    );
    println!("speaker to speaker, added, longest\t{:.1} ms\t-", at(100));
    Ok(())
}

fn enter(url: &str) -> anyhow::Result<Session> {
    let link = SpeakerLink::parse(url)?;
    let door = Door {
        client: Client::towards(&link.space_url),
        url: format!("{}/whip", link.space_url),
        bearer: Some(link.key),
        kind: ClientKind::Speaker,
    };
    Ok(door.enter()?)
}

/// What came of it.
struct Spoken {
    /// When each frame was complete and sent.
    sent: Vec<Instant>,
    heard: Vec<Heard>,
    encoder_samples: usize,
}

impl Spoken {
    fn delay_ms(&self, said: usize, heard: usize) -> f64 {
        let packets = self.heard[heard / FRAME_LEN]
            .arrived
            .saturating_duration_since(self.sent[said / FRAME_LEN]);
        let within = (heard % FRAME_LEN) as f64 - (said % FRAME_LEN) as f64;
        1_000.0 * (packets.as_secs_f64() + (within - self.encoder_samples as f64) / RATE_HZ)
    }
}

/// Both on stage: one speaks, the other keeps silent and hears.
fn speak(mut mouth: Session, mut ear: Session, said: &[f32]) -> anyhow::Result<Spoken> {
    let mut encoder = opus_encoder(OpusSettings::conversation());
    let silence = opus_encoder(OpusSettings::conversation()).encode(&SILENCE)?;
    let mut spoken = Spoken {
        sent: Vec::new(),
        heard: Vec::new(),
        encoder_samples: encoder.lookahead_samples(),
    };
    let begin = Instant::now();
    let (frames, _): (&[Frame], _) = said.as_chunks();
    for (frame, number) in frames.iter().zip(0_u32..) {
        thread::sleep((FRAME * number).saturating_sub(begin.elapsed()));
        let packet = encoder.encode(frame)?;
        spoken.sent.push(Instant::now());
        let timestamp = number * u32::try_from(FRAME_LEN)?;
        ensure!(
            mouth.line.send(&packet, timestamp),
            "the speaker was cut off"
        );
        ensure!(ear.line.send(&silence, timestamp), "the ear was cut off");
        while mouth.line.try_recv().is_some() {}
        spoken
            .heard
            .extend(std::iter::from_fn(|| ear.line.try_recv()));
    }
    mouth.close();
    ear.close();
    spoken.heard.sort_by_key(|heard| heard.timestamp);
    Ok(spoken)
}

/// A frame for each packet; on loopback none is lost.
fn decode(packets: &[Heard]) -> anyhow::Result<Vec<f32>> {
    let mut decoder = opus_decoder();
    let mut samples = Vec::with_capacity(packets.len() * FRAME_LEN);
    for packet in packets {
        let frame = decoder.decode(&packet.payload)?;
        ensure!(frame.len() == FRAME_LEN, "a packet is not a frame of 20 ms");
        samples.extend_from_slice(frame);
    }
    Ok(samples)
}

/// Noise loud enough to hold the speaker's gate open, and the chirps.
fn said(samples: usize) -> Vec<f32> {
    let mut chance = 1_u32;
    let noise = std::iter::repeat_with(|| {
        // xorshift32 (Marsaglia 2003).
        chance ^= chance << 13;
        chance ^= chance >> 17;
        chance ^= chance << 5;
        (chance as f32 / u32::MAX as f32 - 0.5) * 0.02
    });
    let mut said: Vec<f32> = noise.take(samples).collect();
    for at in chirps(samples) {
        for (sample, chirp) in said[at..].iter_mut().zip(chirp()) {
            *sample += chirp;
        }
    }
    said
}

/// Where the chirps begin: not in the first second, in which the buffers settle, nor in the last.
fn chirps(samples: usize) -> impl Iterator<Item = usize> {
    (48_000..samples.saturating_sub(48_000)).step_by(CHIRP_EVERY_SAMPLES)
}

/// A sweep from 500 to 3,500 Hz, whose place is found to a sample.
fn chirp() -> impl Iterator<Item = f32> {
    (0..CHIRP_SAMPLES).map(|n| {
        let (at, whole) = (n as f32 / 48_000.0, CHIRP_SAMPLES as f32 / 48_000.0);
        let phase = 500.0 * at + 3_000.0 * at * at / (2.0 * whole);
        let shape = (std::f32::consts::PI * at / whole).sin();
        (std::f32::consts::TAU * phase).sin() * shape * 0.4
    })
}

/// Where in what was heard a chirp is, if it is there.
fn find(chirp: &[f32], said_at: usize, spoken: &Spoken, heard: &[f32]) -> Option<usize> {
    let said = spoken.sent[said_at / FRAME_LEN];
    let first = spoken.heard.partition_point(|heard| heard.arrived < said) * FRAME_LEN;
    let last = (first + DELAY_SAMPLES_MAX).min(heard.len().checked_sub(chirp.len())?);
    let (place, likeness) = (first..last)
        .map(|at| (at, likeness(chirp, &heard[at..at + chirp.len()])))
        .max_by(|a, b| a.1.total_cmp(&b.1))?;
    (likeness >= LIKENESS_MIN).then_some(place)
}

/// The correlation of two sounds of one length.
fn likeness(a: &[f32], b: &[f32]) -> f64 {
    let [mut both, mut only_a, mut only_b] = [0.0_f32; 3];
    for (a, b) in a.iter().zip(b) {
        both += a * b;
        only_a += a * a;
        only_b += b * b;
    }
    f64::from(both) / f64::from(only_a * only_b).sqrt().max(1e-9)
}
