//! The cue: a countdown that everybody on stage sees, and at whose end the space goes live.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use throng_core::space::{CUE_SECONDS_MAX, CUE_SECONDS_MIN};

use super::refusals::act_problem;
use super::{Answer, parse, uncached};
use crate::api::Desk;
use crate::api::problem::Problem;
use crate::origin::SpaceHandle;

/// A countdown that is to be.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewCue")]
pub(crate) struct CueBody {
    #[schemars(range(min = CUE_SECONDS_MIN, max = CUE_SECONDS_MAX))]
    in_seconds: u32,
}

/// A countdown that runs.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Cue")]
pub(crate) struct CueJson {
    /// When the space goes live, by the clock that `now` shows.
    #[schemars(extend("format" = "date-time"))]
    at: String,
}

/// `PUT …/cue`: begins one, or begins it anew.
pub(in crate::api) async fn begin(
    State(desk): State<Arc<Desk>>,
    Path(slug): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let handle = desk.space(&slug)?;
    let actor = desk.actor(&handle, &headers)?;
    let CueBody { in_seconds } = parse(&body)?;
    let begun = handle.begin_cue(actor, in_seconds).await;
    begun.map_err(act_problem)?;
    Ok(uncached(Json(desk.describe(&handle))).into_response())
}

/// `DELETE …/cue`: stops it.
pub(in crate::api) async fn stop(
    State(desk): State<Arc<Desk>>,
    Path(slug): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let handle = desk.space(&slug)?;
    let actor = desk.actor(&handle, &headers)?;
    if !handle.stop_cue(actor).await.map_err(act_problem)? {
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            "no-cue",
            "No countdown runs",
            "There is none to stop: it is over, somebody has stopped it, or nobody has begun one.",
        ));
    }
    Ok(uncached(Json(desk.describe(&handle))).into_response())
}

/// The countdown of a space.
pub(super) fn shown(handle: &SpaceHandle) -> Option<CueJson> {
    let at = handle.cue_ends()?.to_rfc3339();
    Some(CueJson { at })
}
