//! The desk's API: what it answers, and to whom.

use serde_json::{Value, json};
use throng::config::Config;

use crate::house::{House, json, key_of, problem, send};

#[tokio::test(flavor = "multi_thread")]
async fn a_space_is_created_with_links_that_are_told_once() {
    let house = House::start().await;
    let body = r#"{"title":"A talk","scheduled_at":"9999-12-31T20:00:00Z","speakers":3}"#;
    let answer = house
        .call("POST", "/api/spaces", &house.operator, body)
        .await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(
        answer.header("cache-control"),
        "no-store",
        "it carries keys"
    );
    let created = json(&answer);
    let slug = created["slug"].as_str().unwrap().to_owned();
    assert!(slug.starts_with("a-talk-"), "{slug}");
    let keys: Vec<_> = created.as_object().unwrap().keys().cloned().collect();
    let mut expected = [
        "id",
        "slug",
        "listen_url",
        "host_url",
        "speaker_urls",
        "state",
    ];
    expected.sort_unstable();
    let mut sorted = keys;
    sorted.sort_unstable();
    assert_eq!(sorted, expected);
    assert_eq!(created["state"], "announced");
    assert_eq!(
        created["listen_url"],
        format!("http://{}/s/{slug}", house.listen)
    );
    let host_url = created["host_url"].as_str().unwrap();
    let studio = format!("http://{}/studio/{slug}#key=", house.desk);
    let host = host_url.strip_prefix(&studio).unwrap();
    let speaker_urls = created["speaker_urls"].as_array().unwrap();
    assert_eq!(speaker_urls.len(), 3);
    let speak = format!("http://{}/s/{slug}/speak#key=", house.desk);
    assert!(
        speaker_urls
            .iter()
            .all(|url| url.as_str().unwrap().starts_with(&speak))
    );

    let path = format!("/api/spaces/{slug}");
    let shown = json(&house.call("GET", &path, host, "").await);
    assert_eq!(shown["scheduled_at"], "9999-12-31T20:00:00.000Z");
    assert_eq!(
        (&shown["seats"], &shown["state"]),
        (&json!(3), &json!("announced"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_changes_what_it_names_and_a_deleted_space_is_gone() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    let (slug, host) = (&space.slug, space.host.as_str());
    let path = format!("/api/spaces/{slug}");

    let edit = async |body: &str| house.call("PATCH", &path, host, body).await;
    let edited = json(&edit(r#"{"title":"Another","delay_reason":"A train"}"#).await);
    assert_eq!(edited["title"], "Another");
    assert_eq!(edited["delay_reason"], "A train");
    let edited = json(&edit(r#"{"scheduled_at":"9998-01-01T00:00:00+01:00"}"#).await);
    assert_eq!(edited["scheduled_at"], "9997-12-31T23:00:00.000Z");
    assert_eq!(edited["delay_reason"], "A train", "absent fields stay");
    let edited = json(&edit(r#"{"delay_reason":null}"#).await);
    assert_eq!(edited["delay_reason"], Value::Null);
    problem(&edit(r#"{"scheduled_at":null}"#).await, 422, "refused");

    let list = json(&house.call("GET", "/api/spaces", &house.operator, "").await);
    assert_eq!(list["spaces"].as_array().unwrap().len(), 1);
    assert_eq!(house.get(&format!("/s/{slug}")).await.status, 200);
    let deleted = house.call("DELETE", &path, &house.operator, "").await;
    assert_eq!(
        (deleted.status, deleted.header("content-length")),
        (204, "")
    );
    problem(
        &house.call("GET", &path, host, "").await,
        404,
        "unknown-space",
    );
    assert_eq!(house.get(&format!("/s/{slug}")).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_space_is_made_with_its_channels_and_keeps_them() {
    let house = House::start().await;
    let operator = house.operator.as_str();
    for (body, stereo) in [
        (r#"{"title":"A talk"}"#, false),
        (r#"{"title":"A concert","stereo":true}"#, true),
    ] {
        let created = json(&house.call("POST", "/api/spaces", operator, body).await);
        let path = format!("/api/spaces/{}", created["slug"].as_str().unwrap());
        let change = format!(r#"{{"stereo":{}}}"#, !stereo);
        let refused = house.call("PATCH", &path, operator, &change).await;
        let document = problem(&refused, 400, "bad-json");
        let detail = document["detail"].as_str().unwrap();
        assert!(detail.contains("unknown field `stereo`"), "{detail}");
        let shown = json(&house.call("GET", &path, operator, "").await);
        assert_eq!(shown["stereo"], stereo);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_is_done_whole_or_not_at_all() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    let path = format!("/api/spaces/{}", space.slug);
    assert_eq!(house.step(&space, "cancel").await.status, 200);
    let body = r#"{"title":"Another","delay_reason":"Too late"}"#;
    let refused = house.call("PATCH", &path, &space.host, body).await;
    let document = problem(&refused, 409, "does-not-follow");
    assert_eq!(document["state"], "cancelled");
    let shown = json(&house.call("GET", &path, &space.host, "").await);
    assert_eq!(shown["title"], "A talk");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_does_not_follow_is_refused_with_the_present_state() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    let refused = async |step: &str, state: &str| {
        let document = problem(&house.step(&space, step).await, 409, "does-not-follow");
        assert_eq!(document["state"], state, "{step}");
    };
    refused("end", "announced").await;
    let opened = house.step(&space, "open-doors").await;
    assert_eq!(
        (opened.status, &json(&opened)["state"]),
        (200, &json!("doors"))
    );
    refused("open-doors", "doors").await;
    let live = json(&house.step(&space, "go-live").await);
    assert_eq!(live["state"], "live");
    refused("cancel", "live").await;
    refused("go-live", "live").await;
    // Go-live is not even in effect yet, as it waits for the doors.
    let ended = json(&house.step(&space, "end").await);
    assert_eq!(ended["state"], "ended");
    assert!(ended["recording"]["seconds"].as_f64().unwrap() >= 0.32);
    refused("end", "ended").await;
    problem(&house.step(&space, "dance").await, 404, "unknown-step");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_right_key_opens_a_door() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    let other = house.announce("Another").await;
    let path = format!("/api/spaces/{}", space.slug);
    let end = format!("{path}/end");
    for (method, path) in [
        ("GET", "/api/spaces"),
        ("POST", "/api/spaces"),
        ("GET", &path),
        ("PATCH", &path),
        ("DELETE", &path),
        ("POST", &end),
        ("POST", &format!("{path}/speakers/1/link")),
        ("DELETE", &format!("{path}/speakers/1/link")),
        ("DELETE", &format!("{path}/speakers/1/session")),
        ("PATCH", &format!("{path}/speakers/1")),
        ("GET", &format!("{path}/cohosts")),
        ("POST", &format!("{path}/cohosts")),
        ("DELETE", &format!("{path}/cohosts/1")),
        ("PUT", &format!("{path}/cue")),
        ("DELETE", &format!("{path}/cue")),
        ("GET", &format!("{path}/turns")),
    ] {
        let unknown = "A".repeat(43);
        for key in [&*unknown, &other.host, "nonsense", ""] {
            let answer = house.call(method, path, key, "{}").await;
            problem(&answer, 401, "bad-key");
            assert_eq!(answer.header("www-authenticate"), "Bearer");
        }
        for headers in ["", "authorization: Basic eDp5\r\n", "authorization: x\r\n"] {
            let answer = send(house.desk, method, path, headers, "{}").await;
            problem(&answer, 401, "bad-key");
        }
    }
    let speaker = &space.speakers[0];
    for (method, path) in [("PATCH", &path), ("DELETE", &path), ("POST", &end)] {
        let answer = house.call(method, path, speaker, "{}").await;
        problem(&answer, 403, "not-allowed");
    }
    let shown = house.call("GET", &path, speaker, "").await;
    assert_eq!((shown.status, &json(&shown)["seat"]), (200, &json!(1)));
    // Creating and listing is for the operator alone.
    for method in ["GET", "POST"] {
        let answer = house.call(method, "/api/spaces", &space.host, "{}").await;
        problem(&answer, 401, "bad-key");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_speaker_link_opens_nothing_once_it_has_expired() {
    let house = House::start().await;
    let body = r#"{"title":"A talk","speaker_links_expire_at":"2020-01-01T00:00:00Z"}"#;
    let created = json(
        &house
            .call("POST", "/api/spaces", &house.operator, body)
            .await,
    );
    let key = |url: &Value| {
        url.as_str()
            .unwrap()
            .split_once("#key=")
            .unwrap()
            .1
            .to_owned()
    };
    let path = format!("/api/spaces/{}", created["slug"].as_str().unwrap());
    let late = house
        .call("GET", &path, &key(&created["speaker_urls"][0]), "")
        .await;
    let document = problem(&late, 401, "bad-key");
    assert!(
        document["detail"].as_str().unwrap().contains("expired"),
        "{document}"
    );

    let link = format!("{path}/speakers/1/link");
    let renew = async |body: &str| {
        house
            .call("POST", &link, &key(&created["host_url"]), body)
            .await
    };
    for (expires_at, status) in [("9999-01-01T00:00:00Z", 200), ("2020-01-01T00:00:00Z", 401)] {
        let renewed = json(&renew(&format!(r#"{{"expires_at":"{expires_at}"}}"#)).await);
        let shown = house
            .call("GET", &path, &key(&renewed["speaker_url"]), "")
            .await;
        assert_eq!(shown.status, status, "{expires_at}");
    }
    problem(
        &renew(r#"{"expires_at":"tomorrow"}"#).await,
        400,
        "bad-time",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_link_replaces_the_old_one() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    let path = format!("/api/spaces/{}", space.slug);
    let link = format!("{path}/speakers/2/link");
    let renewed = json(&house.call("POST", &link, &space.host, "").await);
    assert_eq!(renewed["seat"], 2);
    let url = renewed["speaker_url"].as_str().unwrap();
    let new = url.split_once("#key=").unwrap().1;
    let old = house.call("GET", &path, &space.speakers[1], "").await;
    let document = problem(&old, 401, "bad-key");
    assert!(
        document["detail"].as_str().unwrap().contains("revoked"),
        "{document}"
    );
    let shown = house.call("GET", &path, new, "").await;
    assert_eq!(json(&shown)["seat"], 2);
    assert_eq!(
        house
            .call("GET", &path, &space.speakers[0], "")
            .await
            .status,
        200
    );

    let house = house.restart().await;
    let old = house.call("GET", &path, &space.speakers[1], "").await;
    problem(&old, 401, "bad-key");
    assert_eq!(house.call("GET", &path, new, "").await.status, 200);
    let beyond = format!("{path}/speakers/3/link");
    problem(
        &house.call("POST", &beyond, &space.host, "").await,
        404,
        "unknown-seat",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_refused_as_a_problem() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    let create = async |body: &str| {
        house
            .call("POST", "/api/spaces", &house.operator, body)
            .await
    };
    for body in [
        "",
        "{",
        "[]",
        "{}",
        r#"{"title":1}"#,
        r#"{"title":"x","titel":"y"}"#,
    ] {
        problem(&create(body).await, 400, "bad-json");
    }
    problem(
        &create(r#"{"title":"x","scheduled_at":"tonight"}"#).await,
        400,
        "bad-time",
    );
    for body in [
        r#"{"title":""}"#,
        r#"{"title":"two\nlines"}"#,
        r#"{"title":"x","speakers":0}"#,
        r#"{"title":"x","speakers":33}"#,
    ] {
        problem(&create(body).await, 422, "refused");
    }
    let large = format!("{{\"title\":\"{}\"}}", "x".repeat(16 * 1024));
    problem(&create(&large).await, 413, "too-large");

    let call = async |method: &str, path: &str| house.call(method, path, &house.operator, "").await;
    for path in ["/api", "/api/nothing", "/api/spaces/a/b/c/d"] {
        problem(&call("GET", path).await, 404, "unknown-path");
    }
    problem(
        &call("GET", "/api/spaces/unknown-1").await,
        404,
        "unknown-space",
    );
    problem(
        &call("POST", "/api/spaces/unknown-1/end").await,
        404,
        "unknown-space",
    );
    let answer = call("PUT", "/api/spaces").await;
    problem(&answer, 405, "method");
    assert_eq!(answer.header("allow"), "GET,HEAD,POST");
    let seat = format!("/api/spaces/{}/speakers/two/link", space.slug);
    problem(&call("POST", &seat).await, 400, "bad-request");
    let not_text = format!("/api/spaces/{}%ff", space.slug);
    problem(&call("GET", &not_text).await, 400, "bad-request");
}

/// What is noted of a space is found by its path.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_done_under_another_spelling_of_a_path() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    let slug = &space.slug;
    let spelt = format!("%{:02x}{}", slug.as_bytes()[0], &slug[1..]);
    for (method, path) in [
        ("POST", format!("/api/spaces/{spelt}/open-doors")),
        ("POST", format!("/api/spaces/{slug}/open%2Ddoors")),
        ("DELETE", format!("/api/spaces/{spelt}")),
    ] {
        let answer = house.call(method, &path, &space.host, "").await;
        problem(&answer, 404, "unknown-path");
    }
    let path = format!("/api/spaces/{slug}");
    let shown = json(&house.call("GET", &path, &space.host, "").await);
    assert_eq!(shown["state"], "announced");
}

#[tokio::test(flavor = "multi_thread")]
async fn acts_are_told_by_pages_that_there_are() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    let page = async |query: &str| {
        let path = format!("/api/spaces/{}/audit?{query}", space.slug);
        house.call("GET", &path, &space.host, "").await
    };
    for query in ["limit=0", "limit=1001", "before=0", "before=-7"] {
        problem(&page(query).await, 400, "bad-query");
    }
    for (query, acts) in [("limit=1", 1), ("limit=1000&before=1", 0)] {
        let told = json(&page(query).await);
        assert_eq!(told["acts"].as_array().unwrap().len(), acts, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_good_key_is_refused_is_counted_like_what_it_does() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    let path = format!("/api/spaces/{}", space.slug);
    let cohosts = format!("{path}/cohosts");
    let cohost = house.call("POST", &cohosts, &space.host, "").await;
    let cohost = key_of(json(&cohost)["cohost_url"].as_str().unwrap());
    let config = Config {
        calls_max: 1.try_into().unwrap(),
        ..house.config.clone()
    };
    let house = house.restart_with(config).await;
    let cancel = async || {
        let path = format!("{path}/cancel");
        house.call("POST", &path, &cohost, "").await
    };
    problem(&cancel().await, 403, "not-allowed");
    // Four at once, and one more in a second.
    let mut last = cancel().await;
    for _ in 0..100 {
        if last.status == 429 {
            break;
        }
        last = cancel().await;
    }
    problem(&last, 429, "too-many-calls");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_who_looks_for_what_is_not_there_guesses_no_key() {
    let house = House::start().await;
    // More than are let pass of wrong keys.
    for _ in 0..80 {
        let path = "/api/spaces/unknown-1";
        let answer = house.call("GET", path, &house.operator, "").await;
        problem(&answer, 404, "unknown-space");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_port_serves_both_addresses() {
    let house = House::start().await;
    let mut config = house.config.clone();
    let house = {
        config.desk = config.listen;
        house.restart_with(config).await
    };
    assert_eq!(house.listen, house.desk);
    let space = house.announce("A talk").await;
    assert_eq!(house.get(&format!("/s/{}", space.slug)).await.status, 200);
    assert_eq!(
        house.get(&format!("/s/{}/speak", space.slug)).await.status,
        200
    );
    assert_eq!(house.get("/studio").await.status, 200);
    problem(&house.get("/api/nothing").await, 404, "unknown-path");
    assert_eq!(house.get("/nothing").await.status, 404);
}
