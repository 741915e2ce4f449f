//! Dead air: the space is live and listeners hear nobody. Pure, and counted in frames of the programme.
//!
//! Audible is who the mixer has in the mix. A pause of ten seconds happens to a speaker who looks for his notes; beyond, a
//! host should look. Where everybody is muted, or nobody is there, waiting brings nothing, and the host is told after two
//! seconds: as long as a speaker needs who reloads his page. Once told, it lasts until somebody is heard.

use throng_core::space::{Place, Space, State};
use throng_core::timeline::{FRAMES_PER_PART, PartIndex};

use super::mixing::SeatLevel;
use crate::alarm::Alarm;

/// A pause that long is no pause of speech, 10 s.
const SILENT_FRAMES: u64 = 500;
/// As long as it takes to come back after a blip, 2 s.
const HOPELESS_FRAMES: u64 = 100;

/// The stage at one frame.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Look {
    /// On stage.
    connected: usize,
    /// Of those.
    muted: usize,
    /// Connected, in the green room.
    waiting: usize,
    is_audible: bool,
}

impl Look {
    /// The stage with these who are connected.
    pub(crate) fn at(seats: &[SeatLevel]) -> Self {
        let on_stage = || seats.iter().filter(|seat| seat.place == Place::Stage);
        let connected = on_stage().count();
        Self {
            connected,
            muted: on_stage().filter(|seat| seat.is_muted()).count(),
            waiting: seats.len() - connected,
            is_audible: seats.iter().any(|seat| seat.talking),
        }
    }
}

/// Why nobody is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    AllMuted,
    AllWaiting,
    Empty,
    Quiet,
}

/// That nobody is heard, why, and since which frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeadAir {
    pub(crate) cause: Cause,
    pub(crate) since_frame: u64,
}

/// What is known of the silence that lasts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Watch {
    silent_since: Option<u64>,
    hopeless_since: Option<u64>,
    is_told: bool,
}

impl Watch {
    /// Looks at a frame of the live programme; without a look it is not live.
    pub(crate) fn look(&mut self, frame: u64, look: Option<Look>) -> Option<DeadAir> {
        let Some(look) = look.filter(|look| !look.is_audible) else {
            *self = Self::default();
            return None;
        };
        let since_frame = *self.silent_since.get_or_insert(frame);
        let cause = match look {
            Look {
                connected: 0,
                waiting: 0,
                ..
            } => Cause::Empty,
            Look { connected: 0, .. } => Cause::AllWaiting,
            Look {
                connected, muted, ..
            } if muted == connected => Cause::AllMuted,
            _ => Cause::Quiet,
        };
        if cause == Cause::Quiet {
            self.hopeless_since = None;
        } else {
            self.hopeless_since.get_or_insert(frame);
        }
        let lasts = |since: Option<u64>, frames| since.is_some_and(|since| frame - since >= frames);
        self.is_told |=
            lasts(self.silent_since, SILENT_FRAMES) || lasts(self.hopeless_since, HOPELESS_FRAMES);
        self.is_told.then_some(DeadAir { cause, since_frame })
    }
}

/// What the host of a space must know of it.
pub(crate) fn alarm(space: &Space, dead_air: Option<DeadAir>) -> Option<Alarm> {
    let DeadAir { cause, since_frame } = dead_air.filter(|_| space.state == State::Live)?;
    let detail = match cause {
        Cause::AllMuted => "Everybody on stage is muted. Unmute who is to be heard.",
        Cause::AllWaiting => {
            "Nobody is on stage: everybody who is here waits in the green room. Bring on stage who is to be heard."
        }
        Cause::Empty => "Nobody is on stage. Ask your speakers to open their links and join.",
        Cause::Quiet => {
            "Nobody on stage says anything that can be heard. Ask them to speak, and to look at their microphones."
        }
    };
    Some(Alarm {
        kind: "dead_air",
        title: "Listeners hear nobody.",
        detail: detail.to_owned(),
        since: space.moment(PartIndex(since_frame / FRAMES_PER_PART)),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EMPTY: Look = stage(0, 0, false);
    const WAITING: Look = Look {
        waiting: 2,
        ..EMPTY
    };
    const MUTED: Look = stage(2, 2, false);
    const QUIET: Look = stage(2, 1, false);
    const HEARD: Look = stage(2, 1, true);

    const fn stage(connected: usize, muted: usize, is_audible: bool) -> Look {
        Look {
            connected,
            muted,
            waiting: 0,
            is_audible,
        }
    }

    /// What is on stage from a frame on; nothing where it is not live.
    type Scene = (u64, Option<Look>);
    /// What is told from a frame on: the cause, and since when.
    type Told = (u64, Option<(Cause, u64)>);

    /// Looks ten times a second at a stage that is so from each of these frames on: the frames at which what is told
    /// changes, up to 30 s.
    fn told(scenes: &[Scene]) -> Vec<Told> {
        let mut watch = Watch::default();
        let mut told = vec![(0, None)];
        for frame in (0..1_500).step_by(5) {
            let scene = scenes.iter().rev().find(|(from, _)| *from <= frame);
            let dead_air = watch.look(frame, scene.and_then(|(_, look)| *look));
            let now = dead_air.map(|dead_air| (dead_air.cause, dead_air.since_frame));
            if told.last().is_some_and(|(_, before)| *before != now) {
                told.push((frame, now));
            }
        }
        told.split_off(1)
    }

    #[test]
    fn dead_air_is_told_in_time_and_until_somebody_is_heard() {
        use Cause::{AllMuted, AllWaiting, Empty, Quiet};
        let cases: &[(&[Scene], &[Told])] = &[
            (&[(0, Some(HEARD))], &[]),
            // Not live: doors, hold, the end.
            (&[(0, None)], &[]),
            (&[(0, Some(QUIET))], &[(500, Some((Quiet, 0)))]),
            (&[(0, Some(EMPTY))], &[(100, Some((Empty, 0)))]),
            (&[(0, Some(MUTED))], &[(100, Some((AllMuted, 0)))]),
            (&[(0, Some(WAITING))], &[(100, Some((AllWaiting, 0)))]),
            // A pause, and a blip: a second less and nobody is told.
            (&[(0, Some(QUIET)), (495, Some(HEARD))], &[]),
            (
                &[(0, Some(HEARD)), (50, Some(EMPTY)), (145, Some(HEARD))],
                &[],
            ),
            // A reload in the middle of a pause does not begin the pause anew.
            (
                &[(0, Some(QUIET)), (300, Some(EMPTY)), (350, Some(QUIET))],
                &[(500, Some((Quiet, 0)))],
            ),
            // The cause is that of now, and who is unmuted is not heard yet.
            (
                &[(0, Some(MUTED)), (200, Some(QUIET)), (300, Some(HEARD))],
                &[
                    (100, Some((AllMuted, 0))),
                    (200, Some((Quiet, 0))),
                    (300, None),
                ],
            ),
            // The end of the space ends it, too.
            (
                &[(0, Some(EMPTY)), (200, None)],
                &[(100, Some((Empty, 0))), (200, None)],
            ),
        ];
        for &(scenes, expected) in cases {
            assert_eq!(told(scenes), expected, "{scenes:?}");
        }
    }

    proptest! {
        #[test]
        fn it_is_told_of_silence_alone_and_of_all_that_lasts(
            scenes in proptest::collection::vec((1_u64..700, prop_oneof![
                Just(None), Just(Some(EMPTY)), Just(Some(WAITING)), Just(Some(MUTED)), Just(Some(QUIET)), Just(Some(HEARD)),
            ]), 1..20),
        ) {
            let (mut watch, mut frame, mut silent) = (Watch::default(), 0, 0);
            for (frames, look) in scenes {
                for _ in 0..frames {
                    silent = if look.is_some_and(|look| !look.is_audible) { silent + 1 } else { 0 };
                    let told = watch.look(frame, look);
                    prop_assert!(told.is_none() || silent > HOPELESS_FRAMES, "too soon");
                    prop_assert!(told.is_some() || silent <= SILENT_FRAMES, "too late");
                    if let Some(told) = told {
                        prop_assert_eq!(told.since_frame, frame + 1 - silent);
                    }
                    frame += 1;
                }
            }
        }
    }
}
