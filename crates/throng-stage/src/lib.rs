//! Speakers come in, and a few listeners: WebRTC by WHIP (RFC 9725) and WHEP, over one port for UDP and ICE-TCP.
//!
//! [`Stage`] answers offers, hands on what speakers say packet by packet, and sends each the mix without their own
//! voice. One thread owns every session; nothing is shared, nothing waits.
//!
//! Where to look: `demux` decides whose a datagram is · `endpoint` holds all sessions, without sockets or clock ·
//! `session` one of them · `asking` when to ask for what is missing · `peer` the WebRTC library behind our border · `run`
//! the thread, sockets and queues around it · `reachable` where peers are told to come to · `tcp` ICE over TCP · `sdp` what may reach the parser · [`client`] the other
//! end, for our commands and tests.
//!
//! Non-goals: HTTP (the caller's), decoding, jitter buffering and mixing (throng-media), TURN.

mod asking;
pub mod client;
mod counters;
mod demux;
mod endpoint;
mod error;
mod event;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod numbering;
mod peer;
mod reachable;
mod run;
mod sdp;
mod session;
mod stage;
mod tcp;
mod token;
mod voice;

pub use counters::Snapshot;
pub use error::{OfferRefusal, StageError};
pub use event::{Event, EventSink, PacketKind, SpeakerPacket};
pub use reachable::{TcpDoor, begins_frame};
pub use sdp::{FRAGMENT_MAX_BYTES, OFFER_MAX_BYTES, asking_for_stereo, asks_for_stereo};
pub use session::{CONNECT_LIMIT, EndReason, ProgrammeKey, SILENCE_LIMIT, SeatKey, SessionId};
pub use stage::{Answer, LISTENERS_MAX_DEFAULT, Patched, SPEAKERS_MAX, Stage, StageConfig};
