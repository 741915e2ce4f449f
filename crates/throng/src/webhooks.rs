//! Webhooks: other programs of the operator are told what happens in spaces, by signed messages (Standard Webhooks).
//!
//! What is to be told of a change is kept in the same transaction as the change, so that no restart loses it, and is
//! delivered at least once: a receiver tells repeats by `webhook-id`. A receiver that is away is tried again for a day.
//! Nobody is called at a private address, unless the operator has named its network.

mod alarms;
mod delivery;
mod dispatch;
mod line;
pub(crate) mod message;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::Uri;
use throng_core::key::Key;
use throng_core::network::Network;
use throng_core::space::Space;
use throng_core::time::UnixMillis;
use throng_core::webhook::Secret;
use tokio::sync::{Notify, watch};

pub(crate) use self::alarms::keep as keep_alarms;
pub(crate) use self::delivery::{Courier, Failure};
use self::message::{Message, Subject};
use crate::chance;
use crate::origin::wall;
use crate::store::{Hook, Letter, Store, StoreError};

/// Hooks of one node: each is a row for every message, and at most one call at a time.
pub(crate) const HOOKS_MAX: usize = 16;
/// Messages that wait for one hook: a day of a busy house. When there are more, the oldest are dropped, and counted.
const PENDING_MAX: u32 = 1_000;
/// Their bytes: as many messages of the usual 600 have room seven times over. One that lists all chapters of a long evening
/// has 100 KB; of those the newest forty are kept.
const PENDING_BYTES_MAX: u32 = 4 << 20;
/// What a call may take in all.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// All hooks of a node.
pub(crate) struct Webhooks {
    store: Store,
    /// From which the secrets of hooks are made.
    secret: Key,
    courier: Courier,
    public_url: String,
    hooks: watch::Sender<Arc<Vec<Hook>>>,
    /// One hook is made at a time: there are never more than there may be.
    making: tokio::sync::Mutex<()>,
    /// What came of the last call of each, by its id; not longer than `hooks`.
    last: Mutex<BTreeMap<String, Outcome>>,
    /// Rung when something is to be told.
    bell: Notify,
}

/// What came of a call.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) at: UnixMillis,
    /// The status of the answer, or why there was none that counts.
    pub(crate) result: Result<u16, Failure>,
}

/// What a node of webhooks is made from.
pub(crate) struct Making {
    pub(crate) store: Store,
    pub(crate) key: Key,
    /// Networks that may be called although they are not public.
    pub(crate) allowed: Vec<Network>,
    pub(crate) public_url: String,
}

impl Webhooks {
    /// Takes up the hooks that were kept, and begins to deliver.
    pub(crate) async fn start(making: Making) -> Result<Arc<Self>, StoreError> {
        let hooks = making.store.hooks().await?;
        let webhooks = Arc::new(Self {
            secret: making.key,
            courier: Courier::new(making.allowed),
            public_url: making.public_url,
            hooks: watch::Sender::new(Arc::new(hooks)),
            making: tokio::sync::Mutex::default(),
            last: Mutex::default(),
            bell: Notify::new(),
            store: making.store,
        });
        tokio::spawn(dispatch::keep(Arc::downgrade(&webhooks)));
        Ok(webhooks)
    }

    /// All hooks, oldest first.
    pub(crate) fn hooks(&self) -> Arc<Vec<Hook>> {
        Arc::clone(&self.hooks.borrow())
    }

    /// Makes a hook that is told of these events, or of all; `None` where there are as many as there may be.
    pub(crate) async fn add(
        &self,
        url: &Uri,
        events: Vec<&'static str>,
    ) -> Result<Option<Hook>, StoreError> {
        let _turn = self.making.lock().await;
        if self.hooks().len() >= HOOKS_MAX {
            return Ok(None);
        }
        let hook = Hook {
            id: chance::id(),
            url: url.to_string(),
            events: events.into_iter().map(str::to_owned).collect(),
            created_at: wall(),
        };
        self.store.add_hook(&hook).await?;
        self.hooks
            .send_modify(|hooks| Arc::make_mut(hooks).push(hook.clone()));
        Ok(Some(hook))
    }

    /// Forgets a hook with what was still to be told to it; whether there was one.
    pub(crate) async fn delete(&self, id: &str) -> Result<bool, StoreError> {
        if self.find(id).is_none() {
            return Ok(false);
        }
        self.store.delete_hook(id).await?;
        self.hooks
            .send_modify(|hooks| Arc::make_mut(hooks).retain(|hook| hook.id != id));
        self.outcomes().remove(id);
        Ok(true)
    }

    /// The hook of an id.
    pub(crate) fn find(&self, id: &str) -> Option<Hook> {
        let hooks = self.hooks();
        hooks.iter().find(|hook| hook.id == id).cloned()
    }

    /// The secret by which a hook's messages are signed.
    pub(crate) fn secret(&self, hook: &Hook) -> Secret {
        Secret::of_hook(&self.secret, &hook.id)
    }

    /// Whether a place is private for all that its name says, and may not be called.
    pub(crate) fn is_forbidden(&self, url: &Uri) -> bool {
        self.courier.is_forbidden(url)
    }

    /// What came of the last call of a hook since this process began.
    pub(crate) fn last(&self, id: &str) -> Option<Outcome> {
        self.outcomes().get(id).cloned()
    }

    /// How many messages wait for each hook.
    pub(crate) async fn pending(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        self.store.pending_letters().await
    }

    /// Calls a hook now, once, with a message of no meaning.
    pub(crate) async fn ping(&self, hook: &Hook) -> Outcome {
        let body = Message::ping(wall()).to_json();
        self.call(hook, &chance::id(), &body).await
    }

    /// The letters that a change of a space is to bring, to be kept together with it.
    pub(crate) fn of_change(&self, before: Option<&Space>, after: &Space) -> Vec<Letter> {
        let subject = Subject::new(after, &self.public_url);
        let events = message::happened(before, after);
        let told = events
            .into_iter()
            .flat_map(|event| self.letters(event, || Message::of(event, &subject, wall())));
        told.collect()
    }

    /// The letters of a deletion.
    pub(crate) fn of_deletion(&self, space: &Space) -> Vec<Letter> {
        let subject = Subject::new(space, &self.public_url);
        self.letters("space.deleted", || {
            Message::of("space.deleted", &subject, wall())
        })
    }

    /// What was kept is to be delivered.
    pub(crate) fn ring(&self) {
        self.bell.notify_one();
    }

    fn letters(&self, event: &str, message: impl Fn() -> Message) -> Vec<Letter> {
        let hooks = self.hooks();
        let wants = |hook: &&Hook| {
            hook.events.is_empty() || hook.events.iter().any(|wanted| wanted == event)
        };
        let letters = hooks.iter().filter(wants).map(|hook| Letter {
            id: chance::id(),
            hook_id: hook.id.clone(),
            body: message().to_json(),
            created_at: wall(),
            failures: 0,
        });
        letters.collect()
    }

    /// Calls a hook and remembers what came of it.
    async fn call(&self, hook: &Hook, id: &str, body: &str) -> Outcome {
        let signed = delivery::Signed::new(id, body, &self.secret(hook), wall());
        let called = tokio::time::timeout(CALL_TIMEOUT, self.courier.call(&hook.url, signed));
        let result = called.await.unwrap_or(Err(Failure::Slow));
        let outcome = Outcome { at: wall(), result };
        if self.find(&hook.id).is_some() {
            self.outcomes().insert(hook.id.clone(), outcome.clone());
        }
        outcome
    }

    fn outcomes(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Outcome>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The letters of what was decided anew, by the names of those that were kept of it before: each takes the place of what
/// its hook was to be told first.
pub(crate) fn in_place_of(mut kept: Vec<Letter>, anew: Vec<Letter>) -> Vec<Letter> {
    let named = anew.into_iter().map(|letter| {
        let of_same_hook = |kept: &Letter| kept.hook_id == letter.hook_id;
        match kept.iter().position(of_same_hook) {
            Some(place) => Letter {
                id: kept.remove(place).id,
                ..letter
            },
            None => letter,
        }
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn what_is_decided_anew_takes_the_place_of_what_was_kept_for_the_same_hook() {
        let letter = |id: &str, hook_id: &str, body: &str| Letter {
            id: id.to_owned(),
            hook_id: hook_id.to_owned(),
            body: body.to_owned(),
            created_at: sample::MOMENT,
            failures: 0,
        };
        let kept = vec![letter("1", "a", "at eight"), letter("2", "b", "at eight")];
        let anew = vec![
            letter("3", "b", "at nine"),
            letter("4", "c", "at nine"),
            letter("5", "a", "at nine"),
            letter("6", "a", "and more"),
        ];
        let expected = [
            letter("2", "b", "at nine"),
            letter("4", "c", "at nine"),
            letter("1", "a", "at nine"),
            letter("6", "a", "and more"),
        ];
        assert_eq!(in_place_of(kept, anew), expected);
    }
}
