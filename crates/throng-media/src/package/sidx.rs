//! The segment index of a recording (ISO/IEC 14496-12, section 8.16.3): where each segment lies and how long it is,
//! so that a player seeks anywhere after one read.

use bytes::Bytes;

use super::isobmff::{TIMESCALE, TRACK_ID, put_full_box, put_u16, put_u32, put_u64};

/// An index whose first segment begins at time 0 and `first_offset` bytes after the end of the index.
///
/// `entries` gives bytes and samples of each segment; `None` when there are more than 65,535 (69 hours of segments; the
/// count has 16 bits) or one of them is too large for its field.
pub fn sidx(first_offset: u64, entries: impl Iterator<Item = (u64, u64)>) -> Option<Bytes> {
    let mut references = Vec::new();
    let mut count: u16 = 0;
    for (bytes, samples) in entries {
        count = count.checked_add(1)?;
        put_u32(
            &mut references,
            u32::try_from(bytes)
                .ok()
                .filter(|bytes| *bytes <= MAX_SEGMENT_BYTES)?,
        );
        put_u32(&mut references, u32::try_from(samples).ok()?);
        put_u32(&mut references, STARTS_WITH_SYNC_SAMPLE);
    }
    let mut out = Vec::with_capacity(references.len() + 64);
    put_full_box(&mut out, *b"sidx", 1, 0, |out| {
        put_u32(out, TRACK_ID);
        put_u32(out, TIMESCALE);
        put_u64(out, 0);
        put_u64(out, first_offset);
        put_u16(out, 0);
        put_u16(out, count);
        out.extend(references);
    });
    Some(out.into())
}

/// The size has 31 bits; the highest one would mean another index.
const MAX_SEGMENT_BYTES: u32 = 0x7FFF_FFFF;
/// `starts_with_SAP` and SAP type 1.
const STARTS_WITH_SYNC_SAMPLE: u32 = 0x9000_0000;
