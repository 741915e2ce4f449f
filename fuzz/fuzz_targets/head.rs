//! The head of a request as the engine reads it, in any pieces. The first byte says how long the pieces are.
#![no_main]

use libfuzzer_sys::fuzz_target;
use throng_air::fuzzing::{Reading, head};
use throng_fuzz::Script;

fuzz_target!(|bytes: &[u8]| {
    let mut script = Script::new(bytes);
    let piece = usize::from(script.byte()) + 1;
    let bytes = script.rest();
    let whole = head(bytes);
    for end in (0..bytes.len()).step_by(piece) {
        let part = head(&bytes[..end]);
        assert!(
            part == Reading::Partial || part == whole,
            "{part:?} of {end} bytes, {whole:?} of all"
        );
    }
    if let Reading::Accepted(length) = whole {
        let second = plain_length(bytes).expect("a second reader finds a request");
        assert!(length.is_none_or(|length| length == second));
    }
});

/// The length of a request without a body, read line by line as RFC 9112 says and no more leniently: exactly one host,
/// no body, every line with its CRLF. Empty lines may precede it (section 2.2).
fn plain_length(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes;
    while let Some(after) = rest.strip_prefix(b"\r\n") {
        rest = after;
    }
    let mut hosts = 0;
    let mut line = take_line(&mut rest)?;
    let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let [b"GET" | b"HEAD", target, b"HTTP/1.1"] = words[..] else {
        return None;
    };
    if target.first() != Some(&b'/') || target.iter().any(|byte| *byte <= b' ' || *byte == 0x7f) {
        return None;
    }
    loop {
        line = take_line(&mut rest)?;
        if line.is_empty() {
            break;
        }
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = line[..colon].to_ascii_lowercase();
        let is_token =
            |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        if name.is_empty() || !name.iter().all(is_token) {
            return None;
        }
        match &name[..] {
            b"host" => hosts += 1,
            b"content-length" | b"transfer-encoding" => return None,
            _ => {}
        }
    }
    (hosts == 1).then_some(bytes.len() - rest.len())
}

/// The next line without its end.
fn take_line<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let end = rest.windows(2).position(|two| two == b"\r\n")?;
    let line = &rest[..end];
    *rest = &rest[end + 2..];
    line.iter()
        .all(|byte| !matches!(byte, b'\r' | b'\n' | 0))
        .then_some(line)
}
