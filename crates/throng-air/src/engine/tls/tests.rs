//! The layer over a port that is played.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::engine::tls::handshakes::HANDSHAKE_TIMEOUT;
use crate::tls::record::tests::ends;
use crate::tls::tickets::TicketSecret;

/// A port whose peers say what a test has them say.
#[derive(Default)]
struct Played {
    events: Vec<Event>,
    said: BTreeMap<Place, Vec<u8>>,
    sent: Vec<u8>,
    /// How much is taken from now on.
    room: usize,
    closed: Vec<Place>,
    is_accepting: bool,
}

impl Port for Played {
    fn wait(&mut self, _: Duration, events: &mut Vec<Event>) -> io::Result<()> {
        events.append(&mut self.events);
        Ok(())
    }

    fn wake_by(&mut self, _: &Arc<OwnedFd>) -> io::Result<()> {
        Ok(())
    }

    fn set_accepting(&mut self, accepting: bool) {
        self.is_accepting = accepting;
    }

    fn take(&mut self, place: Place, into: &mut [u8; READ_MAX_BYTES]) -> Taken {
        let said = self.said.remove(&place).unwrap_or_default();
        into[..said.len()].copy_from_slice(&said);
        if said.is_empty() {
            Taken::Nothing
        } else {
            Taken::Bytes(said.len())
        }
    }

    fn ask_peer(&mut self, _: Place) {}

    fn watch(&mut self, _: Place, _: Interest) {}

    fn send(&mut self, _: Place, bytes: &Bytes, _: bool) -> Option<Sent> {
        let count = bytes.len().min(self.room);
        self.room -= count;
        self.sent.extend_from_slice(&bytes[..count]);
        Some(if count == bytes.len() {
            Sent::Whole
        } else {
            Sent::Short(bytes.slice(count..))
        })
    }

    fn shut_down(&mut self, _: Place) {}

    fn close(&mut self, place: Place) {
        self.closed.push(place);
    }

    fn release(&mut self, _: Place) {}
}

fn sealed(connections_max: u32) -> (Tls<Played>, u32) {
    let resolver = rustls::server::ResolvesServerCertUsingSni::new();
    let config = crate::tls::server_config(
        Arc::new(resolver),
        vec![b"http/1.1".to_vec()],
        TicketSecret::drawn(),
    )
    .unwrap();
    let threads = Threads::start(1, 1).unwrap();
    Tls::new(
        Played::default(),
        config,
        &threads,
        Shard(0),
        connections_max,
    )
    .unwrap()
}

#[test]
fn who_does_not_shake_hands_in_time_is_closed_and_makes_room() {
    let (mut tls, left) = sealed(8);
    assert_eq!(left, 6);
    tls.port.events = vec![Event::Arrived(0), Event::Arrived(1)];
    // The first half of a record.
    tls.port.said.insert(1, vec![22, 3, 1, 0]);
    let (mut events, begin) = (Vec::new(), Instant::now());
    tls.set_accepting(true);
    assert!(tls.port.is_accepting);
    tls.wait(Duration::ZERO, &mut events).unwrap();
    assert!(!tls.port.is_accepting, "two are all that may begin at once");
    // Both began later than this.
    tls.lose_patience(begin + HANDSHAKE_TIMEOUT);
    assert!(tls.port.closed.is_empty());
    tls.lose_patience(Instant::now() + HANDSHAKE_TIMEOUT);
    assert_eq!(tls.port.closed, [0, 1]);
    tls.wait(Duration::ZERO, &mut events).unwrap();
    assert!(tls.port.is_accepting);
    let failures: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Failed(failure) => Some(*failure),
            _ => None,
        })
        .collect();
    assert_eq!(failures, [Failure::Silent, Failure::Unfinished]);
    assert_eq!(events.len(), 2, "the loop hears no more of them");
}

proptest! {
    #[test]
    fn what_did_not_fit_goes_first_whatever_is_sent_when(
        steps in prop::collection::vec((0_usize..40_000, 0_usize..30_000), 1..12),
    ) {
        let [here, mut there] = ends();
        let (mut tls, _) = sealed(8);
        tls.sessions = vec![Some(here)];
        let mut said: Vec<u8> = Vec::new();
        for (number, (length, room)) in steps.into_iter().enumerate() {
            tls.port.room = room;
            let span = vec![u8::try_from(number).unwrap(); length];
            said.extend(&span);
            match tls.send(0, &span.into(), true) {
                // What is kept is ciphertext, and none of the loop's business.
                Some(Sent::Short(rest)) => prop_assert!(rest.is_empty()),
                sent => prop_assert_eq!(sent, Some(Sent::Whole)),
            }
        }
        tls.port.room = usize::MAX;
        prop_assert_eq!(tls.send(0, &Bytes::new(), true), Some(Sent::Whole));
        tls.shut_down(0);
        let mut incoming = Incoming::new(Vec::new(), tls.port.sent.clone());
        let (mut heard, mut some) = (Vec::<u8>::new(), [0; 4_096]);
        loop {
            match incoming.take(&mut there, &mut some).unwrap() {
                Heard::Bytes(count) => heard.extend(&some[..count]),
                Heard::End => break,
                Heard::Nothing => prop_assert!(false, "it does not end in order"),
            }
        }
        prop_assert_eq!(heard, said);
        tls.close(0);
        prop_assert!(tls.unsent.is_empty() && tls.incoming.is_empty());
    }
}
