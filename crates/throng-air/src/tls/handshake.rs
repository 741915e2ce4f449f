//! A handshake as a machine: what the peer said in, what he is to be told out, until keys are agreed or never will be.

use std::sync::Arc;

use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, UnbufferedStatus};
use rustls::{Error, HandshakeKind, ServerConfig};

use super::record::{Incoming, Session};

/// What a peer may have said that is not understood yet. A client's hello with everything that browsers put into it has
/// some 2 KB. Beyond it the handshake fails.
const UNREAD_MAX_BYTES: usize = 8 * 1024;

/// Why a handshake came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The peer went.
    Gone,
    /// What came is no TLS.
    Malformed,
    /// What came is HTTP without TLS.
    PlainHttp,
    /// The peer did not want what he was offered: he does not trust the certificate, say.
    Rejected,
    /// Nothing came in time.
    Silent,
    /// The peer and this server have no version, cipher or protocol in common.
    Unacceptable,
    /// It did not end in time.
    Unfinished,
}

impl Failure {
    /// All of them.
    pub(crate) const ALL: [Self; 7] = [
        Self::Gone,
        Self::Malformed,
        Self::PlainHttp,
        Self::Rejected,
        Self::Silent,
        Self::Unacceptable,
        Self::Unfinished,
    ];

    /// As metrics name it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Malformed => "malformed",
            Self::PlainHttp => "plain_http",
            Self::Rejected => "rejected",
            Self::Silent => "silent",
            Self::Unacceptable => "unacceptable",
            Self::Unfinished => "unfinished",
        }
    }

    fn of(error: &Error) -> Self {
        match error {
            Error::AlertReceived(_) => Self::Rejected,
            // Of rustls, what is general is that there is no certificate to show.
            Error::PeerIncompatible(_) | Error::NoApplicationProtocol | Error::General(_) => {
                Self::Unacceptable
            }
            _ => Self::Malformed,
        }
    }
}

/// A handshake that has not ended.
pub(crate) struct Handshake {
    connection: UnbufferedServerConnection,
    /// What came and is not understood yet.
    unread: Vec<u8>,
}

/// Where a handshake stands.
pub(crate) enum Stage {
    /// Keys are agreed; what came behind the handshake waits to be taken.
    Done(Box<Established>),
    /// It came to nothing.
    Failed(Failure),
    /// The peer must say more.
    Listens(Box<Handshake>),
}

/// What comes after a step.
enum Step {
    Again,
    Done,
    Failed(Failure),
    Wait,
}

/// What a handshake ends with.
pub(crate) struct Established {
    /// The keys.
    pub(crate) session: Session,
    /// What came behind the handshake.
    pub(crate) incoming: Incoming,
    /// Whether an earlier session was resumed.
    pub(crate) is_resumed: bool,
}

impl Handshake {
    /// One that begins.
    pub(crate) fn new(config: &Arc<ServerConfig>) -> Result<Self, Error> {
        Ok(Self {
            connection: UnbufferedServerConnection::new(Arc::clone(config))?,
            unread: Vec::new(),
        })
    }

    /// Hears what came; what the peer is to be told is added to `out`, whatever becomes of it.
    pub(crate) fn hear(mut self: Box<Self>, came: &[u8], out: &mut Vec<u8>) -> Stage {
        self.unread.extend_from_slice(came);
        let mut opened = Vec::new();
        loop {
            match self.step(out, &mut opened) {
                Step::Again => {}
                Step::Done => return self.establish(opened),
                Step::Failed(failure) => {
                    self.explain(out);
                    return Stage::Failed(failure);
                }
                Step::Wait if self.unread.len() > UNREAD_MAX_BYTES => {
                    return Stage::Failed(Failure::Malformed);
                }
                Step::Wait => return Stage::Listens(self),
            }
        }
    }

    /// Goes one step: with what came, or with what is to be told.
    fn step(&mut self, out: &mut Vec<u8>, opened: &mut Vec<u8>) -> Step {
        let UnbufferedStatus {
            mut discard, state, ..
        } = self.connection.process_tls_records(&mut self.unread);
        let step = match state {
            Ok(ConnectionState::EncodeTlsData(mut message)) => {
                encode(&mut message, out);
                Step::Again
            }
            Ok(ConnectionState::TransmitTlsData(told)) => {
                told.done();
                Step::Again
            }
            // A request may come in one piece with the end of the handshake.
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                while let Some(Ok(record)) = traffic.next_record() {
                    discard += record.discard;
                    opened.extend_from_slice(record.payload);
                }
                Step::Again
            }
            Ok(ConnectionState::BlockedHandshake) => Step::Wait,
            Ok(ConnectionState::WriteTraffic(_)) => Step::Done,
            Ok(_) => Step::Failed(Failure::Gone),
            Err(error) => Step::Failed(Failure::of(&error)),
        };
        self.unread.drain(..discard);
        step
    }

    /// The alert that tells the peer why it failed. `rustls` is not asked for more than it has to say: it would go on
    /// reading, where it stopped in what came.
    fn explain(&mut self, out: &mut Vec<u8>) {
        while self.connection.wants_write() {
            let state = self.connection.process_tls_records(&mut []).state;
            if let Ok(ConnectionState::EncodeTlsData(mut alert)) = state {
                encode(&mut alert, out);
            }
        }
    }

    fn establish(self, opened: Vec<u8>) -> Stage {
        let is_resumed = self.connection.handshake_kind() == Some(HandshakeKind::Resumed);
        let incoming = Incoming::new(opened, self.unread);
        let session = self
            .connection
            .dangerous_into_kernel_connection()
            .ok()
            .and_then(|(secrets, connection)| Session::new(secrets, connection.protocol_version()));
        session.map_or(Stage::Failed(Failure::Unacceptable), |session| {
            Stage::Done(Box::new(Established {
                session,
                incoming,
                is_resumed,
            }))
        })
    }
}

/// Appends a message to `out`.
fn encode<Side>(message: &mut EncodeTlsData<'_, Side>, out: &mut Vec<u8>) {
    let begin = out.len();
    let mut room = 0;
    loop {
        out.resize(begin + room, 0);
        match message.encode(&mut out[begin..]) {
            Ok(written) => return out.truncate(begin + written),
            Err(EncodeError::InsufficientSize(needed)) => room = needed.required_size,
            Err(EncodeError::AlreadyEncoded) => return out.truncate(begin),
        }
    }
}
