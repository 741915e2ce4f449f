//! Connections: their deadlines, their bound, and how they end.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Extension, Router};
use throng_air::accept::{Client, Door, Patience, came_late, requests, requests_passed_on};
use throng_air::guests::Guests;
use throng_core::network::TrustedProxies;
use throng_core::space::State;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::house::{CONNECTIONS_MAX, Front, House};
use crate::wire::Wire;

/// How long the server waits for more of a request that begins with these bytes before it closes.
async fn patience(bytes: &[u8]) -> u64 {
    let house = House::start(State::Live, 40).await;
    let mut wire = house.connect().await;
    wire.send(bytes).await;
    let since = Instant::now();
    while wire.head().await.is_ok() {}
    since.elapsed().as_secs()
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_says_nothing_or_not_all_is_closed_at_its_deadline() {
    assert_eq!(patience(b"").await, 10, "the first byte");
    assert_eq!(patience(b"G").await, 15, "the rest of the head");
    assert_eq!(patience(b"GET / HTTP/1.1\r\nhost: te").await, 15);
    let answered = b"GET / HTTP/1.1\r\nhost: test\r\n\r\n";
    assert_eq!(patience(answered).await, 15, "the next head");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_in_time_is_given_up() {
    let house = House::start(State::Live, 40).await;
    let mut wire = house.connect().await;
    let since = Instant::now();
    wire.ask("POST", "/echo", "content-length: 4\r\n").await;
    wire.send("who").await;
    assert_eq!(wire.answer("POST").await.status, 400);
    assert_eq!(since.elapsed().as_secs(), 15);
    assert!(wire.is_closed().await);

    let mut wire = house.connect().await;
    wire.ask("POST", "/echo", "content-length: 4\r\n").await;
    wire.send("who").await;
    wire.send("?").await;
    assert_eq!(wire.answer("POST").await.text(), "who?");
}

/// Two minutes for whoever is known, and four bytes.
async fn patient(Extension(patience): Extension<Patience>, body: Body) -> (StatusCode, String) {
    patience.extend(Duration::from_mins(2));
    patience.extend(Duration::from_secs(1));
    match to_bytes(body, 4).await {
        Ok(bytes) => (StatusCode::OK, String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if came_late(&error) => (StatusCode::REQUEST_TIMEOUT, String::new()),
        Err(_) => (StatusCode::PAYLOAD_TOO_LARGE, String::new()),
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_is_known_is_waited_for_as_long_as_was_said_first() {
    let app = Router::new().route("/", post(patient));
    let (_open, closing) = watch::channel(false);
    for (sent, status, seconds) in [("who?", 200, 0), ("who is", 413, 0), ("who", 408, 120)] {
        let (theirs, ours) = tokio::io::duplex(1_024);
        tokio::spawn(requests(ours, app.clone(), closing.clone()));
        let mut wire = Wire::over(theirs);
        let since = Instant::now();
        let length = sent.len().max(4);
        wire.ask("POST", "/", &format!("content-length: {length}\r\n"))
            .await;
        wire.send(sent).await;
        assert_eq!(wire.answer("POST").await.status, status, "{sent}");
        assert_eq!(since.elapsed().as_secs(), seconds, "{sent}");
    }
}

#[tokio::test]
async fn whose_request_is_passed_on_is_said_by_a_process_of_ours_and_by_nobody_else() {
    let told = |client: Option<Extension<Client>>| async move {
        client.map_or("nobody".to_owned(), |client| client.0.0.to_string())
    };
    let app = Router::new().route("/", get(told));
    let (_open, closing) = watch::channel(false);
    for (ours, said, expected) in [
        (true, "2001:db8::7", "2001:db8::7"),
        (true, "somebody", "nobody"),
        (false, "192.0.2.7", "nobody"),
    ] {
        let (theirs, here) = tokio::io::duplex(1_024);
        let (app, closing) = (app.clone(), closing.clone());
        tokio::spawn(async move {
            if ours {
                requests_passed_on(here, app, closing).await;
            } else {
                requests(here, app, closing).await;
            }
        });
        let header = format!("throng-passed-on-for: {said}\r\n");
        let answer = Wire::over(theirs).fetch("GET", "/", &header).await;
        assert_eq!(answer.text(), expected, "{said}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_kept_for_the_next_request() {
    let house = House::start(State::Live, 40).await;
    let mut wire = house.connect().await;
    for _ in 0..3 {
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(wire.get("/").await.text(), "the list");
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    // RFC 6585 section 5.
    for front in Front::all() {
        let house = House::start_on(front, State::Live, 40).await;
        let mut wire = house.connect().await;
        let cookie = format!("cookie: {}\r\n", "x".repeat(20_000));
        wire.ask("GET", "/", &cookie).await;
        assert_eq!(wire.head().await.unwrap().status, 431);
    }
}

#[tokio::test]
async fn a_request_names_exactly_one_host() {
    // RFC 9112 section 3.2.
    let house = House::start(State::Live, 40).await;
    for (head, status) in [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", 200),
        ("GET / HTTP/1.0\r\n\r\n", 200),
    ] {
        let mut wire = house.connect().await;
        wire.send(head).await;
        let answer = wire.answer("GET").await;
        assert_eq!(answer.status, status, "{head}");
        assert!(!answer.body.is_empty(), "{head}");
    }
}

#[tokio::test]
async fn what_is_refused_before_it_is_read_is_told_in_words() {
    let house = House::start(State::Live, 40).await;
    let mut wire = house.connect().await;
    let posted = wire.fetch("POST", "/", "content-length: 0\r\n").await;
    assert_eq!((posted.status, posted.header("allow")), (405, "GET,HEAD"));
    assert_eq!(posted.header("cache-control"), "public, max-age=1");
    assert_eq!(posted.text(), "Listening is done with GET.\n");
    let garbled = wire.get("/s/%ff%00").await;
    assert_eq!((garbled.status, garbled.text()), (404, "not here"));
    assert_eq!(garbled.header("access-control-allow-origin"), "*");
}

#[tokio::test]
async fn a_connection_beyond_the_bound_waits_for_a_place() {
    let house = House::start(State::Live, 40).await;
    let mut inside = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        let mut wire = house.connect().await;
        assert_eq!(wire.get("/").await.status, 200);
        inside.push(wire);
    }
    let mut outside = house.connect().await;
    outside.ask("GET", "/", "").await;
    assert_eq!(inside[0].get("/").await.status, 200);
    let answered = tokio::select! {
        biased;
        _ = outside.head() => true,
        () = std::future::ready(()) => false,
    };
    assert!(!answered, "there is no place yet");
    drop(inside.pop());
    assert_eq!(outside.answer("GET").await.status, 200);
}

#[tokio::test]
async fn a_crowded_network_is_told_so_and_leaves_the_last_places_to_others() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let guests = Guests::at("test", CONNECTIONS_MAX, TrustedProxies::default());
    let door = Door::new(listener, CONNECTIONS_MAX, None).with_guests(guests);
    let app = Router::new().route("/", get(|| async { "here" }));
    let (_open, closing) = watch::channel(false);
    tokio::spawn(door.serve(app, closing));
    let mut inside = Vec::new();
    for _ in 0..CONNECTIONS_MAX / 4 * 3 {
        let mut wire = Wire::connect(address).await;
        assert_eq!(wire.get("/").await.status, 200);
        inside.push(wire);
    }
    // As many as there are places left, and they say nothing.
    let mut silent = Vec::new();
    for _ in 0..CONNECTIONS_MAX / 4 {
        silent.push(Wire::connect(address).await);
    }
    let mut asking = Wire::connect(address).await;
    let told = asking.get("/").await;
    assert_eq!(told.status, 503);
    assert!(told.text().starts_with("Too many connections"));
    assert!(asking.is_closed().await);

    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.8.8.8:0".parse().unwrap()).unwrap();
    let mut other = Wire::over(socket.connect(address).await.unwrap());
    assert_eq!(other.get("/").await.status, 200);
    let is_closed = tokio::select! {
        biased;
        _ = silent[0].is_closed() => true,
        () = std::future::ready(()) => false,
    };
    assert!(!is_closed, "nobody waited for them to go");
}

#[tokio::test]
async fn closing_ends_idle_connections_and_lets_requests_finish() {
    for front in Front::all() {
        let house = House::start_on(front, State::Live, 40).await;
        let mut silent = house.connect().await;
        let mut idle = house.connect().await;
        assert_eq!(idle.get("/").await.status, 200);
        let mut held = house.waiting("hls/o48/3.4.m4s").await;
        house.close();
        assert!(silent.is_closed().await);
        assert!(idle.is_closed().await);
        house.push(40..41);
        assert_eq!(held.answer("GET").await.text(), "<o48 40>");
        assert!(held.is_closed().await);
        drop(held);
        house.closed().await;
    }
}

#[tokio::test]
async fn what_was_said_before_the_door_closed_is_answered() {
    for _ in 0..32 {
        let (mut theirs, ours) = tokio::io::duplex(1_024);
        theirs
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .unwrap();
        let (_, closing) = watch::channel(true);
        let app = Router::new().route("/", get(|| async { "here" }));
        requests(ours, app, closing).await;
        let mut said = String::new();
        theirs.read_to_string(&mut said).await.unwrap();
        assert!(
            said.starts_with("HTTP/1.1 200 OK") && said.ends_with("here"),
            "{said}"
        );
    }
}
