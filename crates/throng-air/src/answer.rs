//! Answers and their caching (the table of DESIGN: what is immutable, what lives a second, what is never stored).

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;

/// Parts, segments, init: the same for ever under their name.
pub(crate) const IMMUTABLE: &str = "public, max-age=31536000, immutable";
/// Page, state, playlists: fresh enough for a second, and a cache takes the storm.
pub(crate) const ONE_SECOND: &str = "public, max-age=1";
/// A playlist that was waited for names its own version in the request, so that it may be kept.
pub(crate) const BLOCKING_PLAYLIST: &str = "public, max-age=24";
/// Endless streams.
pub(crate) const NEVER_STORED: &str = "no-store";

/// `200` with a body.
pub(crate) fn ok(body: impl Into<Body>, content_type: &'static str, cache_control: &'static str) -> Response {
    with(StatusCode::OK, body, content_type, cache_control)
}

/// A status with a body.
pub(crate) fn with(
    status: StatusCode,
    body: impl Into<Body>,
    content_type: &'static str,
    cache_control: &'static str,
) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache_control));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// A refusal in one plain sentence, short-lived so that a cache absorbs a storm of them.
pub(crate) fn refuse(status: StatusCode, sentence: &'static str) -> Response {
    with(status, Bytes::from_static(sentence.as_bytes()), "text/plain; charset=utf-8", ONE_SECOND)
}

/// `503` with the time after which to come again.
pub(crate) fn come_again(seconds: u32, sentence: &'static str) -> Response {
    let mut response = refuse(StatusCode::SERVICE_UNAVAILABLE, sentence);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}
