//! The other end: a speaker or listener for `throng speak`, `throng listen --via whep` and the tests.
//!
//! Makes an offer, takes the answer, then exchanges Opus packets on a thread of its own, by UDP or by ICE-TCP. Carrying
//! offer and answer over HTTP is the caller's job.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use str0m::change::SdpPendingOffer;
use str0m::net::Protocol;
use str0m::rtp::RedDecoder;
use thiserror::Error;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, watch};

use crate::event::{PacketKind, SpeakerPacket};
use crate::peer::Peer;
use crate::reachable::outward;
use crate::sdp;
use crate::session::SILENCE_LIMIT;

pub use crate::peer::LinkReport;

mod link;
mod run;

/// Packets waiting to be sent: over a second. Full: the newest is dropped, and `send` says so.
const OUTBOX_MAX: usize = 64;
/// Packets heard and not yet fetched: ten seconds. Full: the newest is dropped.
const HEARD_MAX: usize = 512;
/// A connection that is not up by then will not be.
const CONNECT_LIMIT: Duration = Duration::from_secs(15);
/// A server that was heard sends a packet every 20 ms, of silence too: after a hundred missing ones a listener asks anew,
/// and hears on.
const LISTENER_SILENCE_LIMIT: Duration = Duration::from_secs(2);

/// What the client is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientKind {
    /// Receives only: WHEP.
    Listener,
    /// Sends and receives: WHIP with the mix-minus.
    Speaker,
}

/// How the packets travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// ICE-TCP (RFC 6544).
    Tcp,
    /// The usual way.
    Udp,
}

/// How the connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientState {
    /// Over.
    Closed,
    /// Packets flow.
    Connected,
    /// ICE and DTLS are at work.
    Connecting,
}

/// Why there is no connection.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The answer cannot be used.
    #[error("the answer cannot be used: {0}")]
    Answer(String),
    /// The answer offers no way in for this transport.
    #[error("the answer has no candidate for {0:?}")]
    NoCandidate(Transport),
    /// No socket.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// It did not come up in time, or has ended.
    #[error("the connection is closed")]
    Closed,
}

/// One Opus packet that was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// RTP sequence number. A packet that was lost and came again in its successor (RFC 2198) has its own.
    pub sequence: u16,
    /// RTP timestamp, 48 kHz.
    pub timestamp: u32,
    /// The Opus packet.
    pub payload: Bytes,
    /// When it was read from the socket.
    pub arrived: Instant,
}

/// An offer that waits for its answer.
pub struct PendingClient {
    peer: Peer,
    pending: SdpPendingOffer,
    kind: ClientKind,
    transport: Transport,
}

/// A running connection. Dropping it closes it.
#[derive(Debug)]
pub struct Client {
    outbox: mpsc::Sender<(Arc<[u8]>, u32)>,
    heard: mpsc::Receiver<Heard>,
    state: watch::Receiver<ClientState>,
    read: watch::Receiver<Instant>,
    report: watch::Receiver<Option<LinkReport>>,
    thread: JoinHandle<()>,
}

impl Client {
    /// Makes an offer: POST it, and give the answer to [`PendingClient::connect`].
    pub fn offer(kind: ClientKind, transport: Transport) -> (PendingClient, String) {
        let (peer, pending, sdp) = Peer::offer(Instant::now(), kind == ClientKind::Speaker);
        (
            PendingClient {
                peer,
                pending,
                kind,
                transport,
            },
            sdp,
        )
    }

    /// Sends one Opus packet; `timestamp` counts samples at 48 kHz. False if it was dropped: the queue is
    /// full, or the connection is over. Packets sent before the connection is up are dropped too.
    pub fn send(&self, packet: &[u8], timestamp: u32) -> bool {
        self.outbox.try_send((packet.into(), timestamp)).is_ok()
    }

    /// The next packet; None when the connection is over.
    pub async fn recv(&mut self) -> Option<Heard> {
        self.heard.recv().await
    }

    /// As [`Self::recv`], for a thread without a runtime.
    pub fn blocking_recv(&mut self) -> Option<Heard> {
        self.heard.blocking_recv()
    }

    /// A packet that is already there.
    pub fn try_recv(&mut self) -> Option<Heard> {
        self.heard.try_recv().ok()
    }

    /// How it stands now.
    pub fn state(&self) -> ClientState {
        *self.state.borrow()
    }

    /// For how long nothing was heard of the server. It sends 50 packets a second: after a second of silence either it
    /// or the network is away. A speaker's connection ends by itself when the server must have ended it.
    pub fn silence(&self) -> Duration {
        self.read.borrow().elapsed()
    }

    /// What the server has said last of the packets that we send, if it is news: some times a second.
    pub fn news(&mut self) -> Option<LinkReport> {
        if self.report.has_changed().unwrap_or(false) {
            return *self.report.borrow_and_update();
        }
        None
    }

    /// Waits until packets can flow. At most 15 s pass.
    pub async fn connected(&mut self) -> Result<(), ClientError> {
        let state = self
            .state
            .wait_for(|state| *state != ClientState::Connecting)
            .await;
        match state.as_deref() {
            Ok(ClientState::Connected) => Ok(()),
            _ => Err(ClientError::Closed),
        }
    }

    /// Waits until the connection is over.
    pub async fn closed(&mut self) {
        // The thread's end drops the sender, which is as good as its last word.
        let _ = self
            .state
            .wait_for(|state| *state == ClientState::Closed)
            .await;
    }

    /// Says goodbye and waits until that is sent: a moment.
    pub fn close(self) {
        let Self {
            outbox,
            heard,
            thread,
            ..
        } = self;
        drop((outbox, heard));
        // A panic there has been reported by its own thread.
        let _ = thread.join();
    }
}

impl PendingClient {
    /// Takes the answer and starts to connect.
    pub fn connect(self, answer: &str) -> Result<Client, ClientError> {
        let Self {
            mut peer,
            pending,
            kind,
            transport,
        } = self;
        let protocol = match transport {
            Transport::Tcp => Protocol::Tcp,
            Transport::Udp => Protocol::Udp,
        };
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let (link, answer) = runtime.block_on(open(transport, answer))?;
        let local = link.local();
        peer.accept_answer(pending, &answer, protocol, local)
            .map_err(|error| ClientError::Answer(error.to_string()))?;
        let (outbox, inbox) = mpsc::channel(OUTBOX_MAX);
        let (ears, heard) = mpsc::channel(HEARD_MAX);
        let (teller, state) = watch::channel(ClientState::Connecting);
        let (reader, read) = watch::channel(Instant::now());
        let (reporter, report) = watch::channel(None);
        let line = run::Line {
            peer,
            link,
            ears,
            state: teller,
            read: reader,
            report: reporter,
            silence_limit: match kind {
                ClientKind::Listener => LISTENER_SILENCE_LIMIT,
                ClientKind::Speaker => SILENCE_LIMIT,
            },
            unwrap: Unwrap::default(),
        };
        let thread = thread::Builder::new()
            .name("stage-client".to_owned())
            .spawn(move || runtime.block_on(line.run(inbox)))?;
        Ok(Client {
            outbox,
            heard,
            state,
            read,
            report,
            thread,
        })
    }
}

/// A socket to one of the ways that the answer names, and the answer without the others.
async fn open(transport: Transport, answer: &str) -> Result<(link::Link, String), ClientError> {
    let none = ClientError::NoCandidate(transport);
    match transport {
        Transport::Udp => {
            let (answer, remote) = sdp::narrow(answer, Protocol::Udp).ok_or(none)?;
            Ok((link::Link::by_udp(local_for(remote)?).await?, answer))
        }
        Transport::Tcp => {
            let ways = sdp::ways(answer, Protocol::Tcp);
            if ways.is_empty() {
                return Err(none);
            }
            let (link, remote) = link::Link::by_tcp(ways).await?;
            Ok((link, sdp::only(answer, Protocol::Tcp, remote)))
        }
    }
}

fn local_for(remote: SocketAddr) -> Result<SocketAddr, ClientError> {
    let ip = outward(remote.ip())
        .ok_or(std::io::ErrorKind::HostUnreachable)
        .map_err(std::io::Error::from)?;
    Ok(SocketAddr::new(ip, 0))
}

/// Makes plain Opus packets of what arrives: with redundancy, a packet that was lost is taken from its successor. Pure.
#[derive(Debug, Default)]
struct Unwrap {
    newest: Option<u16>,
}

impl Unwrap {
    fn packets(&mut self, packet: SpeakerPacket, arrived: Instant) -> Vec<Heard> {
        let SpeakerPacket {
            sequence,
            timestamp,
            kind,
            bytes,
        } = packet;
        let whole = |payload| Heard {
            sequence,
            timestamp,
            payload,
            arrived,
        };
        // One packet is missing right before this one; what came late or twice is left to the taker's own buffer.
        let gap = self
            .newest
            .is_some_and(|newest| sequence.wrapping_sub(newest) == 2);
        if self
            .newest
            .is_none_or(|newest| sequence.wrapping_sub(newest) < 1 << 15)
        {
            self.newest = Some(sequence);
        }
        if kind == PacketKind::Opus {
            return vec![whole(bytes)];
        }
        // Not RED after all: as good as lost.
        let blocks = RedDecoder::decode(&bytes).unwrap_or_default();
        let mut packets = Vec::with_capacity(2);
        for block in blocks.iter().rev().take(2).rev() {
            let payload = bytes.slice_ref(block.payload);
            if block.is_primary {
                packets.push(whole(payload));
            } else if gap {
                let timestamp = timestamp.wrapping_sub(block.timestamp_offset);
                packets.push(Heard {
                    sequence: sequence.wrapping_sub(1),
                    timestamp,
                    payload,
                    arrived,
                });
            }
        }
        packets
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::voice::{Start, Voice};

    #[test]
    fn a_lost_packet_is_taken_from_its_successor() {
        let mut voice = Voice::new(
            111.into(),
            Some(63.into()),
            Start {
                sequence: 7,
                timestamp: 0,
            },
        );
        let mut unwrap = Unwrap::default();
        let mut heard = Vec::new();
        for n in 0..5_u8 {
            let sent = voice
                .next(u32::from(n) * 960, &vec![n + 1; 5].into())
                .unwrap();
            if n != 2 {
                let packet = SpeakerPacket {
                    sequence: u16::try_from(sent.sequence).unwrap(),
                    timestamp: sent.timestamp,
                    kind: PacketKind::Red,
                    bytes: Bytes::copy_from_slice(&sent.payload),
                };
                heard.extend(unwrap.packets(packet, Instant::now()));
            }
        }
        let found: Vec<_> = heard
            .iter()
            .map(|h| (h.sequence, h.timestamp, h.payload[0]))
            .collect();
        assert_eq!(
            found,
            [
                (7, 0, 1),
                (8, 960, 2),
                (9, 1920, 3),
                (10, 2880, 4),
                (11, 3840, 5)
            ]
        );
    }
}
