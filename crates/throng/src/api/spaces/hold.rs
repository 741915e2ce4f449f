//! The hold programme of a space: the node's, or a sound file of the host's.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;
use throng_core::space::{self, Space};
use tokio::time::timeout;

use super::{Answer, uncached};
use crate::api::problem::Problem;
use crate::api::{Desk, capitalised};
use crate::origin::{HOLD_BYTES_MAX, OwnHoldError, SpaceHandle};

/// A line that takes longer for 30 MB is too slow to wait for; the place is another's.
const UPLOAD_MAX: Duration = Duration::from_mins(2);

/// What is heard before the stage is.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Hold")]
pub(super) struct HoldJson {
    /// Whether the host has given a file.
    own: bool,
    /// Whether it is played; until it is encoded, the node's own is.
    ready: bool,
    /// How long it is, once round.
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<u64>,
}

impl HoldJson {
    pub(super) fn of(handle: &SpaceHandle) -> Self {
        let own = handle.player.own();
        Self {
            own: own.is_some(),
            ready: own.as_ref().is_none_or(|own| own.is_ready()),
            seconds: own.map(|own| own.seconds),
        }
    }
}

/// `PUT …/hold`: takes a sound file. Whoever has not shown a host's key is refused before a byte of it is read.
pub(in crate::api) async fn put(
    State(desk): State<Arc<Desk>>,
    Path(slug): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let handle = desk.space(&slug)?;
    desk.actor(&handle, &headers)?;
    before_the_talk(&handle.space())?;
    let Some(turn) = handle.player.turn() else {
        return Err(refused(&OwnHoldError::Busy));
    };
    let bytes = match timeout(UPLOAD_MAX, to_bytes(body, HOLD_BYTES_MAX)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(_)) => return Err(too_large()),
        Err(_) => return Err(too_slow()),
    };
    let taken = handle.player.take(turn, bytes.into()).await;
    taken.map_err(|error| refused(&error))?;
    Ok(uncached(Json(desk.describe(&handle))))
}

/// `DELETE …/hold`: the node's own is played again.
pub(in crate::api) async fn delete(
    State(desk): State<Arc<Desk>>,
    Path(slug): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let handle = desk.space(&slug)?;
    desk.actor(&handle, &headers)?;
    let gone = handle.player.give_up().await;
    gone.map_err(|error| refused(&OwnHoldError::Io(error)))?;
    Ok(uncached(Json(desk.describe(&handle))))
}

fn before_the_talk(space: &Space) -> Result<(), Problem> {
    match space.state {
        space::State::Announced | space::State::Doors => Ok(()),
        state => Err(Problem::new(
            StatusCode::CONFLICT,
            "does-not-follow",
            "This step does not follow",
            "Hold music is heard before the stage is. It can be changed until you go live.",
        )
        .in_state(state.name())),
    }
}

fn refused(error: &OwnHoldError) -> Problem {
    let detail = capitalised(&error.to_string());
    match error {
        OwnHoldError::Loop(_) | OwnHoldError::Sound(_) | OwnHoldError::TooLong => Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "refused",
            "This file cannot be hold music",
            detail,
        ),
        OwnHoldError::Full => Problem::new(
            StatusCode::CONFLICT,
            "full",
            "There is no room for another hold file",
            detail,
        ),
        OwnHoldError::Busy => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "busy",
            "Another file is being taken",
            detail,
        )
        .retry_after(5),
        OwnHoldError::Io(_) => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "not-kept",
            "The file could not be kept",
            detail,
        )
        .retry_after(5),
    }
}

fn too_large() -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "too-large",
        "The file is too large",
        "A hold file has at most 30 MB. Convert it to MP3 or Ogg, or cut it.",
    )
}

fn too_slow() -> Problem {
    Problem::new(
        StatusCode::REQUEST_TIMEOUT,
        "too-slow",
        "The file did not come in time",
        "It has to be here within two minutes. Convert it to MP3 or Ogg, or use another network.",
    )
}
