//! The door to what has left the window: older parts, the replay, the recording.
//!
//! The calls read a disk and are made from threads that may block.

use std::io;
use std::ops::Range;

use bytes::Bytes;
use throng_core::rendition::Rendition;
use throng_core::timeline::PartIndex;
use tokio::sync::watch;

/// What a space has kept.
pub trait Past: Send + Sync {
    /// The CMAF chunks of the parts `[from, to)`, joined; `None` where they are not all kept.
    fn parts(
        &self,
        rendition: Rendition,
        from: PartIndex,
        to: PartIndex,
    ) -> io::Result<Option<Bytes>>;

    /// Segment `number` of the replay, counted from go-live, with timestamps from 0.
    fn replay_segment(&self, rendition: Rendition, number: u64) -> io::Result<Option<Bytes>>;

    /// Go-live to now, or to the end, as one file; `None` before go-live.
    fn recording(&self, rendition: Rendition) -> io::Result<Option<Box<dyn Recording>>>;

    /// How much has been recorded, for `state.json`.
    fn recorded(&self) -> Recorded;
}

/// How much of a space has been recorded since go-live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Parts since go-live.
    pub parts: u64,
    /// Bytes of the default rendition since go-live.
    pub bytes: u64,
}

/// The past of a space that is kept elsewhere, or nowhere: how much there is of it is known, and nothing of it is here.
pub struct KeptElsewhere(pub watch::Receiver<Recorded>);

impl KeptElsewhere {
    /// Of a space of which nothing was recorded.
    pub fn nothing() -> Self {
        Self(watch::channel(Recorded::default()).1)
    }
}

impl Past for KeptElsewhere {
    fn parts(&self, _: Rendition, _: PartIndex, _: PartIndex) -> io::Result<Option<Bytes>> {
        Ok(None)
    }

    fn replay_segment(&self, _: Rendition, _: u64) -> io::Result<Option<Bytes>> {
        Ok(None)
    }

    fn recording(&self, _: Rendition) -> io::Result<Option<Box<dyn Recording>>> {
        Ok(None)
    }

    fn recorded(&self) -> Recorded {
        *self.0.borrow()
    }
}

/// One file that does not change any more.
pub trait Recording: Send + Sync {
    /// Its length in bytes.
    fn len(&self) -> u64;

    /// Whether there is nothing in it.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A strong entity tag, with its quotes (RFC 9110 section 8.8.3).
    fn etag(&self) -> String;

    /// The bytes of a range that lies within the file. May be asked for at most [`READ_MAX_BYTES`] at a time.
    fn read(&self, range: Range<u64>) -> io::Result<Bytes>;
}

/// The most that is read from a recording at once: what one slow download holds in memory.
pub const READ_MAX_BYTES: u64 = 128 * 1024;
