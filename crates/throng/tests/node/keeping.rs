//! How long a recording is kept, and what is left of it.

use std::fs;

use serde_json::Value;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

use crate::hand::{Voice, done, shown, until_shown};
use crate::house::{Created, House, json, problem};

async fn recorded(house: &House) -> (Created, String) {
    let space = house.announce("A talk").await;
    let live = json(&house.step(&space, "go-live").await);
    assert_eq!(live["state"], "live");
    let id = live["id"].as_str().unwrap().to_owned();
    assert_eq!(house.step(&space, "end").await.status, 200);
    (space, id)
}

async fn state(house: &House, space: &Created) -> Value {
    json(&house.get(&format!("/s/{}/state.json", space.slug)).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_that_the_host_deletes_is_gone_and_the_space_stays() {
    let house = House::start().await;
    let (space, id) = recorded(&house).await;
    let (file, folder) = (
        format!("/s/{}/recording.mp4", space.slug),
        house.config.data.join("archive").join(id),
    );
    assert_eq!(house.get(&file).await.status, 200);
    assert!(folder.exists());
    let path = format!("/api/spaces/{}/recording", space.slug);
    let by_speaker = house.call("DELETE", &path, &space.speakers[0], "").await;
    problem(&by_speaker, 403, "not-allowed");
    for _ in 0..2 {
        let deleted = house.call("DELETE", &path, &space.host, "").await;
        assert_eq!(deleted.status, 204, "a repeat changes nothing");
    }
    assert!(!folder.exists());
    let gone = house.get(&file).await;
    assert_eq!(gone.status, 410);
    assert!(gone.text().contains("the host has taken it away"));
    let told = state(&house, &space).await;
    assert_eq!(told["recording_deleted_by"], "host");
    assert_eq!(told["recording"]["bytes"], 0);

    let house = house.restart().await;
    assert_eq!(house.get(&file).await.status, 410);
    assert_eq!(house.get(&format!("/s/{}", space.slug)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn tracks_go_with_their_recording() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    done(&house, &space, "PATCH", "", r#"{"tracks":true}"#).await;
    assert_eq!(house.step(&space, "go-live").await.status, 200);
    let mut voice = Voice::join(&house, &space, 1, 0.1).await;
    let has_track = |document: &Value| document["speakers"][0]["has_track"] == true;
    until_shown(&house, &space, &mut [&mut voice], has_track).await;
    assert_eq!(house.step(&space, "end").await.status, 200);
    assert!(has_track(&shown(&house, &space).await));
    done(&house, &space, "DELETE", "/recording", "").await;
    assert!(!has_track(&shown(&house, &space).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_whose_time_is_over_goes_by_itself_and_no_other() {
    let house = House::start().await;
    let (brief, brief_id) = recorded(&house).await;
    let (endless, endless_id) = recorded(&house).await;
    let path = format!("/api/spaces/{}", brief.slug);
    let edit = r#"{"keep_recording_days":1}"#;
    let edited = json(&house.call("PATCH", &path, &brief.host, edit).await);
    assert!(edited["recording_until"].is_string());
    // Two days later.
    let options = SqliteConnectOptions::new().filename(house.config.data.join("throng.db"));
    let pool = SqlitePool::connect_with(options).await.unwrap();
    let later = "UPDATE spaces SET created_at = created_at - 172800000, started_at = started_at - 172800000, \
         ended_at = ended_at - 172800000";
    sqlx::query(later).execute(&pool).await.unwrap();
    pool.close().await;
    let house = house.restart().await;
    let folder = |id: &str| house.config.data.join("archive").join(id);
    while fs::exists(folder(&brief_id)).unwrap() {
        tokio::task::yield_now().await;
    }
    let told = state(&house, &brief).await;
    assert_eq!(told["recording_deleted_by"], "time");
    assert!(told["recording_until"].is_null());
    let gone = house
        .get(&format!("/s/{}/hls/o48/replay.m3u8", brief.slug))
        .await;
    assert_eq!(gone.status, 410);
    assert!(fs::exists(folder(&endless_id)).unwrap());
    let kept = state(&house, &endless).await;
    assert!(kept["recording"]["seconds"].as_f64().unwrap() > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_on_air_is_not_deleted_and_a_time_must_be_one() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    let path = format!("/api/spaces/{}", space.slug);
    let deleted = house
        .call("DELETE", &format!("{path}/recording"), &space.host, "")
        .await;
    assert_eq!(
        problem(&deleted, 409, "does-not-follow")["state"],
        "announced"
    );
    for (days, status) in [("0", 400), ("36526", 422), ("36525", 200), ("null", 200)] {
        let edit = format!(r#"{{"keep_recording_days":{days}}}"#);
        let answer = house.call("PATCH", &path, &space.host, &edit).await;
        assert_eq!(answer.status, status, "{days}");
    }
}
