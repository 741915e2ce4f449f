//! The Air worker of a node: started by its supervisor, served by the origin in the same data folder.

use crate::serve::{Audience, Plan, ServeError, raise_file_limit, wait_for_signal};
use crate::supervisor::child::{self, WorkerOrder};
use crate::tls;

use super::upstream::Upstream;
use super::{Identity, Worker};

/// Runs until the supervisor says stop, or is gone. The order comes over standard input.
pub async fn run() -> Result<(), ServeError> {
    raise_file_limit();
    let WorkerOrder {
        config,
        place,
        slots,
    } = child::take_order(c"throng-air")?;
    let tls = config
        .tls
        .as_ref()
        .map(|(cert, key)| tls::acceptor(cert, key))
        .transpose()?;
    let mut worker = Worker::start(Identity {
        place,
        upstream: Upstream::local(config.data.clone()),
        desk: config.shares_desk(),
    });
    if let Some(most) = slots {
        worker.air.set_listeners_max(most);
    }
    worker.wait_until_filled().await;
    let routes = worker.routes.clone();
    let port = Audience::bind(config.listen, Plan::of_worker(&config))?;
    worker.open(port, tls, routes)?;
    child::say(&serde_json::json!({ "ready": place }))?;
    wait_for_signal().await?;
    tokio::select! {
        () = worker.stop() => Ok(()),
        stopped = wait_for_signal() => Ok(stopped?),
    }
}
