//! Go-live to end as one file from time 0, with duration and index, made from the archive while it is read.
//!
//! `init with mehd | sidx | chunks numbered anew`. Lengths do not change in the chunks, so every byte has its place
//! before it is made, and ranges of any kind are answered from a bounded read. A player finds any moment from the
//! index, which comes in the first bytes: two hours have 1,875 references, 22 KB.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256};
use throng_core::hex::hex;
use throng_core::rendition::Rendition;
use throng_core::timeline::{PART_SAMPLES, PARTS_PER_SEGMENT, PartIndex};

use crate::reader::Reader;
use crate::{ArchiveError, Malformed, mp4};

/// The most that one read gives: whole files go out in pieces, so that a slow downloader holds little memory.
pub const READ_BYTES_MAX: u64 = 256 * 1024;

/// The most references in the index, 96 KiB of them. Beyond (8.7 hours) one reference covers several segments.
pub const REFERENCES_MAX: u64 = 8 * 1024;

/// A stretch of one rendition as a file of its own. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Recording {
    reader: Reader,
    rendition: Rendition,
    parts: Range<u64>,
    /// Init and index.
    head: Bytes,
    /// Where the chunks that one reference covers begin in the archive's file, and last where they end.
    offsets: Arc<[u64]>,
    /// The part, counted from the recording's first, with which each reference begins, and last their number.
    places: Arc<[u64]>,
    etag: Arc<str>,
}

impl Recording {
    /// The parts `from..to` as a file; `to` is the first part that is not in it.
    pub fn new(
        reader: Reader,
        rendition: Rendition,
        from: PartIndex,
        to: PartIndex,
    ) -> Result<Self, ArchiveError> {
        if from > to || !reader.holds(from, to) {
            return Err(ArchiveError::NotHeld {
                from,
                to,
                first: reader.first(),
                next: reader.next(),
            });
        }
        Self::with_stride(reader, rendition, from.0..to.0, stride(to.0 - from.0))
    }

    fn with_stride(
        reader: Reader,
        rendition: Rendition,
        parts: Range<u64>,
        stride: u64,
    ) -> Result<Self, ArchiveError> {
        let places = places(parts.end - parts.start, stride);
        let offsets = offsets(&reader, rendition, &parts, &places)?;
        let head = head(reader.init(rendition), &places, &offsets)
            .map_err(|source| ArchiveError::Malformed { rendition, source })?;
        let etag = etag(&reader, rendition, &parts, &head)?;
        Ok(Self {
            reader,
            rendition,
            parts,
            head,
            offsets,
            places,
            etag,
        })
    }

    /// The length of the file.
    pub fn len(&self) -> u64 {
        self.head.len() as u64 + self.body_len()
    }

    /// Never: even without a part there is an init.
    pub fn is_empty(&self) -> bool {
        self.head.is_empty()
    }

    /// How long it plays, in samples.
    pub fn samples(&self) -> u64 {
        (self.parts.end - self.parts.start) * PART_SAMPLES
    }

    /// A strong entity tag, with its quotes (RFC 9110, 8.8.3): equal exactly for equal bytes.
    pub fn etag(&self) -> &str {
        &self.etag
    }

    /// The bytes of a range, clipped to the file; at most [`READ_BYTES_MAX`] at once, and the caller comes again.
    pub fn read(&self, range: Range<u64>) -> Result<Bytes, ArchiveError> {
        let end = range
            .end
            .min(self.len())
            .min(range.start.saturating_add(READ_BYTES_MAX));
        if range.start >= end {
            return Ok(Bytes::new());
        }
        let head_len = self.head.len() as u64;
        let head = self
            .head
            .slice(self.in_head(range.start)..self.in_head(end));
        if end <= head_len {
            return Ok(head);
        }
        let body = self.body(range.start.max(head_len) - head_len..end - head_len)?;
        if head.is_empty() {
            return Ok(body);
        }
        let mut whole = BytesMut::with_capacity(head.len() + body.len());
        whole.extend_from_slice(&head);
        whole.extend_from_slice(&body);
        Ok(whole.freeze())
    }

    /// Segment `n` of the replay, numbered and timed from the recording's beginning; the last one may be short.
    pub fn replay_segment(&self, n: u64) -> Result<Option<Bytes>, ArchiveError> {
        let place = n.saturating_mul(PARTS_PER_SEGMENT);
        let from = self.parts.start.saturating_add(place);
        let to = from.saturating_add(PARTS_PER_SEGMENT).min(self.parts.end);
        if from >= to {
            return Ok(None);
        }
        let (from, to) = (PartIndex(from), PartIndex(to));
        let chunks = self.reader.parts_to_play(self.rendition, from, to)?;
        self.renumbered(chunks, place).map(Some)
    }

    fn in_head(&self, at: u64) -> usize {
        usize::try_from(at)
            .unwrap_or(usize::MAX)
            .min(self.head.len())
    }

    fn body_len(&self) -> u64 {
        self.offsets.last().map_or(0, |end| end - self.offsets[0])
    }

    /// A range of the chunks: the strides that hold it are read whole, numbered anew, and cut. The range is not empty.
    fn body(&self, range: Range<u64>) -> Result<Bytes, ArchiveError> {
        let base = self.offsets[0];
        let first = self
            .offsets
            .partition_point(|&offset| offset - base <= range.start)
            - 1;
        let last = self
            .offsets
            .partition_point(|&offset| offset - base < range.end);
        let skip = usize::try_from(base + range.start - self.offsets[first])
            .expect("within the strides read");
        let len = usize::try_from(range.end - range.start).expect("at most READ_BYTES_MAX");
        let [from, to] = [first, last].map(|at| PartIndex(self.parts.start + self.places[at]));
        let chunks = self.reader.parts_to_play(self.rendition, from, to)?;
        self.renumbered(chunks, self.places[first])
            .map(|chunks| chunks.slice(skip..skip + len))
    }

    fn renumbered(&self, mut chunks: Vec<u8>, place: u64) -> Result<Bytes, ArchiveError> {
        mp4::renumber(&mut chunks, place).map_err(|source| ArchiveError::Malformed {
            rendition: self.rendition,
            source,
        })?;
        Ok(chunks.into())
    }
}

/// Parts under one reference, in a recording of so many: a segment, or whole segments where those would be too many.
const fn stride(parts: u64) -> u64 {
    let segments = parts.div_ceil(PARTS_PER_SEGMENT);
    let segments_per_reference = segments.div_ceil(REFERENCES_MAX);
    PARTS_PER_SEGMENT
        * if segments_per_reference == 0 {
            1
        } else {
            segments_per_reference
        }
}

/// Where references begin: at the first part, the second, and then at every stride. A first reference of one part is
/// for FFmpeg's demuxer, Chromium's too: it takes the time of the first chunk that it meets from the reference, and of
/// a longer one plays the last chunk first.
fn places(parts: u64, stride: u64) -> Arc<[u64]> {
    let strides =
        (0..parts).step_by(usize::try_from(stride).expect("parts of at most a few hours"));
    let mut places: Vec<u64> = strides.collect();
    if parts > 1 {
        places.insert(1, 1);
    }
    places.push(parts);
    places.into()
}

fn offsets(
    reader: &Reader,
    rendition: Rendition,
    parts: &Range<u64>,
    places: &[u64],
) -> Result<Arc<[u64]>, ArchiveError> {
    let extent = |place: u64| {
        let record = reader
            .record(PartIndex(parts.start + place))?
            .expect("the constructor found every part held");
        Ok::<_, ArchiveError>(record.extents[rendition.index()])
    };
    let Some((&count, starts)) = places.split_last().filter(|(count, _)| **count > 0) else {
        return Ok(Arc::new([]));
    };
    let mut offsets = starts
        .iter()
        .map(|&place| Ok(extent(place)?.start()))
        .collect::<Result<Vec<_>, ArchiveError>>()?;
    offsets.push(extent(count - 1)?.end);
    Ok(offsets.into())
}

fn head(init: &Bytes, places: &[u64], offsets: &[u64]) -> Result<Bytes, Malformed> {
    let count = places.last().copied().unwrap_or(0);
    let runs = offsets.windows(2).zip(places.windows(2));
    let runs: Vec<_> = runs
        .map(|(ends, places)| (ends[1] - ends[0], (places[1] - places[0]) * PART_SAMPLES))
        .collect();
    let mut head = mp4::with_duration(init, count * PART_SAMPLES)?;
    head.extend(mp4::index(mp4::track_id(init)?, &runs)?);
    Ok(head.into())
}

/// Names the bytes by what decides them: the head has the length of every stride, and the record of the last part
/// ends an append-only file.
fn etag(
    reader: &Reader,
    rendition: Rendition,
    parts: &Range<u64>,
    head: &Bytes,
) -> Result<Arc<str>, ArchiveError> {
    let mut hash = Sha256::new()
        .chain_update(rendition.name())
        .chain_update(head);
    for end in [parts.start, parts.end.saturating_sub(1)] {
        if let Some(record) = reader.record(PartIndex(end))? {
            hash.update(record.encode());
        }
    }
    let tag = hex(&hash.finalize()[..16]);
    Ok(format!("\"{tag}\"").into())
}

#[cfg(test)]
mod tests;
