//! LL-HLS (RFC 8216bis): playlists, segments and parts, and requests held until their part is there.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use throng_core::caching::{BRIEF, IMMUTABLE, NEVER, WAITED_FOR};
use throng_core::playlist::{self, MediaQuery, When};
use throng_core::rendition::Rendition;
use throng_core::timeline::{PART_SAMPLES, PARTS_PER_SEGMENT, PartIndex};
use throng_core::window::{Found, Wanted, Window};
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::answer;
use crate::counting::Delivered;
use crate::metric;
use crate::on_air::OnAir;
use crate::presence::Player;
use crate::recording::unreadable;

const SEGMENT: &str = "audio/mp4";

const HOLD_TIMEOUT: Duration = Duration::from_millis(playlist::HOLD_LIMIT_MS);
/// Requests held at once. Each is a connection that waits anyway; more get `503` and ask without waiting.
const HELD_MAX: usize = 8_192;

/// The places of the requests that are held.
pub(crate) fn held_places() -> Semaphore {
    Semaphore::new(HELD_MAX)
}

/// The file under `hls/{rendition}/`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum File {
    Event,
    Init,
    Media,
    Replay,
    Segment(Wanted),
}

impl File {
    /// Names are parsed strictly, so that one thing has one URL in every cache.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "event.m3u8" => Some(Self::Event),
            "init.mp4" => Some(Self::Init),
            "media.m3u8" => Some(Self::Media),
            "replay.m3u8" => Some(Self::Replay),
            other => Wanted::parse(other).map(Self::Segment),
        }
    }
}

/// `main.m3u8`.
pub(crate) fn main(on_air: &OnAir) -> Response {
    answer::ok(
        playlist::main(on_air.facts().space.state),
        playlist::CONTENT_TYPE,
        BRIEF,
    )
}

/// `media.m3u8`, at once or when the part that the query names is there.
pub(crate) async fn media(
    on_air: &OnAir,
    held: &Semaphore,
    rendition: Rendition,
    query: &str,
    player: Player,
) -> Response {
    let query = match MediaQuery::parse(query) {
        Ok(query) => query,
        Err(error) => return answer::refuse(StatusCode::BAD_REQUEST, format!("{error}\n")),
    };
    let Some(mut window) = on_air.window().await else {
        return answer::come_again(
            2,
            "The programme is being made ready. Please come again in two seconds.\n",
        );
    };
    let ready = hold_until(
        on_air,
        held,
        &mut window,
        |window| match playlist::answer_when(window, query) {
            When::Hold => None,
            When::Now => Some(Ok(window.clone())),
            When::BadRequest(reason) => Some(Err(reason)),
        },
    );
    let window = match ready.await {
        Ok(Ok(window)) => window,
        Ok(Err(reason)) => return answer::refuse(StatusCode::BAD_REQUEST, reason),
        Err(refusal) => return refusal,
    };
    on_air.delivered(player);
    let epoch = on_air.facts().space.created_at;
    let caching = if query.awaited.is_some() {
        WAITED_FOR
    } else {
        BRIEF
    };
    answer::ok(
        playlist::media(&window, epoch, rendition, query.form),
        playlist::CONTENT_TYPE,
        caching,
    )
}

/// `event.m3u8`: from go-live (or doors) to now, for who starts over.
pub(crate) async fn event(on_air: &OnAir, query: &str, player: Player) -> Response {
    let query = match MediaQuery::parse(query) {
        Ok(query) => query,
        Err(error) => return answer::refuse(StatusCode::BAD_REQUEST, format!("{error}\n")),
    };
    let space = on_air.facts().space;
    let Some(first) = space.live_part.or(space.doors_part) else {
        return answer::refuse(
            StatusCode::NOT_FOUND,
            "Doors are not open yet, so there is nothing to start over.\n",
        );
    };
    let Some(window) = on_air.window().await else {
        return answer::come_again(
            2,
            "The programme is being made ready. Please come again in two seconds.\n",
        );
    };
    on_air.delivered(player);
    let (next, ended) = (window.borrow().next(), window.borrow().is_finished());
    let text = playlist::event(first.segment(), next, space.created_at, ended, query.form);
    answer::ok(text, playlist::CONTENT_TYPE, BRIEF)
}

/// `replay.m3u8`.
pub(crate) fn replay(on_air: &OnAir) -> Response {
    let space = on_air.facts().space;
    let (Some(_), Some(started_at)) = (space.ended_at, space.started_at) else {
        return answer::refuse(
            StatusCode::NOT_FOUND,
            "The replay is here when the space has ended.\n",
        );
    };
    let parts = on_air.past().recorded().parts;
    answer::ok(
        playlist::replay(parts, started_at),
        playlist::CONTENT_TYPE,
        BRIEF,
    )
}

/// `replay/{n}.m4s`.
pub(crate) async fn replay_segment(
    on_air: Arc<OnAir>,
    rendition: Rendition,
    number: u64,
) -> Response {
    let read = spawn_blocking(move || on_air.past().replay_segment(rendition, number)).await;
    match read.expect("reading does not panic") {
        Ok(Some(bytes)) => answer::ok(bytes, SEGMENT, IMMUTABLE),
        Ok(None) => absent(),
        Err(error) => unreadable(&error),
    }
}

/// A segment or part: from the window, held if it is due, from the archive if it is older. Its name is the same for
/// everyone, so that the player is known, and counted, by its playlist.
pub(crate) async fn audio(
    on_air: Arc<OnAir>,
    held: &Semaphore,
    rendition: Rendition,
    wanted: Wanted,
) -> Response {
    if wanted.part.is_some_and(|part| part >= PARTS_PER_SEGMENT) {
        return absent();
    }
    let Some(mut window) = on_air.window().await else {
        return answer::come_again(
            2,
            "The programme is being made ready. Please come again in two seconds.\n",
        );
    };
    let ready = hold_until(&on_air, held, &mut window, |window| {
        match window.find(wanted) {
            Found::Due => None,
            Found::Gone => Some(None),
            Found::Ready(parts) => Some(Some(Ok((parts, IMMUTABLE)))),
            Found::StandIn(parts) => Some(Some(Ok((parts, NEVER)))),
            Found::TooFar => Some(Some(Err(absent()))),
        }
    });
    match ready.await {
        Err(refusal) | Ok(Some(Err(refusal))) => refusal,
        Ok(Some(Ok((parts, caching)))) => {
            let chunks: Vec<_> = parts
                .iter()
                .map(|part| &part.packaged(rendition).cmaf)
                .collect();
            let mut answer = answer::ok(joined(&chunks), SEGMENT, caching);
            let samples = parts.len() as u64 * PART_SAMPLES;
            answer.extensions_mut().insert(Delivered { samples });
            answer
        }
        Ok(None) => older(on_air, rendition, wanted).await,
    }
}

async fn older(on_air: Arc<OnAir>, rendition: Rendition, wanted: Wanted) -> Response {
    let first = PartIndex::first_of_segment(wanted.segment);
    let (from, to) = match wanted.part {
        None => (first, PartIndex::first_of_segment(wanted.segment + 1)),
        Some(part) => (PartIndex(first.0 + part), PartIndex(first.0 + part + 1)),
    };
    let read = spawn_blocking(move || on_air.past().parts(rendition, from, to)).await;
    match read.expect("reading does not panic") {
        Ok(Some(bytes)) => answer::ok(bytes, SEGMENT, IMMUTABLE),
        Ok(None) => absent(),
        Err(error) => unreadable(&error),
    }
}

fn joined(chunks: &[&Bytes]) -> Bytes {
    if let [only] = chunks {
        return (*only).clone();
    }
    let mut all = BytesMut::with_capacity(chunks.iter().map(|chunk| chunk.len()).sum());
    for chunk in chunks {
        all.extend_from_slice(chunk);
    }
    all.freeze()
}

fn absent() -> Response {
    answer::refuse(
        StatusCode::NOT_FOUND,
        "This part of the programme is not here: not yet, or not any more.\n",
    )
}

/// Waits until `decide` has an answer for the window; `503` after [`HOLD_TIMEOUT`], or at once where too many wait or
/// nothing more will come.
async fn hold_until<T>(
    on_air: &OnAir,
    held: &Semaphore,
    window: &mut watch::Receiver<Window>,
    mut decide: impl FnMut(&Window) -> Option<T>,
) -> Result<T, Response> {
    if let Some(now) = decide(&window.borrow_and_update()) {
        return Ok(now);
    }
    let Some(_place) = HeldPlace::take(held) else {
        return Err(answer::come_again(
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
    decided.ok_or_else(|| {
        answer::come_again(1, "The part that was waited for did not come in time.\n")
    })
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
    use std::io;

    use throng_core::slug::Slug;
    use throng_core::space::{Announcement, Space};
    use throng_core::time::UnixMillis;

    use super::*;
    use crate::document::Document;
    use crate::on_air::Facts;
    use crate::past::{Past, Recorded, Recording};
    use crate::presence::Presence;

    struct Nothing;

    impl Past for Nothing {
        fn parts(&self, _: Rendition, _: PartIndex, _: PartIndex) -> io::Result<Option<Bytes>> {
            Ok(None)
        }

        fn replay_segment(&self, _: Rendition, _: u64) -> io::Result<Option<Bytes>> {
            Ok(None)
        }

        fn recording(&self, _: Rendition) -> io::Result<Option<Box<dyn Recording>>> {
            Ok(None)
        }

        fn recorded(&self) -> Recorded {
            Recorded::default()
        }
    }

    fn on_air() -> OnAir {
        let announcement = Announcement {
            id: "1".to_owned(),
            slug: Slug::from_title("A talk", 7),
            title: "A talk".to_owned(),
            scheduled_at: None,
            speakers: 2,
            expected_listeners: None,
        };
        let facts = Facts {
            space: Arc::new(Space::announce(UnixMillis(0), announcement).unwrap()),
            page: Arc::new(Document::new(String::new(), "text/html", BRIEF)),
        };
        let window = Window::new(PartIndex(0));
        let on_air = OnAir::new(facts, window, Presence::default(), Box::new(Nothing));
        on_air.set_flowing(true);
        on_air
    }

    #[tokio::test]
    async fn who_would_wait_where_too_many_do_is_sent_away_at_once() {
        let (on_air, held) = (Arc::new(on_air()), Semaphore::new(1));
        let place = held.acquire().await.unwrap();
        let wanted = Wanted::parse("0.0.m4s").unwrap();
        let playlist = media(
            &on_air,
            &held,
            Rendition::O48,
            "_HLS_msn=0",
            Player::Chosen(1),
        );
        for refusal in [
            audio(Arc::clone(&on_air), &held, Rendition::O48, wanted).await,
            playlist.await,
        ] {
            assert_eq!(refusal.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(refusal.headers()["retry-after"], "1");
            assert_eq!(refusal.headers()["cache-control"], BRIEF);
        }
        drop(place);
        let on_air_later = Arc::clone(&on_air);
        let waiting = audio(on_air_later, &held, Rendition::O48, wanted);
        let finished = async { on_air.change_window(Window::finish) };
        let (answer, ()) = tokio::join!(waiting, finished);
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "it waited");
        assert_eq!(held.available_permits(), 1, "its place is free again");
    }
}
