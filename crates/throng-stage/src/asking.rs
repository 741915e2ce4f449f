//! When to ask a speaker for packets that are missing. Pure.
//!
//! At once, and for as long as an answer can be in time. The library looks for what is missing 33 ms after it last looked:
//! it must not look while nothing is missing, or each gap waits for its turn, and that is what sound has left when two of
//! three packets are to be asked for.
//!
//! Not always: what is sent again comes a round trip later. Where packets already wait on the way for as long as sound may
//! wait at all, it would come too late, and make all others wait longer: the link is full. And who sends packets of 60 ms
//! says that his link bears no more.

use std::time::{Duration, Instant};

/// Samples in a packet of the sort that is sent where every header counts: 60 ms.
const LEAN_PACKET_SAMPLES: u32 = 2_880;
/// Of the 180 ms that sound waits at most no more than 20 ms are left: no answer comes within that.
const QUEUE_MAX: Duration = Duration::from_millis(160);
/// For so long after a packet that waited nothing is asked for: the next need not have waited in the same queue to be as
/// late.
const CALM_AFTER: Duration = Duration::from_millis(500);
/// A queue is shorter again by then, or else it is the way that has become longer, or the sender has paused his clock.
const QUEUE_STANDS_MAX: Duration = Duration::from_secs(3);
/// For so long after a gap was seen it is asked for: with the shortest of round trips and its answer it is 180 ms, all that
/// sound waits at most.
const ASKED_FOR: Duration = Duration::from_millis(120);
/// The least transit time grows by a fiftieth of the time, so that neither a clock that drifts (200 ppm) nor a microphone
/// that leaves out what its machine is late for is taken for a queue.
const LEAK: u32 = 50;

/// What is known of the packets that come.
#[derive(Debug, Default)]
pub(crate) struct Asking {
    newest: Option<Newest>,
    is_lean: bool,
    /// Since when every packet has been late.
    late_since: Option<Instant>,
    late_until: Option<Instant>,
    /// When it was last seen that packets are missing.
    gap_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Newest {
    sequence: u64,
    timestamp: u32,
    /// When the packet would have come with the least transit time.
    soonest: Instant,
}

impl Asking {
    /// A packet came; whether what is missing, if anything is, is worth to be asked for.
    pub(crate) fn is_worth_while(&mut self, now: Instant, sequence: u64, timestamp: u32) -> bool {
        match self.newest {
            None => {
                self.newest = Some(Newest {
                    sequence,
                    timestamp,
                    soonest: now,
                });
            }
            // What was overtaken, or asked for, says nothing.
            Some(newest) if sequence > newest.sequence => {
                self.follow(now, newest, sequence, timestamp);
            }
            Some(_) => {}
        }
        !self.is_lean && self.late_until.is_none_or(|until| now >= until)
    }

    /// Whether something is missing that could still come in time.
    pub(crate) fn misses(&self, now: Instant) -> bool {
        self.gap_at
            .is_some_and(|at| now.saturating_duration_since(at) < ASKED_FOR)
    }

    fn follow(&mut self, now: Instant, newest: Newest, sequence: u64, timestamp: u32) {
        let samples = timestamp.wrapping_sub(newest.timestamp);
        if sequence == newest.sequence + 1 {
            self.is_lean = samples == LEAN_PACKET_SAMPLES;
        } else {
            self.gap_at = Some(now);
        }
        let spoken = Duration::from_micros(u64::from(samples) * 1_000 / 48);
        let due = newest.soonest + spoken + spoken / LEAK;
        // A timestamp that jumps back is a huge leap ahead, and its packet is no longer late.
        let mut soonest = due.min(now);
        if now - soonest <= QUEUE_MAX {
            self.late_since = None;
        } else if now - *self.late_since.get_or_insert(now) < QUEUE_STANDS_MAX {
            self.late_until = Some(now + CALM_AFTER);
        } else {
            soonest = now;
        }
        self.newest = Some(Newest {
            sequence,
            timestamp,
            soonest,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets of so many milliseconds, each late by what `late_ms` says of its number; for each, whether to ask.
    fn asked(packets: u64, packet_ms: u64, late_ms: impl Fn(u64) -> u64) -> Vec<bool> {
        let (start, mut asking) = (Instant::now(), Asking::default());
        let asked = (0..packets).map(|n| {
            let now = start + Duration::from_millis(n * packet_ms + late_ms(n));
            let timestamp = u32::try_from(n * packet_ms * 48).unwrap();
            asking.is_worth_while(now, n, timestamp)
        });
        asked.collect()
    }

    #[test]
    fn jitter_of_a_tenth_of_a_second_and_a_drifting_clock_are_no_queue() {
        assert!(asked(500, 20, |n| n * 37 % 101).iter().all(|&asked| asked));
        // A minute in which a microphone leaves out a hundredth: 600 ms.
        let drifted = asked(3_000, 20, |n| n / 5);
        assert!(drifted.iter().all(|&asked| asked));
    }

    #[test]
    fn while_packets_wait_on_the_way_nothing_is_asked_for() {
        // A queue grows to half a second within half a second, stands for a second and is gone.
        let queue = |n: u64| match n {
            100..125 => (n - 100) * 20,
            125..175 => 500,
            _ => 0,
        };
        let asked = asked(250, 20, queue);
        assert!(asked[..108].iter().all(|&asked| asked));
        assert!(!asked[110..175].iter().any(|&asked| asked));
        assert!(asked[225..].iter().all(|&asked| asked));
    }

    #[test]
    fn a_way_that_has_become_longer_is_no_queue() {
        let asked = asked(400, 20, |n| if n < 100 { 0 } else { 400 });
        assert!(!asked[101..250].iter().any(|&asked| asked));
        assert!(asked[280..].iter().all(|&asked| asked));
    }

    #[test]
    fn who_sends_lean_is_asked_for_nothing() {
        assert!(!asked(50, 60, |_| 0)[1..].iter().any(|&asked| asked));
    }

    #[test]
    fn a_timestamp_that_begins_anew_is_no_queue() {
        let (now, mut asking) = (Instant::now(), Asking::default());
        asking.is_worth_while(now, 0, 4_000_000_000);
        let later = now + Duration::from_millis(20);
        assert!(asking.is_worth_while(later, 1, 7));
    }
}
