//! The operator's hand on the ladder.

use serde_json::{Value, json};
use throng::config::RungChoice;
use throng_core::ladder::Rung;

use crate::house::{House, json, problem};

async fn set(house: &House, body: &Value) -> Value {
    let body = body.to_string();
    let answer = house
        .call("PUT", "/api/ladder", &house.operator, &body)
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), "no-store");
    json(&answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_keeps_a_rung_and_everybody_is_told_why() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    let state = format!("/s/{}/state.json", space.slug);
    let shown = json(&house.call("GET", "/api/ladder", &house.operator, "").await);
    assert_eq!(
        (&shown["rung"], &shown["locked"]),
        (&json!(0), &json!(false))
    );
    assert_eq!(shown["signals"]["listeners"], 0);
    assert!(shown["signals"]["memory_of_machine"].as_f64() > Some(0.0));

    let set_to = set(&house, &json!({ "locked": true, "rung": 3 })).await;
    assert_eq!(
        (&set_to["rung"], &set_to["locked"]),
        (&json!(3), &json!(true))
    );
    let told = json(&house.get(&state).await);
    assert_eq!(told["rung"], 3);
    assert!(told["rung_reason"].as_str().unwrap().contains("operator"));
    let path = format!("/api/spaces/{}", space.slug);
    let alarms = &json(&house.call("GET", &path, &space.host, "").await)["alarms"];
    assert_eq!(alarms[0]["kind"], "ladder", "{alarms}");
    let metrics = house.metrics().await;
    assert!(metrics.contains("kind=\"ladder\"} 1"), "{metrics}");

    let released = set(&house, &json!({ "locked": false })).await;
    assert_eq!(
        (&released["rung"], &released["locked"]),
        (&json!(3), &json!(false))
    );
    set(&house, &json!({ "locked": true, "rung": 0 })).await;
    let told = json(&house.get(&state).await);
    assert_eq!(
        (&told["rung"], &told["rung_reason"]),
        (&json!(0), &json!("the operator has set it"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_operator_moves_it_and_only_to_a_rung_that_there_is() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    let body = r#"{"locked":true,"rung":1}"#;
    for method in ["GET", "PUT"] {
        let answer = house.call(method, "/api/ladder", &space.host, body).await;
        problem(&answer, 401, "bad-key");
    }
    for (body, status, kind) in [
        (r#"{"locked":true,"rung":5}"#, 422, "refused"),
        (r#"{"locked":true}"#, 400, "bad-json"),
        (r#"{"locked":false,"rung":1}"#, 400, "bad-json"),
        (r#"{"rung":1}"#, 400, "bad-json"),
        (r#"{"locked":true,"rung":-1}"#, 400, "bad-json"),
    ] {
        let answer = house
            .call("PUT", "/api/ladder", &house.operator, body)
            .await;
        problem(&answer, status, kind);
    }
    let shown = json(&house.call("GET", "/api/ladder", &house.operator, "").await);
    assert_eq!(shown["rung"], 0, "nothing was changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rung_of_the_settings_is_kept_from_the_start() {
    let house = House::start().await;
    let mut config = house.config.clone();
    config.rung = RungChoice::Fixed(Rung::new(2).unwrap());
    let house = house.restart_with(config).await;
    let shown = json(&house.call("GET", "/api/ladder", &house.operator, "").await);
    assert_eq!(
        (&shown["rung"], &shown["locked"]),
        (&json!(2), &json!(true))
    );
}
