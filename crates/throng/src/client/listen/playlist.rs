//! What a listener needs to know of HLS playlists (RFC 8216bis): which variant, which piece comes next.
//!
//! Parsing is `quick-m3u8`'s; this file only remembers what matters for playing. Pure.

use quick_m3u8::config::ParsingOptions;
use quick_m3u8::tag::KnownTag;
use quick_m3u8::tag::hls::Tag;
use quick_m3u8::{HlsLine, Reader};

/// The variants of a multivariant playlist, as their URIs.
pub fn variants(text: &str) -> Result<Vec<String>, String> {
    let (mut uris, mut announced) = (Vec::new(), false);
    for_each_line(text, |line| {
        match line {
            Line::Tag(Tag::StreamInf(_)) => announced = true,
            Line::Uri(uri) if std::mem::take(&mut announced) => uris.push(uri.to_owned()),
            Line::Tag(_) | Line::Uri(_) => {}
        }
        Ok(())
    })?;
    Ok(uris)
}

/// A media playlist.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MediaPlaylist {
    /// `EXT-X-MAP`.
    pub map_uri: Option<String>,
    /// Whether `EXT-X-ENDLIST` closes it.
    pub ended: bool,
    /// Whether a reload may wait on the server (`CAN-BLOCK-RELOAD`).
    pub can_block_reload: bool,
    /// How often to reload where it may not: `PART-TARGET`, else `TARGETDURATION`, in seconds.
    pub reload_seconds: f64,
    /// The part that comes next and can be asked for already (`EXT-X-PRELOAD-HINT`).
    pub hint_uri: Option<String>,
    /// How far from the end to begin, in seconds: `PART-HOLD-BACK`, else `HOLD-BACK`, else three target durations.
    hold_back_seconds: f64,
    media_sequence: u64,
    segments: Vec<Segment>,
}

/// A place in a playlist: a segment and a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The media sequence number.
    pub segment: u64,
    /// The part, 0 to begin with the whole segment.
    pub part: usize,
}

/// What to do at a place.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// The place has left the playlist: begin anew from [`MediaPlaylist::start`].
    Behind,
    /// Nothing more will come.
    End,
    /// Fetch this, then go on at `next`. A piece marked as a gap (`EXT-X-GAP`, `GAP=YES`) has no URI.
    Fetch {
        /// The segment or part.
        uri: Option<String>,
        /// The place behind it.
        next: Place,
    },
    /// The piece at `place` is not there yet: reload until it is.
    Wait {
        /// What to wait for.
        place: Place,
    },
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Segment {
    /// `None` while the segment is being made.
    uri: Option<String>,
    seconds: f64,
    gap: bool,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq)]
struct Part {
    uri: Option<String>,
    seconds: f64,
}

impl MediaPlaylist {
    /// Parses a playlist, and says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut playlist = Self::default();
        let (mut growing, mut target, mut part_target) = (Segment::default(), None, None);
        let (mut hold_back, mut part_hold_back) = (None, None);
        for_each_line(text, |line| {
            match line {
                Line::Tag(Tag::Targetduration(tag)) => {
                    target = Some(whole_seconds(tag.target_duration())?);
                }
                Line::Tag(Tag::PartInf(tag)) => part_target = Some(seconds(tag.part_target())?),
                Line::Tag(Tag::MediaSequence(tag)) => {
                    playlist.media_sequence = tag.media_sequence();
                }
                Line::Tag(Tag::Map(tag)) => playlist.map_uri = Some(tag.uri().to_owned()),
                Line::Tag(Tag::Endlist(_)) => playlist.ended = true,
                Line::Tag(Tag::Gap(_)) => growing.gap = true,
                Line::Tag(Tag::Inf(tag)) => growing.seconds = seconds(tag.duration())?,
                Line::Tag(Tag::PreloadHint(tag)) => playlist.hint_uri = Some(tag.uri().to_owned()),
                Line::Tag(Tag::ServerControl(tag)) => {
                    playlist.can_block_reload = tag.can_block_reload();
                    hold_back = tag.hold_back();
                    part_hold_back = tag.part_hold_back();
                }
                Line::Tag(Tag::Part(tag)) if growing.parts.len() < PARTS_PER_SEGMENT_MAX => {
                    let uri = (!tag.gap()).then(|| tag.uri().to_owned());
                    growing.parts.push(Part {
                        uri,
                        seconds: seconds(tag.duration())?,
                    });
                }
                Line::Tag(Tag::Part(_)) => return Err("a segment of too many parts".to_owned()),
                Line::Tag(Tag::Byterange(_)) => {
                    return Err("byte ranges, which this client does not read".to_owned());
                }
                Line::Tag(Tag::Skip(_)) => {
                    return Err("a delta update that nobody asked for".to_owned());
                }
                Line::Tag(_) => {}
                Line::Uri(uri) => {
                    growing.uri = Some(uri.to_owned());
                    playlist.segments.push(std::mem::take(&mut growing));
                }
            }
            Ok(())
        })?;
        if !growing.parts.is_empty() {
            growing.seconds = growing.parts.iter().map(|part| part.seconds).sum();
            playlist.segments.push(growing);
        }
        let target = target.ok_or("a media playlist without EXT-X-TARGETDURATION")?;
        playlist.reload_seconds = part_target.unwrap_or(target);
        playlist.hold_back_seconds = seconds(part_hold_back.or(hold_back).unwrap_or(3.0 * target))?;
        Ok(playlist)
    }

    /// Where a player begins: at the first piece of what has ended, else the hold-back before the end.
    pub fn start(&self) -> Place {
        let first = Place {
            segment: self.media_sequence,
            part: 0,
        };
        if self.ended {
            return first;
        }
        let total: f64 = self.segments.iter().map(|segment| segment.seconds).sum();
        let latest = total - self.hold_back_seconds + ROUNDING_SECONDS;
        let (mut place, mut begins) = (first, 0.0);
        for (segment, number) in self.segments.iter().zip(self.media_sequence..) {
            let mut part_begins = begins;
            for (part, piece) in segment.parts.iter().enumerate() {
                if part_begins <= latest {
                    place = Place {
                        segment: number,
                        part,
                    };
                }
                part_begins += piece.seconds;
            }
            if segment.parts.is_empty() && begins <= latest {
                place = Place {
                    segment: number,
                    part: 0,
                };
            }
            begins += segment.seconds;
        }
        place
    }

    /// What to do at a place.
    pub fn step(&self, place: Place) -> Step {
        let Some(offset) = place.segment.checked_sub(self.media_sequence) else {
            return Step::Behind;
        };
        let segment = usize::try_from(offset)
            .ok()
            .and_then(|offset| self.segments.get(offset));
        let Some(segment) = segment else {
            return if self.ended {
                Step::End
            } else {
                Step::Wait { place }
            };
        };
        let next_segment = Place {
            segment: place.segment.saturating_add(1),
            part: 0,
        };
        let next_part = Place {
            part: place.part + 1,
            ..place
        };
        match (&segment.uri, segment.parts.get(place.part)) {
            (Some(uri), _) if place.part == 0 => Step::Fetch {
                uri: (!segment.gap).then(|| uri.clone()),
                next: next_segment,
            },
            (_, Some(part)) => Step::Fetch {
                uri: part.uri.clone(),
                next: next_part,
            },
            (Some(_), None) => self.step(next_segment),
            (None, None) if self.ended => Step::End,
            (None, None) => Step::Wait { place },
        }
    }
}

/// A line that matters.
#[expect(
    clippy::large_enum_variant,
    reason = "one exists at a time, on the stack"
)]
enum Line<'a> {
    Tag(Tag<'a>),
    Uri(&'a str),
}

fn for_each_line(
    text: &str,
    mut visit: impl FnMut(Line<'_>) -> Result<(), String>,
) -> Result<(), String> {
    if !text.trim_start_matches('\u{feff}').starts_with("#EXTM3U") {
        return Err("a playlist that does not begin with #EXTM3U".to_owned());
    }
    let mut reader = Reader::from_str(text, ParsingOptions::default());
    loop {
        match reader.read_line() {
            Ok(None) => return Ok(()),
            Ok(Some(HlsLine::KnownTag(KnownTag::Hls(tag)))) => visit(Line::Tag(tag))?,
            Ok(Some(HlsLine::Uri(uri))) => visit(Line::Uri(uri.trim()))?,
            Ok(Some(_)) => {}
            Err(cause) => return Err(format!("a broken playlist line: {cause}")),
        }
    }
}

/// A duration that can be added up.
fn seconds(seconds: f64) -> Result<f64, String> {
    if (0.0..SECONDS_MAX).contains(&seconds) {
        Ok(seconds)
    } else {
        Err(format!("a duration of {seconds} s"))
    }
}

fn whole_seconds(whole: u64) -> Result<f64, String> {
    u32::try_from(whole)
        .map_err(|_| format!("a duration of {whole} s"))
        .and_then(|whole| seconds(whole.into()))
}

/// A day: no segment is longer.
const SECONDS_MAX: f64 = 86_400.0;
/// Durations are written with few decimals; sums of them are equal within a millisecond.
const ROUNDING_SECONDS: f64 = 0.001;
/// A segment of 3.84 s in parts of 320 ms has 12; a playlist with more than this per segment is refused.
const PARTS_PER_SEGMENT_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIVE: &str = "#EXTM3U\n#EXT-X-VERSION:10\n#EXT-X-TARGETDURATION:4\n\
        #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=0.96,HOLD-BACK=12\n\
        #EXT-X-PART-INF:PART-TARGET=0.32\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-MAP:URI=\"init.mp4\"\n\
        #EXTINF:3.84,\n7.m4s\n\
        #EXT-X-PART:DURATION=0.32,URI=\"8.0.m4s\",INDEPENDENT=YES\n#EXT-X-PART:DURATION=3.52,URI=\"8.1.m4s\"\n\
        #EXTINF:3.84,\n8.m4s\n\
        #EXT-X-PART:DURATION=0.32,URI=\"9.0.m4s\"\n#EXT-X-PART:DURATION=0.32,URI=\"9.1.m4s\"\n\
        #EXT-X-PART:DURATION=0.32,URI=\"9.2.m4s\"\n#EXT-X-PART:DURATION=0.32,URI=\"9.3.m4s\"\n\
        #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"9.4.m4s\"\n";

    fn place(segment: u64, part: usize) -> Place {
        Place { segment, part }
    }

    fn fetch(uri: &str, segment: u64, part: usize) -> Step {
        Step::Fetch {
            uri: Some(uri.to_owned()),
            next: place(segment, part),
        }
    }

    #[test]
    fn a_listener_begins_the_part_hold_back_before_the_end() {
        // RFC 8216bis, section 6.3.3: no closer to the end than PART-HOLD-BACK.
        let playlist = MediaPlaylist::parse(LIVE).unwrap();
        assert_eq!(playlist.start(), place(9, 1));
        assert_eq!(playlist.map_uri.as_deref(), Some("init.mp4"));
        assert_eq!(playlist.hint_uri.as_deref(), Some("9.4.m4s"));
        let without_parts = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\na\n#EXTINF:4,\nb\n#EXTINF:4,\nc\n#EXTINF:4,\nd\n";
        assert_eq!(
            MediaPlaylist::parse(without_parts).unwrap().start(),
            place(1, 0)
        );
    }

    #[test]
    fn pieces_follow_one_another_over_the_end_of_a_segment() {
        let playlist = MediaPlaylist::parse(LIVE).unwrap();
        assert_eq!(playlist.step(place(6, 0)), Step::Behind);
        assert_eq!(playlist.step(place(7, 0)), fetch("7.m4s", 8, 0));
        assert_eq!(playlist.step(place(8, 1)), fetch("8.1.m4s", 8, 2));
        assert_eq!(playlist.step(place(8, 2)), fetch("9.0.m4s", 9, 1));
        assert_eq!(playlist.step(place(9, 3)), fetch("9.3.m4s", 9, 4));
        assert_eq!(
            playlist.step(place(9, 4)),
            Step::Wait { place: place(9, 4) }
        );
        assert_eq!(
            playlist.step(place(10, 0)),
            Step::Wait {
                place: place(10, 0)
            }
        );
    }

    #[test]
    fn what_has_ended_plays_from_its_first_segment_to_its_last() {
        let text = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXTINF:3.84,\n0.m4s\n\
            #EXT-X-GAP\n#EXTINF:3.84,\n1.m4s\n#EXT-X-ENDLIST\n";
        let playlist = MediaPlaylist::parse(text).unwrap();
        assert_eq!(playlist.start(), place(0, 0));
        assert_eq!(playlist.step(place(0, 0)), fetch("0.m4s", 1, 0));
        assert_eq!(
            playlist.step(place(1, 0)),
            Step::Fetch {
                uri: None,
                next: place(2, 0)
            }
        );
        assert_eq!(playlist.step(place(2, 0)), Step::End);
    }

    #[test]
    fn variants_are_the_lines_behind_stream_inf() {
        let text = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=64000,CODECS=\"opus\"\no48/media.m3u8\n\
            #EXT-X-STREAM-INF:BANDWIDTH=32000,CODECS=\"opus\"\n\no24/media.m3u8\nstray\n";
        assert_eq!(
            variants(text).unwrap(),
            ["o48/media.m3u8", "o24/media.m3u8"]
        );
    }

    #[test]
    fn playlists_that_would_mislead_are_refused() {
        let head = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n";
        assert!(MediaPlaylist::parse("<html>").is_err());
        assert!(MediaPlaylist::parse("#EXTM3U\n#EXTINF:1,\na\n").is_err());
        assert!(MediaPlaylist::parse(&format!("{head}#EXTINF:inf,\na\n")).is_err());
        assert!(
            MediaPlaylist::parse(&format!("{head}#EXTINF:4,\n#EXT-X-BYTERANGE:5@0\na\n")).is_err()
        );
    }

    proptest! {
        #[test]
        fn no_playlist_breaks_the_reader(
            lines in proptest::collection::vec(
                prop_oneof![
                    proptest::sample::select(LIVE.lines().collect::<Vec<_>>()).prop_map(str::to_owned),
                    "#EXT[-A-Z:=,\"0-9]{0,30}",
                    "\\PC{0,30}",
                ],
                0..40,
            ),
            segment: u64,
            part in 0_usize..20,
        ) {
            let text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:4\n{}", lines.join("\n"));
            if let Ok(playlist) = MediaPlaylist::parse(&text) {
                let mut at = playlist.start();
                for _ in 0..100 {
                    match playlist.step(at) {
                        Step::Fetch { next, .. } => {
                            prop_assert!(next > at);
                            at = next;
                        }
                        _ => break,
                    }
                }
                playlist.step(place(segment, part));
            }
        }
    }
}
