//! ADTS (ISO/IEC 14496-3, section 1.A.2): AAC access units, each behind a header of seven bytes.

use bytes::{BufMut, Bytes};
use throng_core::rendition::Channels;

/// The frames of one part.
pub(super) fn frames(units: &[Bytes]) -> Bytes {
    let payload: usize = units.iter().map(Bytes::len).sum();
    let mut out = Vec::with_capacity(units.len() * HEADER_BYTES + payload);
    for unit in units {
        out.put_slice(&header(
            channels_of(unit).count(),
            HEADER_BYTES + unit.len(),
        ));
        out.put_slice(unit);
    }
    out.into()
}

/// How many channels an access unit has, by the three bits with which it begins: a single channel or a pair (ISO/IEC
/// 14496-3, table 4.85).
pub fn channels_of(unit: &[u8]) -> Channels {
    const PAIR: u8 = 1;
    Channels::of(unit.first().is_some_and(|first| first >> 5 == PAIR))
}

/// MPEG-4, AAC-LC, 48 kHz, one channel or two, variable rate (fullness all ones), no checksum, one unit.
fn header(channels: u8, frame_bytes: usize) -> [u8; HEADER_BYTES] {
    let length = u16::try_from(frame_bytes)
        .expect("an access unit is bounded far below the 13 bits of its length");
    let [high, low] = (length << 3).to_be_bytes();
    [
        0xFF,
        0xF1,
        0x4C,
        channels << 6 | high >> 6,
        high << 2 | low >> 6,
        low << 2 | 0x1F,
        0xFC,
    ]
}

const HEADER_BYTES: usize = 7;
