//! Answers that are not streams, as bytes: pages, `state.json`, and short words to who is not let in.

use std::time::SystemTime;

use bytes::Bytes;
use throng_core::caching::{BRIEF, NEVER};

use super::head::{Refusal, Text, TextName};
use crate::air::{Air, EXPOSED_HEADERS, now};
use crate::document::Document;
use crate::room;
use crate::state::state_json;

/// The answer to a request for a text; `None` where there is no such space or nobody knows yet what there is, which the
/// ordinary server says best.
pub(crate) fn text(air: &Air, asked: Text<'_>) -> Option<Bytes> {
    let Text { name, gzip, keeps } = asked;
    Some(match name {
        TextName::Index => page(&*air.index()?, gzip, keeps),
        TextName::Page(slug) => page(&air.find(slug)?.facts().page, gzip, keeps),
        TextName::State(slug) => {
            let on_air = air.find(slug)?;
            let state = state_json(&on_air, &on_air.facts().space, air.rung(), now());
            let head = format!(
                "content-type: application/json\r\ncache-control: {BRIEF}\r\nx-content-type-options: nosniff\r\n"
            );
            framed("200 OK", &head, keeps, state.as_bytes())
        }
    })
}

fn page(document: &Document, gzip: bool, keeps: bool) -> Bytes {
    let mut head = Vec::with_capacity(1_024);
    for (name, value) in document.headers(gzip) {
        head.extend(name.as_str().as_bytes());
        head.extend(b": ");
        head.extend(value.as_bytes());
        head.extend(b"\r\n");
    }
    let head = String::from_utf8(head).expect("headers of pages are plain text");
    framed("200 OK", &head, keeps, document.body(gzip))
}

/// The answer to a head that nobody should answer.
pub(crate) fn refusal(refusal: Refusal) -> Bytes {
    let (status, sentence) = refusal.words();
    short(status, NEVER, sentence, "")
}

/// `503` to somebody who finds the house full.
pub(crate) fn full() -> Bytes {
    let seconds = room::come_again_s();
    let head = format!(
        "content-type: application/json\r\ncache-control: {NEVER}\r\nretry-after: {seconds}\r\n\
         x-content-type-options: nosniff\r\n"
    );
    framed(
        "503 Service Unavailable",
        &head,
        false,
        room::full(seconds).as_bytes(),
    )
}

/// `503` with the time after which to come again.
pub(crate) fn come_again(seconds: u32, sentence: &str) -> Bytes {
    let more = format!("retry-after: {seconds}\r\n");
    short("503 Service Unavailable", BRIEF, sentence, &more)
}

fn short(status: &str, cache_control: &str, sentence: &str, more: &str) -> Bytes {
    let head = format!(
        "content-type: text/plain; charset=utf-8\r\ncache-control: {cache_control}\r\n\
         x-content-type-options: nosniff\r\n{more}"
    );
    framed(status, &head, false, sentence.as_bytes())
}

fn framed(status: &str, head: &str, keeps: bool, body: &[u8]) -> Bytes {
    let mut bytes = format!(
        "HTTP/1.1 {status}\r\n{head}content-length: {}\r\n{}\r\n",
        body.len(),
        always(keeps)
    )
    .into_bytes();
    bytes.extend(body);
    bytes.into()
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
