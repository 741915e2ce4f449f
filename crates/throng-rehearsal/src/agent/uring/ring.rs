//! One ring: its table of connections, what it was asked for, and what its completions mean.

#![allow(
    unsafe_code,
    reason = "the kernel reads and writes memory that a ring names"
)]

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use io_uring::squeue::Entry;
use io_uring::types::{Fixed, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode};
use rustix::io::Errno;

use super::buffers::{BUFFERS, Buffers, GROUP};
use crate::agent::port::Trouble;

/// Submissions at once; more are submitted in several calls.
const SUBMISSIONS: u32 = 1_024;
/// Completions that wait to be seen; more are kept by the kernel at some cost.
const COMPLETIONS: u32 = 16_384;
/// Completions that a look without waiting is content with: then it has used all buffers.
const AT_ONCE: usize = BUFFERS as usize;

/// One ring.
pub(super) struct Ring {
    pub(super) queues: IoUring,
    pub(super) buffers: Buffers,
    pub(super) seats: Vec<Seat>,
    /// Requests that the kernel may still read.
    pub(super) requests: Vec<Box<[u8]>>,
    /// Those of them that it does not.
    pub(super) free: Vec<u32>,
    pub(super) completed: VecDeque<(u64, i32, u32)>,
    /// Receives that found no buffer; at most one for each seat. Asked all at once again, a crowd of them would find
    /// none, again and again, and leave no time to those who have one.
    starved: VecDeque<Tag>,
    /// Whether the last look found anything.
    pub(super) was_busy: bool,
}

#[derive(Clone, Copy, Default)]
pub(super) struct Seat {
    /// Changes when the connection ends.
    pub(super) life: u8,
    pub(super) is_open: bool,
    pub(super) is_made: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
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
pub(super) struct Tag {
    kind: Kind,
    life: u8,
    request: u32,
    pub(super) index: u32,
}

const BITS_24: u64 = 0xff_ffff;

impl Tag {
    pub(super) fn to_bits(self) -> u64 {
        let (kind, life) = (self.kind as u64, u64::from(self.life));
        kind << 56 | life << 48 | u64::from(self.request) << 24 | u64::from(self.index)
    }

    #[allow(
        clippy::cast_possible_truncation,
        reason = "each field has the bits that it was given"
    )]
    pub(super) fn from_bits(bits: u64) -> Self {
        Self {
            kind: Kind::ALL[(bits >> 56) as usize % Kind::ALL.len()],
            life: (bits >> 48) as u8,
            request: (bits >> 24 & BITS_24) as u32,
            index: (bits & BITS_24) as u32,
        }
    }
}

/// The queues of a ring.
pub(super) fn queues() -> io::Result<IoUring> {
    IoUring::builder()
        .setup_cqsize(COMPLETIONS)
        .setup_submit_all()
        .setup_single_issuer()
        .setup_coop_taskrun()
        .setup_taskrun_flag()
        .setup_defer_taskrun()
        .build(SUBMISSIONS)
}

impl Ring {
    pub(super) fn new(seats: u32) -> io::Result<Self> {
        let ring = queues()?;
        ring.submitter().register_files_sparse(seats)?;
        Ok(Self {
            buffers: Buffers::new(&ring)?,
            queues: ring,
            seats: vec![Seat::default(); seats as usize],
            requests: Vec::new(),
            free: Vec::new(),
            completed: VecDeque::new(),
            starved: VecDeque::new(),
            was_busy: false,
        })
    }

    pub(super) fn tag(&self, kind: Kind, request: u32, index: u32) -> Tag {
        Tag {
            kind,
            life: self.seats[index as usize].life,
            request,
            index,
        }
    }

    pub(super) fn push(&mut self, entry: Entry, kind: Kind, request: u32, index: u32) {
        let entry = entry.user_data(self.tag(kind, request, index).to_bits());
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

    /// Submits what there is and waits for so many completions or so long, or not at all.
    pub(super) fn look(&mut self, most: Option<(usize, u64)>) -> io::Result<()> {
        self.feed();
        let queue = self.queues.submission();
        let idle = queue.is_empty() && !queue.taskrun() && !queue.cq_overflow();
        drop(queue);
        // The kernel does some of its work at a time, and says nothing of the rest.
        let looked = if idle && !self.was_busy && most.is_none() {
            Ok(0)
        } else {
            let (want, most_us) = most.unwrap_or((AT_ONCE, 0));
            let most = Timespec::from(Duration::from_micros(most_us));
            let arguments = SubmitArgs::new().timespec(&most);
            let submitter = self.queues.submitter();
            submitter.submit_with_args(want, &arguments)
        };
        self.collect();
        self.was_busy = !self.completed.is_empty();
        let Err(error) = looked else { return Ok(()) };
        match Errno::from_io_error(&error) {
            Some(Errno::TIME | Errno::INTR | Errno::BUSY | Errno::AGAIN) => Ok(()),
            _ => Err(error),
        }
    }

    /// Those who found no buffer ask again: as many as there are buffers.
    fn feed(&mut self) {
        for _ in 0..BUFFERS {
            let Some(tag) = self.starved.pop_front() else {
                return;
            };
            if self.is_here(tag) {
                self.receive(tag.index);
            }
        }
    }

    fn receive(&mut self, index: u32) {
        let receive = opcode::RecvMulti::new(Fixed(index), GROUP).build();
        self.push(receive, Kind::Receive, 0, index);
    }

    /// What a completion says: an event, and what came with it.
    pub(super) fn tell(&mut self, (bits, result, flags): (u64, i32, u32)) -> Option<Told> {
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
            self.seats[tag.index as usize].is_made = true;
            self.receive(tag.index);
            return Some(Told::Made);
        }
        if result == -Errno::NOBUFS.raw_os_error() {
            self.starved.push_back(tag);
            return None;
        }
        if result > 0 && !cqueue::more(flags) {
            self.receive(tag.index);
        }
        Some(Told::Came {
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
pub(super) enum Told {
    Came {
        buffer: Option<u16>,
        length: Option<usize>,
    },
    Made,
    Missed(Trouble),
    Unsent,
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
