//! What a listener makes of sound: his player is told, and what it misses is counted.

use super::{Listener, Scene, State, Step};
use crate::SECOND_US;
use crate::mix::Via;
use crate::stream::Stretch;
use crate::tally::Tally;

/// What VLC and its like gather before they begin.
const PLAIN_CUSHION_US: u64 = SECOND_US;
/// A kept stream is cut after some minutes of sound; what is kept is there to be listened to, not to be an archive.
pub const KEPT_MAX_BYTES: usize = 4 << 20;

impl Listener {
    /// Reads sound and tells the player.
    pub(super) fn hear(&mut self, scene: &mut Scene<'_>, bytes: &[u8]) -> Result<(), &'static str> {
        if let Some(keep) = scene.keep.as_deref_mut() {
            keep.extend_from_slice(
                &bytes[..bytes.len().min(KEPT_MAX_BYTES.saturating_sub(keep.len()))],
            );
        }
        let mut reader = std::mem::take(&mut self.reader);
        let read = reader.feed(bytes, &mut |stretch| self.deliver(scene, stretch));
        self.reader = reader;
        read.map_err(|_| "broken stream")
    }

    pub(super) fn deliver(&mut self, scene: &mut Scene<'_>, stretch: Stretch) {
        let enough_us = if self.via == Via::Plain {
            PLAIN_CUSHION_US
        } else {
            0
        };
        let heard = self
            .playback
            .deliver(scene.now_us, stretch.sample, stretch.samples, enough_us);
        scene.tally.delivered_samples += heard.new_samples;
        if !stretch.in_sequence {
            scene.tally.note_trouble("out of sequence");
        }
        if heard.began {
            let after_us = scene.now_us - self.began_us;
            scene.tally.first_sound_us.note(after_us);
        }
        if let Some(missing_us) = heard.gap_us {
            self.note_gap(missing_us, scene.tally);
        }
    }

    pub(super) fn note_wait(&self, scene: &mut Scene<'_>) {
        if self.step == Step::Stream && self.playback.is_sounding() {
            let waited_us = scene.now_us.saturating_sub(self.last_us);
            scene.tally.longest_wait_us = scene.tally.longest_wait_us.max(waited_us);
        }
    }

    pub(super) fn note_gap(&mut self, missing_us: u64, tally: &mut Tally) {
        tally.note_gap(missing_us);
        tally.gap_listeners += u64::from(!self.had_gap);
        self.had_gap = true;
    }

    pub(super) fn join(&mut self, scene: &mut Scene<'_>) {
        match self.state {
            State::Joining => {
                scene.tally.joined += 1;
                scene.tally.join_us.note(scene.now_us - self.began_us);
            }
            State::Joined { listening: false } => {}
            State::Joined { listening: true } | State::Gone => return,
        }
        self.state = State::Joined { listening: true };
        self.waiting = None;
        scene.tally.note_listening();
    }

    /// Whether an endless answer comes in, and nothing but sound counts.
    pub(super) fn is_sounding_stream(&self, scene: &Scene<'_>) -> bool {
        self.step == Step::Stream && self.playback.is_sounding() && scene.keep.is_none()
    }
}
