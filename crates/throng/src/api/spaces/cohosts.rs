//! Cohosts: links by which others run a space with its host. Only he (and the operator) makes and revokes them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use schemars::JsonSchema;
use serde::Serialize;
use throng_core::at_desk::Runner;
use throng_core::key::COHOSTS_MAX;

use super::{Answer, uncached};
use crate::api::Desk;
use crate::api::problem::Problem;
use crate::chance;
use crate::origin::{CohostError, SpaceHandle};

/// A new cohost, with the link that is shown once.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "NewCohost")]
pub(crate) struct NewCohostJson {
    cohost: u32,
    #[schemars(extend("format" = "uri"))]
    cohost_url: String,
}

/// Who has a link that is good.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Cohosts")]
pub(crate) struct CohostsJson {
    cohosts: Vec<CohostJson>,
}

/// A cohost.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Cohost")]
struct CohostJson {
    /// By number, from 1.
    #[schemars(range(min = 1, max = COHOSTS_MAX))]
    cohost: u32,
    at_desk: bool,
}

/// Somebody who runs the space and was seen lately.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AtDesk")]
pub(crate) struct AtDeskJson {
    /// `host`, `cohost` or `operator`.
    role: &'static str,
    /// Which cohost.
    #[serde(skip_serializing_if = "Option::is_none")]
    cohost: Option<u32>,
    #[schemars(extend("format" = "date-time"))]
    seen_at: String,
}

/// `POST …/cohosts`: a link for a further cohost.
pub(in crate::api) async fn add(
    State(desk): State<Arc<Desk>>,
    Path(slug): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let handle = desk.space(&slug)?;
    desk.host(&handle, &headers)?;
    let key = chance::key();
    let cohost = handle.add_cohost(&key).await.map_err(not_made)?;
    let cohost_url = format!("{}/studio/{slug}#key={}", desk.url, key.expose());
    let made = NewCohostJson { cohost, cohost_url };
    Ok((StatusCode::CREATED, uncached(Json(made))).into_response())
}

/// `GET …/cohosts`: who has a link.
pub(in crate::api) async fn list(
    State(desk): State<Arc<Desk>>,
    Path(slug): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let handle = desk.space(&slug)?;
    desk.actor(&handle, &headers)?;
    let at_desk = handle.at_desk();
    let is_there = |cohost| {
        at_desk
            .iter()
            .any(|(who, _)| *who == Runner::Cohost(cohost))
    };
    let cohosts = handle.cohosts().into_iter().map(|cohost| CohostJson {
        cohost,
        at_desk: is_there(cohost),
    });
    let cohosts = cohosts.collect();
    Ok(uncached(Json(CohostsJson { cohosts })).into_response())
}

/// `DELETE …/cohosts/{cohost}`: the link opens nothing any more.
pub(in crate::api) async fn revoke(
    State(desk): State<Arc<Desk>>,
    Path((slug, cohost)): Path<(String, u32)>,
    headers: HeaderMap,
) -> Answer {
    let handle = desk.space(&slug)?;
    desk.host(&handle, &headers)?;
    let had_one = handle.revoke_cohost(cohost).await;
    if had_one.map_err(|error| Problem::store(&error))? {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    Err(Problem::new(
        StatusCode::NOT_FOUND,
        "unknown-cohost",
        "There is no such cohost",
        format!("This space has no cohost {cohost} with a link that is good."),
    ))
}

fn not_made(error: CohostError) -> Problem {
    match error {
        CohostError::Store(error) => Problem::store(&error),
        CohostError::Full => Problem::new(
            StatusCode::CONFLICT,
            "cohosts-full",
            "There are enough cohosts",
            crate::api::capitalised(&error.to_string()),
        ),
    }
}

/// Who is at the desk of a space.
pub(super) fn at_desk(handle: &SpaceHandle) -> Vec<AtDeskJson> {
    let shown = handle.at_desk().into_iter().map(|(runner, seen_at)| {
        let (role, cohost) = match runner {
            Runner::Host => ("host", None),
            Runner::Cohost(number) => ("cohost", Some(number)),
            Runner::Operator => ("operator", None),
        };
        AtDeskJson {
            role,
            cohost,
            seen_at: seen_at.to_rfc3339(),
        }
    });
    shown.collect()
}
