//! Clients as servers meet them: connections that never speak, half requests, one byte per second, readers who hardly
//! read. They come on top of the crowd, come back a second after they are shown out, and are no listeners.

use std::io;
use std::os::fd::OwnedFd;

use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use super::sources::Sources;
use crate::orders::Orders;
use crate::tally::Tally;

/// Events of one look, of which there is one a second; more wait for the next.
const EVENTS_MAX: usize = 1_024;
/// What a slow reader takes each second.
const SIP_BYTES: usize = 1_000;
/// The receive buffer of a slow reader: nothing but what he has not read.
const SLOW_BUFFER_BYTES: usize = 4_096;
/// Who begins in one second: they are a burden, not a flood.
const BEGIN_PER_SECOND: usize = 1_000;

/// All of an agent.
pub(super) struct Misbehaving {
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
    HalfRequest,
    Silent,
    SlowReader,
}

impl Manner {
    fn of(place: usize) -> Self {
        [
            Self::Silent,
            Self::HalfRequest,
            Self::Drip,
            Self::SlowReader,
        ][place % 4]
    }
}

impl Misbehaving {
    pub(super) fn new(count: u32, sources: Sources) -> io::Result<Self> {
        let mut clients = Vec::new();
        clients.resize_with(count as usize, Client::default);
        Ok(Self {
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
    pub(super) fn tick(&mut self, orders: &Orders, tally: &mut Tally) {
        if self.clients.is_empty() {
            return;
        }
        self.look(tally);
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nAccept: {}\r\n\r\n",
            orders.funnel.progressive,
            orders.funnel.host,
            "x".repeat(400)
        );
        let mut begun = 0;
        for (place, client) in self.clients.iter_mut().enumerate() {
            if client.socket.is_some() {
                client.behave(Manner::of(place), request.as_bytes());
            } else if begun < BEGIN_PER_SECOND {
                begun += 1;
                client.begin(place, &mut self.sources, &self.watched, tally);
            }
        }
    }
}

impl Client {
    fn begin(&mut self, place: usize, sources: &mut Sources, watched: &OwnedFd, tally: &mut Tally) {
        self.turn = self.turn.wrapping_add(1);
        self.sent = 0;
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

    fn behave(&mut self, manner: Manner, request: &[u8]) {
        let Some(socket) = &self.socket else {
            return;
        };
        let upto = match manner {
            Manner::Silent => 0,
            Manner::HalfRequest => request.len() / 2,
            Manner::Drip => self.sent + 1,
            Manner::SlowReader => request.len(),
        };
        let some = request.get(self.sent..upto).unwrap_or_default();
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
