//! The audience's port, alike in a node, a worker and an edge: the engine has it, and hands on what it does not serve.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;

use axum::Router;
use rustix::process::{Resource, getrlimit};
use rustls::ServerConfig;
use throng_air::accept::{self, Aside, Door};
use throng_air::air::Air;
use throng_air::engine::{Backend, Connections, Engine};
use throng_air::guests::Guests;
use throng_air::hand_over::hand_over;
use throng_core::network::TrustedProxies;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::ServeError;
use super::ports::{begin_no_more, bind_for_threads};
use crate::config::{Config, EngineConfig};

/// Connections at the audience's address that ask for what the engine does not answer. More are told to come again.
const HANDED_MAX: u32 = 4_000;
/// Open files that listeners leave to everything else: what was handed on, the desk, the archive, the database.
const FILES_RESERVED: u64 = HANDED_MAX as u64 + 2_000;
/// Rings of 16,000 listeners: more than a link of 1 Gb/s carries, on a machine of any size. Each ring more costs those
/// who are there: the fewer listeners share a tick, the dearer is each.
const RINGS_MIN: usize = 4;
/// Where the system sets no limit of open files: memory is at its end long before.
const LISTENERS_MAX: u64 = 4_000_000;

/// How listeners are to be served.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    engine: EngineConfig,
    /// Processes that share the port, and with it the machine.
    processes: u32,
    /// Whether another process keeps the port for these.
    is_kept: bool,
}

impl Plan {
    /// That of one process that serves everybody.
    pub(crate) fn alone(engine: EngineConfig) -> Self {
        Self {
            engine,
            processes: 1,
            is_kept: false,
        }
    }

    /// That of a worker of a node.
    pub(crate) fn of_worker(config: &Config) -> Self {
        Self {
            engine: config.engine,
            processes: config.air_workers,
            is_kept: true,
        }
    }
}

/// The bound sockets.
pub(crate) struct Audience {
    /// One for each thread that serves listeners; all at the same address.
    listeners: Vec<TcpListener>,
    backend: Backend,
}

impl Audience {
    /// Binds the port.
    pub(crate) fn bind(address: SocketAddr, plan: Plan) -> Result<Self, ServeError> {
        Self::of(Self::sockets(address, plan)?, plan)
    }

    /// The sockets that a process of this plan needs at the port.
    pub(crate) fn sockets(address: SocketAddr, plan: Plan) -> Result<Vec<TcpListener>, ServeError> {
        let backend = Backend::from(plan.engine.backend).choose()?;
        bind_for_threads(address, threads(plan, backend), plan.is_kept)
    }

    /// The port by sockets that were bound before.
    pub(crate) fn of(listeners: Vec<TcpListener>, plan: Plan) -> Result<Self, ServeError> {
        let backend = Backend::from(plan.engine.backend).choose()?;
        Ok(Self { listeners, backend })
    }

    /// Its address.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.listeners[0].local_addr()
    }

    /// Serves it until `closed` turns true and the last listener has gone.
    pub(crate) fn open(
        self,
        air: &Arc<Air>,
        tls: Option<Arc<ServerConfig>>,
        routes: Router,
        doors: &mut Doors,
    ) -> io::Result<()> {
        air.trust(doors.proxies.clone());
        let (hand_over, handed) = hand_over(HANDED_MAX, air.budget());
        let connections = Connections {
            air: Arc::clone(air),
            hand_over,
            connections_max: listeners_max(self.listeners.len(), self.backend),
            backend: self.backend,
            tls,
        };
        for listener in &self.listeners {
            doors.entrances.push(listener.try_clone()?);
        }
        let engine = Engine::start(self.listeners, &connections, &doors.closed)?;
        doors.serving.spawn(engine.ended());
        let guests = Guests::at("audience", HANDED_MAX, doors.proxies.clone());
        let serving = accept::serve_handed(handed, guests, routes, doors.closed.clone());
        doors.serving.spawn(serving);
        Ok(())
    }
}

/// What is open.
pub(crate) struct Doors {
    serving: JoinSet<()>,
    /// The audience's sockets.
    entrances: Vec<TcpListener>,
    /// Proxies that are believed whom they ask for.
    proxies: TrustedProxies,
    closed: watch::Receiver<bool>,
}

impl Doors {
    /// None yet; they close when `closed` turns true.
    pub(crate) fn new(proxies: TrustedProxies, closed: watch::Receiver<bool>) -> Self {
        Self {
            serving: JoinSet::new(),
            entrances: Vec::new(),
            proxies,
            closed,
        }
    }

    /// Opens a door of the ordinary server.
    pub(crate) fn open(
        &mut self,
        listener: TcpListener,
        connections_max: u32,
        tls: Option<TlsAcceptor>,
        routes: Router,
    ) {
        let listener = tokio::net::TcpListener::from_std(listener)
            .expect("a bound socket that does not block");
        let door = Door::new(listener, connections_max, tls);
        self.serving.spawn(door.serve(routes, self.closed.clone()));
    }

    /// Opens a door at which it matters from which networks people come.
    pub(crate) fn open_to_all(
        &mut self,
        (listener, name): (TcpListener, &'static str),
        connections_max: u32,
        (tls, aside): (Option<TlsAcceptor>, Aside),
        routes: Router,
    ) {
        let listener = tokio::net::TcpListener::from_std(listener)
            .expect("a bound socket that does not block");
        let guests = Guests::at(name, connections_max, self.proxies.clone());
        let door = Door::new(listener, connections_max, tls)
            .with_guests(guests)
            .with_aside(aside);
        self.serving.spawn(door.serve(routes, self.closed.clone()));
    }

    /// Keeps one more open until it ends.
    pub(crate) fn add(&mut self, door: impl Future<Output = ()> + Send + 'static) {
        self.serving.spawn(door);
    }

    /// Lets no more connections of the audience begin here. Those that have begun come in until the doors close.
    pub(crate) fn begin_no_more(&mut self) {
        for entrance in self.entrances.drain(..) {
            if let Err(error) = begin_no_more(&entrance) {
                tracing::warn!(%error, "who comes now may have to come again");
            }
        }
    }

    /// Waits until the last one has closed.
    pub(crate) async fn ended(&mut self) {
        while self.serving.join_next().await.is_some() {}
    }
}

/// Connections of each of so many threads. Of `io_uring` it is what a ring takes; with epoll they share what the limit
/// of open files leaves.
fn listeners_max(threads: usize, backend: Backend) -> u32 {
    if backend == Backend::IoUring {
        return Backend::ring_connections_max();
    }
    let files = getrlimit(Resource::Nofile).current.unwrap_or(LISTENERS_MAX);
    let left = files.saturating_sub(FILES_RESERVED).max(files / 4);
    u32::try_from(left.min(LISTENERS_MAX) / threads as u64).expect("the bound is a small number")
}

/// Threads of this process that serve listeners: together with its siblings one per core, or more where rings would
/// otherwise bound the listeners; those cost nothing idle.
fn threads(plan: Plan, backend: Backend) -> usize {
    let cores = || thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let fewest = if backend == Backend::IoUring {
        RINGS_MIN
    } else {
        1
    };
    let processes = usize::try_from(plan.processes.max(1)).expect("a small number");
    let share = || cores().max(fewest).div_ceil(processes);
    plan.engine
        .threads
        .map_or_else(share, |threads| threads.get().into())
}
