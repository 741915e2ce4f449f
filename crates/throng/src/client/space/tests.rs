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
fn stereo_is_said_when_a_space_is_made_and_never_again() {
    for (switch, stereo) in [("on", true), ("off", false)] {
        let create = ["create", "--title", "A", "--stereo", switch];
        let (server, done, _) = answered(&create, r#"{"slug":"a"}"#);
        done.unwrap();
        let body: Value = serde_json::from_str(&server.asked()[0].body).unwrap();
        assert_eq!(body, json!({ "title": "A", "stereo": stereo }));
    }
    let change = ["space", "sound", "a", "--stereo", "on"];
    assert!(Cli::try_parse_from(change).is_err());
}

/// Commands, each with what it asks for.
fn assert_asked(commands: &[(&str, &str)]) {
    for (command, wanted) in commands {
        let command: Vec<_> = command.split(' ').collect();
        let (server, done, _) = answered(&command, r#"{"slug":"a"}"#);
        done.unwrap();
        let asked = &server.asked()[0];
        assert_eq!(format!("{} {}", asked.method, asked.target), *wanted);
    }
}

#[test]
fn each_step_asks_its_own_route() {
    assert_asked(&[
        ("show a", "GET /api/spaces/a"),
        ("edit a --title T", "PATCH /api/spaces/a"),
        ("open-doors a", "POST /api/spaces/a/open-doors"),
        ("go-live a", "POST /api/spaces/a/go-live"),
        ("end a", "POST /api/spaces/a/end"),
        ("cancel a", "POST /api/spaces/a/cancel"),
        ("delete a", "DELETE /api/spaces/a"),
        (
            "delay a --until 2026-12-01T20:30:00Z --reason r",
            "PATCH /api/spaces/a",
        ),
        ("remove a 2", "DELETE /api/spaces/a/speakers/2/session"),
        ("renew-link a 2", "POST /api/spaces/a/speakers/2/link"),
        ("revoke-link a 2", "DELETE /api/spaces/a/speakers/2/link"),
    ]);
}

#[test]
fn what_is_recorded_has_routes_of_its_own() {
    assert_asked(&[
        ("chapters a", "GET /api/spaces/a"),
        (
            "chapter a --title T --at 12.5",
            "POST /api/spaces/a/chapters",
        ),
        (
            "chapters-from-turns a",
            "POST /api/spaces/a/chapters/from-turns",
        ),
        ("edit-chapter a 3 --at 1", "PATCH /api/spaces/a/chapters/3"),
        ("remove-chapter a 3", "DELETE /api/spaces/a/chapters/3"),
        ("keep-recording a --days 30", "PATCH /api/spaces/a"),
        ("delete-recording a", "DELETE /api/spaces/a/recording"),
    ]);
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

/// A command, what the server answers it, what it asks for, and a word of what it says.
const ROLES: &str = r#"
green-room a on           | {}                         | PATCH /api/spaces/a {"green_room":true}              | wait in
green-room a off          | {}                         | PATCH /api/spaces/a {"green_room":false}             | at once
to-stage a 2              | {}                         | PATCH /api/spaces/a/speakers/2 {"place":"stage"}     | 2 is on stage
to-green-room a 2         | {}                         | PATCH /api/spaces/a/speakers/2 {"place":"green_room"} | in the green room
cue a                     | {"cue":{"at":"noon"}}      | PUT /api/spaces/a/cue {"in_seconds":10}              | on air at noon
cue a --seconds 5         | {}                         | PUT /api/spaces/a/cue {"in_seconds":5}               | on air
stop-cue a                | {}                         | DELETE /api/spaces/a/cue                             | stopped
add-cohost a              | {"cohost_url":"u"}         | POST /api/spaces/a/cohosts                           | cohost      u
cohosts a                 | {"cohosts":[]}             | GET /api/spaces/a/cohosts                            | no cohosts
cohosts a                 | {"cohosts":[{"cohost":3,"at_desk":true}]} | GET /api/spaces/a/cohosts             | cohost 3    at the desk
revoke-cohost a 3         | {}                         | DELETE /api/spaces/a/cohosts/3                       | nothing any more
turns a                   | {"turns":[{"seat":2,"from_seconds":0.32,"until_seconds":12.8}],"shares":[]} | GET /api/spaces/a/turns | 0.32      12.80  speaker 2
turns a                   | {"turns":[],"shares":[{"seat":2,"seconds":12.48,"share":0.5}]} | GET /api/spaces/a/turns | speaker 2: 12 s, 50 %
turns a                   | {"turns":[],"shares":[]}   | GET /api/spaces/a/turns                              | nobody
"#;

#[test]
fn who_is_where_and_who_runs_the_space_is_one_request_each() {
    for line in ROLES.trim().lines() {
        let cells: Vec<&'static str> = line.split('|').map(str::trim).collect();
        let command: Vec<_> = cells[0].split(' ').collect();
        let (server, done, output) = answered(&command, cells[1]);
        done.unwrap();
        assert!(output.contains(cells[3]), "{line}: {output}");
        let asked = &server.asked()[0];
        let asked = format!("{} {} {}", asked.method, asked.target, asked.body);
        assert_eq!(asked.trim(), cells[2]);
    }
    for wrong in [
        "cue a --seconds 2",
        "cue a --seconds 31",
        "green-room a maybe",
        "to-stage a 0",
    ] {
        let all = ["space"].into_iter().chain(wrong.split(' '));
        assert!(Cli::try_parse_from(all).is_err(), "{wrong}");
    }
}

#[test]
fn a_chapter_is_told_with_its_number_and_its_place() {
    let answer =
        r#"{"chapters":[{"id":7,"at_seconds":3723.54,"title":"Questions"}],"state":"live"}"#;
    let (_, done, output) = answered(&["chapters", "a"], answer);
    done.unwrap();
    assert_eq!(output, "   7  1:02:03.5  Questions\n");
    let (_, done, output) = answered(&["chapters", "a", "--json"], answer);
    done.unwrap();
    let told: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(
        told.as_object().unwrap().len(),
        1,
        "of a space, its chapters"
    );
}

#[test]
fn where_no_chapter_is_marked_it_says_why() {
    let (_, done, output) = answered(&["chapters-from-turns", "a"], r#"{"chapters":[]}"#);
    done.unwrap();
    assert!(output.starts_with("none is marked: "), "{output}");
    let marked = r#"{"chapters":[{"id":1,"at_seconds":60,"title":"Speaker 2"}]}"#;
    let (_, done, output) = answered(&["chapters-from-turns", "a"], marked);
    done.unwrap();
    assert_eq!(output, "   1  0:01:00.0  Speaker 2\n");
}

#[test]
fn the_audit_is_told_act_by_act() {
    let answer = r#"{"acts":[{"number":2,"at":"2026-12-01T20:00:00.000Z","role":"host","key":"0a1b2c3d","method":"PATCH",
        "path":"/speakers/1","changed":["muted=true"],"status":200}],"next":null}"#;
    let (server, done, output) = answered(&["audit", "a", "--limit", "5", "--before", "3"], answer);
    done.unwrap();
    assert_eq!(
        output,
        "     2 2026-12-01T20:00:00.000Z host     0a1b2c3d 200 PATCH  /speakers/1 muted=true\n"
    );
    assert_eq!(
        server.asked()[0].target,
        "/api/spaces/a/audit?limit=5&before=3"
    );
    let (_, _, output) = answered(&["audit", "a"], r#"{"acts":[],"next":null}"#);
    assert_eq!(output, "nothing has been done yet\n");
}
