//! The ladder over the API: where the node is and why, and the operator's hand on it.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use throng_air::ladder::Standing;
use throng_core::ladder::Rung;
use throng_core::ladder::reason::Reason;
use throng_core::ladder::signals::{Share, Signals};

use super::Desk;
use super::problem::Problem;
use super::spaces::{Answer, parse, uncached};

/// `{"locked": true, "rung": 3}`, or `{"locked": false}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetBody {
    locked: bool,
    rung: Option<u8>,
}

pub(super) async fn show(State(desk): State<Arc<Desk>>, headers: HeaderMap) -> Answer {
    desk.operator(&headers)?;
    Ok(desk.ladder())
}

pub(super) async fn set(State(desk): State<Arc<Desk>>, headers: HeaderMap, body: Bytes) -> Answer {
    desk.operator(&headers)?;
    let ladder = desk.origin.ladder();
    match parse(&body)? {
        SetBody {
            locked: false,
            rung: None,
        } => ladder.unlock(),
        SetBody {
            locked: true,
            rung: Some(number),
        } => ladder.lock(Rung::new(number).ok_or_else(|| no_rung(number))?),
        _ => return Err(unclear()),
    }
    Ok(desk.ladder())
}

impl Desk {
    fn ladder(&self) -> Response {
        uncached(Json(described(&self.origin.ladder().standing()))).into_response()
    }
}

fn described(standing: &Standing) -> Value {
    let decision = standing.decision;
    let reasons: Vec<_> = decision.reasons.each().map(Reason::name).collect();
    json!({
        "rung": decision.rung.number(),
        "meaning": decision.rung.words(),
        "wanted": standing.wanted.number(),
        "locked": decision.locked,
        "reasons": reasons,
        "rung_reason": decision.words(),
        "since": standing.since.to_rfc3339(),
        "signals": signals(&standing.signals),
    })
}

/// Shares go from 0 to 1.
fn signals(signals: &Signals) -> Value {
    json!({
        "lag_ms": signals.lag_ms,
        "spans": signals.spans,
        "late_spans": signals.late_spans,
        "listeners": signals.listeners,
        "blocked": signals.blocked,
        "cpu": signals.cpu.as_f64(),
        "cpu_serving": signals.cpu_serving.as_f64(),
        "cpu_waiting": signals.cpu_waiting.as_f64(),
        "memory_of_budget": signals.memory_of_budget.as_f64(),
        "memory_of_machine": signals.memory_of_machine.as_f64(),
        "memory_waiting": signals.memory_waiting.as_f64(),
        "joins": signals.joins.map(Share::as_f64),
    })
}

fn no_rung(number: u8) -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "refused",
        "This is not possible",
        format!("There is no rung {number}. Rungs are 0 (as usual) to 4 (as cheap as can be)."),
    )
}

fn unclear() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "bad-json",
        "The request cannot be read",
        "Send {\"locked\": true, \"rung\": 3} to keep a rung, or {\"locked\": false} to let it move by itself.",
    )
}
