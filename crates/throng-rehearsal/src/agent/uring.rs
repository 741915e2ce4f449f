//! The port over `io_uring`: connections are direct descriptors, which the limit of open files bounds per ring only; a
//! read costs no call and a look at a ring where nothing happened none either.
//!
//! A socket is made and bound as any other, moves into its ring's table, and is connected there. A number that belongs to
//! a place changes whenever its connection ends, so that late completions of the old one are recognised.

use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use io_uring::types::{CancelBuilder, Fixed};
use io_uring::{Probe, opcode};
use rustix::net::addr::SocketAddrArg;
use rustix::net::{RecvFlags, SendFlags, SocketAddrAny};
use rustix::process::{Resource, getrlimit};

use self::ring::{Kind, Ring, Tag, Told, queues};
use super::port::{Event, Place, Port, Taken, Trouble};
use super::sources::Sources;

mod buffers;
mod ring;

/// Connections of one ring, where the limit of open files allows so many.
const CONNECTIONS_MAX: u32 = 1 << 20;
/// With several rings only one can be waited for; the others are looked at so often.
const LOOK_US: u64 = 2_000;
/// What has come to that one by then is worth a look before: a look at all of them for each answer would take the time
/// that answers need.
const WORTH_A_LOOK: usize = 64;

/// Connections of one agent, in rings.
pub(super) struct Uring {
    sources: Sources,
    /// The kernel reads it while a connection is begun.
    address: Box<SocketAddrAny>,
    /// Places of each ring.
    each: u32,
    rings: Vec<Ring>,
    /// The ring that is looked at, and what of it is not told yet, from the last on.
    looking_at: usize,
    telling: Option<Come>,
}

/// What came with the event that was told last.
#[derive(Clone, Copy)]
struct Come {
    place: Place,
    /// The buffer in which it is.
    buffer: Option<u16>,
    /// How many bytes; none at the end; or that the connection broke.
    length: Option<usize>,
    taken: bool,
}

/// Whether the system lets this process have rings that can do all this.
pub(super) fn is_available() -> bool {
    let probed = queues().and_then(|ring| {
        let mut probe = Probe::new();
        ring.submitter().register_probe(&mut probe)?;
        // As young as what is used and cannot be asked for: shared buffers, reads that go on, deferred work (Linux 6.1).
        let is_young = probe.is_supported(opcode::SendZc::CODE);
        ring.submitter().register_files_sparse(1)?;
        Ok(is_young)
    });
    probed.unwrap_or(false)
}

impl Uring {
    pub(super) fn new(sources: Sources, connections: u32) -> Self {
        let files = getrlimit(Resource::Nofile).current;
        let files = files.and_then(|files| u32::try_from(files).ok());
        let most = files.unwrap_or(CONNECTIONS_MAX).min(CONNECTIONS_MAX);
        Self::with_rings_of(most, sources, connections)
    }

    /// With so many places in a ring at most.
    pub(super) fn with_rings_of(most: u32, sources: Sources, connections: u32) -> Self {
        let address = Box::new(sources.address.as_any());
        Self {
            sources,
            address,
            each: most.min(connections).max(1),
            rings: Vec::new(),
            looking_at: 0,
            telling: None,
        }
    }

    /// The ring of a place, which is made when it is first needed, and the index in it.
    fn seat(&mut self, place: Place) -> io::Result<(&mut Ring, u32)> {
        let number = (place / self.each) as usize;
        while self.rings.len() <= number {
            self.rings.push(Ring::new(self.each)?);
        }
        Ok((&mut self.rings[number], place % self.each))
    }

    /// Gives back what the last event brought.
    fn told(&mut self) {
        if let Some(Come {
            buffer: Some(buffer),
            ..
        }) = self.telling.take()
        {
            self.rings[self.looking_at].buffers.give_back(buffer);
        }
    }
}

impl Port for Uring {
    fn wait(&mut self, most_us: u64) -> io::Result<()> {
        self.told();
        let (worth, most_us) = if self.rings.len() > 1 {
            (WORTH_A_LOOK, most_us.min(LOOK_US))
        } else {
            (1, most_us)
        };
        if self.rings.is_empty() {
            std::thread::sleep(Duration::from_micros(most_us));
        }
        self.looking_at = 0;
        let mut waits = !self.rings.iter().any(|ring| ring.was_busy);
        for ring in &mut self.rings {
            ring.look(waits.then_some((worth, most_us)))?;
            waits = false;
        }
        Ok(())
    }

    fn next(&mut self) -> Option<Event> {
        self.told();
        while let Some(ring) = self.rings.get_mut(self.looking_at) {
            let Some(completed) = ring.completed.pop_front() else {
                self.looking_at += 1;
                continue;
            };
            let first = u32::try_from(self.looking_at).expect("few rings") * self.each;
            let place = first + Tag::from_bits(completed.0).index;
            let Some(told) = ring.tell(completed) else {
                continue;
            };
            return Some(match told {
                Told::Made => Event::Made(place),
                Told::Missed(trouble) => Event::Missed(place, trouble),
                Told::Unsent => Event::Unsent(place),
                Told::Came { buffer, length } => {
                    self.telling = Some(Come {
                        place,
                        buffer,
                        length,
                        taken: false,
                    });
                    Event::Readable(place)
                }
            });
        }
        None
    }

    fn take(&mut self, place: Place) -> Taken<'_> {
        let Some(come) = &mut self.telling else {
            return Taken::Nothing;
        };
        if come.place != place || std::mem::replace(&mut come.taken, true) {
            return Taken::Nothing;
        }
        match (come.length, come.buffer) {
            (None, _) => Taken::Broken,
            (Some(length), Some(buffer)) if length > 0 => {
                Taken::Bytes(self.rings[self.looking_at].buffers.bytes(buffer, length))
            }
            _ => Taken::End,
        }
    }

    fn connect(&mut self, place: Place) -> Result<(), Trouble> {
        self.close(place);
        let socket = self.sources.socket()?;
        let address = (self.address.as_ptr().cast(), self.address.addr_len());
        let (ring, index) = self.seat(place)?;
        let files = [socket.as_raw_fd()];
        ring.queues
            .submitter()
            .register_files_update(index, &files)?;
        ring.seats[index as usize].is_open = true;
        let connect = opcode::Connect::new(Fixed(index), address.0, address.1).build();
        ring.push(connect, Kind::Connect, 0, index);
        Ok(())
    }

    fn send(&mut self, place: Place, bytes: &[u8]) -> bool {
        let Ok((ring, index)) = self.seat(place) else {
            return false;
        };
        if !ring.seats[index as usize].is_open {
            return false;
        }
        let request = ring.free.pop().unwrap_or_else(|| {
            ring.requests.push(Box::default());
            u32::try_from(ring.requests.len() - 1).expect("fewer requests than places")
        });
        let kept: Box<[u8]> = bytes.into();
        let length = u32::try_from(kept.len()).expect("a request is short");
        // The kernel goes on until all is away.
        let flags = SendFlags::NOSIGNAL.bits() | RecvFlags::WAITALL.bits();
        let send = opcode::Send::new(Fixed(index), kept.as_ptr(), length)
            .flags(i32::try_from(flags).expect("flags are small"));
        ring.requests[request as usize] = kept;
        ring.push(send.build(), Kind::Send, request, index);
        true
    }

    fn close(&mut self, place: Place) {
        let number = (place / self.each) as usize;
        let (Some(ring), index) = (self.rings.get_mut(number), place % self.each) else {
            return;
        };
        if !ring.seats[index as usize].is_open {
            return;
        }
        // What waits on a socket would keep it open. It is found by its number; by its socket the kernel would search
        // through everything that waits.
        let waits = if ring.seats[index as usize].is_made {
            Kind::Receive
        } else {
            Kind::Connect
        };
        let cancel = CancelBuilder::user_data(ring.tag(waits, 0, index).to_bits());
        let cancel = opcode::AsyncCancel2::new(cancel).build();
        ring.push(cancel, Kind::Forgotten, 0, index);
        // The table is changed at once, what was pushed must come before; what fails is done with the next look.
        let _ = ring.queues.submit();
        let emptied = ring.queues.submitter().register_files_update(index, &[-1]);
        debug_assert!(emptied.is_ok(), "the index is in the table");
        let seat = &mut ring.seats[index as usize];
        seat.life = seat.life.wrapping_add(1);
        seat.is_open = false;
        seat.is_made = false;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;

    use super::*;

    const CONNECTIONS: u32 = 1_000;

    #[test]
    fn a_crowd_to_whom_something_comes_at_once_costs_each_a_few_looks() {
        if !is_available() {
            return;
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let sources = ["127.0.0.1".parse().unwrap()];
        let sources = Sources::new(listener.local_addr().unwrap(), &sources);
        let mut port = Uring::new(sources, CONNECTIONS);
        let server = std::thread::spawn(move || {
            let accepted = (0..CONNECTIONS).map(|_| listener.accept().unwrap().0);
            accepted.collect::<Vec<_>>()
        });
        let mut made = 0;
        for place in 0..CONNECTIONS {
            port.connect(place).unwrap();
            // One after the other: no backlog is ever full.
            while made <= place {
                port.wait(10_000).unwrap();
                while let Some(event) = port.next() {
                    made += u32::from(matches!(event, Event::Made(_)));
                }
            }
        }
        let mut peers = server.join().unwrap();
        for peer in &mut peers {
            peer.write_all(b"x").unwrap();
        }
        let (mut heard, mut completed) = (0, 0);
        while heard < CONNECTIONS {
            port.wait(10_000).unwrap();
            completed += port.rings[0].completed.len();
            while let Some(event) = port.next() {
                let Event::Readable(place) = event else {
                    panic!("nothing else happens");
                };
                heard += u32::from(matches!(port.take(place), Taken::Bytes(b"x")));
            }
        }
        assert!(
            completed <= 3 * CONNECTIONS as usize,
            "{completed} completions"
        );
    }
}
