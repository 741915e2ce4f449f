//! One session: who it is for, its connection, and how long it may be silent.
//!
//! Time is an argument. A session ends by its peer's goodbye, by a newer one of its seat, by its owner, or by silence;
//! it never lingers.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::net::Protocol;

use crate::peer::Peer;
use crate::sdp::{Credentials, Offer};
use crate::token;

/// A peer that has not connected by then is not coming; clients give up about as soon.
pub const CONNECT_LIMIT: Duration = Duration::from_secs(15);
/// A connected peer asks for consent about every five seconds (RFC 7675 section 5.1) or sends audio: two questions and
/// a half have gone missing.
pub const SILENCE_LIMIT: Duration = Duration::from_secs(12);
/// Addresses that one session may validate between two ICE restarts: interfaces, both families, and a walk through some
/// networks. The library remembers each, so there is an end: STUN from further ones is dropped.
pub(crate) const ADDRESSES_MAX: usize = 32;

/// A speaker's seat; the owner of the stage gives the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeatKey(pub u64);

/// A programme that listeners hear; the owner of the stage gives the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProgrammeKey(pub u64);

/// Names a session in its URL. Whoever knows it may change or end the session: 130 random bits, legal in a path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(Arc<str>);

impl SessionId {
    pub(crate) fn random() -> Self {
        Self(token::word::<26>().into())
    }

    /// The id as it stands in the URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for SessionId {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id is a secret: logs get its beginning.
impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({}…)", self.0.get(..4).unwrap_or_default())
    }
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// The stage's owner, or the peer by DELETE, closed it.
    Closed,
    /// The library failed inside this session.
    Faulted,
    /// The peer said goodbye, or its DTLS failed.
    Gone,
    /// ICE or DTLS did not complete in time.
    NeverConnected,
    /// A newer session took the seat.
    Replaced,
    /// Nothing was heard of the peer for too long.
    Silent,
}

/// What a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Listener(ProgrammeKey),
    Speaker(SeatKey),
}

/// The session.
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) part: Part,
    pub(crate) peer: Peer,
    pub(crate) offer: Offer,
    pub(crate) ours: Credentials,
    /// Validated, oldest first.
    pub(crate) addresses: VecDeque<(Protocol, SocketAddr)>,
    connected: bool,
    deadline: Instant,
}

impl Session {
    pub(crate) fn new(now: Instant, part: Part, mut peer: Peer, offer: Offer) -> Self {
        Self {
            id: SessionId::random(),
            part,
            ours: peer.credentials(),
            peer,
            offer,
            addresses: VecDeque::new(),
            connected: false,
            deadline: now + CONNECT_LIMIT,
        }
    }

    /// The entity tag of the present ICE session (RFC 9725 section 4.3.1), quoted for the header.
    pub(crate) fn etag(&self) -> String {
        format!("\"{}\"", self.ours.ufrag)
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.connected
    }

    pub(crate) fn is_listener(&self) -> bool {
        matches!(self.part, Part::Listener(_))
    }

    pub(crate) fn connect(&mut self, now: Instant) {
        self.connected = true;
        self.deadline = now + SILENCE_LIMIT;
    }

    /// Something authentic came from the peer.
    pub(crate) fn hear(&mut self, now: Instant) {
        if self.connected {
            self.deadline = now + SILENCE_LIMIT;
        }
    }

    pub(crate) fn knows(&self, from: (Protocol, SocketAddr)) -> bool {
        self.addresses.contains(&from)
    }

    /// Why it is over, if time has run out.
    pub(crate) fn expired(&self, now: Instant) -> Option<EndReason> {
        let reason = if self.connected {
            EndReason::Silent
        } else {
            EndReason::NeverConnected
        };
        (now >= self.deadline).then_some(reason)
    }

    /// When it needs to be looked at again.
    pub(crate) fn due(&self) -> Instant {
        self.deadline.min(self.peer.due())
    }
}
