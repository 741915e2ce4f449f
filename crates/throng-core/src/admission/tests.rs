//! A house of few places and a crowd of many, driven step by step with seeds.

mod draw;
mod lease;

use std::collections::BTreeMap;

use super::*;
use crate::ladder::Rung;
use crate::rendition::Rendition;

const SECRET: [u8; 32] = [7; 32];
const STEP_MS: u64 = 250;
/// Near the front a player looks at the counter this often.
const LOOK_MS: u64 = 2_000;

/// `SplitMix64` (Steele, Lea and Flood, OOPSLA 2014).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }
}

#[derive(Clone, Copy)]
enum Doing {
    Listening(u64),
    Waiting { wait: Wait, asks_at: u64 },
    Gone,
}

struct House {
    board: Board,
    dice: Dice,
    people: Vec<Doing>,
    now_ms: u64,
    /// Places of those who were called, came, and were told that a place is free soon.
    promised: BTreeMap<u64, u64>,
    waits_ms: Vec<u64>,
    arrived_ms: Vec<u64>,
    /// How often a place was taken that was somebody's who stood before.
    violations: u32,
    slots: u64,
    stay_ms: u64,
}

impl House {
    fn new(slots: u64, stay_ms: u64, seed: u64) -> Self {
        let board = Board::alone();
        board.limit(Limits {
            slots: Some(slots),
            egress_bits: None,
        });
        board.begin(Lane::new(0));
        let house = Self {
            board,
            dice: Dice(seed),
            people: Vec::new(),
            now_ms: 1_000_000,
            promised: BTreeMap::new(),
            waits_ms: Vec::new(),
            arrived_ms: Vec::new(),
            violations: 0,
            slots,
            stay_ms,
        };
        house.board.call(house.now_ms, Rung::default(), true);
        house
    }

    fn asking(&mut self, ticket: Option<Ticket>, player: Option<u64>) -> Asking {
        Asking {
            lane: Lane::new(0),
            rendition: Rendition::O48,
            rung: Rung::default(),
            player,
            ticket,
            share: Share::ALL,
            now_ms: self.now_ms,
            wall_s: 0,
            chance: self.dice.roll(),
        }
    }

    fn arrive(&mut self, count: usize) {
        for _ in 0..count {
            self.people.push(Doing::Gone);
            self.arrived_ms.push(self.now_ms);
            self.try_in(self.people.len() - 1, None);
        }
    }

    fn try_in(&mut self, person: usize, brought: Option<Wait>) {
        let asking = self.asking(brought.map(|wait| wait.ticket), Some(number(person)));
        match self.board.ask(&asking, &SECRET) {
            Verdict::Enter(entered) => {
                if let Some(wait) = brought {
                    self.promised.remove(&wait.place);
                }
                if entered.standing == Standing::Served {
                    let place = brought.expect("only who waited is served").place;
                    let since = self.now_ms - 8_000;
                    let before = self
                        .promised
                        .range(..place)
                        .filter(|(_, asked)| **asked >= since);
                    let left = self.board.room(Rung::default()).free;
                    self.violations += u32::from(before.count() as u64 > left);
                }
                self.waits_ms.push(self.now_ms - self.arrived_ms[person]);
                let stay = self.stay_ms / 2 + self.dice.below(self.stay_ms);
                self.people[person] = Doing::Listening(self.now_ms + stay);
            }
            Verdict::Wait(wait) => {
                if wait.reason == Reason::Soon {
                    self.promised.insert(wait.place, self.now_ms);
                }
                let asks_at =
                    self.now_ms + u64::from(wait.ask_again_s) * 1_000 - self.dice.below(500);
                self.people[person] = Doing::Waiting { wait, asks_at };
            }
        }
    }

    fn step(&mut self) {
        self.now_ms += STEP_MS;
        // Who was sent back to the queue has been promised nothing.
        self.promised
            .split_off(&(self.board.progress().serving + 1));
        self.board.call(self.now_ms, Rung::default(), true);
        let progress = self.board.progress();
        for person in 0..self.people.len() {
            match self.people[person] {
                Doing::Listening(until) if until <= self.now_ms => {
                    self.board.leave(Lane::new(0), Rendition::O48);
                    self.people[person] = Doing::Gone;
                }
                Doing::Waiting { wait, asks_at } if asks_at <= self.now_ms => {
                    if wait.place <= progress.serving {
                        self.try_in(person, Some(wait));
                    } else {
                        let asks_at = self.now_ms + LOOK_MS - self.dice.below(500);
                        self.people[person] = Doing::Waiting { wait, asks_at };
                    }
                }
                _ => {}
            }
        }
        let held = self.board.room(Rung::default()).held;
        assert!(held <= self.slots, "{held} are in");
    }

    /// Tickets for nobody.
    fn hoard(&mut self, tickets: u64) {
        for _ in 0..tickets {
            let asking = self.asking(None, None);
            assert!(matches!(self.board.ask(&asking, &SECRET), Verdict::Wait(_)));
        }
    }

    fn run_until_all_were_in(&mut self) {
        while self
            .people
            .iter()
            .any(|person| matches!(person, Doing::Waiting { .. }))
        {
            self.step();
            assert!(self.now_ms < 40_000_000, "somebody starves");
        }
    }

    fn mean_wait_ms(&self) -> u64 {
        self.waits_ms.iter().sum::<u64>() / self.waits_ms.len() as u64
    }
}

#[test]
fn all_are_served_in_order_and_places_are_never_exceeded() {
    for seed in 0..6 {
        let mut house = House::new(200, 60_000, seed);
        house.arrive(700);
        for _ in 0..200 {
            house.arrive(2);
            house.step();
        }
        house.run_until_all_were_in();
        assert_eq!(house.violations, 0, "seed {seed}");
        assert_eq!(house.waits_ms.len(), 1_100);
        let progress = house.board.progress();
        assert_eq!(progress.serving, progress.of);
        assert_eq!(house.board.standing(0..u64::MAX, house.now_ms / 1_000), 0);
    }
}

#[test]
fn free_places_do_not_stay_free_while_somebody_waits() {
    let mut house = House::new(300, 60_000, 3);
    house.arrive(3_000);
    let (mut free, mut steps) = (0, 0);
    for _ in 0..1_200 {
        house.step();
        free += house.board.room(Rung::default()).free;
        steps += 1;
    }
    // Five are free of every minute's three hundred for the eight seconds in which he who left might come back, and
    // for the time of coming.
    assert!(
        free / steps <= 300 / 5,
        "{} of 300 on average",
        free / steps
    );
}

#[test]
fn hoarded_tickets_delay_people_by_less_than_a_twentieth() {
    let wait_ms = |before: u64, between: u64| {
        let mut house = House::new(200, 60_000, 11);
        house.arrive(200);
        house.hoard(before);
        for _ in 0..400 {
            house.arrive(5);
            house.hoard(between);
        }
        house.run_until_all_were_in();
        assert_eq!(house.violations, 0, "{before}, {between}");
        house.mean_wait_ms()
    };
    let alone = wait_ms(0, 0);
    for (before, between) in [(60_000, 0), (0, 150)] {
        let among = wait_ms(before, between);
        assert!(
            among * 20 <= alone * 21,
            "{before}, {between}: {among} ms instead of {alone} ms"
        );
    }
}

#[test]
fn who_was_inside_is_let_in_again_into_a_full_house_by_one_connection() {
    let mut house = House::new(100, 600_000, 5);
    house.arrive(130);
    let (board, player) = (&house.board, number(0));
    let now_s = house.now_ms / 1_000;
    let first = board.remember(player, now_s, false);
    assert!(board.is_last(first));
    let asking = house.asking(None, Some(player));
    let Verdict::Enter(again) = house.board.ask(&asking, &SECRET) else {
        panic!("he was inside");
    };
    assert_eq!(again.standing, Standing::Returned);
    let remembered = again.remembered.unwrap();
    assert!(!house.board.is_last(first) && house.board.is_last(remembered));
    house.board.stepped_out(first, now_s);
    assert!(
        house.board.knows(player, now_s + 5_000),
        "the newer one is still inside"
    );
    house.board.stepped_out(remembered, now_s);
    assert!(house.board.knows(player, now_s + 600));
    assert!(!house.board.knows(player, now_s + 601));
    let stranger = house.asking(None, Some(424_242));
    assert!(matches!(
        house.board.ask(&stranger, &SECRET),
        Verdict::Wait(_)
    ));
}

#[test]
fn while_there_is_room_two_may_share_a_number_and_both_stay() {
    let mut house = House::new(100, 600_000, 5);
    house.arrive(30);
    let entered: Vec<_> = (0..2)
        .map(|_| {
            let asking = house.asking(None, Some(number(7)));
            match house.board.ask(&asking, &SECRET) {
                Verdict::Enter(entered) => entered,
                Verdict::Wait(_) => panic!("there is room"),
            }
        })
        .collect();
    for entered in entered {
        assert_eq!(entered.standing, Standing::Room);
        assert!(house.board.is_last(entered.remembered.unwrap()));
    }
}

#[test]
fn the_margin_for_those_who_return_is_bounded() {
    let mut house = House::new(160, 600_000, 5);
    house.arrive(160);
    let mut returned = 0;
    for person in 0..160_u64 {
        let asking = house.asking(None, Some(number(usize::try_from(person).unwrap())));
        returned += u32::from(matches!(
            house.board.ask(&asking, &SECRET),
            Verdict::Enter(_)
        ));
    }
    assert_eq!(returned, 10, "a sixteenth");
}

#[test]
fn a_line_that_is_full_keeps_newcomers_out_until_less_is_sent() {
    let board = Board::alone();
    let lane = Lane::new(0);
    board.begin(lane);
    board.limit(Limits {
        slots: None,
        egress_bits: Some(10 * wire_bits(Rendition::O48)),
    });
    let normal = Rung::default();
    let entered = (0..40)
        .filter(|_| board.enter(lane, Rendition::O48, normal))
        .count();
    assert_eq!(entered, 10);
    let deepest = Rung::DEEPEST;
    assert_eq!(board.room(deepest).free, 20, "a third of the bit rate");
    assert!(board.enter(lane, Rendition::O48, deepest));
    board.leave(lane, Rendition::O48);
    assert_eq!(board.room(normal).bits, 10 * wire_bits(Rendition::O48));
}

#[test]
fn a_process_that_dies_gives_its_places_back() {
    let board = Board::alone();
    let (one, two) = (Lane::new(0), Lane::new(1));
    board.limit(Limits {
        slots: Some(10),
        egress_bits: None,
    });
    board.begin(one);
    board.begin(two);
    let normal = Rung::default();
    let enter = |lane| board.enter(lane, Rendition::A64, normal);
    assert_eq!(
        (0..6).filter(|_| enter(one)).count() + (0..6).filter(|_| enter(two)).count(),
        10
    );
    board.mourn(one, 1_000);
    assert_eq!(board.room(normal).held, 4);
    board.leave(one, Rendition::A64);
    assert_eq!(board.room(normal).held, 4, "an empty lane owes nothing");
}

#[test]
fn places_of_a_process_that_died_are_kept_for_those_who_had_them() {
    let mut house = House::new(100, 600_000, 4);
    house.arrive(100);
    let (dead, now_ms) = (Lane::new(0), house.now_ms);
    house.board.mourn(dead, now_ms);
    let stranger = house.asking(None, Some(424_242));
    assert!(matches!(
        house.board.ask(&stranger, &SECRET),
        Verdict::Wait(_)
    ));
    let back = (0..100).filter(|person| {
        let asking = house.asking(None, Some(number(*person)));
        matches!(house.board.ask(&asking, &SECRET), Verdict::Enter(_))
    });
    assert_eq!(back.count(), 100);
    house.board.mourn(dead, now_ms);
    house.now_ms += 8_000;
    let called = (0..2).filter_map(|_| {
        house.now_ms += STEP_MS;
        house.board.call(house.now_ms, Rung::default(), true)
    });
    assert_eq!(
        called.map(|call| call.called).sum::<u64>(),
        1,
        "the stranger's turn has come"
    );
}

#[test]
fn who_was_inside_when_the_node_ended_is_let_in_before_newcomers_when_it_is_back() {
    let mut before = House::new(100, 600_000, 4);
    before.arrive(100);
    let remembered = before.board.remembered(before.now_ms / 1_000);
    assert_eq!(remembered.len(), 100);
    let mut after = House::new(100, 600_000, 4);
    after.board.recall(&remembered, after.now_ms);
    let ask = |house: &mut House, player| {
        let asking = house.asking(None, Some(player));
        match house.board.ask(&asking, &SECRET) {
            Verdict::Enter(entered) => Some(entered.standing),
            Verdict::Wait(_) => None,
        }
    };
    let faster: Vec<_> = (0..50)
        .filter_map(|stranger| ask(&mut after, 424_242 + stranger))
        .collect();
    assert!(
        faster.len() < 5 && faster.iter().all(|by| *by == Standing::Sampled),
        "{faster:?}"
    );
    let call = |house: &mut House| {
        house.now_ms += 500;
        let call = house.board.call(house.now_ms, Rung::default(), true);
        call.map_or(0, |call| call.called)
    };
    assert_eq!((0..59).map(|_| call(&mut after)).sum::<u64>(), 0);
    let back = (0..90).filter_map(|person| ask(&mut after, number(person)));
    assert_eq!(back.filter(|by| *by == Standing::Returned).count(), 90);
    assert!(call(&mut after) > 0, "ten did not come");
}

#[test]
fn who_comes_before_the_start_is_drawn_and_everybody_has_one_place() {
    let board = Board::alone();
    board.limit(Limits {
        slots: Some(1),
        egress_bits: None,
    });
    board.begin(Lane::new(0));
    let mut house = House::new(1, 1_000_000, 1);
    house.board = board;
    house.board.call(house.now_ms, Rung::default(), false);
    house.arrive(41);
    let early: Vec<_> = house
        .people
        .iter()
        .filter_map(|person| match person {
            Doing::Waiting { wait, .. } => Some(*wait),
            _ => None,
        })
        .collect();
    assert_eq!(early.len(), 40);
    assert!(early.iter().all(|wait| wait.reason == Reason::Early));
    for _ in 0..80 {
        house.now_ms += STEP_MS;
        let call = house
            .board
            .call(house.now_ms, Rung::default(), false)
            .unwrap();
        assert_eq!(call.called, 0, "nobody is called before the start");
    }
    house.now_ms += STEP_MS;
    assert!(
        house
            .board
            .call(house.now_ms, Rung::default(), true)
            .unwrap()
            .drew
    );
    let chances = Chances::of(&SECRET, house.board.progress().queue);
    let mut places: Vec<_> = (0..40).map(|arrived| chances.place(arrived, 40)).collect();
    assert_ne!(places, (0..40).collect::<Vec<_>>());
    let asking = house.asking(Some(early[0].ticket), None);
    let Verdict::Wait(wait) = house.board.ask(&asking, &SECRET) else {
        panic!("the house is full");
    };
    assert_eq!(wait.place, places[0] + 1);
    places.sort_unstable();
    assert_eq!(places, (0..40).collect::<Vec<_>>());
}

#[test]
fn draws_are_fair_and_are_what_was_committed_to() {
    let chances = Chances::of(&SECRET, 3);
    let [order, sample] = chances.seeds().map(|seed| super::draw::digest(&[&seed]));
    assert_eq!(chances.commitments(), [order, sample]);
    let sampled = (0..20_000)
        .filter(|arrived| chances.samples(*arrived))
        .count();
    assert!(
        (240..360).contains(&sampled),
        "{sampled} of 20000 are 1.5 %"
    );
    for seconds in RETRY_AFTER_S {
        let dealt = (0..20_000)
            .filter(|arrived| chances.retry_after_s(*arrived) == seconds)
            .count();
        assert!(
            (4_700..5_300).contains(&dealt),
            "{dealt} of 20000 wait {seconds} s"
        );
    }
    for early in [1, 2, 3, 100, 1_023, 1_025] {
        let mut places: Vec<_> = (0..early)
            .map(|arrived| chances.place(arrived, early))
            .collect();
        places.sort_unstable();
        assert_eq!(places, (0..early).collect::<Vec<_>>());
    }
    // Coming first is worth nothing: the mean place of the first hundred of a thousand is that of all.
    let mean: u64 = (0..100)
        .map(|arrived| chances.place(arrived, 1_000))
        .sum::<u64>()
        / 100;
    assert!((400..600).contains(&mean), "{mean}");
}

#[test]
fn a_ticket_is_this_nodes_or_none_and_lets_one_in() {
    let signer = Signer::new(&SECRET);
    let ticket = Ticket {
        queue: 1,
        arrived: 77,
        at_s: 1_800_000_000,
    };
    let text = signer.seal(ticket);
    assert_eq!(signer.open(&text), Some(ticket));
    assert_eq!(Signer::new(&[8; 32]).open(&text), None);
    for place in 0..text.len() {
        let mut forged = text.clone().into_bytes();
        forged[place] = if forged[place] == b'A' { b'B' } else { b'A' };
        assert_eq!(signer.open(std::str::from_utf8(&forged).unwrap()), None);
    }
    assert_eq!(signer.open(""), None);
    assert_eq!(signer.open(&"A".repeat(200)), None);

    let mut house = House::new(50, 600_000, 2);
    house.arrive(51);
    let Doing::Waiting { wait, .. } = house.people[50] else {
        panic!("the house is full");
    };
    for _ in 0..20 {
        house.board.leave(Lane::new(0), Rendition::O48);
    }
    for _ in 0..60 {
        house.now_ms += STEP_MS;
        house.board.call(house.now_ms, Rung::default(), true);
    }
    let mut entered = 0;
    for _ in 0..3 {
        let asking = house.asking(Some(wait.ticket), None);
        let verdict = house.board.ask(&asking, &SECRET);
        entered += u32::from(matches!(
            verdict,
            Verdict::Enter(Entered {
                standing: Standing::Served,
                ..
            })
        ));
    }
    assert_eq!(entered, 1);
}

#[test]
fn who_comes_too_late_begins_anew_and_is_told() {
    let mut house = House::new(1, 1_000_000, 9);
    house.arrive(2);
    let Doing::Waiting { wait, .. } = house.people[1] else {
        panic!("the house is full");
    };
    house.board.leave(Lane::new(0), Rendition::O48);
    for _ in 0..400 {
        house.now_ms += STEP_MS;
        house.board.call(house.now_ms, Rung::default(), true);
    }
    assert!(
        house
            .board
            .enter(Lane::new(0), Rendition::O48, Rung::default())
    );
    let asking = house.asking(Some(wait.ticket), None);
    let Verdict::Wait(again) = house.board.ask(&asking, &SECRET) else {
        panic!("the house is full");
    };
    assert_eq!(again.reason, Reason::Late);
    assert!(again.ticket.arrived > wait.ticket.arrived);
}

#[test]
fn joins_that_wait_long_are_taken_on_less_and_less_and_then_again() {
    let mut flow = Flow::new();
    let mut now_ms = 0;
    let mut kept_out = |flow: &mut Flow, waited_us: u64, windows: u64| {
        for _ in 0..windows * 2_000 {
            flow.note(waited_us, now_ms);
        }
        now_ms += 1;
        kept_out_of(flow.share(now_ms))
    };
    assert_eq!(kept_out(&mut flow, 99_000, 5), 0);
    let after_ten = kept_out(&mut flow, 150_000, 10);
    assert!((350..450).contains(&after_ten), "{after_ten}");
    let at_worst = kept_out(&mut flow, 150_000, 400);
    assert!((979..=990).contains(&at_worst), "{at_worst}");
    assert_eq!(kept_out(&mut flow, 100, 200), 0);
    assert!(kept_out(&mut flow, 150_000, 50) > 0);
    assert_eq!(flow.strain_per_mille(), 1_000);
    assert_eq!(kept_out_of(flow.share(now_ms + 5_000)), 0, "nobody asked");
    assert_eq!(flow.strain_per_mille(), 0);
}

/// How many of a thousand are not taken on.
fn kept_out_of(share: Share) -> usize {
    (0..1_000).filter(|number| !share.takes(*number)).count()
}

/// What his player made up.
fn number(person: usize) -> u64 {
    Dice(person as u64).roll()
}
