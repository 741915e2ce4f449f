//! The playlists of a space as pure functions of what has come so far (RFC 8216bis, HTTP Live Streaming).
//!
//! `main` lists the renditions; `media` is the live window with parts; `event` is the live programme from its
//! beginning; `replay` is the recording, counted from 0. Every node writes the same bytes from the same window, and a
//! media sequence number is the number of the segment since the epoch, so that it never runs backwards.

use std::fmt::{self, Write as _};

use crate::ladder::Rung;
use crate::rendition::{Codec, Rendition};
use crate::space::State;
use crate::time::UnixMillis;
use crate::timeline::{PART_DURATION_MS, PartIndex};

mod media;
mod query;
mod recorded;

pub use media::media;
pub use query::{Awaited, Form, MediaQuery, QueryError, When, answer_when};
pub use recorded::{event, replay};

/// The media type of every playlist.
pub const CONTENT_TYPE: &str = "application/vnd.apple.mpegurl";
/// A held request is answered with `503` after this time: three target durations (RFC 8216bis, 6.2.5.2).
pub const HOLD_LIMIT_MS: u64 = 12_000;

/// `EXT-X-TARGETDURATION`: no segment is longer, when rounded.
const TARGET_DURATION_S: u64 = 4;
/// The Skip Boundary, the least that the standard allows: six target durations.
const CAN_SKIP_UNTIL_MS: u64 = 24_000;

/// The multivariant playlist, `hls/main.m3u8`. Before the end its variants are the live window, after it the replay. On
/// deeper rungs the best renditions are not listed: whoever comes takes another, and who plays one has read this list
/// already and finds its playlist where it was.
///
/// AAC is listed first: a player that looks no further than the first variant, as native ones do, can play it. Whoever
/// knows Opus finds it by `CODECS`.
pub fn main(state: State, rung: Rung) -> String {
    let playlist = if state == State::Ended {
        "replay"
    } else {
        "media"
    };
    let of_codec = |codec| {
        let listed = move |rendition: &Rendition| {
            rendition.codec() == codec && rung.cap(*rendition) == *rendition
        };
        Rendition::ALL.into_iter().filter(listed)
    };
    let mut lines = Lines::begin(6);
    lines.line(format_args!("#EXT-X-INDEPENDENT-SEGMENTS"));
    for rendition in of_codec(Codec::Aac).chain(of_codec(Codec::Opus)) {
        let (peak, average, codecs) = (
            peak_bandwidth(rendition),
            average_bandwidth(rendition),
            rendition.codecs(),
        );
        lines.line(format_args!(
            "#EXT-X-STREAM-INF:BANDWIDTH={peak},AVERAGE-BANDWIDTH={average},CODECS=\"{codecs}\""
        ));
        lines.line(format_args!("{rendition}/{playlist}.m3u8"));
    }
    lines.0
}

/// Of the `moof` with its table of 16 samples and of the `mdat` header, rounded up.
const PART_OVERHEAD_BYTES: u64 = 200;

fn average_bandwidth(rendition: Rendition) -> u64 {
    u64::from(rendition.bit_rate()) + PART_OVERHEAD_BYTES * 8 * 1_000 / PART_DURATION_MS
}

/// No segment exceeds this: encoders that vary their rate stay within a quarter of the nominal over 3.84 s.
fn peak_bandwidth(rendition: Rendition) -> u64 {
    average_bandwidth(rendition) + u64::from(rendition.bit_rate()) / 4
}

/// A playlist as it is written.
struct Lines(String);

impl Lines {
    fn begin(version: u8) -> Self {
        Self(format!("#EXTM3U\n#EXT-X-VERSION:{version}\n"))
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        writeln!(self.0, "{line}").expect("a String takes every line");
    }

    /// What stands before the first segment: where its decoder configuration is, or how many segments were skipped.
    /// `EXT-X-MAP` belongs to the segments that `EXT-X-SKIP` replaces (RFC 8216bis, 4.4.5.2).
    fn map_or_skip(&mut self, skipped: u64) {
        if skipped == 0 {
            self.line(format_args!("#EXT-X-MAP:URI=\"init.mp4\""));
        } else {
            self.line(format_args!("#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}"));
        }
    }

    /// When the segment that follows began.
    fn date(&mut self, date: UnixMillis) {
        self.line(format_args!("#EXT-X-PROGRAM-DATE-TIME:{date}"));
    }

    /// A segment of so many parts.
    fn segment(&mut self, parts: u64, uri: impl fmt::Display) {
        let ms = parts * PART_DURATION_MS;
        self.line(format_args!("#EXTINF:{}.{:03}00,", ms / 1_000, ms % 1_000));
        self.line(format_args!("{uri}"));
    }
}

/// How many of the segments from `first` on end farther from the end of the playlist than the Skip Boundary.
fn skippable(first: u64, end: PartIndex) -> u64 {
    let boundary = end.0.saturating_sub(CAN_SKIP_UNTIL_MS / PART_DURATION_MS);
    PartIndex(boundary).segment().saturating_sub(first)
}

#[cfg(test)]
mod snapshots;
#[cfg(test)]
mod tests;
