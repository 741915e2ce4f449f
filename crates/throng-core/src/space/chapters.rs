//! Chapters: places in the recording that have a name, in their order.
//!
//! A place is told in milliseconds of the recording, which begins when the space goes live. A number is never given twice
//! in one space: who deletes what somebody else has deleted already does not hit another.

use serde::{Deserialize, Serialize};

use super::{Change, Refusal, Space, State, line_of, playhead};
use crate::time::UnixMillis;
use crate::timeline::{PartIndex, SAMPLE_RATE_HZ};
use crate::turns::Speech;

/// Most chapters of a recording: one every three minutes of ten hours. More are refused.
pub const CHAPTERS_MAX: usize = 200;
/// Longest title, in characters: one line of a player's list.
pub const CHAPTER_TITLE_CHARS_MAX: usize = 120;
/// A speech so near to where a chapter begins, 10 s, is what that chapter is about.
const NEAR_MS: u64 = 10_000;

/// A place in the recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chapter {
    /// Names it within its space.
    pub id: u32,
    /// Where it begins, in milliseconds since go-live.
    pub at_ms: u64,
    /// What begins there.
    pub title: String,
}

/// All chapters of a space, by where they begin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chapters {
    next_id: u32,
    chapters: Vec<Chapter>,
}

impl Chapters {
    /// Each, in its order.
    pub fn iter(&self) -> impl Iterator<Item = &Chapter> {
        self.chapters.iter()
    }

    /// Whether there are none, and never were.
    pub fn is_untouched(&self) -> bool {
        self.next_id == 0
    }

    /// How many more there may be.
    pub fn room(&self) -> usize {
        CHAPTERS_MAX.saturating_sub(self.chapters.len())
    }

    /// The one that was made last, if it is still there.
    pub fn newest(&self) -> Option<&Chapter> {
        let id = self.next_id.checked_sub(1)?;
        self.chapters.iter().find(|chapter| chapter.id == id)
    }

    /// The chapter of a number.
    pub fn find(&self, id: u32) -> Option<&Chapter> {
        self.chapters.iter().find(|chapter| chapter.id == id)
    }

    /// Whether they keep their bounds. What was kept and does not was damaged.
    pub fn is_sound(&self) -> bool {
        let follow = |pair: &[Chapter]| place(&pair[0]) < place(&pair[1]);
        let is_sound = |chapter: &Chapter| {
            let title = line_of(&chapter.title, CHAPTER_TITLE_CHARS_MAX);
            chapter.id < self.next_id && title.is_some_and(|title| title == chapter.title)
        };
        self.chapters.len() <= CHAPTERS_MAX
            && self.chapters.windows(2).all(follow)
            && self.chapters.iter().all(is_sound)
    }

    fn add(&mut self, at_ms: u64, title: String) -> Result<(), Refusal> {
        let id = self.next_id;
        if self.chapters.len() >= CHAPTERS_MAX || id == u32::MAX {
            return Err(Refusal::ChaptersFull);
        }
        self.next_id = id + 1;
        self.chapters.push(Chapter { id, at_ms, title });
        self.chapters.sort_by_key(place);
        Ok(())
    }

    fn find_mut(&mut self, id: u32) -> Result<&mut Chapter, Refusal> {
        let mut chapters = self.chapters.iter_mut();
        chapters
            .find(|chapter| chapter.id == id)
            .ok_or(Refusal::UnknownChapter { asked: id })
    }
}

/// Two may begin at the same moment: then the older one comes first.
const fn place(chapter: &Chapter) -> (u64, u32) {
    (chapter.at_ms, chapter.id)
}

impl Space {
    /// How long the recording is, as far as it has come.
    fn recorded_ms(&self, now: UnixMillis) -> u64 {
        let begin_ms = self.live_part.map_or(0, PartIndex::start_ms);
        let end_ms = match self.end_part {
            Some(end) => end.start_ms(),
            None => playhead(self.created_at, now) / (SAMPLE_RATE_HZ / 1_000),
        };
        end_ms.saturating_sub(begin_ms)
    }

    /// Marks a chapter at a place, or where the programme is now.
    pub(super) fn mark_chapter(
        &mut self,
        now: UnixMillis,
        at_ms: Option<u64>,
        title: &str,
    ) -> Result<Change, Refusal> {
        let title = chapter_title(title)?;
        let at_ms = match at_ms {
            Some(at_ms) => self.within_recording(now, at_ms)?,
            None if self.state == State::Live => self.recorded_ms(now),
            None => return Err(Refusal::ChapterWithoutPlace),
        };
        self.chapters.add(at_ms, title)?;
        Ok(Change::Edited)
    }

    /// Marks a chapter wherever a speech begins, but where one does already. All of them, or none.
    pub(super) fn mark_speeches(
        &mut self,
        now: UnixMillis,
        speeches: &[Speech],
    ) -> Result<Change, Refusal> {
        let begin_ms = self.live_part.map_or(0, PartIndex::start_ms);
        let length_ms = self.recorded_ms(now);
        let mut chapters = self.chapters.clone();
        for speech in speeches {
            let at_ms = speech.from_part.start_ms().saturating_sub(begin_ms);
            let at_ms = at_ms.min(length_ms);
            let is_near = |chapter: &Chapter| chapter.at_ms.abs_diff(at_ms) < NEAR_MS;
            if !self.chapters.iter().any(is_near) {
                chapters.add(at_ms, format!("Speaker {}", speech.seat.0))?;
            }
        }
        self.chapters = chapters;
        Ok(Change::Edited)
    }

    /// Moves or renames a chapter; what is not said stays.
    pub(super) fn edit_chapter(
        &mut self,
        now: UnixMillis,
        id: u32,
        at_ms: Option<u64>,
        title: Option<&str>,
    ) -> Result<Change, Refusal> {
        let at_ms = at_ms.map(|at_ms| self.within_recording(now, at_ms));
        let (at_ms, title) = (at_ms.transpose()?, title.map(chapter_title).transpose()?);
        let chapter = self.chapters.find_mut(id)?;
        chapter.at_ms = at_ms.unwrap_or(chapter.at_ms);
        if let Some(title) = title {
            chapter.title = title;
        }
        self.chapters.chapters.sort_by_key(place);
        Ok(Change::Edited)
    }

    pub(super) fn remove_chapter(&mut self, id: u32) -> Result<Change, Refusal> {
        self.chapters.find_mut(id)?;
        self.chapters.chapters.retain(|chapter| chapter.id != id);
        Ok(Change::Edited)
    }

    fn within_recording(&self, now: UnixMillis, at_ms: u64) -> Result<u64, Refusal> {
        let length_ms = self.recorded_ms(now);
        if at_ms > length_ms {
            let seconds = length_ms / 1_000;
            return Err(Refusal::ChapterPlace { seconds });
        }
        Ok(at_ms)
    }
}

fn chapter_title(text: &str) -> Result<String, Refusal> {
    line_of(text, CHAPTER_TITLE_CHARS_MAX).ok_or(Refusal::ChapterTitle)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, space};
    use super::super::{Act, Actor};
    use super::*;
    use crate::key::SeatNumber;

    fn live() -> Space {
        let mut space = space(None);
        space.apply(at(0), Actor::Host, Act::GoLive).unwrap();
        assert_eq!(space.live_part.unwrap().start_ms(), 1_280);
        space
    }

    fn mark(space: &mut Space, ms: u64, at_ms: Option<u64>, title: &str) -> Result<u32, Refusal> {
        let title = title.to_owned();
        let act = Act::MarkChapter { at_ms, title };
        space.apply(at(ms), Actor::Host, act)?;
        Ok(space.chapters.newest().unwrap().id)
    }

    fn places(space: &Space) -> Vec<(u64, &str)> {
        let places = space.chapters.iter();
        places
            .map(|chapter| (chapter.at_ms, chapter.title.as_str()))
            .collect()
    }

    #[test]
    fn a_chapter_is_marked_where_the_programme_is_or_where_the_host_says() {
        let mut space = live();
        mark(&mut space, 0, None, "Before the cut").unwrap();
        mark(&mut space, 13_780, None, " Questions ").unwrap();
        mark(&mut space, 14_000, Some(2_000), "Welcome").unwrap();
        let expected = [
            (0, "Before the cut"),
            (2_000, "Welcome"),
            (12_500, "Questions"),
        ];
        assert_eq!(places(&space), expected);
        let late = mark(&mut space, 14_000, Some(12_721), "Later");
        assert_eq!(late, Err(Refusal::ChapterPlace { seconds: 12 }));
    }

    #[test]
    fn after_the_end_a_place_must_be_told_and_lie_within_the_recording() {
        let mut space = space(None);
        let early = mark(&mut space, 0, Some(0), "Early");
        assert!(matches!(early, Err(Refusal::DoesNotFollow { .. })));
        space.apply(at(0), Actor::Host, Act::GoLive).unwrap();
        space.apply(at(10_000), Actor::Host, Act::End).unwrap();
        let placeless = mark(&mut space, 99_000, None, "Where?");
        assert_eq!(placeless, Err(Refusal::ChapterWithoutPlace));
        mark(&mut space, 99_000, Some(8_960), "The last word").unwrap();
        let beyond = mark(&mut space, 99_000, Some(8_961), "Beyond");
        assert_eq!(beyond, Err(Refusal::ChapterPlace { seconds: 8 }));
    }

    #[test]
    fn a_chapter_is_moved_renamed_and_removed_and_its_number_is_not_given_again() {
        let mut space = live();
        let first = mark(&mut space, 60_000, Some(1_000), "First").unwrap();
        let second = mark(&mut space, 60_000, Some(2_000), "Second").unwrap();
        let edit = |id, at_ms, title: Option<&str>| Act::EditChapter {
            id,
            at_ms,
            title: title.map(str::to_owned),
        };
        let mut apply = |act| space.apply(at(60_000), Actor::Host, act).map(drop);
        apply(edit(first, Some(3_000), None)).unwrap();
        apply(edit(second, None, Some("The second"))).unwrap();
        apply(Act::RemoveChapter(first)).unwrap();
        let gone = Err(Refusal::UnknownChapter { asked: first });
        assert_eq!(apply(Act::RemoveChapter(first)), gone);
        assert_eq!(apply(edit(first, None, None)), gone);
        assert_eq!(places(&space), [(2_000, "The second")]);
        let third = mark(&mut space, 60_000, Some(0), "Third").unwrap();
        assert!(third > second);
    }

    #[test]
    fn a_chapter_is_marked_where_a_speech_begins_but_where_one_does_already() {
        let mut space = live();
        mark(&mut space, 99_000, Some(40_000), "Questions").unwrap();
        let speech = |ms: u64, seat| Speech {
            from_part: PartIndex((ms + 1_280) / 320),
            seat: SeatNumber(seat),
            parts: 94,
        };
        let speeches = vec![
            speech(320, 1),
            speech(31_040, 3),
            speech(52_160, 2),
            speech(192_000, 1),
        ];
        let expected = [
            (320, "Speaker 1"),
            (40_000, "Questions"),
            (52_160, "Speaker 2"),
            (97_720, "Speaker 1"),
        ];
        for _ in 0..2 {
            let act = Act::MarkSpeeches(speeches.clone());
            space.apply(at(99_000), Actor::Cohost, act).unwrap();
            assert_eq!(places(&space), expected, "also when it is asked again");
        }
    }

    #[test]
    fn speeches_for_which_there_is_no_room_are_marked_all_or_none() {
        let mut space = live();
        for number in 1..CHAPTERS_MAX {
            mark(&mut space, 9_000, Some(number as u64), "One").unwrap();
        }
        assert_eq!(space.chapters.room(), 1);
        let speech = |part| Speech {
            from_part: PartIndex(part),
            seat: SeatNumber(1),
            parts: 94,
        };
        let act = Act::MarkSpeeches(vec![speech(100), speech(200)]);
        let full = space.apply(at(99_000), Actor::Host, act);
        assert_eq!(full, Err(Refusal::ChaptersFull));
        assert_eq!(space.chapters.room(), 1);
    }

    #[test]
    fn chapters_are_bounded_in_number_and_in_length() {
        let mut space = live();
        for bad in ["", " ", "two\nlines", &"x".repeat(121)] {
            assert_eq!(
                mark(&mut space, 9_000, None, bad),
                Err(Refusal::ChapterTitle)
            );
        }
        for number in 0..CHAPTERS_MAX {
            mark(&mut space, 9_000, Some(number as u64), &"é".repeat(120)).unwrap();
        }
        let full = mark(&mut space, 9_000, None, "One more");
        assert_eq!(full, Err(Refusal::ChaptersFull));
        assert_eq!(space.check_invariants(), Ok(()));
    }
}
