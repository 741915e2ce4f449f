//! The initialisation segment of a rendition: `ftyp` and `moov`, without samples and without an edit list.

use bytes::Bytes;
use throng_core::rendition::{Channels, Codec, Rendition};

use super::isobmff::{
    SAMPLE_FLAGS, TIMESCALE, TRACK_ID, put_box, put_full_box, put_u16, put_u32, put_u64,
};
use super::samples_per_packet;

/// The initialisation segment. `duration_samples` is given for a finished recording, never for what still grows.
pub fn init(rendition: Rendition, channels: Channels, duration_samples: Option<u64>) -> Bytes {
    let mut out = Vec::with_capacity(TYPICAL_BYTES);
    put_box(&mut out, *b"ftyp", |out| {
        out.extend(b"iso6");
        put_u32(out, 0);
        out.extend(b"iso6cmfcmp41");
    });
    put_box(&mut out, *b"moov", |out| {
        put_mvhd(out);
        put_trak(out, rendition, channels);
        put_mvex(out, rendition.codec(), duration_samples);
    });
    out.into()
}

fn put_mvhd(out: &mut Vec<u8>) {
    put_full_box(out, *b"mvhd", 0, 0, |out| {
        put_times(out);
        put_u32(out, TIMESCALE);
        put_u32(out, 0);
        put_u32(out, 0x0001_0000);
        put_u16(out, 0x0100);
        out.extend([0; 10]);
        put_matrix(out);
        out.extend([0; 24]);
        put_u32(out, TRACK_ID + 1);
    });
}

fn put_trak(out: &mut Vec<u8>, rendition: Rendition, channels: Channels) {
    put_box(out, *b"trak", |out| {
        put_full_box(out, *b"tkhd", 0, TRACK_ENABLED | TRACK_IN_MOVIE, |out| {
            put_times(out);
            put_u32(out, TRACK_ID);
            out.extend([0; 20]);
            put_u16(out, 0x0100);
            put_u16(out, 0);
            put_matrix(out);
            out.extend([0; 8]);
        });
        put_box(out, *b"mdia", |out| {
            put_full_box(out, *b"mdhd", 0, 0, |out| {
                put_times(out);
                put_u32(out, TIMESCALE);
                put_u32(out, 0);
                put_u16(out, LANGUAGE_UNDETERMINED);
                put_u16(out, 0);
            });
            put_full_box(out, *b"hdlr", 0, 0, |out| {
                put_u32(out, 0);
                out.extend(b"soun");
                out.extend([0; 12]);
                out.extend(b"Throng\0");
            });
            put_box(out, *b"minf", |out| put_minf(out, rendition, channels));
        });
    });
}

fn put_minf(out: &mut Vec<u8>, rendition: Rendition, channels: Channels) {
    put_full_box(out, *b"smhd", 0, 0, |out| put_u32(out, 0));
    put_box(out, *b"dinf", |out| {
        put_full_box(out, *b"dref", 0, 0, |out| {
            put_u32(out, 1);
            put_full_box(out, *b"url ", 0, SELF_CONTAINED, |_| {});
        });
    });
    put_box(out, *b"stbl", |out| {
        put_full_box(out, *b"stsd", 0, 0, |out| {
            put_u32(out, 1);
            match rendition.codec() {
                Codec::Aac => {
                    put_sample_entry(out, *b"mp4a", channels, |out| {
                        put_esds(out, channels, rendition.bit_rate());
                    });
                }
                Codec::Opus => {
                    put_sample_entry(out, *b"Opus", channels, |out| put_dops(out, channels));
                }
            }
        });
        // No sample is described here; all are in fragments.
        for table in [b"stts", b"stsc", b"stco"] {
            put_full_box(out, *table, 0, 0, |out| put_u32(out, 0));
        }
        put_full_box(out, *b"stsz", 0, 0, |out| put_u64(out, 0));
    });
}

fn put_sample_entry(
    out: &mut Vec<u8>,
    kind: [u8; 4],
    channels: Channels,
    codec_box: impl FnOnce(&mut Vec<u8>),
) {
    put_box(out, kind, |out| {
        out.extend([0; 6]);
        put_u16(out, 1);
        out.extend([0; 8]);
        put_u16(out, channels.count().into());
        put_u16(out, 16);
        put_u32(out, 0);
        put_u32(out, TIMESCALE << 16);
        codec_box(out);
    });
}

/// Encapsulation of Opus in ISO base media, section 4.3.2: pre-skip 0, since packets are aligned when encoded.
fn put_dops(out: &mut Vec<u8>, channels: Channels) {
    put_box(out, *b"dOps", |out| {
        out.extend([0, channels.count()]);
        put_u16(out, 0);
        put_u32(out, TIMESCALE);
        put_u16(out, 0);
        out.push(0);
    });
}

/// ISO/IEC 14496-1, section 7.2.6: elementary stream, decoder configuration, decoder specific, sync layer.
fn put_esds(out: &mut Vec<u8>, channels: Channels, bit_rate: u32) {
    const SPECIFIC_BYTES: u8 = 2;
    const CONFIG_BYTES: u8 = 13 + 2 + SPECIFIC_BYTES;
    const STREAM_BYTES: u8 = 3 + 2 + CONFIG_BYTES + 2 + 1;
    put_full_box(out, *b"esds", 0, 0, |out| {
        out.extend([0x03, STREAM_BYTES, 0, 1, 0]);
        out.extend([0x04, CONFIG_BYTES, OBJECT_TYPE_AAC, STREAM_TYPE_AUDIO]);
        out.extend([0; 3]);
        put_u32(out, bit_rate);
        put_u32(out, bit_rate);
        out.extend([0x05, SPECIFIC_BYTES]);
        out.extend(audio_specific_config(channels));
        out.extend([0x06, 1, 0x02]);
    });
}

fn put_mvex(out: &mut Vec<u8>, codec: Codec, duration_samples: Option<u64>) {
    put_box(out, *b"mvex", |out| {
        if let Some(samples) = duration_samples {
            put_full_box(out, *b"mehd", 1, 0, |out| put_u64(out, samples));
        }
        put_full_box(out, *b"trex", 0, 0, |out| {
            put_u32(out, TRACK_ID);
            put_u32(out, 1);
            put_u32(out, samples_per_packet(codec));
            put_u32(out, 0);
            put_u32(out, SAMPLE_FLAGS);
        });
    });
}

/// Creation and modification time: left unset, so that the bytes are the same for ever.
fn put_times(out: &mut Vec<u8>) {
    put_u64(out, 0);
}

fn put_matrix(out: &mut Vec<u8>) {
    for value in [0x0001_0000, 0, 0, 0, 0x0001_0000, 0, 0, 0, 0x4000_0000] {
        put_u32(out, value);
    }
}

const TRACK_ENABLED: u32 = 1;
const TRACK_IN_MOVIE: u32 = 2;
const SELF_CONTAINED: u32 = 1;
/// `und` in the packed form of ISO/IEC 14496-12, section 8.4.2.
const LANGUAGE_UNDETERMINED: u16 = 0x55C4;
const OBJECT_TYPE_AAC: u8 = 0x40;
const STREAM_TYPE_AUDIO: u8 = 0x15;
/// AAC-LC, 48 kHz, one channel or two (ISO/IEC 14496-3, section 1.6.2.1): 5, 4 and 4 bits, then zeros.
pub(super) const fn audio_specific_config(channels: Channels) -> [u8; 2] {
    [0x11, 0x80 | channels.count() << 3]
}
/// Room for any of them without growing.
const TYPICAL_BYTES: usize = 768;
