//! Pages and other texts that are made once and sent to everyone: body, compressed body and headers.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

/// A text with its compressed twin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    plain: Bytes,
    gzip: Bytes,
    head: Head,
    /// Names the text (RFC 9110 section 8.8.3): weakly, since it is the same text in both codings.
    etag: String,
}

/// What an answer says of the text besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// `Content-Type`.
    pub content_type: HeaderValue,
    /// `Cache-Control`.
    pub cache_control: HeaderValue,
    /// `Content-Security-Policy`, where there is one.
    pub content_security_policy: Option<HeaderValue>,
}

impl Document {
    /// A text, compressed once.
    pub fn new(text: String, content_type: &'static str, cache_control: &'static str) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder
            .write_all(text.as_bytes())
            .expect("writing to memory does not fail");
        let gzip = encoder.finish().expect("writing to memory does not fail");
        let head = Head {
            content_type: HeaderValue::from_static(content_type),
            cache_control: HeaderValue::from_static(cache_control),
            content_security_policy: None,
        };
        Self::from_both(text.into(), gzip.into(), head)
    }

    /// A text that was compressed elsewhere.
    pub fn from_both(plain: Bytes, gzip: Bytes, head: Head) -> Self {
        let mut hasher = DefaultHasher::new();
        plain.hash(&mut hasher);
        Self {
            etag: format!("W/\"{:016x}\"", hasher.finish()),
            plain,
            gzip,
            head,
        }
    }

    /// Whether a value of `If-None-Match` names it: who has it need not be sent it again.
    pub(crate) fn is_named_by(&self, tags: &[u8]) -> bool {
        names(tags, &self.etag)
    }

    /// The text.
    pub fn plain(&self) -> &Bytes {
        &self.plain
    }

    /// The text, compressed.
    pub fn gzip(&self) -> &Bytes {
        &self.gzip
    }

    /// What an answer says of it besides.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The same with a `Content-Security-Policy`.
    #[must_use]
    pub fn with_policy(mut self, policy: HeaderValue) -> Self {
        self.head.content_security_policy = Some(policy);
        self
    }

    /// Bytes on the wire to a client that takes gzip.
    pub fn compressed_len(&self) -> usize {
        self.gzip.len()
    }

    /// The body, compressed or not.
    pub(crate) fn body(&self, gzip: bool) -> &Bytes {
        if gzip { &self.gzip } else { &self.plain }
    }

    /// The headers of its answers, and their values; none of them depends on who asks but the last, the coding of a body.
    pub(crate) fn headers(&self, gzip: bool) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let fixed = [
            (header::CONTENT_TYPE, self.head.content_type.clone()),
            (header::CACHE_CONTROL, self.head.cache_control.clone()),
            (header::VARY, HeaderValue::from_static("accept-encoding")),
            (
                header::ETAG,
                HeaderValue::from_str(&self.etag).expect("an entity tag is visible ASCII"),
            ),
            (
                header::X_CONTENT_TYPE_OPTIONS,
                HeaderValue::from_static("nosniff"),
            ),
            (
                header::REFERRER_POLICY,
                HeaderValue::from_static("no-referrer"),
            ),
        ];
        let policy = self.head.content_security_policy.clone();
        let policy = policy.map(|policy| (header::CONTENT_SECURITY_POLICY, policy));
        let coding = (header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        fixed
            .into_iter()
            .chain(policy)
            .chain(gzip.then_some(coding))
    }

    /// The answer to a request with these headers.
    pub fn respond(&self, status: StatusCode, request: &HeaderMap) -> Response {
        let codings = request.get_all(header::ACCEPT_ENCODING).iter();
        let gzip = takes_gzip(codings.map(HeaderValue::as_bytes));
        let tags = request.get(header::IF_NONE_MATCH);
        let is_known = tags.is_some_and(|tags| self.is_named_by(tags.as_bytes()));
        let (status, gzip, body) = if is_known && status == StatusCode::OK {
            (StatusCode::NOT_MODIFIED, false, Body::empty())
        } else {
            (status, gzip, Body::from(self.body(gzip).clone()))
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        response.headers_mut().extend(self.headers(gzip));
        response
    }
}

/// Whether a value of `If-None-Match` names this entity tag, by the weak comparison (RFC 9110 sections 8.8.3.2 and
/// 13.1.2).
pub(crate) fn names(tags: &[u8], etag: &str) -> bool {
    fn opaque(tag: &[u8]) -> &[u8] {
        tag.strip_prefix(b"W/").unwrap_or(tag)
    }
    let mut tags = tags.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    tags.any(|tag| tag == b"*" || opaque(tag) == opaque(etag.as_bytes()))
}

/// Whether one of these values of `Accept-Encoding` names gzip without forbidding it (RFC 9110 section 12.5.3).
pub(crate) fn takes_gzip<'v>(values: impl Iterator<Item = &'v [u8]>) -> bool {
    values
        .filter_map(|value| str::from_utf8(value).ok())
        .any(|value| {
            value.split(',').any(|coding| {
                let mut fields = coding.split(';').map(str::trim);
                let named = fields
                    .next()
                    .is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
                named
                    && !fields
                        .any(|weight| matches!(weight, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(value: &'static str) -> bool {
        takes_gzip([value.as_bytes()].into_iter())
    }

    #[test]
    fn gzip_is_sent_only_to_who_takes_it() {
        assert!(takes("gzip, deflate, br"));
        assert!(takes("br;q=1.0, GZIP;q=0.5"));
        assert!(!takes("identity"));
        assert!(!takes("gzip;q=0"));
        assert!(!takes_gzip(std::iter::empty()));
    }

    #[test]
    fn an_entity_tag_is_compared_weakly_and_as_a_whole() {
        // RFC 9110 sections 8.8.3.2 and 13.1.2.
        for tags in ["\"1a\"", "W/\"1a\"", "*", "\"0\",W/\"1a\" , \"2\""] {
            assert!(names(tags.as_bytes(), "W/\"1a\""), "{tags}");
            assert!(names(tags.as_bytes(), "\"1a\""), "{tags}");
        }
        for tags in [
            "",
            "1a",
            "\"1A\"",
            "W/",
            "\"1a",
            "\"11a\"",
            "w/\"1a\"",
            "\"\u{e9}\"",
        ] {
            assert!(!names(tags.as_bytes(), "W/\"1a\""), "{tags}");
        }
    }

    #[test]
    fn one_text_has_one_tag_in_every_process_and_another_text_another() {
        let document = |text: &str| Document::new(text.to_owned(), "text/html", "no-store");
        let page = document("a page");
        let head = page.head().clone();
        let moved = Document::from_both(page.plain().clone(), page.gzip().clone(), head);
        assert_eq!(page.etag, moved.etag);
        assert!(page.is_named_by(moved.etag.as_bytes()));
        assert!(!page.is_named_by(document("a pagE").etag.as_bytes()));
    }
}
