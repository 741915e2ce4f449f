//! What a listener would notice, in simulated time.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "numbers of a simulation, small or meant to wrap as on the wire"
)]

mod network;

use std::collections::BTreeMap;

use self::network::{
    CALM, CLOCK_SCALE, Chance, Network, Outcome, SENDER, Sender, StandIn, Wave, run, time,
};
use super::*;
use crate::FRAME_LEN;
use crate::codec::{OpusEncode, OpusSettings, opus_encoder};

/// What a calm network needs: 40 ms, and a bucket of the histogram.
const CALM_TARGET: i64 = 2_160;

impl Outcome {
    /// How old what is heard is, at each tick from second to second where it was spoken at all (not silent).
    fn ages(&self, seconds: core::ops::Range<usize>) -> impl Iterator<Item = i64> + '_ {
        (seconds.start * 50..seconds.end * 50).filter_map(|tick| {
            let spoken = self.heard[tick * FRAME_LEN];
            (spoken > 0.0).then(|| tick as i64 * 960 - (spoken * CLOCK_SCALE) as i64)
        })
    }
}

#[test]
fn a_calm_network_gives_every_sample_once_and_soon() {
    for packet_samples in [480, 960, 1_920, 2_880] {
        let outcome = run(
            60,
            Wave::Clock,
            Sender {
                packet_samples,
                ..SENDER
            },
            CALM,
        );
        let counters = outcome.counters;
        assert_eq!(outcome.heard.len(), 60 * 48_000, "a frame for every tick");
        assert_eq!(
            (counters.concealed_samples, counters.lost, counters.late),
            (0, 0, 0),
            "{counters:?}"
        );
        // A packet arrives when its last sample is spoken, hence the length of the packet.
        let bound = packet_samples + CALM_TARGET + 720 + 960;
        assert!(
            outcome.ages(10..60).all(|age| age <= bound),
            "{:?} {packet_samples}",
            outcome.ages(10..60).max()
        );
    }
}

#[test]
fn random_loss_is_almost_all_filled_from_red() {
    for (loss, left_in_a_thousand) in [(0, 0), (50, 1), (100, 3)] {
        let network = Network { loss, ..CALM };
        let plain = run(600, Wave::Clock, SENDER, network);
        let red = run(600, Wave::Clock, Sender { red: 2, ..SENDER }, network);
        let dropped = red.lost_on_the_way;
        assert_eq!(red.frames, 600 * 50);
        let accounted = red.counters.recovered_by_red + red.counters.lost;
        assert!(
            (accounted..=accounted + 2).contains(&dropped),
            "all, but the very last: {accounted} {dropped}"
        );
        assert!(
            red.counters.lost <= 30 * left_in_a_thousand,
            "{loss}: {:?}",
            red.counters
        );
        assert!((0..2).contains(&(plain.lost_on_the_way - plain.counters.lost)));
        assert!(
            plain.counters.concealed_samples >= 900 * plain.lost_on_the_way,
            "without copies it is all guessed"
        );
        let bound = 960 + CALM_TARGET + 1_920 + 1_680;
        assert!(
            red.ages(10..300).all(|age| age <= bound),
            "copies cost little: {:?}",
            red.ages(10..300).max()
        );
    }
}

#[test]
fn a_packet_that_comes_again_lengthens_the_delay_only_where_no_copy_was_heard() {
    // A twentieth is lost, and comes again after a round trip and a half.
    let network = Network {
        loss: 50,
        again: 5_760,
        ..CALM
    };
    // For nine tenths of the time: the first of three in a row is waited for, and that is rare.
    let usual = |outcome: &Outcome| {
        let mut targets: Vec<u32> = outcome.delays[500..].iter().map(|&(_, t)| t).collect();
        targets.sort_unstable();
        targets[targets.len() * 9 / 10]
    };
    let red = run(120, Wave::Clock, Sender { red: 2, ..SENDER }, network);
    // A copy is one packet late, and of two in a row two.
    assert!(usual(&red) <= 4_320, "{}", usual(&red));
    assert!(red.counters.recovered_by_red > 250, "{:?}", red.counters);
    let plain = run(120, Wave::Clock, SENDER, network);
    assert!(usual(&plain) >= 5_760 + 1_920, "{}", usual(&plain));
    assert!(plain.counters.lost < 20, "waited for: {:?}", plain.counters);
}

/// Half a minute of what a browser sends (a copy of one packet before, in-band FEC), with many seeds; what is lost comes
/// again a round trip of 80 ms after the gap was seen. The middle one, by what is counted.
fn median_of_seeds(network: Network, counted: impl Fn(&Outcome) -> u64) -> u64 {
    let sender = Sender {
        red: 1,
        fec: true,
        ..SENDER
    };
    let mut all: Vec<u64> = (1..=11)
        .map(|seed| counted(&run(30, Wave::Clock, sender, Network { seed, ..network })))
        .collect();
    all.sort_unstable();
    all[all.len() / 2]
}

#[test]
fn of_bursts_of_three_that_are_asked_for_hardly_more_than_the_first_is_guessed() {
    // 5 % in all, and each first packet comes 140 ms late.
    let bursts = Network {
        loss: 17,
        burst: 3,
        again: 6_720,
        ..CALM
    };
    let guessed = median_of_seeds(bursts, |outcome| outcome.counters.concealed_samples);
    assert!(guessed <= 30 * 48_000 * 3 / 1_000, "0.3 %: {guessed}");
}

#[test]
fn single_losses_are_asked_for_and_the_delay_does_not_follow_them_up_and_down() {
    let single = Network {
        loss: 50,
        again: 4_800,
        ..CALM
    };
    let changed = median_of_seeds(single, |outcome| {
        outcome.counters.stretched_samples + outcome.counters.shrunk_samples
    });
    assert!(changed <= 30 * 48_000 * 3 / 1_000, "0.3 %: {changed}");
}

#[test]
fn heavy_loss_and_bursts_of_three_are_mostly_filled_by_copies_and_in_band_fec() {
    let bursts = Network {
        loss: 20,
        burst: 3,
        ..CALM
    };
    let both = Sender {
        red: 2,
        fec: true,
        ..SENDER
    };
    let outcome = run(600, Wave::Clock, both, bursts);
    assert!(outcome.lost_on_the_way > 1_500);
    // Two of three come as copies, and the older copy holds the third coarsely: a fifteenth is guessed.
    assert!(
        outcome.counters.concealed_samples < outcome.lost_on_the_way * 64,
        "{:?}",
        outcome.counters
    );
    let no_fec = run(600, Wave::Clock, Sender { fec: false, ..both }, bursts);
    assert!(
        no_fec.counters.concealed_samples > outcome.lost_on_the_way * 250,
        "{:?}",
        no_fec.counters
    );

    let heavy = run(600, Wave::Clock, both, Network { loss: 300, ..CALM });
    assert!(
        heavy.counters.concealed_samples < heavy.lost_on_the_way * 96,
        "{:?}",
        heavy.counters
    );
    assert_eq!(heavy.frames, 600 * 50);
}

#[test]
fn in_band_fec_fills_single_losses_where_there_are_no_copies() {
    let outcome = run(
        600,
        Wave::Clock,
        Sender {
            fec: true,
            ..SENDER
        },
        Network { loss: 50, ..CALM },
    );
    let Counters {
        lost,
        recovered_by_fec,
        concealed_samples,
        ..
    } = outcome.counters;
    assert!((0..2).contains(&(outcome.lost_on_the_way - lost)));
    assert!(
        recovered_by_fec * 100 >= lost * 93,
        "{recovered_by_fec} of {lost}: all but the pairs"
    );
    assert!(
        concealed_samples <= (lost - recovered_by_fec) * 960,
        "{concealed_samples}"
    );
}

/// A speaker through the real codec, losing a packet now and then; how far what is heard is from what would have been
/// heard without the losses, as mean squares.
fn damage(in_band_fec: bool, red: bool) -> f32 {
    let hear = |lossy: bool| {
        let mut encoder = opus_encoder(OpusSettings {
            in_band_fec,
            expected_loss_percent: 20,
            ..OpusSettings::conversation()
        });
        let mut buffer = JitterBuffer::new();
        let mut before = Bytes::new();
        let mut heard = Vec::new();
        for n in 0..800_i64 {
            let own = encoder
                .encode(&std::array::from_fn(|i| buzz(n as usize * FRAME_LEN + i)))
                .unwrap();
            // RFC 2198: one copy, 960 samples older.
            let header = (1 << 31) | (111 << 24) | (960 << 10) | before.len() as u32;
            let with_copy = [&header.to_be_bytes()[..], &[111], &before, &own].concat();
            let bytes = if red { with_copy.into() } else { own.clone() };
            let kind = if red {
                PacketKind::Red
            } else {
                PacketKind::Opus
            };
            before = own;
            if !(lossy && n >= 300 && n % 140 == 20) {
                let packet = SpeakerPacket {
                    sequence: n as u16,
                    timestamp: n as u32 * 960,
                    kind,
                    bytes,
                };
                buffer.push(time(n * 960), &packet);
            }
            heard.extend(buffer.pull(time(n * 960)));
        }
        heard
    };
    let (whole, damaged) = (hear(false), hear(true));
    whole
        .iter()
        .zip(&damaged)
        .map(|(a, b)| (a - b).powi(2))
        .sum::<f32>()
        / whole.len() as f32
}

/// A buzz with syllables and a gliding pitch, which no concealment can guess.
fn buzz(at: usize) -> f32 {
    let t = at as f32 / 48_000.0;
    let cycles = 120.0 * t + 4.0 * (t * 5.0).sin();
    (cycles.fract() * 2.0 - 1.0) * (t * 22.0).sin().max(0.1) * 0.3
}

#[test]
fn with_real_opus_a_copy_is_as_good_as_the_packet_and_in_band_fec_better_than_a_guess() {
    let (guessed, fec, copy) = (
        damage(false, false),
        damage(true, false),
        damage(false, true),
    );
    assert_eq!(copy.to_bits(), 0, "the very packet is decoded, only later");
    assert!(fec < guessed * 0.6, "{fec} {guessed}");
}

#[test]
fn the_delay_follows_jitter_up_at_once_and_down_within_thirty_seconds() {
    let network = Network {
        jitter: 4_800,
        jitter_while: (20 * 48_000, 80 * 48_000),
        ..CALM
    };
    let outcome = run(120, Wave::Clock, SENDER, network);
    let counters = outcome.counters;
    let rough: Vec<i64> = outcome.ages(25..80).collect();
    assert!(
        rough
            .iter()
            .all(|&age| age <= 960 + 4_800 + 1_920 + 240 + 960 + 720 + 480),
        "{:?}",
        rough.iter().max()
    );
    assert!(
        counters.late + counters.lost < 60 * 50 / 20,
        "at most one in twenty: {counters:?}"
    );
    assert!(
        outcome
            .ages(110..120)
            .all(|age| age <= 960 + CALM_TARGET + 720 + 960),
        "{:?}",
        outcome.ages(110..120).max()
    );
    let (_, target) = outcome.delays[25 * 50];
    assert!(target >= 4_800, "within five seconds: {target}");
}

#[test]
fn overtaken_and_doubled_packets_are_put_in_order() {
    let outcome = run(
        300,
        Wave::Clock,
        SENDER,
        Network {
            overtaken: 100,
            duplicated: 100,
            ..CALM
        },
    );
    let counters = outcome.counters;
    assert!(
        (0..2).contains(&(outcome.duplicated - counters.duplicate)),
        "the last may be under way"
    );
    assert_eq!(
        (counters.lost, counters.late, counters.concealed_samples),
        (0, 0, 0),
        "{counters:?}"
    );
}

/// Two hours of a clock that is 200 ppm off: 69,120 samples too many or too few.
fn two_hours_of_drift(drift_ppm: i64) {
    let outcome = run(
        7_200,
        Wave::Tone,
        Sender {
            drift_ppm,
            ..SENDER
        },
        Network {
            jitter: 480,
            ..CALM
        },
    );
    let counters = outcome.counters;
    assert_eq!(outcome.frames, 7_200 * 50);
    assert_eq!(
        (counters.lost, counters.concealed_samples),
        (0, 0),
        "{counters:?}"
    );
    let changed = counters.shrunk_samples as i64 - counters.stretched_samples as i64;
    assert!(
        (changed - drift_ppm.signum() * 69_120).abs() < 4_000,
        "{counters:?}"
    );
    // 150 Hz at half scale makes steps of 0.0098.
    assert!(outcome.largest_step < 0.012, "{}", outcome.largest_step);
    let off = |&(delay, target): &(u32, u32)| (i64::from(delay) - i64::from(target)).abs();
    let worst = outcome.delays[500..].iter().map(off).max();
    assert!(worst <= Some(1_440), "{worst:?}");
}

#[test]
fn a_fast_clock_is_followed_for_two_hours_without_a_click_or_growing_delay() {
    two_hours_of_drift(200);
}

#[test]
fn a_slow_clock_is_followed_for_two_hours_without_a_click_or_growing_delay() {
    two_hours_of_drift(-200);
}

#[test]
fn an_outage_fades_to_silence_and_ends_with_the_delay_that_was_before() {
    let outcome = run(
        60,
        Wave::Clock,
        SENDER,
        Network {
            outage: (20 * 48_000, 25 * 48_000),
            ..CALM
        },
    );
    let counters = outcome.counters;
    assert!(
        counters.concealed_samples <= 5_760 + 480,
        "120 ms are guessed, then it is silent: {counters:?}"
    );
    assert_eq!(counters.lost, 250);
    assert!(
        outcome.heard[20 * 48_000 + 12_000..25 * 48_000]
            .iter()
            .all(|&sample| sample == 0.0)
    );
    assert!(
        outcome
            .ages(26..60)
            .all(|age| age <= 960 + CALM_TARGET + 720 + 960),
        "{:?}",
        outcome.ages(26..60).max()
    );
    assert!(
        outcome.ages(25..26).count() > 40,
        "heard again within 0.2 s"
    );
}

#[test]
fn a_sender_that_pauses_is_silent_and_nothing_is_lost() {
    let outcome = run(
        60,
        Wave::Clock,
        Sender {
            pause: (1_000, 1_037),
            ..SENDER
        },
        CALM,
    );
    let counters = outcome.counters;
    assert_eq!(counters.lost, 0);
    assert!(counters.concealed_samples <= 5_760, "{counters:?}");
    let said_so = {
        let mut buffer = JitterBuffer::with_decoder(StandIn::new(Wave::Clock));
        for n in 0..400_i64 {
            let mut packet = Sender {
                pause: (101, 201),
                ..SENDER
            }
            .packet(n);
            if n == 100 {
                // What Opus sends when discontinuous transmission begins: a TOC byte alone.
                packet = packet.map(|packet| SpeakerPacket {
                    bytes: Bytes::from_static(&[8]),
                    ..packet
                });
            }
            if let Some(packet) = packet {
                buffer.push(time(n * 960), &packet);
            }
            buffer.pull(time(n * 960));
        }
        buffer.counters()
    };
    assert_eq!(
        (said_so.lost, said_so.concealed_samples, said_so.late),
        (0, 0, 0),
        "{said_so:?}"
    );
}

#[test]
fn sequence_and_timestamp_wrap_unheard() {
    let wrapping = Sender {
        first_sequence: u16::MAX - 100,
        first_timestamp: u32::MAX - 96_000,
        red: 1,
        ..SENDER
    };
    let network = Network {
        loss: 50,
        jitter: 2_000,
        ..CALM
    };
    let wrapped = run(20, Wave::Clock, wrapping, network);
    let straight = run(20, Wave::Clock, Sender { red: 1, ..SENDER }, network);
    assert_eq!(wrapped.heard, straight.heard);
    assert_eq!(wrapped.counters, straight.counters);
}

#[test]
fn a_sender_that_begins_anew_is_heard_again() {
    let mut buffer = JitterBuffer::with_decoder(StandIn::new(Wave::Clock));
    let anew = Sender {
        first_sequence: 40_000,
        first_timestamp: 3_000_000_000,
        ..SENDER
    };
    let mut silent = 0;
    for n in 0..500 {
        let sender = if n < 250 { SENDER } else { anew };
        buffer.push(time(n * 960), &sender.packet(n).unwrap());
        let frame = buffer.pull(time(n * 960));
        silent += u32::from(n > 250 && frame.iter().all(|&sample| sample == 0.0));
    }
    assert_eq!(buffer.counters().restarts, 1);
    assert!(silent < 10, "within 0.2 s: {silent}");
}

#[test]
fn a_second_held_back_and_sent_at_once_is_skipped_up_to_the_newest() {
    let mut buffer = JitterBuffer::with_decoder(StandIn::new(Wave::Clock));
    let mut ages = Vec::new();
    for tick in 0..1_000 {
        // From second 4 to 9 nothing passes; then all of it comes.
        let due = match tick {
            200..450 => 0..0,
            450 => 200..451,
            _ => tick..tick + 1,
        };
        for n in due {
            buffer.push(time(tick * 960), &SENDER.packet(n).unwrap());
        }
        let spoken = buffer.pull(time(tick * 960))[0];
        ages.push(tick * 960 - (spoken * CLOCK_SCALE) as i64);
    }
    let counters = buffer.counters();
    assert!(counters.restarts >= 1, "{counters:?}");
    assert!(
        ages[480..].iter().all(|&age| age < 14_400 + 2_880),
        "{:?}",
        ages[480..].iter().max()
    );
}

#[test]
fn a_queue_that_fills_before_a_narrow_place_adds_no_more_than_is_promised() {
    // The queue fills within 0.4 s, stands for half a second, and is empty again after 1.3 s more.
    let queued = |at: i64| match at - 10 * 48_000 {
        filling @ 0..19_200 => filling * 5 / 4,
        19_200..43_200 => 24_000,
        emptying @ 43_200..103_200 => 24_000 - (emptying - 43_200) * 2 / 5,
        _ => 0,
    };
    let mut buffer = JitterBuffer::with_decoder(StandIn::new(Wave::Clock));
    let mut way = BTreeMap::new();
    let mut ages = Vec::new();
    for n in 0..3_000_i64 {
        let now = n * 960;
        way.insert(now + queued(now), n);
        while let Some(entry) = way.first_entry().filter(|entry| *entry.key() <= now) {
            let (arrival, n) = entry.remove_entry();
            buffer.push(time(arrival), &SENDER.packet(n).unwrap());
        }
        let frame = buffer.pull(time(now));
        let age = now - (frame[0] * CLOCK_SCALE) as i64;
        // What is silent or fades looks older than a second.
        ages.push((age < 48_000).then_some(age));
    }
    let usual = ages[499].unwrap();
    let most = ages[500..].iter().flatten().max().unwrap();
    assert!(
        most - usual <= 9_600 + 960,
        "200 ms, to the tick: {}",
        most - usual
    );
    let silent = ages[500..].iter().filter(|age| age.is_none()).count();
    assert!(
        silent < 90,
        "heard again as soon as it is in time: {silent}"
    );
    assert_eq!(buffer.counters().restarts, 0);
    assert!((ages[2_999].unwrap() - usual).abs() <= 1_920);
}

#[test]
fn skipped_ticks_leave_the_delay_as_it_was() {
    let mut buffer = JitterBuffer::with_decoder(StandIn::new(Wave::Clock));
    let mut ages = Vec::new();
    for tick in 0..1_000_i64 {
        buffer.push(time(tick * 960), &SENDER.packet(tick).unwrap());
        if (500..505).contains(&tick) {
            buffer.skip(1);
            continue;
        }
        let frame = buffer.pull(time(tick * 960));
        ages.push(tick * 960 - (frame[900] * CLOCK_SCALE) as i64);
    }
    let (before, after) = (ages[499], ages[501]);
    assert!((before - after).abs() <= 1, "{before} {after}");
    assert_eq!(buffer.counters().skipped_samples, 5 * 960);
    assert_eq!(buffer.counters().lost, 0);
}

#[test]
fn hostile_packets_neither_panic_nor_leave_the_range() {
    let mut chance = Chance(3);
    let mut buffer = JitterBuffer::new();
    for tick in 0..3_000_i64 {
        for _ in 0..chance.next() % 4 {
            let len = (chance.next() % 40) as usize;
            let bytes: Vec<u8> = (0..len).map(|_| chance.next() as u8).collect();
            let wild = chance.one_in_a_thousand(100);
            let packet = SpeakerPacket {
                sequence: if wild {
                    chance.next() as u16
                } else {
                    tick as u16
                },
                timestamp: if wild {
                    chance.next() as u32
                } else {
                    (tick * 960 + chance.next() as i64 % 2_000) as u32
                },
                kind: if chance.one_in_a_thousand(500) {
                    PacketKind::Opus
                } else {
                    PacketKind::Red
                },
                bytes: bytes.into(),
            };
            buffer.push(time(tick * 960), &packet);
        }
        if chance.one_in_a_thousand(50) {
            buffer.skip((chance.next() % 5) as u32);
        }
        let frame = buffer.pull(time(tick * 960));
        assert!(frame.iter().all(|sample| sample.abs() <= 1.0));
        assert!(
            buffer.arrivals.first().is_none() || !buffer.arrivals.overflows(),
            "bounded"
        );
    }
    assert!(buffer.counters().refused > 0 && buffer.counters().received > 1_000);
}
