//! The life of a space: announced, doors, live, ended, or cancelled; what follows what, who may do it, and at which
//! part of the programme it takes effect.
//!
//! Acts of people and of the clock come in with the time; what changed goes out. A refused act changes nothing. The
//! lateness of a host is no state: doors stay open, and the hold programme plays, until somebody goes live or cancels.

mod acts;
mod chapters;
mod cue;
mod green_room;
mod keeping;
mod programme;
mod sound;
mod stage;

pub use acts::{Act, Actor, Change, Refusal, State};
pub use chapters::{CHAPTER_TITLE_CHARS_MAX, CHAPTERS_MAX, Chapter, Chapters};
pub use cue::{CUE_SECONDS_MAX, CUE_SECONDS_MIN};
pub use green_room::{GreenRoom, Place};
pub use keeping::{DeletedBy, Deletion, KEEP_DAYS_MAX};
pub use programme::{DELAY_SECONDS_MAX, MESSAGE_CHARS_MAX, ProgrammeSetting};
pub use sound::SoundSetting;
pub use stage::{GAIN_DB_MAX, GAIN_DB_MIN, SeatSetting, StageSetting};

use std::num::NonZeroU32;

use crate::dates::{Corrections, Dates, Now};
use crate::key::SeatNumber;
use crate::slug::Slug;
use crate::time::UnixMillis;
use crate::timeline::{PART_DURATION_MS, PART_SAMPLES, PartIndex, SAMPLE_RATE_HZ};

/// Doors open by themselves so long before the scheduled time: early enough that whoever comes a little early is
/// greeted by the programme, late enough that the archive is not filled with waiting.
pub const DOORS_LEAD_MS: u64 = 15 * 60 * 1_000;
/// The pipeline of a space starts within this time (mixer thread, five encoders, the archive's files); what starts
/// the pipeline takes effect no sooner.
pub const PIPELINE_START_MS: u64 = 1_000;
/// Inside a running pipeline an act reaches the mixer within three ticks of 20 ms; a part that begins sooner may be
/// half mixed already.
pub const CUT_LEAD_MS: u64 = 60;
/// What a programme can hold back at most, and somewhat more for the time that it takes to say so.
const PLAY_OUT_MS_MAX: u64 = DELAY_SECONDS_MAX as u64 * 1_000 + 1_000;
/// Longest title and reason, in characters: one line on a page, two on a telephone.
pub const TEXT_CHARS_MAX: usize = 200;
/// Most seats of one stage: as many as the mixer holds. Its mix-minus grows with each who talks.
pub const SPEAKERS_MAX: u32 = 32;

/// One space: the place with one URL. Its fields are what is stored; [`Space::apply`] alone changes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Space {
    /// Names its files and rows; opaque.
    pub id: String,
    /// Its place in the URL, for ever.
    pub slug: Slug,
    /// What it is called.
    pub title: String,
    /// When it was created, by the steady clock: the epoch of its programme.
    pub created_at: UnixMillis,
    /// Where the wall clock was set meanwhile, and dates with it.
    pub corrections: Corrections,
    /// When it is to go live, if that was said.
    pub scheduled_at: Option<UnixMillis>,
    /// Where in its life it is.
    pub state: State,
    /// The part at which the archive begins.
    pub doors_part: Option<PartIndex>,
    /// The part at which the recording begins.
    pub live_part: Option<PartIndex>,
    /// The first part after the recording.
    pub end_part: Option<PartIndex>,
    /// The moment of `live_part`.
    pub started_at: Option<UnixMillis>,
    /// The moment of `end_part`.
    pub ended_at: Option<UnixMillis>,
    /// Why it is late, in the host's words.
    pub delay_reason: Option<String>,
    /// Seats on its stage.
    pub speakers: u32,
    /// How many listeners the host reckons with, if that was said.
    pub expected_listeners: Option<NonZeroU32>,
    /// What the host has set of the stage.
    pub stage: StageSetting,
    /// What begins where in the recording.
    pub chapters: Chapters,
    /// For how long the recording is kept after the end, where that was said.
    pub keep_recording_days: Option<NonZeroU32>,
    /// Where there is no recording any more.
    pub recording_deleted: Option<Deletion>,
    /// What the host has set of the sound.
    pub sound: SoundSetting,
    /// What the host has set of the programme.
    pub programme: ProgrammeSetting,
}

/// What somebody who announces a space says.
#[derive(Clone, Debug)]
pub struct Announcement {
    /// See [`Space::id`].
    pub id: String,
    /// See [`Space::slug`].
    pub slug: Slug,
    /// See [`Space::title`].
    pub title: String,
    /// See [`Space::scheduled_at`].
    pub scheduled_at: Option<UnixMillis>,
    /// See [`Space::speakers`].
    pub speakers: u32,
    /// See [`Space::expected_listeners`].
    pub expected_listeners: Option<NonZeroU32>,
}

impl Space {
    /// A new space, whose programme begins now.
    pub fn announce(now: impl Into<Now>, announcement: Announcement) -> Result<Self, Refusal> {
        let now = now.into();
        let Announcement {
            id,
            slug,
            title,
            scheduled_at,
            speakers,
            expected_listeners,
        } = announcement;
        if !(1..=SPEAKERS_MAX).contains(&speakers) {
            return Err(Refusal::Speakers { asked: speakers });
        }
        Ok(Self {
            id,
            slug,
            title: one_line("title", &title)?,
            created_at: now.steady,
            corrections: Corrections::at_epoch(now),
            scheduled_at,
            state: State::Announced,
            doors_part: None,
            live_part: None,
            end_part: None,
            started_at: None,
            ended_at: None,
            delay_reason: None,
            speakers,
            expected_listeners,
            stage: StageSetting::default(),
            chapters: Chapters::default(),
            keep_recording_days: None,
            recording_deleted: None,
            sound: SoundSetting::default(),
            programme: ProgrammeSetting::default(),
        })
    }

    /// Does an act, or refuses it and stays as it is.
    pub fn apply(
        &mut self,
        now: impl Into<Now>,
        actor: Actor,
        act: Act,
    ) -> Result<Change, Refusal> {
        let Now { wall, steady: now } = now.into();
        if actor == Actor::Cohost && act.is_for_the_host() {
            return Err(Refusal::NotForCohosts { act: act.name() });
        }
        if actor == Actor::Clock && !self.clock_may(wall, &act) {
            return Err(Refusal::NotForTheClock { act: act.name() });
        }
        if !self.state.allows(&act) {
            return Err(Refusal::DoesNotFollow {
                state: self.state,
                act: act.name(),
            });
        }
        let change = match act {
            Act::OpenDoors => self.open_doors(now),
            Act::GoLive => self.go_live(now),
            Act::End => self.end(now, 0),
            Act::PlayOut { held_ms } => self.end(now, held_ms.min(PLAY_OUT_MS_MAX)),
            Act::Cancel => self.cancel(),
            Act::DeleteRecording => self.delete_recording(wall, actor),
            edit => self.edit(now, edit)?,
        };
        debug_assert_eq!(self.check_invariants(), Ok(()));
        Ok(change)
    }

    /// Does an act that changes what is said or set of the space, and not where it is in its life.
    fn edit(&mut self, now: UnixMillis, act: Act) -> Result<Change, Refusal> {
        let line_of = |reason: Option<String>| {
            let reason = reason.map(|reason| one_line("reason", &reason));
            reason.transpose()
        };
        match act {
            Act::Reschedule {
                scheduled_at,
                reason,
            } => {
                self.delay_reason = line_of(reason)?;
                self.scheduled_at = Some(scheduled_at);
            }
            Act::SetDelayReason(reason) => self.delay_reason = line_of(reason)?,
            Act::Expect(listeners) => self.expected_listeners = listeners,
            Act::Rename(title) => self.title = one_line("title", &title)?,
            Act::KeepTracks(tracks) => self.keep_tracks(tracks)?,
            Act::Level(levelling) => self.sound.levelling = levelling,
            Act::SetDelay(seconds) => self.set_delay(seconds)?,
            Act::SetMessage(message) => self.programme.set_message(message)?,
            Act::SetSeat {
                seat,
                muted,
                gain_db,
            } => return self.set_seat(seat, muted, gain_db),
            Act::LockStage { seated } => self.stage.lock_with(seated),
            Act::UnlockStage => self.stage.unlock(),
            Act::Dismiss(seat) => self.stage.dismiss(seat),
            Act::MarkChapter { at_ms, title } => return self.mark_chapter(now, at_ms, &title),
            Act::MarkSpeeches(speeches) => return self.mark_speeches(now, &speeches),
            Act::EditChapter { id, at_ms, title } => {
                return self.edit_chapter(now, id, at_ms, title.as_deref());
            }
            Act::Place { seat, place } => {
                self.check_seat(seat)?;
                self.stage.green_room.put(seat, place);
            }
            Act::SetGreenRoom { is_open, seated } => {
                self.stage.green_room.set_open(is_open, &seated);
            }
            Act::RemoveChapter(id) => return self.remove_chapter(id),
            Act::KeepRecording(days) => return self.keep_recording(days),
            Act::Cancel
            | Act::DeleteRecording
            | Act::End
            | Act::GoLive
            | Act::OpenDoors
            | Act::PlayOut { .. } => {
                unreachable!("a step of its life is no edit")
            }
        }
        Ok(Change::Edited)
    }

    /// When [`Actor::Clock`] is to open the doors, if it is. May lie in the past.
    pub fn next_deadline(&self) -> Option<UnixMillis> {
        let scheduled_at = self
            .scheduled_at
            .filter(|_| self.state == State::Announced)?;
        Some(scheduled_at.minus_ms(DOORS_LEAD_MS))
    }

    /// The wall time at which a part begins.
    pub fn moment(&self, part: PartIndex) -> UnixMillis {
        let within_ms = part.part_in_segment() * PART_DURATION_MS;
        self.dates().of_segment(part.segment()).plus_ms(within_ms)
    }

    /// The dates of its programme.
    pub fn dates(&self) -> Dates<'_> {
        Dates {
            epoch: self.created_at,
            corrections: Some(&self.corrections),
        }
    }

    /// Follows a wall clock that was set; says whether dates have changed. Only those of segments to come do, and none
    /// that an act was given: behind a delay that lies seconds ahead.
    pub fn correct_dates(&mut self, now: Now) -> bool {
        let playing = PartIndex::holding(playhead(self.created_at, now.steady));
        let dated = self.live_part.max(self.end_part).unwrap_or_default();
        let wall_ahead_ms = now.wall.0.saturating_sub(now.steady.0);
        let due = self
            .corrections
            .due(wall_ahead_ms, playing.max(dated).segment());
        if let Some(due) = due {
            self.corrections.push(due);
        }
        debug_assert_eq!(self.check_invariants(), Ok(()));
        due.is_some()
    }

    /// The part that is playing, for a process that knows the wall clock alone.
    pub fn part_at(&self, wall: UnixMillis) -> PartIndex {
        let steady = wall.shifted_ms(self.corrections.last_shift_ms().saturating_neg());
        PartIndex::holding(playhead(self.created_at, steady))
    }

    /// What is true of every space. A stored space that breaks it was damaged.
    pub fn check_invariants(&self) -> Result<(), &'static str> {
        let (doors, live, end) = (self.doors_part, self.live_part, self.end_part);
        let expected = match self.state {
            State::Announced => !(doors.is_some() || live.is_some() || end.is_some()),
            State::Doors => doors.is_some() && live.is_none() && end.is_none(),
            State::Live => doors.is_some() && live.is_some() && end.is_none(),
            State::Ended => doors.is_some() && live.is_some() && end.is_some(),
            State::Cancelled => live.is_none() && end.is_none(),
        };
        let rule = |holds: bool, broken: &'static str| if holds { Ok(()) } else { Err(broken) };
        rule(
            expected,
            "the parts at which things began do not match the state",
        )?;
        rule(live.is_none() || doors <= live, "live before doors")?;
        rule(
            end.is_none() || live < end,
            "the end is not after the start",
        )?;
        rule(
            self.started_at == live.map(|part| self.moment(part)),
            "the start is not the moment of its part",
        )?;
        rule(
            self.ended_at == end.map(|part| self.moment(part)),
            "the end is not the moment of its part",
        )?;
        rule(
            (1..=SPEAKERS_MAX).contains(&self.speakers),
            "a stage of impossible size",
        )?;
        rule(self.chapters.is_sound(), "chapters that no host can make")?;
        rule(
            self.recording_deleted.is_none() || self.state == State::Ended,
            "a recording that is gone before the end",
        )?;
        rule(
            self.stage.fits(self.speakers),
            "a setting of the stage that no host can make",
        )?;
        rule(
            self.programme.is_sound(),
            "a setting of the programme that no host can make",
        )?;
        rule(
            one_line("title", &self.title).is_ok_and(|title| title == self.title),
            "a title that is not one line",
        )?;
        let reason_holds =
            |reason: &String| one_line("reason", reason).is_ok_and(|line| line == *reason);
        rule(
            self.delay_reason.as_ref().is_none_or(reason_holds),
            "a reason that is not one line",
        )
    }

    fn clock_may(&self, now: UnixMillis, act: &Act) -> bool {
        let due = self.next_clock_act();
        due.is_some_and(|(at, due)| due == *act && at <= now)
    }

    fn open_doors(&mut self, now: UnixMillis) -> Change {
        let part = first_part_after(self.created_at, now, PIPELINE_START_MS);
        self.state = State::Doors;
        self.doors_part = Some(part);
        Change::DoorsOpened(part)
    }

    /// From announced, the pipeline starts with the show itself; from doors, the cut waits for the doors to take effect.
    /// What is said from then on is heard after the delay of the programme, and there the recording begins: nothing that
    /// was said before is in it.
    fn go_live(&mut self, now: UnixMillis) -> Change {
        let listened = match self.doors_part {
            None => first_part_after(self.created_at, now, PIPELINE_START_MS),
            Some(doors) => first_part_after(self.created_at, now, CUT_LEAD_MS).max(doors),
        };
        let part = self.programme.heard_from(listened);
        self.state = State::Live;
        self.doors_part.get_or_insert(listened);
        self.live_part = Some(part);
        self.started_at = Some(self.moment(part));
        self.delay_reason = None;
        Change::WentLive(part)
    }

    /// What was said by now is still heard, if the programme holds some of it.
    fn end(&mut self, now: UnixMillis, held_ms: u64) -> Change {
        let shortest = self
            .live_part
            .expect("only a live space ends, and a live space has a live part")
            .next();
        let part = first_part_after(self.created_at, now, CUT_LEAD_MS + held_ms).max(shortest);
        self.state = State::Ended;
        self.end_part = Some(part);
        self.ended_at = Some(self.moment(part));
        Change::Ended(part)
    }

    fn cancel(&mut self) -> Change {
        self.state = State::Cancelled;
        Change::Cancelled
    }

    /// What is taken back of a programme must not lie on in a track.
    fn set_delay(&mut self, seconds: u8) -> Result<(), Refusal> {
        if seconds > 0 && self.sound.tracks {
            return Err(Refusal::DelayWithTracks);
        }
        self.programme.set_delay(seconds)
    }

    fn keep_tracks(&mut self, tracks: bool) -> Result<(), Refusal> {
        if tracks && self.programme.delay_seconds > 0 {
            return Err(Refusal::DelayWithTracks);
        }
        self.sound.tracks = tracks;
        Ok(())
    }

    fn set_seat(
        &mut self,
        seat: SeatNumber,
        muted: Option<bool>,
        gain_db: Option<i32>,
    ) -> Result<Change, Refusal> {
        self.check_seat(seat)?;
        let before = self.stage.seat(seat);
        let setting = SeatSetting {
            muted: muted.unwrap_or(before.muted),
            gain_db: gain_db.unwrap_or(before.gain_db),
        };
        if !setting.is_sound() {
            return Err(Refusal::Gain {
                asked: setting.gain_db,
            });
        }
        self.stage.set(seat, setting);
        Ok(Change::Edited)
    }

    fn check_seat(&self, seat: SeatNumber) -> Result<(), Refusal> {
        if (1..=self.speakers).contains(&seat.0) {
            return Ok(());
        }
        Err(Refusal::Seat {
            asked: seat.0,
            seats: self.speakers,
        })
    }
}

/// The sample that the programme has reached, by the steady clock; 0 before the epoch.
pub fn playhead(epoch: UnixMillis, now: UnixMillis) -> u64 {
    now.ms_since(epoch) * (SAMPLE_RATE_HZ / 1_000)
}

/// The first part that begins at least so long after now.
fn first_part_after(epoch: UnixMillis, now: UnixMillis, lead_ms: u64) -> PartIndex {
    PartIndex(playhead(epoch, now.plus_ms(lead_ms)).div_ceil(PART_SAMPLES))
}

fn one_line(what: &'static str, text: &str) -> Result<String, Refusal> {
    line_of(text, TEXT_CHARS_MAX).ok_or(Refusal::Text { what })
}

/// A text that people read as one line: trimmed, not empty, not long, without control characters.
fn line_of(text: &str, chars_max: usize) -> Option<String> {
    let text = text.trim();
    let chars = text.chars().count();
    let is_line = (1..=chars_max).contains(&chars) && !text.chars().any(char::is_control);
    is_line.then(|| text.to_owned())
}

#[cfg(test)]
mod tests;
