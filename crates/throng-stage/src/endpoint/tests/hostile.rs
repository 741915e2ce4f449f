//! Peers and strangers who mean harm: what was done to other media servers, by the number of its record.

use std::fs;

use super::*;

/// The head of a DTLS 1.2 hello: enough to start a handshake with, where nobody asks who sent it.
const CLIENT_HELLO: [u8; 25] = [
    22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

/// The class of CVE-2023-49786: a DTLS hello from elsewhere must not take the handshake.
#[test]
fn datagrams_from_unvalidated_addresses_change_nothing_and_get_no_answer() {
    let mut world = World::new();
    let (mut caller, answer) = world.publish("198.51.100.1:1000");
    let stranger = address("203.0.113.66:6666");
    for _ in 0..300 {
        for hostile in [&CLIENT_HELLO[..], &[0x80; 60], &[0; 40], &[]] {
            assert!(
                !world
                    .endpoint
                    .datagram(world.now, (Protocol::Udp, stranger), hostile)
            );
        }
        world.step(&mut [&mut caller]);
    }
    assert_eq!(world.lives(), ["joined"]);
    caller.speak(world.now, 0);
    world.connect(&mut [&mut caller]);
    assert_eq!(world.packets(&answer.session), 1);
    assert!(world.sent.iter().all(|(to, _)| *to == caller.at));
    let counted = world.endpoint.counters.snapshot();
    assert_eq!(counted.dropped_unvalidated, 600);
    assert_eq!(counted.dropped_malformed, 600);
}

#[test]
fn a_connected_session_survives_garbage_under_its_own_address() {
    let mut world = World::new();
    let (mut caller, answer) = world.publish("198.51.100.1:1000");
    world.connect(&mut [&mut caller]);
    for byte in 0..=255_u8 {
        for length in [1, 12, 13, 40, 1500] {
            world
                .endpoint
                .datagram(world.now, (Protocol::Udp, caller.at), &vec![byte; length]);
        }
        world
            .endpoint
            .datagram(world.now, (Protocol::Udp, caller.at), &CLIENT_HELLO);
    }
    caller.speak(world.now, 0);
    world.connect(&mut [&mut caller]);
    assert_eq!(world.lives(), ["joined"]);
    assert_eq!(world.packets(&answer.session), 1);
}

#[test]
fn a_stun_request_without_the_password_gets_no_answer() {
    let mut world = World::new();
    // The caller believes in another password, as one would who only overheard the user fragment.
    let (peer, pending, offer) = Peer::offer(world.now, true);
    let mut answer = world.endpoint.publish(world.now, &offer, SEAT).unwrap();
    let line = answer
        .sdp
        .lines()
        .find(|line| line.starts_with("a=ice-pwd:"))
        .unwrap()
        .to_owned();
    answer.sdp = answer
        .sdp
        .replace(&line, &format!("a=ice-pwd:{}", "x".repeat(32)));
    let mut caller = world.dial(peer, pending, &answer, "198.51.100.1:1000");
    world.run(Duration::from_secs(3), &mut [&mut caller]);
    assert!(world.sent.is_empty());
    assert!(world.endpoint.counters.snapshot().dropped_stun > 0);
}

#[test]
fn an_address_stays_with_the_session_that_it_was_validated_for() {
    let mut world = World::new();
    let (mut caller, answer) = world.publish("198.51.100.1:1000");
    world.connect(&mut [&mut caller]);
    // A listener with credentials of its own forges the speaker's address.
    let (mut forger, _) = world.subscribe("198.51.100.1:1000");
    world.run(Duration::from_secs(3), &mut [&mut forger]);
    caller.speak(world.now, 0);
    world.connect(&mut [&mut caller]);
    assert_eq!(world.packets(&answer.session), 1);
}

#[test]
fn one_session_validates_a_bounded_number_of_addresses() {
    let mut world = World::new();
    let (mut caller, _) = world.publish("198.51.100.1:1000");
    world.connect(&mut [&mut caller]);
    for port in 2000..2100 {
        // The same caller's checks, from port after port, as through a hostile NAT.
        caller.at.set_port(port);
        world.run(Duration::from_millis(200), &mut [&mut caller]);
        world.now += Duration::from_secs(3);
        if world.endpoint.counters.snapshot().dropped_addresses > 0 {
            break;
        }
    }
    let mut held = world
        .endpoint
        .sessions
        .values()
        .map(|session| session.addresses.len());
    assert_eq!(held.next(), Some(ADDRESSES_MAX));
}

/// Bytes of memory that this process holds.
fn resident_bytes() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kilobytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kilobytes.parse::<usize>().unwrap() * 1024
}

/// A piece of a handshake message that never becomes whole (RFC 6347 section 4.2.2), in a record of the first epoch.
fn fragment(number: u32) -> Vec<u8> {
    const PIECE: usize = 1_100;
    let message = 1 + (number % 200) as u8;
    let mut datagram = vec![22, 254, 253, 0, 0];
    datagram.extend(&u64::from(number).to_be_bytes()[2..]);
    datagram.extend(u16::try_from(PIECE + 12).unwrap().to_be_bytes());
    // Client key exchange: 16 MB in all, and this is a piece somewhere in it.
    datagram.extend([16, 0xff, 0xff, 0xff, 0, message]);
    datagram.extend(&(number * 1_200).to_be_bytes()[1..]);
    datagram.extend(&u32::try_from(PIECE).unwrap().to_be_bytes()[1..]);
    datagram.extend([0xab; PIECE]);
    datagram
}

/// The class of CVE-2022-29189 (pion): pieces of a handshake that nobody ever completes are not kept without end.
#[test]
fn a_handshake_of_endless_pieces_fills_no_memory() {
    const PIECES: u32 = 40_000;
    const GROWN_MAX_BYTES: usize = 8 << 20;
    let mut world = World::new();
    let (mut caller, _) = world.publish("198.51.100.1:1000");
    let is_validated = |world: &World| {
        let mut sessions = world.endpoint.sessions.values();
        sessions.any(|session| !session.addresses.is_empty())
    };
    while !is_validated(&world) {
        world.step(&mut [&mut caller]);
    }
    let before = resident_bytes();
    for number in 0..PIECES {
        let from = (Protocol::Udp, caller.at);
        world.endpoint.datagram(world.now, from, &fragment(number));
        while world.endpoint.poll_transmit().is_some() {}
    }
    // The first ones are kept, until it is one too many and the session is given up.
    let dropped = world.endpoint.counters.snapshot().dropped_unvalidated;
    assert!(
        dropped < u64::from(PIECES),
        "none of them has reached the handshake"
    );
    let grown = resident_bytes().saturating_sub(before);
    assert!(
        grown < GROWN_MAX_BYTES,
        "{grown} bytes of {PIECES} pieces are kept"
    );
}

/// The class of CVE-2019-20786 (pion): what is not encrypted is taken for nothing, before the handshake and after it.
#[test]
fn sound_in_the_clear_is_not_heard() {
    let mut world = World::new();
    let (mut caller, answer) = world.publish("198.51.100.1:1000");
    for number in 0..400_u16 {
        let mut plain = vec![0x80, 111];
        plain.extend(number.to_be_bytes());
        plain.extend([0, 0, 3, 192, 0, 0, 0, 1, 1, 2, 3]);
        // Application data of DTLS in the first epoch, which has no keys.
        let mut in_dtls = vec![23, 254, 253, 0, 0, 0, 0, 0, 0, 9, 0, 0, 15];
        in_dtls.extend(&plain);
        for datagram in [&plain, &in_dtls] {
            let from = (Protocol::Udp, caller.at);
            world.endpoint.datagram(world.now, from, datagram);
        }
        world.step(&mut [&mut caller]);
    }
    assert_eq!(world.packets(&answer.session), 0);
    caller.speak(world.now, 0);
    world.connect(&mut [&mut caller]);
    assert_eq!(world.lives(), ["joined"]);
    assert_eq!(world.packets(&answer.session), 1);
}

/// The class of GO-2023-1534 (pion): a session does not outlive a certificate that is not the one that was offered
/// (RFC 8827 section 6.5).
#[test]
fn who_shows_another_certificate_than_he_offered_never_joins() {
    let mut world = World::new();
    let (peer, pending, offer) = Peer::offer(world.now, true);
    let line = offer
        .lines()
        .find(|line| line.starts_with("a=fingerprint:"));
    let other = format!("a=fingerprint:sha-256 {}", ["AB"; 32].join(":"));
    let forged = offer.replace(line.unwrap(), &other);
    let answer = world.endpoint.publish(world.now, &forged, SEAT).unwrap();
    let mut caller = world.dial(peer, pending, &answer, "198.51.100.1:1000");
    for frame in 0..u32::try_from(CONNECT_LIMIT.as_millis() / STEP.as_millis()).unwrap() {
        caller.speak(world.now, frame);
        world.step(&mut [&mut caller]);
    }
    assert!(!world.sent.is_empty(), "the handshake was begun");
    world.connect(&mut [&mut caller]);
    assert_eq!(world.packets(&answer.session), 0);
    assert!(
        !world.lives().contains(&"joined".to_owned()),
        "{:?}",
        world.lives()
    );
    assert_eq!(world.endpoint.sessions.len(), 0);
}

/// The class of CVE-2026-54909 (pion): attributes of STUN that are longer than the message, or cut, or none at all.
#[test]
fn a_check_that_is_cut_or_spoilt_anywhere_is_survived() {
    let mut world = World::new();
    let (mut caller, answer) = world.publish("198.51.100.1:1000");
    let checks: Vec<_> = caller
        .out
        .iter()
        .filter_map(|output| match output {
            PeerOutput::Transmit(transmit) => Some(transmit.contents.to_vec()),
            _ => None,
        })
        .collect();
    let check = checks.first().expect("a caller begins with a check");
    for at in 0..check.len() {
        for byte in [0, 1, 0x7f, 0x80, 0xff, check[at] ^ 1] {
            let mut spoilt = check.clone();
            spoilt[at] = byte;
            for datagram in [&spoilt[..], &spoilt[..at]] {
                let from = (Protocol::Udp, caller.at);
                world.endpoint.datagram(world.now, from, datagram);
            }
        }
    }
    world.connect(&mut [&mut caller]);
    caller.speak(world.now, 0);
    world.connect(&mut [&mut caller]);
    assert_eq!(world.packets(&answer.session), 1);
}

/// The class of CVE-2020-26262 (coturn): nobody makes us call an address of his choice.
#[test]
fn addresses_in_an_offer_are_not_called() {
    let mut world = World::new();
    let (peer, pending, offer) = Peer::offer(world.now, true);
    let calls = "a=candidate:1 1 udp 2130706431 127.0.0.1 22 typ host\r\n\
        a=candidate:2 1 udp 2130706431 169.254.169.254 80 typ host\r\na=end-of-candidates\r\n";
    let answer = world
        .endpoint
        .publish(world.now, &format!("{offer}{calls}"), SEAT);
    let mut caller = world.dial(peer, pending, &answer.unwrap(), "198.51.100.1:1000");
    world.connect(&mut [&mut caller]);
    assert_eq!(world.lives(), ["joined"]);
    assert!(world.sent.iter().all(|(to, _)| *to == caller.at));
}
