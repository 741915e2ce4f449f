//! Doors for the fuzz targets, and for nobody else (`cfg(fuzzing)`): hostile bytes to what is private here.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::response::Response;
use rustls::ServerConfig;

use crate::engine::head::Head;
use crate::past::Recording;
use crate::tls::handshake::{Handshake, Stage};
use crate::tls::record::{Content, Heard, Incoming, Session};

/// The answer to a request for a recording with these headers.
pub fn recording(
    recording: Arc<dyn Recording>,
    request: &HeaderMap,
    space_has_ended: bool,
) -> Response {
    crate::recording::file(recording, request, space_has_ended)
}

/// What the engine makes of a request head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// It answers the request, whose head has so many bytes where another may follow it.
    Accepted(Option<usize>),
    /// The ordinary server answers it.
    HandedOn,
    /// More bytes are needed.
    Partial,
    /// Nobody should answer it, for this reason.
    Refused(&'static str),
}

/// Reads the head at the beginning of these bytes.
pub fn head(bytes: &[u8]) -> Reading {
    match crate::engine::head::read(bytes) {
        Head::HandOn => Reading::HandedOn,
        Head::Live(_) => Reading::Accepted(None),
        Head::Partial => Reading::Partial,
        Head::Refuse(refusal) => Reading::Refused(refusal.name()),
        Head::Wish(wish) => Reading::Accepted(Some(wish.length)),
    }
}

/// The server's end of a connection over TLS, as the engine has it.
pub struct Tls(Standing);

enum Standing {
    /// Keys are not agreed yet.
    Handshake(Box<Handshake>),
    /// They are.
    Established(Session, Incoming),
    /// Something was wrong, or the peer has ended it.
    Over,
}

impl Tls {
    /// One that has heard nothing.
    pub fn new(config: &Arc<ServerConfig>) -> Self {
        let handshake = Handshake::new(config).expect("the settings fit");
        Self(Standing::Handshake(Box::new(handshake)))
    }

    /// Hears bytes: what the application is given, and what the peer is to be told.
    pub fn hear(&mut self, came: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let (mut given, mut told) = (Vec::new(), Vec::new());
        self.0 = match std::mem::replace(&mut self.0, Standing::Over) {
            Standing::Handshake(handshake) => match handshake.hear(came, &mut told) {
                Stage::Listens(handshake) => Standing::Handshake(handshake),
                Stage::Failed(_) => Standing::Over,
                Stage::Done(done) => open(done.session, done.incoming, &mut given),
            },
            Standing::Established(session, mut incoming) => {
                incoming.add(came);
                open(session, incoming, &mut given)
            }
            Standing::Over => Standing::Over,
        };
        (given, told)
    }

    /// Seals what the application says, once keys are agreed.
    pub fn say(&mut self, plain: &[u8]) -> Option<Vec<u8>> {
        let Standing::Established(session, _) = &mut self.0 else {
            return None;
        };
        let mut sealed = Vec::new();
        session
            .seal(Content::Application, plain, &mut sealed)
            .ok()?;
        Some(sealed)
    }
}

/// Takes everything that can be taken now.
fn open(mut session: Session, mut incoming: Incoming, given: &mut Vec<u8>) -> Standing {
    let mut piece = [0; 1_000];
    loop {
        match incoming.take(&mut session, &mut piece) {
            Ok(Heard::Bytes(count)) => given.extend(&piece[..count]),
            Ok(Heard::Nothing) => return Standing::Established(session, incoming),
            Ok(Heard::End) | Err(_) => return Standing::Over,
        }
    }
}
