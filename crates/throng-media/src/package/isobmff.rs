//! Boxes of the ISO base media file format (ISO/IEC 14496-12), appended to a buffer.

use throng_core::timeline::SAMPLE_RATE_HZ;

/// Appends a box whose content is written by `body`.
pub(super) fn put_box(out: &mut Vec<u8>, kind: [u8; 4], body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend([0; 4]);
    out.extend(kind);
    body(out);
    let size = u32::try_from(out.len() - start).expect("boxes are bounded by their builders");
    out[start..start + 4].copy_from_slice(&size.to_be_bytes());
}

/// Appends a box with a version and flags.
pub(super) fn put_full_box(
    out: &mut Vec<u8>,
    kind: [u8; 4],
    version: u8,
    flags: u32,
    body: impl FnOnce(&mut Vec<u8>),
) {
    put_box(out, kind, |out| {
        put_u32(out, u32::from(version) << 24 | flags);
        body(out);
    });
}

/// Appends a number, big-endian as everywhere in this format.
pub(super) fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend(value.to_be_bytes());
}

/// Appends a number.
pub(super) fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend(value.to_be_bytes());
}

/// Appends a number.
pub(super) fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend(value.to_be_bytes());
}

/// The only track of our files.
pub(super) const TRACK_ID: u32 = 1;

/// Units of all times: samples per second.
pub(super) const TIMESCALE: u32 = 48_000;
const _: () = assert!(TIMESCALE as u64 == SAMPLE_RATE_HZ);

/// Flags of every sample: it depends on no other (`sample_depends_on` 2), so it is a sync sample.
pub(super) const SAMPLE_FLAGS: u32 = 0x0200_0000;
