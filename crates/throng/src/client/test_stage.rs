//! A stage behind a canned HTTP server, for the tests of the WebRTC clients.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use throng_stage::{Event, ProgrammeKey, SeatKey, Stage, StageConfig};
use tokio::runtime::{Builder, Runtime};

use super::test_server::{Asked, TestServer};

pub(super) const SEAT: SeatKey = SeatKey(1);
pub(super) const PROGRAMME: ProgrammeKey = ProgrammeKey(2);

/// A stage, its events, and the server in front of it.
pub(super) struct TestStage {
    pub(super) stage: Arc<Stage>,
    pub(super) events: Receiver<Event>,
    pub(super) server: TestServer,
}

impl TestStage {
    /// Answers WHIP and WHEP of the space `night`, and what else is asked with `state`.
    pub(super) fn start(state: &'static str) -> Self {
        Self::start_with(state, ("200 OK", ""), |sdp| sdp)
    }

    /// As [`Self::start`]; a session that is given back is answered with a status and a body, and every answer is `altered`.
    pub(super) fn start_with(
        state: &'static str,
        (farewell, why): (&'static str, &'static str),
        altered: fn(String) -> String,
    ) -> Self {
        // Some 80 s of packets, more than any test sends.
        let (sink, events) = sync_channel(4_096);
        let config = StageConfig::at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let stage = Arc::new(Stage::start(&config, sink).expect("free ports on loopback"));
        let (runtime, behind) = (runtime(), Arc::clone(&stage));
        let server = TestServer::start(move |asked| {
            if asked.method == "DELETE" {
                return TestServer::answer(farewell, "application/problem+json", why.as_bytes());
            }
            respond(&runtime, &behind, asked, state, altered)
        });
        Self {
            stage,
            events,
            server,
        }
    }
}

pub(super) fn runtime() -> Runtime {
    Builder::new_current_thread()
        .build()
        .expect("a runtime without IO")
}

fn respond(
    runtime: &Runtime,
    stage: &Stage,
    asked: &Asked,
    state: &str,
    altered: fn(String) -> String,
) -> Vec<u8> {
    let offer = asked.body.clone();
    let answered = match (asked.method.as_str(), asked.path()) {
        ("POST", "/s/night/whip") if asked.bearer.as_deref() == Some("seat-key") => {
            runtime.block_on(stage.publish(offer, SEAT))
        }
        ("POST", "/s/night/whip") => {
            let problem =
                br#"{"title":"This key is not valid","detail":"Ask the host for a new link"}"#;
            return TestServer::answer("401 Unauthorized", "application/problem+json", problem);
        }
        ("POST", "/s/night/whep") => runtime.block_on(stage.subscribe(offer, PROGRAMME)),
        ("GET", _) => return TestServer::answer("200 OK", "application/json", state.as_bytes()),
        _ => return TestServer::answer("200 OK", "text/plain", b""),
    };
    let answer = answered.expect("our own offer is good");
    let status = "201 Created\r\nlocation: /s/night/session/1";
    TestServer::answer(status, "application/sdp", altered(answer.sdp).as_bytes())
}
