//! A crowd against a whole node: everyone gets in, nobody misses anything, and what was shown is signed.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use throng::config::Config;
use throng::serve::Node;

use crate::house::{House, json};

/// Runs a command of the program to its end.
async fn throng(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_throng"));
    command.args(words);
    let ran = tokio::task::spawn_blocking(move || command.output());
    ran.await.unwrap().unwrap()
}

fn documents(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

async fn live(house: &House) -> String {
    let space = house.announce("A rehearsal").await;
    assert_eq!(house.step(&space, "go-live").await.status, 200);
    // A burst is what has been on air: both answers are held until their segment is there.
    for segment in [0, 1] {
        let path = format!("/s/{}/hls/o48/media.m3u8?_HLS_msn={segment}", space.slug);
        assert_eq!(house.get(&path).await.status, 200);
    }
    format!("http://{}/s/{}", house.listen, space.slug)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_is_held_without_a_gap_and_the_certificate_says_so() {
    let house = House::start().await;
    let url = live(&house).await;
    let folder = tempfile::tempdir().unwrap();
    let (file, page) = (folder.path().join("c.json"), folder.path().join("r.html"));
    #[rustfmt::skip]
    let words = [
        "rehearse", &url, "--listeners", "300", "--arrive", "ramp:1s", "--stay", "3s", "--agents", "2",
        "--via", "progressive=8,plain=2", "--misbehaving", "8", "--json", "--certificate", text(&file),
        "--report", text(&page), "--data", text(folder.path()),
    ];
    let output = throng(&words).await;
    assert!(output.status.success(), "{output:?}");
    let lines = documents(&output);
    assert!(lines.len() > 3 && lines[0]["listening"].is_u64());
    all_is_well(lines.last().unwrap());
    let report = std::fs::read_to_string(&page).unwrap();
    assert!(report.contains("Nothing gave way"));
    let house = a_node_takes_in_what_it_grants(house, &file).await;
    the_certificate_holds_until_it_is_changed(&file).await;
    let forged = with(&house, &file);
    drop(house);
    let refused = Node::start(forged).await.err().unwrap().to_string();
    assert!(refused.contains("capacity certificate"), "{refused}");
}

fn with(house: &House, certificate: &Path) -> Config {
    Config {
        certificate: Some(certificate.to_owned()),
        ..house.config.clone()
    }
}

async fn a_node_takes_in_what_it_grants(house: House, certificate: &Path) -> House {
    let config = with(&house, certificate);
    let house = house.restart_with(config).await;
    let body = r#"{"title":"A talk","expected_listeners":301}"#;
    let created = house
        .call("POST", "/api/spaces", &house.operator, body)
        .await;
    let path = format!("/api/spaces/{}", json(&created)["slug"].as_str().unwrap());
    let shown = json(&house.call("GET", &path, &house.operator, "").await);
    assert_eq!(
        shown["capacity"],
        serde_json::json!({"slots": 300, "rehearsed": 300})
    );
    assert_eq!(shown["expected_listeners"], 301);
    let none = r#"{"expected_listeners":null}"#;
    let edited = house.call("PATCH", &path, &house.operator, none).await;
    assert_eq!(json(&edited)["expected_listeners"], Value::Null);
    house
}

fn all_is_well(summary: &Value) {
    for (name, count) in [
        ("asked", 300),
        ("joined", 300),
        ("left", 300),
        ("failed", 0),
        ("misbehaved", 8),
    ] {
        assert_eq!(summary[name], count, "{name}: {summary}");
    }
    assert_eq!(summary["gaps"]["count"], 0, "{summary}");
    assert_eq!(summary["limit"], "none", "{summary}");
    assert!(
        summary["delivered_audio_seconds"].as_u64() > Some(300 * 4),
        "{summary}"
    );
    assert!(
        summary["server_cpu_seconds"].is_f64(),
        "it is on this machine: {summary}"
    );
    let samples = summary["sample"].as_array().unwrap();
    assert!(!samples.is_empty(), "{summary}");
    assert!(
        samples.iter().all(|heard| heard["errors"] == 0),
        "{summary}"
    );
}

async fn the_certificate_holds_until_it_is_changed(file: &Path) {
    let found = &documents(&throng(&["verify", text(file), "--json"]).await)[0];
    assert_eq!(found["kind"], "certificate");
    assert_eq!(found["valid"], true, "{found}");
    let words = [
        "plan",
        "--listeners",
        "8000000",
        "--certificate",
        text(file),
        "--json",
    ];
    let plan = &documents(&throng(&words).await)[0];
    assert!(plan["nodes"].as_u64() > Some(8_000_000 / 300), "{plan}");

    let signed = std::fs::read_to_string(file).unwrap();
    std::fs::write(file, signed.replace("\"slots\": ", "\"slots\": 9")).unwrap();
    let forged = throng(&["verify", text(file), "--json"]).await;
    assert_eq!(forged.status.code(), Some(1));
    assert_eq!(documents(&forged)[0]["valid"], false);
    assert_eq!(
        throng(&words).await.status.code(),
        Some(1),
        "nothing is planned with it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_of_hls_get_in_by_playlists_and_parts() {
    let house = House::start().await;
    let url = live(&house).await;
    let words = [
        "rehearse",
        &url,
        "--listeners",
        "40",
        "--stay",
        "3s",
        "--via",
        "hls",
        "--json",
    ];
    let output = throng(&words).await;
    let lines = documents(&output);
    let summary = lines.last().unwrap();
    assert_eq!(summary["joined"], 40, "{summary}");
    assert_eq!(summary["failed"], 0, "{summary}");
    assert_eq!(
        summary["refused_by_reason"],
        serde_json::json!({}),
        "{summary}"
    );
    assert!(
        summary["delivered_audio_seconds"].as_u64() > Some(40),
        "{summary}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_is_not_sent_where_nothing_is_live() {
    let house = House::start().await;
    let space = house.announce("Called off").await;
    assert_eq!(house.step(&space, "cancel").await.status, 200);
    let url = format!("http://{}/s/{}", house.listen, space.slug);
    let output = throng(&["rehearse", &url, "--listeners", "1"]).await;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}
