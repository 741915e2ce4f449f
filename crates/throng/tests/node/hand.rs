//! The host's hand on the stage: what it does to seats and what those hear who sit there.

use serde_json::{Value, json};
use throng_media::codec::{
    OpusDecode, OpusDecoder, OpusEncode, OpusEncoder, OpusSettings, opus_decoder, opus_encoder,
};
use throng_stage::client::{Client, ClientKind, Transport};

use crate::house::{Created, House, json, problem, send};
use crate::wire::Answer;

/// Turns of 20 ms within which what a host does has reached everybody's ears: a second.
pub(crate) const SOON_TURNS: usize = 50;
/// Far more than anything takes.
const PATIENCE_TURNS: usize = 1_000;
/// Somebody who speaks is louder, and the coding noise of silence softer by far.
pub(crate) const HEARD_DB: f32 = -50.0;

/// Somebody on stage who hums a tone, or says nothing. What he hears paces what he says: a packet for a packet.
pub(crate) struct Voice {
    client: Client,
    resource: String,
    encoder: Box<OpusEncoder>,
    decoder: Box<OpusDecoder>,
    loudness: f32,
    turns: u32,
}

impl Voice {
    pub(crate) async fn join(house: &House, space: &Created, seat: usize, loudness: f32) -> Self {
        let (pending, offer) = Client::offer(ClientKind::Speaker, Transport::Udp);
        let answer = knock(house, space, seat, &offer).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let sdp = answer.text().to_owned();
        let connected = tokio::task::spawn_blocking(move || pending.connect(&sdp)).await;
        let mut client = connected.unwrap().unwrap();
        client.connected().await.unwrap();
        let mut voice = Self {
            client,
            resource: answer.header("location").to_owned(),
            encoder: Box::new(opus_encoder(OpusSettings::conversation())),
            decoder: Box::new(opus_decoder()),
            loudness,
            turns: 0,
        };
        // Who hears something is on stage.
        voice.turn().await;
        voice
    }

    /// Says one frame, and gives how loud it was what he heard, in dB.
    pub(crate) async fn turn(&mut self) -> f32 {
        let heard = self.client.recv().await.expect("he is on stage");
        // A period of 400 Hz has 120 samples, a frame eight of them.
        let tone = std::array::from_fn(|i| {
            let at = f32::from(u8::try_from(i % 120).unwrap()) / 120.0;
            (at * std::f32::consts::TAU).sin() * self.loudness
        });
        let packet = self.encoder.encode(&tone).unwrap();
        self.client.send(&packet, self.turns * 960);
        self.turns += 1;
        let pcm = self.decoder.decode(&heard.payload).unwrap();
        let power: f32 = pcm.iter().map(|sample| sample * sample).sum();
        10.0 * (power / 960.0).max(1e-12).log10()
    }

    /// Turns of both until he hears what is asked for; how many it took.
    pub(crate) async fn until(&mut self, other: &mut Self, is_so: impl Fn(f32) -> bool) -> usize {
        for turn in 0..PATIENCE_TURNS {
            let (heard, _) = tokio::join!(self.turn(), other.turn());
            if is_so(heard) {
                return turn;
            }
        }
        panic!("it was never so");
    }
}

async fn knock(house: &House, space: &Created, seat: usize, offer: &str) -> Answer {
    let path = format!("/s/{}/whip", space.slug);
    let key = &space.speakers[seat - 1];
    let headers = format!("authorization: Bearer {key}\r\ncontent-type: application/sdp\r\n");
    send(house.desk, "POST", &path, &headers, offer).await
}

/// What becomes of somebody new who wants a seat.
async fn knocks(house: &House, space: &Created, seat: usize) -> Answer {
    let (_, offer) = Client::offer(ClientKind::Speaker, Transport::Udp);
    knock(house, space, seat, &offer).await
}

/// A call of the host about something under the space.
pub(crate) async fn hand(
    house: &House,
    space: &Created,
    method: &str,
    at: &str,
    body: &str,
) -> Answer {
    let path = format!("/api/spaces/{}{at}", space.slug);
    house.call(method, &path, &space.host, body).await
}

pub(crate) async fn done(
    house: &House,
    space: &Created,
    method: &str,
    at: &str,
    body: &str,
) -> Value {
    let answer = hand(house, space, method, at, body).await;
    match answer.status {
        204 => Value::Null,
        200 => json(&answer),
        status => panic!("{status}: {}", answer.text()),
    }
}

pub(crate) async fn shown(house: &House, space: &Created) -> Value {
    done(house, space, "GET", "", "").await
}

/// Turns until the space is shown so.
pub(crate) async fn until_shown(
    house: &House,
    space: &Created,
    voices: &mut [&mut Voice],
    is_so: impl Fn(&Value) -> bool,
) -> Value {
    loop {
        for voice in voices.iter_mut() {
            voice.turn().await;
        }
        let document = shown(house, space).await;
        if is_so(&document) {
            return document;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_host_sets_of_a_seat_is_shown_bounded_and_kept() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    let two = "/speakers/2";
    let set =
        async |body: &str| done(&house, &space, "PATCH", two, body).await["speakers"][1].take();
    let fields = |seat: &Value| {
        [
            "muted",
            "muted_by_host",
            "muted_by_self",
            "gain_db",
            "connected",
        ]
        .map(|name| seat[name].clone())
    };
    let expected = |muted: bool, gain_db: i32| {
        [
            json!(muted),
            json!(muted),
            json!(false),
            json!(gain_db),
            json!(false),
        ]
    };
    assert_eq!(fields(&set("{}").await), expected(false, 0));
    assert_eq!(fields(&set(r#"{"muted":true}"#).await), expected(true, 0));
    assert_eq!(
        fields(&set(r#"{"gain_db":-20}"#).await),
        expected(true, -20)
    );
    let both = r#"{"muted":true,"gain_db":12}"#;
    assert_eq!(fields(&set(both).await), expected(true, 12));

    let refused = async |body: &str| hand(&house, &space, "PATCH", two, body).await;
    for body in [
        "",
        "[]",
        r#"{"mute":true}"#,
        r#"{"gain_db":"loud"}"#,
        r#"{"muted":1}"#,
    ] {
        problem(&refused(body).await, 400, "bad-json");
    }
    for gain in [-21, 13, 1_000_000] {
        let body = format!(r#"{{"muted":false,"gain_db":{gain}}}"#);
        problem(&refused(&body).await, 422, "refused");
    }
    for (method, at) in [
        ("PATCH", "/speakers/0"),
        ("PATCH", "/speakers/3"),
        ("DELETE", "/speakers/3/session"),
        ("DELETE", "/speakers/3/link"),
    ] {
        let answer = hand(&house, &space, method, at, "{}").await;
        problem(&answer, 404, "unknown-seat");
    }
    let nobody = hand(&house, &space, "DELETE", "/speakers/1/session", "").await;
    problem(&nobody, 404, "nobody-there");

    let house = house.restart().await;
    let kept = shown(&house, &space).await;
    assert_eq!(fields(&kept["speakers"][0]), expected(false, 0));
    assert_eq!(fields(&kept["speakers"][1]), expected(true, 12));
    assert_eq!(house.step(&space, "cancel").await.status, 200);
    let late = hand(&house, &space, "PATCH", two, r#"{"muted":false}"#).await;
    let document = problem(&late, 409, "does-not-follow");
    assert_eq!(document["state"], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_speakers_key_tells_of_his_own_mute_and_moves_nothing_else() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    let call = async |method: &str, at: &str, body: &str| {
        let path = format!("/api/spaces/{}{at}", space.slug);
        house.call(method, &path, &space.speakers[0], body).await
    };
    for (method, at, body) in [
        ("PATCH", "/speakers/2", r#"{"muted":true}"#),
        ("PATCH", "/speakers/1", r#"{"gain_db":12}"#),
        ("PATCH", "", r#"{"stage_locked":true}"#),
        ("DELETE", "/speakers/1/link", ""),
        ("DELETE", "/speakers/2/session", ""),
    ] {
        problem(&call(method, at, body).await, 403, "not-allowed");
    }
    let mut voice = Voice::join(&house, &space, 1, 0.0).await;
    for muted in [true, false] {
        let body = json!({ "muted": muted }).to_string();
        assert_eq!(call("PATCH", "/speakers/1", &body).await.status, 200);
        let document = until_shown(&house, &space, &mut [&mut voice], |document| {
            document["speakers"][0]["muted_by_self"] == muted
        })
        .await;
        let seat = &document["speakers"][0];
        assert_eq!(
            (&seat["muted"], &seat["muted_by_host"]),
            (&json!(muted), &json!(false)),
            "it is his own"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_others_hear_what_the_host_has_set_of_a_seat_also_after_a_reconnect() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    // What is heard then is what was said and the host's hand, nothing else.
    done(&house, &space, "PATCH", "", r#"{"levelling":false}"#).await;
    let mut ears = Voice::join(&house, &space, 2, 0.0).await;
    let mut voice = Voice::join(&house, &space, 1, 0.1).await;
    let is_heard = |level: f32| level > HEARD_DB;
    let is_silent = |level: f32| level < HEARD_DB;
    let set = async |body: &str| done(&house, &space, "PATCH", "/speakers/1", body).await;
    ears.until(&mut voice, is_heard).await;

    set(r#"{"muted":true}"#).await;
    assert!(ears.until(&mut voice, is_silent).await <= SOON_TURNS);
    drop(voice);
    let mut voice = Voice::join(&house, &space, 1, 0.1).await;
    for _ in 0..2 * SOON_TURNS {
        let (heard, _) = tokio::join!(ears.turn(), voice.turn());
        assert!(is_silent(heard), "{heard}: the mute is of the seat");
    }
    set(r#"{"muted":false}"#).await;
    assert!(ears.until(&mut voice, is_heard).await <= SOON_TURNS);

    // A tone of 0.1 is 23 dB below a square wave of full scale, and the encoder may lower it a little.
    set(r#"{"gain_db":12}"#).await;
    assert!(ears.until(&mut voice, |level| level > -15.0).await <= SOON_TURNS);
    set(r#"{"gain_db":-20}"#).await;
    let lowered = |level: f32| (-48.0..-40.0).contains(&level);
    assert!(ears.until(&mut voice, lowered).await <= SOON_TURNS);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_removed_is_cut_off_told_so_and_may_come_back() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    let mut ears = Voice::join(&house, &space, 2, 0.0).await;
    let mut voice = Voice::join(&house, &space, 1, 0.1).await;
    ears.until(&mut voice, |level| level > HEARD_DB).await;
    done(&house, &space, "DELETE", "/speakers/1/session", "").await;
    let told = send(house.desk, "DELETE", &voice.resource, "", "").await;
    problem(&told, 410, "removed");
    let mut turns = 0;
    while ears.turn().await > HEARD_DB {
        turns += 1;
        assert!(turns <= SOON_TURNS, "he is still heard");
    }
    until_shown(&house, &space, &mut [&mut ears], |document| {
        document["speakers"][0]["connected"] == false
    })
    .await;
    let mut again = Voice::join(&house, &space, 1, 0.1).await;
    ears.until(&mut again, |level| level > HEARD_DB).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_link_opens_nothing_until_there_is_a_new_one() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    let voice = Voice::join(&house, &space, 1, 0.1).await;
    let link = "/speakers/1/link";
    for _ in 0..2 {
        assert_eq!(done(&house, &space, "DELETE", link, "").await, Value::Null);
    }
    let told = send(house.desk, "DELETE", &voice.resource, "", "").await;
    problem(&told, 404, "stage");
    let refused = problem(&knocks(&house, &space, 1).await, 401, "bad-key");
    assert!(
        refused["detail"].as_str().unwrap().contains("revoked"),
        "{refused}"
    );
    let has_link = async |house: &House| {
        let document = shown(house, &space).await;
        [0, 1].map(|seat| document["speakers"][seat]["has_link"].clone())
    };
    assert_eq!(has_link(&house).await, [false, true]);
    let house = house.restart().await;
    problem(&knocks(&house, &space, 1).await, 401, "bad-key");
    assert_eq!(has_link(&house).await, [false, true]);
    done(&house, &space, "POST", link, "").await;
    assert_eq!(has_link(&house).await, [true, true]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_stage_lets_back_who_sat_there_and_nobody_else() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    let mut voice = Voice::join(&house, &space, 1, 0.1).await;
    until_shown(&house, &space, &mut [&mut voice], |document| {
        document["speakers"][0]["connected"] == true
    })
    .await;
    let lock = async |house: &House, locked: bool| {
        let body = json!({ "title": "Another", "stage_locked": locked }).to_string();
        let document = done(house, &space, "PATCH", "", &body).await;
        assert_eq!(document["title"], "Another", "beside other edits");
        assert_eq!(document["stage_locked"], locked);
        [0, 1].map(|seat| document["speakers"][seat]["admitted"].clone())
    };
    assert_eq!(lock(&house, true).await, [true, false]);
    let refused = knocks(&house, &space, 2).await;
    let document = problem(&refused, 403, "stage-locked");
    assert!(
        document["detail"].as_str().unwrap().contains("host"),
        "{document}"
    );
    assert_eq!(knocks(&house, &space, 1).await.status, 201);

    let house = house.restart().await;
    problem(&knocks(&house, &space, 2).await, 403, "stage-locked");
    assert_eq!(knocks(&house, &space, 1).await.status, 201);
    done(&house, &space, "DELETE", "/speakers/1/session", "").await;
    problem(&knocks(&house, &space, 1).await, 403, "stage-locked");
    assert_eq!(lock(&house, false).await, [true, true]);
    for seat in [1, 2] {
        assert_eq!(knocks(&house, &space, seat).await.status, 201);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_air_is_told_while_live_and_until_somebody_is_heard() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    let alarm = |document: &Value| {
        let alarms = document["alarms"].as_array().unwrap().iter();
        let mut found = alarms.filter(|alarm| alarm["kind"] == "dead_air");
        found.next().cloned()
    };
    assert_eq!(house.step(&space, "open-doors").await.status, 200);
    let mut quiet = Voice::join(&house, &space, 2, 0.0).await;
    for _ in 0..4 * SOON_TURNS {
        quiet.turn().await;
    }
    assert_eq!(alarm(&shown(&house, &space).await), None, "doors, hold");
    drop(quiet);
    assert_eq!(house.step(&space, "go-live").await.status, 200);
    let document = until_shown(&house, &space, &mut [], |document| {
        alarm(document)
            .is_some_and(|alarm| alarm["detail"].as_str().unwrap().contains("Nobody is on"))
    })
    .await;
    assert!(alarm(&document).unwrap()["since"].as_str() >= document["started_at"].as_str());

    let mute = async |muted: bool| {
        let body = json!({ "muted": muted }).to_string();
        done(&house, &space, "PATCH", "/speakers/1", &body).await
    };
    mute(true).await;
    let mut voice = Voice::join(&house, &space, 1, 0.1).await;
    until_shown(&house, &space, &mut [&mut voice], |document| {
        alarm(document).is_some_and(|alarm| alarm["detail"].as_str().unwrap().contains("muted"))
    })
    .await;
    mute(false).await;
    until_shown(&house, &space, &mut [&mut voice], |document| {
        alarm(document).is_none()
    })
    .await;
}
