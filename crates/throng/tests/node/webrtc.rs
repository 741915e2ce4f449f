//! WHIP (RFC 9725) and WHEP at the edge of the stage: who is turned away, and how.

use throng_stage::client::{Client, ClientKind, Transport};

use crate::house::{Created, House, json, problem, send};
use crate::wire::Answer;

const SDP: &str = "content-type: application/sdp\r\n";

async fn whip(house: &House, space: &Created, key: &str, headers: &str, body: &str) -> Answer {
    let path = format!("/s/{}/whip", space.slug);
    let headers = format!("authorization: Bearer {key}\r\n{headers}");
    let answer = send(house.desk, "POST", &path, &headers, body).await;
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_speaker_who_cannot_be_connected_is_told_why() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    let speaker = &space.speakers[0];
    let json_type = "content-type: application/json\r\n";
    for headers in ["", json_type] {
        let answer = whip(&house, &space, speaker, headers, "v=0\r\n").await;
        problem(&answer, 415, "media-type");
    }
    let large = "x".repeat(33 * 1024);
    problem(
        &whip(&house, &space, speaker, SDP, &large).await,
        413,
        "too-large",
    );
    for body in ["", "nonsense"] {
        let answer = whip(&house, &space, speaker, SDP, body).await;
        problem(&answer, 400, "stage");
    }
    let no_audio = whip(&house, &space, speaker, SDP, "v=0\r\n").await;
    problem(&no_audio, 422, "stage");
    problem(
        &whip(&house, &space, &space.host, SDP, "v=0\r\n").await,
        403,
        "not-allowed",
    );
    problem(
        &whip(&house, &space, "nonsense", SDP, "v=0\r\n").await,
        401,
        "bad-key",
    );
    assert_eq!(house.step(&space, "cancel").await.status, 200);
    problem(
        &whip(&house, &space, speaker, SDP, "v=0\r\n").await,
        409,
        "over",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_from_elsewhere_may_ask_and_read() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    for (address, path) in [
        (house.desk, format!("/s/{}/whip", space.slug)),
        (house.desk, format!("/s/{}/whip/session", space.slug)),
        (house.listen, format!("/s/{}/whep", space.slug)),
    ] {
        let answer = send(
            address,
            "OPTIONS",
            &path,
            "origin: https://elsewhere\r\n",
            "",
        )
        .await;
        assert_eq!(answer.status, 204);
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        let methods = answer.header("access-control-allow-methods");
        assert!(
            ["POST", "PATCH", "DELETE"]
                .iter()
                .all(|method| methods.contains(method))
        );
        let allowed = answer.header("access-control-allow-headers");
        assert!(allowed.contains("authorization") && allowed.contains("content-type"));
        let exposed = answer.header("access-control-expose-headers");
        assert!(exposed.contains("location") && exposed.contains("etag"));
        assert_eq!(answer.header("accept-post"), "application/sdp");
        let answer = send(address, "PUT", &path, "", "").await;
        problem(&answer, 405, "method");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whep_waits_for_the_doors() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    let path = format!("/s/{}/whep", space.slug);
    let whep = async || send(house.listen, "POST", &path, SDP, "v=0\r\n").await;
    let document = problem(&whep().await, 409, "before-doors");
    assert_eq!(document["state"], "announced");
    assert_eq!(
        json(&house.step(&space, "open-doors").await)["state"],
        "doors"
    );
    problem(&whep().await, 422, "stage");
    let unknown = send(house.listen, "POST", "/s/nobody/whep", SDP, "v=0\r\n").await;
    problem(&unknown, 404, "unknown-space");
    let session = format!("{path}/unknown");
    problem(
        &send(house.listen, "DELETE", &session, "", "").await,
        404,
        "stage",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_seat_was_taken_over_is_told_so() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    let mut sessions = Vec::new();
    for _ in 0..2 {
        let (_, offer) = Client::offer(ClientKind::Speaker, Transport::Udp);
        let answer = whip(&house, &space, &space.speakers[0], SDP, &offer).await;
        assert_eq!(answer.status, 201);
        sessions.push(answer.header("location").to_owned());
    }
    let told = send(house.desk, "DELETE", &sessions[0], "", "").await;
    problem(&told, 410, "replaced");
    // RFC 9725, section 4.2: the resource is removed, and then there is none.
    let left = send(house.desk, "DELETE", &sessions[1], "", "").await;
    assert_eq!(left.status, 200);
    let again = send(house.desk, "DELETE", &sessions[1], "", "").await;
    problem(&again, 404, "stage");
}
