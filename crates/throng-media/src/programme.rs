//! The programme: what everybody hears, one frame after the other, from the hold loop through go-live to the end.
//!
//! Frame n is samples [960 n, 960 (n + 1)) of the programme clock. Until go-live it is the hold loop at its place on
//! that clock, so that it goes on seamlessly from the loop that was encoded beforehand; from the first sample of the
//! go-live frame an equal-power crossfade leads into the stage, inside the same stream.
//!
//! The limiter's look-ahead does not shift the clock: the hold loop is read ahead by it. The stage cannot be, and is
//! heard 5 ms later than it was mixed.

use std::sync::Arc;

use crate::limiter::{LATENCY_SAMPLES, Limiter};
use throng_core::rendition::Channels;

use crate::{FRAME_LEN, WideFrame};

/// The crossfade from hold to stage, 1 s.
pub const CROSSFADE_SAMPLES: u64 = 48_000;

/// The programme of one space from doors on.
pub struct Programme {
    next_frame: u64,
    hold: Option<Hold>,
    limiter: Limiter,
}

struct Hold {
    loop_pcm: Arc<[f32]>,
    /// What was played before, and the sample at which it gives way.
    before: Option<(Arc<[f32]>, u64)>,
    live_at_sample: Option<u64>,
}

impl Programme {
    /// A programme that begins on hold with frame `first_frame`. Sample s of the hold is `hold[s % hold.len()]`, in both
    /// ears.
    pub fn new(channels: Channels, hold: Arc<[f32]>, first_frame: u64) -> Self {
        let hold = Hold {
            loop_pcm: hold,
            before: None,
            live_at_sample: None,
        };
        let mut programme = Self {
            hold: Some(hold),
            ..Self::resume_live(channels, first_frame)
        };
        // What the limiter would have heard before.
        let mut ahead = [0.0; LATENCY_SAMPLES];
        programme.mix(first_frame * FRAME_LEN as u64, &mut ahead);
        programme.limiter.process(&mut ahead);
        programme
    }

    /// A programme that was live already, as after a restart: the stage at once.
    pub fn resume_live(channels: Channels, first_frame: u64) -> Self {
        Self {
            next_frame: first_frame,
            hold: None,
            limiter: Limiter::of(channels),
        }
    }

    /// Goes live with the first sample of a frame, at the earliest the frame after the next (the limiter has heard
    /// the beginning of the next one). Answers with the frame; once live it changes nothing more.
    pub fn go_live(&mut self, at_frame: u64) -> u64 {
        let at_frame = at_frame.max(self.next_frame + 1);
        match &mut self.hold {
            Some(hold) => {
                let sample = *hold
                    .live_at_sample
                    .get_or_insert(at_frame * FRAME_LEN as u64);
                sample / FRAME_LEN as u64
            }
            None => self.next_frame,
        }
    }

    /// Another hold is played, by a crossfade like that of going live. Once live it changes nothing.
    pub fn change_hold(&mut self, loop_pcm: Arc<[f32]>) {
        let at_sample = (self.next_frame + 1) * FRAME_LEN as u64;
        if let Some(hold) = &mut self.hold {
            let before = core::mem::replace(&mut hold.loop_pcm, loop_pcm);
            hold.before = Some((before, at_sample));
        }
    }

    /// The number of the frame that the next tick makes.
    pub fn next_frame(&self) -> u64 {
        self.next_frame
    }

    /// The next frame, with what is on stage now.
    pub fn tick(&mut self, stage: WideFrame) -> WideFrame {
        let mut frame = stage;
        let first_sample = self.next_frame * FRAME_LEN as u64 + LATENCY_SAMPLES as u64;
        self.mix(first_sample, &mut frame.mid);
        if let Some(side) = &mut frame.side {
            self.mix_side(first_sample, &mut side[..]);
        }
        self.limiter.process_wide(&mut frame);
        self.next_frame += 1;
        self.forget(first_sample + FRAME_LEN as u64);
        frame
    }

    /// Lets go of what is not heard any more from a sample on: ten minutes of sound are 115 MB.
    fn forget(&mut self, from: u64) {
        let is_past = |begun: u64| begun + CROSSFADE_SAMPLES <= from;
        if let Some(hold) = &mut self.hold {
            hold.before.take_if(|(_, begun)| is_past(*begun));
        }
        self.hold
            .take_if(|hold| hold.live_at_sample.is_some_and(is_past));
    }

    /// Mixes the hold over stage samples that are heard from `first_sample` on.
    fn mix(&self, first_sample: u64, stage: &mut [f32]) {
        let Some(hold) = &self.hold else { return };
        for (sample, at) in stage.iter_mut().zip(first_sample..) {
            *sample = hold.mix(hold.sample(at), at, *sample);
        }
    }

    /// The same for the side, of which the hold has none.
    fn mix_side(&self, first_sample: u64, stage: &mut [f32]) {
        let Some(hold) = &self.hold else { return };
        for (sample, at) in stage.iter_mut().zip(first_sample..) {
            *sample = hold.mix(0.0, at, *sample);
        }
    }
}

impl Hold {
    fn mix(&self, held: f32, at: u64, stage: f32) -> f32 {
        match self.live_at_sample.and_then(|live| at.checked_sub(live)) {
            Some(into) => crossfade(held, stage, into),
            None => held,
        }
    }

    fn sample(&self, at: u64) -> f32 {
        let now = sample_of(&self.loop_pcm, at);
        match &self.before {
            Some((before, from)) if at < from + CROSSFADE_SAMPLES => {
                crossfade(sample_of(before, at), now, at.saturating_sub(*from))
            }
            _ => now,
        }
    }
}

/// From one sound to another of the same power, so many samples into it.
fn crossfade(from: f32, to: f32, into: u64) -> f32 {
    #[allow(clippy::cast_precision_loss, reason = "at most 48,000")]
    let way = into.min(CROSSFADE_SAMPLES) as f32 / CROSSFADE_SAMPLES as f32;
    let angle = way * core::f32::consts::FRAC_PI_2;
    from * angle.cos() + to * angle.sin()
}

fn sample_of(loop_pcm: &[f32], at: u64) -> f32 {
    let place = at % (loop_pcm.len() as u64).max(1);
    let place = usize::try_from(place).ok();
    let sample = place.and_then(|place| loop_pcm.get(place));
    sample.copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "small numbers"
    )]

    use super::*;
    use crate::Frame;
    use throng_core::timeline::SEGMENT_SAMPLES;

    /// Two segments of a loop in which every sample differs from its neighbours.
    fn hold() -> Arc<[f32]> {
        (0..2 * SEGMENT_SAMPLES)
            .map(|i| (i as f32 * 0.013).sin() * 0.3)
            .collect()
    }

    #[test]
    fn on_hold_every_sample_is_the_loop_at_its_place_on_the_clock_and_the_stage_is_unheard() {
        let hold = hold();
        let first_frame = 123_457;
        let mut programme = Programme::new(Channels::Mono, Arc::clone(&hold), first_frame);
        for frame in first_frame..first_frame + 1_000 {
            let heard = programme.tick([0.9; FRAME_LEN].into()).mid;
            for (sample, at) in heard.into_iter().zip(frame as usize * FRAME_LEN..) {
                assert_eq!(sample.to_bits(), hold[at % hold.len()].to_bits());
            }
        }
    }

    #[test]
    fn go_live_begins_with_the_very_sample_keeps_the_power_and_ends_with_the_stage_alone() {
        let hold = hold();
        let mut programme = Programme::new(Channels::Mono, Arc::clone(&hold), 0);
        assert_eq!(programme.go_live(10), 10);
        assert_eq!(programme.go_live(20), 10, "once said, it stands");
        let tone = |at: usize| (at as f32 * 0.1).sin() * 0.3;
        let mut heard = Vec::new();
        for frame in 0..100 {
            let stage: Frame = std::array::from_fn(|i| tone(frame * FRAME_LEN + i));
            heard.extend(programme.tick(stage.into()).mid);
        }
        let (live, end) = (10 * FRAME_LEN, 10 * FRAME_LEN + CROSSFADE_SAMPLES as usize);
        assert_eq!(heard[..live], hold[..live]);
        assert_ne!(heard[live + 1..live + 100], hold[live + 1..live + 100]);
        for (sample, at) in heard[end..].iter().zip(end..) {
            assert!(
                (sample - tone(at - LATENCY_SAMPLES)).abs() < 1e-6,
                "the stage, 5 ms later than mixed"
            );
        }
        for window in heard[live..end].chunks(4_800) {
            let power = window.iter().map(|x| x * x).sum::<f32>() / window.len() as f32;
            assert!((0.035..0.055).contains(&power), "0.045 all along: {power}");
        }
    }

    #[test]
    fn the_side_of_the_stage_comes_with_go_live_and_the_hold_has_none() {
        let mut programme = Programme::new(Channels::Stereo, hold(), 0);
        programme.go_live(10);
        let wide = || WideFrame::new([0.2; FRAME_LEN], [0.1; FRAME_LEN]);
        for frame in 0..70 {
            let heard = programme.tick(wide());
            match frame {
                0..10 => assert!(heard.side.is_none(), "{frame}"),
                // The limiter is late by a part of a frame.
                61.. => assert_eq!(heard, wide(), "{frame}"),
                _ => {}
            }
        }
    }

    #[test]
    fn another_hold_takes_over_by_a_crossfade_at_its_place_on_the_clock() {
        let hold = hold();
        let other: Arc<[f32]> = hold.iter().map(|x| -x).collect();
        let mut programme = Programme::new(Channels::Mono, Arc::clone(&hold), 0);
        let mut heard = programme.tick(WideFrame::SILENCE).mid.to_vec();
        programme.change_hold(Arc::clone(&other));
        for _ in 1..60 {
            heard.extend(programme.tick(WideFrame::SILENCE).mid);
        }
        let (from, until) = (2 * FRAME_LEN, 2 * FRAME_LEN + CROSSFADE_SAMPLES as usize);
        assert_eq!(heard[..from], hold[..from]);
        for (at, sample) in heard.iter().enumerate().skip(until) {
            assert_eq!(sample.to_bits(), other[at % other.len()].to_bits());
        }
        assert_eq!(Arc::strong_count(&hold), 1, "the one before is let go");
    }

    #[test]
    fn going_live_in_the_past_is_going_live_now() {
        let mut programme = Programme::new(Channels::Mono, hold(), 50);
        programme.tick(WideFrame::SILENCE);
        assert_eq!(programme.go_live(3), 52);
    }

    #[test]
    fn a_restart_in_mid_programme_is_the_stage_at_once() {
        let mut programme = Programme::resume_live(Channels::Mono, 77);
        assert_eq!(
            programme.tick([0.25; FRAME_LEN].into()).mid[LATENCY_SAMPLES..],
            [0.25; FRAME_LEN - LATENCY_SAMPLES]
        );
        assert_eq!(programme.next_frame(), 78);
        assert_eq!(programme.go_live(100), 78, "live it is already");
    }
}
