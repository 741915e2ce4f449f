//! Where plain players are sent when this house is full: edges of which it is known that they have room.
//!
//! Each is asked every few seconds for the same small file that everybody may read. One that does not answer, or says
//! what cannot be understood, counts as full.

use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use serde::Deserialize;
use throng_air::air::Air;
use throng_air::room::overflow::Overflow;
use tokio::time::{sleep, timeout};

use crate::chance;
use crate::worker::upstream::{Upstream, UpstreamError};

/// From question to question, and up to a third more, drawn each time, so that the processes of a node do not ask at once.
/// What an edge said is good for so many people as it had places, however long that takes.
const EVERY: Duration = Duration::from_secs(3);
/// An edge that takes longer counts as full.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// `now-serving.json` has some 700 bytes.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// What is read of `now-serving.json`.
#[derive(Deserialize)]
struct NowServing {
    free: Option<u64>,
}

/// Sends plain players to these edges from now on; `sharers` processes of the node do the same.
pub(crate) fn keep(air: &Arc<Air>, edges: &[String], sharers: u32) -> Result<(), UpstreamError> {
    let upstreams: Result<Vec<_>, _> = edges
        .iter()
        .map(|url| Upstream::remote(url, None))
        .collect();
    air.room().overflow_to(Overflow::to(edges));
    for (edge, upstream) in upstreams?.into_iter().enumerate() {
        let air = Arc::downgrade(air);
        tokio::spawn(follow(air, edge, upstream, u64::from(sharers.max(1))));
    }
    Ok(())
}

/// Asks one edge as long as there is a house.
async fn follow(air: Weak<Air>, edge: usize, upstream: Upstream, sharers: u64) {
    loop {
        let Some(slug) = air.upgrade().map(|air| air.any_space()) else {
            return;
        };
        let free = match slug {
            None => 0,
            Some(slug) => free(&upstream, &slug).await.unwrap_or(0),
        };
        let Some(air) = air.upgrade() else { return };
        if let Some(overflow) = air.room().overflow() {
            overflow.has_room(edge, free.div_ceil(sharers));
        }
        drop(air);
        sleep(EVERY.mul_f64(1.0 + chance::fraction() / 3.0)).await;
    }
}

/// How many more the edge has room for; `None` where it does not say.
async fn free(upstream: &Upstream, slug: &str) -> Option<u64> {
    let asked = async {
        let answer = upstream.get(&format!("/s/{slug}/now-serving.json")).await;
        let answer = answer.ok().filter(|answer| answer.status().is_success())?;
        let body = to_bytes(Body::new(answer.into_body()), ANSWER_BYTES_MAX);
        let body = body.await.ok()?;
        serde_json::from_slice::<NowServing>(&body).ok()?.free
    };
    timeout(ANSWER_MAX, asked).await.ok().flatten()
}
