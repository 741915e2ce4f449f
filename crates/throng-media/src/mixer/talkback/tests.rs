//! What those hear who are talked to while lines come, go and are turned in mid-word: never a step.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "numbers of a simulation, small or meant to wrap as on the wire"
)]

use core::f32::consts::TAU;

use super::*;
use crate::codec::{OpusEncode, OpusEncoder, OpusSettings, opus_encoder};
use crate::jitter::PacketKind;

const LINE: SeatId = SeatId(1_000);
const HERS: SeatId = SeatId(1);
const HIS: SeatId = SeatId(2);
/// The way down takes 50 ms, and so does the way up; a little is for rounding.
const STEP_MAX: f32 = 1.01 * (1.0 - DUCKED) / DUCK_SAMPLES;

/// A host who talks without a pause.
struct Desk {
    talkbacks: Talkbacks,
    encoder: OpusEncoder,
    frame: u64,
    /// How loud she hears the others, and he, sample by sample.
    others: [Vec<f32>; 2],
}

impl Desk {
    /// A host who has talked to these for a second.
    fn talking_to(ears: Ears) -> Self {
        let mut desk = Self {
            talkbacks: Talkbacks::default(),
            encoder: opus_encoder(OpusSettings::conversation()),
            frame: 0,
            others: [Vec::new(), Vec::new()],
        };
        desk.talkbacks.open(LINE, ears);
        desk.talk(50);
        desk
    }

    fn talk(&mut self, frames: u64) {
        for _ in 0..frames {
            let sound = core::array::from_fn(|i| {
                let at = (self.frame * 960 + i as u64) % 48_000;
                (at as f32 / 48_000.0 * 1_930.0 * TAU).sin() * 0.2
            });
            let packet = SpeakerPacket {
                sequence: self.frame as u16,
                timestamp: self.frame as u32 * 960,
                kind: PacketKind::Opus,
                bytes: self.encoder.encode(&sound).unwrap(),
            };
            let now = Duration::from_millis(self.frame * 20);
            self.talkbacks.push(LINE, now, &packet);
            self.talkbacks.hear(now);
            for (heard, seat) in self.others.iter_mut().zip([HERS, HIS]) {
                let whisper = self.talkbacks.to_seat(seat);
                let whisper = whisper.or_else(|| self.talkbacks.to_all());
                heard.extend(whisper.map_or([1.0; FRAME_LEN], |whisper| whisper.others));
            }
            self.frame += 1;
        }
    }

    /// For whom of both the others are turned down, a second later; however it came to that, without a step.
    fn turned_down(&mut self) -> [bool; 2] {
        self.talk(50);
        for heard in &self.others {
            let steps = heard.windows(2).map(|two| (two[1] - two[0]).abs());
            let steepest = steps.fold(0.0, f32::max);
            assert!(steepest <= STEP_MAX, "{steepest}");
        }
        assert!(self.talkbacks.closed.is_empty());
        [0, 1].map(|who| self.others[who].last().is_some_and(|&last| last < 1.0))
    }
}

#[test]
fn a_line_that_is_closed_in_mid_word_is_gone_and_fades() {
    let mut desk = Desk::talking_to(Ears::All);
    assert_eq!(desk.turned_down(), [true, true]);
    desk.talkbacks.close(LINE);
    assert_eq!(desk.talkbacks.lines().count(), 0);
    assert_eq!(desk.turned_down(), [false, false]);
    assert!(desk.talkbacks.to_all().is_none());
}

#[test]
fn a_line_that_is_begun_anew_in_mid_word_takes_over() {
    let mut desk = Desk::talking_to(Ears::All);
    desk.talkbacks.open(LINE, Ears::Seat(HIS));
    assert_eq!(desk.turned_down(), [false, true]);
}

#[test]
fn a_line_that_is_turned_in_mid_word_leaves_some_and_comes_to_others() {
    let mut desk = Desk::talking_to(Ears::Seat(HIS));
    for (ears, turned_down) in [
        (Ears::Seat(HERS), [true, false]),
        (Ears::All, [true, true]),
        (Ears::Seat(HIS), [false, true]),
    ] {
        desk.talkbacks.turn_to(LINE, ears);
        let told = desk.talkbacks.lines().next().map(|line| line.ears);
        assert_eq!(told, Some(ears), "the desk is told at once");
        assert_eq!(desk.turned_down(), turned_down);
    }
}

#[test]
fn lines_that_fade_are_bounded() {
    let mut desk = Desk::talking_to(Ears::All);
    for _ in 0..10 * MAX_TALKBACKS {
        desk.talkbacks.open(LINE, Ears::All);
        let line = desk.talkbacks.lines.get_mut(&LINE).unwrap();
        line.duck = DUCKED;
        assert!(desk.talkbacks.closed.len() <= MAX_TALKBACKS);
    }
}
