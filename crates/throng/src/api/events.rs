//! `GET /api/spaces/{slug}/events`: what happens in a space, as it happens.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use futures_util::stream;

use super::problem::Problem;
use super::spaces::Answer;
use super::{Desk, bearer};

/// A stream whose like are too many is told to come again after so many seconds.
const COME_AGAIN_S: u32 = 10;

pub(super) async fn follow(
    State(desk): State<Arc<Desk>>,
    Path(slug): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let handle = desk.space(&slug)?;
    desk.actor(&handle, &headers)?;
    // What is no number of ours is as good as none.
    let last = headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok()?.parse().ok());
    let frames = desk.follow(&handle, bearer(&headers)?, last);
    let frames = frames.ok_or_else(full)?;
    let pieces = stream::unfold(frames, |mut frames| async move {
        Some((Ok::<_, std::io::Error>(frames.recv().await?), frames))
    });
    let mut response = Body::from_stream(pieces).into_response();
    let headers = response.headers_mut();
    let put = |headers: &mut HeaderMap, name, value| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    put(headers, header::CONTENT_TYPE, "text/event-stream");
    put(headers, header::CACHE_CONTROL, "no-store");
    // nginx would hold events back until a buffer is full.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

fn full() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "too-many-streams",
        "Too many follow already",
        "There are as many streams of events as this space or this node has room for. Close one that is not needed, or \
         ask for the space now and again instead.",
    )
    .retry_after(COME_AGAIN_S)
}
