//! Pages and other texts that are made once and sent to everyone: body, compressed body and headers.

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
        Self {
            gzip: encoder
                .finish()
                .expect("writing to memory does not fail")
                .into(),
            plain: text.into(),
            head: Head {
                content_type: HeaderValue::from_static(content_type),
                cache_control: HeaderValue::from_static(cache_control),
                content_security_policy: None,
            },
        }
    }

    /// A text that was compressed elsewhere.
    pub fn from_both(plain: Bytes, gzip: Bytes, head: Head) -> Self {
        Self { plain, gzip, head }
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

    /// The headers of its answers, and their values; none of them depends on who asks but the last.
    pub(crate) fn headers(&self, gzip: bool) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let fixed = [
            (header::CONTENT_TYPE, self.head.content_type.clone()),
            (header::CACHE_CONTROL, self.head.cache_control.clone()),
            (header::VARY, HeaderValue::from_static("accept-encoding")),
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
        let mut response = Response::new(Body::from(self.body(gzip).clone()));
        *response.status_mut() = status;
        response.headers_mut().extend(self.headers(gzip));
        response
    }
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
}
