//! `hold.mp4`: the hold loop as one small file, for those who wait. It is put together once for a loop, and everyone is
//! sent the same bytes; caches and browsers keep it, so that waiting costs the house one download.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::ops::Range;

use bytes::Bytes;
use throng_core::rendition::Rendition;

use crate::air::Headers;
use crate::feed::hold::HoldParts;
use crate::past::Recording;

/// The leanest sound that every browser plays: three minutes are 0.7 MB, the longest loop 4 MB.
const RENDITION: Rendition = Rendition::A32;
/// What it is.
pub(crate) const CONTENT_TYPE: &str = "audio/mp4";
/// A day: hosts seldom change their hold music, and who comes back later asks by the tag.
pub(crate) const KEPT: &str = "public, max-age=86400";

/// The file of one loop.
#[derive(Debug)]
pub(crate) struct HoldFile {
    bytes: Bytes,
    etag: String,
}

impl HoldFile {
    /// The file of a loop whose parts are numbered from 0.
    pub(crate) fn new(headers: &Headers, hold: &HoldParts) -> Self {
        let parts = hold.parts().iter();
        let chunks = parts.map(|part| &part.renditions[RENDITION.index()].cmaf);
        let init = &headers.init[RENDITION.index()];
        let bytes: Vec<u8> = std::iter::once(init)
            .chain(chunks)
            .flatten()
            .copied()
            .collect();
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        Self {
            etag: format!("\"{:016x}\"", hasher.finish()),
            bytes: bytes.into(),
        }
    }

    /// All of it.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl Recording for HoldFile {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn etag(&self) -> String {
        self.etag.clone()
    }

    fn read(&self, range: Range<u64>) -> io::Result<Bytes> {
        let place = |at| usize::try_from(at).expect("a place within bytes in memory");
        Ok(self.bytes.slice(place(range.start)..place(range.end)))
    }
}
