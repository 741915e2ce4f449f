//! The internal address: metrics, and whether the node is alive and ready. For operators, not for the world.

use std::sync::{Arc, OnceLock};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use throng_air::air::Air;
use throng_air::ledger::{Account, Accounts, Closed, Door, Refused};

use super::gathered::Gathered;
use crate::api::Desk;

/// The label that names a worker.
const WORKER: &str = "worker";
/// Counters of what should never happen. They are there before it does: only so is the first time a rise that an alert sees.
const NEVER_MET: [&str; 15] = [
    "throng_archive_dropped_parts_total",
    "throng_archive_errors_total",
    "throng_archive_gap_parts_total",
    "throng_archive_late_parts_total",
    "throng_clock_steps_total",
    "throng_encoder_dropped_frames_total",
    "throng_feed_cut_off_total",
    "throng_mixer_late_ticks_total",
    "throng_mixer_missed_frames_total",
    "throng_speakers_guessed_samples_total",
    "throng_speakers_packets_lost_total",
    crate::api::audit::LOST,
    "throng_store_errors_total",
    "throng_track_dropped_frames_total",
    "throng_track_errors_total",
];
/// What the stage counts that can fall again.
const STAGE_GAUGES: &[&str] = &["speakers", "listeners", "tcp_connections"];

/// The routes of the internal address.
pub(super) fn routes(
    (metrics, gathered): (PrometheusHandle, Arc<Gathered>),
    desk: Arc<Desk>,
    air: &Arc<Air>,
) -> Router {
    let air = Arc::clone(air);
    Router::new()
        .route("/ledger.json", get(move || async move { ledger(&air) }))
        .route(
            "/metrics",
            get(move |State(desk): State<Arc<Desk>>| async move {
                gathered.with(&render(&metrics, &desk))
            }),
        )
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(desk)
}

/// What the doors of every worker and edge have counted, in sum and second by second.
pub(crate) fn ledger(air: &Air) -> Json<Value> {
    let consumers = air.reports().consumers();
    let workers: Vec<_> = consumers
        .iter()
        .map(|consumer| {
            let seconds = consumer.seconds.iter().map(|second| {
                json!({ "unix_seconds": second.unix_seconds, "doors": accounts(&second.accounts) })
            });
            json!({
                "worker": consumer.place,
                "doors": accounts(&consumer.accounts),
                "seconds": seconds.collect::<Vec<_>>(),
            })
        })
        .collect();
    Json(json!({ "workers": workers }))
}

fn accounts(accounts: &Accounts) -> Value {
    let doors = Door::ALL.into_iter().zip(accounts);
    doors
        .map(|(door, account)| (door.name().to_owned(), self::account(account)))
        .collect()
}

fn account(account: &Account) -> Value {
    let refused: Value = Refused::ALL
        .into_iter()
        .zip(account.refused)
        .map(|(reason, sum)| (reason.name().to_owned(), Value::from(sum)))
        .collect();
    let closed: Value = Closed::ALL
        .into_iter()
        .zip(account.closed)
        .map(|(reason, sum)| (reason.name().to_owned(), Value::from(sum)))
        .collect();
    json!({
        "arrived": account.arrived, "admitted": account.admitted, "failed": account.failed, "refused": refused,
        "pending": account.pending(), "closed": closed, "held": account.held(),
        "delivered_samples": account.delivered_samples,
    })
}

/// The metrics of an edge.
pub(crate) fn render_edge(metrics: &PrometheusHandle, air: &Air) -> String {
    let spaces = air.spaces().borrow().clone();
    let listening = spaces.values().map(|on_air| on_air.counts_here().listening);
    metrics::gauge!("throng_air_listening").set(as_gauge(listening.sum()));
    metrics::gauge!("throng_spaces").set(as_gauge(spaces.len() as u64));
    metrics.run_upkeep();
    metrics.render()
}

/// Counters of the stage and counts of listeners are read when somebody asks.
fn render(metrics: &PrometheusHandle, desk: &Desk) -> String {
    for (name, value) in desk.origin.stage_counters().entries() {
        if STAGE_GAUGES.contains(&name) {
            metrics::gauge!(format!("throng_stage_{name}")).set(as_gauge(value));
        } else {
            metrics::counter!(format!("throng_stage_{name}_total")).absolute(value);
        }
    }
    let spaces = desk.origin.list();
    let listening: u64 = spaces
        .iter()
        .map(|handle| handle.on_air.counts().listening)
        .sum();
    metrics::gauge!("throng_air_listening").set(as_gauge(listening));
    metrics::gauge!("throng_spaces").set(as_gauge(spaces.len() as u64));
    let spoilt = spaces.iter().map(|handle| handle.spoilt_parts()).sum();
    metrics::counter!("throng_archive_spoilt_parts_total").absolute(spoilt);
    alarms("ladder", desk.origin.ladder_alarm().iter().count() as u64);
    let recordings = spaces
        .iter()
        .filter(|handle| handle.recording_alarm().is_some());
    alarms("recording", recordings.count() as u64);
    alarms("clock", desk.origin.clock_alarm().iter().count() as u64);
    let speakers = spaces
        .iter()
        .filter(|handle| handle.speaker_alarm().is_some());
    alarms("speaker", speakers.count() as u64);
    let silent = spaces
        .iter()
        .filter(|handle| handle.dead_air_alarm().is_some());
    alarms("dead_air", silent.count() as u64);
    let away = spaces
        .iter()
        .filter(|handle| handle.host_away_alarm().is_some());
    alarms("host_away", away.count() as u64);
    let delays = spaces.iter().flat_map(|handle| handle.levels().seats);
    let longest = delays.map(|level| level.delay_samples).max().unwrap_or(0);
    metrics::gauge!("throng_speakers_delay_seconds").set(f64::from(longest) / 48_000.0);
    alarms("store", desk.origin.store_alarm().iter().count() as u64);
    metrics.run_upkeep();
    format!("{}{}", metrics.render(), process(""))
}

fn alarms(kind: &'static str, count: u64) {
    metrics::gauge!("throng_alarms", "kind" => kind).set(as_gauge(count));
}

/// The metrics of a worker, as its origin shows them.
pub(crate) fn render_worker(metrics: &PrometheusHandle, place: u32) -> String {
    metrics.run_upkeep();
    let label = format!("{{{WORKER}=\"{place}\"}}");
    format!("{}{}", metrics.render(), process(&label))
}

/// What the process itself uses, under the names that Prometheus has for it.
fn process(label: &str) -> String {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let resident_kb: u64 = resident
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0);
    format!(
        "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total{label} {}.{:03}\n\
         # TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes{label} {}\n",
        used.tv_sec,
        used.tv_nsec / 1_000_000,
        resident_kb * 1_024
    )
}

/// Ready is who can answer from the database.
async fn ready(State(desk): State<Arc<Desk>>) -> (StatusCode, &'static str) {
    readiness(
        desk.origin.is_ready().await,
        "the database does not answer\n",
    )
}

/// The answer of `/readyz`, with what is missing.
pub(crate) fn readiness(ready: bool, otherwise: &'static str) -> (StatusCode, &'static str) {
    if ready {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, otherwise)
    }
}

/// One recorder for the process; a second node in it (tests) shares it.
pub(crate) fn recorder() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE
        .get_or_init(|| installed(PrometheusBuilder::new()))
        .clone()
}

/// The recorder of a node, with the counters of what should never happen at 0.
pub(super) fn recorder_of_node() -> PrometheusHandle {
    let recorder = recorder();
    for name in NEVER_MET {
        metrics::counter!(name).increment(0);
    }
    recorder
}

/// The recorder of a worker; its place is a label of all that it counts.
pub(crate) fn recorder_of_worker(place: u32) -> PrometheusHandle {
    installed(PrometheusBuilder::new().add_global_label(WORKER, place.to_string()))
}

fn installed(recorder: PrometheusBuilder) -> PrometheusHandle {
    recorder
        .install_recorder()
        .expect("nothing else installs a recorder in this process")
}

/// A count as a gauge takes it; beyond four thousand million it stays there.
fn as_gauge(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
