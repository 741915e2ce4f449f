//! Who talked when: turns since the space went live, and each seat's share of the talk.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use throng_core::space::Space;
use throng_core::timeline::{PART_DURATION_MS, PartIndex};
use throng_core::turns::Turns;

use super::{Answer, uncached};
use crate::api::Desk;
use crate::origin::now;

/// Which turns are asked for.
#[derive(Deserialize)]
pub(in crate::api) struct Asked {
    /// Only those of so many seconds until now.
    last_seconds: Option<u32>,
}

/// Who talked when; seconds count from the start of the recording.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Turns")]
pub(crate) struct TurnsJson {
    /// How long the space has been live.
    seconds: f64,
    /// A pause of less than so much is part of a turn.
    pause_seconds: f64,
    /// In the order in which they began.
    turns: Vec<TurnJson>,
    /// Of the whole time since it went live, in the order of the seats; who has not talked is not in it.
    shares: Vec<ShareJson>,
}

/// A seat talked.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Turn")]
struct TurnJson {
    seat: u32,
    from_seconds: f64,
    until_seconds: f64,
}

/// How much of the talk was a seat's.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Share")]
struct ShareJson {
    seat: u32,
    seconds: f64,
    /// 0 to 1; of what all talked, added up.
    #[schemars(range(min = 0, max = 1))]
    share: f64,
}

/// `GET …/turns`.
pub(in crate::api) async fn show(
    State(desk): State<Arc<Desk>>,
    Path(slug): Path<String>,
    Query(Asked { last_seconds }): Query<Asked>,
    headers: HeaderMap,
) -> Answer {
    let handle = desk.space(&slug)?;
    desk.actor(&handle, &headers)?;
    let shown = told(&handle.space(), &handle.turns(), last_seconds);
    Ok(uncached(Json(shown)).into_response())
}

fn told(space: &Space, turns: &Turns, last_seconds: Option<u32>) -> TurnsJson {
    let playing = space.part_at(now().wall);
    let live = space.live_part.unwrap_or(playing);
    let until = space.end_part.unwrap_or(playing).max(live);
    let last_parts = last_seconds.map(|last| u64::from(last) * 1_000 / PART_DURATION_MS);
    let from = last_parts.map_or(0, |last| until.0.saturating_sub(last));
    let since_live = |part: PartIndex| seconds(part.0.saturating_sub(live.0));
    let shares = turns.shares();
    let all: u64 = shares.values().sum();
    TurnsJson {
        seconds: since_live(until),
        pause_seconds: seconds(turns.pause_parts()),
        turns: turns
            .since(PartIndex(from))
            .map(|turn| TurnJson {
                seat: turn.seat.0,
                from_seconds: since_live(turn.from_part),
                until_seconds: since_live(turn.until_part),
            })
            .collect(),
        shares: shares
            .into_iter()
            .map(|(seat, parts)| ShareJson {
                seat: seat.0,
                seconds: seconds(parts),
                share: seconds(parts) / seconds(all),
            })
            .collect(),
    }
}

#[allow(clippy::cast_precision_loss, reason = "a talk of centuries is no talk")]
fn seconds(parts: u64) -> f64 {
    (parts * PART_DURATION_MS) as f64 / 1_000.0
}
