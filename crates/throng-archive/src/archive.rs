//! The writer: one per space, appending what goes on air.
//!
//! A part's bytes are written before its record, and the files are flushed before the journal; but the order is a
//! courtesy, not what safety rests on: a record carries the hash of its bytes, so that one which came to the disk
//! before them is found out when the recording is opened.

mod folder;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use throng_core::rendition::{RENDITION_COUNT, Rendition};
use throng_core::timeline::PartIndex;
use throng_core::window::Part;

pub(crate) use self::folder::flush_folder;
pub use self::folder::remove;
use self::folder::{new_journal_path, refuse_to_overwrite, write_anew};
use crate::disk::{Disk, Output};
use crate::journal::{Extent, Flags, Header, InitMark, Record};
use crate::reader::{Files, Reader, for_each_rendition, journal_path, media_path};
use crate::recovery::{self, Access, CRASH_REACH_PARTS, Recovery};
use crate::{ArchiveError, Malformed, mp4};

/// Parts that may be acknowledged and not yet on the disk: 0.96 s, the most that a power cut takes. The next append
/// waits until they are flushed.
pub const UNSYNCED_PARTS_MAX: usize = 3;

/// Parts that may be written behind the ones that can be read, until a flush makes them all readable: 48 s, so that a
/// slow disk is flushed seldom. Fewer than recovery verifies, because a power cut may spoil them all. The next append
/// flushes first.
pub const BEHIND_PARTS_MAX: usize = 150;
const _: () = assert!(
    (BEHIND_PARTS_MAX as u64) < CRASH_REACH_PARTS,
    "a power cut is no damage"
);

/// The longest chunk that is taken, twenty times the largest of a healthy encoder; a longer one is refused. It bounds
/// what a reader holds in memory.
pub const PART_BYTES_MAX: usize = 64 * 1024;

/// The recording of one space, owned by the one thread that appends.
#[derive(Debug)]
pub struct Archive {
    files: Arc<Files>,
    media: [Output; RENDITION_COUNT],
    journal: Output,
    /// The part that must come next.
    next: PartIndex,
    /// The offsets after the last part that was taken.
    ends: [u64; RENDITION_COUNT],
    /// Parts not known to be on the disk, oldest first: of those that can be read at most [`UNSYNCED_PARTS_MAX`], in
    /// all at most [`BEHIND_PARTS_MAX`]; more only while a recording is opened, which verifies them.
    unsynced: Vec<Written>,
    /// Something failed since, and the files may hold more or less than they should.
    torn: bool,
}

/// How a file is written: tests put disks in between that fail.
type DiskOf<'a> = dyn Fn(&Path, &Arc<File>) -> Box<dyn Disk> + 'a;

fn whole_disk(_: &Path, file: &Arc<File>) -> Box<dyn Disk> {
    Box::new(Arc::clone(file))
}

/// A part as it lies in the files.
#[derive(Debug)]
struct Written {
    chunks: [Bytes; RENDITION_COUNT],
    record: Record,
}

impl Archive {
    /// Whether a recording was begun in a folder.
    pub fn exists(dir: &Path) -> bool {
        journal_path(dir).is_file()
    }

    /// Begins a recording in a folder, which is made if needed, with the part that will come first. The inits are what
    /// the chunks of each rendition need before them (`ftyp`, `moov`).
    pub fn create(
        dir: &Path,
        first: PartIndex,
        inits: &[Bytes; RENDITION_COUNT],
    ) -> Result<Self, ArchiveError> {
        fs::create_dir_all(dir).map_err(ArchiveError::disk("create", dir))?;
        if fs::exists(journal_path(dir))
            .map_err(ArchiveError::disk("examine", journal_path(dir)))?
        {
            return Err(ArchiveError::Exists(dir.to_owned()));
        }
        for rendition in Rendition::ALL {
            let init = &inits[rendition.index()];
            check(
                rendition,
                mp4::with_duration(init, 0).and_then(|_| mp4::track_id(init)),
            )?;
            refuse_to_overwrite(&media_path(dir, rendition), init)?;
        }
        let media = for_each_rendition(|rendition| {
            write_anew(&media_path(dir, rendition), &inits[rendition.index()]).map(Arc::new)
        })?;
        // The journal makes the folder a recording, so it comes last and at once.
        let (path, new_path) = (journal_path(dir), new_journal_path(dir));
        let header = Header {
            first,
            inits: inits.each_ref().map(InitMark::of),
        };
        let journal = Arc::new(write_anew(&new_path, &header.encode())?);
        fs::rename(&new_path, &path).map_err(ArchiveError::disk("create", path))?;
        flush_folder(dir)?;
        let next = AtomicU64::new(first.0);
        let files = Files {
            dir: dir.to_owned(),
            media,
            journal,
            inits: inits.clone(),
            first,
            next,
            unsound: AtomicU64::new(0),
        };
        Self::over(files, &whole_disk)
    }

    /// Goes on with a recording after whatever end, and says what was found. The inits are those that the next parts
    /// need; they must be the ones with which the recording was begun.
    pub fn open(
        dir: &Path,
        inits: &[Bytes; RENDITION_COUNT],
    ) -> Result<(Self, Recovery), ArchiveError> {
        Self::open_on(dir, inits, &whole_disk)
    }

    fn open_on(
        dir: &Path,
        inits: &[Bytes; RENDITION_COUNT],
        disk: &DiskOf<'_>,
    ) -> Result<(Self, Recovery), ArchiveError> {
        let survey = recovery::survey(dir, Access::Write)?;
        for rendition in Rendition::ALL {
            if survey.files.inits[rendition.index()] != inits[rendition.index()] {
                return Err(ArchiveError::OtherInit(rendition));
            }
        }
        let mut archive = Self::over(survey.files, disk)?;
        // What a killed process left in the page cache may count as written though a flush of it failed, and is then
        // on no disk: all that such an end may have spoilt is written anew. What lies behind it goes, so that the
        // files are playable to their ends again.
        archive.unsynced = archive.newest_parts()?;
        archive.torn = true;
        archive.sync()?;
        flush_folder(dir)?;
        Ok((archive, survey.recovery))
    }

    fn over(files: Files, disk: &DiskOf<'_>) -> Result<Self, ArchiveError> {
        let ends = files.ends()?;
        let output = |path: PathBuf, file: &Arc<File>| Output {
            disk: disk(&path, file),
            path,
        };
        let media = Rendition::ALL.map(|rendition| {
            output(
                media_path(&files.dir, rendition),
                &files.media[rendition.index()],
            )
        });
        let journal = output(journal_path(&files.dir), &files.journal);
        Ok(Self {
            next: PartIndex(files.next.load(Ordering::Relaxed)),
            files: Arc::new(files),
            media,
            journal,
            ends,
            unsynced: Vec::new(),
            torn: false,
        })
    }

    /// As many parts as recovery verifies, as they were found.
    fn newest_parts(&self) -> Result<Vec<Written>, ArchiveError> {
        let oldest = self.next.0.saturating_sub(CRASH_REACH_PARTS);
        let found = (oldest.max(self.files.first.0)..self.next.0).map(|index| {
            let record = self.files.record(PartIndex(index))?;
            let chunks = for_each_rendition(|rendition| {
                let extent = &record.extents[rendition.index()];
                let stretch = extent.start()..extent.end;
                self.files.read(rendition, stretch).map(Bytes::from)
            })?;
            Ok(Written { chunks, record })
        });
        found.collect()
    }

    /// A view for those who read while this goes on.
    pub fn reader(&self) -> Reader {
        Reader::new(Arc::clone(&self.files))
    }

    /// The part that must come next.
    pub const fn next(&self) -> PartIndex {
        self.next
    }

    /// Takes the next part; it can be read at once. Parts are consecutive: lost time is filled by the caller, with
    /// silence marked [`Flags::GAP`]. After an error the part is not in the recording; the same or a silent one may be
    /// tried again.
    pub fn append(
        &mut self,
        part: &Part,
        wall_unix_ms: i64,
        flags: Flags,
    ) -> Result<(), ArchiveError> {
        self.take(part, wall_unix_ms, flags, UNSYNCED_PARTS_MAX)?;
        self.show();
        Ok(())
    }

    /// Takes the next of many parts that wait. It can be read, and counts as kept, after the next [`Archive::sync`]:
    /// thus a disk that flushes slowly does it once for all of them.
    pub fn append_behind(
        &mut self,
        part: &Part,
        wall_unix_ms: i64,
        flags: Flags,
    ) -> Result<(), ArchiveError> {
        self.take(part, wall_unix_ms, flags, BEHIND_PARTS_MAX)
    }

    fn take(
        &mut self,
        part: &Part,
        wall_unix_ms: i64,
        flags: Flags,
        unsynced_max: usize,
    ) -> Result<(), ArchiveError> {
        self.check_part(part)?;
        if self.unsynced.len() >= unsynced_max {
            self.sync()?;
        }
        self.mend()?;
        let written = self.place(part, wall_unix_ms, flags);
        self.torn = true;
        self.write(&written)?;
        self.torn = false;
        self.ends = written.record.extents.map(|extent| extent.end);
        self.unsynced.push(written);
        self.next = part.index.next();
        Ok(())
    }

    /// Returns once every part that was taken is on the disk, and can be read. [`Archive::append`] does this by itself
    /// in time; it is for the end of a row, of a space, and of the process.
    pub fn sync(&mut self) -> Result<(), ArchiveError> {
        self.mend()?;
        if self.unsynced.is_empty() {
            return Ok(());
        }
        // After a failed flush the system may count unwritten pages as written: then they are written again.
        self.torn = true;
        self.flush()?;
        self.torn = false;
        self.unsynced.clear();
        self.show();
        Ok(())
    }

    /// Lets readers see all that was taken.
    fn show(&self) {
        self.files.next.store(self.next.0, Ordering::Release);
    }

    fn flush(&self) -> Result<(), ArchiveError> {
        for output in &self.media {
            output.sync()?;
        }
        self.journal.sync()
    }

    /// Brings the files to what they should hold: no more than the parts taken, and those not yet on the disk anew.
    fn mend(&mut self) -> Result<(), ArchiveError> {
        if !self.torn {
            return Ok(());
        }
        self.journal
            .truncate(Header::record_offset(self.files.first, self.next))?;
        for (output, &end) in self.media.iter().zip(&self.ends) {
            output.truncate(end)?;
        }
        for written in &self.unsynced {
            self.write(written)?;
        }
        self.torn = false;
        Ok(())
    }

    fn write(&self, written: &Written) -> Result<(), ArchiveError> {
        for ((output, chunk), extent) in self
            .media
            .iter()
            .zip(&written.chunks)
            .zip(&written.record.extents)
        {
            output.write_at(chunk, extent.start())?;
        }
        let offset = Header::record_offset(self.files.first, written.record.index);
        self.journal.write_at(&written.record.encode(), offset)
    }

    fn place(&self, part: &Part, wall_unix_ms: i64, flags: Flags) -> Written {
        let chunks = part
            .renditions
            .each_ref()
            .map(|packaged| packaged.cmaf.clone());
        let extents = Rendition::ALL.map(|rendition| {
            let chunk = &chunks[rendition.index()];
            let len = u32::try_from(chunk.len()).expect("checked against PART_BYTES_MAX");
            let end = self.ends[rendition.index()] + u64::from(len);
            Extent {
                end,
                len,
                sha256: Sha256::digest(chunk).into(),
            }
        });
        Written {
            chunks,
            record: Record {
                index: part.index,
                wall_unix_ms,
                flags,
                extents,
            },
        }
    }

    /// What cannot be read back as a recording later must not go in.
    fn check_part(&self, part: &Part) -> Result<(), ArchiveError> {
        if part.index != self.next {
            return Err(ArchiveError::NotNext {
                expected: self.next,
                offered: part.index,
            });
        }
        for rendition in Rendition::ALL {
            let chunk = &part.packaged(rendition).cmaf;
            if chunk.len() > PART_BYTES_MAX {
                let too_long = Malformed {
                    expected: "the end of a chunk of at most 64 KiB",
                    at: PART_BYTES_MAX,
                };
                return Err(ArchiveError::Malformed {
                    rendition,
                    source: too_long,
                });
            }
            check(rendition, mp4::check_chunk(chunk))?;
        }
        Ok(())
    }
}

fn check<T>(rendition: Rendition, found: Result<T, Malformed>) -> Result<T, ArchiveError> {
    found.map_err(|source| ArchiveError::Malformed { rendition, source })
}

#[cfg(test)]
mod tests;
