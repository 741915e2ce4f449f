//! A speaker's own sound beside the recording: `tracks/{seat}.mp4`, append-only and playable at every moment.
//!
//! Its time 0 is go-live, so that tracks and recording lie under one another as they are. There is no journal: a chunk says
//! its own place, and a file goes as far as its chunks follow one another. So a kill loses what was not written, a power
//! cut at most [`TRACK_UNSYNCED_PARTS_MAX`] parts; but sound that a disk has spoilt is not found out, as it is in the
//! recording. Where it has spoilt what holds a part, and more lies behind it than a crash can have torn, nobody can go on
//! with the file: it is set aside as `tracks/{seat}.spoilt.mp4`, and another is begun.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use throng_core::hex::hex;
use throng_core::rendition::Rendition;
use throng_core::timeline::{PART_SAMPLES, PartIndex};

use crate::archive::flush_folder;
use crate::disk::Output;
use crate::recording::READ_BYTES_MAX;
use crate::{ArchiveError, PART_BYTES_MAX, mp4};

/// Parts of a track that may not be on the disk yet: 3.84 s. A track is a copy for editors, and a flush for each of many
/// files is dear.
pub const TRACK_UNSYNCED_PARTS_MAX: usize = 12;

/// The longest tail that a crash can leave: the parts that were not on the disk, and one more that was being written.
const TORN_BYTES_MAX: u64 = (TRACK_UNSYNCED_PARTS_MAX as u64 + 1) * PART_BYTES_MAX as u64;
/// The longest init that is read back; ours have some 600 bytes.
const INIT_BYTES_MAX: usize = 4 * 1024;
/// Bytes at the end of a track that tell it from another of the same length.
const TELLING_BYTES: u64 = 4 * 1024;

/// A track while it is written, by the one thread that appends.
#[derive(Debug)]
pub struct TrackFile {
    output: Output,
    /// The place of the part that must come next, counted from go-live.
    next: PartIndex,
    end: u64,
    unsynced: usize,
    /// Something failed since, and the file may be longer than it should.
    torn: bool,
    set_aside: Option<PathBuf>,
}

impl TrackFile {
    /// Begins the track of a seat in the folder of a recording, or goes on with it after whatever end. The init is what its
    /// chunks need before them.
    pub fn open(dir: &Path, seat: u32, init: &Bytes) -> Result<Self, ArchiveError> {
        let folder = folder(dir);
        fs::create_dir_all(&folder).map_err(ArchiveError::disk("create", &folder))?;
        let path = path(dir, seat);
        let (mut file, mut end) = opened(&path, init)?;
        let mut set_aside = None;
        if end.is_spoilt {
            set_aside = Some(put_aside(&path, dir, seat)?);
            (file, end) = opened(&path, init)?;
        }
        let mut track = Self {
            output: Output {
                path,
                disk: Box::new(file),
            },
            next: end.next,
            end: end.at,
            unsynced: 0,
            torn: true,
            set_aside,
        };
        if track.end == 0 {
            track.write(init)?;
            track.output.sync()?;
            flush_folder(&folder)?;
        }
        Ok(track)
    }

    /// The place of the part that must come next.
    pub const fn next(&self) -> PartIndex {
        self.next
    }

    /// Where the spoilt file lies in whose place this one was begun.
    pub fn set_aside(&self) -> Option<&Path> {
        self.set_aside.as_deref()
    }

    /// Appends the chunk of the next part. After an error it is not in the track, and may be tried again.
    pub fn append(&mut self, chunk: &Bytes) -> Result<(), ArchiveError> {
        let malformed = |source| ArchiveError::Malformed {
            rendition: Rendition::O48,
            source,
        };
        mp4::check_chunk(chunk).map_err(malformed)?;
        let place = mp4::decode_time(chunk).map_err(malformed)? / PART_SAMPLES;
        if place != self.next.0 || chunk.len() > PART_BYTES_MAX {
            return Err(ArchiveError::NotNext {
                expected: self.next,
                offered: PartIndex(place),
            });
        }
        self.write(chunk)?;
        self.next = self.next.next();
        self.unsynced += 1;
        if self.unsynced >= TRACK_UNSYNCED_PARTS_MAX {
            self.sync()?;
        }
        Ok(())
    }

    /// Returns once everything is on the disk.
    pub fn sync(&mut self) -> Result<(), ArchiveError> {
        self.output.sync()?;
        self.unsynced = 0;
        Ok(())
    }

    fn write(&mut self, bytes: &Bytes) -> Result<(), ArchiveError> {
        if self.torn {
            self.output.truncate(self.end)?;
        }
        self.torn = true;
        self.output.write_at(bytes, self.end)?;
        self.torn = false;
        self.end += bytes.len() as u64;
        Ok(())
    }
}

/// A track as one file to be downloaded: with its duration, and only whole parts.
#[derive(Debug)]
pub struct TrackReader {
    file: File,
    path: PathBuf,
    /// The init with the duration in it.
    head: Bytes,
    /// Where the chunks lie in the file.
    body: Range<u64>,
    etag: String,
}

impl TrackReader {
    /// The track of a seat in the folder of a recording, as far as it has come; `None` where none was begun.
    pub fn open(dir: &Path, seat: u32) -> Result<Option<Self>, ArchiveError> {
        let path = path(dir, seat);
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(ArchiveError::disk("open", &path))?,
        };
        let reading = ArchiveError::disk("read", &path);
        let Some(found) = survey(&file).map_err(reading)? else {
            return Ok(None);
        };
        let head = mp4::with_duration(&found.init, found.parts * PART_SAMPLES);
        let head = head.map_err(|source| ArchiveError::Malformed {
            rendition: Rendition::O48,
            source,
        })?;
        Ok(Some(Self {
            file,
            path,
            head: head.into(),
            body: found.body,
            etag: format!("\"{seat}-{}-{}\"", found.parts, found.hash),
        }))
    }

    /// The length of the file.
    pub fn len(&self) -> u64 {
        self.head.len() as u64 + self.body.end - self.body.start
    }

    /// Never: even without a part there is an init.
    pub fn is_empty(&self) -> bool {
        self.head.is_empty()
    }

    /// A strong entity tag, with its quotes (RFC 9110, 8.8.3).
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
        let in_head = |at: u64| usize::try_from(at.min(head_len)).expect("an init is small");
        let mut bytes = self.head[in_head(range.start)..in_head(end)].to_vec();
        let from = self.body.start + range.start.saturating_sub(head_len);
        let to = self.body.start + end.saturating_sub(head_len);
        let at = bytes.len();
        let rest = usize::try_from(to - from).expect("at most READ_BYTES_MAX");
        bytes.resize(at + rest, 0);
        self.file
            .read_exact_at(&mut bytes[at..], from)
            .map_err(ArchiveError::disk("read", &self.path))?;
        Ok(bytes.into())
    }
}

/// The seats of which there is a track in the folder of a recording.
pub fn tracks_kept(dir: &Path) -> Vec<u32> {
    let files = fs::read_dir(folder(dir)).into_iter().flatten().flatten();
    let seats = files.filter_map(|file| {
        let name = file.file_name();
        name.to_str()?.strip_suffix(".mp4")?.parse().ok()
    });
    seats.collect()
}

/// All files of tracks in the folder of a recording.
pub(crate) fn files(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let files = fs::read_dir(folder(dir)).into_iter().flatten().flatten();
    files.map(|file| file.path()).filter(|path| {
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.and_then(|name| name.strip_suffix(".mp4"));
        let seat = name.map(|name| name.strip_suffix(".spoilt").unwrap_or(name));
        seat.is_some_and(|seat| seat.parse::<u32>().is_ok())
    })
}

pub(crate) fn folder(dir: &Path) -> PathBuf {
    dir.join("tracks")
}

pub(crate) fn path(dir: &Path, seat: u32) -> PathBuf {
    folder(dir).join(format!("{seat}.mp4"))
}

/// Where a file goes on.
struct End {
    /// After the last whole part that follows the one before it.
    next: PartIndex,
    /// There; 0 where the file is to be begun anew.
    at: u64,
    /// More lies behind it than a crash can have torn.
    is_spoilt: bool,
}

/// A file that is there, or a new one.
fn opened(path: &Path, init: &Bytes) -> Result<(Arc<File>, End), ArchiveError> {
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false);
    let file = options
        .open(path)
        .map_err(ArchiveError::disk("open", path))?;
    let end = go_on(&file, init).map_err(ArchiveError::disk("read", path))?;
    Ok((Arc::new(file), end))
}

/// Where a file goes on. It is begun anew where its init is not whole; after another one new chunks would not play.
fn go_on(file: &File, init: &Bytes) -> io::Result<End> {
    let mut found = vec![0; init.len()];
    let len = file.metadata()?.len();
    if len < init.len() as u64 {
        return Ok(End {
            next: PartIndex(0),
            at: 0,
            is_spoilt: false,
        });
    }
    file.read_exact_at(&mut found, 0)?;
    if found != *init {
        return Err(io::Error::other("it was begun with other codec settings"));
    }
    let (next, at) = walk(file, init.len() as u64, len)?;
    Ok(End {
        next,
        at,
        is_spoilt: is_spoilt(file, next, at..len)?,
    })
}

/// Whether what lies behind the last whole part was on the disk once: there is more of it than may be missing there, or a
/// part so much later that those before it were.
fn is_spoilt(file: &File, next: PartIndex, behind: Range<u64>) -> io::Result<bool> {
    let len = behind.end - behind.start;
    if len > TORN_BYTES_MAX {
        return Ok(true);
    }
    let mut tail = vec![0; usize::try_from(len).expect("at most TORN_BYTES_MAX")];
    file.read_exact_at(&mut tail, behind.start)?;
    let beyond = PartIndex(next.0 + TRACK_UNSYNCED_PARTS_MAX as u64).first_sample();
    // A box begins with its length, four bytes before its name.
    let names = tail.windows(8).enumerate();
    let mut names = names.filter(|(_, header)| header.ends_with(b"moof"));
    Ok(names.any(|(at, _)| mp4::decode_time(&tail[at..]).is_ok_and(|time| time >= beyond)))
}

/// Gives a file another name, for the operator to look at. There is one such for a seat: what is spoilt again stays as it
/// is, and is no track any more.
fn put_aside(file: &Path, dir: &Path, seat: u32) -> Result<PathBuf, ArchiveError> {
    let aside = folder(dir).join(format!("{seat}.spoilt.mp4"));
    if aside.exists() {
        return Err(ArchiveError::Damaged {
            path: file.to_owned(),
            what: format!("spoilt on the disk, as {} was before", aside.display()),
        });
    }
    fs::rename(file, &aside).map_err(ArchiveError::disk("rename", file))?;
    Ok(aside)
}

/// Follows whole chunks that follow one another.
fn walk(file: &File, from: u64, len: u64) -> io::Result<(PartIndex, u64)> {
    let (mut next, mut end) = (PartIndex(0), from);
    while let Some(chunk) = chunk_at(file, end, len)? {
        let whole = mp4::check_chunk(&chunk).and_then(|()| mp4::decode_time(&chunk));
        if whole != Ok(next.first_sample()) {
            break;
        }
        next = next.next();
        end += chunk.len() as u64;
    }
    Ok((next, end))
}

/// The two boxes at an offset, if they are there and no longer than a chunk may be.
fn chunk_at(file: &File, at: u64, len: u64) -> io::Result<Option<Vec<u8>>> {
    let mut end = at;
    for _ in 0..2 {
        let mut size = [0; 4];
        if end + 8 > len {
            return Ok(None);
        }
        file.read_exact_at(&mut size, end)?;
        end += u64::from(u32::from_be_bytes(size)).max(8);
    }
    let Ok(bytes) = usize::try_from(end - at) else {
        return Ok(None);
    };
    if end > len || bytes > PART_BYTES_MAX {
        return Ok(None);
    }
    let mut chunk = vec![0; bytes];
    file.read_exact_at(&mut chunk, at)?;
    Ok(Some(chunk))
}

/// A track as it lies in its file.
struct Found {
    init: Vec<u8>,
    /// Where its chunks lie.
    body: Range<u64>,
    parts: u64,
    /// Tells it from another of the same length.
    hash: String,
}

/// Looks at a file; `None` where not even the init is whole.
fn survey(file: &File) -> io::Result<Option<Found>> {
    let len = file.metadata()?.len();
    let mut init = vec![0; INIT_BYTES_MAX.min(usize::try_from(len).unwrap_or(usize::MAX))];
    file.read_exact_at(&mut init, 0)?;
    let Ok(init_len) = mp4::init_len(&init) else {
        return Ok(None);
    };
    init.truncate(init_len);
    let (next, end) = walk(file, init_len as u64, len)?;
    let from = end.saturating_sub(TELLING_BYTES);
    let mut last = vec![0; usize::try_from(end - from).expect("4 KiB")];
    file.read_exact_at(&mut last, from)?;
    Ok(Some(Found {
        init,
        body: init_len as u64..end,
        parts: next.0,
        hash: hex(&Sha256::digest(&last)[..8]),
    }))
}

#[cfg(test)]
mod tests;
