//! The worker's side of the feed: one line down that is opened again whenever it breaks, and a report up every second.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use futures_util::StreamExt;
use thiserror::Error;
use throng_air::air::Air;
use throng_air::feed::SILENCE_MAX;
use throng_air::feed::decoder::{Decoder, FeedError};
use throng_air::feed::message::{Down, Up};
use throng_air::feed::mirror::{Mirror, MirrorError};
use throng_air::feed::reporter::Reporter;
use throng_core::slug::Slug;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::upstream::{Upstream, UpstreamError};
use crate::chance;
use crate::client::backoff::Backoff;
use crate::origin::unix_seconds;

/// Late parts and new demand are looked for this often.
const TICK: Duration = Duration::from_millis(100);
/// Reports are made this often; the ledger counts by it.
const SECOND: Duration = Duration::from_secs(1);
/// What of a refusal is told to the operator.
const REASON_MAX_BYTES: usize = 500;

/// Why the line broke.
#[derive(Debug, Error)]
enum LineError {
    #[error("the upstream is away: {0}")]
    Away(#[from] UpstreamError),
    #[error("the line broke: {0}")]
    Broke(#[from] axum::Error),
    #[error("nothing came for {} s", SILENCE_MAX.as_secs())]
    Silent,
    #[error("the upstream ended the line")]
    Ended,
    #[error("the upstream refused ({0}): {1}")]
    Refused(StatusCode, String),
    #[error(transparent)]
    Feed(#[from] FeedError),
    #[error(transparent)]
    Mirror(#[from] MirrorError),
}

/// The tasks around a mirror.
pub(super) struct Following {
    line: JoinHandle<()>,
    tick: JoinHandle<()>,
    reports: JoinHandle<()>,
    last: Arc<Notify>,
}

impl Following {
    pub(super) fn start(
        upstream: Upstream,
        air: Arc<Air>,
        mirror: Arc<Mutex<Mirror>>,
        place: u32,
    ) -> Self {
        let asked = Arc::new(Notify::new());
        let last = Arc::new(Notify::new());
        let reports = Reporting {
            upstream: upstream.clone(),
            air,
            mirror: Arc::clone(&mirror),
            reporter: Reporter::new(chance::wide_number(), place),
            place,
        };
        Self {
            line: tokio::spawn(follow(upstream, Arc::clone(&mirror))),
            tick: tokio::spawn(tick(mirror, Arc::clone(&asked))),
            reports: tokio::spawn(reports.run(asked, Arc::clone(&last))),
            last,
        }
    }

    /// Tells what was counted last, and ends.
    pub(super) async fn stop(self) {
        self.line.abort();
        self.tick.abort();
        self.last.notify_one();
        // An upstream that is away gets no last report.
        let _ = timeout(SECOND, self.reports).await;
    }
}

fn lock(mirror: &Mutex<Mirror>) -> MutexGuard<'_, Mirror> {
    // A panic in another task left each space as it was between two messages.
    mirror.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens the line again and again, with waits that spread those who lost the same upstream.
async fn follow(upstream: Upstream, mirror: Arc<Mutex<Mirror>>) {
    let (mut backoff, mut said) = (Backoff::default(), String::new());
    loop {
        let Err(error) = line(&upstream, &mirror, &mut backoff).await;
        // Once for each reason of an outage.
        let reason = error.to_string();
        if reason == said {
            tracing::debug!(%error, "still without the feed");
        } else {
            tracing::warn!(%error, "without the feed; tried again until it comes");
            said = reason;
        }
        sleep(backoff.next_wait().min(upstream.wait_max())).await;
    }
}

async fn line(
    upstream: &Upstream,
    mirror: &Mutex<Mirror>,
    backoff: &mut Backoff,
) -> Result<Infallible, LineError> {
    let hello = Up::Hello(lock(mirror).hello());
    let answer = upstream.feed(&hello).await?;
    let status = answer.status();
    let mut pieces = Body::new(answer.into_body()).into_data_stream();
    if status != StatusCode::OK {
        let words = pieces.next().await.and_then(Result::ok).unwrap_or_default();
        let words = String::from_utf8_lossy(&words[..words.len().min(REASON_MAX_BYTES)]);
        return Err(LineError::Refused(status, words.trim().to_owned()));
    }
    let mut decoder = Decoder::<Down>::default();
    loop {
        let piece = match timeout(SILENCE_MAX, pieces.next()).await {
            Ok(Some(piece)) => piece?,
            Ok(None) => return Err(LineError::Ended),
            Err(_) => return Err(LineError::Silent),
        };
        decoder.push(&piece);
        while let Some(message) = decoder.next_message()? {
            if matches!(message, Down::Listed) {
                *backoff = Backoff::default();
                tracing::info!("the feed is here");
            }
            lock(mirror).apply(message, Instant::now())?;
        }
    }
}

async fn tick(mirror: Arc<Mutex<Mirror>>, asked: Arc<Notify>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        if !lock(&mirror).tick(Instant::now()).is_empty() {
            asked.notify_one();
        }
    }
}

/// The task that reports.
struct Reporting {
    upstream: Upstream,
    air: Arc<Air>,
    mirror: Arc<Mutex<Mirror>>,
    reporter: Reporter,
    place: u32,
}

impl Reporting {
    async fn run(mut self, asked: Arc<Notify>, last: Arc<Notify>) {
        let mut seconds = interval(SECOND);
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let over = tokio::select! {
                _ = seconds.tick() => { self.end_second(); false }
                () = asked.notified() => false,
                () = last.notified() => { self.end_second(); true }
            };
            self.tell().await;
            if over {
                return;
            }
        }
    }

    /// What consumers of our own reported is part of what we report.
    fn end_second(&mut self) {
        let (reports, now) = (self.air.reports(), unix_seconds());
        reports.end_second(self.air.ledger(), self.place, now);
        self.reporter.end_second(now, reports.behind());
    }

    async fn tell(&mut self) {
        let asked = lock(&self.mirror).demanded(Instant::now());
        let spaces = self.air.spaces().borrow().clone();
        let counts = spaces.iter().filter_map(|(name, on_air)| {
            let slug = Slug::parse(name).ok()?;
            Some((slug, on_air.counts_here()))
        });
        let signals = self.air.ladder().here();
        let report = Up::Report(self.reporter.report(counts, asked, signals).clone());
        match self.upstream.report(&report).await {
            Ok(answer) if answer.status().is_success() => self.reporter.taken(),
            Ok(answer) => tracing::debug!(status = %answer.status(), "a report was refused"),
            Err(error) => tracing::debug!(%error, "a report was not taken"),
        }
    }
}
