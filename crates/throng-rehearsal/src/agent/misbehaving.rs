//! Clients as servers meet them: connections that never speak, half requests, one byte per second, readers who hardly
//! read, garbage, and those who hang up and come again at once. They come on top of the crowd, come back within a second
//! after they are shown out, and are no listeners. Where the server speaks TLS they misbehave beneath it: what they send
//! is the beginning of a handshake, which none of them ends.

use std::io;
use std::os::fd::OwnedFd;

use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use super::sources::Sources;
use super::tls;
use crate::chance::mixed;
use crate::orders::Orders;
use crate::tally::Tally;

/// Events of one look, of which there is one a second; more wait for the next.
const EVENTS_MAX: usize = 1_024;
/// What a slow reader takes each second.
const SIP_BYTES: usize = 1_000;
/// The receive buffer of a slow reader: nothing but what he has not read.
const SLOW_BUFFER_BYTES: usize = 4_096;
/// What is sent as garbage: more than a head may be, so that somebody must decide.
const GARBAGE_BYTES: usize = 32 << 10;
/// Who begins in one second: they are a burden, not a flood. The hasty are as many again, five times each.
const BEGIN_PER_SECOND: usize = 1_000;

/// All of an agent.
pub(super) struct Misbehaving {
    /// What a client of each manner says.
    words: [Vec<u8>; Manner::ALL.len()],
    clients: Vec<Client>,
    /// Those of whom it is to be told that the server closed on them.
    watched: OwnedFd,
    sources: Sources,
}

#[derive(Default)]
struct Client {
    socket: Option<OwnedFd>,
    turn: u32,
    /// Bytes of the request that are sent.
    sent: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Drip,
    Garbage,
    HalfRequest,
    Hasty,
    Silent,
    SlowReader,
}

impl Manner {
    const ALL: [Self; 6] = [
        Self::Silent,
        Self::HalfRequest,
        Self::Drip,
        Self::SlowReader,
        Self::Garbage,
        Self::Hasty,
    ];

    fn of(place: usize) -> Self {
        Self::ALL[place % Self::ALL.len()]
    }

    /// All that such a client would say on one connection.
    fn words(self, request: &[u8]) -> Vec<u8> {
        match self {
            Self::Silent => Vec::new(),
            Self::HalfRequest => request[..request.len() / 2].to_vec(),
            Self::Drip | Self::Hasty | Self::SlowReader => request.to_vec(),
            Self::Garbage => garbage(),
        }
    }
}

/// Bytes that are no protocol's, always the same.
fn garbage() -> Vec<u8> {
    let numbers = (0..GARBAGE_BYTES / 8).map(|place| mixed(place as u64));
    numbers.flat_map(u64::to_be_bytes).collect()
}

impl Misbehaving {
    pub(super) fn new(orders: &Orders, sources: Sources) -> io::Result<Self> {
        let mut clients = Vec::new();
        clients.resize_with(orders.misbehaving as usize, Client::default);
        let request = match &orders.tls {
            Some(tls) => tls::first_words(tls)?,
            None => request(orders),
        };
        Ok(Self {
            words: Manner::ALL.map(|manner| manner.words(&request)),
            clients,
            watched: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            sources,
        })
    }

    /// Notes on whom the server has closed.
    fn look(&mut self, tally: &mut Tally) {
        let mut events = Vec::with_capacity(EVENTS_MAX);
        let room = rustix::buffer::spare_capacity(&mut events);
        // An interrupted look is made good a second later.
        let _ = epoll::wait(&self.watched, room, Some(&Timespec::default()));
        for event in events {
            let data = event.data.u64();
            let place = usize::try_from(data & u64::from(u32::MAX)).unwrap_or(usize::MAX);
            let Some(client) = self.clients.get_mut(place) else {
                continue;
            };
            if u64::from(client.turn) == data >> 32 && client.socket.take().is_some() {
                tally.shown_out += 1;
            }
        }
    }

    /// Once a second each does what is his manner.
    pub(super) fn tick(&mut self, tally: &mut Tally) {
        if self.clients.is_empty() {
            return;
        }
        self.look(tally);
        let mut begun = 0;
        for (place, client) in self.clients.iter_mut().enumerate() {
            if client.socket.is_some() {
                client.behave(Manner::of(place), &self.words[place % self.words.len()]);
            } else if begun < BEGIN_PER_SECOND {
                begun += 1;
                client.begin(place, &mut self.sources, &self.watched, tally);
            }
        }
    }

    /// Ten times a second the hasty ask, or hang up and come again: without a pause, whatever they were told.
    pub(super) fn hasten(&mut self, tally: &mut Tally) {
        let hasty = self.clients.iter_mut().enumerate();
        let hasty = hasty.filter(|(place, _)| Manner::of(*place) == Manner::Hasty);
        for (place, client) in hasty.take(BEGIN_PER_SECOND) {
            if client.socket.is_some() && client.sent == 0 {
                client.behave(Manner::Hasty, &self.words[place % self.words.len()]);
            } else if client.turn > 0 {
                client.begin(place, &mut self.sources, &self.watched, tally);
            }
        }
    }
}

/// What a player would ask for, with a head that takes a while to drip.
fn request(orders: &Orders) -> Vec<u8> {
    let funnel = &orders.funnel;
    let padding = "x".repeat(400);
    format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nAccept: {padding}\r\n\r\n",
        funnel.progressive, funnel.host
    )
    .into_bytes()
}

impl Client {
    fn begin(&mut self, place: usize, sources: &mut Sources, watched: &OwnedFd, tally: &mut Tally) {
        self.turn = self.turn.wrapping_add(1);
        self.sent = 0;
        self.socket = None;
        let begun = match Manner::of(place) {
            Manner::SlowReader => sources.connected_with_buffer(SLOW_BUFFER_BYTES),
            _ => sources.connected(),
        };
        let Ok(socket) = begun else { return };
        let data = EventData::new_u64(u64::from(self.turn) << 32 | place as u64);
        let flags = EventFlags::RDHUP | EventFlags::ET;
        if epoll::add(watched, &socket, data, flags).is_ok() {
            self.socket = Some(socket);
            tally.misbehaved += 1;
        }
    }

    fn behave(&mut self, manner: Manner, words: &[u8]) {
        let Some(socket) = &self.socket else {
            return;
        };
        let upto = match manner {
            Manner::Drip => words.len().min(self.sent + 1),
            _ => words.len(),
        };
        let some = words.get(self.sent..upto).unwrap_or_default();
        if !some.is_empty() {
            // Whoever is shown out meanwhile is told by an event.
            self.sent += rustix::net::send(socket, some, SendFlags::NOSIGNAL).unwrap_or(0);
        }
        if manner == Manner::SlowReader {
            let mut sip = [0; SIP_BYTES];
            let sipped = rustix::net::recv(socket, sip.as_mut_slice(), RecvFlags::empty());
            debug_assert!(!matches!(sipped, Err(Errno::FAULT)), "the buffer is ours");
        }
    }
}
