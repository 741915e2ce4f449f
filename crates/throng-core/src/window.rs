//! The window: the newest parts of the programme, held for the listeners who come now.

use bytes::Bytes;

use crate::rendition::{RENDITION_COUNT, Rendition};
use crate::timeline::PartIndex;

/// The bytes of one part in one rendition, framed once for everyone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packaged {
    /// `moof` and `mdat`: what HLS and `live.mp4` carry (ISO/IEC 23000-19, CMAF chunk).
    pub cmaf: Bytes,
    /// The same audio for plain players: a WebM cluster (Opus) or ADTS frames (AAC).
    pub stream: Bytes,
}

/// One part of the programme in all renditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its number.
    pub index: PartIndex,
    /// Its bytes by [`Rendition::index`].
    pub renditions: [Packaged; RENDITION_COUNT],
}

impl Part {
    /// The bytes of the part in one rendition.
    pub fn packaged(&self, rendition: Rendition) -> &Packaged {
        &self.renditions[rendition.index()]
    }
}
