//! What the world sees when a node goes wrong.

use super::*;

fn node() -> Node {
    let like = Nodes {
        count: 1,
        cores: 1,
        listeners_max: 1_000_000,
        egress_max: None,
        tls: false,
        cache: false,
        judges_backlog: false,
    };
    Node::new(0, &like, 1, cost::BACKLOG_PER_CORE)
}

#[test]
fn books_that_do_not_balance_are_seen() {
    assert!(node().second(1, true));
    let spoils: [fn(&mut Node); 4] = [
        |node| node.stream.arrive(),
        |node| node.stream.admit(),
        |node| node.page.admit(),
        |node| {
            let rung = Rung::default();
            assert!(node.board.enter(Lane::new(0), Rendition::O48, rung));
        },
    ];
    for spoil in spoils {
        let mut node = node();
        spoil(&mut node);
        assert!(!node.second(1, true));
    }
}

#[test]
fn a_place_that_was_promised_to_somebody_before_is_seen() {
    let mut node = node();
    node.board.limit(Limits {
        slots: Some(0),
        egress_bits: None,
    });
    node.promised.insert(3, 10_000);
    node.check_order(2, Standing::Served, 11_000);
    assert_eq!(node.violations, 0, "nobody stood before him");
    node.check_order(9, Standing::Served, 11_000);
    assert_eq!(node.violations, 1);
    node.check_order(9, Standing::Served, 30_000);
    assert_eq!(node.violations, 1, "he has gone meanwhile");
}

#[test]
fn who_is_owed_more_than_his_cushion_does_not_hear_all_of_it() {
    let mut node = node();
    node.listeners = vec![0; 400_000];
    node.bear_short = 400_000;
    let mut step = || node.serve_listeners(40, 1);
    assert_eq!(
        step(),
        (0, 1_000),
        "nothing is left for the doors, and the cushion bears it"
    );
    let in_time = (0..1_000).map(|_| step().1).last();
    assert_eq!(in_time, Some(416), "1 of 2.4 cores");
}

#[test]
fn the_cushion_bears_the_spans_that_the_cursor_gives() {
    let bears = |rung: Rung| cost::bearable_parts(rung.burst_samples());
    assert_eq!((bears(Rung::default()), bears(Rung::DEEPEST)), (6, 24));
}
