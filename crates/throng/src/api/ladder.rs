//! The ladder over the API: where the node is and why, and the operator's hand on it.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::json;
use throng_air::ladder::Standing;
use throng_core::ladder::Rung;
use throng_core::ladder::reason::Reason;
use throng_core::ladder::signals::{Share, Signals};
use throng_core::time::UnixMillis;

use super::Desk;
use super::problem::Problem;
use super::spaces::{Answer, parse, uncached};

/// `{"locked": true, "rung": 3}`, or `{"locked": false}`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "LadderLock", transform = either)]
pub(crate) struct SetBody {
    locked: bool,
    #[schemars(range(max = Rung::DEEPEST.number()))]
    rung: Option<u8>,
}

/// Who locks says on which rung; who unlocks does not.
fn either(schema: &mut Schema) {
    let of = |locked: bool, rung: &str| json!({ "properties": { "locked": { "const": locked }, "rung": { "type": rung } } });
    let mut lock = of(true, "integer");
    lock["required"] = json!(["rung"]);
    schema.insert("oneOf".to_owned(), json!([lock, of(false, "null")]));
}

/// Where the ladder is, and why.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Ladder")]
pub(crate) struct LadderJson {
    #[schemars(range(max = Rung::DEEPEST.number()))]
    rung: u8,
    /// What it means for listeners.
    meaning: &'static str,
    /// Where the last second would move it.
    #[schemars(range(max = Rung::DEEPEST.number()))]
    wanted: u8,
    locked: bool,
    reasons: Vec<&'static str>,
    /// Why it is not 0, in words.
    rung_reason: Option<String>,
    #[schemars(with = "String", extend("format" = "date-time"))]
    since: UnixMillis,
    signals: SignalsJson,
}

/// What it is decided by. Shares go from 0 to 1.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Signals")]
struct SignalsJson {
    lag_ms: u32,
    spans: u32,
    late_spans: u32,
    listeners: u32,
    blocked: u32,
    cpu: f64,
    cpu_serving: f64,
    cpu_waiting: f64,
    memory_of_budget: f64,
    memory_of_machine: f64,
    memory_waiting: f64,
    /// Joins in flight, of those that are admitted at once; `null` where nobody bounds them.
    joins: Option<f64>,
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

fn described(standing: &Standing) -> LadderJson {
    let decision = standing.decision;
    LadderJson {
        rung: decision.rung.number(),
        meaning: decision.rung.words(),
        wanted: standing.wanted.number(),
        locked: decision.locked,
        reasons: decision.reasons.each().map(Reason::name).collect(),
        rung_reason: decision.words(),
        since: standing.since,
        signals: signals(&standing.signals),
    }
}

fn signals(signals: &Signals) -> SignalsJson {
    SignalsJson {
        lag_ms: signals.lag_ms,
        spans: signals.spans,
        late_spans: signals.late_spans,
        listeners: signals.listeners,
        blocked: signals.blocked,
        cpu: signals.cpu.as_f64(),
        cpu_serving: signals.cpu_serving.as_f64(),
        cpu_waiting: signals.cpu_waiting.as_f64(),
        memory_of_budget: signals.memory_of_budget.as_f64(),
        memory_of_machine: signals.memory_of_machine.as_f64(),
        memory_waiting: signals.memory_waiting.as_f64(),
        joins: signals.joins.map(Share::as_f64),
    }
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
