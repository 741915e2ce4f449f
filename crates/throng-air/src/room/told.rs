//! What those are told who wait.

use axum::http::StatusCode;
use serde::Serialize;
use throng_core::admission::{Chances, Progress, Reason, Signer, Wait};
use throng_core::caching::NEVER;

use crate::answer::Reply;

/// The body of a `503`.
#[derive(Serialize)]
struct WaitJson<'a> {
    ticket: &'a str,
    place: u64,
    serving: u64,
    /// Whether that is his place for good: the order of those who come before the start is drawn.
    drawn: bool,
    ask_again_seconds: u32,
    /// Absent while nobody knows.
    wait_seconds: Option<u64>,
    reason: &'static str,
}

/// `now-serving.json`.
#[derive(Serialize)]
struct NowServingJson {
    serving: u64,
    of: u64,
    per_minute: u64,
    /// Whether the order of those who came before the start is drawn, and how many they are.
    drawn: bool,
    early: u64,
    /// Which queue of this node it is: the seeds are of one.
    queue: u32,
    order_commitment: String,
    /// Opened when the order is drawn.
    order_seed: Option<String>,
    sample_commitment: String,
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

/// How far the queue has come, with what an outsider needs to check the draw.
pub(super) fn now_serving(progress: Progress, chances: &Chances) -> String {
    let [order_commitment, sample_commitment] = chances.commitments().map(|bytes| hex(&bytes));
    let [order_seed, _] = chances.seeds();
    let told = NowServingJson {
        serving: progress.serving,
        of: progress.of,
        per_minute: progress.per_minute,
        drawn: progress.is_drawn,
        early: progress.early,
        queue: progress.queue,
        order_commitment,
        order_seed: progress.is_drawn.then(|| hex(&order_seed)),
        sample_commitment,
    };
    serde_json::to_string(&told).expect("plain fields always serialise") + "\n"
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // A string takes everything.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
