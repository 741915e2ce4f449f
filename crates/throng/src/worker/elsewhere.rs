//! What a worker does not have itself is fetched from its upstream: recordings, replays, old parts, WHEP, and the desk
//! where it shares the audience's port. Bounded, and with a clear answer while the upstream is away.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use throng_air::air::Air;
use throng_air::on_air::OnAir;
use throng_core::caching::{BRIEF, IMMUTABLE};
use throng_core::slug::Slug;
use throng_core::window::{Found, Wanted};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::shelf::{Segment, Shelf};
use super::upstream::{Upstream, UpstreamError};
use crate::api::spaces::hold;

/// Requests at the upstream at once; each is a connection there. More are asked to come again.
const FETCHES_MAX: usize = 512;
/// Longest segment: 31 KB at the highest rate, with room.
const SEGMENT_MAX_BYTES: usize = 256 << 10;
/// Longest body that the upstream takes, but for files: an offer. Of one that is longer a byte more is sent on, for the upstream
/// to refuse it in its own words.
const BODY_MAX_BYTES: usize = throng_stage::OFFER_MAX_BYTES;
/// Of a longer body so much is read and forgotten, so that its sender comes to hear of it.
const READ_MAX_BYTES: usize = 1 << 20;
/// Questions at once for spaces that are not known here: a new one that has not been told yet, or a name that somebody
/// guessed. More are answered that there is no such space.
const STRANGERS_MAX: usize = 32;
/// Time for the feed to tell of a space that the upstream knows.
const TELL_MAX: Duration = Duration::from_secs(2);
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
    shelf: Shelf,
    fetches: Arc<Semaphore>,
    strangers: Semaphore,
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
            shelf: Shelf::default(),
            fetches: Arc::new(Semaphore::new(FETCHES_MAX)),
            strangers: Semaphore::new(STRANGERS_MAX),
        })
    }

    /// The upstream's answer to a request.
    async fn fetch(&self, request: Request) -> Response {
        let Ok(place) = Arc::clone(&self.fetches).try_acquire_owned() else {
            let words = "Too many ask for this at once. Please come again in a second.\n";
            return come_again(words.to_owned());
        };
        let Ok(mut request) = with_body(request).await else {
            let words = "What you sent did not come to its end. Please try again.\n";
            return (StatusCode::REQUEST_TIMEOUT, words).into_response();
        };
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

    /// A segment or part that has left the window, or one of the replay: fetched once for all who ask.
    async fn segment(&self, request: Request) -> Response {
        let path = request.uri().path().to_owned();
        let fetch = async {
            let answer = self.fetch(request).await;
            let caching = answer.headers().get(header::CACHE_CONTROL);
            if answer.status() != StatusCode::OK || caching.is_none_or(|value| value != IMMUTABLE) {
                return Err(answer);
            }
            let (mut head, body) = answer.into_parts();
            head.headers.remove(header::DATE);
            let bytes = to_bytes(body, SEGMENT_MAX_BYTES).await;
            let bytes = bytes.map_err(|_| {
                come_again("The origin broke off. Please come again in a second.\n".to_owned())
            })?;
            Ok(Segment {
                headers: head.headers,
                bytes,
            })
        };
        match self.shelf.take(&path, fetch).await {
            Ok(Segment { headers, bytes }) => {
                let mut answer = Response::new(Body::from(bytes));
                *answer.headers_mut() = headers;
                answer
            }
            Err(answer) => answer,
        }
    }
}

/// Sends a request on its way: here, or to the upstream.
pub(super) async fn route(
    State(elsewhere): State<Arc<Elsewhere>>,
    request: Request,
    next: Next,
) -> Response {
    let mut place = elsewhere.place_of(request.uri().path());
    if let Place::Unknown(slug) = place {
        if let Err(answer) = elsewhere.introduce(&slug).await {
            return answer;
        }
        place = elsewhere.place_of(request.uri().path());
    }
    // Who asks a space that nobody knows for more than a look is told so by who knows how.
    let looks = matches!(*request.method(), Method::GET | Method::HEAD);
    let is_here = match place {
        Place::Here => true,
        Place::Nameless | Place::Unknown(_) => looks,
        Place::Upstream => false,
    };
    if is_here {
        return next.run(request).await;
    }
    let extension = request.uri().path().rsplit('.').next();
    if request.method() == Method::GET && extension == Some("m4s") {
        elsewhere.segment(request).await
    } else {
        elsewhere.fetch(request).await
    }
}

/// Who answers a request.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// This process.
    Here,
    /// No space can have this name.
    Nameless,
    /// The upstream may know this space; we do not.
    Unknown(Slug),
    /// The upstream.
    Upstream,
}

impl Elsewhere {
    fn place_of(&self, path: &str) -> Place {
        // Who does not know yet what there is does not say that there is nothing.
        if !*self.listed.borrow() {
            return Place::Upstream;
        }
        let mut names = path.trim_start_matches('/').split('/');
        match names.next() {
            Some("s") => {}
            Some("api" | "assets" | "openapi.json" | "studio") if self.desk => {
                return Place::Upstream;
            }
            _ => return Place::Here,
        }
        let Some(slug) = names.next().and_then(|name| Slug::parse(name).ok()) else {
            return Place::Nameless;
        };
        let rest: Vec<_> = names.collect();
        match self.air.find(slug.as_str()) {
            Some(on_air) if is_here(&on_air, &rest) => Place::Here,
            Some(_) => Place::Upstream,
            None => Place::Unknown(slug),
        }
    }

    /// Asks the upstream whether there is such a space, and if so waits until the feed has told of it.
    async fn introduce(&self, slug: &Slug) -> Result<(), Response> {
        // Where too many ask for what nobody knows, there is no such thing.
        let Ok(_place) = self.strangers.try_acquire() else {
            return Ok(());
        };
        let question = Request::get(format!("/s/{slug}/state.json")).body(Body::empty());
        let question = question.expect("the path of a space is valid");
        let answer = self.upstream.fetch(question).await;
        if answer.map_err(|error| away(&error))?.status() == StatusCode::OK {
            let mut spaces = self.air.spaces();
            let told = spaces.wait_for(|spaces| spaces.contains_key(slug.as_str()));
            // A feed that is late answers as if there were none yet.
            let _ = timeout(TELL_MAX, told).await;
        }
        Ok(())
    }
}

/// Whether a worker answers this of a space from what it has. A space that was over before the worker knew it has no
/// window here; and what has left the window is gone from here.
fn is_here(on_air: &OnAir, rest: &[&str]) -> bool {
    let space = on_air.facts().space;
    let has_window = on_air.is_flowing() || !space.state.is_over();
    match rest {
        // A recording that is gone is gone here, whatever lies on the shelf.
        ["hls", ..] | ["recording.m4a" | "recording.mp4"] if space.recording_deleted.is_some() => {
            true
        }
        []
        | ["chapters.json" | "state.json" | "live.aac" | "live.mp4" | "live.webm"]
        | ["hls", "main.m3u8"]
        | ["hls", _, "init.mp4" | "replay.m3u8"] => true,
        ["hls", _, "event.m3u8" | "media.m3u8"] => has_window,
        ["hls", _, file] => {
            has_window && Wanted::parse(file).is_some_and(|wanted| is_in_window(on_air, wanted))
        }
        _ => false,
    }
}

/// A window into which nothing flows is filled when somebody asks.
fn is_in_window(on_air: &OnAir, wanted: Wanted) -> bool {
    !on_air.is_flowing() || !matches!(on_air.window_as_it_stands().find(wanted), Found::Gone)
}

/// A request with as much of its body as the upstream needs to judge it. All of it is read before any is sent on: an upstream
/// that has read enough answers and closes, and who still writes to it then never reads the answer. Files go on as they
/// come.
async fn with_body(request: Request) -> Result<Request, axum::Error> {
    let (mut head, body) = request.into_parts();
    if body.is_end_stream() || hold::is_upload(&head.method, head.uri.path()) {
        return Ok(Request::from_parts(head, body));
    }
    let (mut kept, mut read, mut pieces) = (Vec::new(), 0, body.into_data_stream());
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        let room = BODY_MAX_BYTES + 1 - kept.len();
        kept.extend_from_slice(&piece[..piece.len().min(room)]);
        read += piece.len();
        if read > READ_MAX_BYTES {
            break;
        }
    }
    head.headers.remove(header::CONTENT_LENGTH);
    Ok(Request::from_parts(head, Body::from(kept)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn of_a_body_goes_on_what_the_upstream_needs_to_judge_it() {
        let sent_on = async |method: Method, path: &str, length: usize| {
            let pieces = stream::iter((0..length).step_by(1000).map(move |at| {
                Ok::<_, std::convert::Infallible>(vec![b'x'; (length - at).min(1000)])
            }));
            let request = Request::builder().method(method).uri(path);
            let request = request.body(Body::from_stream(pieces)).unwrap();
            let request = with_body(request).await.unwrap();
            to_bytes(request.into_body(), usize::MAX)
                .await
                .unwrap()
                .len()
        };
        for (length, goes_on) in [
            (0, 0),
            (5, 5),
            (BODY_MAX_BYTES, BODY_MAX_BYTES),
            (BODY_MAX_BYTES + 1, BODY_MAX_BYTES + 1),
            (10 * BODY_MAX_BYTES, BODY_MAX_BYTES + 1),
            (2 * READ_MAX_BYTES, BODY_MAX_BYTES + 1),
        ] {
            assert_eq!(sent_on(Method::POST, "/s/a/whep", length).await, goes_on);
        }
        let file = sent_on(Method::PUT, "/api/spaces/a/hold", 10 * BODY_MAX_BYTES).await;
        assert_eq!(file, 10 * BODY_MAX_BYTES);
    }
}
