//! The container of a progressive stream: what it is called, what it carries, what precedes it.

use bytes::Bytes;
use throng_core::rendition::{Codec, Rendition};
use throng_core::window::Part;

use crate::air::Headers;

/// The container of a progressive stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// ADTS AAC, for players without Opus.
    Aac,
    /// CMAF, for our page.
    Mp4,
    /// WebM Opus, for every other player.
    Webm,
}

impl Format {
    /// Every format.
    pub(crate) const ALL: [Self; 3] = [Self::Aac, Self::Mp4, Self::Webm];

    /// The format of `live.{extension}`.
    pub(crate) fn of(file: &str) -> Option<Self> {
        let extension = file.strip_prefix("live.")?;
        Self::ALL
            .into_iter()
            .find(|format| format.name() == extension)
    }

    /// Its `Content-Type`.
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Aac => "audio/aac",
            Self::Mp4 => "audio/mp4",
            Self::Webm => "audio/webm",
        }
    }

    /// Its name in paths and metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Aac => "aac",
            Self::Mp4 => "mp4",
            Self::Webm => "webm",
        }
    }

    /// The rendition that is sent, if this container carries the one asked for.
    pub(crate) fn rendition(self, asked: Option<Rendition>) -> Option<Rendition> {
        let fits = |rendition: &Rendition| match self {
            Self::Aac => rendition.codec() == Codec::Aac,
            Self::Webm => rendition.codec() == Codec::Opus,
            Self::Mp4 => true,
        };
        let default = if self == Self::Aac {
            Rendition::A64
        } else {
            Rendition::O48
        };
        Some(asked.unwrap_or(default)).filter(fits)
    }

    /// What precedes the first part.
    pub(crate) fn header(self, headers: &Headers, rendition: Rendition) -> &Bytes {
        match self {
            Self::Mp4 => &headers.init[rendition.index()],
            Self::Aac | Self::Webm => &headers.stream[rendition.index()],
        }
    }

    /// The bytes of one part.
    pub(crate) fn bytes(self, part: &Part, rendition: Rendition) -> &Bytes {
        let packaged = part.packaged(rendition);
        if self == Self::Mp4 {
            &packaged.cmaf
        } else {
            &packaged.stream
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_carries_only_the_codecs_it_is_for() {
        assert_eq!(Format::Mp4.rendition(None), Some(Rendition::O48));
        assert_eq!(
            Format::Mp4.rendition(Some(Rendition::A32)),
            Some(Rendition::A32)
        );
        assert_eq!(
            Format::Webm.rendition(Some(Rendition::O16)),
            Some(Rendition::O16)
        );
        assert_eq!(Format::Webm.rendition(Some(Rendition::A64)), None);
        assert_eq!(Format::Aac.rendition(None), Some(Rendition::A64));
        assert_eq!(Format::Aac.rendition(Some(Rendition::O24)), None);
    }
}
