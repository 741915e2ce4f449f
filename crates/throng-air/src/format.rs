//! The container of a progressive stream: what it is called, what it carries, what precedes it.

use bytes::Bytes;
use throng_core::rendition::{Codec, Rendition};
use throng_core::window::Part;

use crate::air::Headers;
use crate::presence::parameter;

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

    /// The rendition that is sent to who asks with this query, if it can be understood: nothing in it is said twice.
    pub(crate) fn asked(self, query: &str) -> Option<Rendition> {
        let from = parameter(query, "from").is_none_or(|part| part.parse::<u64>().is_ok());
        let names = query.split('&').filter_map(|pair| pair.split_once('='));
        let times = |name: &str| names.clone().filter(|(key, _)| *key == name).count();
        let is_clear = from && times("from") < 2 && times("rendition") < 2;
        let rendition = match parameter(query, "rendition") {
            None => None,
            Some(name) => Some(Rendition::parse(name)?),
        };
        self.rendition(rendition).filter(|_| is_clear)
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

    #[test]
    fn a_query_that_cannot_be_understood_chooses_nothing() {
        assert_eq!(Format::Mp4.asked("l=1&other=x"), Some(Rendition::O48));
        let known = Format::Mp4.asked("from=521&rendition=a32&l=1");
        assert_eq!(known, Some(Rendition::A32));
        for query in [
            "rendition=o99",
            "rendition=o48&rendition=o24",
            "from=-1",
            "from=",
            "from=1&from=1",
        ] {
            assert_eq!(Format::Mp4.asked(query), None, "{query}");
        }
    }
}
