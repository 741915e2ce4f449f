//! How often the API may be called: by each key, and with wrong keys from each network.
//!
//! A key that was recognised is known, whatever came of its call: it is counted for itself, and its holder is never kept out
//! for what his neighbours guess. A key that nobody knows is not even looked at while too many from its network were wrong.
//! WHIP does not go through here: a speaker who comes back after a bad minute is not to wait.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use throng_air::accept::Client;
use throng_core::address::neighbourhood;
use throng_core::key::Key;
use throng_core::rate::{Rate, Rates};

use super::problem::Problem;
use super::{Desk, bearer};

/// Keys that are known at once: hosts and speakers of some hundred spaces at work. One that falls out is looked at anew.
const KEYS_MAX: usize = 4_096;
/// Networks from which wrong keys came lately; one that falls out may guess a little more.
const NETWORKS_MAX: usize = 4_096;
/// Wrong keys of one network: as many at once as a bad evening brings where everybody comes by one proxy, then one a
/// second. A key has 256 bits: what this bounds is the noise.
const WRONG_KEYS: Rate = Rate {
    burst: 60,
    per_1000_s: 1_000,
};

/// What was done lately.
pub(crate) struct Limits {
    calls: Mutex<Rates<u128>>,
    wrong_keys: Mutex<Rates<u64>>,
    since: Instant,
}

impl Limits {
    /// Nothing yet; each key may call so often a second.
    pub(crate) fn new(calls_per_second: u32) -> Self {
        Self {
            calls: Mutex::new(Rates::new(Rate::per_second(calls_per_second), KEYS_MAX)),
            wrong_keys: Mutex::new(Rates::new(WRONG_KEYS, NETWORKS_MAX)),
            since: Instant::now(),
        }
    }

    /// Whether a call is looked at; whether its key is known already.
    fn admit(&self, key: u128, network: Option<u64>) -> Result<bool, Problem> {
        let now_ms = self.now_ms();
        let mut calls = locked(&self.calls);
        if calls.knows(&key) {
            let taken = calls.take(&key, now_ms);
            return taken.map(|()| true).map_err(too_many_calls);
        }
        match network {
            Some(network) => {
                let looked = locked(&self.wrong_keys).look(&network, now_ms);
                looked.map(|()| false).map_err(too_many_wrong_keys)
            }
            None => Ok(false),
        }
    }

    /// A key is that of somebody: its first call is counted, and from now on every one is.
    pub(super) fn recognise(&self, key: &Key) {
        self.know(name(key));
    }

    fn know(&self, key: u128) {
        let mut calls = locked(&self.calls);
        if !calls.knows(&key) {
            // The bucket of a newcomer is full.
            let _ = calls.take(&key, self.now_ms());
        }
    }

    /// What came of the first call with a key. One that nobody has recognised, and that found nothing, was wrong.
    fn note(&self, key: u128, network: Option<u64>, status: StatusCode) {
        if locked(&self.calls).knows(&key) {
            return;
        }
        if let (StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND, Some(network)) = (status, network)
        {
            // Where there is none left, it was one of those that came at the same time.
            let _ = locked(&self.wrong_keys).take(&network, self.now_ms());
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Nothing is told to who shows no key, not even what there is; and to who calls too often.
pub(super) async fn with_a_key(
    State(desk): State<Arc<Desk>>,
    request: Request,
    next: Next,
) -> Response {
    let key = match bearer(request.headers()) {
        Ok(key) => name(&key),
        Err(problem) => return problem.into_response(),
    };
    let client = request.extensions().get::<Client>();
    let network = client.map(|Client(address)| neighbourhood(*address));
    match desk.limits.admit(key, network) {
        Err(problem) => problem.into_response(),
        Ok(true) => next.run(request).await,
        Ok(false) => {
            // An operator who asks for what is not there is no stranger; others are recognised by what they ask for.
            let _ = desk.operator(request.headers());
            let answer = next.run(request).await;
            desk.limits.note(key, network, answer.status());
            answer
        }
    }
}

/// Half of a key's digest: no two keys share it.
fn name(key: &Key) -> u128 {
    let digest = key.digest().to_hex();
    u128::from_str_radix(&digest[..32], 16).expect("a digest is hexadecimal")
}

fn too_many_calls(wait_s: u32) -> Problem {
    metrics::counter!("throng_api_refused_total", "reason" => "calls").increment(1);
    let detail = "This key calls more often than the node takes from one. Call less often, or ask its operator for more \
        (--calls-max). Nothing was changed.";
    refused(
        "too-many-calls",
        "Too many calls with this key",
        detail,
        wait_s,
    )
}

fn too_many_wrong_keys(wait_s: u32) -> Problem {
    metrics::counter!("throng_api_refused_total", "reason" => "wrong_keys").increment(1);
    let detail = "Too many wrong keys came from your network lately, so that a key which has opened nothing yet is not \
        looked at. Try again in a moment.";
    refused("too-many-wrong-keys", "Too many wrong keys", detail, wait_s)
}

fn refused(kind: &str, title: &'static str, detail: &str, wait_s: u32) -> Problem {
    Problem::new(StatusCode::TOO_MANY_REQUESTS, kind, title, detail).retry_after(wait_s)
}

/// The lock is held for a look at a table.
fn locked<T>(rates: &Mutex<T>) -> MutexGuard<'_, T> {
    rates.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Option<u64> = Some(1);

    fn kind(refused: Result<bool, Problem>) -> Option<StatusCode> {
        refused
            .err()
            .map(|problem| problem.into_response().status())
    }

    #[test]
    fn a_known_key_calls_as_often_as_it_may_and_not_more() {
        let (limits, key) = (Limits::new(2), 7);
        assert_eq!(limits.admit(key, HERE).ok(), Some(false));
        for _ in 0..3 {
            limits.know(key);
        }
        limits.note(key, HERE, StatusCode::FORBIDDEN);
        for _ in 0..7 {
            assert_eq!(limits.admit(key, HERE).ok(), Some(true));
        }
        assert_eq!(
            kind(limits.admit(key, HERE)),
            Some(StatusCode::TOO_MANY_REQUESTS)
        );
        assert!(limits.admit(8, HERE).is_ok(), "each has its own");
    }

    #[test]
    fn who_guesses_keeps_himself_out_and_nobody_whose_key_is_known() {
        let (limits, host) = (Limits::new(50), 7);
        limits.know(host);
        for guess in 100..160 {
            assert_eq!(limits.admit(guess, HERE).ok(), Some(false));
            let status =
                [StatusCode::UNAUTHORIZED, StatusCode::NOT_FOUND][usize::from(guess % 2 == 0)];
            limits.note(guess, HERE, status);
        }
        let another = 9;
        assert_eq!(
            kind(limits.admit(another, HERE)),
            Some(StatusCode::TOO_MANY_REQUESTS)
        );
        assert_eq!(limits.admit(host, HERE).ok(), Some(true));
        assert!(
            limits.admit(another, Some(2)).is_ok(),
            "from another network"
        );
        assert!(limits.admit(another, None).is_ok());
    }

    #[test]
    fn what_a_known_key_does_not_find_is_no_guess() {
        let (limits, host) = (Limits::new(50), 7);
        limits.know(host);
        for _ in 0..2 * WRONG_KEYS.burst {
            limits.note(host, HERE, StatusCode::NOT_FOUND);
        }
        assert_eq!(limits.admit(8, HERE).ok(), Some(false));
    }
}
