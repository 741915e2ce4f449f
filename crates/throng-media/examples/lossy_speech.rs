//! What becomes of speech on a network that loses packets, with every remedy or without some, in simulated time:
//! `lossy_speech SENDER LOSS BURST JITTER SEED [red|fec|nack|concealment]… < SAID > HEARD`.
//!
//! SENDER is `page`, as our page sends (each packet repeats the first and the third before it, and what is asked for comes
//! again), `browser`, as browsers do by themselves (the first before it alone), or `speak`, as our own client does (the first
//! and the third, and nothing comes again). LOSS is in thousandths, both ways; BURST packets are lost together; JITTER is
//! the most that a packet waits besides, in milliseconds; all chance follows from SEED; the words name what is left out. The
//! first ten seconds are calm. Sound is raw mono `f32`, little-endian, at 48 kHz. The round trip takes 80 ms. What is heard
//! begins with what was said first, and lags it by the codec and the jitter buffer. Counts of what came after the calm
//! stand on standard error, with how long sound waited then.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::print_stderr,
    reason = "numbers of a simulation, small or meant to wrap as on the wire"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::time::Duration;

use bytes::Bytes;
use throng_media::FRAME_LEN;
use throng_media::codec::{
    CodecError, MAX_PACKET_SAMPLES, OpusDecode, OpusDecoder, OpusEncode, OpusSettings,
    opus_decoder, opus_encoder,
};
use throng_media::jitter::{Counters, JitterBuffer, PacketKind, SpeakerPacket};

/// A frame, in samples; all times are in samples.
const FRAME: u64 = FRAME_LEN as u64;
/// 40 ms each way.
const ONE_WAY: u64 = 1_920;
/// A packet is asked for again after a round trip and 5 ms, and five times at most, as the WebRTC library does it.
const ASK_AGAIN: u64 = 2 * ONE_WAY + 240;
const ASKED_MAX: u32 = 5;
/// Packets that the sender has kept to send again: a second.
const KEPT: u64 = 50;
/// How long the network is calm at first, 10 s: the buffer waits for nothing when the first packet is lost.
const CALM: u64 = 480_000;
const OPUS: u8 = 111;

fn main() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [sender, loss, burst, jitter, seed, without @ ..] = words.as_slice() else {
        return Err(io::Error::other(
            "usage: lossy_speech page|browser|speak LOSS BURST JITTER SEED [WITHOUT]…",
        ));
    };
    let comes_again = sender != "speak";
    let has = |remedy: &str| !without.iter().any(|word| word == remedy);
    let number = |word: &str| word.parse::<u64>().map_err(io::Error::other);
    let mut said = Vec::new();
    io::stdin().read_to_end(&mut said)?;
    let repeated: &[u64] = match (has("red"), sender.as_str()) {
        (false, _) => &[],
        (true, "browser") => &[1],
        (true, _) => &[3, 1],
    };
    let packets = packets(&said, has("fec"), repeated);
    let way = Way {
        chance: Chance(number(seed)?),
        loss: number(loss)?,
        burst: number(burst)?,
        jitter: number(jitter)? * 48,
        left: [0; 2],
    };
    let decoder = Guesses {
        decoder: opus_decoder(),
        guesses: has("concealment"),
    };
    let heard = hear(
        &packets,
        way,
        comes_again && has("nack"),
        JitterBuffer::with_decoder(decoder),
    );
    io::stdout().write_all(&heard)
}

/// The packets of what is said, frame by frame; each repeats those that are so many frames before it.
fn packets(said: &[u8], fec: bool, repeated: &[u64]) -> Vec<SpeakerPacket> {
    let mut encoder = opus_encoder(OpusSettings {
        in_band_fec: fec,
        ..OpusSettings::conversation()
    });
    let frames = said.chunks_exact(FRAME_LEN * 4).map(|frame| {
        let sample = |i: usize| frame[i * 4..][..4].try_into().expect("four bytes");
        let frame = std::array::from_fn(|i| f32::from_le_bytes(sample(i)));
        encoder.encode(&frame).expect("Opus encodes any sound")
    });
    let frames: Vec<Bytes> = frames.collect();
    let packet = |n: usize| {
        let (kind, bytes) = if repeated.is_empty() {
            (PacketKind::Opus, frames[n].clone())
        } else {
            (PacketKind::Red, redundant(&frames[..=n], repeated))
        };
        SpeakerPacket {
            sequence: n as u16,
            timestamp: n as u32 * FRAME as u32,
            kind,
            bytes,
        }
    };
    (0..frames.len()).map(packet).collect()
}

/// RFC 2198, section 3: earlier frames, farthest first, and the last.
fn redundant(frames: &[Bytes], repeated: &[u64]) -> Bytes {
    let own = frames.len() - 1;
    let known = repeated.iter().filter(|&&before| before <= own as u64);
    let (mut headers, mut blocks) = (Vec::new(), Vec::new());
    for &before in known {
        let block = &frames[own - before as usize];
        let offset = (before * FRAME) as u32;
        let header = 1 << 31 | u32::from(OPUS) << 24 | offset << 10 | block.len() as u32;
        headers.extend(header.to_be_bytes());
        blocks.extend_from_slice(block);
    }
    [&headers[..], &[OPUS], &blocks, &frames[own]]
        .concat()
        .into()
}

/// Something is under way.
enum Event {
    /// A packet arrives.
    Packet(u64),
    /// The receiver asks for a packet, and for the how manieth time.
    Ask(u64, u32),
    /// The sender is asked for it.
    Asked(u64),
}

/// Plays the packets through the network into the buffer; a frame for each.
fn hear(
    packets: &[SpeakerPacket],
    mut way: Way,
    nack: bool,
    mut buffer: JitterBuffer<Guesses>,
) -> Vec<u8> {
    let mut events: BTreeMap<(u64, u64), Event> = BTreeMap::new();
    let mut number = 0;
    let mut put = |events: &mut BTreeMap<_, _>, at: u64, event: Event| {
        number += 1;
        events.insert((at, number), event);
    };
    let (mut heard, mut came, mut newest) = (Vec::new(), BTreeSet::new(), None);
    let (mut waited, mut before) = (Vec::new(), Counters::default());
    for tick in 0..packets.len() as u64 {
        let now = tick * FRAME;
        let is_calm = now < CALM;
        if tick > 0 && (is_calm || way.passes(0)) {
            let takes = if is_calm { ONE_WAY } else { way.takes() };
            put(&mut events, now + takes, Event::Packet(tick - 1));
        }
        while let Some(entry) = events.first_entry().filter(|entry| entry.key().0 <= now) {
            let ((at, _), event) = entry.remove_entry();
            match event {
                Event::Packet(n) => {
                    came.insert(n);
                    buffer.push(time(at), &packets[n as usize]);
                    let first = newest.map_or(n, |newest: u64| newest + 1);
                    newest = Some(newest.map_or(n, |newest| newest.max(n)));
                    for missing in (first..n).filter(|_| nack) {
                        put(&mut events, at, Event::Ask(missing, 1));
                    }
                }
                Event::Ask(n, times) if !came.contains(&n) => {
                    if way.passes(1) {
                        put(&mut events, at + way.takes(), Event::Asked(n));
                    }
                    if times < ASKED_MAX {
                        put(&mut events, at + ASK_AGAIN, Event::Ask(n, times + 1));
                    }
                }
                Event::Asked(n) if n + KEPT > tick && way.passes(0) => {
                    put(&mut events, at + way.takes(), Event::Packet(n));
                }
                Event::Ask(..) | Event::Asked(_) => {}
            }
        }
        for sample in buffer.pull(time(now)) {
            heard.extend(sample.to_le_bytes());
        }
        if is_calm {
            before = buffer.counters();
        } else {
            waited.push(buffer.counters().delay_samples);
        }
    }
    tell(before, buffer.counters(), waited);
    heard
}

fn tell(before: Counters, after: Counters, mut waited: Vec<u32>) {
    waited.sort_unstable();
    let at = |share: usize| {
        waited
            .get((waited.len().max(1) - 1) * share / 100)
            .map_or(0, |samples| samples / 48)
    };
    let ms = |after: u64, before: u64| (after - before) / 48;
    eprintln!(
        "guessed_ms: {} stretched_ms: {} shrunk_ms: {} red: {} fec: {} late: {} lost: {} delay_ms_median: {} delay_ms_95: {} delay_ms_most: {}",
        ms(after.concealed_samples, before.concealed_samples),
        ms(after.stretched_samples, before.stretched_samples),
        ms(after.shrunk_samples, before.shrunk_samples),
        after.recovered_by_red - before.recovered_by_red,
        after.recovered_by_fec - before.recovered_by_fec,
        after.late - before.late,
        after.lost - before.lost,
        at(50),
        at(95),
        at(100),
    );
}

fn time(samples: u64) -> Duration {
    Duration::from_nanos((samples * 1_000_000).div_ceil(48))
}

/// The network, there and back.
struct Way {
    chance: Chance,
    loss: u64,
    burst: u64,
    /// Most that a packet waits besides, in samples.
    jitter: u64,
    /// How many are still lost together, in each direction.
    left: [u64; 2],
}

impl Way {
    fn passes(&mut self, direction: usize) -> bool {
        let left = &mut self.left[direction];
        if *left == 0 && self.chance.next() % (1_000 * self.burst) < self.loss {
            *left = self.burst;
        }
        let passes = *left == 0;
        *left = left.saturating_sub(1);
        passes
    }

    fn takes(&mut self) -> u64 {
        ONE_WAY + self.chance.next() % (self.jitter + 1)
    }
}

/// `SplitMix64`.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// A decoder that guesses what is missing, or leaves it silent.
struct Guesses {
    decoder: OpusDecoder,
    guesses: bool,
}

impl OpusDecode for Guesses {
    fn decode(&mut self, packet: &[u8]) -> Result<&[f32], CodecError> {
        self.decoder.decode(packet)
    }

    fn recover(&mut self, following: &[u8]) -> Result<&[f32], CodecError> {
        self.decoder.recover(following)
    }

    fn conceal(&mut self, samples: usize) -> &[f32] {
        static NOTHING: [f32; MAX_PACKET_SAMPLES] = [0.0; MAX_PACKET_SAMPLES];
        if self.guesses {
            self.decoder.conceal(samples)
        } else {
            &NOTHING[..samples.min(NOTHING.len())]
        }
    }
}
