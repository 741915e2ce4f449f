//! When each packet sounds: a player's media clock, its gaps and its underruns. Pure: the time is an argument.
//!
//! The first packet sounds a cushion after it came; from then on the clock runs with real time. Media that is missing
//! in the stream is silence of its length. Media that comes too late lets the clock stand still until it is there, as
//! players do. Both are gaps; when a stall and a jump fall together, the wait stands for the silence.

use std::collections::VecDeque;
use std::time::Duration;

use throng_core::timeline::SAMPLE_RATE_HZ;

/// The media clock of one listener. Times are counted from the start of the connect.
#[derive(Debug)]
pub struct Playout<P> {
    cushion: Duration,
    started_at: Option<Duration>,
    /// The sample after the last that is scheduled, and when it will be due.
    end_sample: u64,
    end_at: Duration,
    due: VecDeque<Scheduled<P>>,
    /// What sounds now.
    playing: Option<Span>,
    gaps: Vec<Gap>,
}

/// What is to be heard next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sound<P> {
    /// A packet.
    Packet(P),
    /// Nothing, for so long.
    Silence(Duration),
}

/// A hole in what the listener heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// How long after the first sound it began.
    pub at: Duration,
    /// How long it lasted.
    pub missing: Duration,
}

impl<P> Playout<P> {
    /// A clock that lets the first packet wait for `cushion`.
    pub fn new(cushion: Duration) -> Self {
        Self {
            cushion,
            started_at: None,
            end_sample: 0,
            end_at: Duration::ZERO,
            due: VecDeque::new(),
            playing: None,
            gaps: Vec::new(),
        }
    }

    /// A packet came, which holds `samples` from `sample` on. What has been scheduled before (a reconnection begins
    /// with sound that we already have) is dropped.
    pub fn push(&mut self, now: Duration, sample: u64, samples: u32, packet: P) {
        if self.started_at.is_none() {
            self.end_sample = sample;
            self.end_at = now + self.cushion;
            self.started_at = Some(self.end_at);
        }
        if sample < self.end_sample {
            return;
        }
        let stalled = now.saturating_sub(self.end_at);
        let jumped = sample - self.end_sample;
        if !stalled.is_zero() || jumped > 0 {
            self.leave_gap(stalled, jumped);
        }
        let span = Span {
            at: self.end_at,
            sample,
            samples: u64::from(samples),
        };
        self.end_sample = sample + span.samples;
        self.end_at += duration_of(span.samples);
        self.due.push_back(Scheduled {
            span,
            sound: Sound::Packet(packet),
        });
    }

    /// What begins to sound by now, one after the other.
    pub fn pop(&mut self, now: Duration) -> Option<Sound<P>> {
        if self.due.front()?.span.at > now {
            return None;
        }
        let scheduled = self.due.pop_front()?;
        self.playing = Some(scheduled.span);
        Some(scheduled.sound)
    }

    /// When [`Self::pop`] has something next.
    pub fn next_at(&self) -> Option<Duration> {
        self.due.front().map(|scheduled| scheduled.span.at)
    }

    /// When the first sound began or will begin.
    pub fn started_at(&self) -> Option<Duration> {
        self.started_at
    }

    /// How much sound is still to come if nothing more arrives.
    pub fn buffered(&self, now: Duration) -> Duration {
        self.end_at.saturating_sub(now)
    }

    /// The sample that is heard now: behind the last that was heard, when the sound has stopped.
    pub fn position(&self, now: Duration) -> Option<u64> {
        let span = self.playing?;
        Some(span.sample + samples_in(now.saturating_sub(span.at)).min(span.samples))
    }

    /// The holes so far, in order; at most [`GAPS_MAX`].
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// Puts the silence between what was scheduled and what came late or jumped ahead.
    fn leave_gap(&mut self, stalled: Duration, jumped: u64) {
        let jump = duration_of(jumped);
        // A jump so far is another place in the programme: we go there rather than sit it out.
        let (silence, samples) = if jump > SILENCE_MAX {
            (stalled, 0)
        } else {
            (stalled.max(jump), jumped)
        };
        let missing = stalled.max(jump);
        if missing >= AUDIBLE_MIN {
            self.note_gap(Gap {
                at: self
                    .end_at
                    .saturating_sub(self.started_at.unwrap_or_default()),
                missing,
            });
        }
        if !silence.is_zero() {
            let span = Span {
                at: self.end_at,
                sample: self.end_sample,
                samples,
            };
            self.due.push_back(Scheduled {
                span,
                sound: Sound::Silence(silence),
            });
        }
        self.end_at += silence;
    }

    fn note_gap(&mut self, gap: Gap) {
        let full = self.gaps.len() == GAPS_MAX;
        match self.gaps.last_mut() {
            Some(last) if full => last.missing += gap.missing,
            _ => self.gaps.push(gap),
        }
    }
}

/// Something with its place in time.
#[derive(Debug)]
struct Scheduled<P> {
    span: Span,
    sound: Sound<P>,
}

/// Samples that are due from a moment on.
#[derive(Clone, Copy, Debug)]
struct Span {
    at: Duration,
    sample: u64,
    samples: u64,
}

/// How long so many samples last.
pub fn duration_of(samples: u64) -> Duration {
    let rest = samples % SAMPLE_RATE_HZ * NANOS_PER_SECOND / SAMPLE_RATE_HZ;
    Duration::from_secs(samples / SAMPLE_RATE_HZ) + Duration::from_nanos(rest)
}

/// How many whole samples a time holds.
pub fn samples_in(time: Duration) -> u64 {
    time.as_secs() * SAMPLE_RATE_HZ
        + u64::from(time.subsec_nanos()) * SAMPLE_RATE_HZ / NANOS_PER_SECOND
}

const NANOS_PER_SECOND: u64 = 1_000_000_000;
/// The sound device's own buffer, two periods of 5 ms, rides over a shorter hole.
const AUDIBLE_MIN: Duration = Duration::from_millis(10);
/// A listener who was moved ahead by the server lost a few spans at most; a longer jump is not waited out.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Holes that are kept apart. Whoever has more gets the rest added to the last one.
pub const GAPS_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FRAME: u32 = 960;

    fn ms(time: u64) -> Duration {
        Duration::from_millis(time)
    }

    /// Pushes frames `from..to` (by number) at one moment.
    fn push_frames(playout: &mut Playout<u64>, now: Duration, frames: std::ops::Range<u64>) {
        for frame in frames {
            playout.push(now, frame * u64::from(FRAME), FRAME, frame);
        }
    }

    fn heard(playout: &mut Playout<u64>, now: Duration) -> Vec<Sound<u64>> {
        std::iter::from_fn(|| playout.pop(now)).collect()
    }

    #[test]
    fn a_burst_sounds_at_once_and_then_at_real_time() {
        let mut playout = Playout::new(Duration::ZERO);
        push_frames(&mut playout, ms(30), 500..510);
        assert_eq!(playout.started_at(), Some(ms(30)));
        assert_eq!(heard(&mut playout, ms(30)), [Sound::Packet(500)]);
        assert_eq!(playout.next_at(), Some(ms(50)));
        assert_eq!(
            heard(&mut playout, ms(89)),
            [Sound::Packet(501), Sound::Packet(502)]
        );
        assert_eq!(playout.position(ms(80)), Some(502 * 960 + 480));
        assert_eq!(playout.buffered(ms(89)), ms(141));
        assert_eq!(playout.gaps(), []);
    }

    #[test]
    fn a_buffer_that_runs_dry_is_a_gap_and_the_clock_stands_still() {
        let mut playout = Playout::new(Duration::ZERO);
        push_frames(&mut playout, ms(0), 0..5);
        heard(&mut playout, ms(100));
        assert_eq!(playout.position(ms(200)), Some(5 * 960));
        push_frames(&mut playout, ms(250), 5..6);
        assert_eq!(
            playout.gaps(),
            [Gap {
                at: ms(100),
                missing: ms(150)
            }]
        );
        assert_eq!(
            heard(&mut playout, ms(250)),
            [Sound::Silence(ms(150)), Sound::Packet(5)]
        );
        assert_eq!(playout.position(ms(260)), Some(5 * 960 + 480));
    }

    #[test]
    fn media_that_the_stream_leaves_out_is_silence_of_its_length() {
        let mut playout = Playout::new(Duration::ZERO);
        push_frames(&mut playout, ms(0), 0..2);
        push_frames(&mut playout, ms(0), 18..19);
        assert_eq!(
            playout.gaps(),
            [Gap {
                at: ms(40),
                missing: ms(320)
            }]
        );
        assert_eq!(heard(&mut playout, ms(359)).len(), 3);
        assert_eq!(playout.position(ms(200)), Some(10 * 960));
        assert_eq!(heard(&mut playout, ms(360)), [Sound::Packet(18)]);
    }

    #[test]
    fn a_jump_after_a_stall_is_one_gap_and_is_not_waited_out_twice() {
        let mut playout = Playout::new(Duration::ZERO);
        push_frames(&mut playout, ms(0), 0..1);
        push_frames(&mut playout, ms(520), 26..27);
        assert_eq!(
            playout.gaps(),
            [Gap {
                at: ms(20),
                missing: ms(500)
            }]
        );
        assert_eq!(playout.next_at(), Some(ms(0)));
        let all = [Sound::Packet(0), Sound::Silence(ms(500)), Sound::Packet(26)];
        assert_eq!(heard(&mut playout, ms(520)), all);
    }

    #[test]
    fn a_jump_to_another_place_is_followed_at_once() {
        let mut playout = Playout::new(Duration::ZERO);
        push_frames(&mut playout, ms(0), 0..1);
        push_frames(&mut playout, ms(0), 5_001..5_002);
        assert_eq!(
            playout.gaps(),
            [Gap {
                at: ms(20),
                missing: ms(100_000)
            }]
        );
        assert_eq!(
            heard(&mut playout, ms(20)),
            [Sound::Packet(0), Sound::Packet(5_001)]
        );
    }

    #[test]
    fn what_was_already_scheduled_is_not_heard_twice() {
        let mut playout = Playout::new(Duration::ZERO);
        push_frames(&mut playout, ms(0), 10..20);
        push_frames(&mut playout, ms(50), 5..22);
        assert_eq!(
            heard(&mut playout, ms(1_000)),
            (10..22).map(Sound::Packet).collect::<Vec<_>>()
        );
        assert_eq!(playout.gaps(), []);
    }

    #[test]
    fn a_cushion_lets_late_packets_pass_without_a_gap() {
        let mut playout = Playout::new(ms(60));
        push_frames(&mut playout, ms(0), 0..1);
        assert_eq!(playout.pop(ms(59)), None);
        push_frames(&mut playout, ms(79), 1..2);
        assert_eq!(playout.gaps(), []);
    }

    #[test]
    fn a_hole_below_hearing_moves_the_clock_but_is_no_gap() {
        let mut playout = Playout::new(Duration::ZERO);
        push_frames(&mut playout, ms(0), 0..1);
        push_frames(&mut playout, ms(29), 1..2);
        assert_eq!(playout.gaps(), []);
        assert_eq!(playout.buffered(ms(29)), ms(20));
    }

    #[test]
    fn the_list_of_gaps_stays_bounded() {
        let mut playout = Playout::new(Duration::ZERO);
        for frame in 0..2_000 {
            push_frames(&mut playout, ms(0), frame * 2..frame * 2 + 1);
        }
        assert_eq!(playout.gaps().len(), GAPS_MAX);
        let missing: Duration = playout.gaps().iter().map(|gap| gap.missing).sum();
        assert_eq!(missing, ms(20 * 1_999));
    }

    proptest! {
        /// Whatever comes, and whenever: what is popped lies on the clock without overlap, in order, and time is
        /// accounted for to the last nanosecond: sound and silence together last from the first sound to the end.
        #[test]
        fn sound_and_silence_fill_the_time(
            arrivals in proptest::collection::vec((0_u64..400, 0_u64..30, 0_u64..4), 1..200),
        ) {
            let mut playout = Playout::new(ms(60));
            let (mut now, mut frame) = (Duration::ZERO, 1_000_u64);
            for (wait, back, ahead) in arrivals {
                now += ms(wait);
                frame = (frame + ahead).saturating_sub(back / 25);
                playout.push(now, frame * u64::from(FRAME), FRAME, frame);
                frame += 1;
            }
            let (end, start) = (now + playout.buffered(now), playout.started_at().unwrap());
            let (mut filled, mut last) = (Duration::ZERO, None);
            for sound in heard(&mut playout, end) {
                filled += match sound {
                    Sound::Silence(silence) => silence,
                    Sound::Packet(frame) => {
                        prop_assert!(last.is_none_or(|last| frame > last));
                        last = Some(frame);
                        duration_of(u64::from(FRAME))
                    }
                };
            }
            // Late at the very end: the last push may lie after all sound has passed.
            prop_assert!(start + filled <= end);
            prop_assert_eq!(playout.position(end), last.map(|frame| (frame + 1) * u64::from(FRAME)));
        }
    }
}
