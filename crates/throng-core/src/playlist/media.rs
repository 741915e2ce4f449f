//! `media.m3u8`: the live window of one rendition, in parts at its end.

use super::{Form, Lines, TARGET_DURATION_S, skippable};
use crate::dates::Dates;
use crate::rendition::Rendition;
use crate::timeline::{PARTS_PER_SEGMENT, PartIndex};
use crate::window::{Wanted, Window};

/// Whole segments that are listed: with the one in progress 46 to 50 s, long enough to rejoin after a tunnel.
const SEGMENTS_LISTED: u64 = 12;
/// Whole segments of which the parts are still listed. The standard wants them gone at three target durations from
/// the end (RFC 8216bis, 6.2.2), and low-latency players begin 0.96 s from it.
const SEGMENTS_IN_PARTS: u64 = 2;

/// The playlist over a window, with the dates of its programme. A finished window keeps what it lists and gains
/// `EXT-X-ENDLIST`. A segment of which the window misses the beginning is not listed.
pub fn media<'c>(
    window: &Window,
    dates: impl Into<Dates<'c>>,
    rendition: Rendition,
    form: Form,
) -> String {
    let dates = dates.into();
    let (next, finished) = (window.next(), window.is_finished());
    let whole_end = next.segment();
    let first_here = window.oldest().0.div_ceil(PARTS_PER_SEGMENT);
    let first = first_here.max(whole_end.saturating_sub(SEGMENTS_LISTED));
    // RFC 8216bis, 6.2.5.1: the server ignores the skip directive once the playlist has its EXT-X-ENDLIST.
    let skipped = if form == Form::Delta && !finished {
        skippable(first, next)
    } else {
        0
    };

    let mut lines = header(first, dates.corrected_before(first));
    lines.map_or_skip(skipped);
    for segment in first + skipped..whole_end {
        let parts = if segment + SEGMENTS_IN_PARTS < whole_end {
            0
        } else {
            PARTS_PER_SEGMENT
        };
        date_and_parts(&mut lines, dates, segment, parts);
        lines.segment(
            PARTS_PER_SEGMENT,
            Wanted {
                segment,
                part: None,
            },
        );
    }
    if first > whole_end {
        return lines.0;
    }
    let (segment, parts) = (whole_end, next.part_in_segment());
    if parts > 0 {
        date_and_parts(&mut lines, dates, segment, parts);
    }
    if finished {
        if parts > 0 {
            lines.segment(
                parts,
                Wanted {
                    segment,
                    part: None,
                },
            );
        }
        lines.line(format_args!("#EXT-X-ENDLIST"));
    } else {
        let hint = Wanted {
            segment,
            part: Some(parts),
        };
        lines.line(format_args!("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{hint}\""));
        rendition_reports(&mut lines, rendition, first, next);
    }
    lines.0
}

fn header(first: u64, corrected: u64) -> Lines {
    // Version 9 for EXT-X-SKIP; the full form says the same, so that nothing but segments tells the two apart.
    let mut lines = Lines::begin(9);
    lines.line(format_args!("#EXT-X-TARGETDURATION:{TARGET_DURATION_S}"));
    lines.line(format_args!(
        "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=24.0,HOLD-BACK=12.0,PART-HOLD-BACK=0.96"
    ));
    lines.line(format_args!("#EXT-X-PART-INF:PART-TARGET=0.32"));
    lines.line(format_args!("#EXT-X-MEDIA-SEQUENCE:{first}"));
    if corrected > 0 {
        lines.line(format_args!("#EXT-X-DISCONTINUITY-SEQUENCE:{corrected}"));
    }
    lines
}

/// When a segment begins and the first so many of its parts. Every segment has its date, so that a delta update has
/// one too, and a clock that was set shows at once. Where dates jump is a discontinuity, although the media's own
/// timestamps go on: some players place segments by their dates, and these alone can tell them not to leave a hole. Every
/// audio part is independent.
fn date_and_parts(lines: &mut Lines, dates: Dates<'_>, segment: u64, parts: u64) {
    if dates.is_corrected_at(segment) {
        lines.line(format_args!("#EXT-X-DISCONTINUITY"));
    }
    lines.date(dates.of_segment(segment));
    for part in 0..parts {
        let uri = Wanted {
            segment,
            part: Some(part),
        };
        lines.line(format_args!(
            "#EXT-X-PART:DURATION=0.32,URI=\"{uri}\",INDEPENDENT=YES"
        ));
    }
}

/// How far the other renditions have come: as far as this one, as all are cut at the same instants.
fn rendition_reports(lines: &mut Lines, rendition: Rendition, first: u64, next: PartIndex) {
    let Some(last) = next
        .0
        .checked_sub(1)
        .map(PartIndex)
        .filter(|last| last.segment() >= first)
    else {
        return;
    };
    let (segment, part) = (last.segment(), last.part_in_segment());
    for other in Rendition::ALL
        .into_iter()
        .filter(|other| *other != rendition)
    {
        lines.line(format_args!(
            "#EXT-X-RENDITION-REPORT:URI=\"../{other}/media.m3u8\",LAST-MSN={segment},LAST-PART={part}"
        ));
    }
}
