//! A sender, a network and a clock without any real one: every run follows from its seed.
//!
//! The codec is a stand-in: a packet says which samples it holds, and a sample says (by its value) when it was spoken
//! or is a point of a tone. So delay and gaps can be read from what is heard.

use core::time::Duration;
use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};

use crate::codec::{CodecError, OpusDecode};
use crate::jitter::{Counters, JitterBuffer, PacketKind, SpeakerPacket};
use crate::{Frame, SILENCE};

/// `SplitMix64`: all the chance there is in these tests.
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn one_in_a_thousand(&mut self, times: u64) -> bool {
        self.next() % 1_000 < times
    }
}

/// What the stand-in decoder makes of a timestamp.
#[derive(Clone, Copy)]
pub(super) enum Wave {
    /// The timestamp itself, divided by 2^24, which f32 holds exactly: for 350 s.
    Clock,
    /// 150 Hz at half scale.
    Tone,
}

pub(super) const CLOCK_SCALE: f32 = 16_777_216.0;
/// Of the tone.
const PERIOD: usize = 320;

pub(super) struct StandIn {
    wave: Wave,
    at: i64,
    tone: Vec<f32>,
    pcm: Vec<f32>,
}

impl StandIn {
    pub(super) fn new(wave: Wave) -> Self {
        let tone = (0..PERIOD + 5_760)
            .map(|at| (at as f32 / PERIOD as f32 * std::f32::consts::TAU).sin() * 0.5);
        Self {
            wave,
            at: 0,
            tone: tone.collect(),
            pcm: Vec::new(),
        }
    }

    fn run(&mut self, from: i64, samples: i64) -> &[f32] {
        self.at = from + samples;
        match self.wave {
            Wave::Clock => self.pcm = (from..self.at).map(|at| at as f32 / CLOCK_SCALE).collect(),
            Wave::Tone => {
                let begin = (from % PERIOD as i64) as usize;
                self.pcm.clear();
                self.pcm
                    .extend_from_slice(&self.tone[begin..begin + samples as usize]);
            }
        }
        &self.pcm
    }
}

fn spoken_at(packet: &[u8]) -> i64 {
    i64::from_be_bytes(packet[2..10].try_into().unwrap())
}

impl OpusDecode for StandIn {
    fn decode(&mut self, packet: &[u8]) -> Result<&[f32], CodecError> {
        let samples = crate::jitter::opus_packet::duration_samples(packet).unwrap();
        Ok(self.run(spoken_at(packet), samples))
    }

    fn recover(&mut self, following: &[u8]) -> Result<&[f32], CodecError> {
        Ok(self.run(spoken_at(following) - 960, 960))
    }

    fn conceal(&mut self, samples: usize) -> &[f32] {
        self.run(self.at, samples as i64)
    }

    /// Everything is on the left.
    fn side(&self) -> Option<&[f32]> {
        Some(&self.pcm)
    }
}

/// How the speaker sends.
#[derive(Clone, Copy)]
pub(super) struct Sender {
    pub(super) packet_samples: i64,
    /// Copies of so many packets before.
    pub(super) red: i64,
    pub(super) fec: bool,
    /// How much faster than true time his clock runs.
    pub(super) drift_ppm: i64,
    pub(super) first_sequence: u16,
    pub(super) first_timestamp: u32,
    /// (from, to) in packets: nothing is sent there though timestamps go on.
    pub(super) pause: (i64, i64),
}

pub(super) const SENDER: Sender = Sender {
    packet_samples: 960,
    red: 0,
    fec: false,
    drift_ppm: 0,
    first_sequence: 1_000,
    first_timestamp: 5_000,
    pause: (0, 0),
};

impl Sender {
    /// The bytes of the packet that was spoken from sample `at` on.
    fn bytes(&self, at: i64) -> Bytes {
        let mut bytes = BytesMut::new();
        // RFC 6716, table 2: SILK, one frame; then the LBRR flag of section 4.2.3.
        bytes.put_u8(match self.packet_samples {
            480 => 0,
            960 => 1 << 3,
            1_920 => 2 << 3,
            _ => 3 << 3,
        });
        bytes.put_u8(if self.fec { 0x40 } else { 0 });
        bytes.put_i64(at);
        bytes.freeze()
    }

    fn pauses_at(&self, n: i64) -> bool {
        (self.pause.0..self.pause.1).contains(&n)
    }

    /// Packet n; `None` in a pause.
    pub(super) fn packet(&self, n: i64) -> Option<SpeakerPacket> {
        if self.pauses_at(n) {
            return None;
        }
        let at = n * self.packet_samples;
        let paused = if n >= self.pause.1 {
            self.pause.1 - self.pause.0
        } else {
            0
        };
        let mut bytes = BytesMut::new();
        let copied: Vec<i64> = (1..=self.red)
            .rev()
            .map(|d| n - d)
            .filter(|&m| m >= 0 && !self.pauses_at(m))
            .collect();
        for &m in &copied {
            let len = self.bytes(0).len() as u32;
            let offset = ((n - m) * self.packet_samples) as u32;
            bytes.put_u32((1 << 31) | (111 << 24) | (offset << 10) | len);
        }
        if self.red > 0 {
            bytes.put_u8(111);
        }
        for &m in &copied {
            bytes.put(self.bytes(m * self.packet_samples));
        }
        bytes.put(self.bytes(at));
        Some(SpeakerPacket {
            sequence: self.first_sequence.wrapping_add((n - paused) as u16),
            timestamp: self.first_timestamp.wrapping_add(at as u32),
            kind: if self.red > 0 {
                PacketKind::Red
            } else {
                PacketKind::Opus
            },
            bytes: bytes.freeze(),
        })
    }

    /// When packet n is complete, in samples of true time.
    fn sent(&self, n: i64) -> i64 {
        let at = (n + 1) * self.packet_samples;
        at - at * self.drift_ppm / 1_000_000
    }
}

/// What happens on the way. Chances are in thousandths of the packets.
#[derive(Clone, Copy)]
pub(super) struct Network {
    /// All chance follows from it.
    pub(super) seed: u64,
    pub(super) loss: u64,
    /// Packets lost together.
    pub(super) burst: u64,
    /// What is lost comes again so many samples later (NACK), or with 0 never.
    pub(super) again: i64,
    /// Largest extra delay, evenly spread, in samples, while (from, to) in samples of true time.
    pub(super) jitter: u64,
    pub(super) jitter_while: (i64, i64),
    pub(super) duplicated: u64,
    /// Packets that are held back by 25 ms, so that the next overtakes them.
    pub(super) overtaken: u64,
    /// (from, to) in samples of true time: nothing passes.
    pub(super) outage: (i64, i64),
}

pub(super) const CALM: Network = Network {
    seed: 7,
    loss: 0,
    burst: 1,
    again: 0,
    jitter: 0,
    jitter_while: (0, i64::MAX),
    duplicated: 0,
    overtaken: 0,
    outage: (0, 0),
};

/// What came of a run.
pub(super) struct Outcome {
    /// Every sample; of a tone nothing, as it may go on for hours.
    pub(super) heard: Vec<f32>,
    pub(super) frames: i64,
    /// The largest step between two samples after the first second.
    pub(super) largest_step: f32,
    pub(super) counters: Counters,
    /// (delay, target) after each tick.
    pub(super) delays: Vec<(u32, u32)>,
    pub(super) lost_on_the_way: u64,
    pub(super) duplicated: u64,
}

/// Runs a sender through a network into a buffer.
pub(super) fn run(seconds: i64, wave: Wave, sender: Sender, network: Network) -> Outcome {
    let mut way = Way {
        chance: Chance(network.seed),
        network,
        packets: BTreeMap::new(),
        burst_left: 0,
        lost: 0,
        duplicated: 0,
    };
    let mut buffer = JitterBuffer::with_decoder(StandIn::new(wave));
    let mut outcome = Outcome {
        heard: Vec::new(),
        frames: 0,
        largest_step: 0.0,
        counters: Counters::default(),
        delays: Vec::new(),
        lost_on_the_way: 0,
        duplicated: 0,
    };
    let mut last = 0.0;
    let mut n = 0;
    for tick in 0..seconds * 50 {
        let now = tick * 960;
        while sender.sent(n) <= now {
            if let Some(packet) = sender.packet(n) {
                way.send(sender.sent(n), &packet);
            }
            n += 1;
        }
        for (arrival, packet) in way.arrivals(now) {
            buffer.push(time(arrival), &packet);
        }
        let wide = buffer.pull_wide(time(now));
        let side = wide.side.map_or(SILENCE, |side| *side);
        let bits = |plane: &Frame| plane.map(f32::to_bits);
        assert_eq!(
            bits(&wide.mid),
            bits(&side),
            "both planes are treated alike"
        );
        let frame = wide.mid;
        outcome.frames += 1;
        match wave {
            Wave::Clock => outcome.heard.extend(frame),
            Wave::Tone => {
                for sample in frame {
                    let step: f32 = sample - last;
                    outcome.largest_step =
                        outcome
                            .largest_step
                            .max(if tick > 50 { step.abs() } else { 0.0 });
                    last = sample;
                }
            }
        }
        let counters = buffer.counters();
        outcome
            .delays
            .push((counters.delay_samples, counters.target_delay_samples));
    }
    Outcome {
        counters: buffer.counters(),
        lost_on_the_way: way.lost,
        duplicated: way.duplicated,
        ..outcome
    }
}

/// A time in samples as a duration, rounded up so that it is not before the sample.
pub(super) fn time(samples: i64) -> Duration {
    Duration::from_nanos((samples as u64 * 1_000_000).div_ceil(48))
}

struct Way {
    chance: Chance,
    network: Network,
    packets: BTreeMap<(i64, u64), SpeakerPacket>,
    burst_left: u64,
    lost: u64,
    duplicated: u64,
}

impl Way {
    fn send(&mut self, sent: i64, packet: &SpeakerPacket) {
        let network = self.network;
        if self.burst_left == 0 && self.chance.one_in_a_thousand(network.loss) {
            self.burst_left = network.burst;
        }
        let out = (network.outage.0..network.outage.1).contains(&sent);
        if out || self.burst_left > 0 {
            self.burst_left = self.burst_left.saturating_sub(1);
            self.lost += 1;
            if network.again > 0 {
                self.deliver(sent + network.again, packet.clone());
            }
            return;
        }
        let jitters = (network.jitter_while.0..network.jitter_while.1).contains(&sent);
        let jitter = if jitters {
            self.chance.next() % (network.jitter + 1)
        } else {
            0
        };
        let held = if self.chance.one_in_a_thousand(network.overtaken) {
            1_200
        } else {
            0
        };
        self.deliver(sent + jitter as i64 + held, packet.clone());
        if self.chance.one_in_a_thousand(network.duplicated) {
            self.duplicated += 1;
            self.deliver(sent + 700, packet.clone());
        }
    }

    fn deliver(&mut self, arrival: i64, packet: SpeakerPacket) {
        self.packets.insert((arrival, self.chance.next()), packet);
    }

    fn arrivals(&mut self, now: i64) -> Vec<(i64, SpeakerPacket)> {
        let later = self.packets.split_off(&(now + 1, 0));
        std::mem::replace(&mut self.packets, later)
            .into_iter()
            .map(|((arrival, _), packet)| (arrival, packet))
            .collect()
    }
}
