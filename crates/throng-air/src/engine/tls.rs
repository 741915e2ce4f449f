//! TLS between a loop and its port: the loop sends and takes plaintext and knows only connections whose handshake is
//! done.
//!
//! A connection arrives here first. What its peer says goes to a thread ([`threads`]) and what is to be told comes back;
//! when keys are agreed the loop is told that somebody arrived. From then on a span is sealed as it is sent. What does
//! not fit of it is ciphertext and stays here, because its number in the stream of records is taken: the loop gets an
//! empty rest to send again, and whatever is sent next goes behind what is kept.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustls::ServerConfig;

use self::handshakes::Beginning;
use self::tally::Tally;
use self::threads::{Desk, Threads};
use super::port::{Event, Interest, Place, Port, READ_MAX_BYTES, Sent, Taken};
use crate::hand_over::Stream;
use crate::presence::Shard;
use crate::tls::handshake::Failure;
use crate::tls::record::{Content, Heard, Incoming, Session};
use crate::tls::stream::Carried;

mod handshakes;
mod tally;
#[cfg(test)]
mod tests;
pub(crate) mod threads;

/// Handshakes of a loop at once, of which nearly all wait for their peers; some 20 KB each at most. When there are so
/// many, the loop accepts no more: people wait in the backlog.
const HANDSHAKES_MAX: u32 = 2_048;
/// The share of a loop's connections that may be in their handshake, where it has few.
const HANDSHAKES_SHARE: u32 = 4;
/// Established connections of a loop of which part of a record has come, or more than was taken: some 20 KB each at
/// most. Nearly every request is one record and is taken at once; when so many are not, the next one is closed.
const INCOMING_MAX: usize = 2_048;

/// A port whose connections are sealed.
pub(crate) struct Tls<P> {
    port: P,
    desk: Desk,
    /// Whether the loop wants more connections.
    wants_more: bool,
    handshakes_max: usize,
    handshakes: HashMap<Place, Beginning>,
    /// Who has said something while there was no room for it at the thread.
    queue: VecDeque<(Place, u64)>,
    /// When handshakes must have ended, in this order: of those that began so long ago at most, ended or not.
    deadlines: VecDeque<(Instant, Place, u64)>,
    /// The number of the latest handshake.
    number: u64,
    sessions: Vec<Option<Session>>,
    incoming: HashMap<Place, Incoming>,
    /// What is sealed and did not fit.
    unsent: HashMap<Place, Bytes>,
    /// What the loop will be told without waiting.
    ready: Vec<Event>,
    told: Vec<Event>,
    tally: Tally,
}

impl<P: Port> Tls<P> {
    /// Speaks TLS over a port of so many connections, of which some may be in their handshake; returns how many are
    /// left for the loop.
    pub(crate) fn new(
        mut port: P,
        config: Arc<ServerConfig>,
        threads: &Threads,
        shard: Shard,
        connections_max: u32,
    ) -> io::Result<(Self, u32)> {
        let wakes = Arc::new(rustix::event::eventfd(
            0,
            rustix::event::EventfdFlags::NONBLOCK | rustix::event::EventfdFlags::CLOEXEC,
        )?);
        port.wake_by(&wakes)?;
        let handshakes_max = HANDSHAKES_MAX
            .min(connections_max / HANDSHAKES_SHARE)
            .max(1);
        let tls = Self {
            port,
            desk: threads.desk(shard.0 as usize, config, wakes),
            wants_more: true,
            handshakes_max: handshakes_max as usize,
            handshakes: HashMap::new(),
            queue: VecDeque::new(),
            deadlines: VecDeque::new(),
            number: 0,
            sessions: Vec::new(),
            incoming: HashMap::new(),
            unsent: HashMap::new(),
            ready: Vec::new(),
            told: Vec::new(),
            tally: Tally::new(shard),
        };
        Ok((tls, connections_max - handshakes_max))
    }

    /// What an event of the port is to the loop.
    fn pass(&mut self, event: Event) -> Option<Event> {
        match event {
            Event::Arrived(place) => self.begin(place),
            Event::Left(place) if self.handshakes.contains_key(&place) => {
                self.fail(place, Failure::Gone);
            }
            Event::Readable(place) if self.handshakes.contains_key(&place) => self.hear(place),
            Event::Released(place, stream) => {
                return Some(Event::Released(place, self.carry(place, stream)));
            }
            Event::Sent(place, sent) => {
                let sent = self.keep(place, sent);
                let is_known = self.session(place).is_some();
                return is_known.then_some(Event::Sent(place, sent));
            }
            event => return Some(event),
        }
        None
    }

    /// Keeps what did not fit.
    fn keep(&mut self, place: Place, sent: Sent) -> Sent {
        let Sent::Short(rest) = sent else { return sent };
        if self.session(place).is_some() {
            self.unsent.insert(place, rest);
        }
        Sent::Short(Bytes::new())
    }

    /// A session goes with its socket.
    fn carry(&mut self, place: Place, stream: Stream) -> Stream {
        let incoming = self.incoming.remove(&place).unwrap_or_default();
        let unsent = self.unsent.remove(&place).unwrap_or_default().into();
        match (stream, self.sessions[place as usize].take()) {
            (Stream::Plain(socket), Some(session)) => {
                let carried = Carried {
                    session,
                    incoming,
                    unsent,
                };
                Stream::Tls(socket, Box::new(carried))
            }
            (stream, _) => stream,
        }
    }

    fn session(&mut self, place: Place) -> Option<&mut Session> {
        self.sessions.get_mut(place as usize)?.as_mut()
    }

    /// What is to be sent next: what did not fit before, and this behind it.
    fn sealed(&mut self, place: Place, bytes: &[u8]) -> Option<Bytes> {
        let unsent = self.unsent.remove(&place).unwrap_or_default();
        if bytes.is_empty() {
            return Some(unsent);
        }
        let mut out = Vec::from(unsent);
        let session = self.session(place)?;
        session.seal(Content::Application, bytes, &mut out).ok()?;
        Some(out.into())
    }

    /// The record that ends the stream, behind what did not fit before.
    fn sealed_end(&mut self, place: Place) -> Option<Bytes> {
        let mut out = Vec::from(self.unsent.remove(&place).unwrap_or_default());
        self.session(place)?.seal_end(&mut out).ok()?;
        Some(out.into())
    }

    fn forget(&mut self, place: Place) {
        self.incoming.remove(&place);
        self.unsent.remove(&place);
        if let Some(session) = self.sessions.get_mut(place as usize) {
            *session = None;
        }
    }

    /// Takes plaintext of what came.
    fn open(&mut self, place: Place, incoming: &mut Incoming, into: &mut [u8]) -> Taken {
        let Some(session) = self.session(place) else {
            return Taken::End;
        };
        match incoming.take(session, into) {
            Ok(Heard::Bytes(length)) => Taken::Bytes(length),
            Ok(Heard::Nothing) => Taken::Nothing,
            Ok(Heard::End) | Err(_) => Taken::End,
        }
    }
}

impl<P: Port> Port for Tls<P> {
    fn wait(&mut self, most: Duration, events: &mut Vec<Event>) -> io::Result<()> {
        events.append(&mut self.ready);
        let most = if events.is_empty() {
            most
        } else {
            Duration::ZERO
        };
        let mut told = std::mem::take(&mut self.told);
        self.port.wait(most, &mut told)?;
        for event in told.drain(..) {
            events.extend(self.pass(event));
        }
        self.told = told;
        self.take_work(events);
        self.give_work();
        self.lose_patience(Instant::now());
        self.pace();
        Ok(())
    }

    fn wake_by(&mut self, wakes: &Arc<OwnedFd>) -> io::Result<()> {
        self.port.wake_by(wakes)
    }

    fn set_accepting(&mut self, accepting: bool) {
        self.wants_more = accepting;
        self.tally.handshaking(self.handshakes.len());
        self.pace();
    }

    fn take(&mut self, place: Place, into: &mut [u8; READ_MAX_BYTES]) -> Taken {
        let mut incoming = self.incoming.remove(&place).unwrap_or_default();
        let mut taken = self.open(place, &mut incoming, into);
        if taken == Taken::Nothing {
            taken = self.port.take(place, into);
            if let Taken::Bytes(length) = taken {
                incoming.add(&into[..length]);
                taken = self.open(place, &mut incoming, into);
            }
        }
        if !incoming.is_empty() {
            if self.incoming.len() >= INCOMING_MAX {
                return Taken::End;
            }
            self.incoming.insert(place, incoming);
        }
        taken
    }

    fn ask_peer(&mut self, place: Place) {
        self.port.ask_peer(place);
    }

    fn watch(&mut self, place: Place, interest: Interest) {
        let incoming = self.incoming.get(&place);
        if interest == Interest::Read && incoming.is_some_and(Incoming::is_ready) {
            self.ready.push(Event::Readable(place));
        }
        self.port.watch(place, interest);
    }

    fn send(&mut self, place: Place, bytes: &Bytes, tell: bool) -> Option<Sent> {
        let Some(sealed) = self.sealed(place, bytes) else {
            return Some(Sent::Broken);
        };
        let sent = self.port.send(place, &sealed, tell)?;
        Some(self.keep(place, sent))
    }

    fn say_end(&mut self, place: Place) {
        if let Some(end) = self.sealed_end(place) {
            // Who does not take it knows how long his answer was.
            let _ = self.port.send(place, &end, false);
        }
    }

    fn shut_down(&mut self, place: Place) {
        self.say_end(place);
        self.port.shut_down(place);
    }

    fn close(&mut self, place: Place) {
        self.forget(place);
        self.port.close(place);
    }

    fn release(&mut self, place: Place) {
        self.port.release(place);
    }
}
