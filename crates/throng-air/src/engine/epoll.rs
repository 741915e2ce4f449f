//! The port that runs everywhere: epoll, and one call for each send.

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, SocketFlags};
use rustix::time::Timespec;

use super::port::{Event, Interest, Place, Port, READ_MAX_BYTES, Sent, Taken, ordinary, peer};

/// Events fetched at once; more are fetched next time.
const EVENTS_MAX: usize = 1_024;
/// Connections accepted between two looks at everything else, so that a rush of joins delays no span.
const ACCEPTS_MAX: usize = 256;
/// The listening socket among the places.
const LISTENER: u64 = u64::MAX;
/// What wakes, among the places.
const WAKES: u64 = LISTENER - 1;

/// Sockets of one shard.
pub(crate) struct Epoll {
    /// The set of what is watched.
    watched: OwnedFd,
    listener: TcpListener,
    accepting: bool,
    sockets: Vec<Option<Socket>>,
    /// Places without a socket.
    free: Vec<Place>,
    /// Places that lost theirs since the last wait, of which events may still be under way.
    freed: Vec<Place>,
    /// What is told with the next wait.
    pending: Vec<Event>,
    ready: Vec<epoll::Event>,
}

struct Socket {
    socket: OwnedFd,
    /// What is waited for; nothing before the first time.
    interest: Option<Interest>,
}

impl Epoll {
    /// A port for the connections of a listening socket.
    pub(crate) fn new(listener: TcpListener) -> io::Result<Self> {
        let watched = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let listens = EventData::new_u64(LISTENER);
        epoll::add(&watched, &listener, listens, EventFlags::IN)?;
        Ok(Self {
            watched,
            listener,
            accepting: true,
            sockets: Vec::new(),
            free: Vec::new(),
            freed: Vec::new(),
            pending: Vec::new(),
            ready: Vec::with_capacity(EVENTS_MAX),
        })
    }

    fn accept(&mut self, events: &mut Vec<Event>) {
        for _ in 0..ACCEPTS_MAX {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            match rustix::net::accept_with(&self.listener, flags) {
                Ok(socket) => events.push(Event::Arrived(self.seat(socket))),
                Err(Errno::AGAIN) => return,
                Err(Errno::CONNABORTED | Errno::INTR) => {}
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    // Until the shard's next tick: trying again at once would spin.
                    self.set_accepting(false);
                    return;
                }
            }
        }
    }

    fn seat(&mut self, socket: OwnedFd) -> Place {
        let seated = Some(Socket {
            socket,
            interest: None,
        });
        if let Some(place) = self.free.pop() {
            self.sockets[place as usize] = seated;
            return place;
        }
        self.sockets.push(seated);
        Place::try_from(self.sockets.len() - 1).expect("fewer sockets than descriptors")
    }

    fn unseat(&mut self, place: Place) -> Option<Socket> {
        let socket = self.socket_at(place)?.take();
        self.freed.push(place);
        socket
    }

    fn socket_at(&mut self, place: Place) -> Option<&mut Option<Socket>> {
        let socket = self.sockets.get_mut(place as usize)?;
        socket.is_some().then_some(socket)
    }

    fn seated(&mut self, place: Place) -> Option<&mut Socket> {
        self.socket_at(place)?.as_mut()
    }

    /// What an event says about a connection, in view of what was waited for.
    fn told(&mut self, event: epoll::Event) -> Option<Event> {
        let place = Place::try_from(event.data.u64()).expect("only places are given");
        let interest = self.seated(place)?.interest?;
        let flags = event.flags;
        let wanted = match interest {
            Interest::Leave => EventFlags::empty(),
            Interest::Read => EventFlags::IN,
            Interest::Write => EventFlags::OUT,
        };
        let gone = EventFlags::HUP | EventFlags::ERR;
        Some(if interest == Interest::Read && flags.contains(wanted) {
            Event::Readable(place)
        } else if flags.intersects(gone | EventFlags::RDHUP) {
            Event::Left(place)
        } else {
            Event::Writable(place)
        })
    }
}

impl Port for Epoll {
    fn wait(&mut self, most: Duration, events: &mut Vec<Event>) -> io::Result<()> {
        self.free.append(&mut self.freed);
        events.append(&mut self.pending);
        let most = if events.is_empty() {
            most
        } else {
            Duration::ZERO
        };
        let most = Timespec::try_from(most).expect("a tick is short");
        self.ready.clear();
        match epoll::wait(&self.watched, spare_capacity(&mut self.ready), Some(&most)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for at in 0..self.ready.len() {
            let event = self.ready[at];
            match event.data.u64() {
                LISTENER => self.accept(events),
                WAKES => {}
                _ => events.extend(self.told(event)),
            }
        }
        Ok(())
    }

    fn wake_by(&mut self, wakes: &Arc<OwnedFd>) -> io::Result<()> {
        // At the edge, so that it need not be read.
        let flags = EventFlags::IN | EventFlags::ET;
        epoll::add(&self.watched, wakes, EventData::new_u64(WAKES), flags)?;
        Ok(())
    }

    fn set_accepting(&mut self, accepting: bool) {
        if self.accepting == accepting {
            return;
        }
        let flags = if accepting {
            EventFlags::IN
        } else {
            EventFlags::empty()
        };
        let listens = EventData::new_u64(LISTENER);
        if epoll::modify(&self.watched, &self.listener, listens, flags).is_ok() {
            self.accepting = accepting;
        }
    }

    fn take(&mut self, place: Place, into: &mut [u8; READ_MAX_BYTES]) -> Taken {
        let Some(seated) = self.seated(place) else {
            return Taken::End;
        };
        match rustix::net::recv(&seated.socket, &mut into[..], RecvFlags::DONTWAIT) {
            Ok((0, _)) => Taken::End,
            Ok((length, _)) => Taken::Bytes(length),
            Err(Errno::AGAIN | Errno::INTR) => Taken::Nothing,
            Err(_) => Taken::End,
        }
    }

    fn ask_peer(&mut self, place: Place) {
        let address = self.seated(place).and_then(|seated| peer(&seated.socket));
        self.pending
            .extend(address.map(|address| Event::Peer(place, address)));
    }

    fn watch(&mut self, place: Place, interest: Interest) {
        let Some(seated) = self
            .sockets
            .get_mut(place as usize)
            .and_then(Option::as_mut)
        else {
            return;
        };
        let flags = EventFlags::RDHUP
            | match interest {
                Interest::Leave => EventFlags::empty(),
                Interest::Read => EventFlags::IN,
                Interest::Write => EventFlags::OUT,
            };
        let data = EventData::new_u64(place.into());
        let outcome = match seated.interest.replace(interest) {
            None => epoll::add(&self.watched, &seated.socket, data, flags),
            Some(before) if before == interest => Ok(()),
            Some(_) => epoll::modify(&self.watched, &seated.socket, data, flags),
        };
        if let Err(error) = outcome {
            tracing::warn!(%error, "a connection could not be watched");
            self.pending.push(Event::Left(place));
        }
    }

    fn send(&mut self, place: Place, bytes: &Bytes, _tell: bool) -> Option<Sent> {
        let Some(seated) = self.seated(place) else {
            return Some(Sent::Broken);
        };
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        Some(match rustix::net::send(&seated.socket, bytes, flags) {
            Ok(length) if length == bytes.len() => Sent::Whole,
            Ok(length) => Sent::Short(bytes.slice(length..)),
            Err(Errno::AGAIN | Errno::INTR) => Sent::Short(bytes.clone()),
            Err(_) => Sent::Broken,
        })
    }

    fn shut_down(&mut self, place: Place) {
        if let Some(seated) = self.seated(place) {
            // A connection that is broken already is shut.
            let _ = rustix::net::shutdown(&seated.socket, Shutdown::Write);
        }
    }

    fn close(&mut self, place: Place) {
        drop(self.unseat(place));
    }

    fn release(&mut self, place: Place) {
        let Some(Socket { socket, interest }) = self.unseat(place) else {
            return;
        };
        let forgotten = match interest {
            Some(_) => epoll::delete(&self.watched, &socket),
            None => Ok(()),
        };
        self.pending.push(match forgotten {
            Ok(()) => Event::Released(place, ordinary(socket).into()),
            Err(_) => Event::Left(place),
        });
    }
}
