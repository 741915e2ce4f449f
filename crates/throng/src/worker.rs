//! A process that serves listeners from a feed: an Air worker beside its origin, or an edge far from it.
//!
//! It owns nothing: spaces, pages and parts come down the feed; counts and the ledger go up. It answers from what it
//! has, fetches the rest from its upstream, and when parts stop, it keeps its listeners and lets the hold loop stand in.

mod edge;
mod elsewhere;
mod follow;
mod local;
mod shelf;
pub(crate) mod socket;
pub(crate) mod upstream;

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use rustls::ServerConfig;
use throng_air::air::Air;
use throng_air::drain::Successor;
use throng_air::feed::mirror::{Mirror, StandIn};
use throng_air::room::Room;
use throng_air::tls::tickets::TicketSecret;
use throng_core::network::TrustedProxies;
use throng_core::rendition::Channels;
use throng_media::package;
use throng_media::rendering::Silence;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

pub use self::edge::{EdgeArgs, run as edge};
use self::elsewhere::Elsewhere;
use self::follow::Following;
pub use self::local::run as local;
use self::upstream::Upstream;
pub use self::upstream::UpstreamError;
use crate::serve::{
    Audience, DRAIN_TIMEOUT, Doors, ServeError, empty_air, let_listeners_go, offer,
};
use crate::tls::{Certificate, Files};

/// Time for the windows of the spaces on air. One whose origin has no parts keeps no worker from serving the others.
const FILL_MAX: Duration = Duration::from_secs(3);

/// Who was on his way in when no more began is in by then, and has asked for something: that takes two round trips. It is
/// a time because the kernel tells nobody about handshakes under way. With the 320 ms in which every listener is visited
/// it stays below the second after which those who were not heard begin again: by then the sockets are to be closed.
const ON_THE_WAY: Duration = Duration::from_millis(400);

/// Who a worker is to its upstream, and what it serves for it.
struct Identity {
    /// Its place in the node, from 1; 0 for an edge.
    place: u32,
    upstream: Upstream,
    /// Whether the desk shares the audience's port.
    desk: bool,
}

/// A running worker or edge.
struct Worker {
    air: Arc<Air>,
    routes: Router,
    closing: watch::Sender<bool>,
    doors: Doors,
    /// Whether every space of the upstream is known.
    listed: watch::Receiver<bool>,
    /// Whether every space between doors and end has its window, too.
    filled: watch::Receiver<bool>,
    following: Following,
}

impl Worker {
    /// Begins to follow the feed. Nothing is served until [`Worker::open`].
    fn start(identity: Identity, room: Arc<Room>, proxies: TrustedProxies) -> Self {
        let air = empty_air(room, None);
        let mirror = Mirror::new(Arc::clone(&air), stand_in(&air));
        let (listed, filled) = (mirror.listed(), mirror.filled());
        let following = Following::start(
            identity.upstream.clone(),
            Arc::clone(&air),
            Arc::new(Mutex::new(mirror)),
            identity.place,
        );
        let elsewhere = Elsewhere::new(
            Arc::clone(&air),
            identity.upstream,
            identity.desk,
            listed.clone(),
        );
        let routes = air
            .uncounted_routes()
            .layer(from_fn_with_state(elsewhere, elsewhere::route));
        let closing = watch::Sender::new(false);
        Self {
            routes: air.counted(routes),
            air,
            doors: Doors::new(proxies, closing.subscribe()),
            closing,
            listed,
            filled,
            following,
        }
    }

    /// TLS with a certificate that is kept current, where there is one.
    fn offer(
        &self,
        files: Option<Files>,
        tickets: TicketSecret,
    ) -> Result<Option<Arc<ServerConfig>>, ServeError> {
        let certificate = files.map(Certificate::open).transpose()?;
        let offered =
            certificate.map(|certificate| offer(certificate, tickets, &self.closing.subscribe()));
        offered.transpose()
    }

    /// Serves the audience's port.
    fn open(
        &mut self,
        port: Audience,
        tls: Option<Arc<ServerConfig>>,
        routes: Router,
    ) -> io::Result<()> {
        port.open(&self.air, tls, routes, &mut self.doors)
    }

    /// Waits until every space of the upstream is known, and a little for the windows of those that are on air.
    async fn wait_until_filled(&mut self) {
        // The senders live in the task that follows.
        let _ = self.listed.wait_for(|listed| *listed).await;
        let _ = timeout(FILL_MAX, self.filled.wait_for(|filled| *filled)).await;
    }

    /// Sends listeners away, each at his time, lets nobody in any more, tells what was counted.
    async fn stop(mut self, successor: Successor) {
        let_listeners_go(&self.air, successor).await;
        // The sockets of one who has a successor go on without it.
        if successor == Successor::Elsewhere {
            self.doors.begin_no_more();
        }
        sleep(ON_THE_WAY).await;
        self.closing.send_replace(true);
        self.air.close();
        let spaces = self.air.spaces().borrow().clone();
        for on_air in spaces.values() {
            on_air.close();
        }
        if timeout(DRAIN_TIMEOUT, self.doors.ended()).await.is_err() {
            tracing::warn!("some connections did not finish in time");
        }
        self.following.stop().await;
    }
}

/// The hold loop at its place on the clock; silence before the loop was told.
fn stand_in(air: &Arc<Air>) -> StandIn {
    let layouts = Channels::ALL.map(|channels| (air.hold(channels), Silence::new(channels)));
    Box::new(move |channels, index| {
        let (hold, silence) = &layouts[channels.index()];
        let hold = hold.borrow().clone();
        hold.as_ref()
            .and_then(|hold| package::renumber(hold.at(index)?, index))
            .unwrap_or_else(|| silence.part(index))
    })
}
