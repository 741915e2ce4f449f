//! The port over `io_uring`: connections are direct descriptors, which the limit of open files bounds per ring only; a
//! read costs no call and a look at a ring where nothing happened none either.
//!
//! A socket is made and bound as any other, moves into its ring's table, and is connected there. A number that belongs to
//! a place changes whenever its connection ends, so that late completions of the old one are recognised.

#![allow(
    unsafe_code,
    reason = "the kernel reads and writes memory that a ring names"
)]

use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use io_uring::squeue::Entry;
use io_uring::types::{CancelBuilder, Fixed, SubmitArgs, Timespec};
use io_uring::{IoUring, Probe, cqueue, opcode};
use rustix::io::Errno;
use rustix::net::addr::SocketAddrArg;
use rustix::net::{RecvFlags, SendFlags, SocketAddrAny};
use rustix::process::{Resource, getrlimit};

use self::buffers::{Buffers, GROUP};
use super::port::{Event, Place, Port, Taken, Trouble};
use super::sources::Sources;

mod buffers;

/// Connections of one ring, where the limit of open files allows so many.
const CONNECTIONS_MAX: u32 = 1 << 20;
/// Submissions at once; more are submitted in several calls.
const SUBMISSIONS: u32 = 1_024;
/// Completions that wait to be seen; more are kept by the kernel at some cost.
const COMPLETIONS: u32 = 16_384;
/// With several rings only one can be waited for; the others are looked at so often.
const LOOK_US: u64 = 5_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Connect,
    /// Nobody waits for it.
    Forgotten,
    Receive,
    Send,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Connect, Self::Forgotten, Self::Receive, Self::Send];
}

/// What a completion carries back: 24 bits of index in the ring, 24 of request, 8 of life, 8 of kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tag {
    kind: Kind,
    life: u8,
    request: u32,
    index: u32,
}

const BITS_24: u64 = 0xff_ffff;

impl Tag {
    fn to_bits(self) -> u64 {
        let (kind, life) = (self.kind as u64, u64::from(self.life));
        kind << 56 | life << 48 | u64::from(self.request) << 24 | u64::from(self.index)
    }

    #[allow(
        clippy::cast_possible_truncation,
        reason = "each field has the bits that it was given"
    )]
    fn from_bits(bits: u64) -> Self {
        Self {
            kind: Kind::ALL[(bits >> 56) as usize % Kind::ALL.len()],
            life: (bits >> 48) as u8,
            request: (bits >> 24 & BITS_24) as u32,
            index: (bits & BITS_24) as u32,
        }
    }
}

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

/// One ring.
struct Ring {
    queues: IoUring,
    buffers: Buffers,
    seats: Vec<Seat>,
    /// Requests that the kernel may still read.
    requests: Vec<Box<[u8]>>,
    /// Those of them that it does not.
    free: Vec<u32>,
    completed: Vec<(u64, i32, u32)>,
}

#[derive(Clone, Copy, Default)]
struct Seat {
    /// Changes when the connection ends.
    life: u8,
    is_open: bool,
}

/// Whether the system lets this process have rings that can do all this.
pub(super) fn is_available() -> bool {
    let probed = ring().and_then(|ring| {
        let mut probe = Probe::new();
        ring.submitter().register_probe(&mut probe)?;
        // As young as what is used and cannot be asked for: shared buffers, reads that go on, deferred work (Linux 6.1).
        let is_young = probe.is_supported(opcode::SendZc::CODE);
        ring.submitter().register_files_sparse(1)?;
        Ok(is_young)
    });
    probed.unwrap_or(false)
}

fn ring() -> io::Result<IoUring> {
    IoUring::builder()
        .setup_cqsize(COMPLETIONS)
        .setup_submit_all()
        .setup_single_issuer()
        .setup_coop_taskrun()
        .setup_taskrun_flag()
        .setup_defer_taskrun()
        .build(SUBMISSIONS)
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

impl Ring {
    fn new(seats: u32) -> io::Result<Self> {
        let ring = ring()?;
        ring.submitter().register_files_sparse(seats)?;
        Ok(Self {
            buffers: Buffers::new(&ring)?,
            queues: ring,
            seats: vec![Seat::default(); seats as usize],
            requests: Vec::new(),
            free: Vec::new(),
            completed: Vec::new(),
        })
    }

    fn push(&mut self, entry: Entry, kind: Kind, request: u32, index: u32) {
        let life = self.seats[index as usize].life;
        let tag = Tag {
            kind,
            life,
            request,
            index,
        };
        let entry = entry.user_data(tag.to_bits());
        // SAFETY: what entries name stays: the address is the port's, requests are kept until they are sent, and the
        // buffers are never freed.
        while unsafe { self.queues.submission().push(&entry) }.is_err() {
            if self.queues.submit().is_err() {
                // Too many completions wait, or the call was interrupted.
                self.collect();
            }
        }
    }

    /// Takes completions out of the ring.
    fn collect(&mut self) {
        let completions = self.queues.completion();
        self.completed
            .extend(completions.map(|done| (done.user_data(), done.result(), done.flags())));
    }

    /// Submits what there is and waits so long, or not at all.
    fn look(&mut self, most_us: Option<u64>) -> io::Result<()> {
        let queue = self.queues.submission();
        let idle = queue.is_empty() && !queue.taskrun() && !queue.cq_overflow();
        drop(queue);
        let looked = match most_us {
            None if idle => Ok(0),
            None => self.queues.submit(),
            Some(most_us) => {
                let most = Timespec::from(Duration::from_micros(most_us));
                let arguments = SubmitArgs::new().timespec(&most);
                self.queues.submitter().submit_with_args(1, &arguments)
            }
        };
        self.collect();
        // The last is told first.
        self.completed.reverse();
        let Err(error) = looked else { return Ok(()) };
        match Errno::from_io_error(&error) {
            Some(Errno::TIME | Errno::INTR | Errno::BUSY | Errno::AGAIN) => Ok(()),
            _ => Err(error),
        }
    }

    fn receive(&mut self, index: u32) {
        let receive = opcode::RecvMulti::new(Fixed(index), GROUP).build();
        self.push(receive, Kind::Receive, 0, index);
    }

    /// What a completion says: an event, and what came with it.
    fn tell(&mut self, (bits, result, flags): (u64, i32, u32)) -> Option<Told> {
        let tag = Tag::from_bits(bits);
        let buffer = cqueue::buffer_select(flags);
        if tag.kind == Kind::Send {
            let length = std::mem::take(&mut self.requests[tag.request as usize]).len();
            self.free.push(tag.request);
            let is_whole = usize::try_from(result) == Ok(length);
            return (!is_whole && self.is_here(tag)).then_some(Told::Unsent);
        }
        if tag.kind == Kind::Forgotten || !self.is_here(tag) {
            if let Some(buffer) = buffer {
                self.buffers.give_back(buffer);
            }
            return None;
        }
        if tag.kind == Kind::Connect {
            if result < 0 {
                return Some(Told::Missed(Trouble(Errno::from_raw_os_error(-result))));
            }
            self.receive(tag.index);
            return Some(Told::Made);
        }
        let is_full = result == -Errno::NOBUFS.raw_os_error();
        if is_full || (result > 0 && !cqueue::more(flags)) {
            self.receive(tag.index);
        }
        (!is_full).then_some(Told::Came {
            buffer,
            length: usize::try_from(result).ok(),
        })
    }

    fn is_here(&self, tag: Tag) -> bool {
        let seat = self.seats[tag.index as usize];
        seat.is_open && seat.life == tag.life
    }
}

/// What a completion says of its connection.
enum Told {
    Came {
        buffer: Option<u16>,
        length: Option<usize>,
    },
    Made,
    Missed(Trouble),
    Unsent,
}

impl Port for Uring {
    fn wait(&mut self, most_us: u64) -> io::Result<()> {
        self.told();
        let most_us = if self.rings.len() > 1 {
            most_us.min(LOOK_US)
        } else {
            most_us
        };
        if self.rings.is_empty() {
            std::thread::sleep(Duration::from_micros(most_us));
        }
        self.looking_at = 0;
        for (number, ring) in self.rings.iter_mut().enumerate() {
            ring.look((number == 0).then_some(most_us))?;
        }
        Ok(())
    }

    fn next(&mut self) -> Option<Event> {
        self.told();
        while let Some(ring) = self.rings.get_mut(self.looking_at) {
            let Some(completed) = ring.completed.pop() else {
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
        // What waits on a socket would keep it open.
        let cancel = CancelBuilder::fd(Fixed(index)).all();
        let cancel = opcode::AsyncCancel2::new(cancel).build();
        ring.push(cancel, Kind::Forgotten, 0, index);
        // The table is changed at once, what was pushed must come before; what fails is done with the next look.
        let _ = ring.queues.submit();
        let emptied = ring.queues.submitter().register_files_update(index, &[-1]);
        debug_assert!(emptied.is_ok(), "the index is in the table");
        let seat = &mut ring.seats[index as usize];
        seat.life = seat.life.wrapping_add(1);
        seat.is_open = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_comes_back_as_it_was_given() {
        for kind in Kind::ALL {
            for (life, request, index) in [(0, 0, 0), (255, 0xff_ffff, 0xff_ffff), (1, 2, 3)] {
                let tag = Tag {
                    kind,
                    life,
                    request,
                    index,
                };
                assert_eq!(Tag::from_bits(tag.to_bits()), tag);
            }
        }
    }
}
