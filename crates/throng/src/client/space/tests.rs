//! What each command asks of the server, and how it tells the answer.

use clap::Parser;

use super::super::test_server::TestServer;
use super::*;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: SpaceArgs,
}

fn answered(command: &[&str], answer: &'static str) -> (TestServer, Result<(), Error>, String) {
    let data = tempfile::tempdir().unwrap();
    fs::write(data.path().join("operator.key"), "op-key\n").unwrap();
    let server =
        TestServer::start(|_| TestServer::answer("200 OK", "application/json", answer.as_bytes()));
    let data = data.path().to_str().unwrap();
    let all = [
        &["space"],
        command,
        &["--server", &server.url, "--data", data],
    ]
    .concat();
    let mut output = Vec::new();
    let done = run(&Cli::try_parse_from(all).unwrap().args, &mut output);
    (server, done, String::from_utf8(output).unwrap())
}

#[test]
fn create_asks_with_the_operator_key_and_prints_the_answer_unchanged() {
    let answer = r#"{"id":"1","slug":"a","listen_url":"l","host_url":"h","speaker_urls":["s"],"state":"announced"}"#;
    let create = [
        "create",
        "--title",
        "A",
        "--at",
        "2026-12-01T21:00:00+01:00",
        "--speakers",
        "2",
        "--links-expire-at",
        "2026-12-02T00:00:00Z",
        "--expected-listeners",
        "5000",
        "--json",
    ];
    let (server, done, output) = answered(&create, answer);
    done.unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&output).unwrap(),
        serde_json::from_str::<Value>(answer).unwrap()
    );
    let asked = &server.asked()[0];
    assert_eq!(
        (asked.method.as_str(), asked.target.as_str()),
        ("POST", "/api/spaces")
    );
    assert_eq!(asked.bearer.as_deref(), Some("op-key"));
    let body: Value = serde_json::from_str(&asked.body).unwrap();
    assert_eq!(
        body,
        json!({
            "title": "A", "scheduled_at": "2026-12-01T20:00:00.000Z", "speakers": 2,
            "speaker_links_expire_at": "2026-12-02T00:00:00.000Z", "expected_listeners": 5_000,
        })
    );
}

#[test]
fn each_step_asks_its_own_route() {
    for (command, method, target) in [
        (&["show", "a"][..], "GET", "/api/spaces/a"),
        (&["open-doors", "a"], "POST", "/api/spaces/a/open-doors"),
        (&["go-live", "a"], "POST", "/api/spaces/a/go-live"),
        (&["end", "a"], "POST", "/api/spaces/a/end"),
        (&["cancel", "a"], "POST", "/api/spaces/a/cancel"),
        (&["delete", "a"], "DELETE", "/api/spaces/a"),
        (
            &[
                "delay",
                "a",
                "--until",
                "2026-12-01T20:30:00Z",
                "--reason",
                "r",
            ],
            "PATCH",
            "/api/spaces/a",
        ),
        (
            &["remove", "a", "2"],
            "DELETE",
            "/api/spaces/a/speakers/2/session",
        ),
        (
            &["revoke-link", "a", "2"],
            "DELETE",
            "/api/spaces/a/speakers/2/link",
        ),
    ] {
        let (server, done, _) = answered(command, r#"{"slug":"a"}"#);
        done.unwrap();
        let asked = &server.asked()[0];
        assert_eq!(
            (asked.method.as_str(), asked.target.as_str()),
            (method, target)
        );
    }
}

#[test]
fn the_hosts_hand_on_the_stage_asks_for_one_change_and_says_what_became_of_it() {
    let seat = "/api/spaces/a/speakers/2";
    for (command, target, change, words) in [
        (
            &["mute", "a", "2"][..],
            seat,
            json!({ "muted": true }),
            "speaker 2 is muted",
        ),
        (
            &["unmute", "a", "2"],
            seat,
            json!({ "muted": false }),
            "not muted by you",
        ),
        (
            &["gain", "a", "2", "-6"],
            seat,
            json!({ "gain_db": -6 }),
            "at -6 dB",
        ),
        (
            &["gain", "a", "2", "12"],
            seat,
            json!({ "gain_db": 12 }),
            "at +12 dB",
        ),
        (
            &["lock", "a"],
            "/api/spaces/a",
            json!({ "stage_locked": true }),
            "nobody new",
        ),
        (
            &["unlock", "a"],
            "/api/spaces/a",
            json!({ "stage_locked": false }),
            "open",
        ),
    ] {
        let (server, done, output) = answered(command, r#"{"slug":"a"}"#);
        done.unwrap();
        assert!(output.contains(words), "{command:?}: {output}");
        let asked = &server.asked()[0];
        assert_eq!(
            (asked.method.as_str(), asked.target.as_str()),
            ("PATCH", target)
        );
        let body: Value = serde_json::from_str(&asked.body).unwrap();
        assert_eq!(body, change);
    }
}

#[test]
fn people_read_links_and_lists_in_words() {
    let (_, _, shown) = answered(
        &["show", "a"],
        r#"{"slug":"a","speaker_urls":["s1","s2"],"delay_reason":null}"#,
    );
    assert_eq!(shown, "slug        a\nspeaker     s1\nspeaker     s2\n");
    let (_, _, empty) = answered(&["list"], r#"{"spaces":[]}"#);
    assert!(empty.starts_with("no spaces yet"));
}

#[test]
fn a_time_without_a_zone_and_a_slug_with_a_path_are_wrong_usage() {
    for command in [
        &[
            "space",
            "create",
            "--title",
            "A",
            "--at",
            "2026-12-01 20:00",
        ][..],
        &["space", "delay", "a", "--until", "soon", "--reason", "r"],
        &["space", "end", "../a"],
        &["space", "end", "a?b"],
        &["space", "mute", "a", "0"],
        &["space", "gain", "a", "1", "13"],
        &["space", "gain", "a", "1", "-21"],
    ] {
        assert!(Cli::try_parse_from(command).is_err(), "{command:?}");
    }
}

#[test]
fn the_named_folder_goes_before_the_environment_and_a_missing_key_says_what_to_do() {
    let data = tempfile::tempdir().unwrap();
    let missing = operator_key(Some(data.path()), Some("env".to_owned())).unwrap_err();
    assert!(
        missing.to_string().contains("THRONG_OPERATOR_KEY"),
        "{missing}"
    );
    fs::write(data.path().join("operator.key"), "filed").unwrap();
    assert_eq!(
        operator_key(Some(data.path()), Some("env".to_owned())).unwrap(),
        "filed"
    );
    assert_eq!(
        operator_key(None, Some(" env\n".to_owned())).unwrap(),
        "env"
    );
    assert_eq!(
        operator_key(None, Some("two words".to_owned()))
            .unwrap_err()
            .exit_code(),
        2
    );
}

#[test]
fn who_is_where_and_who_runs_the_space_is_one_request_each() {
    let seat = "/api/spaces/a/speakers/2";
    let turns = r#"{"turns":[{"seat":2,"from_seconds":0.32,"until_seconds":12.8}],"shares":[{"seat":2,"seconds":12.48,"share":1.0}]}"#;
    for (command, answer, method, target, body, words) in [
        (
            &["green-room", "a", "on"][..],
            "{}",
            "PATCH",
            "/api/spaces/a",
            r#"{"green_room":true}"#,
            "wait",
        ),
        (
            &["green-room", "a", "off"],
            "{}",
            "PATCH",
            "/api/spaces/a",
            r#"{"green_room":false}"#,
            "at once",
        ),
        (
            &["to-stage", "a", "2"],
            "{}",
            "PATCH",
            seat,
            r#"{"place":"stage"}"#,
            "2 is on stage",
        ),
        (
            &["to-green-room", "a", "2"],
            "{}",
            "PATCH",
            seat,
            r#"{"place":"green_room"}"#,
            "green room",
        ),
        (
            &["cue", "a"],
            r#"{"cue":{"at":"noon"}}"#,
            "PUT",
            "/api/spaces/a/cue",
            r#"{"in_seconds":10}"#,
            "at noon",
        ),
        (
            &["cue", "a", "--seconds", "5"],
            "{}",
            "PUT",
            "/api/spaces/a/cue",
            r#"{"in_seconds":5}"#,
            "on air",
        ),
        (
            &["stop-cue", "a"],
            "{}",
            "DELETE",
            "/api/spaces/a/cue",
            "",
            "stopped",
        ),
        (
            &["add-cohost", "a"],
            r#"{"cohost":1,"cohost_url":"u"}"#,
            "POST",
            "/api/spaces/a/cohosts",
            "",
            "cohost      u",
        ),
        (
            &["cohosts", "a"],
            r#"{"cohosts":[]}"#,
            "GET",
            "/api/spaces/a/cohosts",
            "",
            "no cohosts",
        ),
        (
            &["cohosts", "a"],
            r#"{"cohosts":[{"cohost":3,"at_desk":true}]}"#,
            "GET",
            "/api/spaces/a/cohosts",
            "",
            "cohost 3    at the desk",
        ),
        (
            &["revoke-cohost", "a", "3"],
            "{}",
            "DELETE",
            "/api/spaces/a/cohosts/3",
            "",
            "nothing any more",
        ),
        (
            &["turns", "a"],
            turns,
            "GET",
            "/api/spaces/a/turns",
            "",
            "speaker 2: 12 s, 100 %",
        ),
        (
            &["turns", "a"],
            r#"{"turns":[],"shares":[]}"#,
            "GET",
            "/api/spaces/a/turns",
            "",
            "nobody",
        ),
    ] {
        let (server, done, output) = answered(command, answer);
        done.unwrap();
        assert!(output.contains(words), "{command:?}: {output}");
        let asked = &server.asked()[0];
        let was = (
            asked.method.as_str(),
            asked.target.as_str(),
            asked.body.as_str(),
        );
        assert_eq!(was, (method, target, body), "{command:?}");
    }
    for wrong in [
        &["cue", "a", "--seconds", "2"][..],
        &["cue", "a", "--seconds", "31"],
        &["green-room", "a", "maybe"],
        &["to-stage", "a", "0"],
    ] {
        let all = [&["space"], wrong].concat();
        assert!(Cli::try_parse_from(all).is_err(), "{wrong:?}");
    }
}
