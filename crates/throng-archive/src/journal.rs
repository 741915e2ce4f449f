//! The journal: a header, then one record of fixed size for every part, in order.
//!
//! Parts are consecutive, so the record of part `p` is number `p - first`: nothing is searched or held in memory.
//! Numbers are little-endian; both forms end with the CRC-32 of what stands before it.
//!
//! ```text
//! header  magic 8 | version u32 | renditions u32 | first part u64 | per rendition: name 8, init len u32, init SHA-256 | CRC
//! record  part u64 | wall clock i64 | flags u32 | per rendition: end offset u64, len u32, SHA-256                     | CRC
//! ```

use bytes::Bytes;
use sha2::{Digest, Sha256};
use throng_core::rendition::{RENDITION_COUNT, Rendition};
use throng_core::timeline::PartIndex;

/// The layout of the folder; another one is refused by name rather than half understood.
pub const JOURNAL_VERSION: u32 = 1;

/// The latest first part, 11,000 years after the epoch: a header with a later one is no work of ours, and sums with part
/// numbers stay within their 64 bits.
const FIRST_PART_MAX: PartIndex = PartIndex(1 << 40);

const MAGIC: [u8; 8] = *b"THRONG\r\n";
const CRC_LEN: usize = 4;
const PER_RENDITION_LEN: usize = 8 + 4 + 32;
/// Bytes of the header.
pub(crate) const HEADER_LEN: usize = 8 + 4 + 4 + 8 + RENDITION_COUNT * PER_RENDITION_LEN + CRC_LEN;
/// Bytes of a record.
pub(crate) const RECORD_LEN: usize = 8 + 8 + 4 + RENDITION_COUNT * PER_RENDITION_LEN + CRC_LEN;

/// What the journal says about one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its number.
    pub index: PartIndex,
    /// The wall clock when it was made, milliseconds since 1970 UTC.
    pub wall_unix_ms: i64,
    /// What is special about it.
    pub flags: Flags,
    /// Where its bytes lie, by [`Rendition::index`].
    pub extents: [Extent; RENDITION_COUNT],
}

/// Where the bytes of one part lie in the file of one rendition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The offset after the last byte.
    pub end: u64,
    /// How many bytes.
    pub len: u32,
    /// Their SHA-256.
    pub sha256: [u8; 32],
}

impl Extent {
    /// The offset of the first byte. A record is only accepted with `len <= end`.
    pub const fn start(&self) -> u64 {
        self.end - self.len as u64
    }
}

/// What is special about a part, as bits; unknown bits are kept as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u32);

impl Flags {
    /// A part like any other.
    pub const NONE: Self = Self(0);
    /// Silence in place of programme that was lost.
    pub const GAP: Self = Self(1);

    /// Whether the part is silence in place of lost programme.
    pub const fn is_gap(self) -> bool {
        self.0 & Self::GAP.0 != 0
    }
}

/// The beginning of a journal: what the recording consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) first: PartIndex,
    pub(crate) inits: [InitMark; RENDITION_COUNT],
}

/// Length and hash of the bytes at the head of a rendition's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InitMark {
    pub(crate) len: u32,
    pub(crate) sha256: [u8; 32],
}

impl InitMark {
    pub(crate) fn of(init: &Bytes) -> Self {
        let len =
            u32::try_from(init.len()).expect("an init is far below 4 GiB: its maker bounds it");
        Self {
            len,
            sha256: Sha256::digest(init).into(),
        }
    }
}

/// Why bytes are not a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    NotAJournal,
    OtherVersion(u32),
    Torn,
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = Writer::<HEADER_LEN>::new();
        out.put(&MAGIC);
        out.put(&JOURNAL_VERSION.to_le_bytes());
        out.put(
            &u32::try_from(RENDITION_COUNT)
                .expect("a handful")
                .to_le_bytes(),
        );
        out.put(&self.first.0.to_le_bytes());
        for (rendition, init) in Rendition::ALL.into_iter().zip(&self.inits) {
            out.put(&padded_name(rendition));
            out.put(&init.len.to_le_bytes());
            out.put(&init.sha256);
        }
        out.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        let (magic, rest) = bytes
            .split_first_chunk::<8>()
            .ok_or(HeaderError::NotAJournal)?;
        if *magic != MAGIC {
            return Err(HeaderError::NotAJournal);
        }
        let version = rest
            .first_chunk()
            .map(|bytes| u32::from_le_bytes(*bytes))
            .ok_or(HeaderError::Torn)?;
        if version != JOURNAL_VERSION {
            return Err(HeaderError::OtherVersion(version));
        }
        let bytes = bytes.first_chunk::<HEADER_LEN>().ok_or(HeaderError::Torn)?;
        let mut from = Taker::checked(bytes).ok_or(HeaderError::Torn)?;
        from.take::<12>();
        if from.u32() as usize != RENDITION_COUNT {
            return Err(HeaderError::NotAJournal);
        }
        let first = PartIndex(from.u64());
        if first > FIRST_PART_MAX {
            return Err(HeaderError::NotAJournal);
        }
        let mut inits = [InitMark {
            len: 0,
            sha256: [0; 32],
        }; RENDITION_COUNT];
        for (rendition, init) in Rendition::ALL.into_iter().zip(&mut inits) {
            if from.take() != padded_name(rendition) {
                return Err(HeaderError::NotAJournal);
            }
            *init = InitMark {
                len: from.u32(),
                sha256: from.take(),
            };
        }
        Ok(Self { first, inits })
    }

    /// Where the record of a part begins. The part must not lie before the first.
    pub(crate) const fn record_offset(first: PartIndex, index: PartIndex) -> u64 {
        HEADER_LEN as u64 + (index.0 - first.0) * RECORD_LEN as u64
    }
}

impl Record {
    pub(crate) fn encode(&self) -> [u8; RECORD_LEN] {
        let mut out = Writer::<RECORD_LEN>::new();
        out.put(&self.index.0.to_le_bytes());
        out.put(&self.wall_unix_ms.to_le_bytes());
        out.put(&self.flags.0.to_le_bytes());
        for extent in &self.extents {
            out.put(&extent.end.to_le_bytes());
            out.put(&extent.len.to_le_bytes());
            out.put(&extent.sha256);
        }
        out.finish()
    }

    /// The record, if the bytes are one.
    pub(crate) fn decode(bytes: &[u8; RECORD_LEN]) -> Option<Self> {
        let mut from = Taker::checked(bytes)?;
        let index = PartIndex(from.u64());
        let wall_unix_ms = i64::from_le_bytes(from.take());
        let flags = Flags(from.u32());
        let extents = [(); RENDITION_COUNT].map(|()| Extent {
            end: from.u64(),
            len: from.u32(),
            sha256: from.take(),
        });
        extents
            .iter()
            .all(|extent| u64::from(extent.len) <= extent.end)
            .then_some(Self {
                index,
                wall_unix_ms,
                flags,
                extents,
            })
    }
}

fn padded_name(rendition: Rendition) -> [u8; 8] {
    let mut name = [0; 8];
    name[..rendition.name().len()].copy_from_slice(rendition.name().as_bytes());
    name
}

/// Fills a form of fixed size front to back, and seals it with its CRC.
struct Writer<const LEN: usize> {
    bytes: [u8; LEN],
    at: usize,
}

impl<const LEN: usize> Writer<LEN> {
    fn new() -> Self {
        Self {
            bytes: [0; LEN],
            at: 0,
        }
    }

    fn put(&mut self, field: &[u8]) {
        self.bytes[self.at..self.at + field.len()].copy_from_slice(field);
        self.at += field.len();
    }

    fn finish(mut self) -> [u8; LEN] {
        assert_eq!(self.at, LEN - CRC_LEN, "the fields fill the form");
        let crc = crc32fast::hash(&self.bytes[..self.at]);
        self.put(&crc.to_le_bytes());
        self.bytes
    }
}

/// Takes the fields of a sealed form front to back.
struct Taker<'a>(&'a [u8]);

impl<'a> Taker<'a> {
    /// The fields, if the CRC holds.
    fn checked(bytes: &'a [u8]) -> Option<Self> {
        let (fields, crc) = bytes.split_last_chunk::<CRC_LEN>()?;
        (crc32fast::hash(fields) == u32::from_le_bytes(*crc)).then_some(Self(fields))
    }

    fn take<const LEN: usize>(&mut self) -> [u8; LEN] {
        let (field, rest) = self
            .0
            .split_first_chunk()
            .expect("the form has a fixed size that its caller reads");
        self.0 = rest;
        *field
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_record() -> Record {
        let extent = Extent {
            end: 9_000_000_000,
            len: 2_000,
            sha256: [7; 32],
        };
        Record {
            index: PartIndex(123),
            wall_unix_ms: -5,
            flags: Flags::GAP,
            extents: [extent; RENDITION_COUNT],
        }
    }

    #[test]
    fn a_record_is_read_as_written_and_any_flipped_bit_is_noticed() {
        let record = a_record();
        let bytes = record.encode();
        assert_eq!(Record::decode(&bytes), Some(record));
        for bit in 0..RECORD_LEN * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Record::decode(&flipped), None, "bit {bit}");
        }
    }

    #[test]
    fn another_version_is_told_from_a_torn_header_and_from_a_foreign_file() {
        let header = Header {
            first: PartIndex(40),
            inits: [InitMark {
                len: 600,
                sha256: [3; 32],
            }; RENDITION_COUNT],
        };
        let bytes = header.encode();
        assert_eq!(Header::decode(&bytes), Ok(header));
        assert_eq!(Header::decode(&bytes[..100]), Err(HeaderError::Torn));
        let mut newer = bytes;
        newer[8] = 2;
        assert_eq!(Header::decode(&newer), Err(HeaderError::OtherVersion(2)));
        assert_eq!(
            Header::decode(b"a text file, say"),
            Err(HeaderError::NotAJournal)
        );
    }

    #[test]
    fn a_header_whose_parts_could_not_be_counted_is_refused_though_its_seal_is_right() {
        let header = |first| Header {
            first,
            inits: [InitMark {
                len: 600,
                sha256: [3; 32],
            }; RENDITION_COUNT],
        };
        let late = header(PartIndex(u64::MAX));
        assert_eq!(
            Header::decode(&late.encode()),
            Err(HeaderError::NotAJournal)
        );
        let last = header(FIRST_PART_MAX);
        assert_eq!(Header::decode(&last.encode()), Ok(last));
    }
}
