//! The node's addresses: who may connect where, and how many.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode};
use axum::response::Redirect;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use throng_air::accept::Door;
use throng_air::air::Air;
use tokio::net::TcpSocket;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::feed::{self, feed_behind_key};
use super::{ServeError, internal};
use crate::api::{self, Desk};
use crate::config::Config;
use crate::pages;

/// Connections at the audience's address, below the usual limit of 20,000 open files, so that the desk, the archive
/// and the database never want for a descriptor. More wait in the backlog.
pub(crate) const LISTENERS_MAX: u32 = 16_000;
/// Connections at the desk: tens of people with a few each.
const DESK_CONNECTIONS_MAX: u32 = 1_000;
/// Connections at the internal address: a scraper and a person.
const INTERNAL_CONNECTIONS_MAX: u32 = 64;
/// Connections that wait to be accepted; the kernel cuts it to `somaxconn`.
const BACKLOG: u32 = 65_535;
/// The bound sockets.
pub(super) struct Listeners {
    /// Absent where workers serve the audience.
    listen: Option<TcpListener>,
    /// Absent where the desk shares the audience's address.
    desk: Option<TcpListener>,
    internal: TcpListener,
}

impl Listeners {
    /// The audience's address, where it is served here.
    pub(super) fn listen_address(&self) -> Option<io::Result<SocketAddr>> {
        self.listen.as_ref().map(TcpListener::local_addr)
    }

    /// The desk's address, where it has one of its own.
    pub(super) fn desk_address(&self) -> Option<io::Result<SocketAddr>> {
        self.desk.as_ref().map(TcpListener::local_addr)
    }

    /// The internal address.
    pub(super) fn internal_address(&self) -> io::Result<SocketAddr> {
        self.internal.local_addr()
    }

    /// Binds every address, so that a taken one is told before anything starts. The audience's belongs to the workers
    /// where there are some.
    pub(super) fn bind(config: &Config, workers: bool) -> Result<Self, ServeError> {
        let unless =
            |absent: bool, flag, address| (!absent).then(|| bind_plain(flag, address)).transpose();
        Ok(Self {
            listen: unless(workers, "--listen", config.listen)?,
            desk: unless(config.shares_desk(), "--desk", config.desk)?,
            internal: bind_plain("--internal", config.internal)?,
        })
    }

    /// Serves at each address.
    pub(super) fn open(
        self,
        air: &Arc<Air>,
        desk: &Arc<Desk>,
        metrics: PrometheusHandle,
        tls: Option<TlsAcceptor>,
        closed: &watch::Receiver<bool>,
    ) -> JoinSet<()> {
        let audience = air.routes().merge(api::audience_routes(Arc::clone(desk)));
        let fed = feed::routes(air, feed::house(air, desk));
        let desk_routes =
            api::routes(Arc::clone(desk)).merge(feed_behind_key(fed.clone(), desk.feed));
        let mut doors = JoinSet::new();
        let mut open = |listener, connections_max, tls, routes| {
            let listener = tokio::net::TcpListener::from_std(listener)
                .expect("a bound socket that does not block");
            doors.spawn(Door::new(listener, connections_max, tls).serve(routes, closed.clone()));
        };
        match (self.listen, self.desk) {
            (Some(listen), None) => open(listen, LISTENERS_MAX, tls, audience.merge(desk_routes)),
            (listen, desk) => {
                if let Some(listen) = listen {
                    open(listen, LISTENERS_MAX, tls.clone(), audience);
                }
                if let Some(desk) = desk {
                    let routes = desk_routes
                        .route("/", get(|| async { Redirect::to("/studio") }))
                        .fallback(|headers: HeaderMap| async move {
                            pages::not_found().respond(StatusCode::NOT_FOUND, &headers)
                        });
                    open(desk, DESK_CONNECTIONS_MAX, tls, routes);
                }
            }
        }
        open(
            self.internal,
            INTERNAL_CONNECTIONS_MAX,
            None,
            internal::routes(metrics, Arc::clone(desk), air).merge(fed),
        );
        doors
    }
}

/// Binds an address that belongs to this process alone.
pub(crate) fn bind_plain(
    flag: &'static str,
    address: SocketAddr,
) -> Result<TcpListener, ServeError> {
    named(flag, address, socket(address, false).and_then(listening))
}

/// Binds the audience's address beside the other workers.
pub(crate) fn bind_shared(address: SocketAddr) -> Result<TcpListener, ServeError> {
    named(
        "--listen",
        address,
        socket(address, true).and_then(listening),
    )
}

/// Keeps the audience's address for the workers of this node: nobody else may listen there, and it stays ours while
/// they come and go. Whoever only holds it is given no connection.
pub(crate) fn reserve(address: SocketAddr) -> Result<TcpSocket, ServeError> {
    // To a socket that shares with nobody, one that listens there is in the way; ours is let go before it listens.
    let alone = socket(address, false).and_then(listening);
    drop(named("--listen", address, alone)?);
    named("--listen", address, socket(address, true))
}

fn named<T>(
    flag: &'static str,
    address: SocketAddr,
    bound: io::Result<T>,
) -> Result<T, ServeError> {
    bound.map_err(|source| ServeError::Bind {
        flag,
        address,
        source,
    })
}

fn socket(address: SocketAddr, shared: bool) -> io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A restart must not wait for the connections of the process before.
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(shared)?;
    socket.bind(address)?;
    Ok(socket)
}

fn listening(socket: TcpSocket) -> io::Result<TcpListener> {
    socket.listen(BACKLOG)?.into_std()
}
