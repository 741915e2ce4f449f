//! Answers: a status, a body, its type, and how long caches may keep it.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use throng_core::caching::{BRIEF, NEVER};

use crate::room;

/// `200` with a body.
pub(crate) fn ok(
    body: impl Into<Body>,
    content_type: &'static str,
    cache_control: &'static str,
) -> Response {
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
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static(cache_control),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

/// A refusal in one plain sentence, short-lived so that a cache absorbs a storm of them.
pub(crate) fn refuse(status: StatusCode, sentence: impl Into<Body>) -> Response {
    with(status, sentence, "text/plain; charset=utf-8", BRIEF)
}

/// `503` to somebody who finds the house full.
pub(crate) fn full() -> Response {
    let seconds = room::come_again_s();
    let body = room::full(seconds);
    let mut response = with(
        StatusCode::SERVICE_UNAVAILABLE,
        body,
        "application/json",
        NEVER,
    );
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// `503` with the time after which to come again.
pub(crate) fn come_again(seconds: u32, sentence: &'static str) -> Response {
    let mut response = refuse(StatusCode::SERVICE_UNAVAILABLE, sentence);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}
