//! What presses a node, and what does not.

use super::*;

/// A node in whose signals nothing stands out.
fn quiet() -> Signals {
    Signals {
        lag_ms: 5,
        spans: 1_000,
        listeners: 1_000,
        cpu: Share(300),
        cpu_serving: Share(200),
        ..Signals::default()
    }
}

#[test]
fn each_signal_presses_by_itself_and_says_so() {
    let pressed = |signals: Signals| match signals.level() {
        Level::Trouble(reasons) | Level::Critical(reasons) => reasons.words(),
        level => format!("{level:?}"),
    };
    assert_eq!(pressed(quiet()), "Calm");
    let beyond = [
        Signals {
            blocked: 400,
            ..quiet()
        },
        Signals {
            cpu: Share(850),
            ..quiet()
        },
        Signals {
            cpu: Share(500),
            cpu_waiting: Share(700),
            ..quiet()
        },
        Signals {
            joins: Some(Share(900)),
            ..quiet()
        },
        Signals {
            lag_ms: 250,
            ..quiet()
        },
        Signals {
            late_spans: 50,
            ..quiet()
        },
        Signals {
            memory_of_budget: Share(900),
            ..quiet()
        },
        Signals {
            memory_waiting: Share(200),
            ..quiet()
        },
    ];
    for (signals, reason) in beyond.into_iter().zip(Reason::ALL) {
        assert_eq!(pressed(signals), reason.words());
        let nobody = Signals {
            listeners: 0,
            ..signals
        };
        assert_eq!(pressed(nobody), "Calm", "nobody to do less for");
    }
    let machine = Signals {
        memory_of_machine: Share(900),
        ..quiet()
    };
    assert_eq!(pressed(machine), Reason::Memory.words());
}

#[test]
fn what_others_do_on_the_machine_and_a_few_bad_lines_press_nobody() {
    let neighbours = Signals {
        cpu: Share(900),
        cpu_serving: Share(20),
        cpu_waiting: Share(990),
        ..quiet()
    };
    assert_eq!(neighbours.level(), Level::Calm);
    let bad_lines = Signals {
        listeners: 99,
        blocked: 99,
        ..quiet()
    };
    assert_eq!(bad_lines.level(), Level::Calm);
}

#[test]
fn processes_of_a_node_add_up_to_what_they_use_and_the_worst_that_they_suffer() {
    let one = Signals {
        cpu: Share(500),
        memory_of_budget: Share(600),
        memory_of_machine: Share(700),
        ..quiet()
    };
    let both = one.with(Signals {
        lag_ms: 300,
        joins: Some(Share(1)),
        ..one
    });
    assert_eq!((both.lag_ms, both.listeners), (300, 2_000));
    assert_eq!((both.cpu, both.memory_of_budget), (Share::ALL, Share::ALL));
    assert_eq!(
        (both.memory_of_machine, both.joins),
        (Share(700), Some(Share(1)))
    );
    assert_eq!(Share::of(u64::MAX, 1), Share::ALL);
    assert_eq!(Share::of(1, 0), Share::default());
}
