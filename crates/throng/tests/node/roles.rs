//! Who is where, and who runs a space: green room, cohosts, the desk, the cue, and who talked when.

use serde_json::{Value, json};
use throng_stage::client::{Client, ClientKind, Transport};

use crate::hand::{HEARD_DB, SOON_TURNS, Voice, done, hand, shown, until_shown};
use crate::house::{Created, House, json, key_of, problem, send};

fn places(document: &Value) -> [&str; 2] {
    [0, 1].map(|seat| document["speakers"][seat]["place"].as_str().unwrap())
}

/// A cohost's key.
async fn cohost(house: &House, space: &Created) -> String {
    let answer = hand(house, space, "POST", "/cohosts", "").await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), "no-store", "it is a key");
    let url = json(&answer)["cohost_url"].as_str().unwrap().to_owned();
    let studio = format!("http://{}/studio/{}#key=", house.desk, space.slug);
    assert!(url.starts_with(&studio), "{url}");
    key_of(&url)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_in_the_green_room_hears_the_stage_and_is_not_heard_until_he_is_brought_on_it() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    let mut ben = Voice::join(&house, &space, 2, 0.1).await;
    let mut ada = Voice::join(&house, &space, 1, 0.1).await;
    let is_heard = |level: f32| level > HEARD_DB;
    let is_silent = |level: f32| level < HEARD_DB;
    let put = async |place: &str| {
        let body = json!({ "place": place }).to_string();
        done(&house, &space, "PATCH", "/speakers/1", &body).await
    };
    ben.until(&mut ada, is_heard).await;
    let document = put("green_room").await;
    assert_eq!(places(&document), ["green_room", "stage"]);
    assert!(ben.until(&mut ada, is_silent).await <= SOON_TURNS);
    ada.until(&mut ben, is_heard).await;
    drop(ada);
    let mut ada = Voice::join(&house, &space, 1, 0.1).await;
    for _ in 0..2 * SOON_TURNS {
        let (heard, _) = tokio::join!(ben.turn(), ada.turn());
        assert!(is_silent(heard), "{heard}: the place is of the seat");
    }
    let document = shown(&house, &space).await;
    assert_eq!(document["speakers"][0]["talking"], false);
    put("stage").await;
    assert!(ben.until(&mut ada, is_heard).await <= SOON_TURNS);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_green_room_is_for_newcomers_and_kept_over_a_restart() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    let mut ada = Voice::join(&house, &space, 1, 0.1).await;
    until_shown(&house, &space, &mut [&mut ada], |document| {
        document["speakers"][0]["connected"] == true
    })
    .await;
    let open = done(&house, &space, "PATCH", "", r#"{"green_room":true}"#).await;
    assert_eq!(open["green_room"], true);
    assert_eq!(
        places(&open),
        ["stage", "green_room"],
        "who is on stage stays"
    );
    done(
        &house,
        &space,
        "PATCH",
        "/speakers/2",
        r#"{"place":"stage"}"#,
    )
    .await;
    done(
        &house,
        &space,
        "PATCH",
        "/speakers/1",
        r#"{"place":"green_room"}"#,
    )
    .await;

    let house = house.restart().await;
    let kept = shown(&house, &space).await;
    assert_eq!(kept["green_room"], true);
    assert_eq!(places(&kept), ["green_room", "stage"]);

    let from_the_start = r#"{"title":"Another","green_room":true}"#;
    let created = house
        .call("POST", "/api/spaces", &house.operator, from_the_start)
        .await;
    let path = format!("/api/spaces/{}", json(&created)["slug"].as_str().unwrap());
    let document = json(&house.call("GET", &path, &house.operator, "").await);
    assert_eq!(places(&document), ["green_room", "green_room"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_is_the_hosts_to_say_and_one_of_two() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    let own = format!("/api/spaces/{}/speakers/1", space.slug);
    let by_himself = house
        .call("PATCH", &own, &space.speakers[0], r#"{"place":"stage"}"#)
        .await;
    problem(&by_himself, 403, "not-allowed");
    for body in [r#"{"place":"hall"}"#, r#"{"place":1}"#] {
        let answer = hand(&house, &space, "PATCH", "/speakers/1", body).await;
        problem(&answer, 400, "bad-json");
    }
    let both = r#"{"place":"green_room","gain_db":99}"#;
    let answer = hand(&house, &space, "PATCH", "/speakers/1", both).await;
    problem(&answer, 422, "refused");
    let document = shown(&house, &space).await;
    assert_eq!(places(&document), ["stage", "stage"], "all or nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cohost_runs_the_space_and_neither_takes_it_away_nor_says_who_else_runs_it() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    let key = cohost(&house, &space).await;
    let call = async |house: &House, method: &str, at: &str, body: &str| {
        let path = format!("/api/spaces/{}{at}", space.slug);
        house.call(method, &path, &key, body).await
    };
    for (method, at) in [
        ("DELETE", ""),
        ("POST", "/cancel"),
        ("POST", "/cohosts"),
        ("DELETE", "/cohosts/1"),
    ] {
        problem(&call(&house, method, at, "").await, 403, "not-allowed");
    }
    let document = json(&call(&house, "GET", "", "").await);
    assert_eq!(
        (&document["role"], &document["cohost"]),
        (&json!("cohost"), &json!(1))
    );
    for (method, at, body) in [
        ("PATCH", "", r#"{"title":"Another"}"#),
        (
            "PATCH",
            "/speakers/1",
            r#"{"muted":true,"place":"green_room"}"#,
        ),
        ("POST", "/speakers/2/link", ""),
        ("GET", "/cohosts", ""),
        ("GET", "/turns", ""),
        ("POST", "/go-live", ""),
    ] {
        let answer = call(&house, method, at, body).await;
        assert_eq!(answer.status, 200, "{at}: {}", answer.text());
    }
    let house = house.restart().await;
    assert_eq!(call(&house, "POST", "/end", "").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn cohosts_are_few_and_a_link_that_was_taken_back_opens_nothing() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    let first = cohost(&house, &space).await;
    for _ in 2..=8 {
        cohost(&house, &space).await;
    }
    let full = hand(&house, &space, "POST", "/cohosts", "").await;
    problem(&full, 409, "cohosts-full");
    done(&house, &space, "DELETE", "/cohosts/1", "").await;
    let path = format!("/api/spaces/{}", space.slug);
    let listed = done(&house, &space, "GET", "/cohosts", "").await;
    let numbers: Vec<_> = listed["cohosts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["cohost"])
        .collect();
    assert_eq!(json!(numbers), json!([2, 3, 4, 5, 6, 7, 8]));
    for cohost in [1, 9, 0] {
        let answer = hand(&house, &space, "DELETE", &format!("/cohosts/{cohost}"), "").await;
        problem(&answer, 404, "unknown-cohost");
    }
    let house = house.restart().await;
    let refused = problem(&house.call("GET", &path, &first, "").await, 401, "bad-key");
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("revoked"), "{detail}");
    let again = cohost(&house, &space).await;
    let document = json(&house.call("GET", &path, &again, "").await);
    assert_eq!(document["cohost"], 1, "the number is free again");
    problem(&house.call("GET", &path, &first, "").await, 401, "bad-key");
}

/// A line to the stage of who has this key, and its resource.
async fn talk_back(house: &House, space: &Created, key: &str) -> (Client, String) {
    let (pending, offer) = Client::offer(ClientKind::Speaker, Transport::Udp);
    let path = format!("/s/{}/talkback", space.slug);
    let headers = format!("authorization: Bearer {key}\r\ncontent-type: application/sdp\r\n");
    let answer = send(house.desk, "POST", &path, &headers, &offer).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let sdp = answer.text().to_owned();
    let connected = tokio::task::spawn_blocking(move || pending.connect(&sdp)).await;
    let mut client = connected.unwrap().unwrap();
    client.connected().await.unwrap();
    (client, answer.header("location").to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cohost_whose_link_was_taken_back_is_heard_on_the_stage_no_more() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    let key = cohost(&house, &space).await;
    let (_cohost, line) = talk_back(&house, &space, &key).await;
    let (_host, hosts) = talk_back(&house, &space, &space.host).await;
    done(&house, &space, "DELETE", "/cohosts/1", "").await;
    problem(
        &send(house.desk, "DELETE", &line, "", "").await,
        404,
        "stage",
    );
    let left = send(house.desk, "DELETE", &hosts, "", "").await;
    assert_eq!(left.status, 200, "the host talks on");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_runs_the_space_and_looks_at_it_is_at_its_desk() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    let path = format!("/api/spaces/{}", space.slug);
    let at_desk = async |key: &str| {
        let document = json(&house.call("GET", &path, key, "").await);
        let there = document["at_desk"].as_array().unwrap().iter();
        let there = there.map(|one| one["role"].as_str().unwrap().to_owned());
        there.collect::<Vec<_>>()
    };
    assert!(at_desk(&space.speakers[0]).await.is_empty());
    assert_eq!(at_desk(&space.host).await, ["host"]);
    let key = cohost(&house, &space).await;
    assert_eq!(at_desk(&key).await, ["host", "cohost"]);
    assert_eq!(at_desk(&space.speakers[0]).await, ["host", "cohost"]);
    done(&house, &space, "DELETE", "/cohosts/1", "").await;
    assert_eq!(at_desk(&space.host).await, ["host"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_countdown_is_seen_by_speakers_and_ends_on_air() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    house.step(&space, "open-doors").await;
    for seconds in [0, 2, 31, 4_000_000_000_u32] {
        let body = json!({ "in_seconds": seconds }).to_string();
        let answer = hand(&house, &space, "PUT", "/cue", &body).await;
        problem(&answer, 422, "refused");
    }
    let none = hand(&house, &space, "DELETE", "/cue", "").await;
    problem(&none, 404, "no-cue");
    let begin = async |seconds: u32| {
        let body = json!({ "in_seconds": seconds }).to_string();
        done(&house, &space, "PUT", "/cue", &body).await
    };
    begin(30).await;
    let stopped = done(&house, &space, "DELETE", "/cue", "").await;
    assert_eq!(
        (&stopped["cue"], &stopped["state"]),
        (&Value::Null, &json!("doors"))
    );

    let begun = begin(3).await;
    let path = format!("/api/spaces/{}", space.slug);
    let speaker = async || json(&house.call("GET", &path, &space.speakers[0], "").await);
    assert_eq!(speaker().await["cue"], begun["cue"]);
    let live = loop {
        let document = speaker().await;
        if document["state"] == "live" {
            break document;
        }
        assert_eq!(document["cue"], begun["cue"], "it is seen until then");
        tokio::task::yield_now().await;
    };
    assert_eq!(live["cue"], Value::Null);
    let late = hand(&house, &space, "PUT", "/cue", r#"{"in_seconds":3}"#).await;
    assert_eq!(problem(&late, 409, "does-not-follow")["state"], "live");
}

#[tokio::test(flavor = "multi_thread")]
async fn going_live_by_hand_ends_a_countdown() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    done(&house, &space, "PUT", "/cue", r#"{"in_seconds":30}"#).await;
    house.step(&space, "go-live").await;
    assert_eq!(shown(&house, &space).await["cue"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_countdown_of_a_cohost_whose_key_is_taken_back_is_stopped() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    let key = cohost(&house, &space).await;
    let path = format!("/api/spaces/{}/cue", space.slug);
    let cue = r#"{"in_seconds":30}"#;
    let begun = house.call("PUT", &path, &key, cue).await;
    assert_eq!(begun.status, 200, "{}", begun.text());
    let gone = hand(&house, &space, "DELETE", "/cohosts/1", "").await;
    assert!(gone.status < 300, "{}", gone.text());
    assert_eq!(shown(&house, &space).await["cue"], Value::Null);

    cohost(&house, &space).await;
    let begun = done(&house, &space, "PUT", "/cue", cue).await;
    hand(&house, &space, "DELETE", "/cohosts/1", "").await;
    let kept = shown(&house, &space).await;
    assert_eq!(kept["cue"], begun["cue"], "the host's own goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_talked_when_is_told_and_kept() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    let before = done(&house, &space, "GET", "/turns", "").await;
    assert_eq!(
        (&before["turns"], &before["shares"]),
        (&json!([]), &json!([]))
    );
    house.step(&space, "go-live").await;
    let mut ada = Voice::join(&house, &space, 1, 0.1).await;
    let talked = loop {
        ada.turn().await;
        let told = done(&house, &space, "GET", "/turns?last_seconds=60", "").await;
        let is_long = |share: &Value| share["seconds"].as_f64().unwrap() >= 2.0;
        if told["shares"].get(0).is_some_and(is_long) {
            break told;
        }
    };
    let turns = talked["turns"].as_array().unwrap();
    assert!(turns.iter().all(|turn| turn["seat"] == 1), "{talked}");
    assert_eq!(talked["shares"][0]["share"], 1.0);
    let by_speaker = format!("/api/spaces/{}/turns", space.slug);
    let refused = house.call("GET", &by_speaker, &space.speakers[0], "").await;
    problem(&refused, 403, "not-allowed");
    let odd = hand(&house, &space, "GET", "/turns?last_seconds=-1", "").await;
    assert_eq!(odd.status, 400);

    let house = house.restart().await;
    let kept = done(&house, &space, "GET", "/turns", "").await;
    let from = |told: &Value| told["turns"][0]["from_seconds"].clone();
    assert_eq!(from(&kept), from(&talked));
    house.step(&space, "end").await;
    let ended = done(&house, &space, "GET", "/turns", "").await;
    assert_eq!(ended["shares"][0]["seat"], 1);
}
