//! Requests for a recording: any `Range`, `If-Range`, `If-None-Match` (RFC 9110), on files of any length. The bytes
//! are the length of the file and then one header per line.
#![no_main]

use std::io;
use std::ops::Range;
use std::sync::Arc;

use axum::body::HttpBody;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use throng_air::past::Recording;
use throng_fuzz::Script;

const HEADERS: [HeaderName; 3] = [header::RANGE, header::IF_RANGE, header::IF_NONE_MATCH];

struct File(u64);

impl Recording for File {
    fn len(&self) -> u64 {
        self.0
    }

    fn etag(&self) -> String {
        "\"0123\"".to_owned()
    }

    fn read(&self, _: Range<u64>) -> io::Result<Bytes> {
        Ok(Bytes::new())
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut script = Script::new(bytes);
    let wide = script.byte() % 2 == 1;
    let length = u64::from(script.long()) << if wide { 32 } else { 0 };
    let mut request = HeaderMap::new();
    for (name, line) in HEADERS
        .into_iter()
        .zip(script.rest().split(|&byte| byte == b'\n'))
    {
        if let Ok(value) = HeaderValue::from_bytes(line)
            && !line.is_empty()
        {
            request.insert(name, value);
        }
    }
    let response = throng_air::fuzzing::recording(Arc::new(File(length)), &request, wide);
    let body_length = response.body().size_hint().exact();
    match response.status().as_u16() {
        200 => assert_eq!(body_length, Some(length)),
        206 => assert_eq!(body_length, Some(content_range(response.headers(), length))),
        304 => assert_eq!(body_length, Some(0)),
        416 => assert!(request.contains_key(header::RANGE)),
        other => panic!("status {other}"),
    }
});

/// The bytes that `Content-Range` says, which must lie within the file (RFC 9110, section 14.4).
fn content_range(headers: &HeaderMap, length: u64) -> u64 {
    let value = headers[header::CONTENT_RANGE]
        .to_str()
        .expect("visible ASCII");
    let range = value
        .strip_prefix("bytes ")
        .and_then(|rest| rest.strip_suffix(&format!("/{length}")));
    let (first, last) = range
        .and_then(|range| range.split_once('-'))
        .expect("first-last");
    let (first, last): (u64, u64) = (
        first.parse().expect("a number"),
        last.parse().expect("a number"),
    );
    assert!(first <= last && last < length, "{value}");
    last - first + 1
}
