//! The Air worker of a node: started by its supervisor, served by the origin in the same data folder.

use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use throng_air::drain::Successor;
use throng_air::room::{Room, shared};
use throng_core::admission::Lane;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::interval;

use crate::overflow;
use crate::plane;
use crate::serve::{
    Audience, Plan, ServeError, keep_ladder, raise_file_limit, recorder_of_worker, render_worker,
    wait_for_signal,
};
use crate::supervisor::child::{self, RESTARTS, WorkerOrder};

use super::upstream::Upstream;
use super::{Identity, Worker};

/// How often the origin is told our metrics: as often as anybody gathers them.
const METRICS_EVERY: Duration = Duration::from_secs(5);

/// Runs until the supervisor says stop, or is gone. The order comes over standard input.
pub async fn run() -> Result<(), ServeError> {
    raise_file_limit();
    let mut replaced = signal(SignalKind::user_defined2())?;
    let (order, sockets) = child::take_order(c"throng-air")?;
    let WorkerOrder {
        config,
        place,
        lane,
        restarts,
        board,
        queue,
        tickets,
    } = order;
    let upstream = Upstream::local(config.data.clone());
    let metrics = recorder_of_worker(place);
    metrics::counter!(RESTARTS).absolute(restarts);
    tokio::spawn(tell_metrics(upstream.clone(), metrics, place));
    let room = Room::shared(shared::open(&board)?, Lane::new(lane), queue);
    let identity = Identity {
        place,
        upstream,
        desk: config.shares_desk(),
    };
    let mut worker = Worker::start(identity, room, config.trusted_proxies());
    keep_ladder(&worker.air, config.engine);
    plane::keep_budget(&worker.air, plane::worker_budget(&config));
    overflow::keep(&worker.air, &config.overflow, config.air_workers)?;
    worker.wait_until_filled().await;
    let routes = worker.routes.clone();
    let port = Audience::of(sockets, Plan::of_worker(&config))?;
    let tls = worker.offer(config.certificate_files(), tickets)?;
    worker.open(port, tls, routes)?;
    child::say(&serde_json::json!({ "ready": place }))?;
    let successor = tokio::select! {
        stopped = wait_for_signal() => stopped.map(|()| Successor::Elsewhere)?,
        _ = replaced.recv() => Successor::Here,
    };
    tokio::select! {
        () = worker.stop(successor) => Ok(()),
        stopped = wait_for_signal() => Ok(stopped?),
    }
}

async fn tell_metrics(upstream: Upstream, metrics: PrometheusHandle, place: u32) {
    let mut due = interval(METRICS_EVERY);
    loop {
        due.tick().await;
        if let Err(error) = upstream
            .metrics(place, render_worker(&metrics, place))
            .await
        {
            tracing::debug!(%error, "the metrics were not taken");
        }
    }
}
