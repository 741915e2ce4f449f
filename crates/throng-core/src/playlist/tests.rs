//! The playlists as a parser reads them that is not ours, and as a simulated player follows them.

use std::collections::BTreeMap;

use proptest::prelude::*;
use quick_m3u8::config::ParsingOptionsBuilder;
use quick_m3u8::tag::KnownTag;
use quick_m3u8::tag::hls::Tag;
use quick_m3u8::{HlsLine, Reader};

use super::*;
use crate::dates::{Correction, Corrections, Dates};
use crate::window::tests::{part, window};
use crate::window::{Found, Wanted, Window};

const EPOCH: UnixMillis = UnixMillis(1_796_155_200_000);

#[test]
fn a_window_that_begins_inside_a_segment_lists_from_the_next_one_on() {
    let nothing = read(&media(&window(5, 10), EPOCH, Rendition::O48, Form::Full));
    assert_eq!(
        (nothing.media_sequence, nothing.segments.len(), nothing.hint),
        (1, 0, None)
    );
    let later = read(&media(&window(5, 30), EPOCH, Rendition::O48, Form::Full));
    assert_eq!(
        (
            later.media_sequence,
            later.segments.keys().copied().collect::<Vec<_>>()
        ),
        (1, vec![1, 2])
    );
}

#[test]
fn where_dates_jump_is_a_discontinuity_and_is_counted_when_it_has_gone() {
    // Players that place segments by their dates would leave a hole, or play nothing more.
    let jump = Correction {
        segment: 3,
        by_ms: -3_600_000,
    };
    let corrections = Corrections::new(vec![jump]).unwrap();
    let dates = Dates {
        epoch: EPOCH,
        corrections: Some(&corrections),
    };
    let listed = |window: &Window| media(window, dates, Rendition::O48, Form::Full);
    let with = listed(&window(0, 60));
    let (before, after) = with.split_once("#EXT-X-DISCONTINUITY\n").unwrap();
    assert!(before.ends_with("2.m4s\n"), "{before}");
    assert!(after.starts_with("#EXT-X-PROGRAM-DATE-TIME:"));
    assert!(!before.contains("DISCONTINUITY") && !after.contains("DISCONTINUITY"));
    let gone = listed(&window(48, 60));
    assert!(gone.contains("#EXT-X-DISCONTINUITY-SEQUENCE:1\n"), "{gone}");
    assert!(!gone.contains("#EXT-X-DISCONTINUITY\n"));
}

#[test]
fn the_promises_of_the_header_are_those_that_the_standard_demands() {
    // RFC 8216bis, 4.4.3.1, 4.4.3.7 and 4.4.3.8.
    let seen = read(&media(&window(0, 300), EPOCH, Rendition::O48, Form::Full));
    assert!(
        seen.segments
            .values()
            .all(|segment| segment.duration_ms.div_ceil(1_000) <= seen.target_duration_s)
    );
    assert!(seen.part_hold_back_ms >= 3 * PART_DURATION_MS);
    assert!(seen.hold_back_ms >= 3 * 1_000 * seen.target_duration_s);
    assert!(seen.can_skip_until_ms >= 6 * 1_000 * seen.target_duration_s);
    assert_eq!(
        (seen.can_skip_until_ms, seen.part_target_ms),
        (CAN_SKIP_UNTIL_MS, PART_DURATION_MS)
    );
    assert_eq!(HOLD_LIMIT_MS, 3 * 1_000 * seen.target_duration_s);
    // 6.2.2: a segment stays for its length and that of the longest playlist, from when it first appeared.
    let kept_ms = crate::window::PARTS_KEPT as u64 * PART_DURATION_MS;
    assert!(kept_ms >= seen.duration_ms() + 2 * 1_000 * seen.target_duration_s);
}

/// A media playlist as `quick-m3u8` reads it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Seen {
    target_duration_s: u64,
    hold_back_ms: u64,
    part_hold_back_ms: u64,
    can_skip_until_ms: u64,
    part_target_ms: u64,
    media_sequence: u64,
    skipped: u64,
    map: Option<String>,
    /// By media sequence number; the last may be in progress, without address.
    segments: BTreeMap<u64, SeenSegment>,
    hint: Option<String>,
    reports: Vec<(String, u64, Option<u64>)>,
    ended: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct SeenSegment {
    date: String,
    parts: Vec<String>,
    duration_ms: u64,
    uri: Option<String>,
}

impl Seen {
    fn duration_ms(&self) -> u64 {
        self.segments
            .values()
            .map(|segment| segment.duration_ms)
            .sum()
    }

    /// Every address that a player may fetch now.
    fn addresses(&self) -> impl Iterator<Item = &str> {
        self.segments
            .values()
            .flat_map(|segment| segment.parts.iter().chain(&segment.uri))
            .map(String::as_str)
    }

    /// What a player knows after a delta update: the skipped segments as it knew them, the rest as it is told
    /// (RFC 8216bis, 6.3.7). Of segments that it is no longer told about, it drops the parts.
    fn merged_into(mut self, known: &Self) -> Self {
        for number in self.media_sequence..self.media_sequence + self.skipped {
            let mut segment = known
                .segments
                .get(&number)
                .expect("the server skips only what the player has")
                .clone();
            segment.parts.clear();
            self.segments.insert(number, segment);
        }
        if self.skipped > 0 {
            self.map.clone_from(&known.map);
        }
        Self { skipped: 0, ..self }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "seconds of a playlist"
)]
fn ms(seconds: f64) -> u64 {
    (seconds * 1_000.0).round() as u64
}

fn read(text: &str) -> Seen {
    let mut reader = Reader::from_str(
        text,
        ParsingOptionsBuilder::new()
            .with_parsing_for_all_tags()
            .build(),
    );
    let (mut seen, mut segment, mut number) = (Seen::default(), SeenSegment::default(), 0);
    while let Some(line) = reader.read_line().expect("every line follows the grammar") {
        let tag = match line {
            HlsLine::KnownTag(KnownTag::Hls(tag)) => tag,
            HlsLine::Uri(uri) => {
                segment.uri = Some(uri.into_owned());
                seen.segments.insert(number, std::mem::take(&mut segment));
                number += 1;
                continue;
            }
            other => panic!("not a line of ours: {other:?}"),
        };
        match tag {
            Tag::Targetduration(tag) => seen.target_duration_s = tag.target_duration(),
            Tag::ServerControl(tag) => {
                seen.hold_back_ms = tag.hold_back().map_or(0, ms);
                seen.part_hold_back_ms = tag.part_hold_back().map_or(0, ms);
                seen.can_skip_until_ms = tag.can_skip_until().map_or(0, ms);
            }
            Tag::PartInf(tag) => seen.part_target_ms = ms(tag.part_target()),
            Tag::MediaSequence(tag) => {
                (seen.media_sequence, number) = (tag.media_sequence(), tag.media_sequence());
            }
            Tag::Skip(tag) => {
                seen.skipped = tag.skipped_segments();
                number += seen.skipped;
            }
            Tag::Map(tag) => seen.map = Some(tag.uri().to_owned()),
            Tag::ProgramDateTime(tag) => segment.date = tag.program_date_time().to_string(),
            Tag::Part(tag) => {
                assert!(tag.independent() && ms(tag.duration()) == PART_DURATION_MS);
                segment.parts.push(tag.uri().to_owned());
            }
            Tag::Inf(tag) => segment.duration_ms = ms(tag.duration()),
            Tag::PreloadHint(tag) => seen.hint = Some(tag.uri().to_owned()),
            Tag::RenditionReport(tag) => {
                seen.reports
                    .push((tag.uri().to_owned(), tag.last_msn(), tag.last_part()));
            }
            Tag::Endlist(_) => seen.ended = true,
            Tag::M3u(_) | Tag::Version(_) | Tag::PlaylistType(_) | Tag::Start(_) => {}
            other => panic!("not a tag of ours: {other:?}"),
        }
    }
    if !segment.parts.is_empty() {
        seen.segments.insert(number, segment);
    }
    seen
}

/// A programme and a player that follows it through blocking reloads and delta updates.
struct Follower {
    window: Window,
    known: Seen,
}

impl Follower {
    fn push(&mut self, parts: u64) {
        for _ in 0..parts {
            self.window.push(part(self.window.next())).unwrap();
        }
    }

    /// Asks for what follows what is known, waits for it, and takes the answer. A player that slept for longer than
    /// half the Skip Boundary asks for the full form (RFC 8216bis, 6.3.7).
    fn reload(&mut self, slept_parts: u64) {
        let (segment, part) = match self.known.segments.last_key_value() {
            Some((number, segment)) if segment.uri.is_none() => (*number, segment.parts.len()),
            Some((number, _)) => (number + 1, 0),
            None => (self.known.media_sequence, 0),
        };
        let fresh = slept_parts * PART_DURATION_MS <= CAN_SKIP_UNTIL_MS / 2;
        let skip = if fresh { "&_HLS_skip=YES" } else { "" };
        let query =
            MediaQuery::parse(&format!("_HLS_msn={segment}&_HLS_part={part}{skip}")).unwrap();
        while answer_when(&self.window, query) != When::Now {
            assert_eq!(answer_when(&self.window, query), When::Hold);
            let wanted = Wanted {
                segment,
                part: Some(part as u64),
            };
            assert_eq!(
                self.known.hint.as_deref(),
                Some(wanted.to_string().as_str()),
                "one waits for what was hinted"
            );
            assert_eq!(
                self.window.find(wanted),
                Found::Due,
                "and may ask for it already"
            );
            self.push(1);
        }
        self.take(query.form);
    }

    fn take(&mut self, form: Form) {
        let told = read(&media(&self.window, EPOCH, Rendition::O24, form));
        assert!(
            told.media_sequence >= self.known.media_sequence,
            "a media sequence never runs backwards"
        );
        let truth = read(&media(&self.window, EPOCH, Rendition::O24, Form::Full));
        self.known = told.merged_into(&self.known);
        assert_eq!(
            self.known, truth,
            "what the player pieced together is the full playlist"
        );
        self.check();
    }

    fn check(&self) {
        for address in self.known.addresses() {
            let found = self
                .window
                .find(Wanted::parse(address).expect("an address of ours"));
            assert!(
                matches!(found, Found::Ready(_)),
                "{address} is listed, so it is here"
            );
        }
        for (number, segment) in &self.known.segments {
            let start = EPOCH.plus_ms(PartIndex::first_of_segment(*number).start_ms());
            assert_eq!(UnixMillis::parse_rfc3339(&segment.date), Ok(start));
        }
        let last = self
            .window
            .next()
            .0
            .checked_sub(1)
            .map(|last| (last / 12, Some(last % 12)));
        assert!(
            self.known
                .reports
                .iter()
                .all(|(_, segment, part)| Some((*segment, *part)) == last)
        );
    }
}

proptest! {
    #[test]
    fn a_player_that_follows_by_blocking_and_delta_knows_the_full_playlist(
        first_segment in 0_u64..1_000_000,
        start in 0_u64..400,
        sleeps in proptest::collection::vec(prop_oneof![6 => Just(0_u64), 3 => 0_u64..38, 1 => 38_u64..900], 1..60),
    ) {
        let mut follower = Follower { window: Window::new(PartIndex::first_of_segment(first_segment)), known: Seen::default() };
        follower.push(start);
        follower.take(Form::Full);
        for slept_parts in sleeps {
            follower.push(slept_parts);
            follower.reload(slept_parts);
        }
        let before = follower.known.clone();
        follower.window.finish();
        follower.take(Form::Delta);
        prop_assert!(follower.known.ended && follower.known.hint.is_none());
        prop_assert_eq!(before.media_sequence, follower.known.media_sequence);
    }

    #[test]
    fn what_a_start_over_and_a_replay_list_is_as_long_as_what_was_sent(first in 0_u64..50, parts in 1_u64..2_000) {
        let next = PartIndex(first * 12 + parts);
        let seen = read(&event(first, next, EPOCH, true, Form::Full));
        prop_assert_eq!(seen.duration_ms(), parts * PART_DURATION_MS);
        prop_assert_eq!(read(&replay(parts, EPOCH)).duration_ms(), parts * PART_DURATION_MS);
        let growing = read(&event(first, next, EPOCH, false, Form::Full));
        prop_assert_eq!(growing.duration_ms(), parts / 12 * 12 * PART_DURATION_MS);
        let told = read(&event(first, next, EPOCH, false, Form::Delta));
        for (number, segment) in &told.segments {
            prop_assert_eq!(segment.uri.as_ref(), growing.segments[number].uri.as_ref());
        }
        prop_assert_eq!(told.skipped + told.segments.len() as u64, growing.segments.len() as u64);
    }
}
