//! The door for the fuzz targets, and for nobody else (`cfg(fuzzing)`): hostile headers to what is private here.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::response::Response;

use crate::engine::head::Head;
use crate::past::Recording;

/// The answer to a request for a recording with these headers.
pub fn recording(
    recording: Arc<dyn Recording>,
    request: &HeaderMap,
    space_has_ended: bool,
) -> Response {
    crate::recording::file(recording, request, space_has_ended)
}

/// What the engine makes of a request head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// It answers the request, whose head has so many bytes where another may follow it.
    Accepted(Option<usize>),
    /// The ordinary server answers it.
    HandedOn,
    /// More bytes are needed.
    Partial,
    /// Nobody should answer it, for this reason.
    Refused(&'static str),
}

/// Reads the head at the beginning of these bytes.
pub fn head(bytes: &[u8]) -> Reading {
    match crate::engine::head::read(bytes) {
        Head::HandOn => Reading::HandedOn,
        Head::Live(_) => Reading::Accepted(None),
        Head::Partial => Reading::Partial,
        Head::Refuse(refusal) => Reading::Refused(refusal.name()),
        Head::Wish(wish) => Reading::Accepted(Some(wish.length)),
    }
}
