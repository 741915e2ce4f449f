//! Those who listen by playlist have places like others: a full house queues newcomers, and whoever is in goes on.

use throng_air::room::overflow::Overflow;
use throng_core::admission::Limits;
use throng_core::ladder::Rung;
use throng_core::space::State;

use crate::house::{Front, House};
use crate::wire::Answer;

fn full_at(house: &House, slots: u64) {
    house.air.room().limit(Limits {
        slots: Some(slots),
        egress_bits: None,
    });
}

fn ticket(refused: &Answer) -> String {
    assert_eq!(refused.status, 503);
    assert_eq!(refused.header("cache-control"), "no-store");
    let told: serde_json::Value = serde_json::from_str(refused.text()).unwrap();
    let again = told["ask_again_seconds"].to_string();
    assert_eq!(refused.header("retry-after"), again);
    let reason = told["reason"].as_str().unwrap();
    assert!(reason.starts_with("The house is full."));
    told["ticket"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_house_full_by_playlists_queues_newcomers_and_keeps_who_is_in() {
    for front in Front::all() {
        let house = House::start_on(front, State::Live, 40).await;
        full_at(&house, 2);
        let path = |file: &str| format!("{}/{file}", house.path);
        let mut plain = house.connect().await;
        let mut ours = house.connect().await;
        assert_eq!(plain.get(&path("hls/main.m3u8")).await.status, 200);
        assert_eq!(ours.get(&path("hls/main.m3u8?l=one")).await.status, 200);
        let media = path("hls/o24/media.m3u8?l=one");
        assert_eq!(ours.get(&media).await.status, 200, "{front:?}: one place");
        for newcomer in [
            "hls/main.m3u8",
            "hls/main.m3u8?l=two",
            "hls/o48/media.m3u8?l=two",
            "live.aac",
        ] {
            ticket(&house.get(newcomer).await);
        }
        let first = ticket(&house.get("hls/main.m3u8?l=three").await);
        let again = format!("hls/main.m3u8?l=three&ticket={first}");
        assert_eq!(
            ticket(&house.get(&again).await),
            first,
            "he keeps his place"
        );
        // Whoever is in goes on, by his number from anywhere, else by his connection.
        assert_eq!(plain.get(&path("hls/a64/media.m3u8")).await.status, 200);
        assert_eq!(house.get("hls/o48/media.m3u8?l=one").await.status, 200);
        // Bytes that are everybody's refuse nobody, and a cache is nobody.
        for public in ["hls/o48/init.mp4", "hls/o48/2.m4s", "hls/o48/2.1.m4s"] {
            assert_eq!(house.get(public).await.status, 200);
        }
        let cache = house
            .fetch("GET", "hls/main.m3u8", "via: 1.1 cache\r\n")
            .await;
        assert_eq!(
            (cache.status, cache.header("cache-control")),
            (200, "public, max-age=1")
        );
        house.air.room().limit(Limits::default());
        let newcomer = house.get("hls/main.m3u8?l=four").await;
        assert_eq!(newcomer.status, 200, "{front:?}: there is room");
    }
}

#[tokio::test]
async fn streams_and_playlists_share_the_places_of_a_house() {
    for front in Front::all() {
        let house = House::start_on(front, State::Live, 40).await;
        full_at(&house, 2);
        let mut stream = house.connect().await;
        let live = format!("{}/live.aac", house.path);
        stream.ask("GET", &live, "").await;
        assert_eq!(stream.head().await.unwrap().status, 200);
        let media = "hls/o48/media.m3u8?l=one";
        assert_eq!(house.get(media).await.status, 200);
        ticket(&house.get("live.webm").await);
        assert_eq!(house.get(media).await.status, 200, "{front:?}");
    }
}

#[tokio::test]
async fn deeper_rungs_list_fewer_renditions_and_let_nobody_start_over() {
    for front in Front::all() {
        let house = House::start_on(front, State::Live, 40).await;
        let event = "hls/o48/event.m3u8?l=one";
        let whole = house.get(event).await;
        assert_eq!(whole.status, 200);
        house.air.ladder().lock(Rung::new(3).unwrap());
        let main = house.get("hls/main.m3u8").await;
        let listed = main
            .text()
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        assert_eq!(
            listed.collect::<Vec<_>>(),
            ["a32/media.m3u8", "o24/media.m3u8", "o16/media.m3u8"]
        );
        // Who plays a better one finds it where it was, and who hears the talk from its beginning goes on.
        assert_eq!(house.get("hls/o48/media.m3u8?l=two").await.status, 200);
        assert_eq!(house.get(event).await.text(), whole.text());
        let paused = house.get("hls/o48/event.m3u8?l=three").await;
        assert_eq!((paused.status, paused.header("retry-after")), (503, "60"));
        assert_eq!(paused.header("cache-control"), "no-store");
        assert!(paused.text().starts_with("Starting over is paused"));
    }
}

#[tokio::test]
async fn a_full_house_sends_plain_players_where_there_is_room_and_no_more_than_there_is() {
    for front in Front::all() {
        let house = House::start_on(front, State::Live, 40).await;
        full_at(&house, 0);
        let room = house.air.room();
        room.overflow_to(Overflow::to(&["https://b.example".to_owned()]));
        assert_eq!(house.get("live.aac").await.status, 503, "nothing is known");
        let overflow = room.overflow().unwrap();
        overflow.has_room(0, 2);
        for own in ["live.aac?l=1", "live.aac?sent_on=1", "hls/main.m3u8?l=1"] {
            ticket(&house.get(own).await);
        }
        for (asked, sent) in [
            (
                "live.webm?rendition=o24",
                "live.webm?rendition=o24&sent_on=1",
            ),
            ("hls/main.m3u8", "hls/main.m3u8?sent_on=1"),
        ] {
            let answer = house.get(asked).await;
            assert_eq!(answer.status, 307, "{front:?}");
            assert_eq!(answer.header("cache-control"), "no-store");
            let location = format!("https://b.example{}/{sent}", house.path);
            assert_eq!(answer.header("location"), location);
        }
        ticket(&house.get("live.webm").await);
    }
}
