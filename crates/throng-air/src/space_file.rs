//! The files of a space by their names, beside its page: which there are, once for routes, documents and tests.

use throng_core::rendition::Rendition;

use crate::format::Format;

/// A file of a space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpaceFile {
    /// What begins where in the recording.
    Chapters,
    /// The hold music, once round.
    HoldMusic,
    /// The programme, without an end.
    Live(Format),
    /// How far the queue has come.
    NowServing,
    /// What the page loads besides itself.
    OfPage(PageFile),
    /// Go-live to end.
    Recording(Rendition),
    /// Where the space stands.
    State,
}

/// What the page of a space loads besides itself: nothing of it is needed before the first sound of a live space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageFile {
    /// The chapters of a recording.
    Chapters,
    /// What a listener may set and press, once there is sound.
    Controls,
    /// The replay, and the seek bar.
    Replay,
    /// Starting over while it is live.
    StartOver,
    /// How all of these look.
    Style,
    /// What those see who find the house full.
    Waiting,
}

/// How many there are.
pub const PAGE_FILE_COUNT: usize = 6;

impl PageFile {
    /// Every one, each at its own place.
    pub const ALL: [Self; PAGE_FILE_COUNT] = [
        Self::Chapters,
        Self::Controls,
        Self::Replay,
        Self::StartOver,
        Self::Style,
        Self::Waiting,
    ];

    /// Its place among them.
    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

impl SpaceFile {
    /// Every file under `/s/{slug}/` with its name. Those under `hls/` are [`HLS`].
    pub const ALL: [(&str, Self); 15] = [
        ("chapters.js", Self::OfPage(PageFile::Chapters)),
        ("chapters.json", Self::Chapters),
        ("controls.css", Self::OfPage(PageFile::Style)),
        ("controls.js", Self::OfPage(PageFile::Controls)),
        ("hold.mp4", Self::HoldMusic),
        ("live.aac", Self::Live(Format::Aac)),
        ("live.mp4", Self::Live(Format::Mp4)),
        ("live.webm", Self::Live(Format::Webm)),
        ("now-serving.json", Self::NowServing),
        ("recording.m4a", Self::Recording(Rendition::A64)),
        ("recording.mp4", Self::Recording(Rendition::O48)),
        ("replay.js", Self::OfPage(PageFile::Replay)),
        ("start-over.js", Self::OfPage(PageFile::StartOver)),
        ("state.json", Self::State),
        ("waiting.js", Self::OfPage(PageFile::Waiting)),
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

    #[test]
    fn every_file_of_the_page_has_a_name_and_a_place() {
        for (index, file) in PageFile::ALL.into_iter().enumerate() {
            assert_eq!(file.index(), index);
            let names = SpaceFile::ALL.into_iter();
            let named = names.filter(|(_, named)| *named == SpaceFile::OfPage(file));
            assert_eq!(named.count(), 1, "{file:?}");
        }
    }

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
