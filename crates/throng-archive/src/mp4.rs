//! The few boxes that a recording touches: chunks get other numbers, an init gets its duration, an index is made.
//!
//! Boxes are walked, never assumed at an offset (ISO/IEC 14496-12, 4.2): every size is checked against its parent, and
//! the 64-bit and to-end-of-file forms, which Throng does not write, are refused. Lengths never change in a chunk.

use std::ops::Range;

use throng_core::timeline::{PART_SAMPLES, SAMPLE_RATE_HZ};

use crate::Malformed;

const BOX_HEADER_LEN: usize = 8;
/// Version and flags, with which a full box begins.
const FULL_LEN: usize = 4;
/// Bytes of a `sidx` (version 1) without its references, and of each of them.
const INDEX_LEN: usize = 40;
const REFERENCE_LEN: usize = 12;
/// `referenced_size` has 31 bits.
const REFERENCED_SIZE_MAX: u64 = (1 << 31) - 1;
/// `starts_with_SAP` with type 1: sound starts anywhere.
const SAP_TYPE_1: u32 = 0x9000_0000;

/// Whether the bytes are one chunk, `moof` and `mdat`, that [`renumber`] will accept.
pub(crate) fn check_chunk(bytes: &[u8]) -> Result<(), Malformed> {
    let chunk = chunk_at(bytes, 0)?;
    if chunk.end == bytes.len() {
        Ok(())
    } else {
        Err(expected("one chunk", chunk.end))
    }
}

/// The first sample of a chunk.
pub(crate) fn decode_time(bytes: &[u8]) -> Result<u64, Malformed> {
    let at = chunk_at(bytes, 0)?.decode_time_at;
    let field = bytes[at..].first_chunk();
    field
        .map(|field| u64::from_be_bytes(*field))
        .ok_or(expected("a 64-bit field", at))
}

/// How many bytes of the beginning of a file are its init: `ftyp` and `moov`.
pub(crate) fn init_len(bytes: &[u8]) -> Result<usize, Malformed> {
    let ftyp = box_at(bytes, &(0..bytes.len()))?;
    let moov = box_at(bytes, &(ftyp.end..bytes.len()))?;
    if !ftyp.is("ftyp") || !moov.is("moov") {
        return Err(expected("an init", 0));
    }
    Ok(moov.end)
}

/// Gives consecutive chunks, each one part long, the numbers of a file that begins at 0; `place` is the first's place.
/// A `free` box stands for a chunk.
pub(crate) fn renumber(chunks: &mut [u8], place: u64) -> Result<(), Malformed> {
    let mut at = 0;
    for place in place.. {
        if at == chunks.len() {
            break;
        }
        let first = box_at(chunks, &(at..chunks.len()))?;
        if first.is("free") {
            at = first.end;
            continue;
        }
        let chunk = chunk_at(chunks, at)?;
        // Sequence numbers wrap where they must, as those on air do.
        let sequence = u32::try_from((place + 1) & u64::from(u32::MAX)).expect("masked to 32 bits");
        put(chunks, chunk.sequence_at, &sequence.to_be_bytes());
        put(
            chunks,
            chunk.decode_time_at,
            &(place * PART_SAMPLES).to_be_bytes(),
        );
        at = chunk.end;
    }
    Ok(())
}

/// Puts a box that players pass over in the place of a chunk (8.1.2).
pub(crate) fn make_free(chunk: &mut [u8]) {
    let size = u32::try_from(chunk.len()).expect("a chunk has at most 64 KiB");
    chunk.fill(0);
    if let Some(header) = chunk.first_chunk_mut::<BOX_HEADER_LEN>() {
        header[..4].copy_from_slice(&size.to_be_bytes());
        header[4..].copy_from_slice(b"free");
    }
}

/// The init with the length of the whole file in it: a `mehd` in `mvex`, in the time scale of the movie (8.8.2).
pub(crate) fn with_duration(init: &[u8], samples: u64) -> Result<Vec<u8>, Malformed> {
    let whole = 0..init.len();
    let moov = child(init, whole, "moov")?;
    let mvex = child(init, moov.body(), "mvex")?;
    if let Some(present) =
        boxes(init, mvex.body()).find(|found| found.is_ok_and(|inner| inner.is("mehd")))
    {
        return Err(expected("no mehd", present?.start));
    }
    let duration = samples * movie_timescale(init, &moov)? / SAMPLE_RATE_HZ;
    let mut mehd = full_box_header("mehd", 1, BOX_HEADER_LEN + FULL_LEN + 8);
    mehd.extend(duration.to_be_bytes());

    let mut out = Vec::with_capacity(init.len() + mehd.len());
    out.extend_from_slice(&init[..mvex.body().start]);
    out.extend_from_slice(&mehd);
    out.extend_from_slice(&init[mvex.body().start..]);
    for grown in [&moov, &mvex] {
        let size = u32::try_from(grown.end - grown.start + mehd.len())
            .map_err(|_| expected("a size", grown.start))?;
        put(&mut out, grown.start, &size.to_be_bytes());
    }
    Ok(out)
}

/// The track that an init describes.
pub(crate) fn track_id(init: &[u8]) -> Result<u32, Malformed> {
    let moov = child(init, 0..init.len(), "moov")?;
    let trak = child(init, moov.body(), "trak")?;
    let tkhd = child(init, trak.body(), "tkhd")?;
    // Creation and modification time stand before it, longer in version 1 (8.3.2).
    let times_len = if byte(init, tkhd.body().start)? == 1 {
        16
    } else {
        8
    };
    u32_at(init, &tkhd, FULL_LEN + times_len)
}

/// A `sidx` (8.16.3) that leads to consecutive runs of chunks: how many bytes and samples each has.
/// The first run stands right after the index.
pub(crate) fn index(track_id: u32, runs: &[(u64, u64)]) -> Result<Vec<u8>, Malformed> {
    let too_many = |_| expected("at most 65535 references", 0);
    let count = u16::try_from(runs.len()).map_err(too_many)?;
    let mut out = full_box_header("sidx", 1, INDEX_LEN + runs.len() * REFERENCE_LEN);
    out.extend(track_id.to_be_bytes());
    out.extend(u32::try_from(SAMPLE_RATE_HZ).expect("48,000").to_be_bytes());
    out.extend(0_u64.to_be_bytes()); // earliest_presentation_time
    out.extend(0_u64.to_be_bytes()); // first_offset
    out.extend(0_u16.to_be_bytes());
    out.extend(count.to_be_bytes());
    for &(bytes, samples) in runs {
        let bytes = u32::try_from(bytes.min(REFERENCED_SIZE_MAX + 1)).expect("32 bits hold it");
        if u64::from(bytes) > REFERENCED_SIZE_MAX {
            return Err(expected("references of less than 2 GiB", out.len()));
        }
        let samples = u32::try_from(samples)
            .map_err(|_| expected("references of less than a day", out.len()))?;
        out.extend(bytes.to_be_bytes());
        out.extend(samples.to_be_bytes());
        out.extend(SAP_TYPE_1.to_be_bytes());
    }
    Ok(out)
}

/// Where a chunk keeps its numbers, and where it ends.
struct Chunk {
    sequence_at: usize,
    decode_time_at: usize,
    end: usize,
}

fn chunk_at(bytes: &[u8], at: usize) -> Result<Chunk, Malformed> {
    let moof = box_at(bytes, &(at..bytes.len()))?;
    if !moof.is("moof") {
        return Err(expected("moof", at));
    }
    let mdat = box_at(bytes, &(moof.end..bytes.len()))?;
    if !mdat.is("mdat") {
        return Err(expected("mdat", moof.end));
    }
    let mfhd = child(bytes, moof.body(), "mfhd")?;
    let traf = child(bytes, moof.body(), "traf")?;
    let tfdt = child(bytes, traf.body(), "tfdt")?;
    u32_at(bytes, &mfhd, FULL_LEN)?;
    if tfdt.body().len() != FULL_LEN + 8 || byte(bytes, tfdt.body().start)? != 1 {
        return Err(expected("a tfdt of version 1", tfdt.start));
    }
    Ok(Chunk {
        sequence_at: mfhd.body().start + FULL_LEN,
        decode_time_at: tfdt.body().start + FULL_LEN,
        end: mdat.end,
    })
}

fn movie_timescale(init: &[u8], moov: &Span) -> Result<u64, Malformed> {
    let mvhd = child(init, moov.body(), "mvhd")?;
    let times_len = if byte(init, mvhd.body().start)? == 1 {
        16
    } else {
        8
    };
    u32_at(init, &mvhd, FULL_LEN + times_len).map(u64::from)
}

/// One box among its bytes.
#[derive(Clone, Copy)]
struct Span {
    kind: [u8; 4],
    start: usize,
    end: usize,
}

impl Span {
    fn body(&self) -> Range<usize> {
        self.start + BOX_HEADER_LEN..self.end
    }

    fn is(&self, kind: &str) -> bool {
        self.kind == kind.as_bytes()
    }
}

fn box_at(bytes: &[u8], within: &Range<usize>) -> Result<Span, Malformed> {
    let start = within.start;
    let header = bytes
        .get(within.clone())
        .and_then(<[u8]>::first_chunk::<BOX_HEADER_LEN>);
    let [s0, s1, s2, s3, kind @ ..] = *header.ok_or(expected("a box", start))?;
    let size = usize::try_from(u32::from_be_bytes([s0, s1, s2, s3]))
        .map_err(|_| expected("a size", start))?;
    if size < BOX_HEADER_LEN || size > within.len() {
        return Err(expected("a box that fits its parent", start));
    }
    Ok(Span {
        kind,
        start,
        end: start + size,
    })
}

fn boxes(bytes: &[u8], within: Range<usize>) -> impl Iterator<Item = Result<Span, Malformed>> {
    let mut rest = within;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let found = box_at(bytes, &rest);
        rest.start = found.map_or(rest.end, |inner| inner.end);
        Some(found)
    })
}

fn child(bytes: &[u8], within: Range<usize>, kind: &'static str) -> Result<Span, Malformed> {
    let start = within.start;
    boxes(bytes, within)
        .find(|found| found.is_err() || found.is_ok_and(|inner| inner.is(kind)))
        .unwrap_or(Err(expected(kind, start)))
}

fn byte(bytes: &[u8], at: usize) -> Result<u8, Malformed> {
    bytes.get(at).copied().ok_or(expected("a version", at))
}

fn u32_at(bytes: &[u8], inside: &Span, offset: usize) -> Result<u32, Malformed> {
    let field = bytes[inside.body()]
        .get(offset..)
        .and_then(<[u8]>::first_chunk);
    field
        .map(|field| u32::from_be_bytes(*field))
        .ok_or(expected("a 32-bit field", inside.start))
}

fn put(bytes: &mut [u8], at: usize, field: &[u8]) {
    bytes[at..at + field.len()].copy_from_slice(field);
}

fn full_box_header(kind: &str, version: u8, len: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(len);
    out.extend(
        u32::try_from(len)
            .expect("an index of 65,535 references is below 1 MiB")
            .to_be_bytes(),
    );
    out.extend(kind.as_bytes());
    out.extend([version, 0, 0, 0]);
    out
}

const fn expected(expected: &'static str, at: usize) -> Malformed {
    Malformed { expected, at }
}
