//! Connections in their handshake: from the accepted socket to an established session or out again.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::threads::Worked;
use super::{Interest, Place, Port, READ_MAX_BYTES, Taken, Tls};
use crate::engine::port::Event;
use crate::tls::handshake::{Established, Failure, Handshake, Stage};

/// Time for a handshake, from the accepted connection on.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// The first byte of a record of the handshake protocol.
const HANDSHAKE_RECORD: u8 = 22;
/// What is told to who speaks HTTP without TLS.
const PLAIN_HTTP: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\n\
    content-length: 56\r\ncache-control: no-store\r\nconnection: close\r\n\r\n\
    This address speaks TLS. Please come again by https://.\n";

/// A connection in its handshake.
pub(super) struct Beginning {
    number: u64,
    state: State,
    /// What came and waits for the thread.
    came: Vec<u8>,
    /// Whether anything came.
    has_spoken: bool,
}

enum State {
    /// It waits for its peer or for the thread; nothing is kept of it before he has spoken.
    Here(Option<Box<Handshake>>),
    /// The thread has it.
    AtWork,
    /// It failed; the peer may read why.
    Over,
}

impl<P: Port> Tls<P> {
    /// Somebody connected; usually he has said hello already.
    pub(super) fn begin(&mut self, place: Place) {
        self.number += 1;
        let beginning = Beginning {
            number: self.number,
            state: State::Here(None),
            came: Vec::new(),
            has_spoken: false,
        };
        self.handshakes.insert(place, beginning);
        let deadline = Instant::now() + HANDSHAKE_TIMEOUT;
        self.deadlines.push_back((deadline, place, self.number));
        self.hear(place);
    }

    /// Reads what somebody says in his handshake, unless what he said before is being worked on.
    pub(super) fn hear(&mut self, place: Place) {
        let Some(beginning) = self.handshakes.get_mut(&place) else {
            return;
        };
        if matches!(beginning.state, State::AtWork) || !beginning.came.is_empty() {
            return self.port.watch(place, Interest::Leave);
        }
        let mut bytes = [0; READ_MAX_BYTES];
        let came = match (self.port.take(place, &mut bytes), &beginning.state) {
            (Taken::Nothing, _) => return self.port.watch(place, Interest::Read),
            (Taken::End, _) => return self.fail(place, Failure::Gone),
            (Taken::Bytes(_), State::Over) => return self.end(place),
            (Taken::Bytes(length), _) => &bytes[..length],
        };
        if !beginning.has_spoken && came[0] != HANDSHAKE_RECORD {
            return self.refuse(place, came[0]);
        }
        beginning.has_spoken = true;
        beginning.came = came.to_vec();
        self.queue.push_back((place, beginning.number));
    }

    /// Answers who does not speak TLS at all.
    fn refuse(&mut self, place: Place, first: u8) {
        if !first.is_ascii_uppercase() {
            return self.fail(place, Failure::Malformed);
        }
        // It fits into a fresh send buffer.
        let _ = self
            .port
            .send(place, &Bytes::from_static(PLAIN_HTTP), false);
        self.fail(place, Failure::PlainHttp);
    }

    /// Ends a handshake that came to nothing; whoever was told why may read it.
    pub(super) fn fail(&mut self, place: Place, failure: Failure) {
        let Some(beginning) = self.handshakes.get_mut(&place) else {
            return;
        };
        if matches!(beginning.state, State::Over) {
            return self.end(place);
        }
        self.tally.failed(failure);
        self.ready.push(Event::Failed(failure));
        beginning.state = State::Over;
        match failure {
            Failure::Gone | Failure::Silent | Failure::Unfinished => self.end(place),
            _ => {
                self.port.shut_down(place);
                self.port.watch(place, Interest::Read);
            }
        }
    }

    /// Closes a connection in its handshake.
    fn end(&mut self, place: Place) {
        self.handshakes.remove(&place);
        self.port.close(place);
    }

    /// Gives the thread what waits, as far as there is room.
    pub(super) fn give_work(&mut self) {
        while self.desk.has_room() {
            let Some((place, number)) = self.queue.pop_front() else {
                return;
            };
            let found = self.handshakes.get_mut(&place);
            let Some(beginning) = found.filter(|beginning| beginning.number == number) else {
                continue;
            };
            if let State::Here(handshake) = std::mem::replace(&mut beginning.state, State::AtWork) {
                let came = std::mem::take(&mut beginning.came);
                self.desk.put((place, number), handshake, came);
            }
        }
    }

    /// What the thread has done.
    pub(super) fn take_work(&mut self, events: &mut Vec<Event>) {
        while let Some(Worked { whose, out, stage }) = self.desk.find() {
            let (place, number) = whose;
            let found = self.handshakes.get_mut(&place);
            let Some(beginning) = found.filter(|beginning| {
                beginning.number == number && matches!(beginning.state, State::AtWork)
            }) else {
                continue;
            };
            if !out.is_empty() {
                // It fits into a fresh send buffer, or the deadline ends it. Tickets are not kept for the first answer:
                // they acknowledge the end of the handshake, for which some clients wait with their request.
                let _ = self.port.send(place, &Bytes::from(out), false);
            }
            match stage {
                Stage::Failed(failure) => self.fail(place, failure),
                Stage::Done(established) => self.establish(place, *established, events),
                Stage::Listens(handshake) => {
                    beginning.state = State::Here(Some(handshake));
                    self.port.watch(place, Interest::Read);
                }
            }
        }
    }

    fn establish(&mut self, place: Place, established: Established, events: &mut Vec<Event>) {
        let Established {
            session,
            incoming,
            is_resumed,
        } = established;
        self.handshakes.remove(&place);
        if !incoming.is_empty() {
            self.incoming.insert(place, incoming);
        }
        let count = place as usize + 1;
        if self.sessions.len() < count {
            self.sessions.resize_with(count, || None);
        }
        self.sessions[place as usize] = Some(session);
        self.tally.succeeded(is_resumed);
        events.push(Event::Arrived(place));
    }

    /// Ends handshakes that take too long.
    pub(super) fn lose_patience(&mut self, now: Instant) {
        while let Some((_, place, number)) = self.deadlines.pop_front_if(|(due, ..)| *due <= now) {
            let found = self.handshakes.get(&place);
            let Some(beginning) = found.filter(|beginning| beginning.number == number) else {
                continue;
            };
            let failure = if beginning.has_spoken {
                Failure::Unfinished
            } else {
                Failure::Silent
            };
            self.fail(place, failure);
        }
    }

    /// Accepts more if the loop wants it and what is here goes on.
    pub(super) fn pace(&mut self) {
        let has_room = self.queue.is_empty() && self.handshakes.len() < self.handshakes_max;
        self.port.set_accepting(self.wants_more && has_room);
    }
}
