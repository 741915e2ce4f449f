//! One parser decides about a request head, strictly: a live stream and the pages on the way to it are ours, everything
//! else is handed on with the bytes already read, and what two parsers could read in two ways is refused.

use std::mem::MaybeUninit;

use httparse::{Error, Header, Request, Status};
use throng_core::rendition::Rendition;

use crate::document::takes_gzip;
use crate::format::Format;

/// Largest request head, as at the ordinary server. A join needs less than 1 KB; browsers send up to 8 KB with cookies
/// of neighbours. A longer one is refused.
pub(crate) const HEAD_MAX_BYTES: usize = 16 * 1024;
/// Most headers of a request, as at the ordinary server. A browser sends some twenty.
const HEADERS_MAX: usize = 100;

/// What the bytes of a connection ask for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Head<'b> {
    /// Something that the ordinary server answers.
    HandOn,
    /// A live stream.
    Live(Asked<'b>),
    /// A text on the way to one.
    Text(Text<'b>),
    /// More bytes are needed.
    Partial,
    /// Nobody should answer this.
    Refuse(Refusal),
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
}

/// A text that somebody asked for, with nothing said after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Text<'b> {
    /// Which.
    pub(crate) name: TextName<'b>,
    /// Whether it may be compressed.
    pub(crate) gzip: bool,
    /// Whether the connection is kept for the next request (RFC 9112 section 9.3).
    pub(crate) keeps: bool,
}

/// A text and the slug of its space, as it stands in the path; the space need not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextName<'b> {
    /// The list of spaces.
    Index,
    /// The page of a space.
    Page(&'b str),
    /// `state.json` of a space.
    State(&'b str),
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

    /// The status line's end, and a sentence.
    pub(crate) const fn words(self) -> (&'static str, &'static str) {
        let bad = "400 Bad Request";
        match self {
            Self::Framing => (bad, "The request gives its body two lengths.\n"),
            Self::Host => (bad, "The request must name its host exactly once.\n"),
            Self::Malformed => (bad, "This is not an HTTP/1.1 request.\n"),
            Self::TooLarge => (
                "431 Request Header Fields Too Large",
                "The headers of the request are too large.\n",
            ),
        }
    }
}

/// Reads the head at the beginning of these bytes.
pub(crate) fn read(bytes: &[u8]) -> Head<'_> {
    let mut headers = [const { MaybeUninit::<Header<'_>>::uninit() }; HEADERS_MAX];
    let mut request = Request::new(&mut []);
    match request.parse_with_uninit_headers(bytes, &mut headers) {
        Ok(Status::Complete(length)) if length <= HEAD_MAX_BYTES => {
            judge(&request, length == bytes.len())
        }
        Ok(Status::Partial) if bytes.len() < HEAD_MAX_BYTES => Head::Partial,
        Ok(_) | Err(Error::TooManyHeaders) => Head::Refuse(Refusal::TooLarge),
        Err(_) => Head::Refuse(Refusal::Malformed),
    }
}

fn judge<'b>(request: &Request<'_, 'b>, is_all: bool) -> Head<'b> {
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
    let Some(target) = request.path else {
        return Head::HandOn;
    };
    if request.method != Some("GET") || lengths + codings > 0 {
        return Head::HandOn;
    }
    if let Some(asked) = live(target) {
        return Head::Live(asked);
    }
    // Requests sent before their turn are the ordinary server's to sort out.
    match text(target).filter(|_| is_all) {
        None => Head::HandOn,
        Some(name) => Head::Text(Text {
            name,
            gzip: takes_gzip(values(request, "accept-encoding")),
            keeps: !values(request, "connection").any(says_close),
        }),
    }
}

/// The values of a header, by its name in lower case.
fn values<'h>(request: &'h Request<'_, '_>, name: &str) -> impl Iterator<Item = &'h [u8]> {
    let named = request.headers.iter();
    named
        .filter(move |header| header.name.eq_ignore_ascii_case(name))
        .map(|header| header.value)
}

fn says_close(value: &[u8]) -> bool {
    let mut options = value.split(|byte| *byte == b',');
    options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
}

/// The text of `/`, `/s/{slug}` or `/s/{slug}/state.json`, which no query changes.
fn text(target: &str) -> Option<TextName<'_>> {
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    if path == "/" {
        return Some(TextName::Index);
    }
    match path.strip_prefix("/s/")?.split_once('/') {
        None => path.strip_prefix("/s/").map(TextName::Page),
        Some((slug, "state.json")) => Some(TextName::State(slug)),
        Some(_) => None,
    }
}

/// The stream of `/s/{slug}/live.{format}` with parameters that we know. In any other spelling it is not ours.
fn live(target: &str) -> Option<Asked<'_>> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (slug, file) = path.strip_prefix("/s/")?.split_once('/')?;
    let format = Format::of(file)?;
    let mut asked = None;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=')? {
            ("rendition", name) if asked.is_none() => asked = Some(Rendition::parse(name)?),
            ("l" | "ticket", _) => {}
            _ => return None,
        }
    }
    Some(Asked {
        slug,
        format,
        rendition: format.rendition(asked)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(target: &str) -> String {
        format!("GET {target} HTTP/1.1\r\nhost: a\r\naccept: */*\r\n\r\n")
    }

    fn refusal(text: &str) -> Option<Refusal> {
        match read(text.as_bytes()) {
            Head::Refuse(refusal) => Some(refusal),
            _ => None,
        }
    }

    #[test]
    fn a_live_stream_is_ours() {
        for (target, slug, format, rendition) in [
            ("/s/a-b/live.mp4", "a-b", Format::Mp4, Rendition::O48),
            ("/s/a/live.aac?l=1", "a", Format::Aac, Rendition::A64),
            (
                "/s/a/live.webm?l=x&rendition=o24&ticket=",
                "a",
                Format::Webm,
                Rendition::O24,
            ),
        ] {
            let asked = Asked {
                slug,
                format,
                rendition,
            };
            let text = get(target);
            assert_eq!(read(text.as_bytes()), Head::Live(asked), "{target}");
            for end in 0..text.len() {
                assert_eq!(read(&text.as_bytes()[..end]), Head::Partial, "{end}");
            }
        }
    }

    #[test]
    fn texts_on_the_way_to_a_stream_are_ours() {
        let asked = |target: &str, headers: &str| {
            let text = format!("GET {target} HTTP/1.1\r\nhost: a\r\n{headers}\r\n");
            match read(text.as_bytes()) {
                Head::Text(text) => (format!("{:?}", text.name), text.gzip, text.keeps),
                other => panic!("{other:?}"),
            }
        };
        let page = "Page(\"a\")".to_owned();
        assert_eq!(asked("/", ""), ("Index".to_owned(), false, true));
        assert_eq!(
            asked("/s/a?from=mail", "accept-encoding: br, gzip\r\n"),
            (page.clone(), true, true)
        );
        assert_eq!(
            asked("/s/a/state.json", "connection: Keep-Alive, Close\r\n"),
            ("State(\"a\")".to_owned(), false, false)
        );
        assert_eq!(
            asked("/s/a", "connection: keep-alive\r\n"),
            (page, false, true)
        );
    }

    #[test]
    fn whatever_else_is_a_request_is_handed_on() {
        for target in [
            "/s",
            "/s/a/",
            "/s/a/state.json/",
            "/s/a/live.ogg",
            "/s/a/live.mp4/",
            "/s//a/live.mp4",
            "/s/a/hls/live.mp4",
            "/S/a/live.mp4",
            "/s/a/live%2emp4",
            "http://a/s/a/live.mp4",
            "/s/a/live.mp4?rendition=best",
            "/s/a/live.webm?rendition=a64",
            "/s/a/live.mp4?rendition=o24&rendition=o48",
            "/s/a/live.mp4?seek=1",
            "/s/a/live.mp4?l",
        ] {
            assert_eq!(read(get(target).as_bytes()), Head::HandOn, "{target}");
        }
        for text in [
            "HEAD /s/a/live.mp4 HTTP/1.1\r\nhost: a\r\n\r\n",
            "POST /s/a/live.mp4 HTTP/1.1\r\nhost: a\r\n\r\n",
            "GET /s/a/live.mp4 HTTP/1.0\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n",
            "GET /s/a/live.mp4 HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi",
            "GET /s/a/live.mp4 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n",
        ] {
            assert_eq!(read(text.as_bytes()), Head::HandOn, "{text}");
        }
    }

    #[test]
    fn what_nobody_should_answer_is_refused_for_a_reason() {
        let many = format!(
            "GET / HTTP/1.1\r\nhost: a\r\n{}\r\n",
            "a: b\r\n".repeat(HEADERS_MAX)
        );
        let long = format!(
            "GET / HTTP/1.1\r\nhost: a\r\ncookie: {}",
            "x".repeat(HEAD_MAX_BYTES)
        );
        let whole = format!("{long}\r\n\r\n");
        for text in [many, long, whole] {
            assert_eq!(refusal(&text), Some(Refusal::TooLarge));
        }
        for text in [
            "\u{16}\u{3}\u{1}\u{2}",
            "GET /\r\n\r\n",
            "GET / HTTP/2.0\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\n",
            "GET / HTTP/1.1\r\nhost : a\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\n folded: b\r\n\r\n",
            "GET /\u{0} HTTP/1.1\r\nhost: a\r\n\r\n",
        ] {
            assert_eq!(refusal(text), Some(Refusal::Malformed), "{text:?}");
        }
        for text in [
            "GET /s/a/live.mp4 HTTP/1.1\r\n\r\n",
            "GET /s/a/live.mp4 HTTP/1.1\r\nhost: a\r\nHOST: b\r\n\r\n",
        ] {
            assert_eq!(refusal(text), Some(Refusal::Host));
        }
        for lengths in [
            "content-length: 1\r\ntransfer-encoding: chunked\r\n",
            "content-length: 1\r\nContent-Length: 1\r\n",
            "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
        ] {
            let text = format!("POST / HTTP/1.1\r\nhost: a\r\n{lengths}\r\n");
            assert_eq!(refusal(&text), Some(Refusal::Framing));
        }
    }
}
