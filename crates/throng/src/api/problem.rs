//! What went wrong, as `application/problem+json` (RFC 9457): what, where, and what to do.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use crate::store::StoreError;

/// What went wrong (RFC 9457).
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Problem {
    /// `urn:throng:problem:` and the kind.
    #[serde(rename = "type")]
    #[schemars(extend("format" = "uri"))]
    kind: String,
    title: &'static str,
    #[serde(serialize_with = "number")]
    #[schemars(with = "u16")]
    status: StatusCode,
    /// What to do about it.
    detail: String,
    /// The present state of the space, where a step does not follow from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    #[serde(skip)]
    retry_after_seconds: Option<u32>,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde asks for"
)]
fn number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl Problem {
    /// A problem of a kind (the last part of its `type`).
    pub(crate) fn new(
        status: StatusCode,
        kind: &str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            kind: format!("urn:throng:problem:{kind}"),
            title,
            status,
            detail: detail.into(),
            state: None,
            retry_after_seconds: None,
        }
    }

    /// With the present state of the space.
    pub(crate) fn in_state(mut self, state: &'static str) -> Self {
        self.state = Some(state);
        self
    }

    /// With the time after which to try again.
    pub(crate) fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// `404` for a slug that no space has.
    pub(crate) fn unknown_space(slug: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "unknown-space",
            "There is no such space",
            format!(
                "No space has the slug {slug:?}. Check the link, or list the spaces with GET /api/spaces."
            ),
        )
    }

    /// What the server refuses before any of our own code reads it.
    fn of_status(status: StatusCode) -> Self {
        let (kind, title, detail) = match status {
            StatusCode::METHOD_NOT_ALLOWED => (
                "method",
                "This is not done here",
                "The path exists, but not with this method. The Allow header lists those that it has.",
            ),
            StatusCode::NOT_FOUND => (
                "unknown-path",
                "There is nothing here",
                "No part of the API has this path. Check its spelling.",
            ),
            StatusCode::PAYLOAD_TOO_LARGE => (
                "too-large",
                "The body is too large",
                "It is larger than anything that is read here. Nothing was changed.",
            ),
            StatusCode::RANGE_NOT_SATISFIABLE => (
                "range",
                "The range begins behind the end",
                "The file is shorter than that. Content-Range says how long it is.",
            ),
            status if status.is_client_error() => (
                "bad-request",
                "The request cannot be read",
                "Its path or its body is malformed, or the body did not come in time. Nothing was changed.",
            ),
            _ => (
                "failure",
                "Something failed here",
                "It was not your fault. Look at the present state before you try again.",
            ),
        };
        Self::new(status, kind, title, detail)
    }

    /// `503` where the database took no change; nothing has changed.
    pub(crate) fn store(error: &StoreError) -> Self {
        tracing::error!(%error, "the store failed");
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "store",
            "The change could not be kept",
            format!(
                "{} So the change was not made. The programme is not affected. Try again.",
                error.reason()
            ),
        )
        .retry_after(2)
    }

    /// `503` where no thread could be had for a programme.
    pub(crate) fn programme(error: &dyn std::error::Error) -> Self {
        tracing::error!(%error, "the programme could not begin");
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "programme",
            "The programme could not begin",
            "A step that was asked for is kept, and the programme is tried again every ten seconds. The machine gave \
             it no thread: ask its operator to look at its memory.",
        )
        .retry_after(10)
    }
}

const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Turns refusals that are not ours (unknown methods, bodies too large) into problems.
pub(crate) async fn of_refusals(response: Response) -> Response {
    let status = response.status();
    let refused = status.is_client_error() || status.is_server_error();
    if !refused || response.headers().get(header::CONTENT_TYPE) == Some(&PROBLEM) {
        return response;
    }
    let mut problem = Problem::of_status(status).into_response();
    for name in [header::ALLOW, header::CONTENT_RANGE] {
        if let Some(told) = response.headers().get(&name) {
            problem.headers_mut().insert(name, told.clone());
        }
    }
    problem
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status;
        let retry_after = self.retry_after_seconds;
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, PROBLEM);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
