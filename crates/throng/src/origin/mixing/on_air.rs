//! The programme while it is on air: the stage goes through the delay, then through the programme, to the encoder.

use std::sync::Arc;

use throng_core::timeline::{FRAMES_PER_PART, PartIndex};
use throng_media::delay::{DelayLine, Standing};
use throng_media::hold::HoldLoop;
use throng_media::programme::Programme;
use throng_media::{SILENCE, WideFrame};

use crate::origin::encoding::Encoding;
use crate::origin::space_hold::SpaceHold;

/// How loud the music of a bridge is: 12 dB below the hold programme, so that nobody takes it for the end.
const BRIDGE_GAIN: f32 = 0.25;

/// The programme of a space from its first part to its last.
pub(crate) struct OnAir {
    first_frame: u64,
    end: Option<PartIndex>,
    delay: DelayLine,
    /// What is heard while the delay is built up; silence until it is made.
    music: Option<HoldLoop>,
    hold: Arc<SpaceHold>,
    programme: Programme,
    encoding: Encoding,
}

impl OnAir {
    /// The programme begins at a part: hold, or the stage at once where it is resumed in mid-talk.
    pub(crate) fn new(
        first: PartIndex,
        programme: Programme,
        delay: DelayLine,
        hold: Arc<SpaceHold>,
        encoding: Encoding,
    ) -> Self {
        Self {
            first_frame: first.0 * FRAMES_PER_PART,
            end: None,
            delay,
            music: None,
            hold,
            programme,
            encoding,
        }
    }

    /// Whether it has begun in that frame.
    pub(super) fn has_begun(&self, frame: u64) -> bool {
        self.first_frame <= frame
    }

    /// How the delay stands.
    pub(super) fn standing(&self) -> Standing {
        self.delay.standing()
    }

    /// What is said from one frame on is heard from a part on.
    pub(super) fn go_live(&mut self, said_from: u64, heard_from: PartIndex) {
        let asked = heard_from.0 * FRAMES_PER_PART;
        let frame = self.programme.go_live(asked);
        if frame != asked {
            tracing::warn!(late = frame - asked, "the cut to the talk came frames late");
        }
        self.delay.go_live(said_from, frame);
    }

    /// Another hold programme is heard.
    pub(super) fn change_hold(&mut self, sound: HoldLoop) {
        self.programme.change_hold(sound.pcm());
        self.music = Some(sound);
    }

    /// Throws away what is said and not heard yet; says how many frames that were.
    pub(super) fn dump(&mut self) -> usize {
        let frames = self.delay.dump();
        if frames > 0 {
            metrics::counter!("throng_programme_dumps_total").increment(1);
        }
        frames
    }

    /// It ends before a part; what is held by now is played out.
    pub(super) fn end(&mut self, part: PartIndex) {
        self.end = Some(part);
        self.delay.end();
    }

    /// Whether that frame is beyond its end.
    pub(super) fn is_over(&self, frame: u64) -> bool {
        self.end.is_some_and(|end| frame >= end.0 * FRAMES_PER_PART)
    }

    /// Puts a frame out, where the stage is to be so many frames late.
    pub(super) fn put_out(&mut self, number: u64, stage: WideFrame, delay_frames: u64) {
        if !self.has_begun(number) {
            return;
        }
        self.delay.want(delay_frames);
        if self.music.is_none() {
            self.music = self.hold.sound_as_it_stands();
        }
        let music = self.music.as_ref();
        let late = self.delay.tick(number, stage, || {
            music.map_or(SILENCE, |music| {
                music.frame(number).map(|sample| sample * BRIDGE_GAIN)
            })
        });
        let frame = self.programme.tick(late);
        self.encoding.push(number, frame);
    }

    /// Hands the last frames to the encoder; says before which part it ended.
    pub(super) fn finish(self) -> PartIndex {
        let end = self.end.expect("it is over");
        self.encoding.end(end);
        end
    }
}
