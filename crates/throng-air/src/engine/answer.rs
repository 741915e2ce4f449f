//! Answers that are not streams, as bytes: each has its head and body framed in one piece, and may be shared.

use std::time::SystemTime;

use axum::http::StatusCode;
use bytes::Bytes;
use throng_core::caching::{BRIEF, NEVER};

use super::head::Refusal;
use crate::air::{Air, EXPOSED_HEADERS, now};
use crate::answer::Reply;
use crate::document::Document;
use crate::format::Format;
use crate::hold_file::{self, HoldFile};
use crate::on_air::OnAir;
use crate::past::Recording;
use crate::state::state_json;

/// An answer as it goes out.
#[derive(Clone, Debug)]
pub(crate) struct Framed {
    bytes: Bytes,
    head_length: usize,
    status: StatusCode,
}

impl Framed {
    /// Its status.
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// What is sent of it: all, or what `HEAD` wants.
    pub(crate) fn sent(&self, with_body: bool) -> Bytes {
        let length = if with_body {
            self.bytes.len()
        } else {
            self.head_length
        };
        self.bytes.slice(..length)
    }
}

/// A page.
pub(crate) fn page(document: &Document, gzip: bool, keeps: bool) -> Framed {
    framed(
        StatusCode::OK,
        &page_head(document, gzip),
        keeps,
        document.body(gzip),
    )
}

/// A page, for who has it already (RFC 9110 section 15.4.5).
pub(crate) fn page_not_modified(document: &Document, keeps: bool) -> Framed {
    let status = StatusCode::NOT_MODIFIED;
    let head = page_head(document, false);
    let bytes = Bytes::from(format!("HTTP/1.1 {status}\r\n{head}{}\r\n", always(keeps)));
    Framed {
        head_length: bytes.len(),
        bytes,
        status,
    }
}

fn page_head(document: &Document, gzip: bool) -> String {
    let mut head = Vec::with_capacity(1_024);
    for (name, value) in document.headers(gzip) {
        head.extend(name.as_str().as_bytes());
        head.extend(b": ");
        head.extend(value.as_bytes());
        head.extend(b"\r\n");
    }
    String::from_utf8(head).expect("headers of pages are plain text")
}

/// The head of the hold music as a file; its bytes are sent after it, unless he has them already.
pub(crate) fn hold_file(file: &HoldFile, is_known: bool, keeps: bool) -> Framed {
    let (status, length) = if is_known {
        (StatusCode::NOT_MODIFIED, String::new())
    } else {
        let length = format!("content-length: {}\r\n", file.len());
        (StatusCode::OK, length)
    };
    let bytes = Bytes::from(format!(
        "HTTP/1.1 {status}\r\ncontent-type: {}\r\ncache-control: {}\r\netag: {}\r\naccept-ranges: bytes\r\n\
         x-content-type-options: nosniff\r\n{length}{}\r\n",
        hold_file::CONTENT_TYPE,
        hold_file::KEPT,
        file.etag(),
        always(keeps)
    ));
    Framed {
        head_length: bytes.len(),
        bytes,
        status,
    }
}

/// `state.json`.
pub(crate) fn state(air: &Air, on_air: &OnAir, keeps: bool) -> Framed {
    let state = state_json(on_air, &on_air.facts().space, air.told(), now());
    reply(&Reply::ok(state, "application/json", BRIEF), keeps)
}

/// `now-serving.json`.
pub(crate) fn now_serving(air: &Air, keeps: bool) -> Framed {
    let told = Reply::ok(
        air.room().now_serving(air.ladder().rung()),
        "application/json",
        BRIEF,
    );
    reply(&told, keeps)
}

/// What a listener would be told, without becoming one. "A server MAY send a Transfer-Encoding header field in a
/// response to a HEAD request" (RFC 9112 section 6.1) and like the ordinary server we do not.
pub(crate) fn live_head(format: Format, keeps: bool) -> Framed {
    let bytes = Bytes::from(stream_head(format, keeps) + "\r\n");
    Framed {
        head_length: bytes.len(),
        bytes,
        status: StatusCode::OK,
    }
}

/// The head of a live stream, up to the empty line.
pub(crate) fn opening(format: Format) -> String {
    stream_head(format, false) + "transfer-encoding: chunked\r\n\r\n"
}

fn stream_head(format: Format, keeps: bool) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {}\r\ncache-control: {NEVER}\r\nx-content-type-options: nosniff\r\n{}",
        format.content_type(),
        always(keeps),
    )
}

/// The answer to a head that nobody should answer.
pub(crate) fn refusal(refusal: Refusal) -> Framed {
    let (status, sentence) = refusal.words();
    let reply_to = Reply {
        cache_control: NEVER,
        ..Reply::refuse(status, sentence)
    };
    reply(&reply_to, false)
}

/// An answer like the ordinary server's.
pub(crate) fn reply(reply: &Reply, keeps: bool) -> Framed {
    let Reply {
        status,
        content_type,
        cache_control,
        retry_after_s,
        location,
        body,
    } = reply;
    let retry = retry_after_s.map(|seconds| format!("retry-after: {seconds}\r\n"));
    let location = location.as_ref();
    let location = location.map(|location| format!("location: {location}\r\n"));
    let head = format!(
        "content-type: {content_type}\r\ncache-control: {cache_control}\r\nx-content-type-options: nosniff\r\n{}{}",
        retry.unwrap_or_default(),
        location.unwrap_or_default()
    );
    framed(*status, &head, keeps, body)
}

fn framed(status: StatusCode, head: &str, keeps: bool, body: &[u8]) -> Framed {
    let head = format!(
        "HTTP/1.1 {status}\r\n{head}content-length: {}\r\n{}\r\n",
        body.len(),
        always(keeps)
    );
    let mut bytes = Vec::with_capacity(head.len() + body.len());
    bytes.extend(head.as_bytes());
    bytes.extend(body);
    Framed {
        bytes: bytes.into(),
        head_length: head.len(),
        status,
    }
}

/// What every answer of the engine carries: it may be read from any page, and whether more may be asked.
pub(crate) fn always(keeps: bool) -> String {
    let connection = if keeps { "" } else { "connection: close\r\n" };
    format!(
        "{connection}access-control-allow-origin: *\r\naccess-control-expose-headers: {EXPOSED_HEADERS}\r\n\
         date: {}\r\n",
        httpdate::fmt_http_date(SystemTime::now()),
    )
}
