//! The desk's address: pages, the API of spaces, and WHIP; and WHEP on the audience's address.

pub(crate) mod audit;
mod events;
pub(crate) mod ladder;
pub(crate) mod limits;
pub(crate) mod problem;
pub(crate) mod spaces;
mod talkback;
mod tracks;
pub(crate) mod webhooks;
mod webrtc;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, delete, get, patch, post, put};
use throng_air::document::Document;
use throng_core::key::{Key, KeyDigest, Role};

use self::limits::Limits;
use self::problem::Problem;
#[cfg(fuzzing)]
pub(crate) use self::spaces::{edits, wish};
use crate::capacity::Capacity;
use crate::events::Events;
use crate::origin::{Origin, SpaceHandle};
use crate::{openapi, pages};

/// Largest JSON body: titles and reasons are at most 200 characters.
const JSON_MAX_BYTES: usize = 16 * 1024;

/// What the routes share.
pub(crate) struct Desk {
    pub(crate) origin: Arc<Origin>,
    pub(crate) operator: KeyDigest,
    /// Who calls how often.
    pub(crate) limits: Limits,
    /// Who follows what happens.
    pub(crate) events: Events,
    /// What this node can carry, as far as that is known.
    pub(crate) capacity: Capacity,
    /// What edges from afar show at the desk.
    pub(crate) feed: KeyDigest,
    /// How listeners reach the audience's address, without a slash at the end.
    pub(crate) public_url: String,
    /// How hosts and speakers reach the desk.
    pub(crate) url: String,
    pub(crate) pages: DeskPages,
}

/// What is the same for everyone at the desk.
pub(crate) struct DeskPages {
    studio: Document,
    space: Document,
    speak: Document,
    /// `/openapi.json`.
    openapi: Document,
}

impl DeskPages {
    /// Those of a node that is reached so.
    pub(crate) fn new(public_url: &str, desk_url: &str) -> Self {
        Self {
            studio: pages::studio(),
            space: pages::space(),
            speak: pages::speak(),
            openapi: openapi::document(public_url, desk_url),
        }
    }
}

/// The routes of the desk.
pub(crate) fn routes(desk: Arc<Desk>) -> Router {
    let api = spaces()
        .merge(seats())
        .route("/api/spaces/{slug}/audit", get(audit::show))
        .route("/api/spaces/{slug}/events", get(events::follow))
        .route("/api/webhooks", get(webhooks::list).post(webhooks::create))
        .route("/api/webhooks/{webhook}", delete(webhooks::delete))
        .route("/api/webhooks/{webhook}/ping", post(webhooks::ping))
        .route("/api/ladder", get(ladder::show).put(ladder::set))
        .route_layer(from_fn_with_state(Arc::clone(&desk), audit::note))
        .route_layer(from_fn_with_state(Arc::clone(&desk), limits::with_a_key))
        .route("/api", any(unknown))
        .route("/api/{*path}", any(unknown))
        .layer(DefaultBodyLimit::max(JSON_MAX_BYTES))
        .layer(from_fn(to_the_end))
        .layer(map_response(problem::of_refusals));
    Router::new()
        .route("/studio", get(studio))
        .route("/studio/{slug}", get(space))
        .route("/s/{slug}/speak", get(speak))
        .route("/assets/{file}", get(asset))
        .route("/openapi.json", get(description))
        .merge(api)
        .merge(whip())
        .layer(map_response(hardened))
        .with_state(desk)
}

/// Spaces, and what belongs to one of them.
fn spaces() -> Router<Arc<Desk>> {
    Router::new()
        .route("/api/spaces", get(spaces::list).post(spaces::create))
        .route(
            "/api/spaces/{slug}",
            get(spaces::show).patch(spaces::edit).delete(spaces::delete),
        )
        .route(
            "/api/spaces/{slug}/hold",
            put(spaces::hold::put).delete(spaces::hold::delete),
        )
        .route("/api/spaces/{slug}/dump", post(spaces::programme::dump))
        .route("/api/spaces/{slug}/{act}", post(spaces::act))
        .route("/api/spaces/{slug}/chapters", post(spaces::chapters::mark))
        .route(
            "/api/spaces/{slug}/chapters/from-turns",
            post(spaces::chapters::mark_speeches),
        )
        .route(
            "/api/spaces/{slug}/chapters/{chapter}",
            patch(spaces::chapters::edit).delete(spaces::chapters::remove),
        )
        .route(
            "/api/spaces/{slug}/recording",
            delete(spaces::delete_recording),
        )
        .route(
            "/api/spaces/{slug}/cohosts",
            get(spaces::cohosts::list).post(spaces::cohosts::add),
        )
        .route(
            "/api/spaces/{slug}/cohosts/{cohost}",
            delete(spaces::cohosts::revoke),
        )
        .route(
            "/api/spaces/{slug}/cue",
            put(spaces::cue::begin).delete(spaces::cue::stop),
        )
        .route("/api/spaces/{slug}/turns", get(spaces::turns::show))
}

/// Seats of the stage.
fn seats() -> Router<Arc<Desk>> {
    Router::new()
        .route(
            "/api/spaces/{slug}/speakers/{seat}",
            patch(spaces::seats::set),
        )
        .route(
            "/api/spaces/{slug}/speakers/{seat}/link",
            post(spaces::renew_link).delete(spaces::seats::revoke_link),
        )
        .route(
            "/api/spaces/{slug}/speakers/{seat}/session",
            delete(spaces::seats::remove),
        )
        .route("/api/spaces/{slug}/tracks/{seat}", get(tracks::download))
}

/// Speakers and hosts who talk to the stage come in.
fn whip() -> Router<Arc<Desk>> {
    Router::new()
        .route(
            "/s/{slug}/whip",
            post(webrtc::publish).options(webrtc::preflight),
        )
        .route(
            "/s/{slug}/whip/{session}",
            delete(webrtc::leave)
                .patch(webrtc::patch)
                .options(webrtc::preflight),
        )
        .route(
            "/s/{slug}/talkback",
            post(talkback::publish).options(webrtc::preflight),
        )
        .route(
            "/s/{slug}/talkback/{session}",
            delete(webrtc::leave)
                .patch(webrtc::patch)
                .options(webrtc::preflight),
        )
        .layer(DefaultBodyLimit::max(webrtc::SDP_MAX_BYTES))
        .layer(map_response(problem::of_refusals))
        .layer(map_response(webrtc::readable_cross_origin))
}

/// The routes of the audience that need the stage.
pub(crate) fn audience_routes(desk: Arc<Desk>) -> Router {
    Router::new()
        .route(
            "/s/{slug}/whep",
            post(webrtc::subscribe).options(webrtc::preflight),
        )
        .route(
            "/s/{slug}/whep/{session}",
            delete(webrtc::leave)
                .patch(webrtc::patch)
                .options(webrtc::preflight),
        )
        .layer(DefaultBodyLimit::max(webrtc::SDP_MAX_BYTES))
        .layer(map_response(problem::of_refusals))
        .layer(map_response(webrtc::readable_cross_origin))
        .layer(map_response(hardened))
        .with_state(desk)
}

/// Whatever is answered here, a browser takes it for no more than it says it is, and shows it in nobody's frame.
async fn hardened(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
    ] {
        // Pages have a policy of their own.
        let set = headers.entry(name);
        set.or_insert(HeaderValue::from_static(value));
    }
    response
}

async fn unknown() -> StatusCode {
    StatusCode::NOT_FOUND
}

/// What was begun is done to the end, even where the client goes away in the middle of it: what is kept and what is
/// on air stay the same.
async fn to_the_end(request: Request, next: Next) -> Response {
    let answer = tokio::spawn(next.run(request)).await;
    answer.unwrap_or_else(|failure| {
        tracing::error!(%failure, "a request was not answered");
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    })
}

async fn studio(State(desk): State<Arc<Desk>>, headers: HeaderMap) -> Response {
    desk.pages.studio.respond(StatusCode::OK, &headers)
}

async fn space(
    State(desk): State<Arc<Desk>>,
    Path(slug): Path<String>,
    headers: HeaderMap,
) -> Response {
    desk.page_of(&slug, &desk.pages.space, &headers)
}

async fn speak(
    State(desk): State<Arc<Desk>>,
    Path(slug): Path<String>,
    headers: HeaderMap,
) -> Response {
    desk.page_of(&slug, &desk.pages.speak, &headers)
}

async fn description(State(desk): State<Arc<Desk>>, headers: HeaderMap) -> Response {
    desk.pages.openapi.respond(StatusCode::OK, &headers)
}

async fn asset(Path(file): Path<String>, headers: HeaderMap) -> Response {
    match pages::asset(&file) {
        Some(asset) => asset.respond(StatusCode::OK, &headers),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

impl Desk {
    /// A page for who runs a space or speaks in it, if there is such a space.
    fn page_of(&self, slug: &str, page: &Document, headers: &HeaderMap) -> Response {
        match self.origin.find(slug) {
            Some(_) => page.respond(StatusCode::OK, headers),
            None => pages::not_found().respond(StatusCode::NOT_FOUND, headers),
        }
    }

    fn space(&self, slug: &str) -> Result<Arc<SpaceHandle>, Problem> {
        self.origin
            .find(slug)
            .ok_or_else(|| Problem::unknown_space(slug))
    }

    /// Whether the request carries the operator's key.
    fn operator(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let key = bearer(headers)?;
        if key.digest() == self.operator {
            self.limits.recognise(&key);
            Ok(())
        } else {
            Err(bad_key(
                "This is not the operator's key. It lies in operator.key in the data folder.",
            ))
        }
    }

    /// What the holder of a key is in a space.
    fn role_of(&self, handle: &SpaceHandle, key: &Key) -> Result<Role, Problem> {
        if key.digest() == self.operator {
            return Ok(Role::Operator);
        }
        handle
            .admit(key)
            .map_err(|refusal| bad_key(&capitalised(&refusal.to_string())))
    }

    /// The same of who makes a request; he is at the desk thereby, where his key runs the space.
    fn role(&self, handle: &SpaceHandle, headers: &HeaderMap) -> Result<Role, Problem> {
        let key = bearer(headers)?;
        let role = self.role_of(handle, &key)?;
        self.limits.recognise(&key);
        handle.note_seen(role);
        Ok(role)
    }
}

pub(crate) fn bearer(headers: &HeaderMap) -> Result<Key, Problem> {
    let value = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok());
    let Some((scheme, key)) = value.and_then(|value| value.split_once(' ')) else {
        return Err(bad_key(
            "Send the key of your link as `Authorization: Bearer KEY`.",
        ));
    };
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(bad_key(
            "Send the key of your link as `Authorization: Bearer KEY`.",
        ));
    }
    Key::parse(key.trim()).map_err(|_| bad_key("This is not a key. Copy the whole link again."))
}

pub(crate) fn bad_key(detail: &str) -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "bad-key",
        "The key does not open this",
        detail,
    )
}

fn not_allowed(detail: &'static str) -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "not-allowed",
        "Your link does not allow this",
        detail,
    )
}

/// A sentence of ours that begins in lower case, as one that stands alone.
fn capitalised(sentence: &str) -> String {
    let mut characters = sentence.chars();
    let first = characters
        .next()
        .map(|first| first.to_uppercase().to_string())
        .unwrap_or_default();
    format!("{first}{}.", characters.as_str())
}
