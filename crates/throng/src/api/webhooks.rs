//! Webhooks over the API: the operator says who is told what happens, and tries whether it arrives.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::IntoResponse;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use throng_core::time::UnixMillis;

use super::Desk;
use super::problem::Problem;
use super::spaces::{Answer, parse, uncached};
use crate::store::Hook;
use crate::webhooks::message::EVENTS;
use crate::webhooks::{HOOKS_MAX, Outcome};

/// Longest URL of a hook: what receivers give out has some hundred characters.
const URL_CHARS_MAX: usize = 1_000;

/// A hook that is to be.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewWebhook")]
pub(crate) struct HookBody {
    /// Where it is called, over http or https.
    #[schemars(length(max = URL_CHARS_MAX), extend("format" = "uri"))]
    url: String,
    /// Of what it is told; of everything where none is named.
    #[schemars(extend("items" = json!({ "type": "string", "enum": EVENTS })))]
    events: Option<Vec<String>>,
}

/// A hook with its secret.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "NewWebhookSecret")]
pub(crate) struct HookCreatedJson {
    id: String,
    /// For who checks signatures (Standard Webhooks).
    secret: String,
}

/// All hooks, oldest first.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Webhooks")]
pub(crate) struct HooksJson {
    webhooks: Vec<HookJson>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Webhook")]
struct HookJson {
    id: String,
    url: String,
    /// Of what it is told; of everything where it is empty.
    events: Vec<String>,
    #[schemars(extend("format" = "date-time"))]
    created_at: String,
    /// Messages that wait to be delivered.
    pending: u64,
    /// What came of the last call since the node began.
    last: Option<CallJson>,
}

/// What came of a call.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WebhookCall")]
pub(crate) struct CallJson {
    #[schemars(extend("format" = "date-time"))]
    at: String,
    delivered: bool,
    /// The status of its answer, where that was a success.
    status: Option<u16>,
    /// Why it was not delivered.
    reason: Option<String>,
}

/// What came of a message as a test.
pub(crate) type PingJson = CallJson;

impl From<Outcome> for CallJson {
    fn from(outcome: Outcome) -> Self {
        Self {
            at: outcome.at.to_rfc3339(),
            delivered: outcome.result.is_ok(),
            status: outcome.result.ok(),
            reason: outcome.result.err().map(|failure| failure.to_string()),
        }
    }
}

pub(super) async fn list(State(desk): State<Arc<Desk>>, headers: HeaderMap) -> Answer {
    desk.operator(&headers)?;
    let pending = desk.origin.webhooks().pending().await;
    let pending = pending.map_err(|error| Problem::store(&error))?;
    let shown = |hook: &Hook| HookJson {
        id: hook.id.clone(),
        url: hook.url.clone(),
        events: hook.events.clone(),
        created_at: UnixMillis::to_rfc3339(hook.created_at),
        pending: pending.get(&hook.id).copied().unwrap_or_default(),
        last: desk.origin.webhooks().last(&hook.id).map(CallJson::from),
    };
    let webhooks = desk.origin.webhooks().hooks().iter().map(shown).collect();
    Ok(uncached(Json(HooksJson { webhooks })).into_response())
}

pub(super) async fn create(
    State(desk): State<Arc<Desk>>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    desk.operator(&headers)?;
    let HookBody { url, events } = parse(&body)?;
    let url = callable(&desk, &url)?;
    let events = known(events.unwrap_or_default())?;
    let hook = desk.origin.webhooks().add(&url, events).await;
    let hook = hook.map_err(|error| Problem::store(&error))?;
    let hook = hook.ok_or_else(full)?;
    let created = HookCreatedJson {
        secret: desk.origin.webhooks().secret(&hook).expose(),
        id: hook.id,
    };
    Ok((StatusCode::CREATED, uncached(Json(created))).into_response())
}

pub(super) async fn delete(
    State(desk): State<Arc<Desk>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer {
    desk.operator(&headers)?;
    let deleted = desk.origin.webhooks().delete(&id).await;
    if deleted.map_err(|error| Problem::store(&error))? {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    Err(unknown())
}

/// `POST …/ping`: a message of no meaning, at once, and once.
pub(super) async fn ping(
    State(desk): State<Arc<Desk>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer {
    desk.operator(&headers)?;
    let hook = desk.origin.webhooks().find(&id).ok_or_else(unknown)?;
    let outcome = desk.origin.webhooks().ping(&hook).await;
    Ok(uncached(Json(PingJson::from(outcome))).into_response())
}

/// A URL that may be called, as far as it tells.
fn callable(desk: &Desk, text: &str) -> Result<Uri, Problem> {
    let bad = "Give the whole URL of what is to be called, such as https://hooks.example.org/throng: http or https, without \
        a name and password, at most 1000 characters.";
    let url: Option<Uri> = text.parse().ok();
    let is_callable = |url: &Uri| {
        let has_user = url
            .authority()
            .is_some_and(|host| host.as_str().contains('@'));
        let is_http = matches!(url.scheme_str(), Some("http" | "https"));
        is_http && url.host().is_some_and(|host| !host.is_empty()) && !has_user
    };
    let is_short = text.chars().count() <= URL_CHARS_MAX;
    let url = url.filter(is_callable).filter(|_| is_short);
    let url = url.ok_or_else(|| refused(bad))?;
    if desk.origin.webhooks().is_forbidden(&url) {
        return Err(refused(
            "This is a private address. The operator of the node allows its network by --webhooks-allow.",
        ));
    }
    Ok(url)
}

fn known(events: Vec<String>) -> Result<Vec<&'static str>, Problem> {
    let known = |event: String| {
        EVENTS
            .into_iter()
            .find(|known| *known == event)
            .ok_or(event)
    };
    let mut events = events
        .into_iter()
        .map(known)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|event| {
            refused(format!(
                "{event:?} is no event. Events are {}.",
                EVENTS.join(", ")
            ))
        })?;
    events.sort_unstable();
    events.dedup();
    Ok(events)
}

fn refused(detail: impl Into<String>) -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "refused",
        "This is not possible",
        detail,
    )
}

fn full() -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "full",
        "There is no room for another webhook",
        format!("There are {HOOKS_MAX} already. Delete one that is not needed."),
    )
}

fn unknown() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "unknown-webhook",
        "There is no such webhook",
        "No webhook has this id. List them with GET /api/webhooks.",
    )
}
