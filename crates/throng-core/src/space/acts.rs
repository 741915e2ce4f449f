//! The words of a space's life: its states, who acts, what can be done, what changed, and why not.

use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    CHAPTER_TITLE_CHARS_MAX, CHAPTERS_MAX, CUE_SECONDS_MAX, CUE_SECONDS_MIN, DELAY_SECONDS_MAX,
    GAIN_DB_MAX, GAIN_DB_MIN, KEEP_DAYS_MAX, MESSAGE_CHARS_MAX, Place, SPEAKERS_MAX,
    TEXT_CHARS_MAX,
};
use crate::key::SeatNumber;
use crate::time::UnixMillis;
use crate::timeline::PartIndex;
use crate::turns::Speech;

/// Where in its life a space is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The link exists; the hold programme plays.
    Announced,
    /// The programme is mixed and archived; the hold programme plays in it.
    Doors,
    /// The stage is heard.
    Live,
    /// Over; the same link plays the replay.
    Ended,
    /// It will not take place.
    Cancelled,
}

impl State {
    /// Every state, in the order of a life.
    pub const ALL: [Self; 5] = [
        Self::Announced,
        Self::Doors,
        Self::Live,
        Self::Ended,
        Self::Cancelled,
    ];

    /// The name in JSON and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Announced => "announced",
            Self::Doors => "doors",
            Self::Live => "live",
            Self::Ended => "ended",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of a name, if there is one.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether nothing more will come: ended or cancelled.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Ended | Self::Cancelled)
    }

    /// Whether the act may follow this state.
    pub(super) const fn allows(self, act: &Act) -> bool {
        match act {
            Act::OpenDoors => matches!(self, Self::Announced),
            Act::GoLive
            | Act::Cancel
            | Act::KeepTracks(_)
            | Act::Reschedule { .. }
            | Act::SetDelayReason(_) => {
                matches!(self, Self::Announced | Self::Doors)
            }
            Act::End | Act::PlayOut { .. } => matches!(self, Self::Live),
            Act::EditChapter { .. }
            | Act::MarkChapter { .. }
            | Act::MarkSpeeches(_)
            | Act::RemoveChapter(_) => {
                matches!(self, Self::Live | Self::Ended)
            }
            Act::DeleteRecording => matches!(self, Self::Ended),
            Act::Expect(_) | Act::KeepRecording(_) | Act::Rename(_) | Act::SetMessage(_) => true,
            Act::Dismiss(_)
            | Act::Level(_)
            | Act::LockStage { .. }
            | Act::Place { .. }
            | Act::SetDelay(_)
            | Act::SetGreenRoom { .. }
            | Act::SetSeat { .. }
            | Act::UnlockStage => !self.is_over(),
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who acts. Speakers have no say in the life of a space, so there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Time itself: opens the doors when they are due, deletes a recording that was to be kept until now, and no more.
    Clock,
    /// Whoever holds a key that the host has given out, to run the space with him or in his stead. To call it off, to
    /// delete it, and who else runs it, stays the host's.
    Cohost,
    /// Whoever holds the host key of the space.
    Host,
    /// Whoever runs the node.
    Operator,
}

/// What can be done to a space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// It will not take place.
    Cancel,
    /// The recording is gone for good; the space and its link stay.
    DeleteRecording,
    /// Who sat there does not come back while the stage is locked, and not to where he was.
    Dismiss(SeatNumber),
    /// A chapter begins elsewhere or is called otherwise; what is not said stays.
    EditChapter {
        /// Which.
        id: u32,
        /// Where it begins, in milliseconds of the recording.
        at_ms: Option<u64>,
        /// What it is called.
        title: Option<String>,
    },
    /// The show is over.
    End,
    /// The host reckons with so many listeners, or does not say.
    Expect(Option<NonZeroU32>),
    /// The stage is to be heard, with or without doors before.
    GoLive,
    /// The recording is kept for so many days after the end, or for ever.
    KeepRecording(Option<NonZeroU32>),
    /// Each speaker's own sound is kept, or not. Before go-live: a track that begins later would not fit the others.
    KeepTracks(bool),
    /// Voices are levelled, or not.
    Level(bool),
    /// Nobody takes a seat any more but those who sit there.
    LockStage {
        /// The seats that are taken now.
        seated: BTreeSet<SeatNumber>,
    },
    /// A chapter begins.
    MarkChapter {
        /// Where, in milliseconds of the recording; now, where that is not said.
        at_ms: Option<u64>,
        /// What it is called.
        title: String,
    },
    /// A chapter begins wherever somebody takes the word, in this order, but where one does already.
    MarkSpeeches(Vec<Speech>),
    /// The programme begins, with hold music.
    OpenDoors,
    /// Who sits on a seat is moved.
    Place {
        /// Which.
        seat: SeatNumber,
        /// Where to.
        place: Place,
    },
    /// The show is over when the programme has put out what it holds back.
    PlayOut {
        /// How much that is.
        held_ms: u64,
    },
    /// There is no such chapter any more.
    RemoveChapter(u32),
    /// It has another title.
    Rename(String),
    /// It takes place at another time, for a reason or for none that is told.
    Reschedule {
        /// The new time.
        scheduled_at: UnixMillis,
        /// What listeners are told.
        reason: Option<String>,
    },
    /// The programme is so many seconds later than the stage.
    SetDelay(u8),
    /// Listeners are told why it is late, or no longer told so.
    SetDelayReason(Option<String>),
    /// Newcomers wait in the green room, or no longer.
    SetGreenRoom {
        /// Whether they do.
        is_open: bool,
        /// The seats that are taken now.
        seated: BTreeSet<SeatNumber>,
    },
    /// Listeners read this beside the programme, or nothing.
    SetMessage(Option<String>),
    /// A seat is heard otherwise; what is not said stays.
    SetSeat {
        /// Which.
        seat: SeatNumber,
        /// Whether the host mutes it.
        muted: Option<bool>,
        /// How much louder or softer it is.
        gain_db: Option<i32>,
    },
    /// Everybody with a link may take his seat again.
    UnlockStage,
}

impl Act {
    /// Whether the host keeps it to himself: what cannot be taken back.
    pub(super) const fn is_for_the_host(&self) -> bool {
        matches!(
            self,
            Self::Cancel | Self::DeleteRecording | Self::KeepRecording(_)
        )
    }

    /// The act in words, as it follows "cannot".
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::DeleteRecording => "delete the recording",
            Self::Dismiss(_) => "put somebody off the stage",
            Self::EditChapter { .. } => "change a chapter",
            Self::End | Self::PlayOut { .. } => "end",
            Self::Expect(_) => "say how many listeners are expected",
            Self::GoLive => "go live",
            Self::KeepRecording(_) => "say for how long the recording is kept",
            Self::KeepTracks(_) => "change whether tracks are kept",
            Self::Level(_) => "change the levelling",
            Self::LockStage { .. } => "lock the stage",
            Self::MarkChapter { .. } => "mark a chapter",
            Self::MarkSpeeches(_) => "mark chapters",
            Self::OpenDoors => "open doors",
            Self::RemoveChapter(_) => "remove a chapter",
            Self::Place { .. } => "move anybody to the stage or the green room",
            Self::Rename(_) => "rename",
            Self::Reschedule { .. } => "reschedule",
            Self::SetDelay(_) => "delay the programme",
            Self::SetDelayReason(_) => "set the reason of a delay",
            Self::SetGreenRoom { .. } => "open or close the green room",
            Self::SetMessage(_) => "tell listeners something",
            Self::SetSeat { .. } => "mute or unmute anybody or change a gain",
            Self::UnlockStage => "unlock the stage",
        }
    }
}

/// What an act has changed, and the part at which it takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It will not take place: whatever runs stops now.
    Cancelled,
    /// The mixed programme and its archive begin here.
    DoorsOpened(PartIndex),
    /// Words, times or the stage changed, nothing on the timeline.
    Edited,
    /// The recording ends before this part.
    Ended(PartIndex),
    /// The recording is to be removed from the disk.
    RecordingDeleted,
    /// The recording begins here; from announced, the mixed programme and its archive too.
    WentLive(PartIndex),
}

/// Why an act was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// A chapter lies within the recording.
    #[error("a chapter begins within the recording, which is {seconds} s long")]
    ChapterPlace {
        /// How long it is, in whole seconds.
        seconds: u64,
    },
    /// The title of a chapter is not a line of text.
    #[error(
        "the title of a chapter must be 1 to {CHAPTER_TITLE_CHARS_MAX} characters long, on one line"
    )]
    ChapterTitle,
    /// Where nothing is on air there is no present place.
    #[error("the space has ended: say at which second of the recording the chapter begins")]
    ChapterWithoutPlace,
    /// There are as many as there may be.
    #[error("a recording has at most {CHAPTERS_MAX} chapters; remove one that is not needed")]
    ChaptersFull,
    /// A countdown that nobody could follow, or would wait for.
    #[error("a countdown takes {CUE_SECONDS_MIN} to {CUE_SECONDS_MAX} seconds, not {asked}")]
    Cue {
        /// What was asked.
        asked: u32,
    },
    /// Tracks are of the stage as it was; what a delay is for would lie on in them.
    #[error(
        "a programme with a delay has no tracks: what is dumped would be kept in them. Do without one of the two"
    )]
    DelayWithTracks,
    /// A delay beyond what a programme can have.
    #[error(
        "a programme is 0 to {DELAY_SECONDS_MAX} whole seconds later than the stage, not {asked}"
    )]
    Delay {
        /// What was asked.
        asked: u8,
    },
    /// It does not follow from where the space is.
    #[error("cannot {act}: the space is {state}")]
    DoesNotFollow {
        /// Where the space is.
        state: State,
        /// What was asked.
        act: &'static str,
    },
    /// A gain beyond what a seat may have.
    #[error("a gain is {GAIN_DB_MIN} to {GAIN_DB_MAX} dB, not {asked}")]
    Gain {
        /// What was asked.
        asked: i32,
    },
    /// A recording is kept for a day at least, and at most for a hundred years.
    #[error("a recording is kept for 1 to {KEEP_DAYS_MAX} days, or for ever, not for {asked} days")]
    KeepDays {
        /// What was asked.
        asked: u32,
    },
    /// The host has kept it to himself.
    #[error("a cohost cannot {act}; ask the host to do it")]
    NotForCohosts {
        /// What was asked.
        act: &'static str,
    },
    /// A message is not a line of text.
    #[error("a message must be 1 to {MESSAGE_CHARS_MAX} characters long, on one line")]
    Message,
    /// Time does what is due; all else is for people to do.
    #[error("the clock may only do what is due, not {act}")]
    NotForTheClock {
        /// What was asked.
        act: &'static str,
    },
    /// The stage has no such seat.
    #[error("this space has seats 1 to {seats}, not {asked}")]
    Seat {
        /// What was asked.
        asked: u32,
        /// How many there are.
        seats: u32,
    },
    /// The stage would be empty or too large.
    #[error("a stage has 1 to {SPEAKERS_MAX} speakers, not {asked}")]
    Speakers {
        /// What was asked.
        asked: u32,
    },
    /// A title or reason is not a line of text.
    #[error("the {what} must be 1 to {TEXT_CHARS_MAX} characters long, on one line")]
    Text {
        /// Which text.
        what: &'static str,
    },
    /// The space has no such chapter.
    #[error("this space has no chapter {asked}")]
    UnknownChapter {
        /// What was asked.
        asked: u32,
    },
}
