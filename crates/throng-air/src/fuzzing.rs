//! The door for the fuzz targets, and for nobody else (`cfg(fuzzing)`): hostile headers to what is private here.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::response::Response;

use crate::past::Recording;

/// The answer to a request for a recording with these headers.
pub fn recording(
    recording: Arc<dyn Recording>,
    request: &HeaderMap,
    space_has_ended: bool,
) -> Response {
    crate::recording::file(recording, request, space_has_ended)
}
