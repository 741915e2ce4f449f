//! The node's addresses: who may connect where, and how many.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::{NonZeroU8, NonZeroUsize};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use rustix::process::{Resource, getrlimit};
use rustls::ServerConfig;
use throng_air::accept::{self, Door};
use throng_air::air::Air;
use throng_air::engine::{Backend, Connections, Engine};
use throng_air::hand_over::hand_over;
use throng_core::caching::BRIEF;
use tokio::net::TcpSocket;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::{ServeError, internal};
use crate::api::{self, Desk};
use crate::config::Config;
use crate::pages;

/// Connections at the audience's address that ask for anything but a live stream. More are told to come again.
const HANDED_MAX: u32 = 4_000;
/// Open files that listeners leave to everything else: what was handed on, the desk, the archive, the database.
const FILES_RESERVED: u64 = HANDED_MAX as u64 + 2_000;
/// Rings of 16,000 listeners: a quarter of a million on a machine of any size.
const RINGS_MIN: usize = 16;
/// Where the system sets no limit of open files: memory is at its end long before.
const LISTENERS_MAX: u64 = 4_000_000;
/// Connections at the desk: tens of people with a few each.
const DESK_CONNECTIONS_MAX: u32 = 1_000;
/// Connections at the internal address: a scraper and a person.
const INTERNAL_CONNECTIONS_MAX: u32 = 64;
/// A port that is taken for longer belongs to somebody who lives.
const PORT_FREE_MAX: Duration = Duration::from_secs(2);
/// Pause before the port is tried again.
const PORT_FREE_PAUSE: Duration = Duration::from_millis(10);
/// Connections that wait to be accepted; the kernel cuts it to `somaxconn`.
const BACKLOG: u32 = 65_535;

/// The bound sockets.
pub(super) struct Listeners {
    /// One for each thread that serves listeners; all at the same address.
    listen: Vec<TcpListener>,
    backend: Backend,
    /// Absent where the desk shares the audience's address.
    desk: Option<TcpListener>,
    internal: TcpListener,
}

impl Listeners {
    /// The audience's address.
    pub(super) fn listen_address(&self) -> io::Result<SocketAddr> {
        self.listen[0].local_addr()
    }

    /// The desk's address.
    pub(super) fn desk_address(&self) -> io::Result<SocketAddr> {
        self.desk.as_ref().unwrap_or(&self.listen[0]).local_addr()
    }

    /// The internal address.
    pub(super) fn internal_address(&self) -> io::Result<SocketAddr> {
        self.internal.local_addr()
    }

    /// Binds every address, so that a taken one is told before anything starts.
    pub(super) fn bind(config: &Config) -> Result<Self, ServeError> {
        let backend = Backend::from(config.air_backend).choose()?;
        let threads = threads(config.air_threads, backend);
        let shared = config.desk == config.listen && config.listen.port() != 0;
        Ok(Self {
            listen: bind_for_threads("--listen", config.listen, threads)?,
            backend,
            desk: if shared {
                None
            } else {
                Some(bind("--desk", config.desk)?)
            },
            internal: bind("--internal", config.internal)?,
        })
    }

    /// Serves at each address.
    pub(super) fn open(
        self,
        air: &Arc<Air>,
        desk: &Arc<Desk>,
        metrics: PrometheusHandle,
        tls: Option<Arc<ServerConfig>>,
        closed: &watch::Receiver<bool>,
    ) -> io::Result<JoinSet<()>> {
        let mut doors = Doors {
            serving: JoinSet::new(),
            closed: closed.clone(),
        };
        let mut audience = air.routes().merge(api::audience_routes(Arc::clone(desk)));
        let desk_routes = api::routes(Arc::clone(desk));
        match self.desk {
            None => audience = audience.merge(desk_routes),
            Some(listener) => {
                let routes = desk_routes.route("/", get(to_the_studio)).fallback(
                    |headers: HeaderMap| async move {
                        pages::not_found().respond(StatusCode::NOT_FOUND, &headers)
                    },
                );
                let tls = tls.clone().map(TlsAcceptor::from);
                doors.open(listener, DESK_CONNECTIONS_MAX, tls, routes);
            }
        }
        doors.open_engine(self.listen, self.backend, air, tls, audience)?;
        let routes = internal::routes(metrics, Arc::clone(desk));
        doors.open(self.internal, INTERNAL_CONNECTIONS_MAX, None, routes);
        Ok(doors.serving)
    }
}

async fn to_the_studio() -> impl IntoResponse {
    ([(header::CACHE_CONTROL, BRIEF)], Redirect::to("/studio"))
}

/// What is open.
struct Doors {
    serving: JoinSet<()>,
    closed: watch::Receiver<bool>,
}

impl Doors {
    /// Opens a door of the ordinary server.
    fn open(
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

    /// Opens the audience's door: live streams are the engine's, everything else the ordinary server's.
    fn open_engine(
        &mut self,
        listeners: Vec<TcpListener>,
        backend: Backend,
        air: &Arc<Air>,
        tls: Option<Arc<ServerConfig>>,
        routes: Router,
    ) -> io::Result<()> {
        let (hand_over, handed) = hand_over(HANDED_MAX);
        let connections = Connections {
            air: Arc::clone(air),
            hand_over,
            connections_max: listeners_max(listeners.len(), backend),
            backend,
            tls,
        };
        let engine = Engine::start(listeners, &connections, &self.closed)?;
        self.serving.spawn(engine.ended());
        self.serving
            .spawn(accept::serve_handed(handed, routes, self.closed.clone()));
        Ok(())
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

/// Threads that serve listeners: one per core; more where a ring would otherwise bound them, which cost nothing idle.
fn threads(wanted: Option<NonZeroU8>, backend: Backend) -> usize {
    let cores = || thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let fewest = if backend == Backend::IoUring {
        RINGS_MIN
    } else {
        1
    };
    wanted.map_or_else(|| cores().max(fewest), |threads| threads.get().into())
}

/// So many sockets at one address, among which the kernel deals out connections.
fn bind_for_threads(
    flag: &'static str,
    address: SocketAddr,
    count: usize,
) -> Result<Vec<TcpListener>, ServeError> {
    let wrong = |source| ServeError::Bind {
        flag,
        address,
        source,
    };
    if address.port() != 0 {
        // Sockets that share a port would also share it with another process of this user.
        once_free(|| socket(address)?.bind(address)).map_err(wrong)?;
    }
    let shared = |address| shared_socket(address).map_err(wrong);
    let mut listeners = vec![shared(address)?];
    let bound = listeners[0].local_addr().map_err(wrong)?;
    for _ in 1..count {
        listeners.push(shared(bound)?);
    }
    Ok(listeners)
}

/// Takes a port as soon as it is free: the rings of a process that was killed are torn down a moment after it is gone.
fn once_free(mut take: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    let deadline = Instant::now() + PORT_FREE_MAX;
    loop {
        match take() {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < deadline => {
                thread::sleep(PORT_FREE_PAUSE);
            }
            taken => return taken,
        }
    }
}

fn shared_socket(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(address)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

fn bind(flag: &'static str, address: SocketAddr) -> Result<TcpListener, ServeError> {
    listen(address).map_err(|source| ServeError::Bind {
        flag,
        address,
        source,
    })
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(address)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A restart must not wait for the connections of the process before.
    socket.set_reuseaddr(true)?;
    Ok(socket)
}
