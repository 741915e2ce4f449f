//! LL-HLS (RFC 8216bis) as players and caches see it.

use throng_core::rendition::Rendition;
use throng_core::space::State;
use tokio::time::Instant;

use crate::house::{Front, House, cmaf};

const IMMUTABLE: &str = "public, max-age=31536000, immutable";
const BRIEF: &str = "public, max-age=1";

#[tokio::test]
async fn a_part_that_is_due_is_held_until_it_comes() {
    for front in Front::all() {
        let house = House::start_on(front, State::Live, 40).await;
        let mut part = house.waiting("hls/o48/3.4.m4s").await;
        let mut segment = house.waiting("hls/a32/3.m4s").await;
        house.push(40..41);
        let answer = part.answer("GET").await;
        assert_eq!((answer.status, answer.text()), (200, "<o48 40>"));
        assert_eq!(answer.header("cache-control"), IMMUTABLE);
        assert_eq!(answer.header("content-type"), "audio/mp4");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        house.push(41..48);
        let whole = cmaf(Rendition::A32, 36..48);
        assert_eq!(segment.answer("GET").await.text(), whole);
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_that_does_not_come_in_time_is_refused_with_a_time_to_come_again() {
    let house = House::start(State::Live, 40).await;
    let since = Instant::now();
    for file in ["hls/o48/3.4.m4s", "hls/o48/media.m3u8?_HLS_msn=3"] {
        let answer = house.get(file).await;
        assert_eq!(answer.status, 503, "{file}");
        assert_eq!(answer.header("retry-after"), "1");
        assert_eq!(answer.header("cache-control"), BRIEF);
    }
    assert_eq!(since.elapsed().as_secs(), 24);
}

#[tokio::test]
async fn who_waits_is_sent_away_when_nothing_more_will_come() {
    for front in Front::all() {
        let house = House::start_on(front, State::Live, 40).await;
        let mut part = house.waiting("hls/o48/3.4.m4s").await;
        house.on_air.close();
        assert_eq!(part.answer("GET").await.status, 503);
        assert_eq!(house.get("hls/o48/media.m3u8").await.status, 503);
    }
}

#[tokio::test]
async fn what_lies_far_ahead_is_absent_but_only_for_a_second() {
    for front in Front::all() {
        let house = House::start_on(front, State::Live, 40).await;
        let answer = house.get("hls/o48/5.m4s").await;
        assert_eq!(
            (answer.status, answer.header("cache-control")),
            (404, BRIEF)
        );
        let answer = house.get("hls/o48/media.m3u8?_HLS_msn=5").await;
        assert_eq!(
            (answer.status, answer.header("cache-control")),
            (400, BRIEF)
        );
        assert!(answer.text().contains("_HLS_msn"));
    }
}

#[tokio::test]
async fn a_playlist_that_was_waited_for_is_kept_longer_than_one_that_was_not() {
    for front in Front::all() {
        let house = House::start_on(front, State::Live, 40).await;
        let mut blocked = house
            .waiting("hls/o48/media.m3u8?_HLS_msn=3&_HLS_part=4")
            .await;
        let now = house.get("hls/o48/media.m3u8").await;
        assert_eq!(now.header("cache-control"), BRIEF);
        assert!(now.text().contains("TYPE=PART,URI=\"3.4.m4s\""));
        house.push(40..41);
        let answer = blocked.answer("GET").await;
        assert_eq!(answer.header("cache-control"), "public, max-age=24");
        assert_eq!(
            answer.header("content-type"),
            "application/vnd.apple.mpegurl"
        );
        assert!(answer.text().contains("TYPE=PART,URI=\"3.5.m4s\""));
    }
}

#[tokio::test]
async fn what_has_left_the_window_comes_from_the_past() {
    for front in Front::all() {
        let house = House::start_on(front, State::Live, 0).await;
        house.push(0..400);
        let answer = house.get("hls/o24/3.m4s").await;
        assert_eq!(
            answer.text(),
            format!("kept {}", cmaf(Rendition::O24, 36..48))
        );
        assert_eq!(answer.header("cache-control"), IMMUTABLE);
        let answer = house.get("hls/o24/3.11.m4s").await;
        assert_eq!(answer.text(), "kept <o24 47>");
        let alias = house.get("hls/o24/3.12.m4s").await;
        assert_eq!(alias.status, 404, "one part has one name");
    }
}

#[tokio::test]
async fn event_and_replay_playlists_come_with_their_time() {
    let announced = House::start(State::Announced, 40).await;
    assert_eq!(announced.get("hls/o48/event.m3u8").await.status, 404);
    assert_eq!(announced.get("hls/o48/replay.m3u8").await.status, 404);

    let live = House::start(State::Live, 40).await;
    let event = live.get("hls/o48/event.m3u8").await;
    assert_eq!(event.header("cache-control"), BRIEF);
    assert!(event.text().contains("#EXT-X-PLAYLIST-TYPE:EVENT"));
    assert!(event.text().contains("\n2.m4s"), "from go-live on");
    assert_eq!(live.get("hls/o48/replay.m3u8").await.status, 404);

    let ended = House::start(State::Ended, 40).await;
    let replay = ended.get("hls/o48/replay.m3u8").await;
    assert!(replay.text().contains("\nreplay/0.m4s"));
    assert!(replay.text().ends_with("#EXT-X-ENDLIST\n"));
    assert!(
        ended
            .get("hls/main.m3u8")
            .await
            .text()
            .contains("o48/replay.m3u8")
    );
    let segment = ended.get("hls/o48/replay/1.m4s").await;
    assert_eq!(segment.text(), "replay o48 1");
    assert_eq!(segment.header("cache-control"), IMMUTABLE);
    assert_eq!(ended.get("hls/o48/replay/2.m4s").await.status, 404);
    assert_eq!(ended.get("hls/o48/replay/0.0.m4s").await.status, 404);
    let media = ended.get("hls/o48/media.m3u8").await;
    assert!(media.text().ends_with("#EXT-X-ENDLIST\n"));
}

#[tokio::test]
async fn init_and_pages_are_kept_as_long_as_they_are_true() {
    let house = House::start(State::Live, 40).await;
    let init = house.get("hls/a64/init.mp4").await;
    assert_eq!(init.text(), "init a64;");
    assert_eq!(init.header("cache-control"), IMMUTABLE);
    for file in [
        "state.json",
        "hls/main.m3u8",
        "nothing.here",
        "hls/o47/init.mp4",
    ] {
        assert_eq!(
            house.get(file).await.header("cache-control"),
            BRIEF,
            "{file}"
        );
    }
    assert_eq!(house.get("nothing.here").await.text(), "not here");
}
