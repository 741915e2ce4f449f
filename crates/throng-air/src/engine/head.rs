//! One parser decides about a request head, strictly: live streams, playlists, parts and the pages on the way to them are
//! ours, everything else is handed on with the bytes already read, and what two parsers could read in two ways is refused.
//!
//! The same bytes are read the same in whatever pieces they come.

use std::mem::MaybeUninit;

use axum::http::StatusCode;
use httparse::{Error, Header, Request, Status};
use throng_core::rendition::Rendition;
use throng_core::timeline::PartIndex;

use crate::document::takes_gzip;
use crate::format::Format;
use crate::hls;
use crate::room::overflow::SENT_ON;
use crate::space_file::{PageFile, SpaceFile};

#[cfg(test)]
mod tests;

/// Largest request head, as at the ordinary server. A join needs less than 1 KB; browsers send up to 8 KB with cookies
/// of neighbours. A longer one is refused.
pub(crate) const HEAD_MAX_BYTES: usize = 16 * 1024;
/// Most headers of a request, as at the ordinary server. A browser sends some twenty.
const HEADERS_MAX: usize = 100;

/// Who forwards a request says so by one of these: RFC 9110 section 7.6.3, RFC 8586, RFC 7239 and what was before it.
pub(crate) const FORWARDED: [&str; 4] = ["via", "cdn-loop", "forwarded", "x-forwarded-for"];

/// What the bytes of a connection ask for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Head<'b> {
    /// Something that the ordinary server answers.
    HandOn,
    /// A live stream.
    Live(Asked<'b>),
    /// More bytes are needed.
    Partial,
    /// Nobody should answer this.
    Refuse(Refusal),
    /// Something that is answered in one piece.
    Wish(Wish<'b>),
}

/// A live stream that somebody asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked<'b> {
    /// The slug as it stands in the path; the space need not exist.
    pub(crate) slug: &'b str,
    /// The container.
    pub(crate) format: Format,
    /// The rendition, which the container carries.
    pub(crate) rendition: Rendition,
    /// What follows the question mark.
    pub(crate) query: &'b str,
    /// The part for which he waits, if he was elsewhere before.
    pub(crate) from: Option<PartIndex>,
}

/// Something that somebody asked for, and what is to be known for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wish<'b> {
    /// What.
    pub(crate) what: What<'b>,
    /// How it is to be answered.
    pub(crate) manner: Manner,
    /// Whether the body may be compressed.
    pub(crate) gzip: bool,
    /// What he has already, by `If-None-Match`. Of several such lines the first: who is sent what he has is not worse off.
    pub(crate) known: Option<&'b [u8]>,
    /// Whether another asks for him, as a cache does for many: "a proxy MUST send an appropriate Via header field [...] in
    /// each message that it forwards" (RFC 9110 section 7.6.3).
    pub(crate) is_forwarded: bool,
    /// The bytes of the head; what follows them is the next request.
    pub(crate) length: usize,
}

/// What somebody asked for, with the slug of its space as it stands in the path; the space need not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What<'b> {
    /// The chapters of a space.
    Chapters(&'b str),
    /// A file under `hls/`.
    Hls(File<'b>),
    /// The hold music of a space, as a file.
    HoldFile(&'b str),
    /// The list of spaces.
    Index,
    /// The head of a live stream.
    LiveHead(Asked<'b>),
    /// The page of a space.
    Page(&'b str),
    /// `now-serving.json` of a space.
    NowServing(&'b str),
    /// `state.json` of a space.
    State(&'b str),
    /// What the page of a space loads besides itself.
    OfPage(&'b str, PageFile),
}

/// A file under `hls/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct File<'b> {
    /// The space.
    pub(crate) slug: &'b str,
    /// Its name.
    pub(crate) name: hls::Name,
    /// What follows the question mark.
    pub(crate) query: &'b str,
}

/// How a request is to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Manner {
    /// Whether the connection is kept for the next request (RFC 9112 section 9.3).
    pub(crate) keeps: bool,
    /// Whether the body is sent; `HEAD` wants all but that (RFC 9110 section 9.3.2).
    pub(crate) with_body: bool,
}

/// Why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Two lengths for one body: two parsers could see two requests (RFC 9112 section 6.1).
    Framing,
    /// Not exactly one `Host` (RFC 9112 section 3.2).
    Host,
    /// Not HTTP.
    Malformed,
    /// Longer than [`HEAD_MAX_BYTES`], or more headers than are taken (RFC 6585 section 5).
    TooLarge,
}

impl Refusal {
    /// Its name in metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Framing => "framing",
            Self::Host => "host",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
        }
    }

    /// The status, and a sentence.
    pub(crate) const fn words(self) -> (StatusCode, &'static str) {
        let bad = StatusCode::BAD_REQUEST;
        match self {
            Self::Framing => (bad, "The request gives its body two lengths.\n"),
            Self::Host => (bad, "The request must name its host exactly once.\n"),
            Self::Malformed => (bad, "This is not an HTTP/1.1 request.\n"),
            Self::TooLarge => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "The headers of the request are too large.\n",
            ),
        }
    }
}

/// Reads the head at the beginning of these bytes.
pub(crate) fn read(bytes: &[u8]) -> Head<'_> {
    let is_long = bytes.len() >= HEAD_MAX_BYTES;
    let bytes = &bytes[..bytes.len().min(HEAD_MAX_BYTES)];
    let mut headers = [const { MaybeUninit::<Header<'_>>::uninit() }; HEADERS_MAX];
    let mut request = Request::new(&mut []);
    match request.parse_with_uninit_headers(bytes, &mut headers) {
        Ok(Status::Complete(length)) if has_bare_line_feed(&bytes[..length]) => {
            Head::Refuse(Refusal::Malformed)
        }
        Ok(Status::Complete(length)) => judge(&request, length),
        Ok(Status::Partial) if !is_long => Head::Partial,
        Ok(Status::Partial) | Err(Error::TooManyHeaders) => Head::Refuse(Refusal::TooLarge),
        Err(_) => Head::Refuse(Refusal::Malformed),
    }
}

/// Whether a line ends without a carriage return. "A recipient MAY recognize a single LF as a line terminator" (RFC 9112
/// section 2.2); one in front of us may not, and would see other headers than we.
fn has_bare_line_feed(head: &[u8]) -> bool {
    let before = std::iter::once(&0).chain(head);
    before
        .zip(head)
        .any(|pair| matches!(pair, (before, b'\n') if *before != b'\r'))
}

fn judge<'b>(request: &Request<'_, 'b>, length: usize) -> Head<'b> {
    let (lengths, codings) = (
        values(request, "content-length").count(),
        values(request, "transfer-encoding").count(),
    );
    if lengths + codings > 1 {
        return Head::Refuse(Refusal::Framing);
    }
    if request.version != Some(1) {
        return Head::HandOn;
    }
    if values(request, "host").count() != 1 {
        return Head::Refuse(Refusal::Host);
    }
    let with_body = match request.method {
        Some("GET") => true,
        Some("HEAD") => false,
        _ => return Head::HandOn,
    };
    let Some(what) = request
        .path
        .and_then(what)
        .filter(|_| lengths + codings == 0)
    else {
        return Head::HandOn;
    };
    match what {
        What::LiveHead(asked) if with_body => Head::Live(asked),
        What::HoldFile(_) if wants_a_piece(request) => Head::HandOn,
        what => Head::Wish(Wish {
            what,
            manner: Manner {
                keeps: !values(request, "connection").any(says_close),
                with_body,
            },
            gzip: takes_gzip(values(request, "accept-encoding")),
            known: values(request, "if-none-match").next(),
            is_forwarded: FORWARDED
                .into_iter()
                .any(|name| values(request, name).next().is_some()),
            length,
        }),
    }
}

/// The values of a header, by its name in lower case.
fn values<'b>(request: &Request<'_, 'b>, name: &str) -> impl Iterator<Item = &'b [u8]> {
    let named = request.headers.iter();
    named
        .filter(move |header| header.name.eq_ignore_ascii_case(name))
        .map(|header| header.value)
}

/// Whether some of a file is wanted and not all of it. Browsers begin with `bytes=0-`, which a server may ignore (RFC
/// 9110 section 14.2).
fn wants_a_piece(request: &Request<'_, '_>) -> bool {
    values(request, "range").any(|range| range != b"bytes=0-")
}

fn says_close(value: &[u8]) -> bool {
    let mut options = value.split(|byte| *byte == b',');
    options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
}

/// What a target names. What has another spelling is not ours; the ordinary server knows whether it is anything.
fn what(target: &str) -> Option<What<'_>> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if path == "/" {
        return Some(What::Index);
    }
    let path = path.strip_prefix("/s/")?;
    let (slug, file) = match path.split_once('/') {
        None => (path, None),
        Some((slug, file)) => (slug, Some(file)),
    };
    if slug.is_empty() || slug.contains(['%', '#']) {
        return None;
    }
    let Some(file) = file else {
        return Some(What::Page(slug));
    };
    if let Some(name) = file.strip_prefix("hls/") {
        return Some(What::Hls(File {
            slug,
            name: hls::Name::parse(name)?,
            query,
        }));
    }
    match SpaceFile::named(file)? {
        SpaceFile::Chapters => Some(What::Chapters(slug)),
        SpaceFile::HoldMusic => Some(What::HoldFile(slug)),
        SpaceFile::Live(format) => live(slug, format, query).map(What::LiveHead),
        SpaceFile::NowServing => Some(What::NowServing(slug)),
        SpaceFile::OfPage(file) => Some(What::OfPage(slug, file)),
        // Read from a disk.
        SpaceFile::Recording(_) => None,
        SpaceFile::State => Some(What::State(slug)),
    }
}

/// The stream of `live.{format}` with parameters that we know.
fn live<'b>(slug: &'b str, format: Format, query: &'b str) -> Option<Asked<'b>> {
    let (mut asked, mut from) = (None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=')? {
            ("rendition", name) if asked.is_none() => asked = Some(Rendition::parse(name)?),
            ("from", part) if from.is_none() => from = Some(PartIndex(part.parse().ok()?)),
            ("l" | "ticket" | SENT_ON, _) => {}
            _ => return None,
        }
    }
    Some(Asked {
        slug,
        format,
        rendition: format.rendition(asked)?,
        query,
        from,
    })
}
