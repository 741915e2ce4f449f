//! Who decides, of processes that serve for one node, and of an edge.

use throng_core::ladder::signals::Share;

use super::*;

fn at(rung: u8, locked: bool) -> Decision {
    Decision {
        rung: Rung::new(rung).unwrap(),
        locked,
        ..Decision::default()
    }
}

fn pressed() -> Signals {
    Signals {
        listeners: 1,
        memory_of_budget: Share::new(500).unwrap(),
        ..Signals::default()
    }
}

/// Seconds in each of which this process measures the same; the rung after each.
fn pass(ladder: &Ladder, from: Instant, seconds: u64, here: Signals) -> Vec<u8> {
    let second = |number| {
        let mut books = ladder.books();
        let moved = books.end_second(here, from + Duration::from_secs(number));
        ladder.publish(&mut books, moved, "calm");
        drop(books);
        ladder.rung().number()
    };
    (1..=seconds).map(second).collect()
}

#[test]
fn an_origin_adds_up_what_its_workers_measure_for_as_long_as_they_say_so() {
    let (ladder, start) = (Ladder::default(), Instant::now());
    assert_eq!(pass(&ladder, start, 10, pressed()), [0; 10]);
    let later = start + Duration::from_secs(10);
    ladder.hear(1, pressed(), later);
    assert_eq!(pass(&ladder, later, 1, pressed()), [0]);
    assert_eq!(ladder.standing().wanted.number(), 1);
    assert_eq!(ladder.standing().signals.memory_of_budget, Share::ALL);
    assert_eq!(ladder.here(), pressed(), "what it reports itself");
    let silent = later + Duration::from_secs(3);
    assert_eq!(pass(&ladder, silent, 10, pressed()), [0; 10]);
    assert_eq!(ladder.standing().signals, pressed());
}

#[test]
fn a_worker_follows_its_origin_and_decides_for_itself_while_that_is_away() {
    let (ladder, start) = (Ladder::default(), Instant::now());
    ladder.tell(at(2, false), start);
    let both = pressed().with(pressed());
    assert_eq!(
        pass(&ladder, start, 4, both),
        [2; 4],
        "its origin knows more"
    );
    let away = start + Duration::from_secs(4);
    assert_eq!(*pass(&ladder, away, 10, both).last().unwrap(), 4);
    ladder.tell(at(1, false), away);
    assert_eq!(ladder.rung().number(), 1);
    ladder.tell(at(3, true), away);
    let long_away = away + Duration::from_secs(100);
    assert_eq!(
        pass(&ladder, long_away, 60, both),
        [3; 60],
        "an operator's word holds"
    );
    ladder.tell(at(3, false), long_away);
    assert!(!ladder.decision().locked);
}

#[test]
fn an_edge_decides_for_its_own_machine_unless_an_operator_has() {
    let (ladder, start) = (Ladder::default(), Instant::now());
    ladder.decide_alone();
    ladder.tell(at(3, false), start);
    assert_eq!(pass(&ladder, start, 3, pressed()), [0; 3]);
    assert_eq!(ladder.told(), Decision::default());
    ladder.tell(at(3, true), start);
    assert_eq!(ladder.rung().number(), 3);
    ladder.tell(at(0, false), start);
    assert_eq!(ladder.decision(), at(3, false), "from where it was");
    assert_eq!(*pass(&ladder, start, 31, pressed()).last().unwrap(), 2);
}

#[test]
fn an_origin_that_was_started_again_learns_from_a_worker_where_it_was() {
    let (worker, origin) = (Ladder::default(), Ladder::default());
    worker.tell(at(4, true), Instant::now());
    origin.learn(Decision::default());
    origin.learn(worker.told());
    assert_eq!(origin.decision(), at(4, true));
    origin.learn(at(1, true));
    assert_eq!(origin.decision(), at(4, true), "once");
    let fixed = Ladder::default();
    fixed.lock(Rung::default());
    fixed.learn(at(4, false));
    assert_eq!(
        fixed.decision(),
        at(0, true),
        "an operator has said it already"
    );
}
