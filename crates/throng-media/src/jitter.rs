//! The jitter buffer: packets of one speaker, as the network brings them, become one frame per tick.
//!
//! A machine without clock: `push` takes a packet and when it came, `pull` takes the time of the tick and always gives
//! a frame. What is missing is filled, best first: a copy in a later packet (RED, RFC 2198), the coarse copy inside
//! the following one (in-band FEC, RFC 6716), concealment that fades, silence. How long sound waits follows the
//! network (`delay`); the wait is changed, and a drifting sender clock followed, in pauses where possible and else
//! by single pitch periods (`stretch`). A sender that pauses (discontinuous transmission) is silence, not loss.
//!
//! Not here: who may speak, levels, mixing. Times are samples at 48 kHz, RTP's clock for Opus (RFC 7587).

mod arrivals;
mod delay;
mod opus_packet;
mod playout;
mod stretch;
#[cfg(test)]
mod tests;
mod voice;

use core::time::Duration;

use bytes::Bytes;
use throng_core::rendition::Channels;

use self::arrivals::{Arrivals, Place, Sound};
use self::delay::{Delay, Filled};
use self::playout::State;
use self::stretch::Loudness;
use self::voice::Voice;
use crate::codec::{OpusDecode, OpusDecoder, opus_decoder_of};
use crate::red::{self, Block};
use crate::{FRAME_LEN, Frame, WideFrame};

/// A sender all of whose packets come too late for this long, 3 s, has moved its clock, or the way has become longer: the
/// stream begins anew. A queue that fills before a narrow place is shorter again by then, as the sender hears of it.
const LATE_RUN_MAX_SAMPLES: i64 = 144_000;

/// Samples of a frame; sample counts and times are signed here.
#[allow(clippy::cast_possible_wrap, reason = "960")]
const FRAME_SAMPLES: i64 = FRAME_LEN as i64;

/// A packet of a speaker, out of its RTP envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpeakerPacket {
    /// RTP sequence number.
    pub sequence: u16,
    /// RTP timestamp, 48 kHz.
    pub timestamp: u32,
    /// What the bytes are.
    pub kind: PacketKind,
    /// The RTP payload.
    pub bytes: Bytes,
}

/// What the payload of a [`SpeakerPacket`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketKind {
    /// One Opus packet.
    Opus,
    /// Opus packets as redundant audio (RFC 2198).
    Red,
}

/// What happened to a speaker's packets and samples, counted since the buffer was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets that came.
    pub received: u64,
    /// Packets that are not Opus or RED, or fit nowhere in the stream.
    pub refused: u64,
    /// Packets that came when their turn was over, or were skipped to catch up.
    pub late: u64,
    /// Packets that came again.
    pub duplicate: u64,
    /// Packets that were missing at their turn, copies (RED) included, whatever took their place.
    pub lost: u64,
    /// Packets whose place was taken by their copy in a later packet.
    pub recovered_by_red: u64,
    /// Of the lost packets, those that in-band FEC gave back.
    pub recovered_by_fec: u64,
    /// How often the stream began anew: a restarted sender, or more sound at once than is kept.
    pub restarts: u64,
    /// Samples that were guessed.
    pub concealed_samples: u64,
    /// Samples put in to lengthen the delay.
    pub stretched_samples: u64,
    /// Samples taken out to shorten the delay.
    pub shrunk_samples: u64,
    /// Samples that were dropped because the mixer was late, or they had waited longer than any may.
    pub skipped_samples: u64,
    /// How long sound should wait above the least transit time.
    pub target_delay_samples: u32,
    /// How long sound waited at the last tick that had any.
    pub delay_samples: u32,
}

/// The jitter buffer of one speaker.
pub struct JitterBuffer<D = OpusDecoder> {
    arrivals: Arrivals,
    delay: Delay,
    voice: Voice<D>,
    state: State,
    /// The timestamp of the next sample to be decoded.
    next: Option<i64>,
    /// The sequence of the packet decoded last.
    decoded: Option<i64>,
    /// Samples that were guessed because nothing was there, and that `next` does not count yet.
    owed: i64,
    /// When the first of the packets came that have all been late since.
    late_since: Option<i64>,
    loudness: Loudness,
    ticks_since_change: u32,
    packet_samples: i64,
    counters: Counters,
}

impl JitterBuffer {
    /// A buffer that has heard nothing, with the default decoder of one channel.
    pub fn new() -> Self {
        Self::of(Channels::Mono)
    }

    /// The same of one channel or two.
    pub fn of(channels: Channels) -> Self {
        Self::with_decoder(opus_decoder_of(channels))
    }
}

impl Default for JitterBuffer {
    fn default() -> Self {
        Self::new()
    }
}

impl<D: OpusDecode> JitterBuffer<D> {
    /// A buffer that has heard nothing.
    pub fn with_decoder(decoder: D) -> Self {
        Self {
            arrivals: Arrivals::default(),
            delay: Delay::new(),
            voice: Voice::new(decoder),
            state: State::Pausing,
            next: None,
            decoded: None,
            owed: 0,
            late_since: None,
            loudness: Loudness::default(),
            ticks_since_change: 0,
            packet_samples: 0,
            counters: Counters::default(),
        }
    }

    /// Takes a packet that came at `now`.
    pub fn push(&mut self, now: Duration, packet: &SpeakerPacket) {
        let arrival = samples_of(now);
        self.counters.received += 1;
        let Some((own, copies)) = unpack(packet) else {
            self.counters.refused += 1;
            return;
        };
        let (sequence, timestamp) =
            match self
                .arrivals
                .place(arrival, packet.sequence, packet.timestamp)
            {
                Place::Duplicate => {
                    self.counters.duplicate += 1;
                    return;
                }
                Place::Stray => {
                    self.counters.refused += 1;
                    return;
                }
                Place::Restart {
                    sequence,
                    timestamp,
                } => {
                    self.begin_anew();
                    (sequence, timestamp)
                }
                Place::Member {
                    sequence,
                    timestamp,
                } => (sequence, timestamp),
            };
        let own_samples = own.samples;
        self.packet_samples = own_samples;
        if self.arrivals.is_newest(sequence) {
            self.delay.arrived(arrival, timestamp, own_samples);
        } else if !self.arrivals.has_copy(sequence) {
            // After its copy it is worth nothing any more, and how late it is then is no reason to wait longer for others.
            let way = self.way_of(sequence, Filled::Again);
            self.delay.filled(arrival, timestamp, way);
        }
        for (offset, copy) in copies {
            // A sender may leave out some; but those that he repeats follow each other without a pause.
            let before = i64::from(offset) / own_samples.max(1);
            let copy = Sound {
                sequence: sequence - before,
                ..copy
            };
            self.keep_copy(arrival, timestamp - i64::from(offset), copy);
        }
        self.keep_own(arrival, timestamp, Sound { sequence, ..own });
    }

    /// The frame of the tick at `now`, in one channel. Call it once per frame; `now` is best the frame's nominal time.
    pub fn pull(&mut self, now: Duration) -> Frame {
        self.pull_wide(now).mid
    }

    /// The same in as many channels as the decoder has.
    pub fn pull_wide(&mut self, now: Duration) -> WideFrame {
        let now = samples_of(now);
        self.delay.tick();
        self.fill(now);
        self.adapt(now);
        self.counters.target_delay_samples = u32::try_from(self.delay.target()).unwrap_or(u32::MAX);
        let frame = self.voice.take_frame();
        self.loudness.hear(&frame.mid);
        frame
    }

    /// Drops the sound of ticks that did not take place, so that the delay stays what it was.
    pub fn skip(&mut self, frames: u32) {
        self.skip_samples(i64::from(frames) * FRAME_SAMPLES);
    }

    /// How much sound is in the packet that came last.
    pub fn packet_samples(&self) -> i64 {
        self.packet_samples
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// How a packet that was missing was filled, that has come in such a way: if the one after it is missing, too, nothing
    /// but waiting brings it, for in-band FEC reaches back by one.
    fn way_of(&self, sequence: i64, came: Filled) -> Filled {
        let after = sequence + 1;
        if self.arrivals.has_come(after) || self.arrivals.has_copy(after) {
            came
        } else {
            Filled::ByWaiting
        }
    }

    fn keep_own(&mut self, arrival: i64, timestamp: i64, sound: Sound) {
        let is_past = self.next.is_some_and(|next| timestamp < next);
        if is_past || self.delay.is_too_late(arrival, timestamp) {
            self.counters.late += 1;
            let since = *self.late_since.get_or_insert(arrival);
            if arrival - since >= LATE_RUN_MAX_SAMPLES {
                self.arrivals = Arrivals::default();
                self.begin_anew();
            }
            return;
        }
        self.late_since = None;
        self.arrivals.keep(timestamp, sound);
        if self.arrivals.overflows() {
            self.catch_up();
        }
    }

    fn keep_copy(&mut self, arrival: i64, timestamp: i64, copy: Sound) {
        if self.arrivals.note_copy(copy.sequence) {
            let way = self.way_of(copy.sequence, Filled::ByCopy);
            self.delay.filled(arrival, timestamp, way);
        }
        // The stream begins with the first packet that came, and what is decoded is decoded.
        if self.next.is_some_and(|next| timestamp >= next)
            && !self.delay.is_too_late(arrival, timestamp)
        {
            self.arrivals.keep(timestamp, copy);
        }
    }

    /// More came at once than is kept: hear the newest, as far back as the delay wants it.
    fn catch_up(&mut self) {
        let Some(end) = self.arrivals.end() else {
            return;
        };
        self.counters.late += self.arrivals.drop_before(end - self.delay.target());
        self.counters.restarts += 1;
        self.pause();
        self.decoded = None;
    }

    /// The sender's numbers began anew: nothing that was known about them holds.
    fn begin_anew(&mut self) {
        self.counters.restarts += 1;
        self.delay.forget_transits();
        self.pause();
        self.next = None;
        self.decoded = None;
        self.late_since = None;
    }
}

/// A packet's own sound and the copies in it with their timestamp offsets, newest first; `None` if it is malformed.
/// Sequences are not known here.
fn unpack(packet: &SpeakerPacket) -> Option<(Sound, Vec<(u16, Sound)>)> {
    let sound = |bytes: Bytes, copy| {
        let samples = opus_packet::duration_samples(&bytes)?;
        Some(Sound {
            bytes,
            sequence: 0,
            samples,
            copy,
        })
    };
    match packet.kind {
        PacketKind::Opus => Some((sound(packet.bytes.clone(), false)?, Vec::new())),
        PacketKind::Red => {
            let red = red::parse(&packet.bytes).ok()?;
            let own = sound(packet.bytes.slice_ref(red.primary.payload), false)?;
            // Another payload type is not Opus (comfort noise, a telephone key), and what has no offset is no copy.
            let is_copy = |block: &&Block<'_>| {
                block.payload_type == red.primary.payload_type && block.timestamp_offset > 0
            };
            let copies = red.copies().iter().rev().filter(is_copy);
            let copies = copies.filter_map(|block| {
                Some((
                    block.timestamp_offset,
                    sound(packet.bytes.slice_ref(block.payload), true)?,
                ))
            });
            Some((own, copies.collect()))
        }
    }
}

/// A time in samples.
fn samples_of(time: Duration) -> i64 {
    i64::try_from(time.as_nanos() * 48 / 1_000_000).unwrap_or(i64::MAX)
}
