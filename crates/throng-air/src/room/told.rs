//! What those are told who wait.

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use throng_core::admission::{Chances, LastQueue, Progress, Reason, Signer, Wait};
use throng_core::caching::NEVER;
use throng_core::hex::hex;

use crate::answer::Reply;

/// The house is full: a ticket, with which to come again as `?ticket=`.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Ticket")]
pub struct WaitJson<'a> {
    ticket: &'a str,
    place: u64,
    /// The place that is being served.
    serving: u64,
    /// Whether that is the place for good: the order of those who come before the start is drawn.
    drawn: bool,
    ask_again_seconds: u32,
    /// `null` while nobody knows.
    wait_seconds: Option<u64>,
    /// Why, in words.
    reason: &'static str,
}

/// How far the queue has come, the same for everyone.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "NowServing")]
pub struct NowServingJson {
    /// A place is called when this has reached it.
    serving: u64,
    of: u64,
    per_minute: u64,
    /// Whether the order of those who came before the start is drawn.
    drawn: bool,
    /// Those who came before the start.
    early: u64,
    /// Which queue of this node it is: the seeds are of one.
    queue: u32,
    order_commitment: String,
    /// Opened when the order is drawn.
    order_seed: Option<String>,
    sample_commitment: String,
    /// For how many more there is room, beyond those who wait.
    free: u64,
    last: Option<LastQueueJson>,
}

/// The queue before this one, of which nothing is to be kept back any more.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct LastQueueJson {
    queue: u32,
    of: u64,
    early: u64,
    order_commitment: String,
    order_seed: String,
    sample_commitment: String,
    sample_seed: String,
}

/// A seed and what it was committed to by, as they are told.
pub(super) struct Seed {
    pub(super) commitment: String,
    pub(super) opened: String,
}

/// The seeds of a queue: of its order, and of its sample.
pub(super) fn seeds(queue: u32, secret: &[u8; 32]) -> [Seed; 2] {
    let chances = Chances::of(secret, queue);
    let [order, sample] = chances.commitments().map(|bytes| hex(&bytes));
    let [order_seed, sample_seed] = chances.seeds().map(|bytes| hex(&bytes));
    [(order, order_seed), (sample, sample_seed)]
        .map(|(commitment, opened)| Seed { commitment, opened })
}

/// What somebody is told who is to come again.
pub(super) fn told(wait: &Wait, signer: &Signer, progress: Progress) -> Reply {
    let ticket = signer.seal(wait.ticket);
    let body = WaitJson {
        ticket: &ticket,
        place: wait.place,
        serving: progress.serving,
        drawn: progress.is_drawn,
        ask_again_seconds: wait.ask_again_s,
        wait_seconds: wait_s(wait, progress),
        reason: words(wait.reason),
    };
    let body = serde_json::to_string(&body).expect("plain fields always serialise") + "\n";
    Reply {
        status: StatusCode::SERVICE_UNAVAILABLE,
        retry_after_s: Some(wait.ask_again_s),
        ..Reply::ok(body, "application/json", NEVER)
    }
}

/// How long it takes at the pace of the last seconds.
fn wait_s(wait: &Wait, progress: Progress) -> Option<u64> {
    let before = wait.place.saturating_sub(progress.serving);
    (before * 60).checked_div(progress.per_minute)
}

const fn words(reason: Reason) -> &'static str {
    match reason {
        Reason::Busy => {
            "More people come in at this moment than the doors can let through. You have a place in the queue."
        }
        Reason::Early => {
            "The house is full. When the talk begins, the order of all who came before is drawn by lot: coming earlier or more often changes nothing."
        }
        Reason::Full => {
            "The house is full. Everybody who is in stays in; you have a place in the queue and are let in when it is your turn."
        }
        Reason::Late => {
            "The house is full, and your ticket was called more than a minute ago. You have a new place in the queue."
        }
        Reason::Soon => "It is your turn. A place will be free in a moment.",
    }
}

/// How far the queue has come, with what an outsider needs to check the draws.
pub(super) fn now_serving(
    progress: Progress,
    free: u64,
    last: Option<LastQueue>,
    secret: &[u8; 32],
) -> String {
    let [order, sample] = seeds(progress.queue, secret);
    let told = NowServingJson {
        serving: progress.serving,
        of: progress.of,
        per_minute: progress.per_minute,
        drawn: progress.is_drawn,
        early: progress.early,
        queue: progress.queue,
        order_commitment: order.commitment,
        order_seed: progress.is_drawn.then_some(order.opened),
        sample_commitment: sample.commitment,
        free,
        last: last.map(|last| opened(last, secret)),
    };
    serde_json::to_string(&told).expect("plain fields always serialise") + "\n"
}

fn opened(last: LastQueue, secret: &[u8; 32]) -> LastQueueJson {
    let [order, sample] = seeds(last.queue, secret);
    LastQueueJson {
        queue: last.queue,
        of: last.of,
        early: last.early,
        order_commitment: order.commitment,
        order_seed: order.opened,
        sample_commitment: sample.commitment,
        sample_seed: sample.opened,
    }
}
