//! One parser decides about a request head, strictly: a live stream is ours, everything else is handed on with the
//! bytes already read, and what two parsers could read in two ways is refused.

use std::mem::MaybeUninit;

use httparse::{Error, Header, Request, Status};
use throng_core::rendition::Rendition;

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
        Ok(Status::Complete(length)) if length <= HEAD_MAX_BYTES => judge(&request),
        Ok(Status::Partial) if bytes.len() < HEAD_MAX_BYTES => Head::Partial,
        Ok(_) | Err(Error::TooManyHeaders) => Head::Refuse(Refusal::TooLarge),
        Err(_) => Head::Refuse(Refusal::Malformed),
    }
}

fn judge<'b>(request: &Request<'_, 'b>) -> Head<'b> {
    let count = |name: &str| {
        let named = request.headers.iter();
        named
            .filter(|header| header.name.eq_ignore_ascii_case(name))
            .count()
    };
    let (lengths, codings) = (count("content-length"), count("transfer-encoding"));
    if lengths + codings > 1 {
        return Head::Refuse(Refusal::Framing);
    }
    if request.version != Some(1) {
        return Head::HandOn;
    }
    if count("host") != 1 {
        return Head::Refuse(Refusal::Host);
    }
    if request.method != Some("GET") || lengths + codings > 0 {
        return Head::HandOn;
    }
    request.path.and_then(live).map_or(Head::HandOn, Head::Live)
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
    fn whatever_else_is_a_request_is_handed_on() {
        for target in [
            "/",
            "/s/a",
            "/s/a/state.json",
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
