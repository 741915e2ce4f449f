//! What the stage tells its owner: who came, what they said, who left.
//!
//! Non-goals: order between sessions, and playing out. A packet is handed on the moment it is decrypted; a jitter
//! buffer makes sound of it.

use std::sync::mpsc as blocking;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::session::{EndReason, SeatKey, SessionId};

/// Something happened to a speaker.
#[derive(Debug, Clone)]
pub enum Event {
    /// The speaker's connection is up: ICE and DTLS done.
    Joined {
        /// Whose seat.
        seat: SeatKey,
        /// Which session of the seat.
        session: SessionId,
    },
    /// An audio packet arrived.
    Packet {
        /// Whose seat.
        seat: SeatKey,
        /// Which session of the seat: its sequence numbers and timestamps are a line of their own.
        session: SessionId,
        /// The packet.
        packet: SpeakerPacket,
        /// When it was read from the socket.
        arrived: Instant,
    },
    /// The session is over. Without a `Joined` before it, it never connected.
    Left {
        /// Whose seat.
        seat: SeatKey,
        /// Which session of the seat.
        session: SessionId,
        /// Why.
        reason: EndReason,
    },
}

/// One RTP packet of audio, decrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpeakerPacket {
    /// RTP sequence number, less the packets of mere padding before it.
    pub sequence: u16,
    /// RTP timestamp, 48 kHz (RFC 7587 section 4.1).
    pub timestamp: u32,
    /// How to read the bytes.
    pub kind: PacketKind,
    /// The payload.
    pub bytes: Bytes,
}

/// The form of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PacketKind {
    /// One Opus packet.
    Opus,
    /// Opus packets with redundancy (RFC 2198).
    Red,
}

/// Takes events on the stage's own thread; must return at once.
///
/// Full: a packet that is returned is dropped and counted; `Joined` and `Left` are offered again until taken, before
/// anything newer, so lives stay paired.
pub trait EventSink: Send + 'static {
    /// Takes the event, or gives it back for want of room.
    fn offer(&mut self, event: Event) -> Result<(), Event>;
}

impl EventSink for mpsc::Sender<Event> {
    fn offer(&mut self, event: Event) -> Result<(), Event> {
        match self.try_send(event) {
            // Nobody will ever read again: the event is nobody's loss.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Full(event)) => Err(event),
        }
    }
}

impl EventSink for blocking::SyncSender<Event> {
    fn offer(&mut self, event: Event) -> Result<(), Event> {
        match self.try_send(event) {
            Ok(()) | Err(blocking::TrySendError::Disconnected(_)) => Ok(()),
            Err(blocking::TrySendError::Full(event)) => Err(event),
        }
    }
}
