//! What nobody should send: the clear error or a clean close, and who listens meanwhile misses nothing.

use throng_core::rendition::Rendition;
use throng_core::space::State;
use tokio::sync::mpsc;

use crate::house::{Front, House, cmaf};
use crate::wire::Wire;

/// What is sent, and the status that it is answered with. The space is `{path}`.
const BAD: &[(&str, u16)] = &[
    // Not HTTP, or not in a way that everybody reads alike (RFC 9112 sections 2.2, 3, 5.1, 5.2).
    ("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}", 400),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    ("GET {path}/live.mp4\r\n\r\n", 400),
    ("GET {path}/live.mp4 HTTP/1.1\nhost: a\n\n", 400),
    (
        "GET {path}/live.mp4 HTTP/1.1\r\nhost: a\r\n folded: b\r\n\r\n",
        400,
    ),
    ("GET {path}/live.mp4 HTTP/1.1\r\nhost : a\r\n\r\n", 400),
    ("GET {path}/live.mp4 HTTP/1.1\r\nhost: a\rb: c\r\n\r\n", 400),
    ("GET {path}/live.mp4\u{0} HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    // No host or two (section 3.2), two lengths (section 6.1).
    ("GET {path}/live.mp4 HTTP/1.1\r\n\r\n", 400),
    (
        "GET {path}/live.mp4 HTTP/1.1\r\nhost: a\r\nHost: a\r\n\r\n",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        400,
    ),
    (
        "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        400,
    ),
    (
        "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
        400,
    ),
    (
        "GET / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: cow\r\n\r\n",
        400,
    ),
    // Methods that are not for listening.
    ("DELETE {path}/live.mp4 HTTP/1.1\r\nhost: a\r\n\r\n", 405),
    (
        "POST {path}/hls/main.m3u8 HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n",
        405,
    ),
    ("BREW / HTTP/1.1\r\nhost: a\r\n\r\n", 405),
    // Other spellings of what is there (section 3.2.2; RFC 3986 section 2.3), and of what is not.
    (
        "GET http://b{path}/state.json HTTP/1.1\r\nhost: a\r\n\r\n",
        200,
    ),
    ("GET {path}/%73tate.json HTTP/1.1\r\nhost: a\r\n\r\n", 200),
    (
        "GET {path}/..%2f..%2fetc%2fpasswd HTTP/1.1\r\nhost: a\r\n\r\n",
        404,
    ),
    ("GET /../etc/passwd HTTP/1.1\r\nhost: a\r\n\r\n", 404),
    ("GET {path}/%ff%00 HTTP/1.1\r\nhost: a\r\n\r\n", 404),
    (
        "GET {path}/hls/o48/%zz.m4s HTTP/1.1\r\nhost: a\r\n\r\n",
        404,
    ),
    (
        "GET {path}/hls/o48/99999999999999999999.m4s HTTP/1.1\r\nhost: a\r\n\r\n",
        404,
    ),
    (
        "GET {path}/hls/o48/media.m3u8?_HLS_msn=99999999999999999999 HTTP/1.1\r\nhost: a\r\n\r\n",
        400,
    ),
];

/// A listener who has all that there is of the programme of 40 parts.
async fn listener(house: &House) -> Wire {
    let mut wire = house.connect().await;
    wire.ask("GET", &format!("{}/live.mp4", house.path), "")
        .await;
    assert_eq!(wire.head().await.unwrap().status, 200);
    let first = format!("init o48;{}", cmaf(Rendition::O48, 27..40));
    assert_eq!(wire.body(first.len()).await, first);
    wire
}

/// That he gets the next three parts, whole.
async fn hears_on(mut listener: Wire, house: &House) {
    house.push(40..46);
    let next = cmaf(Rendition::O48, 40..43);
    assert_eq!(listener.body(next.len()).await[..next.len()], next);
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_told_and_nobody_else_notices() {
    for front in Front::engines() {
        let house = House::start_on(front, State::Live, 40).await;
        let listening = listener(&house).await;
        for (bad, status) in BAD {
            let mut wire = house.connect().await;
            wire.send(bad.replace("{path}", &house.path)).await;
            let answer = wire.head().await.unwrap();
            assert_eq!(answer.status, *status, "{front:?} {bad:?}");
        }
        hears_on(listening, &house).await;
    }
}

#[tokio::test]
async fn what_is_too_large_is_refused_before_it_is_all_there() {
    // RFC 6585 section 5.
    for front in Front::engines() {
        let house = House::start_on(front, State::Live, 40).await;
        let listening = listener(&house).await;
        for (start, row) in [
            ("GET /", "x".to_owned()),
            ("GET / HTTP/1.1\r\nhost: a\r\ncookie: ", "x".to_owned()),
            ("GET / HTTP/1.1\r\nhost: a\r\n", "a: b\r\n".to_owned()),
        ] {
            let mut wire = house.connect().await;
            wire.send(format!("{start}{}", row.repeat(16 * 1024 / row.len())))
                .await;
            assert_eq!(wire.head().await.unwrap().status, 431, "{start}");
        }
        hears_on(listening, &house).await;
    }
}

#[tokio::test]
async fn hundreds_of_ranges_cost_what_none_costs() {
    // RFC 9110 section 14.2: a server may ignore them.
    let ranges: Vec<_> = (0..700).map(|byte| format!("{byte}-{byte}")).collect();
    let bomb = format!("range: bytes={}\r\n", ranges.join(","));
    for front in Front::engines() {
        let house = House::start_on(front, State::Live, 40).await;
        for (file, length) in [("hls/o48/2.m4s", 12 * 8), ("recording.mp4", 20)] {
            let answer = house.fetch("GET", file, &bomb).await;
            assert_eq!((answer.status, answer.body.len()), (200, length), "{file}");
        }
    }
}

#[tokio::test]
async fn one_network_that_says_nothing_leaves_places_to_everybody_else() {
    for front in Front::engines() {
        let house = House::start_on(front, State::Live, 40).await;
        let listening = listener(&house).await;
        // Of four hundred places more than a quarter.
        let (told, mut telling) = mpsc::channel(200);
        let mut other = house.connect_from("127.8.8.8").await;
        for half in ["", "GET / HT"].repeat(75) {
            let mut silent = house.connect_from("127.9.9.9").await;
            silent.send(half).await;
            let told = told.clone();
            tokio::spawn(async move {
                if let Ok(answer) = silent.head().await {
                    let _ = told.send(answer).await;
                }
            });
        }
        for _ in 0..30 {
            let answer = telling.recv().await.unwrap();
            assert_eq!(answer.status, 503);
            assert_eq!(answer.header("retry-after"), "10");
        }
        // Who speaks is served, wherever he comes from, and so is who was silent in a quiet network.
        let mut neighbour = house.connect_from("127.9.9.10").await;
        assert_eq!(neighbour.get("/").await.text(), "the list");
        assert_eq!(other.get("/").await.text(), "the list");
        hears_on(listening, &house).await;
    }
}
