//! The ledger of the doors: whatever comes to the engine's port is in one place of the books, once.

use std::sync::Arc;

use throng_air::ledger::{Account, Accounts, Door, Refused};
use throng_core::space::State;
use throng_core::timeline::PART_SAMPLES;
use throng_core::window::Window;

use crate::house::{CONNECTIONS_MAX, Front, House};

#[tokio::test]
async fn every_way_out_of_a_connection_is_in_the_books_once() {
    for front in Front::engines() {
        let house = House::start_on(front, State::Live, 40).await;
        look_around(&house).await;
        misbehave(&house).await;
        change_ones_mind(&house).await;
        listen(&house).await;
        let air = Arc::clone(&house.air);
        house.close();
        house.closed().await;

        let books = air.ledger().accounts();
        assert!(books.iter().all(is_settled), "{front:?}: {books:#?}");
        let connection = books[Door::Connection.index()];
        let refused = [
            (Refused::Busy, 1),
            (Refused::Left, 3),
            (Refused::Malformed, 2),
        ];
        assert_refused(&connection, &refused);
        // Who looked around, once and twice; the playlists; and two who listened.
        assert_eq!(connection.admitted, 3 + u64::from(CONNECTIONS_MAX) + 2);

        let page = books[Door::Page.index()];
        assert_eq!((page.admitted, page.closed), (5, [5, 0, 0]));
        let playlist = books[Door::Playlist.index()];
        assert_eq!(playlist.admitted, u64::from(CONNECTIONS_MAX));
        let stream = books[Door::Stream.index()];
        assert_refused(&stream, &[(Refused::Left, 1)]);
        assert_eq!(stream.closed, [1, 1, 0], "one heard the end, one left");
        assert_eq!(stream.delivered_samples, (13 + 16) * PART_SAMPLES);
    }
}

#[tokio::test]
async fn who_is_sent_away_when_nothing_more_comes_is_in_the_books() {
    for front in Front::engines() {
        let house = House::start_on(front, State::Live, 40).await;
        let mut cut = house.connect().await;
        cut.ask("GET", &format!("{}/live.mp4", house.path), "")
            .await;
        cut.head().await.unwrap();
        house.on_air.close();
        assert_eq!(house.get("live.mp4").await.status, 503);
        let air = Arc::clone(&house.air);
        house.close();
        house.closed().await;
        let books: Accounts = air.ledger().accounts();
        assert!(books.iter().all(is_settled), "{front:?}: {books:#?}");
        let stream = books[Door::Stream.index()];
        assert_eq!((stream.arrived, stream.closed), (2, [0, 0, 1]));
        assert_refused(&stream, &[(Refused::Busy, 1)]);
    }
}

/// Whether all that came was decided, and all that was admitted came to its close.
fn is_settled(account: &Account) -> bool {
    account.pending() == Some(0) && account.held() == Some(0)
}

fn assert_refused(account: &Account, expected: &[(Refused, u64)]) {
    for reason in Refused::ALL {
        let expected = expected.iter().find(|(of, _)| *of == reason);
        let expected = expected.map_or(0, |(_, count)| *count);
        assert_eq!(account.refused[reason as usize], expected, "{reason:?}");
    }
}

/// Three texts on one connection.
async fn look_around(house: &House) {
    let mut wire = house.connect().await;
    for target in ["/", &house.path, &format!("{}/state.json", house.path)] {
        assert_eq!(wire.get(target).await.status, 200);
    }
}

/// Nonsense, a request that names no host, and one too many at the ordinary server.
async fn misbehave(house: &House) {
    for nonsense in ["\u{16}\u{3}\u{1}\u{2}", "GET / HTTP/1.1\r\n\r\n"] {
        let mut wire = house.connect().await;
        wire.send(nonsense).await;
        assert_eq!(wire.answer("GET").await.status, 400);
    }
    let mut inside = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        let mut wire = house.connect().await;
        let playlist = format!("{}/hls/main.m3u8", house.path);
        assert_eq!(wire.get(&playlist).await.status, 200);
        inside.push(wire);
    }
    assert_eq!(house.get("hls/main.m3u8").await.status, 503);
}

/// Leaves before saying anything, before the end of a request, and before the programme is ready.
async fn change_ones_mind(house: &House) {
    drop(house.connect().await);
    let mut half = house.connect().await;
    half.send("GET / HT").await;
    drop(half);
    house.on_air.set_flowing(false);
    let mut waiting = house.connect().await;
    waiting
        .ask("GET", &format!("{}/live.mp4", house.path), "")
        .await;
    // The loop has seen him come, and then go.
    house.get("state.json").await;
    drop(waiting);
    house.get("state.json").await;
    house.on_air.set_flowing(true);
}

/// One leaves after the burst, one hears the end.
async fn listen(house: &House) {
    let target = format!("{}/live.mp4", house.path);
    let mut leaves = house.connect().await;
    leaves.ask("GET", &target, "").await;
    leaves.head().await.unwrap();
    drop(leaves);
    let mut stays = house.connect().await;
    stays.ask("GET", &target, "").await;
    // Whoever is answered now came after the other had gone.
    stays.head().await.unwrap();
    house.push(40..43);
    house.on_air.change_window(Window::finish);
    while stays.chunk().await.unwrap().is_some() {}
    assert!(stays.is_closed().await);
}
