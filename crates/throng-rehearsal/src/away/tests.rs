//! Leaders and lenders on loopback. The agent is `cat`: it says its orders back, and ends when its input does.

use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use super::leader::{Call, CallError};
use super::lender::{self, Event, Program};
use super::*;
use crate::orders::{Orders, sample};

/// A lender that serves until the test ends.
fn lender(key: &str) -> (String, Receiver<Event>) {
    let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).unwrap();
    let at: SocketAddr = listener.local_addr().unwrap();
    let (sender, events) = sync_channel(16);
    let key = Key::of(key);
    let program = Program {
        path: "cat".into(),
        arguments: Vec::new(),
    };
    thread::spawn(move || {
        let note = move |event| sender.send(event).unwrap_or_default();
        lender::serve(&listener, &key, &program, &|| false, note)
    });
    (at.to_string(), events)
}

/// Says lines as they are, and hears what comes back until the other side hangs up.
fn stranger(at: &str, lines: &[&str]) -> Vec<String> {
    let mut input = BufReader::new(TcpStream::connect(at).unwrap());
    for line in lines {
        // Who has heard enough may have hung up.
        let _ = say(input.get_mut(), line);
    }
    let mut heard = Vec::new();
    while let Ok(Some(line)) = read_line(&mut input, LINE_MAX_BYTES) {
        heard.push(line);
    }
    heard
}

#[test]
fn an_agent_elsewhere_has_its_orders_and_ends_when_its_leader_hangs_up() {
    let (at, events) = lender("k");
    let call = Call::to(&at, &Key::of("k")).unwrap();
    assert_eq!(call.welcome.machine, crate::host::machine());
    assert!(call.welcome.cores > 0 && call.welcome.connections_max > 0);
    let begin_us = crate::agent::now_us();
    let orders = Orders {
        begin_us,
        ..sample()
    };
    let (leash, mut reports) = call.order(&orders).unwrap();
    let mut told: Orders = serde_json::from_str(&reports.next_line().unwrap()).unwrap();
    // Both sides have one clock here: what is measured of it is off by the time of the greeting at most.
    assert!(told.begin_us.abs_diff(begin_us) < 10 * crate::SECOND_US);
    told.begin_us = begin_us;
    assert_eq!(told, orders);
    assert!(matches!(events.recv().unwrap(), Event::Began(_)));
    drop(leash);
    assert_eq!(reports.next_line(), None);
    assert!(matches!(events.recv().unwrap(), Event::Ended(_)));
}

#[test]
fn an_agent_does_not_outlive_a_leader_who_is_gone() {
    let (at, events) = lender("k");
    let call = Call::to(&at, &Key::of("k")).unwrap();
    drop(call.order(&sample()).unwrap());
    assert!(matches!(events.recv().unwrap(), Event::Began(_)));
    assert!(matches!(events.recv().unwrap(), Event::Ended(_)));
}

#[test]
fn without_the_key_nobody_is_ordered_about() {
    let (at, events) = lender("k");
    let refused = Call::to(&at, &Key::of("another")).map(drop).unwrap_err();
    let CallError::Refused { reason, .. } = &refused else {
        panic!("{refused}");
    };
    assert!(reason.contains("the key"), "{reason}");
    let orders = serde_json::to_string(&sample()).unwrap();
    let claim = r#"{"nonce":"x"}"#;
    let unsealed = "0".repeat(64) + " " + PROOF;
    let long = "x".repeat(2 * KNOCK_MAX_BYTES);
    for lines in [
        vec![orders.as_str(), &orders],
        vec![claim, &orders],
        vec![claim, PROOF, &orders],
        vec![claim, &unsealed, &orders],
        vec!["GET / HTTP/1.1", "", ""],
        vec![&long],
    ] {
        let heard = stranger(&at, &lines);
        assert!(heard[0].contains(PROTOCOL), "{heard:?}");
        assert!(
            heard[1..].iter().all(|line| line.starts_with(REFUSED)),
            "{heard:?}"
        );
    }
    for _ in 0..7 {
        assert!(matches!(events.recv().unwrap(), Event::Refused(_)));
    }
}

#[test]
fn what_is_no_lender_is_named() {
    let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).unwrap();
    let at = listener.local_addr().unwrap().to_string();
    let server = thread::spawn(move || say(&mut listener.accept().unwrap().0, "220 mail ready"));
    let error = Call::to(&at, &Key::of("k")).map(drop).unwrap_err();
    assert!(matches!(error, CallError::NotOne { .. }), "{error}");
    server.join().unwrap().unwrap();
    let nobody = Call::to(&at, &Key::of("k")).map(drop).unwrap_err();
    assert!(matches!(nobody, CallError::Unreachable { .. }), "{nobody}");
}
