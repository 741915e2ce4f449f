//! The port that runs everywhere: epoll, and a call for each thing that is done.

use std::io;
use std::os::fd::OwnedFd;

use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, sockopt};

use super::port::{Event, Place, Port, Taken, Trouble};
use super::sources::Sources;

/// Events of one look; more wait for the next.
const EVENTS_MAX: usize = 1_024;
/// What one connection is read at once: a burst of 9 s has 55 KB.
const READ_BYTES: usize = 256 << 10;

/// Connections of one agent.
pub(super) struct Epoll {
    watched: OwnedFd,
    sources: Sources,
    seats: Vec<Seat>,
    ready: Vec<epoll::Event>,
    /// The next of those.
    next: usize,
    /// To be told after what has just been.
    then: Option<Event>,
    taking: Taking,
    buffer: Vec<u8>,
}

#[derive(Default)]
struct Seat {
    socket: Option<OwnedFd>,
    /// Counts connections, so that an event of an older one is known.
    turn: u32,
    /// Whether the connection is made.
    is_made: bool,
}

/// How far what an event was about is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taking {
    /// As far as need be: something new is told.
    Done,
    /// To its end, which is told but once.
    ToTheEnd,
    /// Until less comes than could.
    UntilLess,
}

impl Epoll {
    pub(super) fn new(sources: Sources, connections: u32) -> io::Result<Self> {
        let mut seats = Vec::new();
        seats.resize_with(connections as usize, Seat::default);
        Ok(Self {
            watched: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            sources,
            seats,
            ready: Vec::with_capacity(EVENTS_MAX),
            next: 0,
            then: None,
            taking: Taking::Done,
            buffer: vec![0; READ_BYTES],
        })
    }

    fn told(&mut self, event: epoll::Event) -> Option<Event> {
        let data = event.data.u64();
        let place = Place::try_from(data & u64::from(u32::MAX)).expect("the lower half");
        let seat = &mut self.seats[place as usize];
        let socket = seat.socket.as_ref()?;
        if u64::from(seat.turn) != data >> 32 {
            return None;
        }
        let flags = event.flags;
        let ends = epoll::EventFlags::RDHUP | epoll::EventFlags::HUP | epoll::EventFlags::ERR;
        let readable = flags.intersects(epoll::EventFlags::IN | ends);
        if !seat.is_made {
            match sockopt::socket_error(socket) {
                Ok(Ok(())) => seat.is_made = true,
                Ok(Err(errno)) | Err(errno) => return Some(Event::Missed(place, Trouble(errno))),
            }
            // What is there to read is told by itself: the request is not even sent.
            self.then = flags.intersects(ends).then_some(Event::Readable(place));
            self.taking = Taking::ToTheEnd;
            return Some(Event::Made(place));
        }
        self.taking = if flags.intersects(ends) {
            Taking::ToTheEnd
        } else {
            Taking::UntilLess
        };
        readable.then_some(Event::Readable(place))
    }
}

impl Port for Epoll {
    fn wait(&mut self, most_us: u64) -> io::Result<()> {
        let most = Timespec {
            tv_sec: 0,
            tv_nsec: i64::try_from(most_us.min(999_999) * 1_000).unwrap_or(0),
        };
        self.ready.clear();
        self.next = 0;
        let room = rustix::buffer::spare_capacity(&mut self.ready);
        match epoll::wait(&self.watched, room, Some(&most)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn next(&mut self) -> Option<Event> {
        if let Some(event) = self.then.take() {
            return Some(event);
        }
        while let Some(event) = self.ready.get(self.next).copied() {
            self.next += 1;
            if let Some(told) = self.told(event) {
                return Some(told);
            }
        }
        None
    }

    fn take(&mut self, place: Place) -> Taken<'_> {
        let Some(socket) = &self.seats[place as usize].socket else {
            return Taken::Nothing;
        };
        if self.taking == Taking::Done {
            return Taken::Nothing;
        }
        match rustix::net::recv(socket, self.buffer.as_mut_slice(), RecvFlags::empty()) {
            Ok((_, 0)) => {
                self.taking = Taking::Done;
                Taken::End
            }
            Ok((_, length)) => {
                if length < READ_BYTES && self.taking == Taking::UntilLess {
                    self.taking = Taking::Done;
                }
                Taken::Bytes(&self.buffer[..length])
            }
            Err(Errno::AGAIN | Errno::INTR) => Taken::Nothing,
            Err(_) => {
                self.taking = Taking::Done;
                Taken::Broken
            }
        }
    }

    fn connect(&mut self, place: Place) -> Result<(), Trouble> {
        self.close(place);
        let socket = self.sources.connected()?;
        let seat = &mut self.seats[place as usize];
        seat.turn = seat.turn.wrapping_add(1);
        seat.is_made = false;
        let data = epoll::EventData::new_u64(u64::from(seat.turn) << 32 | u64::from(place));
        let flags = epoll::EventFlags::IN
            | epoll::EventFlags::OUT
            | epoll::EventFlags::RDHUP
            | epoll::EventFlags::ET;
        epoll::add(&self.watched, &socket, data, flags).map_err(Trouble)?;
        seat.socket = Some(socket);
        Ok(())
    }

    fn send(&mut self, place: Place, bytes: &[u8]) -> bool {
        let socket = self.seats[place as usize].socket.as_ref();
        let sent = socket.map(|socket| rustix::net::send(socket, bytes, SendFlags::NOSIGNAL));
        sent == Some(Ok(bytes.len()))
    }

    fn close(&mut self, place: Place) {
        self.seats[place as usize].socket = None;
    }
}
