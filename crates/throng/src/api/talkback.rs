//! Talkback: a host talks to the stage off air, over WHIP at a door of its own.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use throng_media::mixer::{Ears, SeatId};

use super::problem::Problem;
use super::spaces::seats::known_seat;
use super::webrtc::{created, not_published, offer, over};
use super::{Desk, bearer};

/// Whom it is for.
#[derive(Deserialize)]
pub(super) struct To {
    /// `all`, or the number of a seat.
    #[serde(default = "all")]
    to: String,
}

fn all() -> String {
    "all".to_owned()
}

/// `POST …/talkback`: a host has a line to one seat of the stage or to all.
pub(super) async fn publish(
    State(desk): State<Arc<Desk>>,
    Path(slug): Path<String>,
    Query(To { to }): Query<To>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let handle = desk.space(&slug)?;
    desk.actor(&handle, &headers)?;
    let space = handle.space();
    if space.state.is_over() {
        return Err(over());
    }
    let ears = match (to.as_str(), to.parse()) {
        ("all", _) => Ears::All,
        (_, Ok(seat)) => Ears::Seat(SeatId(known_seat(&space, seat)?.0)),
        (_, Err(_)) => return Err(nobody(&to)),
    };
    let offer = offer(&headers, &body)?;
    let key = bearer(&headers)?.digest();
    let answer = handle
        .talk_back(key, ears, offer)
        .await
        .map_err(|error| not_published(&error))?;
    if let Err(refusal) = desk.actor(&handle, &headers) {
        // His link was taken back while he connected, and nobody has seen his line by then.
        let _ = handle.leave(answer.session).await;
        return Err(refusal);
    }
    Ok(created(
        &answer,
        &format!("/s/{slug}/talkback/{}", answer.session),
    ))
}

fn nobody(to: &str) -> Problem {
    let detail = format!("`to` is `all` or the number of a seat, not {to:?}.");
    Problem::new(
        StatusCode::BAD_REQUEST,
        "bad-query",
        "It is not said whom it is for",
        detail,
    )
}
