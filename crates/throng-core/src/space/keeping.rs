//! How long a recording is kept: for ever, unless its host says otherwise.
//!
//! When it is gone, the space, its link and its numbers stay, and say when and by whom it was taken away.

use std::num::NonZeroU32;

use super::{Act, Actor, Change, Refusal, Space};
use crate::time::UnixMillis;

/// Longest time to keep a recording that can be said, a hundred years; beyond is for ever.
pub const KEEP_DAYS_MAX: u32 = 36_525;
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// Who took a recording away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeletedBy {
    /// Its host or the operator, by hand.
    Host,
    /// The time for which the host wanted it kept was over.
    Time,
}

impl DeletedBy {
    /// The name in JSON and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Time => "time",
        }
    }

    /// Whom a name means.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Host, Self::Time]
            .into_iter()
            .find(|by| by.name() == name)
    }
}

/// That a recording was there, and is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// Until when it was there.
    pub at: UnixMillis,
    /// Who took it away.
    pub by: DeletedBy,
}

impl Space {
    /// Until when the recording is kept, where it is there and that was said. May lie in the past.
    pub fn recording_until(&self) -> Option<UnixMillis> {
        let days = self
            .keep_recording_days
            .filter(|_| self.recording_deleted.is_none())?;
        Some(self.ended_at?.plus_ms(u64::from(days.get()) * DAY_MS))
    }

    /// What time is to do next, and when.
    pub fn next_clock_act(&self) -> Option<(UnixMillis, Act)> {
        let doors = self.next_deadline().map(|at| (at, Act::OpenDoors));
        let over = || self.recording_until().map(|at| (at, Act::DeleteRecording));
        doors.or_else(over)
    }

    pub(super) fn keep_recording(&mut self, days: Option<NonZeroU32>) -> Result<Change, Refusal> {
        if let Some(asked) = days.filter(|days| days.get() > KEEP_DAYS_MAX) {
            return Err(Refusal::KeepDays { asked: asked.get() });
        }
        self.keep_recording_days = days;
        Ok(Change::Edited)
    }

    /// One that is gone already stays gone, and since then.
    pub(super) fn delete_recording(&mut self, wall: UnixMillis, actor: Actor) -> Change {
        let by = match actor {
            Actor::Clock => DeletedBy::Time,
            _ => DeletedBy::Host,
        };
        self.recording_deleted
            .get_or_insert(Deletion { at: wall, by });
        Change::RecordingDeleted
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::super::tests::{at, space};
    use super::*;

    const DAY: NonZeroU32 = NonZeroU32::MIN;

    fn ended() -> Space {
        let mut space = space(None);
        space.apply(at(0), Actor::Host, Act::GoLive).unwrap();
        space.apply(at(10_000), Actor::Host, Act::End).unwrap();
        assert_eq!(space.ended_at, Some(at(10_240)));
        space
    }

    #[test]
    fn a_recording_is_kept_for_ever_unless_the_host_says_otherwise() {
        let mut space = ended();
        assert_eq!(space.next_clock_act(), None);
        let keep = |days| Act::KeepRecording(days);
        space
            .apply(at(20_000), Actor::Host, keep(Some(DAY)))
            .unwrap();
        let due = at(10_240 + DAY_MS);
        assert_eq!(space.next_clock_act(), Some((due, Act::DeleteRecording)));
        let early = space.apply(due.minus_ms(1), Actor::Clock, Act::DeleteRecording);
        assert!(matches!(early, Err(Refusal::NotForTheClock { .. })));
        space.apply(due, Actor::Host, keep(None)).unwrap();
        let kept = space.apply(due, Actor::Clock, Act::DeleteRecording);
        assert!(matches!(kept, Err(Refusal::NotForTheClock { .. })));
        let endless = NonZeroU32::new(KEEP_DAYS_MAX + 1);
        let refused = space.apply(due, Actor::Host, keep(endless));
        assert_eq!(refused, Err(Refusal::KeepDays { asked: 36_526 }));
    }

    #[test]
    fn what_is_due_is_deleted_by_time_and_what_the_host_deletes_by_the_host() {
        let mut space = ended();
        let keep = Act::KeepRecording(Some(DAY));
        space.apply(at(20_000), Actor::Host, keep).unwrap();
        let mut by_host = space.clone();
        let due = at(10_240 + DAY_MS);
        space
            .apply(due, Actor::Clock, Act::DeleteRecording)
            .unwrap();
        let deletion = |at, by| Some(Deletion { at, by });
        assert_eq!(space.recording_deleted, deletion(due, DeletedBy::Time));
        assert_eq!(space.next_clock_act(), None);
        assert_eq!(space.state, State::Ended);

        let delete = || Act::DeleteRecording;
        by_host.apply(at(30_000), Actor::Host, delete()).unwrap();
        by_host
            .apply(at(40_000), Actor::Operator, delete())
            .unwrap();
        let first = deletion(at(30_000), DeletedBy::Host);
        assert_eq!(by_host.recording_deleted, first, "it was gone then");
    }

    #[test]
    fn what_is_on_air_is_not_deleted() {
        let mut space = space(None);
        for act in [Act::OpenDoors, Act::GoLive] {
            space.apply(at(0), Actor::Host, act).unwrap();
            let refused = space.apply(at(5_000), Actor::Host, Act::DeleteRecording);
            assert!(matches!(refused, Err(Refusal::DoesNotFollow { .. })));
        }
    }
}
