//! Progressive listening: one endless response that starts with a burst, so that sound begins at once.
//!
//! Every listener gets the same buffers; what is his own is a cursor.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use throng_core::caching::NEVER;
use throng_core::rendition::Rendition;
use throng_core::timeline::{PART_SAMPLES, PartIndex, SAMPLE_RATE_HZ};
use throng_core::window::{Part, Window};
use tokio::sync::watch;

use crate::air::Headers;
use crate::answer;
use crate::format::Format;
use crate::ledger::{Door, Ledger};
use crate::metric;
use crate::on_air::OnAir;
use crate::presence::Player;
use crate::room::Inside;

/// What a joiner is given at once, so that he owns a cushion: 4 s.
const BURST_SAMPLES: u64 = 4 * SAMPLE_RATE_HZ;
/// Parts of one span, 0.96 s: what one send carries.
const SPAN_PARTS: u64 = 3;
/// The most that is queued for one listener at once: the burst, or what he missed while his line was slow.
const PARTS_AT_ONCE_MAX: usize = 13;

/// Answers `HEAD` of `live.*`: what a listener would get, without becoming one.
pub(crate) fn head(format: Format) -> Response {
    // A stream, because its length is not known.
    let body = Body::from_stream(stream::empty::<io::Result<Bytes>>());
    answer::with(StatusCode::OK, body, format.content_type(), NEVER)
}

/// Answers `live.*` of a space that is on air.
pub(crate) async fn live(
    on_air: Arc<OnAir>,
    headers: &Headers,
    format: Format,
    rendition: Rendition,
    (player, inside): (Player, Inside),
    ledger: &Arc<Ledger>,
) -> Response {
    let Some(window) = on_air.window().await else {
        return answer::come_again(
            2,
            "The programme is being made ready. Please come again in two seconds.\n",
        );
    };
    metrics::counter!(metric::JOINS, "format" => format.name()).increment(1);
    let cursor = window.borrow().burst(BURST_SAMPLES);
    let listener = Listener {
        ledger: Arc::clone(ledger),
        on_air,
        window,
        format,
        rendition,
        player,
        _inside: inside,
        cursor,
        pending: Vec::new(),
        span_parts: 1,
    };
    let first = stream::iter(
        Some(format.header(headers, rendition).clone())
            .filter(|header| !header.is_empty())
            .map(Ok),
    );
    let rest = stream::unfold(listener, |mut listener| async {
        let bytes = listener.next().await?;
        Some((bytes, listener))
    });
    let body = Body::from_stream(futures_util::StreamExt::chain(first, rest));
    answer::with(StatusCode::OK, body, format.content_type(), NEVER)
}

struct Listener {
    ledger: Arc<Ledger>,
    on_air: Arc<OnAir>,
    window: watch::Receiver<Window>,
    format: Format,
    rendition: Rendition,
    player: Player,
    _inside: Inside,
    cursor: PartIndex,
    /// Parts of the present span that are not sent yet, last first.
    pending: Vec<Arc<Part>>,
    /// Parts for which the next send waits: at the join whatever there is, then a span.
    span_parts: u64,
}

impl Listener {
    /// The next bytes; `None` when the programme has ended and all of it was sent. An error cuts the connection, so
    /// that the listener knows that it was not the end.
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        if self.pending.is_empty() {
            match self.next_span().await {
                Ok(span) => self.pending = span,
                Err(closed) => return Some(Err(closed)),
            }
            if !self.pending.is_empty() {
                self.on_air.delivered(self.player);
                let samples = self.pending.len() as u64 * PART_SAMPLES;
                self.ledger
                    .write(Door::Stream, |account| account.deliver(samples));
            }
        }
        let part = self.pending.pop()?;
        Some(Ok(self.format.bytes(&part, self.rendition).clone()))
    }

    /// The parts of the next span, last first; empty at the end of the programme.
    async fn next_span(&mut self) -> io::Result<Vec<Arc<Part>>> {
        let wanted = self.cursor.0 + self.span_parts;
        let moved = self
            .window
            .wait_for(|window| window.next().0 >= wanted || window.is_finished());
        let window = tokio::select! {
            window = moved => window.map_err(io::Error::other)?,
            () = self.on_air.closed() => return Err(io::ErrorKind::ConnectionAborted.into()),
        };
        if self.cursor < window.oldest() {
            metrics::counter!(metric::SKIPS).increment(1);
            self.cursor = window.burst(BURST_SAMPLES);
        }
        let mut span: Vec<_> = (self.cursor.0..window.next().0)
            .map_while(|index| window.part(PartIndex(index)).cloned())
            .take(PARTS_AT_ONCE_MAX)
            .collect();
        self.cursor = PartIndex(self.cursor.0 + span.len() as u64);
        self.span_parts = SPAN_PARTS;
        span.reverse();
        Ok(span)
    }
}
