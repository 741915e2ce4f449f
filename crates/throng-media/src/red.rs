//! Redundant audio (RFC 2198): one packet that carries its own sound and copies of the sound before it.
//!
//! Parsing is strict and bounded: whatever does not add up is refused as a whole, because a packet with one wrong
//! length has no trustworthy part. What the blocks mean is left to the caller.

use thiserror::Error;

/// Most copies that a packet may carry: Chromium sends one or two, and more would cost more than they save.
/// A packet with more is refused.
pub const REDUNDANT_BLOCKS_MAX: usize = 4;

/// Size of the header of a redundant block.
const REDUNDANT_HEADER_LEN: usize = 4;

/// A parsed packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Red<'a> {
    /// The sound of the packet's own timestamp.
    pub primary: Block<'a>,
    copies: [Block<'a>; REDUNDANT_BLOCKS_MAX],
    copies_len: usize,
}

impl<'a> Red<'a> {
    /// The copies, oldest first as they stand in the packet.
    pub fn copies(&self) -> &[Block<'a>] {
        &self.copies[..self.copies_len]
    }
}

/// One block of a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Block<'a> {
    /// The RTP payload type of the block.
    pub payload_type: u8,
    /// By how many samples the block is older than the packet; 0 for the primary.
    pub timestamp_offset: u16,
    /// The sound.
    pub payload: &'a [u8],
}

/// Why a packet is not RFC 2198.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum RedError {
    /// More copies than [`REDUNDANT_BLOCKS_MAX`].
    #[error("more than {REDUNDANT_BLOCKS_MAX} redundant blocks")]
    TooManyBlocks,
    /// The packet ends within a header, or the blocks are longer than the packet.
    #[error("the packet ends before its blocks do")]
    Truncated,
}

/// Parses a packet.
///
/// RFC 2198, section 3: every header but the last has the bit F set and holds payload type (7 bits), timestamp offset
/// (14 bits) and length (10 bits); the last holds F = 0 and the payload type, and its block takes what is left.
pub fn parse(packet: &[u8]) -> Result<Red<'_>, RedError> {
    let mut headers = [(0_u8, 0_u16, 0_usize); REDUNDANT_BLOCKS_MAX];
    let mut count = 0;
    let mut rest = packet;
    let primary_type = loop {
        match *rest {
            [last, ..] if last & 0x80 == 0 => break last,
            [first, a, b, c, ..] => {
                let header = headers.get_mut(count).ok_or(RedError::TooManyBlocks)?;
                *header = (
                    first & 0x7f,
                    u16::from(a) << 6 | u16::from(b) >> 2,
                    usize::from(b & 3) << 8 | usize::from(c),
                );
                count += 1;
                rest = &rest[REDUNDANT_HEADER_LEN..];
            }
            _ => return Err(RedError::Truncated),
        }
    };
    rest = &rest[1..];
    let mut copies = [Block::default(); REDUNDANT_BLOCKS_MAX];
    for (copy, &(payload_type, timestamp_offset, len)) in copies.iter_mut().zip(&headers[..count]) {
        let (payload, after) = rest.split_at_checked(len).ok_or(RedError::Truncated)?;
        *copy = Block {
            payload_type,
            timestamp_offset,
            payload,
        };
        rest = after;
    }
    let primary = Block {
        payload_type: primary_type,
        timestamp_offset: 0,
        payload: rest,
    };
    Ok(Red {
        primary,
        copies,
        copies_len: count,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Written from the figure in RFC 2198, section 3, independently of the parser.
    fn write(copies: &[(u8, u16, Vec<u8>)], primary: (u8, &[u8])) -> Vec<u8> {
        let mut packet = Vec::new();
        for (payload_type, offset, payload) in copies {
            let header = 1 << 31
                | u32::from(*payload_type) << 24
                | u32::from(*offset) << 10
                | u32::try_from(payload.len()).unwrap();
            packet.extend_from_slice(&header.to_be_bytes());
        }
        packet.push(primary.0);
        for (_, _, payload) in copies {
            packet.extend_from_slice(payload);
        }
        packet.extend_from_slice(primary.1);
        packet
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_and_every_truncation_of_a_copy_is_refused(
            copies in prop::collection::vec((0_u8..128, 0_u16..1 << 14, prop::collection::vec(any::<u8>(), 0..1_024)), 0..=4),
            primary in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let packet = write(&copies, (111, &primary));
            let red = parse(&packet).unwrap();
            prop_assert_eq!(red.primary, Block { payload_type: 111, timestamp_offset: 0, payload: &primary });
            let read: Vec<_> = red.copies().iter().map(|c| (c.payload_type, c.timestamp_offset, c.payload.to_vec())).collect();
            prop_assert_eq!(read, copies);
            let without_primary = packet.len() - primary.len();
            for len in 0..without_primary {
                prop_assert_eq!(parse(&packet[..len]), Err(RedError::Truncated));
            }
        }

        #[test]
        fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(red) = parse(&bytes) {
                let held: usize = red.copies().iter().map(|copy| copy.payload.len()).sum();
                prop_assert_eq!(held + red.primary.payload.len() + 4 * red.copies().len() + 1, bytes.len());
            }
        }
    }

    #[test]
    fn a_fifth_copy_is_refused() {
        let copies = vec![(111, 960, vec![0]); REDUNDANT_BLOCKS_MAX + 1];
        assert_eq!(
            parse(&write(&copies, (111, &[0]))),
            Err(RedError::TooManyBlocks)
        );
    }
}
