//! What other programs are told: webhooks of a space, and its events.

use serde_json::{Value, json};
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use throng_core::time::UnixMillis;

use crate::house::{Created, House, json, problem};
use crate::wire::{Answer, Wire};

/// A hook that nobody answers.
async fn hook(house: &House, events: &[&str]) -> Answer {
    let body = json!({ "url": "http://127.0.0.1:9/", "events": events }).to_string();
    house
        .call("POST", "/api/webhooks", &house.operator, &body)
        .await
}

async fn shown(house: &House, space: &Created, key: &str) -> Value {
    let path = format!("/api/spaces/{}", space.slug);
    json(&house.call("GET", &path, key, "").await)
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_are_asked_for_at_once_there_are_no_more_hooks_than_there_may_be() {
    let house = House::start().await;
    let asked = (0..24).map(|_| hook(&house, &[]));
    let answers = futures_util::future::join_all(asked).await;
    let (made, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    assert_eq!(made.len(), 16);
    for answer in refused {
        problem(answer, 409, "full");
    }
}

/// While somebody else writes to the database a step waits, and its part begins before it is kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_is_decided_anew_on_a_slow_disk_is_told_once() {
    let house = House::start().await;
    assert_eq!(hook(&house, &["space.live"]).await.status, 201);
    let space = house.announce("A talk").await;
    let file = house.config.data.join("throng.db");
    let options = SqliteConnectOptions::new().filename(file);
    let mut other = SqliteConnection::connect_with(&options).await.unwrap();
    let begun = sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await;
    begun.unwrap();
    let now = async || {
        let document = shown(&house, &space, &space.speakers[0]).await;
        UnixMillis::parse_rfc3339(document["now"].as_str().unwrap()).unwrap()
    };
    let asked = now().await;
    let slow = async {
        // A second until the programme can begin, and a part.
        while now().await < asked.plus_ms(1_500) {
            tokio::task::yield_now().await;
        }
        sqlx::query("COMMIT").execute(&mut other).await.unwrap();
    };
    let (live, ()) = tokio::join!(house.step(&space, "go-live"), slow);
    let live = json(&live);
    let started = UnixMillis::parse_rfc3339(live["started_at"].as_str().unwrap()).unwrap();
    assert!(started > asked.plus_ms(1_500), "it was decided anew");
    let hooks = house
        .call("GET", "/api/webhooks", &house.operator, "")
        .await;
    assert_eq!(json(&hooks)["webhooks"][0]["pending"], 1);
}

/// A line that is open says that its key is good, and nothing of where its owner is.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_follows_a_space_is_not_at_its_desk_thereby() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    let mut wire = Wire::connect(house.desk).await;
    let path = format!("/api/spaces/{}/events", space.slug);
    let key = format!("authorization: Bearer {}\r\n", space.host);
    wire.ask("GET", &path, &key).await;
    assert_eq!(wire.head().await.unwrap().status, 200);
    let mut said = String::new();
    let mut until_beats = async |beats: usize| {
        while said.matches(": beat").count() < beats {
            let chunk = wire.chunk().await.unwrap().unwrap();
            said.push_str(&String::from_utf8(chunk).unwrap());
        }
    };
    let host_seen = async || {
        let shown = shown(&house, &space, &space.speakers[0]).await;
        let seen = shown["at_desk"][0]["seen_at"].as_str();
        seen.map(|seen| UnixMillis::parse_rfc3339(seen).unwrap())
    };
    until_beats(1).await;
    let asked = host_seen().await.expect("he has just asked for it");
    until_beats(2).await;
    // A beat comes after 10 s, and the two clocks of which this is told differ by a millisecond now and then.
    let later = host_seen().await.unwrap_or(asked);
    assert!(later < asked.plus_ms(1_000), "{later:?} after {asked:?}");
}
