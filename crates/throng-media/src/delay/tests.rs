//! What is heard of a marked stage: each frame of the talk is a level that names it, and the bridge is below them all.

#![allow(
    clippy::float_cmp,
    reason = "marks go through as they are, or not at all"
)]

use std::ops::Range;

use proptest::prelude::*;

use super::*;
use crate::{FRAME_LEN, SILENCE};

/// The first frame of the stage that may be heard.
const LIVE: u64 = 100;
/// The level of one frame above that of the one before it.
const STEP: f32 = 1.0 / 16_384.0;
/// Below every mark.
const BRIDGE: f32 = -0.125;

/// The numbers of such frames.
fn frames(numbers: Range<u64>) -> Vec<u64> {
    numbers.collect()
}

/// A frame of the talk: its level says its number.
fn mark(number: u64) -> Frame {
    [0.25 + f32::from(u16::try_from(number).unwrap()) * STEP; FRAME_LEN]
}

/// Which frame of the talk this is, if it is one as it was said.
fn read(frame: &Frame) -> Option<u64> {
    let level = frame[0];
    let is_even = frame
        .iter()
        .all(|sample| sample.to_bits() == level.to_bits());
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "marks are small positive numbers"
    )]
    (is_even && level >= 0.25).then(|| ((level - 0.25) / STEP) as u64)
}

struct Stage {
    line: DelayLine,
    number: u64,
    /// What was heard, and in which frame.
    heard: Vec<(u64, Frame)>,
    is_pausing: bool,
}

impl Stage {
    /// From frame 0 on, live from [`LIVE`] with a delay of so many frames.
    fn live(delay: u64) -> Self {
        let mut line = DelayLine::new(delay);
        line.go_live(LIVE, LIVE + delay);
        Self {
            line,
            number: 0,
            heard: Vec::new(),
            is_pausing: false,
        }
    }

    fn go_on(&mut self, frames: u64) -> &mut Self {
        for _ in 0..frames {
            let said = if self.is_pausing {
                SILENCE
            } else {
                mark(self.number)
            };
            let bridge = || [BRIDGE; FRAME_LEN];
            let heard = self.line.tick(self.number, said.into(), bridge);
            self.heard.push((self.number, heard.mid));
            self.number += 1;
        }
        self
    }

    /// The frames of the talk that were heard, in that order.
    fn talk(&self) -> Vec<u64> {
        self.heard
            .iter()
            .filter_map(|(_, frame)| read(frame))
            .collect()
    }
}

#[test]
fn without_a_delay_the_stage_passes_as_it_is() {
    let mut stage = Stage::live(0);
    stage.go_on(1_000);
    assert_eq!(stage.talk(), frames(LIVE..1_000));
    for (number, frame) in &stage.heard {
        let expected = if *number < LIVE {
            SILENCE
        } else {
            mark(*number)
        };
        assert_eq!(*frame, expected);
    }
    assert_eq!(stage.line.dump(), 0, "nothing is held");
}

#[test]
fn two_channels_are_held_together_and_the_bridge_is_in_both_ears() {
    let mut line = DelayLine::new(100);
    line.go_live(0, 100);
    let said = |number| WideFrame::new(mark(number), mark(number + 7));
    for number in 0..200 {
        let heard = line.tick(number, said(number), || [BRIDGE; FRAME_LEN]);
        match number.checked_sub(100) {
            Some(before) => assert_eq!(heard, said(before)),
            None => assert!(heard.is_silent()),
        }
    }
    line.dump();
    for number in 200..260 {
        let heard = line.tick(number, said(number), || [BRIDGE; FRAME_LEN]);
        let is_over = number > 200;
        assert_eq!(
            heard.side.is_none(),
            is_over,
            "{number}: nothing of what was said"
        );
    }
}

#[test]
fn what_is_said_is_heard_the_delay_later_and_nothing_from_before_go_live() {
    let mut stage = Stage::live(350);
    stage.go_on(2_000);
    assert_eq!(stage.talk(), frames(LIVE..2_000 - 350));
    assert_eq!(stage.heard[449].1, SILENCE);
    assert_eq!(stage.heard[450], (450, mark(LIVE)));
    let standing = stage.line.standing();
    assert_eq!((standing.held, standing.is_full), (350, true));
}

#[test]
fn what_was_dumped_is_never_heard_and_the_delay_is_built_up_anew() {
    let mut stage = Stage::live(350);
    stage.go_on(1_000);
    assert_eq!(stage.line.dump(), 350);
    assert!(stage.line.standing().is_bridging);
    stage.go_on(1_000);
    let heard = [frames(LIVE..650), frames(1_001..1_650)].concat();
    // The first frame after the bridge comes in softly, and until the bridge is gone it is mixed with it.
    assert_eq!(stage.talk()[..550], heard[..550]);
    let after: Vec<_> = stage.talk()[550..].to_vec();
    assert!(after[0] <= 1_000 + 26, "{}", after[0]);
    assert_eq!(after, frames(after[0]..1_650));
    // Meanwhile music is heard, which comes and goes without a click; and of the frame that was heard last, its echo.
    for (number, frame) in &stage.heard[1_000..1_350] {
        let (low, high) = frame.iter().fold((0.0_f32, 0.0_f32), |(low, high), &x| {
            (low.min(x), high.max(x))
        });
        assert!(low >= BRIDGE && high <= mark(649)[0], "frame {number}");
    }
    assert_eq!(stage.heard[1_100].1, [BRIDGE; FRAME_LEN]);
    assert!(!stage.line.standing().is_bridging);
    assert!(stage.line.standing().is_full);
}

#[test]
fn whoever_dumps_while_the_delay_is_built_up_dumps_what_was_said_since() {
    let mut stage = Stage::live(350);
    stage.go_on(1_000);
    stage.line.dump();
    stage.go_on(100);
    assert_eq!(stage.line.dump(), 100);
    stage.go_on(900);
    assert!(stage.talk().iter().all(|said| !(650..1_100).contains(said)));
    assert!(stage.talk().contains(&1_200));
}

#[test]
fn a_dump_before_anything_was_heard_leaves_nothing_of_it() {
    let mut stage = Stage::live(350);
    stage.go_on(300);
    assert_eq!(stage.line.dump(), 200);
    stage.go_on(700);
    assert!(stage.talk().iter().all(|&said| said >= 300));
    assert!(stage.talk().contains(&400));
}

#[test]
fn a_delay_that_is_set_while_live_waits_for_a_pause_and_loses_no_word() {
    let mut stage = Stage::live(0);
    stage.go_on(500);
    stage.line.want(100);
    stage.go_on(100);
    assert!(!stage.line.standing().is_bridging, "nobody is interrupted");
    stage.is_pausing = true;
    stage.go_on(10);
    assert!(stage.line.standing().is_bridging);
    stage.is_pausing = false;
    stage.go_on(1_000);
    let talk = stage.talk();
    assert_eq!(talk[..500], frames(LIVE..600)[..]);
    // The bridge begins with the first frame of the pause and gives way 100 frames later: the talk goes on from 610.
    let words = frames(LIVE..600).len();
    assert!(talk[words] < 640, "{}", talk[words]);
    assert_eq!(talk[words..], frames(talk[words]..1_510)[..]);
    assert_eq!(stage.line.standing().held, 100);
}

#[test]
fn who_never_pauses_is_interrupted_in_the_end() {
    let mut stage = Stage::live(0);
    stage.go_on(500);
    stage.line.want(100);
    stage.go_on(u64::from(PAUSE_PATIENCE_FRAMES) + 1);
    assert!(stage.line.standing().is_bridging);
}

#[test]
fn a_delay_that_is_lowered_is_made_up_for_in_pauses() {
    let mut stage = Stage::live(100);
    stage.go_on(500);
    stage.line.want(0);
    stage.go_on(50);
    assert_eq!(stage.line.standing().held, 100, "there was no pause yet");
    stage.is_pausing = true;
    stage.go_on(250);
    stage.is_pausing = false;
    stage.go_on(200);
    assert_eq!(stage.line.standing().held, 0);
    let words = [frames(LIVE..550), frames(800..1_000)].concat();
    assert_eq!(stage.talk(), words, "every word was heard");
}

#[test]
fn a_dump_while_the_delay_is_taken_away_makes_no_click() {
    let mut stage = Stage::live(100);
    stage.go_on(500);
    stage.line.want(0);
    stage.go_on(50);
    assert_eq!(stage.line.dump(), 100);
    stage.go_on(50);
    assert!(!stage.line.standing().is_bridging, "no delay, no bridge");
    let heard = stage.heard[540..].iter().flat_map(|(_, frame)| *frame);
    let heard: Vec<f32> = heard.collect();
    let steps = heard.windows(2).map(|two| (two[1] - two[0]).abs());
    let steepest = steps.fold(0.0, f32::max);
    assert!(
        steepest < 0.001,
        "the talk comes and goes in a frame: {steepest}"
    );
}

#[test]
fn the_end_plays_out_what_is_held_and_bridges_nothing() {
    let mut stage = Stage::live(100);
    stage.go_on(500);
    stage.line.want(500);
    stage.line.end();
    stage.go_on(100);
    assert_eq!(stage.talk(), frames(LIVE..500));
    // And from a bridge it goes on at once.
    let mut stage = Stage::live(0);
    stage.go_on(500);
    stage.is_pausing = true;
    stage.line.want(100);
    stage.go_on(10);
    stage.line.end();
    assert!(stage.line.standing().is_bridging);
    stage.go_on(1);
    assert!(!stage.line.standing().is_bridging);
}

#[derive(Clone, Copy, Debug)]
enum Hand {
    Dump,
    GoOn(u64),
    Pause(u64),
    Want(u64),
}

proptest! {
    /// Whatever the host does: a frame for a frame; the talk in its order; nothing from before go-live, and nothing that
    /// was dumped.
    #[test]
    fn whatever_the_host_does_only_what_was_left_is_heard_and_in_its_order(
        delay in 0_u64..=500,
        hands in proptest::collection::vec(prop_oneof![
            1 => Just(Hand::Dump),
            3 => (1_u64..300).prop_map(Hand::GoOn),
            2 => (1_u64..100).prop_map(Hand::Pause),
            1 => (0_u64..=500).prop_map(Hand::Want),
        ], 1..12),
    ) {
        let mut stage = Stage::live(delay);
        let mut dumped = Vec::new();
        for hand in hands {
            match hand {
                Hand::Dump => {
                    let thrown = stage.line.dump() as u64;
                    dumped.push(stage.number - thrown..stage.number);
                }
                Hand::GoOn(frames) => { stage.go_on(frames); }
                Hand::Pause(frames) => {
                    stage.is_pausing = true;
                    stage.go_on(frames);
                    stage.is_pausing = false;
                }
                Hand::Want(frames) => stage.line.want(frames),
            }
            prop_assert!(stage.line.standing().held <= HELD_FRAMES_MAX);
            prop_assert_eq!(stage.heard.len() as u64, stage.number);
        }
        let talk = stage.talk();
        prop_assert!(talk.windows(2).all(|two| two[0] < two[1]), "in its order");
        prop_assert!(talk.iter().all(|&said| said >= LIVE));
        let is_dumped = |said: &u64| dumped.iter().any(|range| range.contains(said));
        prop_assert!(!talk.iter().any(is_dumped));
    }
}
