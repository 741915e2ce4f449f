//! The writer: one per space, appending what goes on air.
//!
//! A part's bytes are written before its record, and the files are flushed before the journal; but the order is a
//! courtesy, not what safety rests on: a record carries the hash of its bytes, so that one which came to the disk
//! before them is found out when the recording is opened.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use throng_core::rendition::{RENDITION_COUNT, Rendition};
use throng_core::timeline::PartIndex;
use throng_core::window::Part;

use crate::disk::Output;
use crate::journal::{Extent, Flags, Header, InitMark, Record};
use crate::reader::{Files, Reader, for_each_rendition, journal_path, media_path};
use crate::recovery::{self, Access, Recovery};
use crate::{ArchiveError, Malformed, mp4};

/// Parts that may be acknowledged and not yet on the disk: 0.96 s, the most that a power cut takes. The next append
/// waits until they are flushed.
pub const UNSYNCED_PARTS_MAX: usize = 3;

/// The longest chunk that is taken, twenty times the largest of a healthy encoder; a longer one is refused. It bounds
/// what a reader holds in memory.
pub const PART_BYTES_MAX: usize = 64 * 1024;

/// The recording of one space, owned by the one thread that appends.
#[derive(Debug)]
pub struct Archive {
    files: Arc<Files>,
    media: [Output; RENDITION_COUNT],
    journal: Output,
    /// The offsets after the last part that was taken.
    ends: [u64; RENDITION_COUNT],
    /// Parts not known to be on the disk, oldest first: at most [`UNSYNCED_PARTS_MAX`].
    unsynced: Vec<Written>,
    /// Something failed since, and the files may hold more or less than they should.
    torn: bool,
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
        Self::over(Files {
            dir: dir.to_owned(),
            media,
            journal,
            inits: inits.clone(),
            first,
            next,
        })
    }

    /// Goes on with a recording after whatever end, and says what was found. The inits are those that the next parts
    /// need; they must be the ones with which the recording was begun.
    pub fn open(
        dir: &Path,
        inits: &[Bytes; RENDITION_COUNT],
    ) -> Result<(Self, Recovery), ArchiveError> {
        let survey = recovery::survey(dir, Access::Write)?;
        for rendition in Rendition::ALL {
            if survey.files.inits[rendition.index()] != inits[rendition.index()] {
                return Err(ArchiveError::OtherInit(rendition));
            }
        }
        let mut archive = Self::over(survey.files)?;
        // What lies after the last sound part goes now, so that the files are playable to their ends again.
        archive.torn = true;
        archive.mend()?;
        // What a killed process left in the page cache counts as on the disk from here on.
        archive.flush()?;
        Ok((archive, survey.recovery))
    }

    fn over(files: Files) -> Result<Self, ArchiveError> {
        let ends = files.ends()?;
        let media = Rendition::ALL.map(|rendition| Output {
            path: media_path(&files.dir, rendition),
            disk: Box::new(Arc::clone(&files.media[rendition.index()])),
        });
        let journal = Output {
            path: journal_path(&files.dir),
            disk: Box::new(Arc::clone(&files.journal)),
        };
        Ok(Self {
            files: Arc::new(files),
            media,
            journal,
            ends,
            unsynced: Vec::new(),
            torn: false,
        })
    }

    /// A view for those who read while this goes on.
    pub fn reader(&self) -> Reader {
        Reader::new(Arc::clone(&self.files))
    }

    /// The part that must come next.
    pub fn next(&self) -> PartIndex {
        // This thread alone stores it.
        PartIndex(self.files.next.load(Ordering::Relaxed))
    }

    /// Takes the next part. Parts are consecutive: lost time is filled by the caller, with silence marked
    /// [`Flags::GAP`]. After an error the part is not in the recording; the same or a silent one may be tried again.
    pub fn append(
        &mut self,
        part: &Part,
        wall_unix_ms: i64,
        flags: Flags,
    ) -> Result<(), ArchiveError> {
        self.check_part(part)?;
        if self.unsynced.len() >= UNSYNCED_PARTS_MAX {
            self.sync()?;
        }
        self.mend()?;
        let written = self.place(part, wall_unix_ms, flags);
        self.torn = true;
        self.write(&written)?;
        self.torn = false;
        self.ends = written.record.extents.map(|extent| extent.end);
        self.unsynced.push(written);
        self.files
            .next
            .store(part.index.next().0, Ordering::Release);
        Ok(())
    }

    /// Returns once every part that was taken is on the disk. [`Archive::append`] does this by itself in time; it is
    /// for the end of a space, and of the process.
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
        Ok(())
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
            .truncate(Header::record_offset(self.files.first, self.next()))?;
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
        if part.index != self.next() {
            return Err(ArchiveError::NotNext {
                expected: self.next(),
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

/// Removes a recording: the files that this crate makes, by name, and their folder if nothing else lies in it. What is
/// not there counts as removed.
pub fn remove(dir: &Path) -> Result<(), ArchiveError> {
    // Without its journal the folder is no recording, so a removal cut short never leaves half of one.
    let media = Rendition::ALL
        .into_iter()
        .map(|rendition| media_path(dir, rendition));
    for path in [journal_path(dir), new_journal_path(dir)]
        .into_iter()
        .chain(media)
    {
        absent_is_fine(fs::remove_file(&path)).map_err(ArchiveError::disk("remove", path))?;
    }
    match fs::remove_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        other => absent_is_fine(other).map_err(ArchiveError::disk("remove", dir)),
    }
}

fn absent_is_fine(removal: io::Result<()>) -> io::Result<()> {
    removal.or_else(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            Ok(())
        } else {
            Err(error)
        }
    })
}

fn check<T>(rendition: Rendition, found: Result<T, Malformed>) -> Result<T, ArchiveError> {
    found.map_err(|source| ArchiveError::Malformed { rendition, source })
}

/// What a creation cut short leaves may be overwritten; sound without its journal may not.
fn refuse_to_overwrite(path: &Path, init: &Bytes) -> Result<(), ArchiveError> {
    if fs::metadata(path).is_ok_and(|found| found.len() > init.len() as u64) {
        return Err(ArchiveError::Damaged {
            path: path.to_owned(),
            what: "its journal is missing".to_owned(),
        });
    }
    Ok(())
}

fn write_anew(path: &Path, bytes: &[u8]) -> Result<File, ArchiveError> {
    let mut options = OpenOptions::new();
    let file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path);
    let write = |file: File| {
        io::Write::write_all(&mut &file, bytes)
            .and_then(|()| file.sync_all())
            .map(|()| file)
    };
    file.and_then(write)
        .map_err(ArchiveError::disk("create", path))
}

/// Makes the names in a folder, and its own name, survive a power cut.
fn flush_folder(dir: &Path) -> Result<(), ArchiveError> {
    let folders = dir
        .ancestors()
        .take(2)
        .filter(|folder| !folder.as_os_str().is_empty());
    for folder in folders {
        let flushed = File::open(folder).and_then(|folder| folder.sync_all());
        flushed.map_err(ArchiveError::disk("flush", folder))?;
    }
    Ok(())
}

fn new_journal_path(dir: &Path) -> PathBuf {
    dir.join("journal.new")
}

#[cfg(test)]
mod tests;
