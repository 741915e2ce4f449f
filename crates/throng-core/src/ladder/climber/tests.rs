//! A climber under signals that chance, spite or a crowd makes. A failure names its seed.

use super::*;
use crate::ladder::signals::Share;

/// Chance from a seed (splitmix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((mixed ^ (mixed >> 31)) % u64::from(bound)).unwrap()
    }
}

fn lag(lag_ms: u32) -> Signals {
    Signals {
        lag_ms,
        listeners: 1,
        ..Signals::default()
    }
}

const CALM: u32 = 0;
const BEARABLE: u32 = 200;
const TROUBLE: u32 = 300;
const CRITICAL: u32 = 2_000;

/// Seconds of one signal, and the moves that they made.
fn pass(climber: &mut Climber, seconds: u32, lag_ms: u32) -> Vec<(u32, u8, u8)> {
    let moves = (1..=seconds).filter_map(|second| {
        let moved = climber.second(&lag(lag_ms))?;
        Some((second, moved.from.number(), moved.to.number()))
    });
    moves.collect()
}

#[test]
fn trouble_goes_deeper_rung_by_rung_and_calm_comes_back_slowly() {
    let mut climber = Climber::default();
    assert_eq!(pass(&mut climber, 2, TROUBLE), []);
    assert_eq!(
        pass(&mut climber, 1, BEARABLE),
        [],
        "one bad moment is none"
    );
    assert_eq!(
        pass(&mut climber, 60, TROUBLE),
        [(2, 0, 1), (7, 1, 2), (12, 2, 3), (17, 3, 4)]
    );
    assert_eq!(pass(&mut climber, 1_000, BEARABLE), []);
    assert_eq!(
        pass(&mut climber, 200, CALM),
        [(30, 4, 3), (60, 3, 2), (90, 2, 1), (120, 1, 0)]
    );
    assert_eq!(climber.decision(), Decision::default());
    assert_eq!(
        pass(&mut climber, 60, CRITICAL),
        [(2, 0, 2), (7, 2, 4)],
        "two rungs where it is critical"
    );
    assert!(climber.decision().words().unwrap().contains("behind"));
}

#[test]
fn coming_back_too_early_makes_the_next_time_longer() {
    let mut climber = Climber::default();
    pass(&mut climber, 5, TROUBLE);
    let mut waits = Vec::new();
    for _ in 0..6 {
        waits.push(pass(&mut climber, 500, CALM)[0].0);
        assert_eq!(pass(&mut climber, 5, TROUBLE).len(), 1);
    }
    assert_eq!(waits, [30, 60, 120, 240, 480, 480]);
    pass(&mut climber, PEACE_S, BEARABLE);
    assert_eq!(pass(&mut climber, 31, CALM).len(), 1, "forgotten in peace");
}

/// What somebody sends who wants to see as many moves as can be.
fn spiteful(climber: &Climber, chance: &mut Chance, goes_down: &mut bool, seed: u64) -> u32 {
    let rung = climber.decision().rung;
    let turns = if seed.is_multiple_of(2) { 4 } else { 1 };
    if rung.number() >= turns {
        *goes_down = false;
    } else if rung == Rung::default() {
        *goes_down = true;
    }
    match (*goes_down, seed % 3) {
        // Now and then a second that does not fit.
        (_, 2) if chance.below(50) == 0 => BEARABLE,
        (true, 0) => CRITICAL,
        (true, _) => TROUBLE,
        (false, _) => CALM,
    }
}

#[test]
fn no_signals_move_it_more_than_sixty_times_an_hour_or_faster_than_their_effect_shows() {
    let mut most = 0;
    for seed in 0..120 {
        let (mut climber, mut chance, mut goes_down) = (Climber::default(), Chance(seed), true);
        let (mut moves, mut last, mut dwell, mut held) = (Vec::new(), None, 0, CALM);
        for second in 0..7_200_u32 {
            if dwell == 0 {
                dwell = 1 + chance.below([3, 40, 600][usize::try_from(seed % 3).unwrap()]);
                held = [CALM, BEARABLE, TROUBLE, CRITICAL][chance.below(4) as usize];
            }
            dwell -= 1;
            let lag_ms = if seed < 60 {
                held
            } else {
                spiteful(&climber, &mut chance, &mut goes_down, seed)
            };
            let Some(moved) = climber.second(&lag(lag_ms)) else {
                continue;
            };
            let (from, to) = (moved.from.number(), moved.to.number());
            let pause = last.map_or(u32::MAX, |last| second - last);
            if from < to {
                assert!(to - from <= 1 + u8::from(lag_ms == CRITICAL), "seed {seed}");
                assert!(
                    pause >= EFFECT_S && !moved.reasons.is_empty(),
                    "seed {seed}"
                );
            } else {
                assert!(from - to == 1 && lag_ms == CALM, "seed {seed}");
                assert!(pause >= CALM_MIN_S, "seed {seed}");
            }
            last = Some(second);
            moves.push(second);
        }
        for first in &moves {
            let hour = moves
                .iter()
                .filter(|at| (*first..first + 3_600).contains(at));
            most = most.max(hour.count());
        }
    }
    assert!((20..=60).contains(&most), "{most} moves in an hour");
}

#[test]
fn a_signal_that_hovers_between_its_thresholds_moves_nobody() {
    for seed in 0..50 {
        let (mut climber, mut chance) = (Climber::default(), Chance(seed));
        climber.take(Decision {
            rung: Rung::new(2).unwrap(),
            ..Decision::default()
        });
        for _ in 0..3_600 {
            let moved = climber.second(&lag(100 + chance.below(150)));
            assert_eq!(moved, None, "seed {seed}");
        }
    }
}

/// CPU of a listener for one second by rung, in tenths of a microsecond: what was measured of spans of 0.96, 0.96, 1.92,
/// 3.84 and 7.68 s.
const COSTS: [u64; 5] = [58, 55, 34, 25, 20];

#[test]
fn a_crowd_that_costs_too_much_is_brought_to_a_rung_that_bears_it_and_stays_there() {
    let mut seen = [0; 5];
    for seed in 0..200 {
        let (mut climber, mut chance) = (Climber::default(), Chance(seed));
        let listeners = 10_000 + chance.below(400_000);
        let mut moves = Vec::new();
        for second in 0..3_600 {
            let noise = 970 + u64::from(chance.below(60));
            let cost = COSTS[usize::from(climber.decision().rung.number())];
            let cpu = Share::of(u64::from(listeners) * cost * noise / 1_000, 10_000_000);
            let signals = Signals {
                listeners,
                cpu,
                cpu_serving: cpu,
                ..Signals::default()
            };
            if climber.second(&signals).is_some() {
                moves.push(second);
            }
            let deepest = climber.decision().rung == Rung::DEEPEST;
            let in_trouble = matches!(signals.level(), Level::Trouble(_) | Level::Critical(_));
            let is_noise = cpu < Share::new(900).unwrap();
            assert!(
                second < 60 || !in_trouble || deepest || is_noise,
                "seed {seed}"
            );
        }
        assert!(
            moves.len() <= 4 && moves.iter().all(|at| *at < 3_000),
            "seed {seed}: {moves:?}"
        );
        seen[usize::from(climber.decision().rung.number())] += 1;
    }
    assert!(seen[0] > 20 && seen[2] > 10 && seen[4] > 20, "{seen:?}");
}

#[test]
fn a_lock_holds_against_everything_and_leaves_from_where_it_is() {
    let mut climber = Climber::default();
    let three = Rung::new(3).unwrap();
    assert_eq!(climber.lock(three).unwrap().to, three);
    assert_eq!(climber.lock(three), None);
    assert_eq!(pass(&mut climber, 100, CRITICAL), []);
    assert_eq!(climber.wanted(), Rung::DEEPEST, "it says what it would do");
    assert_eq!(pass(&mut climber, 100, CALM), []);
    assert_eq!(climber.wanted().number(), 2);
    climber.unlock();
    assert!(climber.decision().words().unwrap().contains("step by step"));
    assert_eq!(pass(&mut climber, 1, CALM), [(1, 3, 2)]);
}
