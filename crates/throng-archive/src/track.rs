//! A speaker's own sound beside the recording: `tracks/{seat}.mp4`, append-only and playable at every moment.
//!
//! Its time 0 is go-live, so that tracks and recording lie under one another as they are. There is no journal: a chunk says
//! its own place, and a file goes as far as its chunks follow one another. So a kill loses what was not written, a power
//! cut at most [`TRACK_UNSYNCED_PARTS_MAX`] parts; but bytes that a disk has spoilt are not found out, as they are in the
//! recording.

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
}

impl TrackFile {
    /// Begins the track of a seat in the folder of a recording, or goes on with it after whatever end. The init is what its
    /// chunks need before them.
    pub fn open(dir: &Path, seat: u32, init: &Bytes) -> Result<Self, ArchiveError> {
        let folder = folder(dir);
        fs::create_dir_all(&folder).map_err(ArchiveError::disk("create", &folder))?;
        let path = path(dir, seat);
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let file = options
            .open(&path)
            .map_err(ArchiveError::disk("open", &path))?;
        let file = Arc::new(file);
        let reading = ArchiveError::disk("read", &path);
        let (next, end) = go_on(&file, init).map_err(reading)?;
        let mut track = Self {
            output: Output {
                path,
                disk: Box::new(file),
            },
            next,
            end,
            unsynced: 0,
            torn: true,
        };
        if end == 0 {
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

pub(crate) fn folder(dir: &Path) -> PathBuf {
    dir.join("tracks")
}

pub(crate) fn path(dir: &Path, seat: u32) -> PathBuf {
    folder(dir).join(format!("{seat}.mp4"))
}

/// The place after the last whole part, and where it ends; 0 where the file is to be begun anew: its init is not whole, or
/// another, after which new chunks would not play.
fn go_on(file: &File, init: &Bytes) -> io::Result<(PartIndex, u64)> {
    let mut found = vec![0; init.len()];
    let len = file.metadata()?.len();
    if len < init.len() as u64 {
        return Ok((PartIndex(0), 0));
    }
    file.read_exact_at(&mut found, 0)?;
    if found != *init {
        return Err(io::Error::other("it was begun with other codec settings"));
    }
    walk(file, init.len() as u64, len)
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
mod tests {
    use super::*;
    use crate::sample;

    /// The chunk of a place.
    fn chunk(place: u64) -> Bytes {
        let sequence = u32::try_from(place + 1).unwrap();
        sample::chunk(
            sequence,
            place * PART_SAMPLES,
            &sample::noise(Rendition::O48, place),
        )
    }

    fn init() -> Bytes {
        sample::inits()[Rendition::O48.index()].clone()
    }

    fn written(dir: &Path, places: Range<u64>) -> TrackFile {
        let mut track = TrackFile::open(dir, 3, &init()).unwrap();
        for place in places {
            track.append(&chunk(place)).unwrap();
        }
        track
    }

    fn downloaded(dir: &Path) -> Vec<u8> {
        let reader = TrackReader::open(dir, 3).unwrap().unwrap();
        let pieces = (0..reader.len()).step_by(1_000);
        let pieces = pieces.flat_map(|from| reader.read(from..from + 1_000).unwrap());
        let bytes: Vec<u8> = pieces.collect();
        assert_eq!(bytes.len() as u64, reader.len());
        bytes
    }

    fn expected(places: u64) -> Vec<u8> {
        let head = mp4::with_duration(&init(), places * PART_SAMPLES).unwrap();
        head.into_iter()
            .chain((0..places).flat_map(chunk))
            .collect()
    }

    #[test]
    fn a_track_is_its_chunks_with_a_duration_before_them_and_goes_on_after_a_kill() {
        let dir = sample::folder();
        drop(written(dir.path(), 0..20));
        assert_eq!(downloaded(dir.path()), expected(20));
        let again = written(dir.path(), 20..25);
        assert_eq!(again.next(), PartIndex(25));
        assert_eq!(downloaded(dir.path()), expected(25));
        assert_eq!(tracks_kept(dir.path()), [3]);
    }

    #[test]
    fn what_a_crash_leaves_at_the_end_is_neither_played_nor_kept() {
        for torn in [&b"moo"[..], &[0; 900], &chunk(21), &chunk(20)[..500]] {
            let dir = sample::folder();
            drop(written(dir.path(), 0..20));
            let file = path(dir.path(), 3);
            let before = fs::read(&file).unwrap();
            fs::write(&file, [&before[..], torn].concat()).unwrap();
            assert_eq!(downloaded(dir.path()), expected(20));
            drop(written(dir.path(), 20..22));
            assert_eq!(downloaded(dir.path()), expected(22));
        }
    }

    #[test]
    fn an_init_cut_short_is_begun_anew_and_a_foreign_one_is_refused() {
        let dir = sample::folder();
        fs::create_dir_all(folder(dir.path())).unwrap();
        fs::write(path(dir.path(), 3), &init()[..9]).unwrap();
        assert!(TrackReader::open(dir.path(), 3).unwrap().is_none());
        drop(written(dir.path(), 0..2));
        assert_eq!(downloaded(dir.path()), expected(2));
        let other = sample::inits()[Rendition::O16.index()].clone();
        assert!(TrackFile::open(dir.path(), 3, &other).is_err());
    }

    #[test]
    fn a_chunk_that_does_not_follow_is_refused() {
        let dir = sample::folder();
        let mut track = written(dir.path(), 0..2);
        for place in [0, 1, 3] {
            assert!(track.append(&chunk(place)).is_err());
        }
        track.append(&chunk(2)).unwrap();
    }

    #[test]
    fn tags_differ_where_bytes_do() {
        let dir = sample::folder();
        let tag = || {
            TrackReader::open(dir.path(), 3)
                .unwrap()
                .unwrap()
                .etag()
                .to_owned()
        };
        let mut track = written(dir.path(), 0..2);
        let before = tag();
        assert_eq!(before, tag());
        track.append(&chunk(2)).unwrap();
        assert_ne!(before, tag());
    }

    #[test]
    fn a_removed_recording_leaves_no_track() {
        let dir = sample::folder();
        let place = dir.path().join("1");
        drop(written(&place, 0..2));
        crate::remove(&place).unwrap();
        assert!(!place.exists());
    }
}
