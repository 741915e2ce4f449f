//! CMAF chunks (ISO/IEC 23000-19): `moof` and `mdat` of one part, all fields at fixed offsets.
//!
//! `moof[ mfhd  traf[ tfhd  tfdt(v1)  trun(sizes) ] ]  mdat`. As the layout never varies, reading a chunk of ours back
//! means comparing with what we would have written; nothing else is accepted.

use bytes::Bytes;
use thiserror::Error;
use throng_core::rendition::Codec;
use throng_core::timeline::PartIndex;

use super::isobmff::{SAMPLE_FLAGS, TRACK_ID, put_box, put_full_box, put_u32, put_u64};
use super::{MAX_PACKET_BYTES, packets_per_part, samples_per_packet};

/// The chunk of one part.
pub(super) fn chunk(codec: Codec, index: PartIndex, packets: &[Bytes]) -> Bytes {
    let payload: usize = packets.iter().map(Bytes::len).sum();
    let mut out = Vec::with_capacity(moof_bytes(packets.len()) + BOX_HEADER_BYTES + payload);
    put_box(&mut out, *b"moof", |out| {
        put_full_box(out, *b"mfhd", 0, 0, |out| put_u32(out, sequence(index)));
        put_box(out, *b"traf", |out| {
            put_traf(out, codec, index.first_sample(), packets);
        });
    });
    put_box(&mut out, *b"mdat", |out| {
        out.extend(packets.iter().flatten());
    });
    out.into()
}

fn put_traf(out: &mut Vec<u8>, codec: Codec, decode_time: u64, packets: &[Bytes]) {
    put_full_box(out, *b"tfhd", 0, TFHD_FLAGS, |out| {
        put_u32(out, TRACK_ID);
        put_u32(out, samples_per_packet(codec));
        put_u32(out, SAMPLE_FLAGS);
    });
    put_full_box(out, *b"tfdt", 1, 0, |out| put_u64(out, decode_time));
    put_full_box(out, *b"trun", 0, TRUN_FLAGS, |out| {
        put_u32(out, c32(packets.len()));
        put_u32(out, c32(moof_bytes(packets.len()) + BOX_HEADER_BYTES));
        for packet in packets {
            put_u32(out, c32(packet.len()));
        }
    });
}

/// The packets of a chunk that [`super::package`] wrote, as slices of it; `None` for any other bytes.
pub fn packets(cmaf: &Bytes) -> Option<Vec<Bytes>> {
    let count = usize::try_from(u32_at(cmaf, SAMPLE_COUNT_AT)?).ok()?;
    let codec = [Codec::Aac, Codec::Opus]
        .into_iter()
        .find(|codec| packets_per_part(*codec) == count)?;
    let mut rest = cmaf
        .len()
        .checked_sub(moof_bytes(count) + BOX_HEADER_BYTES)?;
    let mut at = cmaf.len() - rest;
    let mut packets = Vec::with_capacity(count);
    for place in 0..count {
        let bytes = usize::try_from(u32_at(cmaf, SIZES_AT + 4 * place)?).ok()?;
        rest = rest
            .checked_sub(bytes)
            .filter(|_| bytes <= MAX_PACKET_BYTES)?;
        packets.push(cmaf.slice(at..at + bytes));
        at += bytes;
    }
    let first_sample = u64_at(cmaf, DECODE_TIME_AT)?;
    is_ours(cmaf, codec, first_sample, &packets).then_some(packets)
}

/// Whether a chunk has exactly the shape that we write, whatever its numbers.
fn is_ours(cmaf: &[u8], codec: Codec, decode_time: u64, packets: &[Bytes]) -> bool {
    let head = moof_bytes(packets.len()) + BOX_HEADER_BYTES;
    let mut ours = chunk(codec, PartIndex(0), packets).to_vec();
    ours[DECODE_TIME_AT..DECODE_TIME_AT + 8].copy_from_slice(&decode_time.to_be_bytes());
    ours[SEQUENCE_AT..SEQUENCE_AT + 4].copy_from_slice(&cmaf[SEQUENCE_AT..SEQUENCE_AT + 4]);
    ours.len() == cmaf.len() && ours[..head] == cmaf[..head]
}

/// Moves a chunk on the timeline: writes another sequence number and another first sample into it.
pub fn retime(chunk: &mut [u8], sequence: u32, decode_time: u64) -> Result<(), ForeignShape> {
    let count = u32_at(chunk, SAMPLE_COUNT_AT)
        .and_then(|count| usize::try_from(count).ok())
        .ok_or(ForeignShape)?;
    let known = |codec| packets_per_part(codec) == count;
    if !(known(Codec::Aac) || known(Codec::Opus)) || !is_framed(chunk, moof_bytes(count)) {
        return Err(ForeignShape);
    }
    chunk[SEQUENCE_AT..SEQUENCE_AT + 4].copy_from_slice(&sequence.to_be_bytes());
    chunk[DECODE_TIME_AT..DECODE_TIME_AT + 8].copy_from_slice(&decode_time.to_be_bytes());
    Ok(())
}

/// Whether the boxes stand where we put them and the two outer ones fill the bytes.
fn is_framed(chunk: &[u8], moof: usize) -> bool {
    let kind_at = |at: usize, kind: &[u8; 4]| chunk.get(at + 4..at + 8) == Some(kind.as_slice());
    let size_at = |at: usize, size: usize| u32_at(chunk, at) == u32::try_from(size).ok();
    chunk.len() >= moof + BOX_HEADER_BYTES
        && size_at(0, moof)
        && size_at(moof, chunk.len() - moof)
        && size_at(TFDT_AT, TFDT_BYTES)
        && chunk[TFDT_AT + BOX_HEADER_BYTES] == 1
        && kind_at(0, b"moof")
        && kind_at(MFHD_AT, b"mfhd")
        && kind_at(TRAF_AT, b"traf")
        && kind_at(TFHD_AT, b"tfhd")
        && kind_at(TFDT_AT, b"tfdt")
        && kind_at(TRUN_AT, b"trun")
        && kind_at(moof, b"mdat")
}

/// The bytes are not a chunk of one part as we write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a CMAF chunk of this program")]
pub struct ForeignShape;

/// `mfhd` counts fragments from 1 (ISO/IEC 14496-12, section 8.8.5) and wraps after 43 years.
#[allow(
    clippy::cast_possible_truncation,
    reason = "the field has 32 bits and is meant to wrap"
)]
const fn sequence(index: PartIndex) -> u32 {
    (index.0 as u32).wrapping_add(1)
}

const fn moof_bytes(packets: usize) -> usize {
    SIZES_AT + 4 * packets
}

/// A size within one part, which [`MAX_PACKET_BYTES`] keeps small.
fn c32(size: usize) -> u32 {
    u32::try_from(size).expect("a part has at most 16 packets of bounded size")
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Default-base-is-moof, default sample duration and flags present.
const TFHD_FLAGS: u32 = 0x02_0028;
/// Data offset and the size of each sample present.
const TRUN_FLAGS: u32 = 0x0201;

const BOX_HEADER_BYTES: usize = 8;
const MFHD_AT: usize = BOX_HEADER_BYTES;
const SEQUENCE_AT: usize = MFHD_AT + 12;
const TRAF_AT: usize = SEQUENCE_AT + 4;
const TFHD_AT: usize = TRAF_AT + BOX_HEADER_BYTES;
const TFDT_AT: usize = TFHD_AT + 24;
const TFDT_BYTES: usize = 20;
const DECODE_TIME_AT: usize = TFDT_AT + 12;
const TRUN_AT: usize = TFDT_AT + TFDT_BYTES;
const SAMPLE_COUNT_AT: usize = TRUN_AT + 12;
const SIZES_AT: usize = SAMPLE_COUNT_AT + 8;
