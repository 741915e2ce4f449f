//! The engine: what it makes of requests, and of listeners who do not read.

use throng_core::rendition::Rendition;
use throng_core::space::State;

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
        let refused = house.get("hls/main.m3u8").await;
        assert_eq!(refused.status, 503);
        assert_eq!(refused.header("retry-after"), "5");
        // The whole way in, on one connection.
        let mut wire = house.connect().await;
        assert_eq!(wire.get("/").await.text(), "the list");
        assert_eq!(wire.get(&house.path).await.text(), "the page");
        let state = format!("{}/state.json", house.path);
        assert!(wire.get(&state).await.text().contains("\"listening\":0"));
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
        let playlist = format!("{}/hls/main.m3u8", house.path);
        assert_eq!(wire.get(&playlist).await.status, 200);
        inside.push(wire);
    }
    inside
}

#[tokio::test]
async fn answers_are_the_same_whoever_owns_the_port() {
    let mut answers = Vec::new();
    for front in Front::all() {
        let house = House::start_on(front, State::Live, 40).await;
        let mut heads = Vec::new();
        for file in ["", "/state.json", "/live.webm", "/nothing"] {
            let mut wire = house.connect().await;
            let target = format!("{}{file}", house.path);
            wire.ask("GET", &target, "accept-encoding: gzip\r\n").await;
            let head = wire.head().await.unwrap();
            let mut headers = head.headers;
            // A clock, and what the engine says besides: that a stream is the last answer of its connection.
            headers.retain(|(name, _)| name != "date" && name != "connection");
            headers.sort();
            heads.push((file, head.status, headers));
        }
        answers.push(heads);
    }
    assert!(
        answers.windows(2).all(|two| two[0] == two[1]),
        "{answers:#?}"
    );
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
