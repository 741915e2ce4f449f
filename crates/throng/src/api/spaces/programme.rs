//! The host's hand on the programme: the delay, and the dump that takes back what listeners have not heard yet.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;
use throng_media::delay::Standing;

use super::refusals::act_problem;
use super::{Answer, uncached};
use crate::api::Desk;
use crate::api::problem::Problem;

/// Frames in a second.
const FRAMES_PER_SECOND: f64 = 50.0;

/// How the delay of the programme stands.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Delay")]
pub(super) struct DelayJson {
    /// What a dump takes back now.
    held_seconds: f64,
    /// Whether listeners hear soft music while the delay is built up.
    bridging: bool,
    /// Whether as much is held as was set.
    full: bool,
}

/// What was taken back.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Dump")]
pub(crate) struct DumpJson {
    /// So much of what was said; listeners never hear it.
    dumped_seconds: f64,
}

impl From<Standing> for DelayJson {
    fn from(standing: Standing) -> Self {
        Self {
            held_seconds: seconds(standing.held),
            bridging: standing.is_bridging,
            full: standing.is_full,
        }
    }
}

/// `POST …/dump`: throws away what was said and is not heard yet.
pub(in crate::api) async fn dump(
    State(desk): State<Arc<Desk>>,
    Path(slug): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let handle = desk.space(&slug)?;
    desk.actor(&handle, &headers)?;
    let frames = handle.dump().await.map_err(act_problem)?;
    if frames == 0 {
        return Err(nothing_held(&handle.space()));
    }
    Ok(uncached(Json(DumpJson {
        dumped_seconds: seconds(frames),
    })))
}

fn nothing_held(space: &throng_core::space::Space) -> Problem {
    let detail = if space.programme.delay_seconds == 0 {
        "The programme is not delayed: listeners have heard it already. Set a delay of some seconds first."
    } else {
        "Nothing is said on air now that listeners have not heard."
    };
    Problem::new(
        StatusCode::CONFLICT,
        "nothing-held",
        "There is nothing to take back",
        detail,
    )
    .in_state(space.state.name())
}

#[allow(clippy::cast_precision_loss, reason = "at most some hundred")]
fn seconds(frames: usize) -> f64 {
    frames as f64 / FRAMES_PER_SECOND
}
