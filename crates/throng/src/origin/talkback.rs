//! Who has a talkback line to the stage of a space: one for each key that opens its desk, and few in all.

use throng_core::key::KeyDigest;
use throng_media::mixer::{Ears, MAX_TALKBACKS};
use throng_stage::Answer;

use super::mixing::talkback::line;
use super::mixing::{Input, Levels};
use super::routing::seat_key;
use super::space::{PublishError, SpaceHandle};

/// The keys that have a line, by its place.
pub(super) type Lines = [Option<KeyDigest>; MAX_TALKBACKS];

impl SpaceHandle {
    /// Ends the lines of keys that are good no more.
    pub(super) async fn hang_up(&self, keys: &[KeyDigest]) {
        let mut ended = Vec::new();
        self.talkback_lines.send_if_modified(|lines| {
            ended = release(lines, keys);
            !ended.is_empty()
        });
        for place in ended {
            // A stage that is closed has no session left to end.
            let _ = self
                .stage()
                .close_seat(seat_key(self.number, line(place)))
                .await;
        }
    }

    /// Connects a host to the stage, off air. An earlier line of the same key ends.
    pub(crate) async fn talk_back(
        &self,
        key: KeyDigest,
        ears: Ears,
        offer: String,
    ) -> Result<Answer, PublishError> {
        let mixing = self.mixing().await?;
        let levels = mixing.levels();
        let mut place = None;
        self.talkback_lines.send_if_modified(|lines| {
            place = place_of(lines, key, &levels);
            if let Some(place) = place {
                lines[place] = Some(key);
            }
            place.is_some()
        });
        let line = line(place.ok_or(PublishError::TalkbackFull)?);
        // The queue is drained fifty times a second; where it is full the stage has more to do than to hear this.
        let turned = mixing.inputs().try_send(Input::TalkTo { line, ears });
        turned.map_err(|_| PublishError::Over)?;
        Ok(self
            .stage()
            .publish(offer, seat_key(self.number, line))
            .await?)
    }
}

/// The place of a key: its own, a free one, or that of somebody whose line is not up.
fn place_of(lines: &Lines, key: KeyDigest, levels: &Levels) -> Option<usize> {
    let own = lines.iter().position(|holder| *holder == Some(key));
    let free = || lines.iter().position(Option::is_none);
    let is_up = |place: &usize| {
        let line = line(*place);
        levels.talkbacks.iter().any(|level| level.line == line)
    };
    own.or_else(free)
        .or_else(|| (0..MAX_TALKBACKS).find(|place| !is_up(place)))
}

/// Frees the places of these keys; which those were.
fn release(lines: &mut Lines, keys: &[KeyDigest]) -> Vec<usize> {
    let mut freed = Vec::new();
    for (place, holder) in lines.iter_mut().enumerate() {
        if holder.is_some_and(|holder| keys.contains(&holder)) {
            *holder = None;
            freed.push(place);
        }
    }
    freed
}

#[cfg(test)]
mod tests {
    use throng_core::key::Key;

    use super::*;

    fn digest(letter: char) -> KeyDigest {
        let text: String = std::iter::repeat_n(letter, 43).collect();
        Key::parse(&text).unwrap().digest()
    }

    #[test]
    fn a_key_that_is_good_no_more_gives_its_line_back_and_no_other_does() {
        let [host, first, second] = ['A', 'E', 'I'].map(digest);
        let mut lines: Lines = [Some(first), Some(host), Some(second), None];
        assert_eq!(release(&mut lines, &[second, first]), [0, 2]);
        assert_eq!(lines, [None, Some(host), None, None]);
        assert!(release(&mut lines, &[second, first]).is_empty());
    }

    #[test]
    fn a_key_has_one_line_and_a_fifth_waits_for_one_that_is_not_up() {
        let keys = ['A', 'E', 'I', 'M'].map(digest);
        let mut lines: Lines = Default::default();
        for (place, key) in keys.into_iter().enumerate() {
            assert_eq!(place_of(&lines, key, &Levels::default()), Some(place));
            lines[place] = Some(key);
            assert_eq!(
                place_of(&lines, key, &Levels::default()),
                Some(place),
                "again"
            );
        }
        let fifth = digest('Q');
        assert_eq!(place_of(&lines, fifth, &Levels::default()), Some(0));
        let mut mixer = throng_media::mixer::Mixer::new();
        for line in super::super::mixing::talkback::lines() {
            mixer.open_talkback(line, Ears::All);
        }
        let all_up = Levels {
            talkbacks: super::super::mixing::talkback::TalkbackLevel::all(&mixer),
            ..Levels::default()
        };
        assert_eq!(place_of(&lines, fifth, &all_up), None);
        assert_eq!(place_of(&lines, keys[2], &all_up), Some(2), "his own");
    }
}
