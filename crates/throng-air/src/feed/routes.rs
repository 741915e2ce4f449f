//! The feed over HTTP/1.1, the same over a local socket and from afar.
//!
//! `POST /feed` says what a consumer has and is answered with the endless feed; `POST /feed/report` takes what a second
//! brought; under `/feed/house` is what consumers fetch when their audience asks for what they do not have. Reports are requests of their own rather than the body of the first: any proxy passes them, and each has
//! an answer that says that it was taken.

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures_util::stream;
use throng_core::caching::NEVER;
use tokio::sync::Semaphore;

use super::decoder::{Decoder, FeedError};
use super::message::Up;
use super::{FEED_PATH, GREETING, HOUSE_PATH, REPORT_PATH, UP_FRAME_MAX_BYTES, publisher};
use crate::air::Air;
use crate::answer;

/// Consumers at once; more are asked to come again. Each holds 1 MB at most.
const CONSUMERS_MAX: usize = 256;
/// A greeting, a length and a frame.
const BODY_MAX_BYTES: usize = GREETING.len() + 4 + UP_FRAME_MAX_BYTES;

/// What the routes share.
struct Feed {
    air: Arc<Air>,
    places: Arc<Semaphore>,
}

/// The routes of the feed, with the house that consumers fetch from; for the operator's own machines, not for the world.
pub fn routes(air: &Arc<Air>, house: Router) -> Router {
    let feed = Feed {
        air: Arc::clone(air),
        places: Arc::new(Semaphore::new(CONSUMERS_MAX)),
    };
    Router::new()
        .route(FEED_PATH, post(follow))
        .route(REPORT_PATH, post(report))
        .layer(DefaultBodyLimit::max(BODY_MAX_BYTES))
        .with_state(Arc::new(feed))
        .nest_service(HOUSE_PATH, house)
}

async fn follow(State(feed): State<Arc<Feed>>, body: Bytes) -> Response {
    let hello = match only_message(&body) {
        Ok(Up::Hello(hello)) => hello,
        Ok(Up::Report(_)) => return misplaced(),
        Err(error) => return refuse(error),
    };
    let Ok(place) = Arc::clone(&feed.places).try_acquire_owned() else {
        return answer::come_again(
            5,
            "Too many follow this feed. Please come again in five seconds.\n",
        );
    };
    let frames = publisher::publish(&feed.air, hello);
    let frames = stream::unfold((frames, place), |(mut frames, place)| async {
        // Its end is no end of the programme: it cuts the line, so that the consumer comes back.
        let frame = frames
            .recv()
            .await
            .ok_or_else(|| io::Error::from(io::ErrorKind::BrokenPipe));
        Some((frame, (frames, place)))
    });
    answer::with(
        StatusCode::OK,
        Body::from_stream(frames),
        "application/octet-stream",
        NEVER,
    )
}

async fn report(State(feed): State<Arc<Feed>>, body: Bytes) -> Response {
    match only_message(&body) {
        Ok(Up::Report(report)) => {
            feed.air.reports().take(&feed.air, &report);
            StatusCode::NO_CONTENT.into_response()
        }
        Ok(Up::Hello(_)) => misplaced(),
        Err(error) => refuse(error),
    }
}

/// The one message of a body.
fn only_message(body: &[u8]) -> Result<Up, Option<FeedError>> {
    let mut decoder = Decoder::default();
    decoder.push(body);
    decoder.next_message()?.ok_or(None)
}

fn refuse(error: Option<FeedError>) -> Response {
    let words = error.map_or_else(
        || "the message ends early".to_owned(),
        |error| error.to_string(),
    );
    answer::refuse(StatusCode::BAD_REQUEST, format!("{words}\n"))
}

fn misplaced() -> Response {
    answer::refuse(
        StatusCode::BAD_REQUEST,
        "This message belongs to the other path of the feed.\n",
    )
}
