//! What a space has kept, as Air asks for it: the archive from doors on, the hold loop before.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use throng_air::past::{Past, Recorded, Recording};
use throng_archive::{self as archive, ArchiveError, Reader};
use throng_core::rendition::Rendition;
use throng_core::space::Space;
use throng_core::timeline::PartIndex;
use tokio::sync::watch;

use super::readable::Readable;
use super::space_hold::SpaceHold;

/// Most parts joined for one answer: a segment.
const PARTS_MAX: u64 = throng_core::timeline::PARTS_PER_SEGMENT;

/// The past of one space.
pub(crate) struct SpacePast {
    pub(crate) hold: Arc<SpaceHold>,
    pub(crate) space: watch::Receiver<Arc<Space>>,
    /// Set when the archive is opened: at doors, or when the node starts.
    pub(crate) archive: Readable,
}

impl SpacePast {
    /// The recorded parts `[go-live, end or now)`; `None` before go-live has reached the disk.
    fn live_range(&self) -> Option<(Reader, PartIndex, PartIndex)> {
        let reader = self.archive.get()?;
        let (live, end) = {
            let space = self.space.borrow();
            (space.live_part?, space.end_part)
        };
        let from = live.max(reader.first());
        let to = end.map_or(reader.next(), |end| end.min(reader.next()));
        (from < to).then_some((reader, from, to))
    }

    fn chunk(&self, rendition: Rendition, index: PartIndex) -> io::Result<Option<Bytes>> {
        let (doors, is_over) = {
            let space = self.space.borrow();
            (space.doors_part, space.state.is_over())
        };
        if doors.is_none() && is_over {
            // It was called off: what the window does not have was never on air.
            return Ok(None);
        }
        if doors.is_none_or(|doors| index < doors) {
            return Ok(self
                .hold
                .part(index)
                .map(|part| part.packaged(rendition).cmaf.clone()));
        }
        let Some(reader) = self.archive.get() else {
            return Ok(None);
        };
        reader.part(rendition, index).map_err(to_io)
    }
}

impl Past for SpacePast {
    fn parts(
        &self,
        rendition: Rendition,
        from: PartIndex,
        to: PartIndex,
    ) -> io::Result<Option<Bytes>> {
        let mut joined = BytesMut::new();
        // The last segment of a programme that has ended is short.
        let end = self.space.borrow().end_part.map_or(to, |end| to.min(end));
        if from >= end || end.0 - from.0 > PARTS_MAX {
            return Ok(None);
        }
        for index in from.0..end.0 {
            match self.chunk(rendition, PartIndex(index))? {
                Some(chunk) => joined.extend_from_slice(&chunk),
                None => return Ok(None),
            }
        }
        Ok(Some(joined.freeze()))
    }

    fn replay_segment(&self, rendition: Rendition, number: u64) -> io::Result<Option<Bytes>> {
        let Some((reader, from, to)) = self.live_range() else {
            return Ok(None);
        };
        let recording = archive::Recording::new(reader, rendition, from, to).map_err(to_io)?;
        recording.replay_segment(number).map_err(to_io)
    }

    fn recording(&self, rendition: Rendition) -> io::Result<Option<Box<dyn Recording>>> {
        let Some((reader, from, to)) = self.live_range() else {
            return Ok(None);
        };
        let recording = archive::Recording::new(reader, rendition, from, to).map_err(to_io)?;
        Ok(Some(Box::new(ArchiveFile(recording))))
    }

    fn recorded(&self) -> Recorded {
        let Some((reader, from, to)) = self.live_range() else {
            return Recorded::default();
        };
        let bytes = reader.bytes(Rendition::O48, from, to).unwrap_or_default();
        Recorded {
            parts: to.0 - from.0,
            bytes,
        }
    }
}

struct ArchiveFile(archive::Recording);

impl Recording for ArchiveFile {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn etag(&self) -> String {
        self.0.etag().to_owned()
    }

    fn read(&self, range: Range<u64>) -> io::Result<Bytes> {
        self.0.read(range).map_err(to_io)
    }
}

fn to_io(error: ArchiveError) -> io::Error {
    io::Error::other(error)
}
