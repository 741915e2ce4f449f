//! A day of a programme in some seconds, with all that decides about it: its life, clock, window, playlists and recording.
//!
//! The clocks are driven, chance has a seed, and the sound is one byte, so that nothing but numbers is left. In the day the
//! wall clock is set some dozen times, and the process dies as often, a few parts before they were on the disk.

use std::sync::Arc;

use bytes::Bytes;
use throng_core::dates::Now;
use throng_core::playlist::{Form, media};
use throng_core::rendition::Rendition;
use throng_core::slug::Slug;
use throng_core::space::{Act, Actor, Announcement, Change, Space, playhead};
use throng_core::time::UnixMillis;
use throng_core::timeline::{PART_DURATION_MS, PART_SAMPLES, PARTS_PER_SEGMENT, PartIndex};
use throng_core::window::{PARTS_KEPT, Packaged, Part, Window};

use crate::sample::{chunk, folder, inits};
use crate::{Archive, Flags};

const EPOCH: UnixMillis = UnixMillis(1_796_155_200_000);
const HOUR_MS: u64 = 3_600_000;
const DAY_PARTS: u64 = 24 * HOUR_MS / PART_DURATION_MS;
/// From when on it is live; doors are 15 minutes before.
const SCHEDULED_MS: u64 = HOUR_MS;
/// Something happens about this often.
const EVENT_EVERY_PARTS: u64 = DAY_PARTS / 48;
/// A clock that was set is followed within so many segments; the longest of the setbacks takes 63 of them.
const SETTLED_SEGMENTS: u64 = 70;
/// A playlist has twelve whole segments and the one in the making.
const DATES_MAX: usize = 13;

struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }
}

struct Day {
    chance: Chance,
    folder: tempfile::TempDir,
    space: Space,
    window: Window,
    archive: Option<Archive>,
    /// How far the wall clock is ahead.
    ahead_ms: i64,
    /// The segment in which it was set last.
    set_in: u64,
    media_sequence: u64,
    newest_segment: u64,
    /// How often the clock was set, and the process died.
    happened: (u32, u32),
    gaps: u64,
}

impl Day {
    fn new(seed: u64) -> Self {
        let announcement = Announcement {
            id: "day".to_owned(),
            slug: Slug::from_title("A day", seed),
            title: "A day".to_owned(),
            scheduled_at: Some(EPOCH.plus_ms(SCHEDULED_MS)),
            speakers: 4,
            expected_listeners: None,
        };
        Self {
            chance: Chance(seed),
            folder: folder(),
            space: Space::announce(EPOCH, announcement).unwrap(),
            window: Window::new(PartIndex(0)),
            archive: None,
            ahead_ms: 0,
            set_in: 0,
            media_sequence: 0,
            newest_segment: 0,
            happened: (0, 0),
            gaps: 0,
        }
    }

    /// The clocks when a part has just been made.
    fn after(&self, part: PartIndex) -> Now {
        let steady = EPOCH.plus_ms(part.next().start_ms());
        Now {
            wall: steady.shifted_ms(self.ahead_ms),
            steady,
        }
    }

    fn run(&mut self) {
        let mut part = PartIndex(0);
        while part.0 < DAY_PARTS {
            self.make(part, Flags::NONE);
            let now = self.after(part);
            self.act(now);
            self.space.correct_dates(now);
            if part.part_in_segment() == PARTS_PER_SEGMENT - 1 {
                self.read(now);
            }
            part = part.next();
            if self.chance.below(EVENT_EVERY_PARTS) == 0 {
                part = self.suffer(part);
            }
        }
        let ended = self
            .space
            .apply(self.after(PartIndex(DAY_PARTS)), Actor::Host, Act::End);
        assert!(matches!(ended, Ok(Change::Ended(_))), "{ended:?}");
    }

    fn make(&mut self, index: PartIndex, flags: Flags) {
        let sequence = u32::try_from(index.0 + 1).unwrap();
        let cmaf = chunk(sequence, index.first_sample(), b"x");
        let packaged = Packaged {
            cmaf,
            stream: Bytes::new(),
        };
        let part = Part {
            index,
            renditions: Rendition::ALL.map(|_| packaged.clone()),
        };
        if self.space.doors_part.is_some_and(|doors| index >= doors) {
            let archive = self.archive.get_or_insert_with(|| {
                Archive::create(self.folder.path(), index, &inits()).unwrap()
            });
            let wall = EPOCH.plus_ms(index.next().start_ms()).0;
            archive.append(&part, wall, flags).unwrap();
        }
        self.window.push(Arc::new(part)).unwrap();
        let held = self.window.next().0 - self.window.oldest().0;
        assert!(held <= PARTS_KEPT as u64, "{held} parts are held");
    }

    /// Doors open by the clock; the host comes when he was announced.
    fn act(&mut self, now: Now) {
        let due = |at: Option<UnixMillis>| at.is_some_and(|at| at <= now.wall);
        if due(self.space.next_deadline()) {
            self.space.apply(now, Actor::Clock, Act::OpenDoors).unwrap();
        }
        let waits = self.space.live_part.is_none() && self.space.doors_part.is_some();
        if waits && now.steady >= EPOCH.plus_ms(SCHEDULED_MS) {
            self.space.apply(now, Actor::Host, Act::GoLive).unwrap();
        }
    }

    /// What a player reads once in a segment.
    fn read(&mut self, now: Now) {
        let text = media(&self.window, self.space.dates(), Rendition::O48, Form::Full);
        let after = |line: &str, tag: &str| line.strip_prefix(tag).map(str::to_owned);
        let sequence = text
            .lines()
            .find_map(|line| after(line, "#EXT-X-MEDIA-SEQUENCE:"));
        let sequence = sequence.unwrap().parse().unwrap();
        let newest = self.window.newest_segment().unwrap();
        assert!(
            sequence >= self.media_sequence,
            "a media sequence ran backwards"
        );
        assert!(newest == 0 || newest > self.newest_segment);
        (self.media_sequence, self.newest_segment) = (sequence, newest);
        let dates = text
            .lines()
            .filter_map(|line| after(line, "#EXT-X-PROGRAM-DATE-TIME:"));
        let dates: Vec<_> = dates
            .map(|date| UnixMillis::parse_rfc3339(&date).unwrap().0)
            .collect();
        assert!(dates.len() <= DATES_MAX, "{} segments", dates.len());
        if newest > self.set_in + SETTLED_SEGMENTS {
            let segment_ms = (PARTS_PER_SEGMENT * PART_DURATION_MS).cast_signed();
            let apart = now.wall.0 - segment_ms - dates.last().unwrap();
            assert!(
                apart.abs() < 500,
                "dates are {apart} ms off in segment {newest}"
            );
        }
    }

    /// Somebody sets the clock, or the process dies and comes back; gives the part that is made next.
    fn suffer(&mut self, next: PartIndex) -> PartIndex {
        let steps_ms = [HOUR_MS.cast_signed(), 1_000, 20_000];
        if self.chance.below(2) == 0 {
            let by_ms = steps_ms[usize::try_from(self.chance.below(3)).unwrap()];
            self.ahead_ms += if self.chance.below(2) == 0 {
                by_ms
            } else {
                -by_ms
            };
            self.set_in = next.segment();
            self.happened.0 += 1;
            return next;
        }
        self.happened.1 += 1;
        let away = 1 + self.chance.below(60);
        let Some(archive) = self.archive.take() else {
            return next;
        };
        drop(archive);
        let (archive, _) = Archive::open(self.folder.path(), &inits()).unwrap();
        assert_eq!(archive.next(), next, "what was on air is recorded");
        self.archive = Some(archive);
        // Silence takes the place of what was not made, up to where the clock is.
        let back = PartIndex(next.0 + away);
        for missing in next.0..back.0 {
            self.make(PartIndex(missing), Flags::GAP);
        }
        self.gaps += away;
        back
    }
}

#[test]
fn a_day_has_every_part_once_no_drift_and_no_growth() {
    let mut day = Day::new(2026);
    day.run();
    let (set, died) = day.happened;
    assert!(set > 8 && died > 8, "{set} and {died}");
    assert!(day.space.corrections.len() > 8);

    // 0 samples of drift: what was made is what the clock says.
    let made = day.window.next();
    let now = EPOCH.plus_ms(made.start_ms());
    assert_eq!(made.first_sample(), playhead(EPOCH, now));
    assert_eq!(made.0 * PART_SAMPLES, made.start_ms() * 48);

    let mut archive = day.archive.take().unwrap();
    archive.sync().unwrap();
    let reader = archive.reader();
    assert_eq!(reader.first(), day.space.doors_part.unwrap());
    assert_eq!(reader.next(), made);
    let mut gaps = 0;
    for index in reader.first().0..made.0 {
        let record = reader.record(PartIndex(index)).unwrap().unwrap();
        assert_eq!(record.index, PartIndex(index));
        gaps += u64::from(record.flags == Flags::GAP);
    }
    assert_eq!(gaps, day.gaps, "and no part but what nobody made is a gap");
}
