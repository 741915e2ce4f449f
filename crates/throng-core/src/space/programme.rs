//! What a host has set of the programme: how much later it goes out than it is said, and what listeners read beside it.

use super::{Refusal, line_of};
use crate::timeline::{PART_DURATION_MS, PartIndex};

/// Longest delay of the programme. It is what a mixer holds in memory (2 MB), and what a host has to press a key in; beyond,
/// who watches a picture elsewhere is lost.
pub const DELAY_SECONDS_MAX: u8 = 10;
/// Longest message, in characters: some lines on a telephone.
pub const MESSAGE_CHARS_MAX: usize = 280;
/// Frames of 20 ms in a second.
const FRAMES_PER_SECOND: u64 = 50;

/// What a host has set of the programme.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProgrammeSetting {
    /// By how much the programme is later than the stage.
    pub delay_seconds: u8,
    /// What the host tells all who listen, in plain text.
    pub message: Option<String>,
}

impl ProgrammeSetting {
    /// The delay in frames of 20 ms.
    pub const fn delay_frames(&self) -> u64 {
        self.delay_seconds as u64 * FRAMES_PER_SECOND
    }

    /// Whether a host can have set it so.
    pub fn is_sound(&self) -> bool {
        let holds = |message: &String| message_of(message).is_ok_and(|line| line == *message);
        self.delay_seconds <= DELAY_SECONDS_MAX && self.message.as_ref().is_none_or(holds)
    }

    pub(super) fn set_delay(&mut self, seconds: u8) -> Result<(), Refusal> {
        if seconds > DELAY_SECONDS_MAX {
            return Err(Refusal::Delay { asked: seconds });
        }
        self.delay_seconds = seconds;
        Ok(())
    }

    pub(super) fn set_message(&mut self, message: Option<String>) -> Result<(), Refusal> {
        self.message = message.map(|text| message_of(&text)).transpose()?;
        Ok(())
    }

    /// The first part in which the programme can be heard of a stage that is listened to from `part` on.
    pub(super) const fn heard_from(&self, part: PartIndex) -> PartIndex {
        let delay_ms = self.delay_seconds as u64 * 1_000;
        PartIndex(part.0 + delay_ms.div_ceil(PART_DURATION_MS))
    }
}

fn message_of(text: &str) -> Result<String, Refusal> {
    line_of(text, MESSAGE_CHARS_MAX).ok_or(Refusal::Message)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, space};
    use super::super::{Act, Actor, Change, Refusal, State};
    use super::*;

    const HOST: Actor = Actor::Host;

    #[test]
    fn a_delay_is_bounded_and_can_be_set_until_it_is_over() {
        let mut space = space(None);
        for steps in [Act::OpenDoors, Act::GoLive] {
            assert_eq!(
                space.apply(at(0), HOST, Act::SetDelay(10)),
                Ok(Change::Edited)
            );
            assert_eq!(
                space.apply(at(0), HOST, Act::SetDelay(11)),
                Err(Refusal::Delay { asked: 11 })
            );
            space.apply(at(0), HOST, steps).unwrap();
        }
        space.apply(at(60_000), HOST, Act::SetDelay(0)).unwrap();
        space.apply(at(60_000), HOST, Act::End).unwrap();
        let refused = space.apply(at(60_000), HOST, Act::SetDelay(1));
        assert!(matches!(refused, Err(Refusal::DoesNotFollow { .. })));
        assert_eq!(space.programme.delay_seconds, 0);
    }

    #[test]
    fn a_delayed_space_is_heard_live_the_delay_later_and_nothing_from_before() {
        for (delay, step_ms) in [(0, 3_140), (1, 3_140), (7, 3_140), (10, 6)] {
            let mut space = space(None);
            space.apply(at(0), HOST, Act::SetDelay(delay)).unwrap();
            space.apply(at(0), HOST, Act::OpenDoors).unwrap();
            let change = space.apply(at(step_ms), HOST, Act::GoLive).unwrap();
            let Change::WentLive(heard) = change else {
                panic!("{change:?}");
            };
            // The first frame of 20 ms of the stage that is heard.
            let said_ms = (heard.0 * 16 - space.programme.delay_frames()) * 20;
            assert!(said_ms >= step_ms + 60, "{delay}: said from {said_ms}");
            assert!(said_ms >= space.doors_part.unwrap().start_ms());
            assert!(said_ms < step_ms.max(1_280) + 60 + 2 * PART_DURATION_MS);
        }
    }

    #[test]
    fn from_announced_the_doors_open_while_the_delay_is_built_up() {
        let mut space = space(None);
        space.apply(at(0), HOST, Act::SetDelay(7)).unwrap();
        let change = space.apply(at(60), HOST, Act::GoLive);
        // 1,060 ms, and 7 s are 21.875 parts.
        assert_eq!(change, Ok(Change::WentLive(PartIndex(4 + 22))));
        assert_eq!(space.doors_part, Some(PartIndex(4)));
        assert_eq!(space.state, State::Live);
    }

    #[test]
    fn what_is_held_is_played_out_before_the_end() {
        let mut space = space(None);
        space.apply(at(0), HOST, Act::SetDelay(7)).unwrap();
        space.apply(at(0), HOST, Act::GoLive).unwrap();
        let held_ms = 7_000;
        let change = space.apply(at(60_000), HOST, Act::PlayOut { held_ms });
        assert_eq!(
            change,
            Ok(Change::Ended(PartIndex(67_060_u64.div_ceil(320))))
        );
        // Whatever is claimed to be held: no end is put off for ever.
        let mut space = super::super::tests::space(None);
        space.apply(at(0), HOST, Act::GoLive).unwrap();
        let held_ms = u64::MAX;
        space
            .apply(at(60_000), HOST, Act::PlayOut { held_ms })
            .unwrap();
        assert!(space.end_part.unwrap().start_ms() < 72_000);
    }

    #[test]
    fn a_message_is_one_line_of_so_many_characters_and_can_be_taken_back_to_the_last() {
        let mut space = space(None);
        let mut say = |text: Option<&str>| {
            let said = space.apply(at(0), HOST, Act::SetMessage(text.map(str::to_owned)));
            (said, space.programme.message.clone())
        };
        let longest = "ü".repeat(MESSAGE_CHARS_MAX);
        let kept = Some(longest.clone());
        assert_eq!(
            say(Some(&format!(" {longest}\t"))),
            (Ok(Change::Edited), kept.clone())
        );
        for bad in ["", " ", "two\nlines", &format!("{longest}x")] {
            assert_eq!(say(Some(bad)), (Err(Refusal::Message), kept.clone()));
        }
        assert_eq!(say(None), (Ok(Change::Edited), None));
        space.apply(at(0), HOST, Act::Cancel).unwrap();
        let thanks = Act::SetMessage(Some("Thank you".to_owned()));
        assert_eq!(space.apply(at(0), HOST, thanks), Ok(Change::Edited));
        assert_eq!(space.check_invariants(), Ok(()));
    }
}
