//! The host's craft: the programme that is later than the stage, what is taken back of it, and talkback.

use serde_json::{Value, json};
use throng_core::time::UnixMillis;
use throng_stage::client::{Client, ClientKind, Transport};

use crate::house::{Created, House, json, problem, send};
use crate::wire::Answer;

async fn edit(house: &House, space: &Created, change: &Value) -> Answer {
    let path = format!("/api/spaces/{}", space.slug);
    let change = change.to_string();
    house.call("PATCH", &path, &space.host, &change).await
}

async fn shown(house: &House, space: &Created) -> Value {
    let path = format!("/api/spaces/{}", space.slug);
    json(&house.call("GET", &path, &space.host, "").await)
}

/// What the audience is told.
async fn told(house: &House, space: &Created) -> Value {
    json(&house.get(&format!("/s/{}/state.json", space.slug)).await)
}

async fn until(house: &House, space: &Created, is_so: impl Fn(&Value) -> bool) -> Value {
    loop {
        let document = shown(house, space).await;
        if is_so(&document) {
            return document;
        }
        tokio::task::yield_now().await;
    }
}

fn millis(document: &Value, field: &str) -> i64 {
    UnixMillis::parse_rfc3339(document[field].as_str().unwrap())
        .unwrap()
        .0
}

#[tokio::test(flavor = "multi_thread")]
async fn delay_and_message_are_bounded_shown_and_kept() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    for (change, status, kind) in [
        (json!({"delay_seconds": 11}), 422, "refused"),
        (json!({"delay_seconds": -1}), 400, "bad-json"),
        (json!({"delay_seconds": 2.5}), 400, "bad-json"),
        (json!({"message": "x".repeat(281)}), 422, "refused"),
        (json!({"message": "two\nlines"}), 422, "refused"),
        (json!({"message": 7}), 400, "bad-json"),
    ] {
        problem(&edit(&house, &space, &change).await, status, kind);
    }
    let words = "Slides: <https://example.org>";
    let both = edit(
        &house,
        &space,
        &json!({"delay_seconds": 7, "message": words}),
    )
    .await;
    let document = json(&both);
    assert_eq!(
        (&document["delay_seconds"], &document["message"]),
        (&json!(7), &json!(words))
    );
    assert_eq!(document["delay"]["held_seconds"], 0.0);
    let house = house.restart().await;
    let document = shown(&house, &space).await;
    assert_eq!(
        (&document["delay_seconds"], &document["message"]),
        (&json!(7), &json!(words))
    );
    assert_eq!(told(&house, &space).await["message"], words);
    let page = house.get(&format!("/s/{}", space.slug)).await;
    assert!(page.text().contains("Slides: &lt;https://example.org"));
    let document = json(&edit(&house, &space, &json!({"message": null})).await);
    assert_eq!(
        (&document["delay_seconds"], &document["message"]),
        (&json!(7), &Value::Null)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_without_anything_held_says_so_and_is_the_hosts() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    for step in ["open-doors", "go-live"] {
        problem(&house.step(&space, "dump").await, 409, "nothing-held");
        assert_eq!(house.step(&space, step).await.status, 200);
    }
    let refused = problem(&house.step(&space, "dump").await, 409, "nothing-held");
    assert!(refused["detail"].as_str().unwrap().contains("Set a delay"));
    assert_eq!(refused["state"], "live");
    let path = format!("/api/spaces/{}/dump", space.slug);
    let speaker = house.call("POST", &path, &space.speakers[0], "").await;
    problem(&speaker, 403, "not-allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_space_is_live_later_dumps_and_plays_out_before_it_ends() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    edit(&house, &space, &json!({"delay_seconds": 1})).await;
    assert_eq!(house.step(&space, "open-doors").await.status, 200);
    let before = UnixMillis::parse_rfc3339(told(&house, &space).await["epoch"].as_str().unwrap());
    assert!(before.is_ok());
    let live = json(&house.step(&space, "go-live").await);
    assert_eq!(live["state"], "live");
    // Listeners hear it from then on, and there the recording begins.
    let full = until(&house, &space, |document| {
        document["delay"]["held_seconds"] == 1.0
    })
    .await;
    assert_eq!(
        full["delay"],
        json!({"held_seconds": 1.0, "bridging": false, "full": true})
    );
    let dumped = json(&house.step(&space, "dump").await);
    assert_eq!(dumped, json!({"dumped_seconds": 1.0}));
    until(&house, &space, |document| {
        document["delay"]["bridging"] == true
    })
    .await;
    until(&house, &space, |document| document["delay"]["full"] == true).await;
    assert!(
        house
            .metrics()
            .await
            .contains("throng_programme_dumps_total 1")
    );

    let ended = json(&house.step(&space, "end").await);
    assert_eq!(ended["state"], "ended");
    assert_eq!(
        told(&house, &space).await["state"],
        "live",
        "it is played out"
    );
    let renamed = edit(&house, &space, &json!({"title": "Another"})).await;
    assert_eq!(renamed.status, 200);
    assert_eq!(told(&house, &space).await["state"], "live", "still");
    let out = loop {
        let document = told(&house, &space).await;
        if document["state"] == "ended" {
            break document;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(out["title"], "Another");
    let lasted = millis(&ended, "ended_at") - millis(&live, "started_at");
    let recorded = out["recording"]["seconds"].as_f64().unwrap();
    #[allow(clippy::cast_precision_loss, reason = "some seconds")]
    let seconds = lasted as f64 / 1_000.0;
    assert!(
        (recorded - seconds).abs() < 0.001,
        "{recorded} of {seconds}"
    );
    let recording = house.get(&format!("/s/{}/recording.mp4", space.slug)).await;
    assert_eq!(recording.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_that_is_deleted_while_its_end_is_played_out_goes_when_that_was_heard() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    edit(&house, &space, &json!({"delay_seconds": 1})).await;
    for step in ["open-doors", "go-live"] {
        assert_eq!(house.step(&space, step).await.status, 200);
    }
    let full = until(&house, &space, |document| {
        document["delay"]["full"] == true && document["newest_segment"].is_u64()
    })
    .await;
    let newest = &full["newest_segment"];
    let segment = format!("/s/{}/hls/o48/{newest}.m4s", space.slug);
    assert_eq!(house.get(&segment).await.status, 200);

    assert_eq!(house.step(&space, "end").await.status, 200);
    let path = format!("/api/spaces/{}/recording", space.slug);
    let deleted = house.call("DELETE", &path, &space.host, "").await;
    assert_eq!(deleted.status, 204);
    let status = house.get(&segment).await.status;
    if told(&house, &space).await["state"] == "live" {
        assert_eq!(status, 200, "who listens hears the end");
    }
    let over = loop {
        let document = told(&house, &space).await;
        if document["state"] == "ended" {
            break document;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(over["recording_deleted_by"], "host");
    assert_eq!(house.get(&segment).await.status, 410);
    let archive = house.config.data.join("archive");
    while archive.join(full["id"].as_str().unwrap()).exists() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn talkback_is_for_hosts_and_says_whom_it_is_for() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    let knock = async |key: &str, to: &str| {
        let (pending, offer) = Client::offer(ClientKind::Speaker, Transport::Udp);
        let path = format!("/s/{}/talkback{to}", space.slug);
        let headers = format!("authorization: Bearer {key}\r\ncontent-type: application/sdp\r\n");
        (
            pending,
            send(house.desk, "POST", &path, &headers, &offer).await,
        )
    };
    problem(&knock(&space.speakers[0], "").await.1, 403, "not-allowed");
    problem(&knock(&space.host, "?to=nobody").await.1, 400, "bad-query");
    problem(&knock(&space.host, "?to=3").await.1, 404, "unknown-seat");
    let (pending, answer) = knock(&space.host, "?to=2").await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let sdp = answer.text().to_owned();
    let connected = tokio::task::spawn_blocking(move || pending.connect(&sdp)).await;
    let mut client = connected.unwrap().unwrap();
    client.connected().await.unwrap();
    // The line is answered, so that whoever holds it knows that it is up.
    client.recv().await.expect("the line is up");
    assert_eq!(
        shown(&house, &space).await["speakers"][1]["connected"],
        false
    );
    // A newer line of the same key takes its place.
    let (_, again) = knock(&space.host, "").await;
    assert_eq!(again.status, 201);
    let old = send(house.desk, "DELETE", answer.header("location"), "", "").await;
    problem(&old, 410, "replaced");
    assert_eq!(house.step(&space, "cancel").await.status, 200);
    problem(&knock(&space.host, "").await.1, 409, "over");
}

/// A second of a tone over and over, as WAV.
fn tone(seconds: usize) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tone.wav");
    let mut file = throng::sound_file::WavWriter::create(&path).unwrap();
    let period: Vec<f32> = (0..120_u8)
        .map(|sample| (f32::from(sample) / 120.0 * std::f32::consts::TAU).sin() * 0.01)
        .collect();
    file.push(&period.repeat(400 * seconds)).unwrap();
    file.finish().unwrap();
    std::fs::read(path).unwrap()
}

async fn give(house: &House, space: &Created, key: &str, file: &[u8]) -> Answer {
    let mut wire = crate::wire::Wire::connect(house.desk).await;
    let path = format!("/api/spaces/{}/hold", space.slug);
    let length = file.len();
    let headers = format!("authorization: Bearer {key}\r\ncontent-length: {length}\r\n");
    wire.ask("PUT", &path, &headers).await;
    wire.send(file).await;
    wire.answer("PUT").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_gives_his_own_hold_music_which_outlives_a_restart() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    let ours = json!({"own": false, "ready": true});
    assert_eq!(shown(&house, &space).await["hold"], ours);
    problem(
        &give(&house, &space, &space.speakers[0], b"no sound").await,
        403,
        "not-allowed",
    );
    problem(
        &give(&house, &space, &space.host, b"no sound").await,
        422,
        "refused",
    );
    let short = problem(
        &give(&house, &space, &space.host, &tone(2)).await,
        422,
        "refused",
    );
    assert!(short["detail"].as_str().unwrap().contains("at least 4 s"));
    assert_eq!(
        shown(&house, &space).await["hold"],
        ours,
        "a refused file changes nothing"
    );

    let taken = json(&give(&house, &space, &space.host, &tone(4)).await);
    assert_eq!(taken["hold"]["own"], true);
    let own = until(&house, &space, |document| document["hold"]["ready"] == true).await;
    // Whole segments, as often round as that takes.
    assert!(own["hold"]["seconds"].as_u64() >= Some(3), "{own}");
    let house = house.restart().await;
    until(&house, &space, |document| {
        document["hold"]["own"] == true && document["hold"]["ready"] == true
    })
    .await;

    // Before doors and after them.
    assert_eq!(house.step(&space, "open-doors").await.status, 200);
    assert_eq!(
        give(&house, &space, &space.host, &tone(4)).await.status,
        200
    );
    let path = format!("/api/spaces/{}/hold", space.slug);
    let given_up = house.call("DELETE", &path, &space.host, "").await;
    assert_eq!(json(&given_up)["hold"], ours);
    assert_eq!(house.step(&space, "go-live").await.status, 200);
    let late = problem(
        &give(&house, &space, &space.host, &tone(4)).await,
        409,
        "does-not-follow",
    );
    assert_eq!(late["state"], "live");
}
