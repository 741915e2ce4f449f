//! How long sound has to wait so that most packets are there when it is their turn.
//!
//! A packet's *lateness* is its transit time (arrival less timestamp) above the least of the last seconds. A histogram
//! of lateness that forgets gives the delay under which nearly all packets arrive. The target grows with it at once,
//! because sound is being lost, and shrinks slowly, because nobody hears a delay. All times are in samples.

use std::collections::VecDeque;

use super::FRAME_SAMPLES;

/// Width of a histogram bucket, 5 ms.
const BUCKET_SAMPLES: i64 = 240;
/// Buckets: with 50 the histogram ends above [`TARGET_MAX_SAMPLES`]; what is later counts in the last.
const BUCKETS: usize = 50;
/// The part of all packets that shall be in time.
const IN_TIME: f32 = 0.97;
/// What the histogram keeps at each frame of sound that came: half of it is older than 350 frames (7 s). With a shorter
/// memory the target follows every cluster of losses up and down, and speech is stretched and shrunk for it: that is heard
/// more than the losses are.
const KEEP: f32 = 0.998;
/// A lateness that did not occur in so many frames (10 s) is forgotten at once: a good network is soon heard soon.
const FORGOTTEN_AFTER: u16 = 500;
/// Sound that was missing and comes after all, as a copy or because it was asked for, counts like so many packets: too late it
/// is lost for good, and to wait for it costs nothing but time.
const FILL_WEIGHT: u32 = 2;
/// The same, where waiting alone brings it: one such is enough (3.9 %), so that of bursts of three that come again every
/// second only the first is heard; one in 16 s is forgotten before the next.
const WAIT_WEIGHT: u32 = 20;
/// Time on top of lateness, 40 ms: one frame because the mixer asks once per frame, and one so that the next packet,
/// which carries the copy of a lost one (RED, in-band FEC), is there too.
const MARGIN_SAMPLES: i64 = 2 * FRAME_SAMPLES;
/// Most that sound waits, 180 ms, less what longer packets than of 20 ms take to be filled: with what a narrow place adds to
/// the way itself, no more than 200 ms beyond a calm network's, or people talk into each other. What comes later is late.
const TARGET_MAX_SAMPLES: i64 = 8_640;
/// The target before the first packet was measured, 80 ms.
const TARGET_FIRST_SAMPLES: i64 = 3_840;
/// By how much the target may shrink in one frame: 20 ms in a second.
const SHRINK_SAMPLES_PER_FRAME: i64 = 19;
/// How long the least transit time is remembered, 5 s: shorter than a sender's clock drifts audibly (200 ppm: 1 ms),
/// longer than the rhythm of a busy network.
const TRANSIT_MEMORY_SAMPLES: i64 = 240_000;
/// Bound of that memory. It holds only ever rising transit times, so that few remain; if it is full the newest of them
/// gives way, which changes nothing for 5 s.
const TRANSITS_MAX: usize = 512;

/// What became of sound that was missing at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filled {
    /// The packet came after all; in-band FEC would have given it back, coarsely.
    Again,
    /// A copy came.
    ByCopy,
    /// One or the other came, and nothing else would have helped.
    ByWaiting,
}

/// The estimate for one speaker.
pub(super) struct Delay {
    /// (arrival, transit), rising in both: the first is the least of the last seconds.
    transits: VecDeque<(i64, i64)>,
    histogram: [f32; BUCKETS],
    /// Frames since each bucket was last met.
    unmet: [u16; BUCKETS],
    measured: u16,
    target: i64,
    packet_samples: i64,
}

impl Delay {
    pub(super) fn new() -> Self {
        Self {
            transits: VecDeque::new(),
            histogram: [0.0; BUCKETS],
            unmet: [0; BUCKETS],
            measured: 0,
            target: TARGET_FIRST_SAMPLES,
            packet_samples: FRAME_SAMPLES,
        }
    }

    /// Notes that so many samples arrived, a packet's own and in their turn.
    pub(super) fn arrived(&mut self, arrival: i64, timestamp: i64, samples: i64) {
        self.packet_samples = samples;
        let transit = arrival - timestamp;
        while self
            .transits
            .back()
            .is_some_and(|&(_, later)| later >= transit)
        {
            self.transits.pop_back();
        }
        if self.transits.len() == TRANSITS_MAX {
            self.transits.pop_back();
        }
        self.transits.push_back((arrival, transit));
        while self
            .transits
            .front()
            .is_some_and(|&(then, _)| arrival - then > TRANSIT_MEMORY_SAMPLES)
        {
            self.transits.pop_front();
        }
        for _ in 0..(samples / FRAME_SAMPLES).max(1) {
            self.measure(arrival, timestamp);
        }
    }

    /// Notes that sound which was missing arrived, so that the target leaves time for it.
    pub(super) fn filled(&mut self, arrival: i64, timestamp: i64, way: Filled) {
        let weight = match way {
            Filled::Again => 1,
            Filled::ByCopy => FILL_WEIGHT,
            Filled::ByWaiting => WAIT_WEIGHT,
        };
        for _ in 0..weight {
            self.measure(arrival, timestamp);
        }
    }

    /// Lets the target shrink; call it once per frame.
    pub(super) fn tick(&mut self) {
        for (share, unmet) in self.histogram.iter_mut().zip(&mut self.unmet) {
            *unmet = unmet.saturating_add(1);
            if *unmet > FORGOTTEN_AFTER {
                *share = 0.0;
            }
        }
        if self.measured > 0 {
            self.target = self.wanted().max(self.target - SHRINK_SAMPLES_PER_FRAME);
        }
    }

    /// Forgets transit times, which mean nothing after the sender's timestamps began anew. Lateness still does.
    pub(super) fn forget_transits(&mut self) {
        self.transits.clear();
    }

    /// The least transit time of the last seconds.
    pub(super) fn least_transit(&self) -> Option<i64> {
        self.transits.front().map(|&(_, transit)| transit)
    }

    /// How long sound may wait at most, with packets as they are now.
    pub(super) fn most(&self) -> i64 {
        TARGET_MAX_SAMPLES - (self.packet_samples - FRAME_SAMPLES).max(0)
    }

    /// Whether sound that arrives then could only be heard later than the most that sound waits. Heard all the same, it
    /// would push all that follows back, and people would talk into each other for as long as it takes to catch up.
    pub(super) fn is_too_late(&self, arrival: i64, timestamp: i64) -> bool {
        self.least_transit()
            .is_some_and(|least| arrival - timestamp - least > self.most())
    }

    /// How long after the least transit time sound should be heard.
    pub(super) fn target(&self) -> i64 {
        self.target
    }

    fn measure(&mut self, arrival: i64, timestamp: i64) {
        let Some(least) = self.least_transit() else {
            return;
        };
        let lateness = (arrival - timestamp - least).max(0);
        let bucket = usize::try_from(lateness / BUCKET_SAMPLES)
            .map_or(BUCKETS - 1, |bucket| bucket.min(BUCKETS - 1));
        self.measured = self.measured.saturating_add(1);
        // The first packets weigh alike; without this the very first would count for seconds.
        let keep = KEEP.min(1.0 - 1.0 / f32::from(self.measured));
        for share in &mut self.histogram {
            *share *= keep;
        }
        self.histogram[bucket] += 1.0 - keep;
        self.unmet[bucket] = 0;
        self.target = self.target.max(self.wanted());
    }

    fn wanted(&self) -> i64 {
        let wanted = IN_TIME * self.histogram.iter().sum::<f32>();
        let mut in_time = 0.0;
        let mut lateness = 0;
        for share in self.histogram {
            in_time += share;
            lateness += BUCKET_SAMPLES;
            if in_time >= wanted {
                break;
            }
        }
        (lateness + MARGIN_SAMPLES).min(self.most())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds 20 ms packets of the given lateness, one per frame.
    fn feed(delay: &mut Delay, from: i64, lateness: impl Iterator<Item = i64>) -> i64 {
        let mut packet = from;
        for late in lateness {
            delay.arrived(packet * 960 + late, packet * 960, 960);
            delay.tick();
            packet += 1;
        }
        packet
    }

    #[test]
    fn the_target_grows_soon_and_shrinks_slowly() {
        let mut delay = Delay::new();
        let calm = feed(&mut delay, 0, (0..500).map(|_| 0));
        assert_eq!(
            delay.target(),
            BUCKET_SAMPLES + MARGIN_SAMPLES,
            "nothing is late"
        );
        // Every fourth packet 100 ms late.
        let rough = feed(
            &mut delay,
            calm,
            (0..80).map(|n| if n % 4 == 0 { 4_800 } else { 0 }),
        );
        assert!(
            delay.target() >= 4_800 + MARGIN_SAMPLES,
            "within 1.6 s: {}",
            delay.target()
        );
        let high = delay.target();
        let second = feed(&mut delay, rough, (0..50).map(|_| 0));
        assert!(
            delay.target() >= high - 960,
            "at most 20 ms in the first second"
        );
        feed(&mut delay, second, (0..1_450).map(|_| 0));
        assert_eq!(
            delay.target(),
            BUCKET_SAMPLES + MARGIN_SAMPLES,
            "back within 30 s"
        );
    }

    #[test]
    fn what_is_rarely_late_but_again_and_again_makes_no_target_that_swings() {
        let mut delay = Delay::new();
        // What of bursts of three a copy does not fill: it comes again after a round trip.
        let lateness = |n: i64| if n % 60 < 2 { 5_760 } else { 0 };
        let mut from = feed(&mut delay, 0, (0..3_000).map(lateness));
        for _ in 0..300 {
            from = feed(&mut delay, from, (0..10).map(|n| lateness(from + n)));
            assert_eq!(delay.target(), 5_760 + BUCKET_SAMPLES + MARGIN_SAMPLES);
        }
    }

    #[test]
    fn what_only_waiting_brings_is_waited_for_the_next_time_and_else_not() {
        for (way, waits) in [(Filled::ByWaiting, 5_760), (Filled::ByCopy, 0)] {
            let mut delay = Delay::new();
            let packet = feed(&mut delay, 0, (0..1_000).map(|_| 0));
            delay.filled(packet * 960 + 5_760, packet * 960, way);
            assert_eq!(delay.target(), waits + BUCKET_SAMPLES + MARGIN_SAMPLES);
        }
    }

    #[test]
    fn nothing_waits_longer_than_the_maximum() {
        let mut delay = Delay::new();
        feed(&mut delay, 0, (0..500).map(|n| (n * 7_919) % 96_000));
        assert_eq!(delay.target(), TARGET_MAX_SAMPLES);
    }

    #[test]
    fn packets_of_three_frames_wait_less_and_what_was_late_is_forgotten() {
        let mut delay = Delay::new();
        let late = |n: i64| if n < 100 { (n * 7_919) % 96_000 } else { 0 };
        for n in 0..500 {
            delay.arrived(n * 2_880 + late(n), n * 2_880, 2_880);
            (0..3).for_each(|_| delay.tick());
            if n == 99 {
                assert_eq!(delay.target(), TARGET_MAX_SAMPLES - 1_920);
            }
        }
        assert_eq!(
            delay.target(),
            BUCKET_SAMPLES + MARGIN_SAMPLES,
            "the usual again"
        );
    }

    #[test]
    fn a_longer_way_is_not_lateness_for_ever() {
        let mut delay = Delay::new();
        let moved = feed(&mut delay, 0, (0..500).map(|_| 0));
        feed(&mut delay, moved, (0..1_500).map(|_| 9_600));
        assert_eq!(delay.target(), BUCKET_SAMPLES + MARGIN_SAMPLES);
    }
}
