//! Who did what when: every change of a space that was asked for with a host's or the operator's key, and what came of it.
//!
//! It is taken from the request itself, so that no route can be forgotten. Speakers' own mutes are no acts of a host, and
//! who shows no key of the space could fill it. Neither addresses nor words are in it: of what was changed the name is
//! kept, and the value where it is a number or yes and no.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Path, Query, Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use throng_core::key::Role;

use super::problem::Problem;
use super::spaces::{hold, uncached};
use super::{Desk, bearer};
use crate::origin::{SpaceHandle, now};
use crate::store::audit::Done;

/// Acts that are told at once where nothing else is asked for.
const LIMIT_DEFAULT: u32 = 100;
/// Most acts that are told at once.
pub(crate) const LIMIT_MAX: u32 = 1_000;
/// Of a key's digest: enough to tell the keys of a space apart, and of no use for anything else.
const PRINT_DIGITS: usize = 8;
/// Longest path that is kept; those of our own routes are shorter.
const PATH_MAX_BYTES: usize = 120;
/// Fields of a change that are kept, and their longest name; ours have fewer and shorter ones.
const FIELDS_MAX: usize = 16;
const NAME_MAX_BYTES: usize = 40;
/// The answer waits so long for its act to be noted: a database in trouble must not hold up who removes somebody.
const NOTED_WITHIN: Duration = Duration::from_secs(1);
/// Acts that were done and could not be noted.
pub(crate) const LOST: &str = "throng_audit_lost_total";

/// What holders of host and operator keys did, newest first.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Audit")]
pub(crate) struct AuditJson {
    acts: Vec<ActJson>,
    /// To be asked for as `before`, where there is more.
    next: Option<i64>,
}

/// One of them.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AuditedAct")]
struct ActJson {
    /// From 1, without a gap.
    number: i64,
    #[schemars(extend("format" = "date-time"))]
    at: String,
    /// `cohost`, `host` or `operator`.
    role: String,
    /// The first digits of the digest of the key: the same for the same key.
    key: String,
    /// The method of the request.
    method: String,
    /// What of the space it was about: its path after the slug.
    path: String,
    /// Names of what was to be changed, with values that are numbers or yes and no.
    changed: Vec<String>,
    /// What was answered: below 400 it was done.
    status: u16,
}

/// Which acts are asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    before: Option<i64>,
    limit: Option<u32>,
}

/// `GET /api/spaces/{slug}/audit`.
pub(super) async fn show(
    State(desk): State<Arc<Desk>>,
    Path(slug): Path<String>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let handle = desk.space(&slug)?;
    desk.actor(&handle, &headers)?;
    let limit = wanted.limit.unwrap_or(LIMIT_DEFAULT);
    let before = wanted.before.unwrap_or(i64::MAX);
    if !(1..=LIMIT_MAX).contains(&limit) || before < 1 {
        return Err(not_a_page());
    }
    let acts = desk.origin.acts(&handle.space().id, before, limit).await;
    let acts = acts.map_err(|error| Problem::store(&error))?;
    let is_all = acts.len() < limit as usize;
    let last = acts.last().map(|(number, _)| *number);
    let acts = acts.into_iter().map(ActJson::from).collect();
    let next = last.filter(|number| !is_all && *number > 1);
    Ok(uncached(Json(AuditJson { acts, next })).into_response())
}

fn not_a_page() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "bad-query",
        "There is no such page",
        format!("`limit` goes from 1 to {LIMIT_MAX}, and acts are numbered from 1."),
    )
}

impl From<(i64, Done)> for ActJson {
    fn from((number, done): (i64, Done)) -> Self {
        Self {
            number,
            at: done.at.to_rfc3339(),
            role: done.role,
            key: done.print,
            method: done.method,
            path: done.path,
            changed: done.changed.split_whitespace().map(str::to_owned).collect(),
            status: done.status,
        }
    }
}

/// Notes what was asked for of a space, and what came of it.
pub(super) async fn note(State(desk): State<Arc<Desk>>, request: Request, next: Next) -> Response {
    if request.method() == Method::GET || request.method() == Method::HEAD {
        return next.run(request).await;
    }
    // Routes read a path unescaped, and this does not: what is done under another spelling would be noted of no space.
    // Nothing of ours has a name that needs one.
    if request.uri().path().contains('%') {
        return StatusCode::NOT_FOUND.into_response();
    }
    let (parts, body) = request.into_parts();
    // A sound file is no JSON, and larger than what is looked into here.
    let (read, body) = if parts.uri.path().ends_with(hold::PATH) {
        (Bytes::new(), body)
    } else {
        // Not larger than what the route itself would read.
        let whole = Request::from_parts(parts.clone(), body);
        match Bytes::from_request(whole, &()).await {
            Ok(body) => (body.clone(), Body::from(body)),
            Err(refusal) => return refusal.into_response(),
        }
    };
    let acting = desk.acting(parts.uri.path(), &parts.headers, &read, &parts.method);
    let answer = next.run(Request::from_parts(parts, body)).await;
    if let Some((handle, done)) = acting {
        let status = answer.status().as_u16();
        desk.note(&handle, Done { status, ..done }).await;
    }
    answer
}

impl Desk {
    /// What somebody is about to do to a space, if it is there and his key lets him act on it. A space that is to be
    /// deleted takes its acts with it.
    fn acting(
        &self,
        path: &str,
        headers: &HeaderMap,
        body: &[u8],
        method: &Method,
    ) -> Option<(Arc<SpaceHandle>, Done)> {
        let (slug, rest) = below(path)?;
        let handle = self.space(slug).ok()?;
        let role = match self.role(&handle, headers).ok()? {
            Role::Cohost(_) => "cohost",
            Role::Host => "host",
            Role::Operator => "operator",
            Role::Speaker(_) => return None,
        };
        let done = Done {
            method: method.as_str().to_owned(),
            path: shortened(rest),
            changed: changed(body).join(" "),
            ..by(role, headers)?
        };
        Some((handle, done))
    }

    /// Notes who has made a space.
    pub(super) async fn note_creation(
        self: &Arc<Self>,
        handle: &SpaceHandle,
        headers: &HeaderMap,
        body: &[u8],
    ) {
        let Some(done) = by("operator", headers) else {
            return;
        };
        let done = Done {
            method: Method::POST.as_str().to_owned(),
            path: "/".to_owned(),
            changed: changed(body).join(" "),
            status: StatusCode::CREATED.as_u16(),
            ..done
        };
        self.note(handle, done).await;
    }

    /// Notes it, or says in the log that it could not be noted: it was done all the same.
    async fn note(self: &Arc<Self>, handle: &SpaceHandle, done: Done) {
        let (desk, id) = (Arc::clone(self), handle.space().id.clone());
        let noting = tokio::spawn(async move {
            // With its space an act is forgotten.
            if desk.origin.has(&id)
                && let Err(error) = desk.origin.note(&id, &done).await
            {
                metrics::counter!(LOST).increment(1);
                tracing::error!(%error, role = done.role, method = done.method, path = done.path, status = done.status,
                    "an act could not be noted");
            }
        });
        let _ = tokio::time::timeout(NOTED_WITHIN, noting).await;
    }
}

/// Something that is done now with the key of a request.
fn by(role: &str, headers: &HeaderMap) -> Option<Done> {
    let digest = bearer(headers).ok()?.digest().to_hex();
    Some(Done {
        at: now().wall,
        role: role.to_owned(),
        print: digest[..PRINT_DIGITS].to_owned(),
        method: String::new(),
        path: String::new(),
        changed: String::new(),
        status: 0,
    })
}

/// The slug of a space in a path of the API, and what follows it.
fn below(path: &str) -> Option<(&str, &str)> {
    let path = path.strip_prefix("/api/spaces/")?;
    Some(match path.find('/') {
        None => (path, "/"),
        Some(at) => path.split_at(at),
    })
}

/// A path of ASCII letters, as a target of HTTP is.
fn shortened(path: &str) -> String {
    let plain = path.chars().filter(char::is_ascii_graphic);
    plain.take(PATH_MAX_BYTES).collect()
}

/// What a body is to change: names, and values that are no words.
fn changed(body: &[u8]) -> Vec<String> {
    let fields: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
    let is_plain = |name: &str| {
        name.len() <= NAME_MAX_BYTES
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let fields = fields.into_iter().filter(|(name, _)| is_plain(name));
    let told = fields.take(FIELDS_MAX).map(|(name, value)| match value {
        Value::Bool(_) | Value::Number(_) | Value::Null => format!("{name}={value}"),
        Value::Array(_) | Value::Object(_) | Value::String(_) => name,
    });
    let mut told: Vec<_> = told.collect();
    told.sort();
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_changed_is_kept_without_its_words() {
        let body = br#"{"title":"<script>","delay_reason":null,"muted":true,"gain_db":-6,"of":{"a":1},"no name":1,"b\n":2}"#;
        assert_eq!(
            changed(body),
            [
                "delay_reason=null",
                "gain_db=-6",
                "muted=true",
                "of",
                "title"
            ]
        );
        assert!(changed(b"").is_empty());
        assert!(changed(b"[1,2]").is_empty());
        let many: Map<_, _> = (0..100).map(|n| (format!("f{n}"), n.into())).collect();
        assert_eq!(
            changed(&serde_json::to_vec(&many).unwrap()).len(),
            FIELDS_MAX
        );
    }

    #[test]
    fn a_path_is_taken_apart_and_bounded() {
        assert_eq!(below("/api/spaces/a"), Some(("a", "/")));
        assert_eq!(below("/api/spaces/a/go-live"), Some(("a", "/go-live")));
        assert_eq!(below("/api/spaces"), None);
        assert_eq!(below("/api/ladder"), None);
        assert_eq!(
            shortened(&format!("/{}", "x".repeat(500))).len(),
            PATH_MAX_BYTES
        );
        assert_eq!(shortened("/a\n b\u{1b}é"), "/ab");
    }
}
