//! The threads that do the arithmetic of handshakes, so that no span waits for it.
//!
//! Each loop has one of them as its own and gives it at most [`AT_WORK_MAX`] handshakes at once; what it is told comes
//! back through a channel of that length, and the loop is woken.

use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use rustls::ServerConfig;

use crate::engine::port::Place;
use crate::tls::handshake::{Failure, Handshake, Stage};

/// Handshakes of one loop that wait for their thread or are with it: some ten milliseconds of work, so that a loop has
/// always the next ones ready. When so many are there, it accepts no more: people wait in the backlog, not here.
pub(super) const AT_WORK_MAX: usize = 64;
/// How much these threads give way to loops and mixers (`nice`): a handshake that waits is noticed by nobody, a span
/// that waits is heard.
const NICENESS: i32 = 10;

/// What is to be worked on.
pub(super) struct Work {
    /// Whose it is, and the number of his handshake.
    pub(super) whose: (Place, u64),
    /// How far it is, if it has begun.
    pub(super) handshake: Option<Box<Handshake>>,
    /// What came.
    pub(super) came: Vec<u8>,
    back: Arc<Back>,
}

/// What came of it.
pub(super) struct Worked {
    /// Whose it is, and the number of his handshake.
    pub(super) whose: (Place, u64),
    /// What the peer is to be told.
    pub(super) out: Vec<u8>,
    /// Where the handshake stands.
    pub(super) stage: Stage,
}

/// What all handshakes of a loop share: what is offered, and the way back.
struct Back {
    config: Arc<ServerConfig>,
    sender: SyncSender<Worked>,
    wakes: Arc<OwnedFd>,
}

/// The threads; they end with the last loop.
pub(crate) struct Threads(Vec<SyncSender<Work>>);

impl Threads {
    /// So many threads for so many loops.
    pub(crate) fn start(threads: usize, loops: usize) -> io::Result<Self> {
        let most = AT_WORK_MAX * loops.div_ceil(threads);
        let start = |_| {
            let (sender, receiver) = sync_channel(most);
            let thread = thread::Builder::new().name("air-handshakes".to_owned());
            thread.spawn(move || work(&receiver))?;
            Ok(sender)
        };
        Ok(Self((0..threads).map(start).collect::<io::Result<_>>()?))
    }

    /// What a loop gives its thread work with: it is woken by `wakes`.
    pub(super) fn desk(
        &self,
        number: usize,
        config: Arc<ServerConfig>,
        wakes: Arc<OwnedFd>,
    ) -> Desk {
        let (sender, done) = sync_channel(AT_WORK_MAX);
        Desk {
            thread: self.0[number % self.0.len()].clone(),
            back: Arc::new(Back {
                config,
                sender,
                wakes,
            }),
            done,
            at_work: 0,
        }
    }
}

/// Where a loop puts work and finds what came of it.
pub(super) struct Desk {
    thread: SyncSender<Work>,
    back: Arc<Back>,
    done: Receiver<Worked>,
    at_work: usize,
}

impl Desk {
    /// Whether more can be put here.
    pub(super) fn has_room(&self) -> bool {
        self.at_work < AT_WORK_MAX
    }

    /// Puts work here, where there is room. If the thread is gone, nothing comes of it.
    pub(super) fn put(
        &mut self,
        whose: (Place, u64),
        handshake: Option<Box<Handshake>>,
        came: Vec<u8>,
    ) {
        let work = Work {
            whose,
            handshake,
            came,
            back: Arc::clone(&self.back),
        };
        self.at_work += usize::from(self.thread.try_send(work).is_ok());
    }

    /// What has come of some work.
    pub(super) fn find(&mut self) -> Option<Worked> {
        let worked = self.done.try_recv().ok()?;
        self.at_work -= 1;
        Some(worked)
    }
}

fn work(works: &Receiver<Work>) {
    // Where it may not give way, it works like the others.
    let _ = rustix::process::nice(NICENESS);
    while let Ok(work) = works.recv() {
        let (whose, back) = (work.whose, Arc::clone(&work.back));
        // A hello that the library does not survive ends its own connection and no one else's.
        let (out, stage) = catch_unwind(AssertUnwindSafe(|| hear(work)))
            .unwrap_or((Vec::new(), Stage::Failed(Failure::Malformed)));
        // A loop that has ended needs neither.
        let _ = back.sender.try_send(Worked { whose, out, stage });
        let _ = rustix::io::write(&*back.wakes, &1_u64.to_ne_bytes());
    }
}

/// What is to be told, and where the handshake stands then.
fn hear(work: Work) -> (Vec<u8>, Stage) {
    let mut out = Vec::new();
    let handshake = work
        .handshake
        .or_else(|| Handshake::new(&work.back.config).ok().map(Box::new));
    let stage = match handshake {
        Some(handshake) => handshake.hear(&work.came, &mut out),
        None => Stage::Failed(Failure::Unacceptable),
    };
    (out, stage)
}
