//! `event.m3u8` and `replay.m3u8`: what the archive holds, in whole segments.

use super::{Form, Lines, TARGET_DURATION_S, skippable};
use crate::time::UnixMillis;
use crate::timeline::{PARTS_PER_SEGMENT, PartIndex};
use crate::window::Wanted;

/// The programme from `first_segment` to before the part `next`, to start over while it is live. Once it has ended,
/// `next` is the end, and the last segment may be short. It grows by 23 KB an hour (2 KB compressed) and is as long as
/// the programme; whoever follows it asks for [`Form::Delta`]. One date stands for all: in a list this long, others that
/// follow a clock that was set could name a segment twice (RFC 8216bis, 6.2.1).
pub fn event(
    first_segment: u64,
    next: PartIndex,
    epoch: UnixMillis,
    ended: bool,
    form: Form,
) -> String {
    let skipped = if form == Form::Delta && !ended {
        skippable(first_segment, next)
    } else {
        0
    };
    let mut lines = Lines::begin(9);
    lines.line(format_args!("#EXT-X-TARGETDURATION:{TARGET_DURATION_S}"));
    lines.line(format_args!("#EXT-X-SERVER-CONTROL:CAN-SKIP-UNTIL=24.0"));
    lines.line(format_args!("#EXT-X-PLAYLIST-TYPE:EVENT"));
    lines.line(format_args!("#EXT-X-MEDIA-SEQUENCE:{first_segment}"));
    // Without it players begin at the end of what is still growing.
    lines.line(format_args!("#EXT-X-START:TIME-OFFSET=0.0"));
    lines.map_or_skip(skipped);
    let from = first_segment + skipped;
    if PartIndex::first_of_segment(from) < next {
        lines.date(epoch.plus_ms(PartIndex::first_of_segment(from).start_ms()));
    }
    segments(&mut lines, from, next, ended, "");
    lines.0
}

/// The recording of so many parts, whose first began at `started_at`. Its segments are counted from 0 at the first
/// part, under `replay/`.
pub fn replay(parts: u64, started_at: UnixMillis) -> String {
    let mut lines = Lines::begin(6);
    lines.line(format_args!("#EXT-X-TARGETDURATION:{TARGET_DURATION_S}"));
    lines.line(format_args!("#EXT-X-PLAYLIST-TYPE:VOD"));
    lines.line(format_args!("#EXT-X-MEDIA-SEQUENCE:0"));
    lines.map_or_skip(0);
    if parts > 0 {
        lines.date(started_at);
    }
    segments(&mut lines, 0, PartIndex(parts), true, "replay/");
    lines.0
}

/// The whole segments before a part, and at the end the short last one.
fn segments(lines: &mut Lines, from: u64, next: PartIndex, ended: bool, folder: &str) {
    for segment in from..next.segment() {
        lines.segment(
            PARTS_PER_SEGMENT,
            format_args!(
                "{folder}{}",
                Wanted {
                    segment,
                    part: None
                }
            ),
        );
    }
    if !ended {
        return;
    }
    let (segment, parts) = (next.segment(), next.part_in_segment());
    if parts > 0 && segment >= from {
        lines.segment(
            parts,
            format_args!(
                "{folder}{}",
                Wanted {
                    segment,
                    part: None
                }
            ),
        );
    }
    lines.line(format_args!("#EXT-X-ENDLIST"));
}
