//! A crowd against a whole node: everyone gets in, nobody misses anything, and what was shown is signed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use throng::config::Config;
use throng::serve::Node;

use crate::house::{House, json};
use crate::wires::Wires;

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
        "rehearse", &url, "--listeners", "300", "--arrive", "ramp:1s", "--stay", "4s", "--agents", "2",
        "--via", "progressive=8,plain=2", "--misbehaving", "12", "--json", "--certificate", text(&file),
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
        serde_json::json!({"slots": 300, "egress_bits": null, "rehearsed": 300})
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
    ] {
        assert_eq!(summary[name], count, "{name}: {summary}");
    }
    assert_eq!(summary["gaps"]["count"], 0, "{summary}");
    assert_eq!(summary["limit"], "none", "{summary}");
    // Two of each manner; the hasty come again and again, and garbage is shown out.
    assert!(summary["misbehaved"].as_u64() > Some(12 + 4), "{summary}");
    assert!(summary["shown_out"].as_u64() >= Some(2), "{summary}");
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

/// A machine that lends agents, until the test ends.
struct Lender {
    child: Child,
    at: String,
}

impl Lender {
    fn at(address: &str, key_file: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_throng"))
            .args([
                "agents",
                "--json",
                "--listen",
                address,
                "--key-file",
                text(key_file),
            ])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let output = child.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(said["key"], Value::Null, "what is in a file is not printed");
        let at = said["listen"].as_str().unwrap().to_owned();
        Self { child, at }
    }
}

impl Drop for Lender {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_works_on_machines_that_lend_their_agents() {
    let house = House::start().await;
    let url = live(&house).await;
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("agents.key");
    let lenders = [
        Lender::at("127.0.0.2:0", &key),
        Lender::at("127.0.0.3:0", &key),
    ];
    let at = lenders
        .each_ref()
        .map(|lender| lender.at.as_str())
        .join(",");
    let file = folder.path().join("c.json");
    #[rustfmt::skip]
    let words = [
        "rehearse", &url, "--listeners", "60", "--stay", "2s", "--agents", "2", "--agents-at", &at, "--agents-key",
        text(&key), "--json", "--certificate", text(&file), "--data", text(folder.path()),
    ];
    let output = throng(&words).await;
    assert!(output.status.success(), "{output:?}");
    let lines = documents(&output);
    let summary = lines.last().unwrap();
    assert_eq!(
        (&summary["joined"], &summary["limit"]),
        (&60.into(), &"none".into()),
        "{summary}"
    );
    for (place, lender) in summary["places"].as_array().unwrap().iter().zip(&lenders) {
        assert_eq!(place["at"], lender.at);
        assert_eq!(
            (&place["agents"], &place["joined"]),
            (&2.into(), &30.into()),
            "{place}"
        );
    }
    assert!(
        !summary["sample"].as_array().unwrap().is_empty(),
        "what they kept came back: {summary}"
    );
    let certificate = &documents_of(&file)["certificate"];
    assert_eq!(
        certificate["run"]["places"],
        serde_json::json!(at.split(',').collect::<Vec<_>>())
    );
    // Two addresses of loopback, yet one machine: no network card was between crowd and server.
    assert_eq!(certificate["run"]["same_machine"], true);
}

fn documents_of(file: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_is_lost_counts_against_the_crowd_and_a_wrong_key_sends_nobody() {
    let house = House::start().await;
    let url = live(&house).await;
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("agents.key");
    let mut lender = Lender::at("127.0.0.2:0", &key);
    let other = folder.path().join("other.key");
    let _another = Lender::at("127.0.0.3:0", &other);
    let with = |key: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_throng"));
        let at = format!("here,{}", lender.at);
        command.args([
            "rehearse",
            &url,
            "--listeners",
            "20",
            "--stay",
            "4s",
            "--json",
        ]);
        command.args(["--agents-at", &at, "--agents-key", text(key)]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let refused = with(&other).wait_with_output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("the key"),
        "{refused:?}"
    );

    let mut running = with(&key);
    let mut lines = BufReader::new(running.stdout.take().unwrap()).lines();
    // Once somebody hears, agents are at work at both places.
    let hears = |line: &Value| line["listening"].as_u64() == Some(20);
    let mut next = move || {
        lines
            .next()
            .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
    };
    while !hears(&next().expect("all hear before the end")) {}
    lender.child.kill().unwrap();
    let summary = std::iter::from_fn(next).last().unwrap();
    assert!(running.wait().unwrap().success());
    assert_eq!(
        (&summary["limit"], &summary["agents_lost"]),
        (&"client".into(), &1.into()),
        "{summary}"
    );
    assert_eq!(summary["places"][1]["lost"], 1, "{summary}");
    assert_eq!(summary["places"][0]["lost"], 0, "{summary}");
}

#[expect(
    clippy::print_stdout,
    reason = "says what was left out where we are not root"
)]
#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_in_network_namespaces_reaches_the_server_over_their_wires() {
    let mut house = House::start().await;
    let url = live(&house).await;
    let missing = throng(&[
        "rehearse",
        &url,
        "--listeners",
        "1",
        "--netns",
        "throng-none",
    ])
    .await;
    assert_eq!(missing.status.code(), Some(1), "{missing:?}");
    assert!(String::from_utf8_lossy(&missing.stderr).contains("ip netns add throng-none"));
    let escape = throng(&[
        "rehearse",
        &url,
        "--listeners",
        "1",
        "--netns",
        "../1/ns/net",
    ])
    .await;
    assert!(String::from_utf8_lossy(&escape.stderr).contains("no name of"));

    let wires = match Wires::lay(2) {
        Ok(wires) => wires,
        Err(reason) => return println!("only the errors were checked: {reason}"),
    };
    let mut config = house.config.clone();
    config.listen = "0.0.0.0:0".parse().unwrap();
    house = house.restart_with(config).await;
    let path = url.split_once("/s/").unwrap().1;
    let url = format!("http://{}:{}/s/{path}", wires.server, house.listen.port());
    let names = wires.names.join(",");
    #[rustfmt::skip]
    let words = [
        "rehearse", &url, "--listeners", "40", "--stay", "2s", "--agents", "1", "--netns", &names, "--json",
    ];
    let output = throng(&words).await;
    let lines = documents(&output);
    let summary = lines.last().unwrap_or_else(|| panic!("{output:?}"));
    assert_eq!(
        (&summary["joined"], &summary["limit"]),
        (&40.into(), &"none".into()),
        "{summary}"
    );
    for (place, name) in summary["places"]
        .as_array()
        .unwrap()
        .iter()
        .zip(&wires.names)
    {
        assert_eq!(place["at"], format!("netns {name}"));
        assert_eq!(place["joined"], 20, "{place}");
    }
    // The sound went over the wires: 48 kb/s for 20 listeners over two seconds, at least.
    assert!(
        wires.bytes().iter().all(|bytes| *bytes > 20 * 6_000 * 2),
        "{:?}",
        wires.bytes()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_over_tls_is_held_and_its_handshakes_are_told() {
    let house = House::start().await;
    let url = live(&house).await;
    let folder = tempfile::tempdir().unwrap();
    let (pem, key) = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(&pem, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let mut config = house.config.clone();
    config.tls = Some((pem, key));
    let _house = house.restart_with(config).await;
    let url = url.replace("http://", "https://");
    let file = folder.path().join("c.json");
    #[rustfmt::skip]
    let mut words = vec![
        "rehearse", &url, "--listeners", "40", "--stay", "2s", "--via", "progressive=3,hls=1", "--misbehaving", "6",
        "--json", "--certificate", text(&file), "--data", text(folder.path()),
    ];
    let refused = throng(&words).await;
    assert_eq!(
        refused.status.code(),
        Some(1),
        "nobody vouches for this certificate"
    );
    words.push("--insecure");
    let output = throng(&words).await;
    let lines = documents(&output);
    let summary = lines.last().unwrap_or_else(|| panic!("{output:?}"));
    assert_eq!(
        (&summary["joined"], &summary["failed"]),
        (&40.into(), &0.into()),
        "{summary}"
    );
    let handshakes = &summary["handshakes"];
    assert!(handshakes["made"].as_u64() >= Some(40), "{summary}");
    assert_eq!(handshakes["failed"], 0, "{summary}");
    assert!(handshakes["ms"]["p99"].as_u64() > Some(0), "{summary}");
    let certificate = &documents_of(&file)["certificate"];
    assert_eq!(certificate["run"]["tls"], true);
    assert_eq!(certificate["shown"]["handshakes"], handshakes["made"]);
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
