//! `state.json`, and who is counted in it.

use throng_core::space::State;

use crate::house::{Front, House};

/// How many listen, and how many have joined.
fn listening(house: &House) -> (u64, u64) {
    let counts = house.on_air.counts();
    (counts.listening, counts.joined)
}

#[tokio::test]
async fn the_document_is_as_the_contract_says() {
    let house = House::start(State::Live, 40).await;
    let answer = house.get("state.json").await;
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "public, max-age=1");
    let slug = house.path.trim_start_matches("/s/");
    assert_eq!(
        answer.text(),
        format!(
            "{{\"slug\":\"{slug}\",\"title\":\"A talk\",\"state\":\"live\",\"scheduled_at\":null,\
             \"started_at\":\"2026-01-01T00:00:07.680Z\",\"ended_at\":null,\"delay_reason\":null,\
             \"message\":null,\
             \"epoch\":\"2026-01-01T00:00:00.000Z\",\"segment_seconds\":3.84,\"part_seconds\":0.32,\
             \"newest_segment\":2,\"rung\":0,\"rung_reason\":null,\"listening\":0,\"peak\":0,\"joined\":0,\"queued\":0,\
             \"renditions\":[\"o48\",\"o24\",\"o16\",\"a64\",\"a32\"],\
             \"recording\":{{\"seconds\":5.12,\"bytes\":30720}},\"recording_until\":null,\
             \"recording_deleted_at\":null,\"recording_deleted_by\":null}}"
        )
    );
}

#[tokio::test]
async fn the_newest_segment_does_not_run_backwards_at_the_doors() {
    // Nobody listened before, so that nothing is in the window yet when the doors open.
    let house = House::start(State::Doors, 0).await;
    let text = house.get("state.json").await;
    assert!(text.text().contains("\"newest_segment\":0,"));
    house.push(0..25);
    let text = house.get("state.json").await;
    assert!(text.text().contains("\"newest_segment\":1,"));
}

#[tokio::test]
async fn a_progressive_listener_counts_by_his_connection() {
    for front in Front::all() {
        let house = House::start_on(front, State::Live, 40).await;
        let mut wires = Vec::new();
        for joined in 1..=2 {
            let mut wire = house.waiting("live.aac?l=same").await;
            wire.head().await.unwrap();
            wire.chunk().await.unwrap();
            wires.push(wire);
            assert_eq!(listening(&house), (joined, joined));
        }
    }
}

#[tokio::test]
async fn an_hls_listener_counts_by_the_number_on_his_playlist_else_by_his_connection() {
    let house = House::start(State::Live, 40).await;
    for _ in 0..2 {
        house.get("hls/o48/media.m3u8?l=one").await;
        house.get("hls/o48/2.m4s").await;
    }
    assert_eq!(listening(&house), (1, 1));
    house.get("hls/o48/event.m3u8?l=two").await;
    assert_eq!(listening(&house), (2, 2));
    let mut wire = house.connect().await;
    for _ in 0..2 {
        wire.get(&format!("{}/hls/o48/media.m3u8", house.path))
            .await;
        wire.get(&format!("{}/hls/o48/2.0.m4s", house.path)).await;
    }
    assert_eq!(listening(&house), (3, 3));
}
