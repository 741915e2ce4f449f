//! HLS by the ordinary server: a task for each request, which waits for the window and reads the disk.

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use throng_core::caching::IMMUTABLE;
use throng_core::playlist;
use throng_core::timeline::{PARTS_PER_SEGMENT, PartIndex};
use throng_core::window::{Wanted, Window};
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::{
    Ask, Content, Decision, SEGMENT, Source, compose, decide, held_too_long, not_here, unfilled,
};
use crate::air::Headers;
use crate::answer::{self, Reply};
use crate::counting::Delivered;
use crate::metric;
use crate::on_air::OnAir;
use crate::presence::Player;
use crate::recording::unreadable;

const HOLD_TIMEOUT: Duration = Duration::from_millis(playlist::HOLD_LIMIT_MS);
/// Requests held at once. Each is a connection that waits anyway; more get `503` and ask without waiting.
const HELD_MAX: usize = 8_192;

/// The places of the requests that are held.
pub(crate) fn held_places() -> Semaphore {
    Semaphore::new(HELD_MAX)
}

/// What a request comes to that waits no more.
enum Outcome {
    /// The archive is asked.
    Past,
    /// This is the answer, and what is in it, if that was asked for.
    Reply(Reply, Option<Content>),
}

/// Answers a request for a file under `hls/`.
pub(crate) async fn answer(
    on_air: Arc<OnAir>,
    headers: &Headers,
    held: &Semaphore,
    ask: Ask,
    player: Player,
) -> Response {
    let now = outcome(&on_air, headers, ask, None, &on_air.window_now());
    let outcome = match now {
        Some(outcome) => outcome,
        None => match when_ready(&on_air, headers, held, ask).await {
            Ok(outcome) => outcome,
            Err(refusal) => return refusal.into(),
        },
    };
    match outcome {
        Outcome::Past => past(on_air, ask).await,
        Outcome::Reply(reply, content) => {
            if content.is_some_and(Content::counts) {
                on_air.delivered(player);
            }
            let mut answer = Response::from(reply);
            let samples = content.map_or(0, Content::samples);
            answer.extensions_mut().insert(Delivered { samples });
            answer
        }
    }
}

/// What a request comes to with the window as it is, if it need not wait.
fn outcome(
    on_air: &OnAir,
    headers: &Headers,
    ask: Ask,
    filled: Option<&Window>,
    window: &Window,
) -> Option<Outcome> {
    let facts = on_air.facts();
    Some(match decide(ask, &facts.space, filled) {
        Decision::Fill | Decision::Hold => return None,
        Decision::Past => Outcome::Past,
        Decision::Refuse(reply) => Outcome::Reply(reply, None),
        Decision::Send(content) => {
            let source = Source {
                space: &facts.space,
                window,
                recorded: on_air.past().recorded(),
                headers,
            };
            Outcome::Reply(compose(content, &source), Some(content))
        }
    })
}

async fn when_ready(
    on_air: &OnAir,
    headers: &Headers,
    held: &Semaphore,
    ask: Ask,
) -> Result<Outcome, Reply> {
    let mut window = on_air.window().await.ok_or_else(unfilled)?;
    hold_until(on_air, held, &mut window, |window| {
        outcome(on_air, headers, ask, Some(window), window)
    })
    .await
}

/// What has left the window.
async fn past(on_air: Arc<OnAir>, ask: Ask) -> Response {
    let read = spawn_blocking(move || match ask {
        Ask::ReplaySegment(rendition, number) => on_air.past().replay_segment(rendition, number),
        Ask::Segment(rendition, wanted) => {
            let (from, to) = parts(wanted);
            on_air.past().parts(rendition, from, to)
        }
        _ => Ok(None),
    });
    match read.await.expect("reading does not panic") {
        Ok(Some(bytes)) => answer::ok(bytes, SEGMENT, IMMUTABLE),
        Ok(None) => not_here().into(),
        Err(error) => unreadable(&error),
    }
}

/// The parts `[from, to)` of a segment, or the one.
fn parts(wanted: Wanted) -> (PartIndex, PartIndex) {
    let first = PartIndex::first_of_segment(wanted.segment).0;
    let (from, count) = wanted
        .part
        .map_or((first, PARTS_PER_SEGMENT), |part| (first + part, 1));
    (PartIndex(from), PartIndex(from + count))
}

/// Waits until `decide` has an answer for the window; `503` after [`HOLD_TIMEOUT`], or at once where too many wait or
/// nothing more will come.
async fn hold_until<T>(
    on_air: &OnAir,
    held: &Semaphore,
    window: &mut watch::Receiver<Window>,
    mut decide: impl FnMut(&Window) -> Option<T>,
) -> Result<T, Reply> {
    if let Some(now) = decide(&window.borrow_and_update()) {
        return Ok(now);
    }
    let Some(_place) = HeldPlace::take(held) else {
        return Err(Reply::come_again(
            1,
            "Too many are waiting for the next part. Please ask without waiting.\n",
        ));
    };
    let wait = async {
        loop {
            window.changed().await.ok()?;
            if let Some(answer) = decide(&window.borrow_and_update()) {
                return Some(answer);
            }
        }
    };
    let decided = tokio::select! {
        decided = timeout(HOLD_TIMEOUT, wait) => decided.ok().flatten(),
        () = on_air.closed() => None,
    };
    decided.ok_or_else(held_too_long)
}

struct HeldPlace<'a> {
    _place: SemaphorePermit<'a>,
}

impl Drop for HeldPlace<'_> {
    fn drop(&mut self) {
        metrics::gauge!(metric::HELD).decrement(1.0);
    }
}

impl<'a> HeldPlace<'a> {
    fn take(places: &'a Semaphore) -> Option<Self> {
        let Ok(place) = places.try_acquire() else {
            metrics::counter!(metric::HELD_REFUSED).increment(1);
            return None;
        };
        metrics::gauge!(metric::HELD).increment(1.0);
        Some(Self { _place: place })
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use throng_core::caching::BRIEF;
    use throng_core::ladder::Rung;

    use super::*;
    use crate::hls::Name;
    use crate::on_air::tests::on_air;

    async fn ask(on_air: &Arc<OnAir>, held: &Semaphore, name: &str) -> Response {
        let ask = Name::parse(name)
            .unwrap()
            .ask("_HLS_msn=0", Rung::default())
            .unwrap();
        let headers = Headers::default();
        answer(Arc::clone(on_air), &headers, held, ask, Player::Chosen(1)).await
    }

    #[tokio::test]
    async fn who_would_wait_where_too_many_do_is_sent_away_at_once() {
        let (on_air, held) = (on_air(), Semaphore::new(1));
        let place = held.acquire().await.unwrap();
        for name in ["o48/0.0.m4s", "o48/media.m3u8"] {
            let refusal = ask(&on_air, &held, name).await;
            assert_eq!(refusal.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(refusal.headers()["retry-after"], "1");
            assert_eq!(refusal.headers()["cache-control"], BRIEF);
        }
        drop(place);
        let waiting = ask(&on_air, &held, "o48/0.0.m4s");
        let finished = async { on_air.change_window(Window::finish) };
        let (answer, ()) = tokio::join!(waiting, finished);
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "it waited");
        assert_eq!(held.available_permits(), 1, "its place is free again");
    }
}
