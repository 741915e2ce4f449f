//! What of a recording is sound, after any end: the longest row of parts whose records follow one another, whose bytes
//! are in the files, and whose newest minute hashes as the journal says.
//!
//! A crash spoils only the tail: parts become durable within [`crate::UNSYNCED_PARTS_MAX`] of each other. So the tail
//! is verified byte by byte and dropped where it fails, while a contradiction farther back is damage, which is
//! reported and left alone: recovery must never be what destroys an hour of a recording.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use throng_core::rendition::{RENDITION_COUNT, Rendition};
use throng_core::timeline::{PART_DURATION_MS, PartIndex};

use crate::journal::{HEADER_LEN, Header, HeaderError, InitMark, RECORD_LEN, Record};
use crate::reader::{Files, for_each_rendition, journal_path, media_path};
use crate::{ArchiveError, PART_BYTES_MAX};

/// How far back from its end a recording is verified, and what recovery drops at the very most: 60 s, some sixty times what a
/// power cut leaves unwritten.
pub const CRASH_REACH_PARTS: u64 = 60_000 / PART_DURATION_MS;

/// Records read at once while the journal is scanned: about 62 KiB.
const SCAN_RECORDS: u64 = 256;
/// The longest init that is read into memory; real ones have some 600 bytes.
const INIT_BYTES_MAX: u32 = 64 * 1024;

/// What was found when a recording was opened, and what had to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// How many parts are held.
    pub parts: u64,
    /// The first of them.
    pub first: PartIndex,
    /// The part with which the recording goes on.
    pub next: PartIndex,
    /// Parts that the journal named, but whose bytes a crash had taken.
    pub dropped_records: u64,
    /// Bytes after the last sound part, in all files together.
    pub dropped_bytes: u64,
}

/// What the files are opened for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

/// The sound part of a recording, found without changing anything.
pub(crate) struct Survey {
    pub(crate) files: Files,
    pub(crate) recovery: Recovery,
}

pub(crate) fn survey(dir: &Path, access: Access) -> Result<Survey, ArchiveError> {
    let path = journal_path(dir);
    let journal = open(&path, access).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => ArchiveError::Missing(dir.to_owned()),
        _ => ArchiveError::disk("open", &path)(source),
    })?;
    let header = read_header(&journal, &path)?;
    let media = for_each_rendition(|rendition| {
        let path = media_path(dir, rendition);
        open(&path, access)
            .map(Arc::new)
            .map_err(ArchiveError::disk("open", path))
    })?;
    let inits = for_each_rendition(|rendition| {
        read_init(
            &media[rendition.index()],
            &media_path(dir, rendition),
            &header.inits[rendition.index()],
        )
    })?;
    let next = AtomicU64::new(header.first.0);
    let files = Files {
        dir: dir.to_owned(),
        media,
        journal: Arc::new(journal),
        inits,
        first: header.first,
        next,
        unsound: AtomicU64::new(0),
    };
    let found = Probe::new(&files, &header)?.sound_parts()?;
    found.settle(files)
}

fn open(path: &Path, access: Access) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(access == Access::Write)
        .open(path)
}

fn read_header(journal: &File, path: &Path) -> Result<Header, ArchiveError> {
    let len = file_len(journal, path)?.min(HEADER_LEN as u64);
    let mut bytes = [0; HEADER_LEN];
    let bytes = &mut bytes[..usize::try_from(len).expect("at most a header")];
    journal
        .read_exact_at(bytes, 0)
        .map_err(ArchiveError::disk("read", path))?;
    let damaged = |what: &str| ArchiveError::Damaged {
        path: path.to_owned(),
        what: what.to_owned(),
    };
    Header::decode(bytes).map_err(|error| match error {
        HeaderError::NotAJournal => damaged("its journal is not one of Throng's"),
        HeaderError::OtherVersion(found) => ArchiveError::OtherVersion {
            path: path.to_owned(),
            found,
        },
        HeaderError::Torn => damaged("the head of its journal is not whole"),
    })
}

fn read_init(media: &File, path: &Path, mark: &InitMark) -> Result<Bytes, ArchiveError> {
    let mut bytes = vec![0; mark.len.min(INIT_BYTES_MAX) as usize];
    let whole = match media.read_exact_at(&mut bytes, 0) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
        Err(error) => return Err(ArchiveError::disk("read", path)(error)),
    };
    let init = Bytes::from(bytes);
    if whole && InitMark::of(&init) == *mark {
        return Ok(init);
    }
    Err(ArchiveError::Damaged {
        path: path.to_owned(),
        what: "its head is not what the journal says".to_owned(),
    })
}

fn file_len(file: &File, path: &Path) -> Result<u64, ArchiveError> {
    Ok(file
        .metadata()
        .map_err(ArchiveError::disk("examine", path))?
        .len())
}

/// Asks the files what they hold.
struct Probe<'a> {
    files: &'a Files,
    header: &'a Header,
    lens: [u64; RENDITION_COUNT],
}

/// The answer: parts that the journal names, parts that are sound, and the bytes of all files.
struct Found {
    named: u64,
    sound: u64,
    bytes: u64,
}

impl<'a> Probe<'a> {
    fn new(files: &'a Files, header: &'a Header) -> Result<Self, ArchiveError> {
        let len = |rendition: Rendition| {
            file_len(
                &files.media[rendition.index()],
                &media_path(&files.dir, rendition),
            )
        };
        Ok(Self {
            files,
            header,
            lens: for_each_rendition(len)?,
        })
    }

    fn sound_parts(&self) -> Result<Found, ArchiveError> {
        let journal_len = file_len(&self.files.journal, &journal_path(&self.files.dir))?;
        let named = (journal_len - HEADER_LEN as u64) / RECORD_LEN as u64;
        let follow = self.records_that_follow(named)?;
        let sound = self.parts_that_hash(oldest_verified(named)..follow)?;
        Ok(Found {
            named,
            sound,
            bytes: journal_len + self.lens.iter().sum::<u64>(),
        })
    }

    fn record(&self, number: u64) -> Result<Record, ArchiveError> {
        self.files.record(PartIndex(self.header.first.0 + number))
    }

    /// How many records, from the first, are whole and lead from one to the next.
    fn records_that_follow(&self, named: u64) -> Result<u64, ArchiveError> {
        let mut ends = self.header.inits.map(|init| u64::from(init.len));
        let mut block =
            vec![[0; RECORD_LEN]; usize::try_from(SCAN_RECORDS).expect("a few hundred")];
        let mut sound = 0;
        while sound < named {
            let count = usize::try_from(SCAN_RECORDS.min(named - sound)).expect("a few hundred");
            let index = PartIndex(self.header.first.0 + sound);
            let offset = Header::record_offset(self.header.first, index);
            self.files
                .journal
                .read_exact_at(block[..count].as_flattened_mut(), offset)
                .map_err(ArchiveError::disk("read", journal_path(&self.files.dir)))?;
            for bytes in &block[..count] {
                let index = PartIndex(self.header.first.0 + sound);
                match Record::decode(bytes) {
                    Some(record) if record.index == index && follows(&record, &ends) => {
                        ends = record.extents.map(|extent| extent.end);
                    }
                    _ => return Ok(sound),
                }
                sound += 1;
            }
        }
        Ok(sound)
    }

    /// The first of these parts whose bytes are not there or not what they were, else the end.
    fn parts_that_hash(&self, parts: Range<u64>) -> Result<u64, ArchiveError> {
        for number in parts.clone() {
            if !self.hashes(&self.record(number)?)? {
                return Ok(number);
            }
        }
        Ok(parts.end)
    }

    fn hashes(&self, record: &Record) -> Result<bool, ArchiveError> {
        for (rendition, extent) in Rendition::ALL.into_iter().zip(&record.extents) {
            if extent.end > self.lens[rendition.index()] {
                return Ok(false);
            }
            let bytes = self.files.read(rendition, extent.start()..extent.end)?;
            if <[u8; 32]>::from(Sha256::digest(&bytes)) != extent.sha256 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Of so many parts, the first that is verified.
const fn oldest_verified(named: u64) -> u64 {
    named.saturating_sub(CRASH_REACH_PARTS)
}

fn follows(record: &Record, ends: &[u64; RENDITION_COUNT]) -> bool {
    record
        .extents
        .iter()
        .zip(ends)
        .all(|(extent, &end)| extent.start() == end && extent.len as usize <= PART_BYTES_MAX)
}

impl Found {
    fn settle(self, files: Files) -> Result<Survey, ArchiveError> {
        let dropped_records = self.named - self.sound;
        let next = PartIndex(files.first.0 + self.sound);
        // Nothing that was verified is sound: then what lies before, unverified, cannot be trusted either.
        if self.named > CRASH_REACH_PARTS && self.sound <= oldest_verified(self.named) {
            return Err(ArchiveError::Damaged {
                path: journal_path(&files.dir),
                what: format!(
                    "{dropped_records} of {} parts, from part {next} on",
                    self.named
                ),
            });
        }
        let files = Files {
            next: AtomicU64::new(next.0),
            ..files
        };
        let kept = Header::record_offset(files.first, next) + files.ends()?.iter().sum::<u64>();
        let recovery = Recovery {
            parts: self.sound,
            first: files.first,
            next,
            dropped_records,
            dropped_bytes: self.bytes.saturating_sub(kept),
        };
        Ok(Survey { files, recovery })
    }
}
