//! The hold programme of a space: the node's, or a sound file of the host's.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::Serialize;
use throng_air::accept::{Patience, came_late};
use throng_core::space::{self, Space};

use super::{Answer, uncached};
use crate::api::problem::Problem;
use crate::api::{Desk, capitalised};
use crate::origin::{HOLD_BYTES_MAX, OwnHoldError, SpaceHandle};

/// A line that takes longer for 30 MB is too slow to wait for; the place is another's.
const UPLOAD_MAX: Duration = Duration::from_mins(2);
/// Who passes a file on waits longer for the answer: until the desk has given it up, or has decoded ten minutes of sound.
pub(crate) const ANSWER_MAX: Duration = Duration::from_mins(3);
/// The path under a space at which a file is taken.
pub(crate) const PATH: &str = "/hold";

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
    patience: Option<Extension<Patience>>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let handle = desk.space(&slug)?;
    desk.actor(&handle, &headers)?;
    before_the_talk(&handle.space())?;
    let Some(turn) = handle.player.turn() else {
        return Err(refused(&OwnHoldError::Busy));
    };
    let bytes = received(patience, body).await?;
    // It can have gone live while the file was on its way.
    before_the_talk(&handle.space())?;
    let taken = handle.player.take(turn, bytes.into()).await;
    taken.map_err(|error| refused(&error))?;
    Ok(uncached(Json(desk.describe(&handle))))
}

/// Whether a request brings a file, if it may.
pub(crate) fn is_upload(method: &Method, path: &str) -> bool {
    *method == Method::PUT && path.starts_with("/api/spaces/") && path.ends_with(PATH)
}

/// The whole file, of somebody who has shown a host's key and the turn to send one.
async fn received(patience: Option<Extension<Patience>>, body: Body) -> Result<Bytes, Problem> {
    if let Some(Extension(patience)) = patience {
        patience.extend(UPLOAD_MAX);
    }
    let bytes = to_bytes(body, HOLD_BYTES_MAX).await;
    bytes.map_err(|error| {
        if came_late(&error) {
            too_slow()
        } else {
            too_large()
        }
    })
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
        OwnHoldError::Over => {
            Problem::new(StatusCode::CONFLICT, "over", "The space is over", detail)
        }
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

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::response::IntoResponse;
    use axum::routing::put;
    use throng_air::accept::requests;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::sync::watch;
    use tokio::time::timeout;

    use super::*;

    /// What somebody is answered who sends the beginning of a file of nine bytes, and more after this pause.
    async fn answered(sent: &[u8], pause: Duration, more: &[u8]) -> String {
        let take = |patience: Option<Extension<Patience>>, body: Body| async move {
            match received(patience, body).await {
                Ok(bytes) => format!("{} bytes", bytes.len()).into_response(),
                Err(problem) => problem.into_response(),
            }
        };
        let (mut theirs, ours) = duplex(1_024);
        let (_open, closing) = watch::channel(false);
        let mut served = tokio::spawn(requests(ours, Router::new().route("/", put(take)), closing));
        let head =
            b"PUT / HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: 9\r\n\r\n";
        theirs.write_all(head).await.unwrap();
        theirs.write_all(sent).await.unwrap();
        // It may be over by then: what was answered is read below.
        let _ = timeout(pause, &mut served).await;
        let _ = theirs.write_all(more).await;
        let mut answer = String::new();
        theirs.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_has_two_minutes_and_is_told_what_is_wrong_with_it() {
        let a_while = Duration::from_secs(100);
        let taken = answered(b"a slow", a_while, b"one").await;
        assert!(taken.ends_with("9 bytes"), "{taken}");
        let never = answered(b"a slow", a_while, b"ly").await;
        assert!(never.starts_with("HTTP/1.1 408 "), "{never}");
        let large = received(None, Body::from(vec![0; HOLD_BYTES_MAX + 1])).await;
        let large = large.unwrap_err().into_response();
        assert_eq!(large.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[test]
    fn a_file_is_told_from_its_path() {
        for (method, path, is_one) in [
            (Method::PUT, "/api/spaces/a/hold", true),
            (Method::DELETE, "/api/spaces/a/hold", false),
            (Method::PUT, "/s/a/hold", false),
            (Method::PUT, "/api/spaces/a/cue", false),
        ] {
            assert_eq!(is_upload(&method, path), is_one, "{method} {path}");
        }
    }
}
