//! The node's addresses: who may connect where, and how many.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use throng_air::accept::Door;
use throng_air::air::Air;
use throng_core::caching::BRIEF;
use tokio::net::TcpSocket;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::{ServeError, internal};
use crate::api::{self, Desk};
use crate::config::Config;
use crate::pages;

/// Connections at the audience's address, below the usual limit of 20,000 open files, so that the desk, the archive
/// and the database never want for a descriptor. More wait in the backlog.
const LISTENERS_MAX: u32 = 16_000;
/// Connections at the desk: tens of people with a few each.
const DESK_CONNECTIONS_MAX: u32 = 1_000;
/// Connections at the internal address: a scraper and a person.
const INTERNAL_CONNECTIONS_MAX: u32 = 64;
/// Connections that wait to be accepted; the kernel cuts it to `somaxconn`.
const BACKLOG: u32 = 65_535;
/// The bound sockets.
pub(super) struct Listeners {
    listen: TcpListener,
    /// Absent where the desk shares the audience's address.
    desk: Option<TcpListener>,
    internal: TcpListener,
}

impl Listeners {
    /// The audience's address.
    pub(super) fn listen_address(&self) -> io::Result<SocketAddr> {
        self.listen.local_addr()
    }

    /// The desk's address.
    pub(super) fn desk_address(&self) -> io::Result<SocketAddr> {
        self.desk.as_ref().unwrap_or(&self.listen).local_addr()
    }

    /// The internal address.
    pub(super) fn internal_address(&self) -> io::Result<SocketAddr> {
        self.internal.local_addr()
    }

    /// Binds every address, so that a taken one is told before anything starts.
    pub(super) fn bind(config: &Config) -> Result<Self, ServeError> {
        let shared = config.desk == config.listen && config.listen.port() != 0;
        Ok(Self {
            listen: bind("--listen", config.listen)?,
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
        tls: Option<TlsAcceptor>,
        closed: &watch::Receiver<bool>,
    ) -> JoinSet<()> {
        let audience = air.routes().merge(api::audience_routes(Arc::clone(desk)));
        let mut doors = JoinSet::new();
        let mut open = |listener, connections_max, tls, routes| {
            let listener = tokio::net::TcpListener::from_std(listener)
                .expect("a bound socket that does not block");
            doors.spawn(Door::new(listener, connections_max, tls).serve(routes, closed.clone()));
        };
        match self.desk {
            None => open(
                self.listen,
                LISTENERS_MAX,
                tls,
                audience.merge(api::routes(Arc::clone(desk))),
            ),
            Some(listener) => {
                open(self.listen, LISTENERS_MAX, tls.clone(), audience);
                let routes = api::routes(Arc::clone(desk))
                    .route("/", get(to_the_studio))
                    .fallback(|headers: HeaderMap| async move {
                        pages::not_found().respond(StatusCode::NOT_FOUND, &headers)
                    });
                open(listener, DESK_CONNECTIONS_MAX, tls, routes);
            }
        }
        open(
            self.internal,
            INTERNAL_CONNECTIONS_MAX,
            None,
            internal::routes(metrics, Arc::clone(desk)),
        );
        doors
    }
}

async fn to_the_studio() -> impl IntoResponse {
    ([(header::CACHE_CONTROL, BRIEF)], Redirect::to("/studio"))
}

fn bind(flag: &'static str, address: SocketAddr) -> Result<TcpListener, ServeError> {
    listen(address).map_err(|source| ServeError::Bind {
        flag,
        address,
        source,
    })
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A restart must not wait for the connections of the process before.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}
