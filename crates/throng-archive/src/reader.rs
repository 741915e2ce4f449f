//! Reading a recording, while it is written or long after: positional, without locks, from any thread.
//!
//! The writer raises one counter after a part is wholly in the files; whoever has seen the counter may read the part.
//! What is read is held against the journal's hash, so that a disk which gives back something else is found out before
//! anybody hears it.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use throng_core::rendition::{RENDITION_COUNT, Rendition};
use throng_core::timeline::{PARTS_PER_SEGMENT, PartIndex};

use crate::journal::{Header, RECORD_LEN, Record};
use crate::{ArchiveError, mp4, recovery};

/// A view of a recording that many threads share.
#[derive(Clone, Debug)]
pub struct Reader {
    files: Arc<Files>,
}

/// The open files of a recording, and how far they may be read.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) dir: PathBuf,
    pub(crate) media: [Arc<File>; RENDITION_COUNT],
    pub(crate) journal: Arc<File>,
    pub(crate) inits: [Bytes; RENDITION_COUNT],
    pub(crate) first: PartIndex,
    pub(crate) next: AtomicU64,
    /// Parts found spoilt when they were to be played.
    pub(crate) unsound: AtomicU64,
}

impl Reader {
    pub(crate) const fn new(files: Arc<Files>) -> Self {
        Self { files }
    }

    /// Opens the recording of a space that has ended, and changes nothing in it.
    pub fn open_ended(dir: &Path) -> Result<Self, ArchiveError> {
        recovery::survey(dir, recovery::Access::Read)
            .map(|survey| Self::new(Arc::new(survey.files)))
    }

    /// The first part of the recording.
    pub fn first(&self) -> PartIndex {
        self.files.first
    }

    /// The part after the last one that can be read; grows while the space is on air.
    pub fn next(&self) -> PartIndex {
        PartIndex(self.files.next.load(Ordering::Acquire))
    }

    /// The bytes with which the file of a rendition begins: `ftyp` and `moov`.
    pub fn init(&self, rendition: Rendition) -> &Bytes {
        &self.files.inits[rendition.index()]
    }

    /// What the journal says about a part, if it is held.
    pub fn record(&self, index: PartIndex) -> Result<Option<Record>, ArchiveError> {
        if self.holds(index, index.next()) {
            self.files.record(index).map(Some)
        } else {
            Ok(None)
        }
    }

    /// The CMAF chunk of a part as it was on air, if it is held.
    pub fn part(
        &self,
        rendition: Rendition,
        index: PartIndex,
    ) -> Result<Option<Bytes>, ArchiveError> {
        self.parts(rendition, index, index.next())
    }

    /// The chunks of consecutive parts in one piece, if all are held; at most a segment's worth at once, which is what
    /// one answer carries.
    pub fn parts(
        &self,
        rendition: Rendition,
        from: PartIndex,
        to: PartIndex,
    ) -> Result<Option<Bytes>, ArchiveError> {
        if from >= to || to.0 - from.0 > PARTS_PER_SEGMENT || !self.holds(from, to) {
            return Ok(None);
        }
        let (bytes, unsound) = self.files.sound_parts(rendition, from, to)?;
        match unsound {
            0 => Ok(Some(bytes.into())),
            _ => Err(ArchiveError::Damaged {
                path: media_path(&self.files.dir, rendition),
                what: format!("{unsound} of parts {from} to {to}"),
            }),
        }
    }

    /// The chunks of parts that are held, as [`Reader::parts`] gives them. In place of one that is not what was on air
    /// stands a `free` box of its length (ISO/IEC 14496-12, 8.1.2): players pass over it, and nobody hears noise.
    /// The caller bounds how many.
    pub(crate) fn parts_to_play(
        &self,
        rendition: Rendition,
        from: PartIndex,
        to: PartIndex,
    ) -> Result<Vec<u8>, ArchiveError> {
        let (bytes, unsound) = self.files.sound_parts(rendition, from, to)?;
        self.files.unsound.fetch_add(unsound, Ordering::Relaxed);
        Ok(bytes)
    }

    /// How often a part was passed over because its bytes are not those that were on air, since this was opened.
    pub fn unsound_parts(&self) -> u64 {
        self.files.unsound.load(Ordering::Relaxed)
    }

    /// How many bytes consecutive parts take; 0 for what is not held.
    pub fn bytes(
        &self,
        rendition: Rendition,
        from: PartIndex,
        to: PartIndex,
    ) -> Result<u64, ArchiveError> {
        if from >= to || !self.holds(from, to) {
            return Ok(0);
        }
        let place = rendition.index();
        let (first, last) = (
            self.files.record(from)?,
            self.files.record(PartIndex(to.0 - 1))?,
        );
        Ok(last.extents[place].end - first.extents[place].start())
    }

    pub(crate) fn holds(&self, from: PartIndex, to: PartIndex) -> bool {
        self.first() <= from && to <= self.next()
    }
}

impl Files {
    /// Reads a record that the journal is known to hold.
    pub(crate) fn record(&self, index: PartIndex) -> Result<Record, ArchiveError> {
        let mut records = self.records(index, index.next())?;
        Ok(records.remove(0))
    }

    /// Reads consecutive records that the journal is known to hold; the caller bounds how many.
    fn records(&self, from: PartIndex, to: PartIndex) -> Result<Vec<Record>, ArchiveError> {
        let path = journal_path(&self.dir);
        let count = usize::try_from(to.0 - from.0).expect("callers bound what they read");
        let mut bytes = vec![[0; RECORD_LEN]; count];
        self.journal
            .read_exact_at(
                bytes.as_flattened_mut(),
                Header::record_offset(self.first, from),
            )
            .map_err(ArchiveError::disk("read", &path))?;
        let read = (from.0..).map(PartIndex).zip(&bytes);
        let records = read.map(|(index, bytes)| {
            Record::decode(bytes)
                .filter(|record| record.index == index)
                .ok_or_else(|| ArchiveError::Damaged {
                    path: path.clone(),
                    what: format!("the record of part {index} is not whole"),
                })
        });
        records.collect()
    }

    pub(crate) fn read(
        &self,
        rendition: Rendition,
        stretch: Range<u64>,
    ) -> Result<Vec<u8>, ArchiveError> {
        let path = media_path(&self.dir, rendition);
        let len = usize::try_from(stretch.end.saturating_sub(stretch.start))
            .expect("callers bound what they read");
        let mut bytes = vec![0; len];
        self.media[rendition.index()]
            .read_exact_at(&mut bytes, stretch.start)
            .map_err(ArchiveError::disk("read", path))?;
        Ok(bytes)
    }

    /// Reads consecutive parts that are held, with `free` boxes for those that do not hash as the journal says, and
    /// counts these.
    fn sound_parts(
        &self,
        rendition: Rendition,
        from: PartIndex,
        to: PartIndex,
    ) -> Result<(Vec<u8>, u64), ArchiveError> {
        let records = self.records(from, to)?;
        let extents = records
            .iter()
            .map(|record| &record.extents[rendition.index()]);
        let (Some(first), Some(last)) = (extents.clone().next(), extents.clone().next_back())
        else {
            return Ok((Vec::new(), 0));
        };
        let base = first.start();
        let mut bytes = self.read(rendition, base..last.end)?;
        let mut unsound = 0;
        for extent in extents {
            let at = usize::try_from(extent.start() - base).expect("within what was read");
            let chunk = &mut bytes[at..at + extent.len as usize];
            if <[u8; 32]>::from(Sha256::digest(&*chunk)) != extent.sha256 {
                mp4::make_free(chunk);
                unsound += 1;
            }
        }
        Ok((bytes, unsound))
    }

    /// The offsets after the last part, by rendition: where the next one will lie.
    pub(crate) fn ends(&self) -> Result<[u64; RENDITION_COUNT], ArchiveError> {
        let next = self.next.load(Ordering::Acquire);
        if next == self.first.0 {
            return Ok(self.inits.each_ref().map(|init| init.len() as u64));
        }
        self.record(PartIndex(next - 1))
            .map(|record| record.extents.map(|extent| extent.end))
    }
}

pub(crate) fn journal_path(dir: &Path) -> PathBuf {
    dir.join("journal")
}

pub(crate) fn media_path(dir: &Path, rendition: Rendition) -> PathBuf {
    dir.join(format!("{rendition}.mp4"))
}

/// One thing for every rendition, or the first error.
pub(crate) fn for_each_rendition<T, E>(
    make: impl FnMut(Rendition) -> Result<T, E>,
) -> Result<[T; RENDITION_COUNT], E> {
    let made: Vec<T> = Rendition::ALL
        .into_iter()
        .map(make)
        .collect::<Result<_, _>>()?;
    Ok(made
        .try_into()
        .ok()
        .expect("one was made for every rendition"))
}
