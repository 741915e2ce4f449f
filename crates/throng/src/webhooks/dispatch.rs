//! Delivers what lies in the outbox: one call at a time for each hook, so that none waits for another.
//!
//! Who is away is tried again after pauses that double, for a day. What is too old, or too much, is dropped and counted.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use throng_core::webhook::{GIVE_UP_AFTER_MS, pause_ms};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::{PENDING_BYTES_MAX, PENDING_MAX, Webhooks};
use crate::chance;
use crate::origin::wall;
use crate::store::{Letter, StoreError};

/// Longest pause between two rounds.
const ROUND_EVERY: Duration = Duration::from_mins(1);
/// Shortest pause between two rounds that nobody has rung for.
const ROUND_PAUSE: Duration = Duration::from_secs(1);
/// A database that takes no changes is left in peace for so long: what was delivered would be delivered again and again.
const STORE_PAUSE: Duration = Duration::from_secs(30);

/// A letter, and whether it was taken.
struct Tried {
    letter: Letter,
    is_taken: bool,
}

/// Keeps delivering as long as there is somebody whose hooks they are.
pub(super) async fn keep(webhooks: Weak<Webhooks>) {
    let mut calls: JoinSet<Tried> = JoinSet::new();
    let mut busy = BTreeSet::new();
    loop {
        let Some(own) = webhooks.upgrade() else {
            return;
        };
        if own.store.is_closed() {
            return;
        }
        let wait = match round(&own, &mut calls, &mut busy).await {
            Ok(wait) => wait,
            Err(error) => {
                tracing::warn!(%error, "webhooks wait for the database");
                STORE_PAUSE
            }
        };
        let tried = tokio::select! {
            () = own.bell.notified() => None,
            () = sleep(wait) => None,
            Some(tried) = calls.join_next() => Some(tried.expect("a call does not panic")),
        };
        if let Some(tried) = tried {
            busy.remove(&tried.letter.hook_id);
            if let Err(error) = settle(&own, tried).await {
                tracing::warn!(%error, "what came of a webhook is not kept; it may be delivered again");
                sleep(STORE_PAUSE).await;
            }
        }
    }
}

/// Begins the calls that are due; how long until the next may be.
async fn round(
    webhooks: &Arc<Webhooks>,
    calls: &mut JoinSet<Tried>,
    busy: &mut BTreeSet<String>,
) -> Result<Duration, StoreError> {
    let (store, now) = (&webhooks.store, wall());
    let oldest = now.minus_ms(GIVE_UP_AFTER_MS);
    let dropped = store
        .drop_letters(oldest, PENDING_MAX, PENDING_BYTES_MAX)
        .await?;
    metrics::counter!("throng_webhook_dropped_total").increment(dropped);
    for letter in store.due_letters(now).await? {
        let Some(hook) = webhooks.find(&letter.hook_id) else {
            continue;
        };
        if busy.insert(hook.id.clone()) {
            let own = Arc::clone(webhooks);
            calls.spawn(async move {
                let outcome = own.call(&hook, &letter.id, &letter.body).await;
                let is_taken = outcome.result.is_ok();
                Tried { letter, is_taken }
            });
        }
    }
    let next = store.next_letter_at().await?;
    let until = next.map_or(ROUND_EVERY, |at| Duration::from_millis(at.ms_since(now)));
    Ok(until.clamp(ROUND_PAUSE, ROUND_EVERY))
}

/// Forgets what was taken, and puts off what was not.
async fn settle(webhooks: &Webhooks, tried: Tried) -> Result<(), StoreError> {
    let Tried { letter, is_taken } = tried;
    if is_taken {
        metrics::counter!("throng_webhook_sent_total").increment(1);
        return webhooks.store.forget_letter(&letter.id).await;
    }
    metrics::counter!("throng_webhook_failed_total").increment(1);
    let failures = letter.failures.saturating_add(1);
    let next_at = wall().plus_ms(pause_ms(failures, chance::fraction()));
    webhooks
        .store
        .put_letter_off(&letter.id, failures, next_at)
        .await
}
