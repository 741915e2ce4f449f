//! `throng edge`: a worker far from its origin, behind it or behind another edge.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use clap::Args;
use serde::Serialize;
use throng_air::drain::Successor;
use throng_air::feed::routes as feed;
use throng_air::room::Room;
use throng_air::tls::tickets::TicketSecret;
use throng_core::key::Key;
use throng_core::network::{Network, TrustedProxies};

use super::upstream::Upstream;
use super::{Identity, Worker};
use crate::capacity::Capacity;
use crate::config::EngineArgs;
use crate::plane;
use crate::serve::{
    Audience, HAND_OVER_MAX, Plan, ServeError, bind_plain, feed_behind_key, keep_ladder, ledger,
    raise_file_limit, readiness, recorder, render_edge, taken_over, wait_for_signal,
};
use crate::tls::Files;

/// Connections at the internal address: scrapers, and the edges behind this one with what they fetch.
const INTERNAL_CONNECTIONS_MAX: u32 = 4_000;

/// Serve listeners far from the origin: from its feed, or from that of another edge.
#[derive(Args, Clone, Debug)]
pub struct EdgeArgs {
    /// Where the feed comes from: the desk or internal address of an origin, or an edge
    #[arg(long, value_name = "URL")]
    pub upstream: String,
    /// Address of the audience
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Address of health and of the feed without a key; keep it private
    #[arg(long, value_name = "ADDR")]
    pub internal: Option<SocketAddr>,
    /// Key of the feed, from `feed.key` in the origin's data folder; not needed at internal addresses
    #[arg(
        long,
        env = "THRONG_FEED_KEY",
        value_name = "KEY",
        hide_env_values = true,
        allow_hyphen_values = true
    )]
    pub feed_key: Option<String>,
    /// Certificate chain (PEM) for --listen
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Private key (PEM) of --tls-cert
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Listeners at once; more wait in a queue of this edge [default: 25000 per core]
    #[arg(long, value_name = "N")]
    pub listeners_max: Option<NonZeroU32>,
    /// Bits per second that listeners may take together [default: 70 % of the fastest link's speed, where it tells]
    #[arg(long, value_name = "BITS")]
    pub egress_max: Option<NonZeroU64>,
    /// Network of proxies that are believed whom they ask for by X-Forwarded-For; one flag each
    #[arg(
        long,
        env = "THRONG_TRUSTED_PROXY",
        value_name = "CIDR",
        value_delimiter = ','
    )]
    pub trusted_proxy: Vec<Network>,
    /// How listeners are served
    #[command(flatten)]
    pub engine: EngineArgs,
    /// Print the links as one line of JSON
    #[arg(long)]
    pub json: bool,
}

/// Where an edge is reached.
#[derive(Serialize)]
struct EdgeLinks {
    listen: String,
    internal: Option<String>,
    upstream: String,
}

/// Runs an edge until SIGTERM or Ctrl-C; a second signal ends it at once.
pub async fn run(args: EdgeArgs) -> Result<(), ServeError> {
    raise_file_limit();
    let upstream = Upstream::remote(&args.upstream, args.feed_key.as_deref())?;
    let key = args
        .feed_key
        .as_deref()
        .map(|key| Key::parse(key).map_err(|_| ServeError::FeedKey))
        .transpose()?;
    let files = args.tls_cert.clone().zip(args.tls_key.clone());
    let files = files.map(|(cert, key)| Files {
        cert,
        key,
        challenge: None,
    });
    let scheme = if files.is_some() { "https" } else { "http" };
    let engine = args.engine.resolve(EngineArgs::default());
    let plan = Plan::alone(engine);
    let (listen, internal) = taken_over(HAND_OVER_MAX, || {
        let internal = args
            .internal
            .map(|address| bind_plain("--internal", address));
        Ok((Audience::bind(args.listen, plan)?, internal.transpose()?))
    })
    .await?;
    let links = EdgeLinks {
        listen: format!("{scheme}://{}", listen.address()?),
        internal: match &internal {
            Some(internal) => Some(format!("http://{}", internal.local_addr()?)),
            None => None,
        },
        upstream: args.upstream.clone(),
    };
    let room = Room::alone();
    room.limit(
        Capacity::bounded(None, args.listeners_max, args.egress_max, args.listen.ip()).limits(),
    );
    let identity = Identity {
        place: 0,
        upstream,
        desk: false,
    };
    let mut worker = Worker::start(identity, room, TrustedProxies::new(args.trusted_proxy));
    worker.air.ladder().decide_alone();
    keep_ladder(&worker.air, engine);
    plane::keep_budget(&worker.air, plane::machine_budget(engine));
    let fed = feed::routes(&worker.air, worker.routes.clone());
    let mut routes = worker.routes.clone();
    if let Some(key) = key {
        routes = routes.merge(feed_behind_key(fed.clone(), key.digest()));
    }
    let tls = worker.offer(files, TicketSecret::drawn())?;
    worker.open(listen, tls, routes)?;
    if let Some(internal) = internal {
        let routes = internal_routes(&worker, fed);
        worker
            .doors
            .open(internal, INTERNAL_CONNECTIONS_MAX, None, routes);
    }
    announce(&links, args.json)?;
    wait_for_signal().await?;
    tracing::info!("stopping; a second signal stops at once");
    tokio::select! {
        () = worker.stop(Successor::Elsewhere) => Ok(()),
        stopped = wait_for_signal() => Ok(stopped?),
    }
}

/// Health, and the feed for edges behind this one. Ready is who knows what its upstream has on air.
fn internal_routes(worker: &Worker, fed: Router) -> Router {
    let listed = worker.listed.clone();
    let metrics = recorder();
    let (air, counted) = (Arc::clone(&worker.air), Arc::clone(&worker.air));
    fed.route("/ledger.json", get(move || async move { ledger(&counted) }))
        .route("/healthz", get(|| async { "ok\n" }))
        .route(
            "/readyz",
            get(move || async move {
                readiness(
                    *listed.borrow(),
                    "the upstream has not told yet what is on air\n",
                )
            }),
        )
        .route(
            "/metrics",
            get(move || async move { render_edge(&metrics, &air) }),
        )
}

fn announce(links: &EdgeLinks, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer(&mut out, links)?;
        writeln!(out)?;
    } else {
        writeln!(out, "listening on {}", links.listen)?;
        writeln!(out, "upstream     {}", links.upstream)?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: EdgeArgs,
    }

    #[test]
    fn a_key_may_begin_with_a_hyphen() {
        let words = ["edge", "--upstream", "http://a", "--feed-key", "-Key_"];
        let edge = Cli::try_parse_from(words).unwrap().args;
        assert_eq!(edge.feed_key.as_deref(), Some("-Key_"));
    }
}
