//! Reads a progressive CMAF stream as it comes, in pieces of any size: `moov`, then `moof` and `mdat` for ever.
//!
//! An independent reader of what Throng packages: it walks the boxes itself, leaves the leaf boxes to `mp4-atom`, and
//! buffers no more than one bounded box. Boxes that it does not know are skipped unread, however long they are.
//! Non-goals: encryption, several tracks, files that are not fragmented.

use mp4_atom::{Decode, Mdhd, Tfdt, Tfhd, Trex, Trun};
use throng_core::rendition::Codec;

/// One coded packet with its place on the programme clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Its first sample.
    pub sample: u64,
    /// How many samples it decodes to.
    pub samples: u32,
    /// The coded bytes.
    pub bytes: Vec<u8>,
}

/// What is wrong with a stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A leaf box does not parse.
    #[error("a broken {0} box")]
    Box(&'static str),
    /// A box is longer than any that a live stream needs.
    #[error("a {kind} box of {bytes} bytes")]
    Long {
        /// Its four letters.
        kind: String,
        /// Its length.
        bytes: u64,
    },
    /// A box must be there.
    #[error("no {0} box")]
    Missing(&'static str),
    /// A `moof` describes other bytes than its `mdat` holds.
    #[error("a chunk whose samples lie outside its mdat")]
    Outside,
    /// The track is not what was asked for.
    #[error("a track of {found} instead of {wanted} at 48 kHz")]
    Track {
        /// The sample entry that there should be.
        wanted: &'static str,
        /// What there is.
        found: String,
    },
}

/// The reader.
#[derive(Debug)]
pub struct Reader {
    codec: Codec,
    /// Bytes of the box that is coming in.
    buffer: Vec<u8>,
    /// Bytes of a skipped box that are still to come.
    skip: u64,
    track: Option<Track>,
    /// The chunk whose `mdat` is awaited.
    chunk: Option<Chunk>,
}

impl Reader {
    /// A reader at the beginning of a stream of this codec.
    pub fn new(codec: Codec) -> Self {
        Self {
            codec,
            buffer: Vec::new(),
            skip: 0,
            track: None,
            chunk: None,
        }
    }

    /// Takes the next bytes and appends every packet that they complete.
    pub fn push(&mut self, mut bytes: &[u8], packets: &mut Vec<Packet>) -> Result<(), Malformed> {
        loop {
            let skipped = usize::try_from(self.skip)
                .unwrap_or(usize::MAX)
                .min(bytes.len());
            self.skip -= skipped as u64;
            bytes = &bytes[skipped..];
            let Some(header) = self.header(&mut bytes) else {
                return Ok(());
            };
            let header = header?;
            if self.track.is_none() && header.length > BOX_BYTES_MAX {
                return Err(header.too_long());
            }
            if !header.is_read() {
                self.skip = header.length.saturating_sub(self.buffer.len() as u64);
                self.buffer.clear();
                continue;
            }
            // `is_read` has bounded the length.
            let length = usize::try_from(header.length).unwrap_or(usize::MAX);
            take(&mut self.buffer, &mut bytes, length);
            if self.buffer.len() < length {
                return Ok(());
            }
            let whole = std::mem::take(&mut self.buffer);
            self.read_box(&header, &whole[header.own_length..], packets)?;
        }
    }

    /// The header of the box that is coming in, once its bytes are here.
    fn header(&mut self, bytes: &mut &[u8]) -> Option<Result<Header, Malformed>> {
        take(&mut self.buffer, bytes, SHORT_HEADER);
        if self.buffer.len() >= SHORT_HEADER && be32(&self.buffer[..4]) == 1 {
            take(&mut self.buffer, bytes, LONG_HEADER);
            if self.buffer.len() < LONG_HEADER {
                return None;
            }
        }
        (self.buffer.len() >= SHORT_HEADER).then(|| Header::parse(&self.buffer))
    }

    fn read_box(
        &mut self,
        header: &Header,
        body: &[u8],
        packets: &mut Vec<Packet>,
    ) -> Result<(), Malformed> {
        match &header.kind {
            b"moov" => self.track = Some(Track::parse(self.codec, body)?),
            b"moof" => {
                let track = self.track.as_ref().ok_or(Malformed::Missing("moov"))?;
                self.chunk = Some(Chunk::parse(track, header.length, body)?);
            }
            b"mdat" => {
                let chunk = self.chunk.take().ok_or(Malformed::Missing("moof"))?;
                chunk.cut(header.own_length as u64, body, packets)?;
            }
            _ => {}
        }
        Ok(())
    }
}

/// Length and kind of a box (ISO/IEC 14496-12, section 4.2).
struct Header {
    kind: [u8; 4],
    /// Of the whole box.
    length: u64,
    own_length: usize,
}

impl Header {
    /// Parses a header whose bytes are all there.
    fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let kind = [bytes[4], bytes[5], bytes[6], bytes[7]];
        let (length, own_length) = match be32(&bytes[..4]) {
            // The box would go on to the end of the stream, which a live stream has not.
            0 => (u64::MAX, SHORT_HEADER),
            1 if bytes.len() >= LONG_HEADER => {
                let high = u64::from(be32(&bytes[8..12]));
                (high << 32 | u64::from(be32(&bytes[12..16])), LONG_HEADER)
            }
            short => (u64::from(short), SHORT_HEADER),
        };
        let header = Self {
            kind,
            length,
            own_length,
        };
        let limit = match &kind {
            b"moov" | b"moof" => BOX_BYTES_MAX,
            b"mdat" => MDAT_BYTES_MAX,
            _ => u64::MAX - 1,
        };
        if length < own_length as u64 || length > limit {
            return Err(header.too_long());
        }
        Ok(header)
    }

    fn too_long(&self) -> Malformed {
        let kind = self.kind.escape_ascii().to_string();
        Malformed::Long {
            kind,
            bytes: self.length,
        }
    }

    /// Whether we read the box; all others are skipped.
    fn is_read(&self) -> bool {
        matches!(&self.kind, b"moov" | b"moof" | b"mdat")
    }
}

/// What `moov` says of the one track.
#[derive(Debug)]
struct Track {
    default_duration: u32,
    default_size: u32,
}

impl Track {
    fn parse(codec: Codec, moov: &[u8]) -> Result<Self, Malformed> {
        let mdia = child(child(moov, "trak")?.1, "mdia")?.1;
        let mdhd: Mdhd = leaf(child(mdia, "mdhd")?.0, "mdhd")?;
        let minf = child(mdia, "minf")?.1;
        let stsd = child(child(minf, "stbl")?.1, "stsd")?.1;
        // Version, flags and the number of entries come before the first entry.
        let entries = stsd.get(8..).ok_or(Malformed::Box("stsd"))?;
        let (kind, ..) = boxes(entries)
            .next()
            .ok_or(Malformed::Missing("sample entry"))?;
        let wanted = match codec {
            Codec::Aac => "mp4a",
            Codec::Opus => "Opus",
        };
        if kind != wanted.as_bytes() || mdhd.timescale != SAMPLE_RATE_HZ {
            let found = format!("{} at {} Hz", kind.escape_ascii(), mdhd.timescale);
            return Err(Malformed::Track { wanted, found });
        }
        let trex: Trex = leaf(child(child(moov, "mvex")?.1, "trex")?.0, "trex")?;
        Ok(Self {
            default_duration: trex.default_sample_duration,
            default_size: trex.default_sample_size,
        })
    }
}

/// What a `moof` says of the `mdat` that follows.
#[derive(Debug)]
struct Chunk {
    first_sample: u64,
    /// Where the first packet begins, counted from the beginning of `mdat`; `None`: with its body.
    offset_in_mdat: Option<u64>,
    /// Samples and bytes of each packet.
    packets: Vec<(u32, u32)>,
}

impl Chunk {
    fn parse(track: &Track, moof_length: u64, moof: &[u8]) -> Result<Self, Malformed> {
        let traf = child(moof, "traf")?.1;
        let tfhd: Tfhd = leaf(child(traf, "tfhd")?.0, "tfhd")?;
        let tfdt: Tfdt = leaf(child(traf, "tfdt")?.0, "tfdt")?;
        let trun: Trun = leaf(child(traf, "trun")?.0, "trun")?;
        if tfdt.base_media_decode_time > FIRST_SAMPLE_MAX {
            return Err(Malformed::Box("tfdt"));
        }
        if trun.samples.len() > PACKETS_PER_CHUNK_MAX {
            return Err(Malformed::Box("trun"));
        }
        let duration = tfhd
            .default_sample_duration
            .unwrap_or(track.default_duration);
        let size = tfhd.default_sample_size.unwrap_or(track.default_size);
        let offset_in_mdat = match trun.data_offset {
            None => None,
            Some(offset) => {
                let offset = u64::try_from(offset).map_err(|_| Malformed::Outside)?;
                Some(offset.checked_sub(moof_length).ok_or(Malformed::Outside)?)
            }
        };
        let packets: Vec<_> = trun
            .samples
            .iter()
            .map(|entry| {
                (
                    entry.duration.unwrap_or(duration),
                    entry.size.unwrap_or(size),
                )
            })
            .collect();
        // RFC 6716, section 2.1.4: a packet of Opus is 2.5 to 120 ms of sound; one of AAC-LC is 1,024 samples.
        if packets
            .iter()
            .any(|&(samples, _)| samples == 0 || samples > PACKET_SAMPLES_MAX)
        {
            return Err(Malformed::Box("trun"));
        }
        Ok(Self {
            first_sample: tfdt.base_media_decode_time,
            offset_in_mdat,
            packets,
        })
    }

    fn cut(
        self,
        header_length: u64,
        body: &[u8],
        packets: &mut Vec<Packet>,
    ) -> Result<(), Malformed> {
        let offset = self
            .offset_in_mdat
            .unwrap_or(header_length)
            .checked_sub(header_length);
        let offset = offset
            .and_then(|offset| usize::try_from(offset).ok())
            .ok_or(Malformed::Outside)?;
        let mut rest = body.get(offset..).ok_or(Malformed::Outside)?;
        let mut sample = self.first_sample;
        for (samples, size) in self.packets {
            let (bytes, after) = rest
                .split_at_checked(size as usize)
                .ok_or(Malformed::Outside)?;
            packets.push(Packet {
                sample,
                samples,
                bytes: bytes.to_vec(),
            });
            sample += u64::from(samples);
            rest = after;
        }
        Ok(())
    }
}

/// The child boxes of a body: kind, the box with its header, the box without. Ends at the first that does not fit.
fn boxes(mut body: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8], &[u8])> {
    std::iter::from_fn(move || {
        let length = be32(body.get(..4)?) as usize;
        let kind = body.get(4..SHORT_HEADER)?.try_into().ok()?;
        let (whole, rest) = body.split_at_checked(length)?;
        let inner = whole.get(SHORT_HEADER..)?;
        body = rest;
        Some((kind, whole, inner))
    })
}

/// The first child of a kind: with its header, and without.
fn child<'a>(body: &'a [u8], kind: &'static str) -> Result<(&'a [u8], &'a [u8]), Malformed> {
    let found = boxes(body).find(|(found, ..)| found == kind.as_bytes());
    found
        .map(|(_, whole, inner)| (whole, inner))
        .ok_or(Malformed::Missing(kind))
}

/// A box without children, parsed. Boxes with children are never given to the parser, as it recurses.
fn leaf<T: Decode>(mut whole: &[u8], name: &'static str) -> Result<T, Malformed> {
    T::decode(&mut whole).map_err(|_| Malformed::Box(name))
}

/// Moves bytes from the input until the buffer holds `length` of them.
fn take(buffer: &mut Vec<u8>, bytes: &mut &[u8], length: usize) {
    let missing = length.saturating_sub(buffer.len()).min(bytes.len());
    buffer.extend_from_slice(&bytes[..missing]);
    *bytes = &bytes[missing..];
}

/// Four bytes, big-endian; the caller has cut four.
fn be32(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .fold(0, |number, &byte| number << 8 | u32::from(byte))
}

const SAMPLE_RATE_HZ: u32 = 48_000;
const SHORT_HEADER: usize = 8;
const LONG_HEADER: usize = 16;
/// `moov` and `moof` of one audio track take some hundred bytes, and so does all before `moov`; longer ones end the
/// stream, and what is no CMAF at all shows by it.
const BOX_BYTES_MAX: u64 = 64 << 10;
/// A second of Opus at its highest rate, 510 kb/s, is 64 KB, and a chunk is 0.32 s; longer ones end the stream.
const MDAT_BYTES_MAX: u64 = 1 << 20;
/// A segment of 3.84 s in packets of 2.5 ms, rounded up; longer runs end the stream.
const PACKETS_PER_CHUNK_MAX: usize = 2_048;
/// 120 ms (RFC 6716, section 2.1.4).
const PACKET_SAMPLES_MAX: u32 = 5_760;
/// Some 5,900 years after the epoch: later times are nonsense, and sums below stay within `u64`.
const FIRST_SAMPLE_MAX: u64 = 1 << 53;

#[cfg(test)]
mod tests;
