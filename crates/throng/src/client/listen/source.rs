//! Where sound comes from: a source runs on its own thread, may block, and delivers packets with their arrival times.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::cmaf::Packet;
use super::queueing::Standing;
use crate::client::Error;

/// What a source tells the player. Times are counted from the start of the connect.
#[derive(Debug)]
pub enum Event {
    /// The server has answered.
    Connected(Duration),
    /// The house is full, and this is where we stand; `None` when we are in.
    Queued(Duration, Option<Standing>),
    /// A packet came.
    Packet(Duration, Packet),
    /// Nothing more will come: the space has ended, or the error says why.
    Finished(Result<(), Error>),
}

/// Why a source stops.
#[derive(Debug)]
pub enum Stop {
    /// It cannot go on.
    Failed(Error),
    /// Nobody listens any more.
    PlayerGone,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Where a source delivers to.
#[derive(Debug)]
pub struct Delivery {
    since: Instant,
    events: SyncSender<Event>,
    bytes: Arc<AtomicU64>,
}

/// The player's end of a delivery.
#[derive(Debug)]
pub struct Arrivals {
    /// The start of the connect.
    pub since: Instant,
    /// What the source tells.
    pub events: Receiver<Event>,
    bytes: Arc<AtomicU64>,
    /// Closed when the source's thread ends.
    gone: Receiver<()>,
}

impl Delivery {
    /// The server has answered.
    pub fn connected(&self) -> Result<(), Stop> {
        self.send(Event::Connected(self.since.elapsed()))
    }

    /// The house is full, and this is where we stand; `None` when we are in.
    pub fn queued(&self, standing: Option<Standing>) -> Result<(), Stop> {
        self.send(Event::Queued(self.since.elapsed(), standing))
    }

    /// Packets came, all of them now.
    pub fn packets(&self, packets: impl IntoIterator<Item = Packet>) -> Result<(), Stop> {
        let now = self.since.elapsed();
        packets
            .into_iter()
            .try_for_each(|packet| self.send(Event::Packet(now, packet)))
    }

    /// So many bytes of sound came.
    pub fn count_bytes(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Waits while the player has more than it needs; a source of finished sound is so held to real time.
    fn send(&self, event: Event) -> Result<(), Stop> {
        self.events.send(event).map_err(|_| Stop::PlayerGone)
    }
}

impl Arrivals {
    /// Bytes of sound so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Stops listening, and gives the source a moment to say goodbye to the server.
    pub fn leave(self) {
        drop(self.events);
        // Closed or out of patience: either way we go.
        let _ = self.gone.recv_timeout(GOODBYE_MAX);
    }
}

/// Runs a source on a thread of its own, which ends when the source does or when the arrivals are dropped.
pub fn start(
    run: impl FnOnce(&Delivery) -> Result<(), Stop> + Send + 'static,
) -> Result<Arrivals, Error> {
    let (events, received) = sync_channel(EVENTS_MAX);
    let (since, bytes) = (Instant::now(), Arc::default());
    let (here, gone) = sync_channel::<()>(0);
    let delivery = Delivery {
        since,
        events,
        bytes: Arc::clone(&bytes),
    };
    thread::Builder::new()
        .name("source".to_owned())
        .spawn(move || {
            let _here = here;
            let finished = match run(&delivery) {
                Ok(()) => Ok(()),
                Err(Stop::Failed(error)) => Err(error),
                Err(Stop::PlayerGone) => return,
            };
            // A player that has gone needs no farewell.
            let _ = delivery.send(Event::Finished(finished));
        })?;
    Ok(Arrivals {
        since,
        events: received,
        bytes,
        gone,
    })
}

/// A goodbye is a round trip; who cannot be told in this time finds out by our silence.
const GOODBYE_MAX: Duration = Duration::from_secs(1);
/// Some 10 s of packets. A source that is ahead waits, and TCP holds the server back.
const EVENTS_MAX: usize = 512;
