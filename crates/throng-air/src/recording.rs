//! The recording as one file: whole, or one range of it (RFC 9110 section 14).

use std::ops::Range;
use std::sync::Arc;
use std::{io, str};

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use throng_core::caching::BRIEF;
use throng_core::rendition::Rendition;
use throng_core::space::{DeletedBy, Deletion};
use tokio::task::spawn_blocking;

use crate::answer;
use crate::document::names;
use crate::on_air::OnAir;
use crate::past::{READ_MAX_BYTES, Recording};
use crate::presence::parameter;

/// The rendition that is sent to who asks with this query, if the file that usually has this one carries it.
pub(crate) fn asked(usual: Rendition, query: &str) -> Option<Rendition> {
    let Some(name) = parameter(query, "rendition") else {
        return Some(usual);
    };
    Rendition::parse(name).filter(|asked| asked.codec() == usual.codec())
}

/// Answers `recording.mp4` and `recording.m4a`.
pub(crate) async fn recording(
    on_air: Arc<OnAir>,
    asked: Option<Rendition>,
    request: HeaderMap,
) -> Response {
    let Some(rendition) = asked else {
        return answer::refuse(
            StatusCode::BAD_REQUEST,
            "rendition: recording.mp4 is to be had in o48, o24 and o16; recording.m4a in a64 and a32.\n",
        );
    };
    let space = on_air.facts().space;
    if let Some(gone) = space.recording_deleted {
        return answer::refuse(StatusCode::GONE, self::gone(gone));
    }
    let ended = space.ended_at.is_some();
    let found = spawn_blocking(move || on_air.past().recording(rendition))
        .await
        .expect("reading does not panic");
    match found {
        Ok(Some(recording)) => {
            let kept = if ended { "public, max-age=3600" } else { BRIEF };
            file(Arc::from(recording), &request, kept)
        }
        Ok(None) => answer::refuse(
            StatusCode::NOT_FOUND,
            "Nothing has been recorded yet: the space was not live.\n",
        ),
        Err(error) => unreadable(&error),
    }
}

/// What is told of a recording that is gone, for `410`.
pub(crate) fn gone(deletion: Deletion) -> &'static str {
    match deletion.by {
        DeletedBy::Host => "There was a recording, and the host has taken it away.\n",
        DeletedBy::Time => {
            "There was a recording. The time for which its host wanted it kept is over, and it is gone.\n"
        }
    }
}

/// `503` for a disk that does not give what it holds.
pub(crate) fn unreadable(error: &io::Error) -> Response {
    tracing::error!(%error, "the archive could not be read");
    answer::come_again(
        5,
        "The recording could not be read just now. Please come again in five seconds.\n",
    )
}

/// One recording, as these headers want it, to be kept by caches for so long.
pub fn file(recording: Arc<dyn Recording>, request: &HeaderMap, kept: &'static str) -> Response {
    let len = recording.len();
    let name = recording.etag();
    let etag = HeaderValue::from_str(&name).expect("an entity tag is visible ASCII");
    let tags = request.get(header::IF_NONE_MATCH);
    let mut response = if tags.is_some_and(|tags| names(tags.as_bytes(), &name)) {
        answer::with(StatusCode::NOT_MODIFIED, Body::empty(), "audio/mp4", BRIEF)
    } else {
        match range_asked(request, &etag, len) {
            Asked::Whole => answer::ok(body(recording, 0..len), "audio/mp4", BRIEF),
            Asked::Unsatisfiable => return unsatisfiable(len),
            Asked::Part(range) => part(recording, range, len),
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(kept));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::ETAG, etag);
    response
}

/// What is asked for; everything where the range belongs to another version of the file.
fn range_asked(request: &HeaderMap, etag: &HeaderValue, len: u64) -> Asked {
    let valid = request.get(header::IF_RANGE).is_none_or(|tag| tag == etag);
    request
        .get(header::RANGE)
        .filter(|_| valid)
        .and_then(|range| range.to_str().ok())
        .map_or(Asked::Whole, |range| parse_range(range, len))
}

fn part(recording: Arc<dyn Recording>, range: Range<u64>, len: u64) -> Response {
    let content_range = format!("bytes {}-{}/{len}", range.start, range.end - 1);
    let body = body(recording, range);
    let mut response = answer::with(StatusCode::PARTIAL_CONTENT, body, "audio/mp4", BRIEF);
    let value = HeaderValue::from_str(&content_range).expect("digits are visible ASCII");
    response.headers_mut().insert(header::CONTENT_RANGE, value);
    response
}

fn unsatisfiable(len: u64) -> Response {
    let mut response = answer::refuse(
        StatusCode::RANGE_NOT_SATISFIABLE,
        "The range begins behind the end.\n",
    );
    let value = HeaderValue::from_str(&format!("bytes */{len}")).expect("digits are visible ASCII");
    response.headers_mut().insert(header::CONTENT_RANGE, value);
    response
}

/// The bytes of a range, read piece by piece as the client takes them.
fn body(recording: Arc<dyn Recording>, range: Range<u64>) -> Body {
    let len = range.end - range.start;
    let pieces = stream::unfold((recording, range), |(recording, range)| async move {
        if range.is_empty() {
            return None;
        }
        let piece = range.start..range.end.min(range.start + READ_MAX_BYTES);
        let rest = piece.end..range.end;
        let reader = Arc::clone(&recording);
        let read = spawn_blocking(move || reader.read(piece))
            .await
            .expect("reading does not panic");
        let rest = if read.is_ok() { rest } else { 0..0 };
        Some((read, (recording, rest)))
    });
    Body::new(Sized {
        len,
        body: Body::from_stream(pieces),
    })
}

/// A streamed body whose length is known, so that it goes out with `Content-Length`.
struct Sized {
    len: u64,
    body: Body,
}

impl hyper::body::Body for Sized {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, axum::Error>>> {
        std::pin::Pin::new(&mut self.body).poll_frame(context)
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        hyper::body::SizeHint::with_exact(self.len)
    }
}

/// What a `Range` header asks for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    /// Everything: also for several ranges and for units that we do not know, which RFC 9110 lets us ignore.
    Whole,
    Part(Range<u64>),
    Unsatisfiable,
}

fn parse_range(value: &str, len: u64) -> Asked {
    let Some((first, last)) = value
        .strip_prefix("bytes=")
        .and_then(|range| range.trim().split_once('-'))
    else {
        return Asked::Whole;
    };
    let parsed = match (first, last) {
        ("", suffix) => suffix
            .parse()
            .ok()
            .map(|suffix: u64| len.saturating_sub(suffix)..len),
        (first, "") => first.parse().ok().map(|first| first..len),
        (first, last) => match (first.parse::<u64>(), last.parse::<u64>()) {
            (Ok(first), Ok(last)) if first <= last => Some(first..last.saturating_add(1).min(len)),
            _ => None,
        },
    };
    match parsed {
        None => Asked::Whole,
        Some(range) if range.start >= range.end => Asked::Unsatisfiable,
        Some(range) => Asked::Part(range),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_is_to_be_had_in_the_renditions_of_its_codec() {
        assert_eq!(asked(Rendition::O48, ""), Some(Rendition::O48));
        let lean = asked(Rendition::O48, "rendition=o16&l=1");
        assert_eq!(lean, Some(Rendition::O16));
        assert_eq!(asked(Rendition::O48, "rendition=a64"), None);
        assert_eq!(asked(Rendition::A64, "rendition=a99"), None);
    }

    #[test]
    fn ranges_follow_rfc_9110_section_14() {
        assert_eq!(parse_range("bytes=0-99", 1000), Asked::Part(0..100));
        assert_eq!(parse_range("bytes=900-", 1000), Asked::Part(900..1000));
        assert_eq!(parse_range("bytes=-10", 1000), Asked::Part(990..1000));
        assert_eq!(parse_range("bytes=-5000", 1000), Asked::Part(0..1000));
        assert_eq!(parse_range("bytes=990-5000", 1000), Asked::Part(990..1000));
        assert_eq!(parse_range("bytes=1000-", 1000), Asked::Unsatisfiable);
        assert_eq!(parse_range("bytes=-0", 1000), Asked::Unsatisfiable);
    }

    #[test]
    fn what_is_no_single_byte_range_gets_the_whole_file() {
        for value in [
            "bytes=5-2",
            "bytes=a-b",
            "lines=1-2",
            "bytes=0-1,5-6",
            "bytes=",
            "",
            "bytes=18446744073709551616-",
        ] {
            assert_eq!(parse_range(value, 1000), Asked::Whole, "{value}");
        }
        assert_eq!(
            parse_range("bytes=0-18446744073709551615", 1000),
            Asked::Part(0..1000)
        );
    }
}
