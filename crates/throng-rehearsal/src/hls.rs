//! HLS as a player reads it (RFC 8216bis): which variant, where to begin, what comes next, when to ask again. Pure.
//!
//! A playlist is the same text for everyone, so an agent reads it once and its listeners keep a place in it.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::SECOND_US;

/// Playlists that are remembered: listeners at the same moment see the newest few; whoever needs an older one reads his
/// own again.
const REMEMBERED_MAX: usize = 8;
/// Segments are some seconds long; whoever says more is asked again all the same.
const TARGET_MAX_SECONDS: u64 = 15;
/// Longest playlist that is read; ours are below 10 KB, and hours of start-over are some 100 KB.
pub const PLAYLIST_MAX_BYTES: usize = 1 << 20;

/// What a media playlist says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Playlist {
    /// The initialisation segment.
    pub map: Option<String>,
    /// Parts where the playlist has them, else segments, in order.
    pub items: Vec<Item>,
    /// Whether nothing more will come.
    pub ended: bool,
    /// Whether a request may wait for what it names.
    pub blocks: bool,
    /// Whether an older stretch may be left away.
    pub skips: bool,
    /// Time after which a playlist without waiting is asked for again.
    pub target_us: u64,
    /// Which of the items a joiner plays first.
    begin: usize,
    /// What to wait for: segment, and part of it.
    pub next: (u64, u64),
}

/// A piece of sound with an address of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its place in the order of all: segment and part.
    pub order: (u64, u64),
    /// Relative to the playlist.
    pub uri: String,
    /// How long it is.
    pub length_us: u64,
}

impl Playlist {
    /// Reads a media playlist; `None` when it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next()?.trim() != "#EXTM3U" {
            return None;
        }
        let mut reading = Reading::default();
        for line in lines {
            reading.line(line.trim())?;
        }
        Some(reading.finish())
    }

    /// The first item from a place on.
    pub fn from(&self, order: (u64, u64)) -> Option<&Item> {
        let next = self.items.partition_point(|item| item.order < order);
        self.items.get(next)
    }

    /// Where a joiner begins.
    pub fn begin(&self) -> (u64, u64) {
        self.items
            .get(self.begin)
            .map_or(self.next, |item| item.order)
    }
}

/// A playlist, half read.
#[derive(Default)]
struct Reading {
    playlist: Playlist,
    segments: Vec<Item>,
    parts: Vec<Item>,
    /// The segment whose lines these are, and its next part.
    segment: u64,
    part: u64,
    length_us: u64,
}

impl Reading {
    fn line(&mut self, line: &str) -> Option<()> {
        if let Some(value) = line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:") {
            self.segment = value.parse().ok()?;
        } else if let Some(value) = line.strip_prefix("#EXT-X-SKIP:") {
            self.segment = self
                .segment
                .checked_add(attribute(value, "SKIPPED-SEGMENTS")?.parse().ok()?)?;
        } else if let Some(value) = line.strip_prefix("#EXT-X-TARGETDURATION:") {
            self.playlist.target_us =
                value.parse::<u64>().ok()?.min(TARGET_MAX_SECONDS) * SECOND_US;
        } else if let Some(value) = line.strip_prefix("#EXT-X-SERVER-CONTROL:") {
            self.playlist.blocks = attribute(value, "CAN-BLOCK-RELOAD") == Some("YES");
            self.playlist.skips = attribute(value, "CAN-SKIP-UNTIL").is_some();
        } else if let Some(value) = line.strip_prefix("#EXT-X-MAP:") {
            self.playlist.map = Some(attribute(value, "URI")?.to_owned());
        } else if let Some(value) = line.strip_prefix("#EXT-X-PART:") {
            let length_us = microseconds(attribute(value, "DURATION")?)?;
            self.parts.push(Item {
                order: (self.segment, self.part),
                uri: attribute(value, "URI")?.to_owned(),
                length_us,
            });
            self.part += 1;
        } else if let Some(value) = line.strip_prefix("#EXTINF:") {
            self.length_us = microseconds(value.split(',').next()?)?;
        } else if line == "#EXT-X-ENDLIST" {
            self.playlist.ended = true;
        } else if !line.is_empty() && !line.starts_with('#') {
            self.segments.push(Item {
                order: (self.segment, 0),
                uri: line.to_owned(),
                length_us: self.length_us,
            });
            self.segment = self.segment.checked_add(1)?;
            self.part = 0;
        }
        Some(())
    }

    fn finish(self) -> Playlist {
        let low_latency = self.playlist.blocks && !self.parts.is_empty();
        let items = if low_latency {
            self.parts
        } else {
            self.segments
        };
        Playlist {
            // Three parts (PART-HOLD-BACK) or three segments (RFC 8216bis, section 4.4.3.8) from the end.
            begin: items.len().saturating_sub(3),
            next: (self.segment, self.part),
            items,
            blocks: low_latency,
            ..self.playlist
        }
    }
}

/// The variant of a multivariant playlist that a player takes: the one whose address begins as wanted, else the first.
/// `None` when the text lists none.
pub fn variant<'a>(text: &'a str, wanted: &str) -> Option<&'a str> {
    let mut follows = false;
    let mut first = None;
    for line in text.lines().map(str::trim) {
        if follows && !line.is_empty() && !line.starts_with('#') {
            if line.split('/').any(|step| step == wanted) {
                return Some(line);
            }
            first = first.or(Some(line));
            follows = false;
        }
        follows |= line.starts_with("#EXT-X-STREAM-INF:");
    }
    first
}

/// The path of a reference in a playlist, from the playlist's own path; `None` where it leads to another server.
pub fn resolve(base: &str, reference: &str) -> Option<String> {
    if reference.contains("://") || reference.starts_with("//") {
        return None;
    }
    if reference.starts_with('/') {
        return Some(reference.to_owned());
    }
    let path = base.split('?').next().unwrap_or(base);
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    Some(format!("{folder}/{reference}"))
}

/// The playlists that were read last.
#[derive(Debug, Default)]
pub struct Playlists {
    read: VecDeque<(String, Arc<Playlist>)>,
}

impl Playlists {
    /// What a text says: read anew only if nobody has brought the same before.
    pub fn read(&mut self, text: &str) -> Option<Arc<Playlist>> {
        if let Some((_, known)) = self.read.iter().rev().find(|(known, _)| known == text) {
            return Some(Arc::clone(known));
        }
        let playlist = Arc::new(Playlist::parse(text)?);
        if self.read.len() == REMEMBERED_MAX {
            self.read.pop_front();
        }
        self.read
            .push_back((text.to_owned(), Arc::clone(&playlist)));
        Some(playlist)
    }
}

/// A value of an attribute list (RFC 8216bis, section 4.2), without its quotes. Commas within quotes do not occur in
/// what we ask for.
fn attribute<'a>(list: &'a str, name: &str) -> Option<&'a str> {
    let pair = list
        .split(',')
        .find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))?;
    Some(pair.trim_matches('"'))
}

fn microseconds(seconds: &str) -> Option<u64> {
    let seconds: f64 = seconds.trim().parse().ok()?;
    if !(0.0..=3_600.0).contains(&seconds) {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and an hour"
    )]
    let us = (seconds * 1e6).round() as u64;
    Some(us)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use throng_core::ladder::Rung;
    use throng_core::playlist::{self, Form};
    use throng_core::rendition::Rendition;
    use throng_core::space::State;
    use throng_core::time::UnixMillis;
    use throng_core::timeline::PartIndex;
    use throng_core::window::{Packaged, Part, Window};

    use super::*;

    const ORDINARY: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-MAP:URI=\"i.mp4\"\n\
        #EXTINF:2.0,\na7.m4s\n#EXTINF:2.0,\na8.m4s\n#EXTINF:1.9,\na9.m4s\n#EXTINF:2.0,\na10.m4s\n";
    const LOW_LATENCY: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n\
        #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=24.0,PART-HOLD-BACK=0.96\n#EXT-X-MEDIA-SEQUENCE:4\n\
        #EXT-X-SKIP:SKIPPED-SEGMENTS=3\n#EXT-X-PART:DURATION=0.32,URI=\"7.0.m4s\"\n#EXT-X-PART:DURATION=0.32,URI=\"7.1.m4s\"\n\
        #EXTINF:0.64,\n7.m4s\n#EXT-X-PART:DURATION=0.32,URI=\"8.0.m4s\",INDEPENDENT=YES\n\
        #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"8.1.m4s\"\n";

    #[test]
    fn segments_are_played_three_from_the_end_and_in_order() {
        let playlist = Playlist::parse(ORDINARY).unwrap();
        assert_eq!(playlist.from(playlist.begin()).unwrap().uri, "a8.m4s");
        assert_eq!(playlist.from((8, 1)).unwrap().uri, "a9.m4s");
        assert_eq!(playlist.from((10, 1)), None);
        assert_eq!(
            (playlist.target_us, playlist.blocks),
            (2 * SECOND_US, false)
        );
        assert_eq!(playlist.map.as_deref(), Some("i.mp4"));
    }

    #[test]
    fn parts_go_on_over_the_end_of_a_segment_and_the_next_is_waited_for() {
        let playlist = Playlist::parse(LOW_LATENCY).unwrap();
        assert_eq!(playlist.items.len(), 3);
        assert_eq!(playlist.from((7, 2)).unwrap().order, (8, 0));
        assert_eq!(playlist.next, (8, 1));
        assert!(playlist.blocks && playlist.skips);
    }

    #[test]
    fn the_wanted_variant_is_taken_and_else_the_first() {
        let main = playlist::main(State::Live, Rung::default());
        assert_eq!(
            variant(&main, Rendition::O24.name()),
            Some("o24/media.m3u8")
        );
        assert_eq!(variant(&main, "o99"), Some("a64/media.m3u8"));
        assert_eq!(variant(ORDINARY, "o48"), None);
        assert_eq!(
            resolve("/s/a/hls/main.m3u8?l=1", "o48/m.m3u8").unwrap(),
            "/s/a/hls/o48/m.m3u8"
        );
        assert_eq!(resolve("/a/b", "/c").unwrap(), "/c");
        assert_eq!(resolve("/a/b", "https://cdn/c"), None);
    }

    #[test]
    fn our_own_playlists_are_understood_in_both_forms() {
        let mut window = Window::new(PartIndex(0));
        let empty = Packaged {
            cmaf: Bytes::new(),
            stream: Bytes::new(),
        };
        for part in 0..39 {
            let part = Part {
                index: PartIndex(part),
                renditions: std::array::from_fn(|_| empty.clone()),
            };
            window.push(Arc::new(part)).unwrap();
        }
        let epoch = UnixMillis(0);
        let full = playlist::media(&window, epoch, Rendition::O48, Form::Full);
        let full = Playlist::parse(&full).unwrap();
        assert_eq!(full.begin(), (3, 0));
        assert_eq!(full.next, (3, 3));
        let delta = playlist::media(&window, epoch, Rendition::O48, Form::Delta);
        assert_eq!(Playlist::parse(&delta).unwrap().next, full.next);
    }

    #[test]
    fn what_is_no_playlist_is_refused_and_a_known_text_is_not_read_again() {
        assert_eq!(Playlist::parse("<html>"), None);
        assert_eq!(Playlist::parse("#EXTM3U\n#EXT-X-PART:URI=\"x\"\n"), None);
        let mut playlists = Playlists::default();
        let first = playlists.read(ORDINARY).unwrap();
        assert!(Arc::ptr_eq(&first, &playlists.read(ORDINARY).unwrap()));
        for target in 3..20 {
            let other = format!("#EXTM3U\n#EXT-X-TARGETDURATION:{target}\n");
            playlists.read(&other).unwrap();
        }
        assert_eq!(playlists.read.len(), REMEMBERED_MAX);
    }
}
