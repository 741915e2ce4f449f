//! A speaker's own sound, for editors: one file for each seat, ranges honoured.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use throng_air::past::Recording;
use throng_air::recording;
use throng_archive::TrackReader;

use super::Desk;
use super::problem::Problem;
use super::spaces::known_seat;

/// What only the host has is for no cache that others share.
const KEPT: &str = "private, no-store";

/// `GET …/tracks/{seat}`: what who sat there said, from go-live on; while live, as far as it has come.
pub(super) async fn download(
    State(desk): State<Arc<Desk>>,
    Path((slug, seat)): Path<(String, u32)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let handle = desk.space(&slug)?;
    desk.actor(&handle, &headers)?;
    let space = handle.space();
    let seat = known_seat(&space, seat)?;
    let track = handle.track(seat).await.map_err(|error| {
        tracing::error!(%error, "a track could not be read");
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "track-unreadable",
            "The track cannot be read now",
            "The disk of the server does not give it. Try again in a moment; if it stays so, ask its operator.",
        )
        .retry_after(5)
    })?;
    match track {
        Some(track) => Ok(recording::file(
            Arc::new(TrackDownload(track)),
            &headers,
            KEPT,
        )),
        None if space.sound.tracks => Err(none(
            "Nobody was heard on this seat since the space went live.",
        )),
        None => Err(none(
            "This space keeps no tracks. Set \"tracks\" before it goes live.",
        )),
    }
}

fn none(detail: &str) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "no-track",
        "There is no such track",
        detail,
    )
}

struct TrackDownload(TrackReader);

impl Recording for TrackDownload {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn etag(&self) -> String {
        self.0.etag().to_owned()
    }

    fn read(&self, range: Range<u64>) -> io::Result<Bytes> {
        self.0.read(range).map_err(io::Error::other)
    }
}
