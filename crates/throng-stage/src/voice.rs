//! One outgoing line of speech: sequence numbers, timestamps and redundancy. Pure.

use std::collections::VecDeque;
use std::sync::Arc;

use str0m::media::Pt;
use str0m::rtp::{RedEncoder, RedundantBlock};

/// The longest Opus packet: one frame of 1275 bytes (RFC 6716 section 3.4). Longer ones are not sent.
pub(crate) const OPUS_MAX_BYTES: usize = 1275;
/// With redundancy a packet stays below the smallest common path MTU; otherwise it goes alone.
const REDUNDANT_MAX_BYTES: usize = 1100;
/// Samples of a frame of 20 ms. Longer packets are sent where a link bears no more: they go alone.
const FRAME_SAMPLES: u32 = 960;
/// How many frames before its own a packet repeats, farthest first. Of three lost in a row the next packet brings the first
/// and the last, and the one after it the second.
const DISTANCES: [u32; 2] = [3, 1];
/// Packets that may still be repeated.
const REPEATED_MAX: usize = 3;

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
    /// Timestamps and bytes of the packets sent last, oldest first.
    before: VecDeque<(u32, Arc<[u8]>)>,
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
    /// A line of Opus; with `red`, each packet also carries earlier ones.
    pub(crate) fn new(opus: Pt, red: Option<Pt>, start: Start) -> Self {
        let sequence = u64::from(start.sequence & 0x7fff);
        Self {
            opus,
            red,
            sequence,
            offset: start.timestamp,
            started: false,
            before: VecDeque::with_capacity(REPEATED_MAX),
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
        if self.red.is_some() {
            if self.before.len() == REPEATED_MAX {
                self.before.pop_front();
            }
            self.before.push_back((timestamp, Arc::clone(packet)));
        }
        self.sequence += 1;
        self.started = true;
        Some(outgoing)
    }

    fn redundant(&self, timestamp: u32, packet: &[u8]) -> Arc<[u8]> {
        let is_long = self
            .before
            .back()
            .is_none_or(|(at, _)| timestamp.wrapping_sub(*at) > FRAME_SAMPLES);
        let mut room = REDUNDANT_MAX_BYTES.saturating_sub(packet.len());
        let blocks = DISTANCES.iter().filter_map(|distance| {
            let offset = distance * FRAME_SAMPLES;
            let (_, bytes) = self
                .before
                .iter()
                .find(|(at, _)| timestamp.wrapping_sub(*at) == offset)?;
            room = room.checked_sub(bytes.len())?;
            // A block that is too long for its header is left out by the encoder.
            Some(RedundantBlock {
                pt: *self.opus,
                timestamp_offset: offset,
                payload: bytes.to_vec(),
            })
        });
        let blocks: Vec<_> = blocks.filter(|_| !is_long).collect();
        RedEncoder::encode(*self.opus, packet, &blocks).into()
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

    /// Sends the packet of a frame, whose bytes are the frame's number; the frames in what is sent, its own last.
    fn frames_in(voice: &mut Voice, frame: u8, length: usize) -> Vec<u8> {
        let at = u32::from(frame) * 960;
        let sent = voice.next(at, &packet(frame, length)).unwrap();
        let blocks = RedDecoder::decode(&sent.payload).unwrap();
        for block in &blocks {
            let before = u32::from(frame - block.payload[0]) * 960;
            assert_eq!(block.timestamp_offset, before);
        }
        assert!(blocks.last().unwrap().is_primary);
        blocks.iter().map(|block| block.payload[0]).collect()
    }

    #[test]
    fn three_packets_lost_in_a_row_come_again_in_the_next_two() {
        let mut voice = Voice::new(111.into(), Some(63.into()), start());
        let sent = [0, 1, 2, 3, 4].map(|frame| frames_in(&mut voice, frame, 10));
        let expected: [&[u8]; 5] = [&[0], &[0, 1], &[1, 2], &[0, 2, 3], &[1, 3, 4]];
        assert_eq!(sent, expected);
    }

    #[test]
    fn packets_of_more_than_a_frame_and_those_beside_long_ones_go_alone() {
        let mut voice = Voice::new(111.into(), Some(63.into()), start());
        // Three frames each, from the third on, and single ones again.
        let sent = [0, 1, 4, 7, 10, 11].map(|frame| frames_in(&mut voice, frame, 10).len());
        assert_eq!(sent, [1, 2, 1, 1, 1, 2]);
        // RFC 2198, section 3: a block has less than 1,024 bytes.
        assert_eq!(frames_in(&mut voice, 12, 1_200).len(), 1);
        assert_eq!(frames_in(&mut voice, 13, 10), [10, 13]);
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
