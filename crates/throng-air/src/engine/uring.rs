//! The port over `io_uring`: sockets are direct descriptors, which the limit of open files does not bind, and the
//! sends of a tick are one call.
//!
//! A send never waits (`MSG_DONTWAIT`), so that its fate is known when it has been submitted; only what does not go as
//! hoped for is told. A number that belongs to a place changes whenever its connection ends, so that late completions
//! of the old one are recognised.

#![allow(
    unsafe_code,
    reason = "the kernel reads and writes memory that a ring names"
)]

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use io_uring::squeue::Entry;
use io_uring::types::{CancelBuilder, Fd, Fixed, SubmitArgs, Timespec};
use io_uring::{IoUring, Probe, cqueue, opcode};
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::SendFlags;
use rustix::process::{Resource, getrlimit};

use self::pool::Pool;
use super::port::{Event, Interest, Place, Port, READ_MAX_BYTES, Sent, Taken, ordinary, peer};

mod pool;

/// Connections of one ring, which finds each in a table; beyond it another ring costs less than a longer table.
const CONNECTIONS_MAX: u32 = 16_000;
/// Entries of the table beyond them: who is accepted while the shard says that it is full.
const TABLE_RESERVE: u32 = 384;
/// Submissions at once; more are submitted in several calls.
const SUBMISSIONS: u32 = 4_096;
/// Completions that wait to be seen; more are kept by the kernel at some cost.
const COMPLETIONS: u32 = 32_768;
/// Threads of the kernel for what cannot be done at once (`shutdown`), for each of its two kinds.
const KERNEL_THREADS_MAX: u32 = 2;
/// Looks back for a buffer that is held already.
const HELD_LOOKBACK: usize = 4;
/// From look to look whether the kernel has cancelled what it was asked to.
const CANCEL_TIMEOUT: Duration = Duration::from_millis(100);
/// `SHUT_WR` of shutdown(2).
const SHUT_WRITE: i32 = 1;

/// What a completion is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Accept,
    /// Nobody waits for it.
    Forgotten,
    Install,
    Leave,
    Peer,
    Read,
    Send,
    /// A send of which everything is told.
    SendAndTell,
    Shut,
    Wake,
    Write,
}

impl Kind {
    const ALL: [Self; 11] = [
        Self::Accept,
        Self::Forgotten,
        Self::Install,
        Self::Leave,
        Self::Peer,
        Self::Read,
        Self::Send,
        Self::SendAndTell,
        Self::Shut,
        Self::Wake,
        Self::Write,
    ];
}

/// What a completion carries back: 24 bits of place, 24 of held buffer, 8 of life, 8 of kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tag {
    kind: Kind,
    life: u8,
    held: u32,
    place: Place,
}

const BITS_24: u64 = 0xff_ffff;

impl Tag {
    fn to_bits(self) -> u64 {
        let (kind, life) = (self.kind as u64, u64::from(self.life));
        kind << 56 | life << 48 | u64::from(self.held) << 24 | u64::from(self.place)
    }

    #[allow(
        clippy::cast_possible_truncation,
        reason = "each field has the bits that it was given"
    )]
    fn from_bits(bits: u64) -> Self {
        Self {
            kind: Kind::ALL[(bits >> 56) as usize % Kind::ALL.len()],
            life: (bits >> 48) as u8,
            held: (bits >> 24 & BITS_24) as u32,
            place: (bits & BITS_24) as u32,
        }
    }
}

/// What is under way for a place.
#[derive(Clone, Copy, Debug, Default)]
struct Seat {
    /// Changes when the connection ends.
    life: u8,
    leave: bool,
    read: bool,
    write: bool,
    shut: Shut,
    /// Bytes that came: the buffer in the pool and how many; none of them at the end of the stream.
    came: Option<(u16, u16)>,
}

/// Whether a socket is being shut: the kernel does this on a thread of its own, which finds the socket by its place, so
/// that the place must stay until then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Shut {
    #[default]
    No,
    /// And closed by us meanwhile.
    ThenClose,
    UnderWay,
}

/// Direct descriptors of one ring.
pub(crate) struct Uring {
    ring: IoUring,
    listener: TcpListener,
    /// Whether the kernel accepts connections now.
    accepting: bool,
    /// What ends a wait early.
    wakes: Option<Arc<OwnedFd>>,
    pool: Pool,
    seats: Vec<Seat>,
    /// Bytes that sends under way read from, until none is.
    held: Vec<Bytes>,
    flying: usize,
    completed: Vec<(u64, i32, u32)>,
}

/// Connections of one ring here: the limit of open files bounds each table, though not their sum.
pub(crate) fn connections_max() -> u32 {
    let table = getrlimit(Resource::Nofile).current;
    let table = table.and_then(|files| u32::try_from(files).ok());
    let left = table.map_or(CONNECTIONS_MAX, |table| table.saturating_sub(TABLE_RESERVE));
    left.min(CONNECTIONS_MAX)
}

/// Whether the system lets this process have rings that can do all this.
pub(crate) fn is_available() -> io::Result<()> {
    let ring = ring()?;
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe)?;
    // The youngest of what is used: Linux 6.8.
    if !probe.is_supported(opcode::FixedFdInstall::CODE) {
        return Err(io::ErrorKind::Unsupported.into());
    }
    ring.submitter().register_files_sparse(1)
}

fn ring() -> io::Result<IoUring> {
    IoUring::builder()
        .setup_cqsize(COMPLETIONS)
        .setup_submit_all()
        .setup_single_issuer()
        .setup_coop_taskrun()
        .setup_defer_taskrun()
        .build(SUBMISSIONS)
}

impl Uring {
    /// A port for the connections of a listening socket, at most so many at once. It belongs to the calling thread.
    pub(crate) fn new(listener: TcpListener, connections_max: u32) -> io::Result<Self> {
        let ring = ring()?;
        let table = connections_max + TABLE_RESERVE;
        ring.submitter().register_files_sparse(table)?;
        let mut threads = [KERNEL_THREADS_MAX; 2];
        ring.submitter().register_iowq_max_workers(&mut threads)?;
        let mut uring = Self {
            ring,
            listener,
            accepting: false,
            wakes: None,
            pool: Pool::new(),
            seats: vec![Seat::default(); table as usize],
            held: Vec::new(),
            flying: 0,
            completed: Vec::new(),
        };
        let provided = uring.pool.provide_all();
        uring.push(provided, Kind::Forgotten, 0);
        uring.set_accepting(true);
        Ok(uring)
    }

    /// Queues a submission for a place.
    fn push(&mut self, entry: Entry, kind: Kind, place: Place) {
        self.submit(entry, self.tag(kind, place));
    }

    /// The tag of what a place waits for.
    fn tag(&self, kind: Kind, place: Place) -> Tag {
        Tag {
            kind,
            life: self.seats[place as usize].life,
            held: 0,
            place,
        }
    }

    fn submit(&mut self, entry: Entry, tag: Tag) {
        let entry = entry.user_data(tag.to_bits());
        // SAFETY: what entries name stays: buffers of sends are in `held` until all sends are complete, buffers of
        // reads are the pool's, which is never freed, and the listening socket is ours.
        while unsafe { self.ring.submission().push(&entry) }.is_err() {
            if let Err(error) = self.ring.submit() {
                // Too many completions wait (EBUSY), or the call was interrupted.
                tracing::debug!(%error, "submissions must wait");
                self.collect();
            }
        }
    }

    /// Takes completions out of the ring.
    fn collect(&mut self) {
        let completions = self.ring.completion();
        self.completed
            .extend(completions.map(|done| (done.user_data(), done.result(), done.flags())));
    }

    /// What a completion says.
    fn told(&mut self, bits: u64, result: i32, flags: u32) -> Option<Event> {
        let tag = Tag::from_bits(bits);
        match tag.kind {
            Kind::Accept => return self.accepted(result, flags),
            Kind::Forgotten => return None,
            Kind::Install => return Some(self.installed(tag.place, result)),
            Kind::Peer => return self.peer(tag, result),
            Kind::Send | Kind::SendAndTell => return self.sent(tag, result),
            Kind::Shut => {
                self.shut(tag.place);
                return None;
            }
            Kind::Wake => {
                self.woken(flags);
                return None;
            }
            Kind::Leave | Kind::Read | Kind::Write => {}
        }
        let place = tag.place;
        let seat = &mut self.seats[place as usize];
        if seat.life != tag.life {
            // A read that was under way when its connection ended may have taken a buffer.
            self.give_back(cqueue::buffer_select(flags));
            return None;
        }
        match tag.kind {
            Kind::Leave => {
                seat.leave = false;
                Some(Event::Left(place))
            }
            Kind::Write => {
                seat.write = false;
                Some(Event::Writable(place))
            }
            _ => self.read(place, result, cqueue::buffer_select(flags)),
        }
    }

    fn accepted(&mut self, result: i32, flags: u32) -> Option<Event> {
        self.accepting &= cqueue::more(flags);
        // A connection that was gone before it was accepted, a full table, a cancelled wait: the shard's next tick
        // accepts again if it wants to.
        let place = Place::try_from(result).ok()?;
        Some(Event::Arrived(place))
    }

    fn installed(&mut self, place: Place, result: i32) -> Event {
        if result < 0 {
            return Event::Left(place);
        }
        // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
        let socket = unsafe { OwnedFd::from_raw_fd(result) };
        self.close(place);
        let stream = ordinary(socket);
        stream
            .set_nonblocking(true)
            .expect("any socket can be asked not to block");
        Event::Released(place, stream.into())
    }

    /// An ordinary descriptor, for a moment, says who is at the other end.
    fn peer(&mut self, tag: Tag, result: i32) -> Option<Event> {
        if result < 0 {
            return None;
        }
        // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
        let socket = unsafe { OwnedFd::from_raw_fd(result) };
        let is_here = self.seats[tag.place as usize].life == tag.life;
        let address = peer(&socket).filter(|_| is_here)?;
        Some(Event::Peer(tag.place, address))
    }

    fn read(&mut self, place: Place, result: i32, buffer: Option<u16>) -> Option<Event> {
        let seat = &mut self.seats[place as usize];
        seat.read = false;
        if result == -Errno::NOBUFS.raw_os_error() {
            // Buffers that came with this wait are given back before the next.
            self.watch(place, Interest::Read);
            return None;
        }
        let length = u16::try_from(result.max(0)).expect("a buffer is smaller");
        match buffer {
            Some(buffer) if length > 0 => seat.came = Some((buffer, length)),
            _ => {
                self.give_back(buffer);
                return Some(Event::Left(place));
            }
        }
        Some(Event::Readable(place))
    }

    fn give_back(&mut self, buffer: Option<u16>) {
        if let Some(buffer) = buffer {
            let provided = self.pool.provide(buffer);
            self.push(provided, Kind::Forgotten, 0);
        }
    }

    fn sent(&mut self, tag: Tag, result: i32) -> Option<Event> {
        self.flying -= 1;
        let bytes = &self.held[tag.held as usize];
        let sent = match usize::try_from(result) {
            Ok(length) if length == bytes.len() => Sent::Whole,
            Ok(length) => Sent::Short(bytes.slice(length..)),
            Err(_) if result == -Errno::AGAIN.raw_os_error() => Sent::Short(bytes.clone()),
            Err(_) => Sent::Broken,
        };
        if self.flying == 0 {
            self.held.clear();
        }
        let is_told = tag.kind == Kind::SendAndTell || sent != Sent::Whole;
        let is_here = self.seats[tag.place as usize].life == tag.life;
        (is_told && is_here).then_some(Event::Sent(tag.place, sent))
    }

    /// The wait for what wakes is over only if the kernel says so.
    fn woken(&mut self, flags: u32) {
        if let Some(wakes) = self.wakes.as_ref().filter(|_| !cqueue::more(flags)) {
            let watched = opcode::PollAdd::new(Fd(wakes.as_raw_fd()), PollFlags::IN.bits().into());
            self.push(watched.multi(true).build(), Kind::Wake, 0);
        }
    }

    /// The kernel has shut a socket, which may have been closed by us meanwhile.
    fn shut(&mut self, place: Place) {
        let seat = &mut self.seats[place as usize];
        if std::mem::take(&mut seat.shut) == Shut::ThenClose {
            let close = opcode::Close::new(Fixed(place)).build();
            self.push(close, Kind::Forgotten, place);
        }
    }

    /// Keeps bytes until no send reads them any more.
    fn hold(&mut self, bytes: &Bytes) -> u32 {
        let same = |held: &Bytes| held.as_ptr() == bytes.as_ptr() && held.len() == bytes.len();
        let recent = self.held.len().saturating_sub(HELD_LOOKBACK);
        let known = self.held[recent..].iter().position(same);
        let index = known.map_or_else(
            || {
                self.held.push(bytes.clone());
                self.held.len() - 1
            },
            |place| recent + place,
        );
        u32::try_from(index).expect("fewer buffers than sends")
    }

    fn poll(&mut self, place: Place, flags: PollFlags, kind: Kind) {
        let entry = opcode::PollAdd::new(Fixed(place), flags.bits().into()).build();
        self.push(entry, kind, place);
    }
}

impl Port for Uring {
    fn wait(&mut self, most: Duration, events: &mut Vec<Event>) -> io::Result<()> {
        let most = Timespec::from(most);
        let arguments = SubmitArgs::new().timespec(&most);
        if let Err(error) = self.ring.submitter().submit_with_args(1, &arguments) {
            let errno = Errno::from_io_error(&error);
            let is_passing = matches!(
                errno,
                Some(Errno::TIME | Errno::INTR | Errno::BUSY | Errno::AGAIN)
            );
            if !is_passing {
                return Err(error);
            }
        }
        self.collect();
        let mut completed = std::mem::take(&mut self.completed);
        for (bits, result, flags) in completed.drain(..) {
            events.extend(self.told(bits, result, flags));
        }
        if self.completed.is_empty() {
            self.completed = completed;
        }
        Ok(())
    }

    fn wake_by(&mut self, wakes: &Arc<OwnedFd>) -> io::Result<()> {
        self.wakes = Some(Arc::clone(wakes));
        self.woken(0);
        Ok(())
    }

    fn set_accepting(&mut self, accepting: bool) {
        if accepting && !self.accepting {
            let accept = opcode::AcceptMulti::new(Fd(self.listener.as_raw_fd()));
            let accept = accept.allocate_file_index(true).build();
            self.submit(accept, ACCEPT);
            self.accepting = true;
        } else if !accepting && self.accepting {
            let cancel = CancelBuilder::user_data(ACCEPT.to_bits());
            self.push(
                opcode::AsyncCancel2::new(cancel).build(),
                Kind::Forgotten,
                0,
            );
        }
    }

    fn take(&mut self, place: Place, into: &mut [u8; READ_MAX_BYTES]) -> Taken {
        let Some((buffer, length)) = self.seats[place as usize].came.take() else {
            return Taken::Nothing;
        };
        let length = usize::from(length);
        into[..length].copy_from_slice(&self.pool.bytes(buffer)[..length]);
        self.give_back(Some(buffer));
        Taken::Bytes(length)
    }

    fn ask_peer(&mut self, place: Place) {
        let install = opcode::FixedFdInstall::new(Fixed(place), 0).build();
        self.push(install, Kind::Peer, place);
    }

    fn watch(&mut self, place: Place, interest: Interest) {
        let seat = &mut self.seats[place as usize];
        let under_way = match interest {
            Interest::Leave => &mut seat.leave,
            Interest::Read => &mut seat.read,
            Interest::Write => &mut seat.write,
        };
        if std::mem::replace(under_way, true) {
            return;
        }
        match interest {
            Interest::Leave => self.poll(place, PollFlags::RDHUP, Kind::Leave),
            Interest::Read => {
                let read = self.pool.read(Fixed(place));
                self.push(read, Kind::Read, place);
            }
            Interest::Write => self.poll(place, PollFlags::OUT, Kind::Write),
        }
    }

    fn send(&mut self, place: Place, bytes: &Bytes, tell: bool) -> Option<Sent> {
        let held = self.hold(bytes);
        let length = u32::try_from(bytes.len()).expect("a span is small");
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let flags = i32::try_from(flags.bits()).expect("flags are small");
        let send = opcode::Send::new(Fixed(place), bytes.as_ptr(), length).flags(flags);
        let kind = if tell { Kind::SendAndTell } else { Kind::Send };
        let life = self.seats[place as usize].life;
        let tag = Tag {
            kind,
            life,
            held,
            place,
        };
        self.flying += 1;
        self.submit(send.build(), tag);
        None
    }

    fn shut_down(&mut self, place: Place) {
        let shut = opcode::Shutdown::new(Fixed(place), SHUT_WRITE).build();
        self.push(shut, Kind::Shut, place);
        self.seats[place as usize].shut = Shut::UnderWay;
    }

    fn close(&mut self, place: Place) {
        let seat = self.seats[place as usize];
        let waiting = [
            (seat.leave, Kind::Leave),
            (seat.read, Kind::Read),
            (seat.write, Kind::Write),
        ];
        for (_, kind) in waiting.into_iter().filter(|(waits, _)| *waits) {
            // What waits on a socket would keep it open. It is found by its number; by its socket the kernel would
            // search through everything that waits.
            let cancel = CancelBuilder::user_data(self.tag(kind, place).to_bits());
            let cancel = opcode::AsyncCancel2::new(cancel).build();
            self.push(cancel, Kind::Forgotten, place);
        }
        let shut = if seat.shut == Shut::No {
            let close = opcode::Close::new(Fixed(place)).build();
            self.push(close, Kind::Forgotten, place);
            Shut::No
        } else {
            Shut::ThenClose
        };
        self.give_back(seat.came.map(|(buffer, _)| buffer));
        self.seats[place as usize] = Seat {
            life: seat.life.wrapping_add(1),
            shut,
            ..Seat::default()
        };
    }

    fn release(&mut self, place: Place) {
        let install = opcode::FixedFdInstall::new(Fixed(place), 0).build();
        self.push(install, Kind::Install, place);
    }
}

/// The tag of the one request that accepts.
const ACCEPT: Tag = Tag {
    kind: Kind::Accept,
    life: 0,
    held: 0,
    place: 0,
};

impl Drop for Uring {
    fn drop(&mut self) {
        // A request to accept keeps the address taken until the kernel has cleaned up behind the ring, at leisure.
        self.set_accepting(false);
        let mut events = Vec::new();
        while self.accepting && self.wait(CANCEL_TIMEOUT, &mut events).is_ok() {}
        if self.flying > 0 {
            // The kernel may still read them.
            std::mem::forget(std::mem::take(&mut self.held));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_comes_back_as_it_was_given() {
        for kind in Kind::ALL {
            for (life, held, place) in [(0, 0, 0), (255, 0xff_ffff, 0xff_ffff), (1, 2, 3)] {
                let tag = Tag {
                    kind,
                    life,
                    held,
                    place,
                };
                assert_eq!(Tag::from_bits(tag.to_bits()), tag);
            }
        }
    }
}
