//! The files of a space by their names, beside its page: which there are, once for routes, documents and tests.

use throng_core::rendition::Rendition;

use crate::format::Format;

/// A file of a space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpaceFile {
    /// The hold music, once round.
    HoldMusic,
    /// The programme, without an end.
    Live(Format),
    /// How far the queue has come.
    NowServing,
    /// Go-live to end.
    Recording(Rendition),
    /// Where the space stands.
    State,
    /// What the page loads when the house is full.
    Waiting,
}

impl SpaceFile {
    /// Every file under `/s/{slug}/` with its name. Those under `hls/` are [`HLS`].
    pub const ALL: [(&str, Self); 9] = [
        ("hold.mp4", Self::HoldMusic),
        ("live.aac", Self::Live(Format::Aac)),
        ("live.mp4", Self::Live(Format::Mp4)),
        ("live.webm", Self::Live(Format::Webm)),
        ("now-serving.json", Self::NowServing),
        ("recording.m4a", Self::Recording(Rendition::A64)),
        ("recording.mp4", Self::Recording(Rendition::O48)),
        ("state.json", Self::State),
        ("waiting.js", Self::Waiting),
    ];

    /// The file of a name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let (_, file) = Self::ALL.into_iter().find(|(known, _)| *known == name)?;
        Some(file)
    }
}

/// Every file under `/s/{slug}/hls/`: what [`Name::parse`](crate::hls::Name::parse) takes.
pub const HLS: [&str; 8] = [
    "main.m3u8",
    "{rendition}/event.m3u8",
    "{rendition}/init.mp4",
    "{rendition}/media.m3u8",
    "{rendition}/replay.m3u8",
    "{rendition}/replay/{n}.m4s",
    "{rendition}/{n}.m4s",
    "{rendition}/{n}.{p}.m4s",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::hls::Name;

    /// Every name, so that a new one is not forgotten.
    fn pattern(name: Name) -> &'static str {
        match name {
            Name::Main => "main.m3u8",
            Name::Event(_) => "{rendition}/event.m3u8",
            Name::Init(_) => "{rendition}/init.mp4",
            Name::Media(_) => "{rendition}/media.m3u8",
            Name::Replay => "{rendition}/replay.m3u8",
            Name::ReplaySegment(..) => "{rendition}/replay/{n}.m4s",
            Name::Segment(_, wanted) if wanted.part.is_some() => "{rendition}/{n}.{p}.m4s",
            Name::Segment(..) => "{rendition}/{n}.m4s",
        }
    }

    #[test]
    fn every_file_under_hls_is_listed() {
        let filled = HLS.map(|listed| {
            let values = [("{rendition}", "o48"), ("{n}", "7"), ("{p}", "3")];
            let name = values
                .into_iter()
                .fold(listed.to_owned(), |name, (hole, value)| {
                    name.replace(hole, value)
                });
            pattern(Name::parse(&name).expect("what is listed is answered"))
        });
        assert_eq!(BTreeSet::from(filled), BTreeSet::from(HLS));
    }
}
