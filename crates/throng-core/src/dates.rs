//! The dates of a programme: which wall time a segment has, also where the wall clock was set meanwhile.
//!
//! A programme runs by a steady clock that nobody sets. Where the wall clock is set, a leap second comes or the machine
//! sleeps, the two clocks part, and the dates of later segments are corrected. A date must not name two segments of one
//! playlist (RFC 8216bis, 6.2.1): what was said cannot be said again. Hence dates go forward at once; back at once where
//! no listed segment has such a date; and else by less than a second with each segment, an overlap that the standard
//! allows.

use crate::time::UnixMillis;
use crate::timeline::{PART_DURATION_MS, PARTS_PER_SEGMENT};

/// The time as a space needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// What a clock on the wall shows: for keys, appointments and dates.
    pub wall: UnixMillis,
    /// What it would show had nobody ever set it: for the timeline. It never runs backwards.
    pub steady: UnixMillis,
}

impl From<UnixMillis> for Now {
    /// Both clocks agree.
    fn from(time: UnixMillis) -> Self {
        Self {
            wall: time,
            steady: time,
        }
    }
}

/// From a segment on, dates lie so much later than before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Correction {
    /// The first segment with the new dates.
    pub segment: u64,
    /// Negative where the clock was set back.
    pub by_ms: i64,
}

/// How often the dates of one programme are corrected: a setback of a minute is worked off in 63 steps. Beyond, they stay
/// as they are; a clock that is set so often shows no time to correct them by.
pub const CORRECTIONS_MAX: usize = 128;
/// Clocks that are not farther apart show the same: NTP slews what is less than half a second rather than step over it.
const APART_MS: u64 = 500;
/// A new date may fall into the segment before it by so much: three parts, and less than a second.
const OVERLAP_MS: u64 = 3 * PART_DURATION_MS;
/// Segments of which the dates stand in one live playlist (twelve and the one in the making), and the correction's lead.
const LISTED: u64 = 16;
/// A correction is made so many segments ahead of the playhead, or of the last part that an act has dated: no date that
/// was told changes.
const LEAD: u64 = 2;
const SEGMENT_MS: u64 = PARTS_PER_SEGMENT * PART_DURATION_MS;

/// All corrections of a programme, by their segments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Corrections(Vec<Correction>);

impl Corrections {
    /// Those that were kept or told. `None` where they do not follow one another or are too many.
    pub fn new(corrections: Vec<Correction>) -> Option<Self> {
        let follows = corrections
            .windows(2)
            .all(|pair| pair[0].segment < pair[1].segment);
        (follows && corrections.len() <= CORRECTIONS_MAX).then_some(Self(corrections))
    }

    /// Those of a programme that begins now: its epoch is a steady time, and people read wall time.
    pub fn at_epoch(now: Now) -> Self {
        let by_ms = now.wall.0.saturating_sub(now.steady.0);
        if by_ms.unsigned_abs() < APART_MS {
            return Self::default();
        }
        Self(vec![Correction { segment: 0, by_ms }])
    }

    /// Each, in its order.
    pub fn iter(&self) -> impl Iterator<Item = &Correction> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the clock was never set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How much later a segment is dated than a steady clock says.
    pub fn shift_ms(&self, segment: u64) -> i64 {
        let before = self.0.iter().take_while(|one| one.segment <= segment);
        before.fold(0, |sum, one| sum.saturating_add(one.by_ms))
    }

    /// The same for whatever is yet to come.
    pub fn last_shift_ms(&self) -> i64 {
        self.shift_ms(u64::MAX)
    }

    /// What has to be corrected, when the wall clock stands so much ahead of the steady one and a segment is playing, or
    /// the last that is dated for good.
    pub fn due(&self, wall_ahead_ms: i64, playing: u64) -> Option<Correction> {
        let by_ms = wall_ahead_ms.saturating_sub(self.last_shift_ms());
        if by_ms.unsigned_abs() < APART_MS || self.0.len() == CORRECTIONS_MAX {
            return None;
        }
        let after_last = self.0.last().map_or(0, |last| last.segment + 1);
        let segment = (playing + LEAD).max(after_last);
        let overlap = Correction {
            segment,
            by_ms: by_ms.max(-OVERLAP_MS.cast_signed()),
        };
        [Correction { segment, by_ms }, overlap]
            .into_iter()
            .find(|correction| !self.is_ambiguous(correction))
    }

    /// Adds what is due.
    pub fn push(&mut self, due: Correction) {
        self.0.push(due);
    }

    /// Whether a date from the correction on would, while both are listed, lie in an earlier segment, too.
    fn is_ambiguous(&self, correction: &Correction) -> bool {
        let at = |segment: u64| (segment * SEGMENT_MS).cast_signed();
        let shift = self.last_shift_ms().saturating_add(correction.by_ms);
        let new = at(correction.segment).saturating_add(shift);
        let new_end = new.saturating_add((LISTED * SEGMENT_MS).cast_signed());
        (correction.segment.saturating_sub(LISTED)..correction.segment).any(|segment| {
            let is_next = segment + 1 == correction.segment;
            let own_ms = SEGMENT_MS - if is_next { OVERLAP_MS } else { 0 };
            let begin = at(segment).saturating_add(self.shift_ms(segment));
            let end = begin.saturating_add(own_ms.cast_signed());
            new < end && begin < new_end
        })
    }
}

/// The dates of one programme.
#[derive(Clone, Copy, Debug)]
pub struct Dates<'c> {
    /// When its first sample was due, by the steady clock.
    pub epoch: UnixMillis,
    /// What was corrected since; `None` for a clock that was never set.
    pub corrections: Option<&'c Corrections>,
}

impl Dates<'_> {
    /// Whether the dates of a programme that has begun jump at the beginning of a segment.
    pub fn is_corrected_at(&self, segment: u64) -> bool {
        self.jumps().any(|at| at == segment)
    }

    /// How often they jump before a segment.
    pub fn corrected_before(&self, segment: u64) -> u64 {
        self.jumps().filter(|at| *at < segment).count() as u64
    }

    fn jumps(&self) -> impl Iterator<Item = u64> {
        let corrections = self.corrections.into_iter().flat_map(Corrections::iter);
        corrections.map(|one| one.segment).filter(|at| *at > 0)
    }

    /// The wall time at which a segment begins.
    pub fn of_segment(&self, segment: u64) -> UnixMillis {
        let shift_ms = self
            .corrections
            .map_or(0, |corrections| corrections.shift_ms(segment));
        self.epoch
            .plus_ms(segment.saturating_mul(SEGMENT_MS))
            .shifted_ms(shift_ms)
    }
}

impl From<UnixMillis> for Dates<'_> {
    fn from(epoch: UnixMillis) -> Self {
        Self {
            epoch,
            corrections: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR_MS: i64 = 3_600_000;
    const EPOCH: UnixMillis = UnixMillis(1_796_155_200_000);

    /// The corrections when the wall clock is looked at in each segment, and stands ahead as it is told there.
    fn after(wall_ahead_ms: impl Fn(u64) -> i64, segments: u64) -> Corrections {
        let mut corrections = Corrections::default();
        for playing in 0..segments {
            if let Some(due) = corrections.due(wall_ahead_ms(playing), playing) {
                corrections.push(due);
            }
        }
        corrections
    }

    fn dated(corrections: &Corrections) -> Vec<(u64, i64)> {
        corrections
            .iter()
            .map(|one| (one.segment, one.by_ms))
            .collect()
    }

    #[test]
    fn a_clock_that_is_set_forward_or_far_back_is_followed_at_once() {
        assert_eq!(dated(&after(|_| HOUR_MS, 20)), [(2, HOUR_MS)]);
        assert_eq!(dated(&after(|_| -HOUR_MS, 20)), [(2, -HOUR_MS)]);
        let there_and_back = after(|playing| if playing < 3 { HOUR_MS } else { 0 }, 20);
        assert_eq!(dated(&there_and_back), [(2, HOUR_MS), (5, -HOUR_MS)]);
    }

    #[test]
    fn a_leap_second_is_an_overlap_of_less_than_a_second() {
        // RFC 8216bis, 6.2.1: sub-second overlaps are allowed for drift.
        assert_eq!(dated(&after(|_| -1_000, 100)), [(2, -960)]);
        assert_eq!(dated(&after(|_| 1_000, 100)), [(2, 1_000)]);
        assert_eq!(dated(&after(|_| 499, 100)), [], "nothing to speak of");
    }

    #[test]
    fn what_would_be_ambiguous_is_worked_off_in_steps() {
        let corrections = after(|_| -10_000, 100);
        assert_eq!(corrections.len(), 10);
        assert_eq!(corrections.last_shift_ms(), -9_600);
        assert!(corrections.iter().all(|one| one.by_ms == -960));
    }

    #[test]
    fn only_the_segment_before_is_overlapped() {
        let back_and_forth = after(
            |playing| if playing < 1 { -2_388_460 } else { -27_840 },
            100,
        );
        let dates = Dates {
            epoch: EPOCH,
            corrections: Some(&back_and_forth),
        };
        let begin = |segment| dates.of_segment(segment).0;
        let jump = back_and_forth.iter().nth(1).unwrap().segment;
        assert!(
            (0..2).all(|old| begin(jump) >= begin(old) + 3_840),
            "{back_and_forth:?}"
        );
    }

    #[test]
    fn a_programme_that_begins_after_the_clocks_have_parted_has_wall_dates() {
        let now = Now {
            wall: EPOCH.plus_ms(5_000),
            steady: EPOCH,
        };
        let corrections = Corrections::at_epoch(now);
        let dates = Dates {
            epoch: now.steady,
            corrections: Some(&corrections),
        };
        assert_eq!(dates.of_segment(0), now.wall);
    }

    #[test]
    fn what_was_kept_in_another_order_is_not_taken() {
        let one = |segment| Correction { segment, by_ms: 1 };
        assert!(Corrections::new(vec![one(1), one(2)]).is_some());
        assert!(Corrections::new(vec![one(2), one(2)]).is_none());
        assert!(Corrections::new((0..=128).map(one).collect()).is_none());
    }

    proptest! {
        /// RFC 8216bis, 6.2.1: no date names two segments of a playlist, but for less than a second of the one before.
        #[test]
        fn no_date_is_ambiguous_in_a_playlist_however_the_clock_is_set(
            steps in proptest::collection::vec((0_u64..40, prop_oneof![
                -HOUR_MS..HOUR_MS, -70_000_i64..70_000, -2_000_i64..2_000
            ]), 1..8),
        ) {
            let mut set = Vec::new();
            let mut at = 0;
            for (pause, by_ms) in steps {
                at += pause;
                set.push((at, by_ms));
            }
            let ahead = |playing| set.iter().filter(|step| step.0 <= playing).map(|step| step.1).sum();
            let last = at + 200;
            let corrections = after(ahead, last);
            let dates = Dates { epoch: EPOCH, corrections: Some(&corrections) };
            let begin = |segment| dates.of_segment(segment).0;
            for segment in 0..last {
                for earlier in segment.saturating_sub(13)..segment {
                    let overlap = (begin(segment) + 3_840).min(begin(earlier) + 3_840) - begin(segment).max(begin(earlier));
                    let allowed = if earlier + 1 == segment { 960 } else { 0 };
                    prop_assert!(overlap <= allowed, "{earlier} and {segment} share {overlap} ms: {corrections:?}");
                }
            }
            let apart = ahead(last) - corrections.last_shift_ms();
            prop_assert!(apart.abs() < 500 || corrections.len() == CORRECTIONS_MAX, "still {apart} ms apart");
        }
    }
}
