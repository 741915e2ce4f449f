//! One connection's TLS: sealed bytes in, plain bytes out, and the other way round. Pure but for the keys' chance.

use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};
use rustls::{ClientConfig, Error, HandshakeKind};

/// The longest record that is sealed at once; longer requests are several (RFC 8446, section 5.1).
const RECORD_BYTES: usize = 16 << 10;
/// The most that a record grows by: head, content type and tag (RFC 8446, section 5.2).
const GROWTH_BYTES: usize = 64;

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The server has said that it will say nothing more.
    Closed,
    /// More may come.
    Open,
}

/// One connection.
pub(super) struct Session {
    connection: UnbufferedClientConnection,
    /// The beginning of a record that is not whole.
    rest: Vec<u8>,
    /// What came with the end of the handshake, and what is to go out with the first request. Rarely anything, and not
    /// for long.
    kept: Vec<u8>,
    unsent: Vec<u8>,
    is_established: bool,
    is_over: bool,
}

impl Session {
    /// A new one, and its first words.
    pub(super) fn begin(
        config: &Arc<ClientConfig>,
        name: &ServerName<'static>,
        sealed: &mut Vec<u8>,
    ) -> Result<Self, Error> {
        let mut session = Self {
            connection: UnbufferedClientConnection::new(config.clone(), name.clone())?,
            rest: Vec::new(),
            kept: Vec::new(),
            unsent: Vec::new(),
            is_established: false,
            is_over: false,
        };
        session.receive(&[], &mut Vec::new(), sealed)?;
        Ok(session)
    }

    pub(super) fn is_established(&self) -> bool {
        self.is_established
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// How hands were shaken.
    pub(super) fn kind(&self) -> Option<HandshakeKind> {
        self.connection.handshake_kind()
    }

    /// Keeps what was received too early, and what is to be sent a little later.
    pub(super) fn keep(&mut self, plain: &[u8], sealed: &[u8]) {
        self.kept = plain.to_vec();
        self.unsent = sealed.to_vec();
    }

    /// What was received too early.
    pub(super) fn kept(&mut self, plain: &mut Vec<u8>) {
        plain.append(&mut self.kept);
        self.kept = Vec::new();
    }

    /// Takes what came; what it says goes to `plain`, what is to be answered to `sealed`.
    pub(super) fn receive(
        &mut self,
        bytes: &[u8],
        plain: &mut Vec<u8>,
        sealed: &mut Vec<u8>,
    ) -> Result<Progress, Error> {
        let mut incoming = std::mem::take(&mut self.rest);
        incoming.extend_from_slice(bytes);
        let used = self.drive(&mut incoming, plain, sealed, &mut None)?;
        // No more room than the rest needs: there may be as many of these as listeners.
        self.rest = incoming[used..].to_vec();
        Ok(if self.is_over {
            Progress::Closed
        } else {
            Progress::Open
        })
    }

    /// Seals a request.
    pub(super) fn send(&mut self, request: &[u8], sealed: &mut Vec<u8>) -> Result<(), Error> {
        sealed.append(&mut self.unsent);
        self.unsent = Vec::new();
        for some in request.chunks(RECORD_BYTES) {
            let mut to_send = Some(some);
            let mut rest = std::mem::take(&mut self.rest);
            self.drive(&mut rest, &mut Vec::new(), sealed, &mut to_send)?;
            self.rest = rest;
            if to_send.is_some() {
                return Err(Error::HandshakeNotComplete);
            }
        }
        Ok(())
    }

    /// Goes on until more has to come; how much of what came is used up.
    fn drive(
        &mut self,
        incoming: &mut [u8],
        plain: &mut Vec<u8>,
        sealed: &mut Vec<u8>,
        request: &mut Option<&[u8]>,
    ) -> Result<usize, Error> {
        let mut used = 0;
        loop {
            let came = &mut incoming[used..];
            let UnbufferedStatus { mut discard, state } = self.connection.process_tls_records(came);
            let mut is_done = false;
            match state? {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        discard += record.discard;
                        plain.extend_from_slice(record.payload);
                    }
                }
                ConnectionState::EncodeTlsData(mut data) => {
                    written(sealed, |room| match data.encode(room) {
                        Err(EncodeError::InsufficientSize(size)) => Err(Some(size.required_size)),
                        encoded => encoded.map_err(|_| None),
                    })?;
                }
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::WriteTraffic(mut traffic) => {
                    self.is_established = true;
                    if let Some(plain) = request.take() {
                        written(sealed, |room| match traffic.encrypt(plain, room) {
                            Err(EncryptError::InsufficientSize(size)) => {
                                Err(Some(size.required_size))
                            }
                            encrypted => encrypted.map_err(|_| None),
                        })?;
                    }
                    is_done = true;
                }
                ConnectionState::PeerClosed | ConnectionState::Closed => self.is_over = true,
                _ => is_done = true,
            }
            used += discard;
            if is_done || self.is_over {
                return Ok(used);
            }
        }
    }
}

/// Lets something be written behind what is there, with as much room as it asks for.
fn written(
    sealed: &mut Vec<u8>,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>,
) -> Result<(), Error> {
    let (begin, mut room) = (sealed.len(), GROWTH_BYTES);
    loop {
        sealed.resize(begin + room, 0);
        match write(&mut sealed[begin..]) {
            Ok(length) => {
                sealed.truncate(begin + length);
                return Ok(());
            }
            Err(Some(needed)) if needed > room => room = needed,
            Err(_) => return Err(Error::EncryptError),
        }
    }
}
