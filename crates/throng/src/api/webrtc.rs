//! WHIP (RFC 9725) for speakers and WHEP for listeners: HTTP around the stage.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use throng_core::key::Role;
use throng_stage::{Answer, Patched, SessionId, StageError};

use super::problem::Problem;
use super::{Desk, not_allowed};
use crate::origin::PublishError;

/// Largest SDP: a browser's offer for one track is about 3 KB.
pub(super) const SDP_MAX_BYTES: usize = throng_stage::OFFER_MAX_BYTES;
const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

/// `POST …/whip`: a speaker takes his seat.
pub(super) async fn publish(
    State(desk): State<Arc<Desk>>,
    Path(slug): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let handle = desk.space(&slug)?;
    let Role::Speaker(seat) = desk.role(&handle, &headers)? else {
        return Err(not_allowed(
            "This link is not a speaker's. Use one of the speaker links of the space.",
        ));
    };
    if handle.space().state.is_over() {
        return Err(over());
    }
    let offer = offer(&headers, &body)?;
    let mut answer = handle
        .publish(seat, offer)
        .await
        .map_err(|error| not_published(&error))?;
    if handle.space().sound.channels.is_stereo() {
        answer.sdp = throng_stage::asking_for_stereo(&answer.sdp);
    }
    Ok(created(
        &answer,
        &format!("/s/{slug}/whip/{}", answer.session),
    ))
}

/// `POST …/whep`: a listener under one second.
pub(super) async fn subscribe(
    State(desk): State<Arc<Desk>>,
    Path(slug): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let handle = desk.space(&slug)?;
    let space = handle.space();
    if space.state.is_over() {
        return Err(over());
    }
    if space.doors_part.is_none() {
        let detail =
            "WHEP carries the programme from doors on. Until then listen to live.webm or live.aac.";
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "before-doors",
            "Doors are not open yet",
            detail,
        )
        .in_state(space.state.name()));
    }
    let offer = sdp(&headers, &body, SDP)?;
    let answer = handle
        .subscribe(offer)
        .await
        .map_err(|error| refused(&error))?;
    Ok(created(
        &answer,
        &format!("/s/{slug}/whep/{}", answer.session),
    ))
}

/// `DELETE` on the resource. Its name is unguessable: who knows it may end it (RFC 9725 section 4.2). A client that has
/// lost its session learns by it what became of it: `410` says that the seat was taken over.
pub(super) async fn leave(
    State(desk): State<Arc<Desk>>,
    Path((slug, session)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let handle = desk.space(&slug)?;
    handle
        .leave(SessionId::from(session.as_str()))
        .await
        .map_err(|error| refused(&error))?;
    Ok((StatusCode::OK, "").into_response())
}

/// `PATCH` on the resource: trickled candidates, or an ICE restart.
pub(super) async fn patch(
    State(desk): State<Arc<Desk>>,
    Path((slug, session)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let handle = desk.space(&slug)?;
    let fragment = sdp(&headers, &body, FRAGMENT)?;
    let if_match = headers
        .get(header::IF_MATCH)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let patched = handle
        .patch(SessionId::from(session.as_str()), if_match, fragment)
        .await;
    match patched.map_err(|error| refused(&error))? {
        Patched::Trickled => Ok(StatusCode::NO_CONTENT.into_response()),
        Patched::Restarted { fragment, etag } => {
            let mut response = (StatusCode::OK, fragment).into_response();
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, HeaderValue::from_static(FRAGMENT));
            response.headers_mut().insert(header::ETAG, visible(&etag));
            Ok(response)
        }
    }
}

/// `OPTIONS`: what a page from elsewhere may do.
pub(super) async fn preflight() -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("POST, PATCH, DELETE, OPTIONS"),
    );
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("authorization, content-type, if-match"),
    );
    headers.insert(
        header::ACCESS_CONTROL_MAX_AGE,
        HeaderValue::from_static("86400"),
    );
    headers.insert("accept-post", HeaderValue::from_static(SDP));
    response
}

/// Speakers' pages and players may come from anywhere: the key is what admits, no cookie is read.
pub(super) async fn readable_cross_origin(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    );
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("location, etag, link, retry-after"),
    );
    response
}

pub(super) fn created(answer: &Answer, location: &str) -> Response {
    let mut response = (StatusCode::CREATED, answer.sdp.clone()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(SDP));
    headers.insert(header::LOCATION, visible(location));
    headers.insert(header::ETAG, visible(&answer.etag));
    headers.insert("accept-patch", HeaderValue::from_static(FRAGMENT));
    response
}

fn visible(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("slugs, session ids and tags are visible ASCII")
}

/// The body as text, if it says that it is what is expected.
fn sdp(headers: &HeaderMap, body: &Bytes, expected: &'static str) -> Result<String, Problem> {
    let given = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if !given
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .eq_ignore_ascii_case(expected)
    {
        let detail = format!("The body must be {expected}; Content-Type says {given:?}.");
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "media-type",
            "This is not SDP",
            detail,
        ));
    }
    String::from_utf8(body.to_vec()).map_err(|_| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "bad-sdp",
            "The SDP cannot be read",
            "It is not valid UTF-8.",
        )
    })
}

/// The offer that a body is.
pub(super) fn offer(headers: &HeaderMap, body: &Bytes) -> Result<String, Problem> {
    sdp(headers, body, SDP)
}

/// Why nobody was connected to the stage.
pub(super) fn not_published(error: &PublishError) -> Problem {
    match error {
        PublishError::Stage(error) => refused(error),
        PublishError::Locked => locked(),
        PublishError::Over => over(),
        PublishError::Pipeline(error) => Problem::programme(error),
        PublishError::TalkbackFull => Problem::new(
            StatusCode::CONFLICT,
            "talkback-full",
            "Others talk to the stage already",
            super::capitalised(&error.to_string()),
        ),
    }
}

pub(super) fn over() -> Problem {
    let detail = "The stage is closed: the space has ended or was cancelled.";
    Problem::new(StatusCode::CONFLICT, "over", "The space is over", detail)
}

fn locked() -> Problem {
    let detail = "The host has locked it: nobody new takes a seat now. Ask the host to unlock it, then join again.";
    Problem::new(
        StatusCode::FORBIDDEN,
        "stage-locked",
        "The stage is locked",
        detail,
    )
}

fn refused(error: &StageError) -> Problem {
    let status =
        StatusCode::from_u16(error.status()).expect("the stage answers with statuses of HTTP");
    let (kind, title) = match error {
        StageError::Removed => ("removed", "You were taken off the stage"),
        StageError::Replaced => ("replaced", "The seat was taken over"),
        _ => ("stage", "The connection was refused"),
    };
    let problem = Problem::new(status, kind, title, super::capitalised(&error.to_string()));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        problem.retry_after(5)
    } else {
        problem
    }
}
