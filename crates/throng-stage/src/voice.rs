//! One outgoing line of speech: sequence numbers, timestamps and redundancy. Pure.

use std::sync::Arc;

use str0m::media::Pt;
use str0m::rtp::{RedEncoder, RedundantBlock};

/// The longest Opus packet: one frame of 1275 bytes (RFC 6716 section 3.4). Longer ones are not sent.
pub(crate) const OPUS_MAX_BYTES: usize = 1275;
/// With redundancy a packet stays below the smallest common path MTU; otherwise it goes alone.
const REDUNDANT_MAX_BYTES: usize = 1100;
/// A copy of one frame of 20 ms. Longer packets are sent where a link bears no more: they go alone.
const REDUNDANT_MAX_SAMPLES: u32 = 960;

/// What a line is numbered with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start {
    /// The first sequence number, below 2^15 so that the receiver cannot mistake the rollover (RFC 3711 section 3.3.1).
    pub(crate) sequence: u16,
    /// Added to every timestamp: "The initial value of the timestamp SHOULD be random" (RFC 3550 section 5.1).
    pub(crate) timestamp: u32,
}

/// The line.
#[derive(Debug)]
pub(crate) struct Voice {
    opus: Pt,
    red: Option<Pt>,
    sequence: u64,
    offset: u32,
    started: bool,
    before: Option<(u32, Arc<[u8]>)>,
}

/// One RTP packet to be written.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) pt: Pt,
    pub(crate) sequence: u64,
    pub(crate) timestamp: u32,
    /// Begins a talkspurt (RFC 3551 section 4.1).
    pub(crate) marker: bool,
    pub(crate) payload: Arc<[u8]>,
}

impl Voice {
    /// A line of Opus; with `red`, each packet also carries the one before it.
    pub(crate) fn new(opus: Pt, red: Option<Pt>, start: Start) -> Self {
        let sequence = u64::from(start.sequence & 0x7fff);
        Self {
            opus,
            red,
            sequence,
            offset: start.timestamp,
            started: false,
            before: None,
        }
    }

    /// Numbers the next packet. None if it is empty or longer than Opus can be.
    pub(crate) fn next(&mut self, timestamp: u32, packet: &Arc<[u8]>) -> Option<Outgoing> {
        if packet.is_empty() || packet.len() > OPUS_MAX_BYTES {
            return None;
        }
        let (pt, payload) = match self.red {
            Some(red) => (red, self.redundant(timestamp, packet)),
            None => (self.opus, Arc::clone(packet)),
        };
        let outgoing = Outgoing {
            pt,
            sequence: self.sequence,
            timestamp: timestamp.wrapping_add(self.offset),
            marker: !self.started,
            payload,
        };
        self.before = self.red.map(|_| (timestamp, Arc::clone(packet)));
        self.sequence += 1;
        self.started = true;
        Some(outgoing)
    }

    fn redundant(&self, timestamp: u32, packet: &[u8]) -> Arc<[u8]> {
        let before = self
            .before
            .as_ref()
            .filter(|(_, bytes)| bytes.len() + packet.len() <= REDUNDANT_MAX_BYTES)
            .filter(|(at, _)| timestamp.wrapping_sub(*at) <= REDUNDANT_MAX_SAMPLES);
        // A block that is too long for its header is left out by the encoder.
        let block = before.map(|(at, bytes)| RedundantBlock {
            pt: *self.opus,
            timestamp_offset: timestamp.wrapping_sub(*at),
            payload: bytes.to_vec(),
        });
        RedEncoder::encode(*self.opus, packet, block.as_slice()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use str0m::rtp::RedDecoder;

    fn packet(byte: u8, length: usize) -> Arc<[u8]> {
        vec![byte; length].into()
    }

    fn start() -> Start {
        Start {
            sequence: u16::MAX,
            timestamp: u32::MAX - 100,
        }
    }

    #[test]
    fn sequence_numbers_are_consecutive_and_timestamps_follow_the_programme() {
        let mut voice = Voice::new(111.into(), None, start());
        let first = voice.next(960, &packet(1, 10)).unwrap();
        // A frame of the programme was lost on the way here: the numbers do not show it, the time does.
        let second = voice.next(3 * 960, &packet(2, 10)).unwrap();
        assert_eq!((first.sequence, second.sequence), (0x7fff, 0x8000));
        assert_eq!(second.timestamp.wrapping_sub(first.timestamp), 2 * 960);
        assert!(first.marker && !second.marker);
    }

    #[test]
    fn redundancy_repeats_the_packet_before() {
        let mut voice = Voice::new(111.into(), Some(63.into()), start());
        voice.next(0, &packet(1, 10)).unwrap();
        let second = voice.next(960, &packet(2, 10)).unwrap();
        let blocks = RedDecoder::decode(&second.payload).unwrap();
        assert_eq!(blocks.len(), 2);
        assert_eq!(
            (blocks[0].timestamp_offset, blocks[0].payload),
            (960, &[1; 10][..])
        );
        assert_eq!(
            (blocks[1].is_primary, blocks[1].payload),
            (true, &[2; 10][..])
        );
        // After a long pause, or beside a long packet, a packet goes alone (RFC 2198 section 3).
        let late = voice.next(960 + 20_000, &packet(3, 10)).unwrap();
        assert_eq!(RedDecoder::decode(&late.payload).unwrap().len(), 1);
        let long = voice.next(960 + 20_960, &packet(4, 1200)).unwrap();
        assert_eq!(RedDecoder::decode(&long.payload).unwrap().len(), 1);
    }

    #[test]
    fn packets_of_more_than_a_frame_go_alone() {
        let mut voice = Voice::new(111.into(), Some(63.into()), start());
        let blocks = |voice: &mut Voice, frame: u32| {
            let sent = voice.next(frame * 960, &packet(1, 10)).unwrap();
            RedDecoder::decode(&sent.payload).unwrap().len()
        };
        let frames = [0, 1, 4, 7, 10, 11, 12];
        let found = frames.map(|frame| blocks(&mut voice, frame));
        assert_eq!(found, [1, 2, 1, 1, 1, 2, 2]);
    }

    #[test]
    fn what_is_not_an_opus_packet_is_not_sent() {
        let mut voice = Voice::new(111.into(), None, start());
        assert!(voice.next(0, &packet(0, 0)).is_none());
        assert!(voice.next(0, &packet(0, OPUS_MAX_BYTES + 1)).is_none());
        assert_eq!(
            voice.next(0, &packet(0, OPUS_MAX_BYTES)).unwrap().sequence,
            0x7fff
        );
    }
}
