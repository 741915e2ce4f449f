//! Answers: a status, a body, its type, and how long caches may keep it.

use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use throng_core::caching::{BRIEF, NEVER};

/// Seconds after which somebody may come again who was told so without a ticket: some are in sooner, so that all do not
/// come again at once.
const COME_AGAIN_S: Range<u32> = 5..16;

/// An answer that is whole, for whichever server gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The status.
    pub(crate) status: StatusCode,
    /// What the body is.
    pub(crate) content_type: &'static str,
    /// How long caches may keep it.
    pub(crate) cache_control: &'static str,
    /// After how many seconds to come again.
    pub(crate) retry_after_s: Option<u32>,
    /// Where it is instead.
    pub(crate) location: Option<String>,
    /// The body.
    pub(crate) body: Bytes,
}

impl Reply {
    /// `200` with a body.
    pub(crate) fn ok(
        body: impl Into<Bytes>,
        content_type: &'static str,
        cache_control: &'static str,
    ) -> Self {
        Self {
            status: StatusCode::OK,
            content_type,
            cache_control,
            retry_after_s: None,
            location: None,
            body: body.into(),
        }
    }

    /// A refusal in one plain sentence, short-lived so that a cache absorbs a storm of them.
    pub(crate) fn refuse(status: StatusCode, sentence: impl Into<Bytes>) -> Self {
        Self {
            status,
            content_type: "text/plain; charset=utf-8",
            ..Self::ok(sentence, "", BRIEF)
        }
    }

    /// `503` with the time after which to come again.
    pub(crate) fn come_again(seconds: u32, sentence: &'static str) -> Self {
        Self {
            retry_after_s: Some(seconds),
            ..Self::refuse(StatusCode::SERVICE_UNAVAILABLE, sentence)
        }
    }

    /// `307` to the same thing where there is room.
    pub(crate) fn sent_on(location: String) -> Self {
        let sentence = "This house is full; there is room in another one.\n";
        Self {
            cache_control: NEVER,
            location: Some(location),
            ..Self::refuse(StatusCode::TEMPORARY_REDIRECT, sentence)
        }
    }

    /// `503` to somebody who comes while this process lets everybody go, with a time of his own after which to come again.
    pub(crate) fn leaving() -> Self {
        Self::each_in_his_time(
            "This server is about to be restarted. Please come again in a few seconds.\n",
        )
    }

    /// `503` to somebody for whom this process has no memory; another connection may reach one that has.
    pub(crate) fn spent() -> Self {
        Self::each_in_his_time(
            "This server has no memory left for more listeners. Please come again in a few seconds.\n",
        )
    }

    fn each_in_his_time(sentence: &'static str) -> Self {
        Self {
            cache_control: NEVER,
            ..Self::come_again(come_again_s(), sentence)
        }
    }
}

impl From<Reply> for Response {
    fn from(reply: Reply) -> Self {
        let Reply {
            status,
            content_type,
            cache_control,
            retry_after_s,
            location,
            body,
        } = reply;
        let mut response = with(status, body, content_type, cache_control);
        if let Some(seconds) = retry_after_s {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        // A request that was no header would have been no request.
        if let Some(location) = location.and_then(|location| HeaderValue::try_from(location).ok()) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }
}

/// When somebody is to come again, drawn for him alone.
fn come_again_s() -> u32 {
    let [drawn, ..] = RandomState::new().hash_one(()).to_le_bytes();
    COME_AGAIN_S.start + u32::from(drawn) % (COME_AGAIN_S.end - COME_AGAIN_S.start)
}

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

/// [`Reply::refuse`] of the ordinary server.
pub(crate) fn refuse(status: StatusCode, sentence: impl Into<Bytes>) -> Response {
    Reply::refuse(status, sentence).into()
}

/// [`Reply::come_again`] of the ordinary server.
pub(crate) fn come_again(seconds: u32, sentence: &'static str) -> Response {
    Reply::come_again(seconds, sentence).into()
}
