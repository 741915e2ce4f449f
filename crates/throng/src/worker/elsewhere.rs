//! What a worker does not have itself is fetched from its upstream: recordings, replays, old parts, WHEP, and the desk
//! where it shares the audience's port. Bounded, and with a clear answer while the upstream is away.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use throng_air::air::Air;
use throng_air::on_air::OnAir;
use throng_core::caching::BRIEF;
use throng_core::window::{Found, Wanted};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::upstream::{Upstream, UpstreamError};

/// Requests at the upstream at once; each is a connection there. More are asked to come again.
const FETCHES_MAX: usize = 512;
/// Of them, those for spaces that nobody here knows: a new one that has not been told yet, or a name that somebody
/// guessed. More are answered that there is no such space.
const STRANGERS_MAX: usize = 32;
/// What belongs to one connection and goes no further (RFC 9110 section 7.6.1).
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    header::EXPECT,
    header::HOST,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// The door to the upstream.
pub(super) struct Elsewhere {
    air: Arc<Air>,
    upstream: Upstream,
    /// Whether the desk shares the audience's port.
    desk: bool,
    listed: watch::Receiver<bool>,
    fetches: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
}

impl Elsewhere {
    pub(super) fn new(
        air: Arc<Air>,
        upstream: Upstream,
        desk: bool,
        listed: watch::Receiver<bool>,
    ) -> Arc<Self> {
        Arc::new(Self {
            listed,
            air,
            upstream,
            desk,
            fetches: Arc::new(Semaphore::new(FETCHES_MAX)),
            strangers: Arc::new(Semaphore::new(STRANGERS_MAX)),
        })
    }

    async fn fetch(&self, mut request: Request, place: OwnedSemaphorePermit) -> Response {
        strip(request.headers_mut());
        match self.upstream.fetch(request).await {
            Ok(answer) => {
                let (mut head, body) = answer.into_parts();
                strip(&mut head.headers);
                let pieces = Body::new(body).into_data_stream();
                // The place is given back with the last byte.
                let pieces = stream::unfold((pieces, place), |(mut pieces, place)| async {
                    Some((pieces.next().await?, (pieces, place)))
                });
                Response::from_parts(head, Body::from_stream(pieces))
            }
            Err(error) => away(&error),
        }
    }
}

/// Sends a request on its way: here, or to the upstream.
pub(super) async fn route(
    State(elsewhere): State<Arc<Elsewhere>>,
    request: Request,
    next: Next,
) -> Response {
    // Who does not know yet what there is does not say that there is nothing.
    let place = if *elsewhere.listed.borrow() {
        place_of(&elsewhere.air, elsewhere.desk, request.uri().path())
    } else {
        Place::Upstream
    };
    let places = match place {
        Place::Here => return next.run(request).await,
        Place::Unknown => &elsewhere.strangers,
        Place::Upstream => &elsewhere.fetches,
    };
    match Arc::clone(places).try_acquire_owned() {
        Ok(place) => elsewhere.fetch(request, place).await,
        Err(_) if Arc::ptr_eq(places, &elsewhere.strangers) => next.run(request).await,
        Err(_) => {
            come_again("Too many ask for this at once. Please come again in a second.\n".to_owned())
        }
    }
}

/// Who answers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// This process.
    Here,
    /// The upstream may know the space; we do not.
    Unknown,
    /// The upstream.
    Upstream,
}

fn place_of(air: &Air, desk: bool, path: &str) -> Place {
    let mut names = path.trim_start_matches('/').split('/');
    match names.next() {
        Some("s") => {}
        Some("api" | "assets" | "openapi.json" | "studio") if desk => return Place::Upstream,
        _ => return Place::Here,
    }
    let Some(slug) = names.next().filter(|slug| !slug.is_empty()) else {
        return Place::Here;
    };
    let Some(on_air) = air.find(slug) else {
        return Place::Unknown;
    };
    let rest: Vec<_> = names.collect();
    match rest.as_slice() {
        []
        | ["state.json" | "live.aac" | "live.mp4" | "live.webm"]
        | ["hls", "main.m3u8"]
        | ["hls", _, "init.mp4" | "replay.m3u8"] => Place::Here,
        ["hls", _, "event.m3u8" | "media.m3u8"] if has_window(&on_air) => Place::Here,
        ["hls", _, file] if has_window(&on_air) => match Wanted::parse(file) {
            Some(wanted) if is_in_window(&on_air, wanted) => Place::Here,
            _ => Place::Upstream,
        },
        _ => Place::Upstream,
    }
}

/// A space that was over before this process knew it has no window here.
fn has_window(on_air: &OnAir) -> bool {
    on_air.is_flowing() || !on_air.facts().space.state.is_over()
}

fn is_in_window(on_air: &OnAir, wanted: Wanted) -> bool {
    // A window into which nothing flows is filled when somebody asks.
    !on_air.is_flowing() || !matches!(on_air.window_as_it_stands().find(wanted), Found::Gone)
}

fn strip(headers: &mut HeaderMap) {
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
    headers.remove("keep-alive");
}

fn away(error: &UpstreamError) -> Response {
    tracing::debug!(%error, "the upstream did not answer");
    come_again(format!(
        "The origin of this space is away just now ({error}). The programme goes on; please come again in a second.\n"
    ))
}

/// `503` that a cache keeps for a second, so that it absorbs a storm.
fn come_again(words: String) -> Response {
    let mut answer = (StatusCode::SERVICE_UNAVAILABLE, words).into_response();
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(BRIEF));
    headers.insert(header::RETRY_AFTER, HeaderValue::from(1));
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    );
    answer
}
