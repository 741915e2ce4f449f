//! What is ours, what is handed on, what is refused.

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
            "/s/a/live.webm?l=x&rendition=o24&ticket=&from=77",
            "a",
            Format::Webm,
            Rendition::O24,
        ),
    ] {
        let asked = Asked {
            slug,
            format,
            rendition,
            query: target.split_once('?').map_or("", |(_, query)| query),
            from: target.contains("from").then_some(PartIndex(77)),
        };
        let text = get(target);
        assert_eq!(read(text.as_bytes()), Head::Live(asked), "{target}");
        for end in 0..text.len() {
            assert_eq!(read(&text.as_bytes()[..end]), Head::Partial, "{end}");
        }
    }
}

#[test]
fn what_is_answered_in_one_piece_is_ours() {
    let asked = |target: &str, headers: &str| {
        let text = format!("HEAD {target} HTTP/1.1\r\nhost: a\r\n{headers}\r\n");
        match read(format!("{text}GET / HTTP/1.1\r\n").as_bytes()) {
            Head::Wish(wish) => {
                assert_eq!(wish.length, text.len(), "the next request is not its own");
                assert!(!wish.manner.with_body);
                (format!("{:?}", wish.what), wish.gzip, wish.manner.keeps)
            }
            other => panic!("{target}: {other:?}"),
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
    for name in [
        "main.m3u8",
        "o48/media.m3u8",
        "a64/event.m3u8",
        "o16/replay.m3u8",
        "a32/init.mp4",
        "o48/7.m4s",
        "o48/7.11.m4s",
        "o48/replay/0.m4s",
    ] {
        let file = File {
            slug: "a",
            name: hls::Name::parse(name).unwrap(),
            query: "_HLS_msn=7",
        };
        let (what, ..) = asked(&format!("/s/a/hls/{name}?_HLS_msn=7"), "");
        assert_eq!(what, format!("{:?}", What::Hls(file)));
    }
    assert!(asked("/s/a/live.aac", "").0.starts_with("LiveHead"));
}

/// Requests with one byte spoilt, in every place and in every way that matters to a parser.
fn spoilt() -> impl Iterator<Item = Vec<u8>> {
    let texts = [
        "GET /s/a/live.mp4?l=1 HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\nHEAD / HTTP/1.1\r\nhost:a\r\nConnection: close\r\nrange: bytes=0-1,2-3\r\n\r\nGET",
        "POST /s/a HTTP/1.1\r\nhost: a\r\nContent-Length: 3\r\nTransfer-Encoding: x\r\n\r\n",
    ];
    let spoilers = [
        0, b'\t', b'\n', b'\r', b' ', b':', b'%', b'/', b'0', 0x7f, 0xff,
    ];
    texts.into_iter().flat_map(move |text| {
        (0..text.len()).flat_map(move |place| {
            spoilers.into_iter().map(move |spoiler| {
                let mut bytes = text.as_bytes().to_vec();
                bytes[place] = spoiler;
                bytes
            })
        })
    })
}

#[test]
fn a_head_is_read_the_same_in_whatever_pieces_it_comes() {
    for bytes in spoilt() {
        let whole = read(&bytes);
        for end in 0..bytes.len() {
            let part = read(&bytes[..end]);
            let same = part == Head::Partial || part == whole;
            assert!(same, "{end} of {:?}: {part:?}", bytes.escape_ascii());
        }
    }
}

#[test]
fn what_is_ours_has_one_host_no_body_and_whole_lines() {
    // RFC 9112 sections 2.2, 3.2, 5.1, 5.2 and 6.
    for bytes in spoilt() {
        let length = match read(&bytes) {
            Head::Wish(wish) => wish.length,
            Head::Live(_) => bytes.len(),
            _ => continue,
        };
        let head = String::from_utf8_lossy(&bytes[..length]);
        let lines: Vec<_> = head.trim_start().split("\r\n").collect();
        let [request, headers @ .., "", ""] = &lines[..] else {
            panic!("{head:?}");
        };
        assert!(request.ends_with(" HTTP/1.1"), "{head:?}");
        assert!(!head.replace("\r\n", "").contains(['\r', '\n', '\0']));
        let names: Vec<_> = headers
            .iter()
            .map(|line| line.split_once(':').unwrap().0.to_lowercase())
            .collect();
        assert_eq!(names.iter().filter(|name| *name == "host").count(), 1);
        assert!(!names.iter().any(|name| name.contains([' ', '\t'])));
        assert!(!names.iter().any(|name| name == "content-length"));
        assert!(!names.iter().any(|name| name == "transfer-encoding"));
    }
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
        "/s/a/live.mp4?from=-1",
        "/s/a/live.mp4?from=1&from=2",
        "/s/a/live.mp4?l",
    ] {
        assert_eq!(read(get(target).as_bytes()), Head::HandOn, "{target}");
    }
    for text in [
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
        "GET / HTTP/1.1\nhost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\rb: c\r\n\r\n",
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
