//! The engine: what it makes of requests, and of listeners who do not read.

use throng_core::rendition::Rendition;
use throng_core::space::State;
use throng_core::window::Window;

use crate::house::{CONNECTIONS_MAX, Front, House, cmaf};
use crate::wire::Wire;

#[tokio::test]
async fn a_listener_may_say_what_he_wants_byte_by_byte() {
    for front in Front::engines() {
        let house = House::start_on(front, State::Live, 40).await;
        let mut wire = house.connect().await;
        let request = format!(
            "GET {}/live.mp4?l=7 HTTP/1.1\r\nhost: a\r\n\r\n",
            house.path
        );
        for byte in request.bytes() {
            wire.send([byte]).await;
            // The server has seen it.
            house.get("state.json").await;
        }
        assert_eq!(
            wire.head().await.unwrap().header("content-type"),
            "audio/mp4"
        );
        assert_eq!(house.on_air.counts().joined, 1);
    }
}

#[tokio::test]
async fn what_is_handed_on_keeps_its_bytes_and_its_connection() {
    for front in Front::engines() {
        let house = House::start_on(front, State::Live, 40).await;
        let mut wire = house.connect().await;
        let twice = "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\n";
        wire.send(format!("{twice}one{twice}two")).await;
        assert_eq!(wire.answer("POST").await.text(), "one");
        assert_eq!(wire.answer("POST").await.text(), "two");
        assert_eq!(wire.get("/").await.text(), "the list");
        // HTTP/1.0 is the ordinary server's, streams too.
        let mut old = house.connect().await;
        old.send(format!("GET {}/live.aac HTTP/1.0\r\n\r\n", house.path))
            .await;
        assert_eq!(
            old.head().await.unwrap().header("content-type"),
            "audio/aac"
        );
    }
}

#[tokio::test]
async fn nonsense_is_refused_in_words_and_the_connection_ends() {
    for front in Front::engines() {
        let house = House::start_on(front, State::Live, 40).await;
        for (nonsense, words) in [
            ("\u{16}\u{3}\u{1}\u{2}", "This is not"),
            ("GET /s/a/live.mp4 HTTP/1.1\r\n\r\n", "The request must"),
            (
                "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
                "The request gives",
            ),
        ] {
            let mut wire = house.connect().await;
            wire.send(nonsense).await;
            let answer = wire.answer("GET").await;
            assert_eq!(answer.status, 400, "{nonsense:?}");
            assert!(answer.text().starts_with(words), "{nonsense:?}");
            assert!(wire.is_closed().await);
        }
    }
}

#[tokio::test]
async fn streams_are_served_while_the_ordinary_server_is_full() {
    for front in Front::engines() {
        let house = House::start_on(front, State::Live, 40).await;
        let _inside = fill(&house).await;
        let refused = house.get("recording.mp4").await;
        assert_eq!(refused.status, 503);
        assert_eq!(refused.header("retry-after"), "5");
        // The whole way in, on one connection.
        let mut wire = house.connect().await;
        assert_eq!(wire.get("/").await.text(), "the list");
        assert_eq!(wire.get(&house.path).await.text(), "the page");
        let state = format!("{}/state.json", house.path);
        assert!(wire.get(&state).await.text().contains("\"listening\":0"));
        for file in ["main.m3u8", "a64/media.m3u8", "a64/init.mp4", "a64/3.3.m4s"] {
            let target = format!("{}/hls/{file}", house.path);
            assert_eq!(wire.get(&target).await.status, 200, "{file}");
        }
        wire.ask("GET", &format!("{}/live.mp4", house.path), "")
            .await;
        assert_eq!(wire.head().await.unwrap().status, 200);
    }
}

/// Takes all places of the ordinary server.
async fn fill(house: &House) -> Vec<Wire> {
    let mut inside = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        let mut wire = house.connect().await;
        let recording = format!("{}/recording.mp4", house.path);
        assert_eq!(wire.get(&recording).await.status, 200);
        inside.push(wire);
    }
    inside
}

/// What is asked of whoever owns the port, below the page of the space.
const FILES: &[&str] = &[
    "",
    "/state.json",
    "/nothing",
    "/hls/main.m3u8",
    "/hls/o48/media.m3u8",
    "/hls/o48/media.m3u8?_HLS_msn=3&_HLS_part=3&_HLS_skip=YES&l=7",
    "/hls/o48/media.m3u8?_HLS_part=1",
    "/hls/o48/media.m3u8?_HLS_msn=9",
    "/hls/o48/event.m3u8?_HLS_skip=YES",
    "/hls/o48/event.m3u8?_HLS_skip=NO",
    "/hls/o48/replay.m3u8",
    "/hls/o48/replay/0.m4s",
    "/hls/a64/init.mp4",
    "/hls/o48/2.m4s",
    "/hls/o48/3.3.m4s",
    "/hls/o48/3.12.m4s",
    "/hls/o48/9.m4s",
    "/hls/o47/1.m4s",
    "/hls/o48/01.m4s",
    "/hls/o48/%31.m4s",
    "nobody",
    "nobody/state.json",
    "nobody/hls/main.m3u8",
];

#[tokio::test]
async fn answers_are_the_same_whoever_owns_the_port() {
    let mut answers = Vec::new();
    for front in Front::all() {
        let house = House::start_on(front, State::Live, 40).await;
        let mut told = Vec::new();
        for file in FILES {
            let target = format!("{}{file}", house.path);
            let range = "accept-encoding: gzip\r\nrange: bytes=0-0,1-1,2-2\r\n";
            let get = house.connect().await.fetch("GET", &target, range).await;
            let head = house.connect().await.fetch("HEAD", &target, range).await;
            assert_eq!(get.status, head.status, "{file}");
            assert_eq!(get.header("content-length"), head.header("content-length"));
            told.push((*file, get.status, headers_of(get.headers), get.body));
            told.push((*file, head.status, headers_of(head.headers), head.body));
        }
        for (method, file) in [("GET", "/live.webm"), ("HEAD", "/live.aac")] {
            let mut wire = house.connect().await;
            wire.ask(method, &format!("{}{file}", house.path), "").await;
            let head = wire.head().await.unwrap();
            told.push((file, head.status, headers_of(head.headers), Vec::new()));
        }
        answers.push(told);
    }
    for other in &answers[1..] {
        for (one, other) in answers[0].iter().zip(other) {
            assert_eq!(one, other);
        }
    }
}

#[tokio::test]
async fn a_page_is_not_sent_again_to_who_has_it() {
    // RFC 9110 sections 13.1.2 and 15.4.5: what a cache needs, and no body.
    for front in Front::all() {
        let house = House::start_on(front, State::Live, 40).await;
        let gzip = "accept-encoding: gzip\r\n";
        let page = house.connect().await.fetch("GET", &house.path, gzip).await;
        let etag = page.header("etag").to_owned();
        let known = format!("accept-encoding: gzip\r\nif-none-match: \"0\", {etag}\r\n");
        let mut wire = house.connect().await;
        for method in ["GET", "HEAD"] {
            let answer = wire.fetch(method, &house.path, &known).await;
            assert_eq!((answer.status, answer.body.len()), (304, 0));
            for name in ["etag", "cache-control", "vary", "content-security-policy"] {
                assert_eq!(answer.header(name), page.header(name), "{name}");
            }
            assert_eq!(answer.header("content-encoding"), "");
        }
        let plain = wire.fetch("GET", &house.path, "").await;
        assert_eq!((plain.status, plain.header("etag")), (200, &*etag));
        let other = "if-none-match: \"0\"\r\n";
        assert_eq!(
            wire.fetch("GET", &house.path, other).await.text(),
            "the page"
        );
    }
}

/// Without the clock, and what the engine says besides: that a stream is the last answer of its connection.
fn headers_of(mut headers: Vec<(String, String)>) -> Vec<(String, String)> {
    headers.retain(|(name, _)| name != "date" && name != "connection");
    headers.sort();
    headers
}

#[tokio::test]
async fn requests_sent_before_their_turn_are_answered_in_order() {
    // RFC 9112 section 9.3.2.
    for front in Front::engines() {
        let house = House::start_on(front, State::Live, 40).await;
        let ask = |method: &str, file: &str| {
            format!("{method} {}{file} HTTP/1.1\r\nhost: a\r\n\r\n", house.path)
        };
        let rows = [
            ask("GET", ""),
            ask("HEAD", "/hls/main.m3u8"),
            // Held, with more behind it.
            ask("GET", "/hls/o48/3.4.m4s"),
            ask("GET", "/hls/o48/3.5.m4s"),
            // The ordinary server's.
            ask("GET", "/recording.mp4"),
            ask("GET", "/state.json"),
        ];
        let mut wire = house.connect().await;
        wire.send(rows[..4].concat()).await;
        assert_eq!(wire.answer("GET").await.text(), "the page");
        assert_eq!(wire.answer("HEAD").await.status, 200);
        for row in &rows[4..] {
            wire.send(row).await;
        }
        house.push(40..41);
        assert_eq!(wire.answer("GET").await.text(), "<o48 40>");
        house.push(41..42);
        assert_eq!(wire.answer("GET").await.text(), "<o48 41>");
        assert!(wire.answer("GET").await.text().starts_with("0123"));
        assert!(wire.answer("GET").await.text().contains("\"slug\""));
    }
}

#[tokio::test]
async fn a_segment_that_does_not_fit_into_a_buffer_arrives_whole() {
    let padding = 40_000;
    for front in Front::engines() {
        let house = House::start_padded(front, State::Live, 40, padding).await;
        let mut wire = house.connect_narrow().await;
        let target = format!("{}/hls/o48/2.m4s", house.path);
        wire.ask("GET", &target, "").await;
        wire.ask("GET", "/", "").await;
        let answer = wire.answer("GET").await;
        let text = answer.text().replace(&" ".repeat(padding), "");
        assert_eq!(text, cmaf(Rendition::O48, 24..36), "{front:?}");
        assert_eq!(wire.answer("GET").await.text(), "the list");
    }
}

#[tokio::test]
async fn a_long_row_of_requests_is_answered_whole() {
    for front in Front::engines() {
        let house = House::start_on(front, State::Live, 40).await;
        let row = "HEAD / HTTP/1.1\r\nhost: a\r\n\r\n".repeat(400);
        let mut wire = house.connect().await;
        wire.send(format!(
            "{row}GET / HTTP/1.1\r\nhost: a\r\n\r\nnonsense\r\n\r\n"
        ))
        .await;
        for _ in 0..400 {
            assert_eq!(wire.answer("HEAD").await.status, 200);
        }
        assert_eq!(wire.answer("GET").await.text(), "the list");
        assert_eq!(wire.answer("GET").await.status, 400);
        assert!(wire.is_closed().await);
    }
}

#[tokio::test]
async fn many_who_wait_for_one_part_all_get_it() {
    for front in Front::engines() {
        let house = House::start_on(front, State::Live, 40).await;
        let mut waiting = Vec::new();
        for number in 0..40 {
            let mut part = house.connect().await;
            part.ask("GET", &format!("{}/hls/o48/3.4.m4s", house.path), "")
                .await;
            let mut playlist = house.connect().await;
            let query = format!("_HLS_msn=3&_HLS_part=4&l={}", number / 2);
            let target = format!("{}/hls/o48/media.m3u8?{query}", house.path);
            playlist.ask("GET", &target, "").await;
            waiting.push((part, playlist));
        }
        // They are read before this.
        house.get("hls/main.m3u8").await;
        // Some go, and one asks on.
        waiting.truncate(30);
        house.push(40..41);
        for (part, playlist) in &mut waiting {
            assert_eq!(part.answer("GET").await.text(), "<o48 40>");
            let text = playlist.answer("GET").await;
            assert!(text.text().contains("URI=\"3.5.m4s\""));
        }
        // Counted by their own number, on however many connections.
        while house.on_air.counts().joined < 15 {
            house.get("state.json").await;
        }
        assert_eq!(house.on_air.counts().joined, 15);
    }
}

#[tokio::test]
async fn a_connection_ends_when_its_client_says_so() {
    // RFC 9112 section 9.6.
    for front in Front::engines() {
        let house = House::start_on(front, State::Live, 40).await;
        let mut wire = house.connect().await;
        let answer = wire.fetch("GET", "/", "connection: close\r\n").await;
        assert_eq!(answer.header("connection"), "close");
        assert_eq!(answer.text(), "the list");
        assert!(wire.is_closed().await);
    }
}

#[tokio::test]
async fn who_asks_when_nothing_more_comes_is_told_to_come_again() {
    for front in Front::engines() {
        let house = House::start_on(front, State::Live, 40).await;
        house.on_air.close();
        let answer = house.get("live.mp4").await;
        assert_eq!(answer.status, 503);
        assert_eq!(answer.header("retry-after"), "2");
        assert_eq!(answer.header("cache-control"), "public, max-age=1");
    }
}

#[tokio::test]
async fn who_does_not_read_gets_whole_spans_and_then_the_newest_sound() {
    let padding = 40_000;
    for front in Front::engines() {
        let house = House::start_padded(front, State::Live, 40, padding).await;
        let mut slow = house.connect_narrow().await;
        slow.ask("GET", &format!("{}/live.mp4", house.path), "")
            .await;
        slow.head().await.unwrap();
        // Far more waits for him than the system holds.
        house.push(40..100);
        let first = format!("init o48;{}", cmaf(Rendition::O48, 27..40));
        assert_eq!(heard(&mut slow, &first, padding).await, first, "{front:?}");
        // He was moved down as well.
        let newest = cmaf(Rendition::O24, 87..100);
        assert_eq!(
            heard(&mut slow, &newest, padding).await,
            newest,
            "{front:?}"
        );
    }
}

/// The next 13 parts without their padding, which the text that is expected lacks.
async fn heard(wire: &mut Wire, expected: &str, padding: usize) -> String {
    let bytes = wire.body(expected.len() + 13 * padding).await;
    let padded = " ".repeat(padding);
    bytes.replace(&padded, "")
}

#[tokio::test]
async fn what_stands_in_is_heard_where_parts_stop_and_never_twice() {
    for front in Front::engines() {
        let house = House::start_on(front, State::Live, 40).await;
        let target = format!("{}/live.mp4", house.path);
        let mut there = house.connect().await;
        there.ask("GET", &target, "").await;
        there.head().await.unwrap();
        house.stand_in(40..46);
        let mut heard = String::new();
        while !heard.contains("<hold o48 42>") {
            heard += &there.body(1).await;
        }
        // The true parts come late, and take the places of those that stood in.
        house.push(40..49);
        let mut newcomer = house.connect().await;
        newcomer.ask("GET", &target, "").await;
        newcomer.head().await.unwrap();
        let burst = format!("init o48;{}", cmaf(Rendition::O48, 36..49));
        assert_eq!(newcomer.body(burst.len()).await, burst, "{front:?}");
        house.on_air.change_window(Window::finish);
        while let Some(chunk) = there.chunk().await.unwrap() {
            heard += str::from_utf8(&chunk).unwrap();
        }
        let stood_in = heard.matches("hold ").count();
        assert!((3..=6).contains(&stood_in), "{front:?}: {heard}");
        let whole = format!("init o48;{}", cmaf(Rendition::O48, 27..49));
        assert_eq!(heard.replace("hold ", ""), whole, "{front:?}");
        assert!(heard.ends_with(&cmaf(Rendition::O48, 46..49)), "{front:?}");
    }
}
