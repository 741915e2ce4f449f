//! What a player has in hand: its cushion, and the moment when it runs dry. Pure.
//!
//! Sound begins when enough is there and then runs with real time. What comes later than it is due is a stall, what the
//! stream leaves out a jump: a gap is the longer of the two, as players wait for one or go over the other.

/// The sound device's own buffer rides over a shorter hole: one frame of 20 ms.
pub const AUDIBLE_MIN_US: u64 = 20_000;

const SAMPLE_RATE_HZ: u64 = 48_000;
/// A part, 320 ms: what servers number, and a player that comes back asks for by number.
const PART_SAMPLES: u64 = 15_360;

/// One player. Two words per listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Playback {
    /// The sample after the last that has come.
    end_sample: u64,
    /// When that will be due; while the player still gathers, how much it has.
    due_us: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Empty,
    Gathering,
    Sounding,
}

/// What one delivery meant for the player.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// With it sound began.
    pub began: bool,
    /// Samples that the player did not have before.
    pub new_samples: u64,
    /// What was missing before it, if that could be heard.
    pub gap_us: Option<u64>,
}

impl Playback {
    /// Sound came whole. `sample` is its place, `None` in a stream without timestamps: then it follows the last.
    /// `enough_us` is what this player gathers before it begins.
    pub fn deliver(
        &mut self,
        now_us: u64,
        sample: Option<u64>,
        samples: u64,
        enough_us: u64,
    ) -> Heard {
        let sample = sample.unwrap_or(self.end_sample);
        if self.state == State::Empty {
            self.end_sample = sample;
            self.due_us = 0;
            self.state = State::Gathering;
        }
        let end = sample.saturating_add(samples);
        // A burst after a reconnection repeats what is there.
        let new_samples = end.saturating_sub(self.end_sample.max(sample));
        if new_samples == 0 {
            return Heard::default();
        }
        let jumped_us = time_of(sample.saturating_sub(self.end_sample));
        self.end_sample = end;
        let more_us = time_of(new_samples);
        let mut heard = Heard {
            new_samples,
            ..Heard::default()
        };
        if self.state == State::Gathering {
            self.due_us += more_us;
            if self.due_us >= enough_us {
                self.due_us += now_us;
                self.state = State::Sounding;
                heard.began = true;
            }
            heard.gap_us = audible(jumped_us);
            return heard;
        }
        let stalled_us = now_us.saturating_sub(self.due_us);
        heard.gap_us = audible(stalled_us.max(jumped_us));
        self.due_us = self.due_us.max(now_us) + more_us;
        heard
    }

    /// How long sound goes on if nothing more comes.
    pub fn cushion_us(&self, now_us: u64) -> u64 {
        match self.state {
            State::Empty => 0,
            State::Gathering => self.due_us,
            State::Sounding => self.due_us.saturating_sub(now_us),
        }
    }

    /// The part in which what has come ends, once sound has begun.
    pub fn next_part(&self) -> Option<u64> {
        self.is_sounding().then_some(self.end_sample / PART_SAMPLES)
    }

    /// Whether sound has begun.
    pub fn is_sounding(&self) -> bool {
        self.state == State::Sounding
    }

    /// For how long the player has been silent by now, which shows as a gap only when sound comes again.
    pub fn silent_us(&self, now_us: u64) -> u64 {
        if self.is_sounding() {
            now_us.saturating_sub(self.due_us)
        } else {
            0
        }
    }
}

fn audible(missing_us: u64) -> Option<u64> {
    (missing_us >= AUDIBLE_MIN_US).then_some(missing_us)
}

/// How long samples last; what a stream claims beyond five thousand years stays there.
fn time_of(samples: u64) -> u64 {
    let us = u128::from(samples) * 1_000_000 / u128::from(SAMPLE_RATE_HZ);
    u64::try_from(us)
        .unwrap_or(u64::MAX >> 2)
        .min(u64::MAX >> 2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PART: u64 = 15_360;
    const PART_US: u64 = 320_000;

    #[test]
    fn a_burst_is_a_cushion_that_late_parts_use_up() {
        let mut playback = Playback::default();
        let heard = playback.deliver(1_000, Some(0), 13 * PART, 0);
        assert!(heard.began && heard.gap_us.is_none());
        assert_eq!(playback.cushion_us(1_000), 13 * PART_US);
        let due = 1_000 + 13 * PART_US;
        let heard = playback.deliver(due + AUDIBLE_MIN_US - 1, Some(13 * PART), PART, 0);
        assert_eq!(heard.gap_us, None, "nobody hears less than a frame");
        let due = due + AUDIBLE_MIN_US - 1 + PART_US;
        let heard = playback.deliver(due + 500_000, Some(14 * PART), PART, 0);
        assert_eq!(heard.gap_us, Some(500_000));
        assert_eq!(playback.cushion_us(due + 500_000), PART_US);
    }

    #[test]
    fn what_the_stream_leaves_out_is_a_gap_and_what_it_repeats_is_none() {
        let mut playback = Playback::default();
        playback.deliver(0, Some(0), PART, 0);
        let heard = playback.deliver(10, Some(3 * PART), PART, 0);
        assert_eq!(heard.gap_us, Some(2 * PART_US));
        assert_eq!(playback.next_part(), Some(4));
        let again = playback.deliver(20, Some(2 * PART), 2 * PART, 0);
        assert_eq!(again, Heard::default());
        let overlapping = playback.deliver(30, Some(3 * PART), 2 * PART, 0);
        assert_eq!((overlapping.new_samples, overlapping.gap_us), (PART, None));
    }

    #[test]
    fn a_player_that_gathers_first_sounds_when_it_has_enough() {
        let mut playback = Playback::default();
        assert!(!playback.deliver(0, None, PART, 1_000_000).began);
        assert!(!playback.deliver(900_000, None, PART, 1_000_000).began);
        assert!(!playback.deliver(900_000, None, PART, 1_000_000).began);
        let heard = playback.deliver(950_000, None, PART, 1_000_000);
        assert!(heard.began && heard.gap_us.is_none());
        assert_eq!(playback.cushion_us(950_000), 4 * PART_US);
        assert_eq!(playback.silent_us(950_000 + 4 * PART_US + 7), 7);
    }

    proptest! {
        /// Time is accounted for: from the first sound to the moment when the cushion runs dry lie exactly what was
        /// delivered and the stalls (those below hearing included).
        #[test]
        fn sound_and_stalls_fill_the_time(
            deliveries in proptest::collection::vec((0_u64..900_000, 0_u64..3), 1..200),
        ) {
            let mut playback = Playback::default();
            let (mut now, mut part, mut sound_us, mut stalls_us) = (5, 100, 0, 0);
            for (wait, back) in deliveries {
                now += wait;
                if playback.is_sounding() {
                    let silent = playback.silent_us(now);
                    let heard = playback.deliver(now, Some((part - back) * PART), (1 + back) * PART, 0);
                    prop_assert_eq!(heard.new_samples, PART);
                    prop_assert_eq!(heard.gap_us, audible(silent));
                    stalls_us += silent;
                } else {
                    prop_assert!(playback.deliver(now, Some(part * PART), PART, 0).began);
                    stalls_us = now;
                }
                part += 1;
                sound_us += PART_US;
                prop_assert_eq!(now + playback.cushion_us(now), stalls_us + sound_us);
            }
        }
    }
}
