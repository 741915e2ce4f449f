//! `WebM` with Opus: an endless segment of clusters, one for each part, that can be joined at any of them.

use bytes::{BufMut, Bytes};
use throng_core::rendition::Channels;
use throng_core::timeline::{FRAME_SAMPLES, PartIndex, SAMPLE_RATE_HZ};

/// Everything before the first cluster: EBML header, segment of unknown size, its description, the track.
pub(super) fn header(channels: Channels) -> Bytes {
    let mut out = Vec::with_capacity(TYPICAL_HEADER_BYTES);
    put_element(&mut out, ID_EBML, |out| {
        put_uint(out, ID_EBML_VERSION, 1);
        put_uint(out, ID_EBML_READ_VERSION, 1);
        put_uint(out, ID_EBML_MAX_ID_LENGTH, 4);
        put_uint(out, ID_EBML_MAX_SIZE_LENGTH, 8);
        put_element(out, ID_DOC_TYPE, |out| out.put_slice(b"webm"));
        put_uint(out, ID_DOC_TYPE_VERSION, 4);
        put_uint(out, ID_DOC_TYPE_READ_VERSION, 2);
    });
    put_id(&mut out, ID_SEGMENT);
    out.put_u64(UNKNOWN_SIZE);
    put_element(&mut out, ID_INFO, |out| {
        put_uint(out, ID_TIMESTAMP_SCALE, NANOSECONDS_PER_MS);
        put_element(out, ID_MUXING_APP, |out| out.put_slice(b"Throng"));
        put_element(out, ID_WRITING_APP, |out| out.put_slice(b"Throng"));
    });
    put_element(&mut out, ID_TRACKS, |out| {
        put_element(out, ID_TRACK_ENTRY, |out| put_track(out, channels));
    });
    out.into()
}

fn put_track(out: &mut Vec<u8>, channels: Channels) {
    put_uint(out, ID_TRACK_NUMBER, TRACK.into());
    put_uint(out, ID_TRACK_UID, TRACK.into());
    put_uint(out, ID_TRACK_TYPE, TRACK_TYPE_AUDIO);
    put_uint(out, ID_FLAG_LACING, 0);
    put_element(out, ID_LANGUAGE, |out| out.put_slice(b"und"));
    put_uint(
        out,
        ID_DEFAULT_DURATION,
        FRAME_MS as u64 * NANOSECONDS_PER_MS,
    );
    put_element(out, ID_CODEC, |out| out.put_slice(b"A_OPUS"));
    put_element(out, ID_CODEC_PRIVATE, |out| put_opus_head(out, channels));
    put_uint(out, ID_CODEC_DELAY, 0);
    put_uint(out, ID_SEEK_PRE_ROLL, SEEK_PRE_ROLL_MS * NANOSECONDS_PER_MS);
    put_element(out, ID_AUDIO, |out| {
        put_element(out, ID_SAMPLING_FREQUENCY, |out| out.put_f64(48_000.0));
        put_uint(out, ID_CHANNELS, channels.count().into());
    });
}

/// RFC 7845, section 5.1: version 1, one channel or two, pre-skip 0, 48 kHz, no gain, mapping family 0.
fn put_opus_head(out: &mut Vec<u8>, channels: Channels) {
    out.put_slice(b"OpusHead");
    out.put_slice(&[1, channels.count()]);
    out.put_u16_le(0);
    out.put_u32_le(48_000);
    out.put_u16_le(0);
    out.put_u8(0);
}

/// One part: its start in milliseconds since the epoch, and a block for each packet.
pub(super) fn cluster(index: PartIndex, packets: &[Bytes]) -> Bytes {
    let payload: usize = packets
        .iter()
        .map(|packet| packet.len() + BLOCK_OVERHEAD_BYTES)
        .sum();
    let mut out = Vec::with_capacity(payload + BLOCK_OVERHEAD_BYTES * 2);
    put_element(&mut out, ID_CLUSTER, |out| {
        put_uint(out, ID_TIMESTAMP, index.start_ms());
        for (relative_ms, packet) in (0..).step_by(FRAME_MS).zip(packets) {
            put_element(out, ID_SIMPLE_BLOCK, |out| {
                out.put_u8(0x80 | TRACK);
                out.put_i16(relative_ms);
                out.put_u8(KEYFRAME);
                out.put_slice(packet);
            });
        }
    });
    out.into()
}

/// Appends an element whose content is written by `body`; its size takes four bytes, or one where that suffices.
fn put_element(out: &mut Vec<u8>, id: u32, body: impl FnOnce(&mut Vec<u8>)) {
    put_id(out, id);
    let start = out.len();
    out.put_u32(0);
    body(out);
    let size =
        u32::try_from(out.len() - start - 4).expect("elements are bounded by their builders");
    if let Some(short) = u8::try_from(size).ok().filter(|short| *short < 0x7F) {
        out.splice(start..start + 4, [0x80 | short]);
    } else {
        out[start..start + 4].copy_from_slice(&(0x1000_0000 | size).to_be_bytes());
    }
}

/// Appends an unsigned number in as few bytes as it needs.
fn put_uint(out: &mut Vec<u8>, id: u32, value: u64) {
    let skip = (value.leading_zeros() as usize / 8).min(7);
    put_element(out, id, |out| out.put_slice(&value.to_be_bytes()[skip..]));
}

/// Appends an identifier, whose leading zero bytes are not written.
fn put_id(out: &mut Vec<u8>, id: u32) {
    out.put_slice(&id.to_be_bytes()[id.leading_zeros() as usize / 8..]);
}

const FRAME_MS: usize = 20;
const _: () = assert!(FRAME_MS as u64 * SAMPLE_RATE_HZ == FRAME_SAMPLES * 1_000);
const NANOSECONDS_PER_MS: u64 = 1_000_000;
/// What a decoder needs to settle after a seek (RFC 7845, section 4.6).
const SEEK_PRE_ROLL_MS: u64 = 80;
const TRACK: u8 = 1;
const TRACK_TYPE_AUDIO: u64 = 2;
const KEYFRAME: u8 = 0x80;
/// Eight bytes that say "until the stream ends".
const UNKNOWN_SIZE: u64 = 0x01FF_FFFF_FFFF_FFFF;
/// Identifier, size, track, time and flags of a block at most.
const BLOCK_OVERHEAD_BYTES: usize = 12;
/// Room for the header without growing.
const TYPICAL_HEADER_BYTES: usize = 256;

// Identifiers as RFC 8794 (EBML) and RFC 9559 (Matroska) write them, marker bits included.
const ID_EBML: u32 = 0x1A45_DFA3;
const ID_EBML_VERSION: u32 = 0x4286;
const ID_EBML_READ_VERSION: u32 = 0x42F7;
const ID_EBML_MAX_ID_LENGTH: u32 = 0x42F2;
const ID_EBML_MAX_SIZE_LENGTH: u32 = 0x42F3;
const ID_DOC_TYPE: u32 = 0x4282;
const ID_DOC_TYPE_VERSION: u32 = 0x4287;
const ID_DOC_TYPE_READ_VERSION: u32 = 0x4285;
const ID_SEGMENT: u32 = 0x1853_8067;
const ID_INFO: u32 = 0x1549_A966;
const ID_TIMESTAMP_SCALE: u32 = 0x2A_D7B1;
const ID_MUXING_APP: u32 = 0x4D80;
const ID_WRITING_APP: u32 = 0x5741;
const ID_TRACKS: u32 = 0x1654_AE6B;
const ID_TRACK_ENTRY: u32 = 0xAE;
const ID_TRACK_NUMBER: u32 = 0xD7;
const ID_TRACK_UID: u32 = 0x73C5;
const ID_TRACK_TYPE: u32 = 0x83;
const ID_FLAG_LACING: u32 = 0x9C;
const ID_LANGUAGE: u32 = 0x22_B59C;
const ID_DEFAULT_DURATION: u32 = 0x23_E383;
const ID_CODEC: u32 = 0x86;
const ID_CODEC_PRIVATE: u32 = 0x63A2;
const ID_CODEC_DELAY: u32 = 0x56AA;
const ID_SEEK_PRE_ROLL: u32 = 0x56BB;
const ID_AUDIO: u32 = 0xE1;
const ID_SAMPLING_FREQUENCY: u32 = 0xB5;
const ID_CHANNELS: u32 = 0x9F;
const ID_CLUSTER: u32 = 0x1F43_B675;
const ID_TIMESTAMP: u32 = 0xE7;
const ID_SIMPLE_BLOCK: u32 = 0xA3;
