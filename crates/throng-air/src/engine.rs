//! The fan-out engine: the audience's port, owned by event loops of which each serves its share of the listeners.
//!
//! It takes bound sockets, the spaces on air and a way to hand connections over, and serves `live.*` itself: a listener
//! is a socket and a slot of at most 64 bytes, and one span to one listener is one send of bytes that all share. It also
//! answers whatever else a join touches: the pages, `state.json`, playlists, parts, and requests held until their part is
//! there. Every other request goes to the ordinary server with the bytes already read. Nothing is shared between the
//! loops.
//!
//! With TLS, a layer between a loop and its port does it ([`tls`]); the loop does not know.

mod answer;
pub mod cursor;
mod epoll;
pub(crate) mod head;
mod phase;
mod port;
pub(crate) mod prefix;
mod seat;
mod shard;
mod slot;
mod span;
mod tally;
mod tls;
mod uring;

use std::io;
use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use rustls::ServerConfig;
use tokio::sync::{mpsc, watch};

use self::epoll::Epoll;
use self::port::Port;
use self::shard::Shard;
use self::tls::Tls;
use self::tls::threads::Threads;
use self::uring::Uring;
use crate::air::Air;
use crate::hand_over::HandOver;
use crate::presence;

/// The loops, running.
pub struct Engine {
    /// Closed when the last loop has ended.
    running: mpsc::Receiver<()>,
}

/// What the engine needs besides its sockets.
pub struct Connections {
    /// The spaces.
    pub air: Arc<Air>,
    /// Where connections go that ask for something else.
    pub hand_over: HandOver,
    /// Connections that each loop has at once; more wait in the backlog.
    pub connections_max: u32,
    /// How the loops speak with the system.
    pub backend: Backend,
    /// What is offered, where connections are sealed.
    pub tls: Option<Arc<ServerConfig>>,
}

/// How loops speak with the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// `io_uring` where the system allows it, else epoll.
    Auto,
    /// epoll: everywhere; a listener is an open file.
    Epoll,
    /// `io_uring`: a listener is no open file, and at most [`Backend::ring_connections_max`] share a loop.
    IoUring,
}

impl Backend {
    /// What this system has of it; never [`Backend::Auto`].
    pub fn choose(self) -> io::Result<Self> {
        match (self, uring::is_available()) {
            (Self::Epoll, _) => Ok(Self::Epoll),
            (_, Ok(())) => Ok(Self::IoUring),
            (Self::Auto, Err(error)) => {
                tracing::info!(%error, "io_uring is not to be had here; listeners are served with epoll");
                Ok(Self::Epoll)
            }
            (Self::IoUring, Err(error)) => Err(error),
        }
    }

    /// Connections that one loop of `io_uring` takes at most.
    pub fn ring_connections_max() -> u32 {
        uring::connections_max()
    }
}

impl Engine {
    /// Starts one loop for each listening socket. When `closing` turns true they accept no more, and end with their
    /// last listener.
    pub fn start(
        listeners: Vec<TcpListener>,
        connections: &Connections,
        closing: &watch::Receiver<bool>,
    ) -> io::Result<Self> {
        let (alive, running) = mpsc::channel(1);
        let backend = connections.backend.choose()?;
        let tls = connections.tls.as_ref();
        let tls = tls.map(|config| Sealing::start(config, listeners.len()));
        let tls = tls.transpose()?;
        for listener in listeners {
            port::prepare(&listener)?;
            let shard = Start {
                backend,
                shard: next_shard(),
                air: Arc::clone(&connections.air),
                hand_over: connections.hand_over.clone(),
                connections_max: connections.connections_max,
                tls: tls.clone(),
            };
            let (alive, closing) = (alive.clone(), closing.clone());
            let thread = thread::Builder::new().name("air".to_owned());
            thread.spawn(move || {
                if let Err(error) = shard.run(listener, &closing) {
                    tracing::error!(%error, "a thread that serves listeners could not start");
                }
                drop(alive);
            })?;
        }
        Ok(Self { running })
    }

    /// Waits until the last loop has ended.
    pub async fn ended(mut self) {
        // Nothing is ever sent.
        let _ = self.running.recv().await;
    }
}

/// A loop that is about to start; a ring belongs to the thread that makes it.
struct Start {
    backend: Backend,
    shard: presence::Shard,
    air: Arc<Air>,
    hand_over: HandOver,
    connections_max: u32,
    tls: Option<Sealing>,
}

/// What loops that speak TLS have in common.
#[derive(Clone)]
struct Sealing {
    config: Arc<ServerConfig>,
    threads: Arc<Threads>,
}

impl Sealing {
    fn start(config: &Arc<ServerConfig>, loops: usize) -> io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let threads = Arc::new(Threads::start(cores.min(loops), loops)?);
        let config = Arc::clone(config);
        Ok(Self { config, threads })
    }
}

impl Start {
    fn run(mut self, listener: TcpListener, closing: &watch::Receiver<bool>) -> io::Result<()> {
        if self.backend == Backend::Epoll {
            self.run_on(Epoll::new(listener)?, closing)
        } else {
            self.connections_max = self.connections_max.min(uring::connections_max());
            let port = Uring::new(listener, self.connections_max)?;
            self.run_on(port, closing)
        }
    }

    fn run_on<P: Port>(mut self, port: P, closing: &watch::Receiver<bool>) -> io::Result<()> {
        let most = self.connections_max;
        match self.tls.take() {
            None => {
                Shard::new(self.shard, port, self.air, self.hand_over).run(most, closing);
            }
            Some(Sealing { config, threads }) => {
                let (port, most) = Tls::new(port, config, &threads, self.shard, most)?;
                drop(threads);
                Shard::new(self.shard, port, self.air, self.hand_over).run(most, closing);
            }
        }
        Ok(())
    }
}

/// A number that no other loop of the process has.
fn next_shard() -> presence::Shard {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    presence::Shard(NEXT.fetch_add(1, Ordering::Relaxed))
}
