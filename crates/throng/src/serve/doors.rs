//! The node's addresses: who may connect where, and how many.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use rustls::ServerConfig;
use throng_air::accept::Aside;
use throng_air::air::Air;
use throng_core::caching::BRIEF;
use tokio_rustls::TlsAcceptor;

use super::audience::{Audience, Doors, Plan};
use super::feed::{self, feed_behind_key};
use super::gathered::Gathered;
use super::ports::bind_plain;
use super::{HAND_OVER_MAX, ServeError, internal, taken_over};
use crate::api::{self, Desk};
use crate::config::Config;
use crate::pages;

/// Connections at the desk: tens of people with a few each.
const DESK_CONNECTIONS_MAX: u32 = 1_000;
/// Connections at the internal address: a scraper and a person.
const INTERNAL_CONNECTIONS_MAX: u32 = 64;

/// The bound sockets.
pub(super) struct Listeners {
    /// Absent where workers serve the audience.
    audience: Option<Audience>,
    /// Absent where the desk shares the audience's address.
    desk: Option<TcpListener>,
    internal: TcpListener,
}

impl Listeners {
    /// The audience's address, where it is served here.
    pub(super) fn listen_address(&self) -> Option<io::Result<SocketAddr>> {
        self.audience.as_ref().map(Audience::address)
    }

    /// The desk's address, where it has one of its own.
    pub(super) fn desk_address(&self) -> Option<io::Result<SocketAddr>> {
        self.desk.as_ref().map(TcpListener::local_addr)
    }

    /// The internal address.
    pub(super) fn internal_address(&self) -> io::Result<SocketAddr> {
        self.internal.local_addr()
    }

    /// Those that were given, or else bound now.
    pub(super) async fn of(given: Option<Self>, config: &Config) -> Result<Self, ServeError> {
        match given {
            Some(given) => Ok(given),
            None => taken_over(HAND_OVER_MAX, || Self::bind(config)).await,
        }
    }

    /// Binds every address, so that a taken one is told before anything starts.
    fn bind(config: &Config) -> Result<Self, ServeError> {
        let desk = || bind_plain("--desk", config.desk);
        Ok(Self {
            audience: Some(Audience::bind(config.listen, Plan::alone(config.engine))?),
            desk: (!config.shares_desk()).then(desk).transpose()?,
            internal: bind_plain("--internal", config.internal)?,
        })
    }

    /// Those that a supervisor gives to its origin: the internal address, and the desk's where it has its own.
    pub(super) fn given(sockets: Vec<TcpListener>) -> Option<Self> {
        let mut sockets = sockets.into_iter();
        Some(Self {
            internal: sockets.next()?,
            desk: sockets.next(),
            audience: None,
        })
    }

    /// Serves at each address.
    pub(super) fn open(
        self,
        air: &Arc<Air>,
        desk: &Arc<Desk>,
        metrics: (PrometheusHandle, Arc<Gathered>),
        (tls, speakers): (Option<Arc<ServerConfig>>, Aside),
        doors: &mut Doors,
    ) -> io::Result<()> {
        let mut audience = air.routes().merge(api::audience_routes(Arc::clone(desk)));
        let fed = feed::routes(air, feed::house(air, desk));
        let desk_routes =
            api::routes(Arc::clone(desk)).merge(feed_behind_key(fed.clone(), desk.feed));
        match self.desk {
            None => audience = audience.merge(desk_routes),
            Some(listener) => {
                let routes = desk_routes.route("/", get(to_the_studio)).fallback(
                    |headers: HeaderMap| async move {
                        pages::not_found().respond(StatusCode::NOT_FOUND, &headers)
                    },
                );
                let tls = tls.clone().map(TlsAcceptor::from);
                let entrance = (listener, "desk");
                doors.open_to_all(entrance, DESK_CONNECTIONS_MAX, (tls, speakers), routes);
            }
        }
        if let Some(port) = self.audience {
            port.open(air, tls, audience, doors)?;
        }
        let routes = internal::routes(metrics, Arc::clone(desk), air).merge(fed);
        doors.open(self.internal, INTERNAL_CONNECTIONS_MAX, None, routes);
        Ok(())
    }
}

async fn to_the_studio() -> impl IntoResponse {
    ([(header::CACHE_CONTROL, BRIEF)], Redirect::to("/studio"))
}
