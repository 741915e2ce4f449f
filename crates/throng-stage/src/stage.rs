//! The handle: what the rest of the program holds of the stage.
//!
//! Cloneable; every call is a message to the one thread that owns all sessions. Dropping the last handle ends that
//! thread, after a goodbye to every peer.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use tokio::runtime::Builder;
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::counters::{Counters, Snapshot, count};
use crate::endpoint::{Endpoint, Places};
use crate::error::StageError;
use crate::event::EventSink;
use crate::reachable::{Reachable, TcpDoor};
use crate::run::{Shell, Sockets};
use crate::session::{ProgrammeKey, SeatKey, SessionId};

/// Requests waiting for the thread. Each is answered within a millisecond or so; more mean that it is stuck, and the
/// caller is told [`StageError::Busy`] at once.
const COMMANDS_MAX: usize = 64;
/// Connections waiting to be adopted. Of their own, because anybody may connect: however many come, a request finds its
/// place. Full: the connection is closed.
const ADOPTIONS_MAX: usize = 64;
/// Audio waiting for the thread: 16 returns and programmes for one second. Full: the oldest is dropped and counted.
const OUTBOUND_MAX: usize = 1024;
/// Speakers with a session at once, over all spaces.
pub const SPEAKERS_MAX: usize = 256;
/// Listeners by WHEP at once unless configured: a quarter of a core. Each gets 50 packets a second, 10 us of ours and 15
/// of the kernel's (`examples/whep_cost.rs`, on a busy machine).
pub const LISTENERS_MAX_DEFAULT: usize = 200;

/// How to start a stage.
#[derive(Debug, Clone)]
pub struct StageConfig {
    /// Where to listen, by UDP and TCP alike; port 0 picks one that is free for both.
    pub udp: SocketAddr,
    /// The address that peers are told to come to, if it is another (behind NAT).
    pub advertise: Option<IpAddr>,
    /// Where ICE-TCP arrives besides.
    pub door: Option<TcpDoor>,
    /// Listeners by WHEP at once; more are refused.
    pub listeners_max: usize,
}

impl StageConfig {
    /// The defaults at this address.
    pub fn at(udp: SocketAddr) -> Self {
        Self {
            udp,
            advertise: None,
            door: None,
            listeners_max: LISTENERS_MAX_DEFAULT,
        }
    }
}

/// The answer to an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Names the session; goes into `Location`.
    pub session: SessionId,
    /// The answer, `application/sdp`.
    pub sdp: String,
    /// `ETag` of the ICE session, with its quotes.
    pub etag: String,
}

/// The outcome of a PATCH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Patched {
    /// ICE has restarted: `200` with this `application/trickle-ice-sdpfrag` and a new `ETag`.
    Restarted {
        /// Our new credentials and candidates.
        fragment: String,
        /// The new tag, with its quotes.
        etag: String,
    },
    /// Candidates were noted: `204`.
    Trickled,
}

/// The running stage.
#[derive(Debug, Clone)]
pub struct Stage {
    commands: mpsc::Sender<Command>,
    adoptions: mpsc::Sender<Adoption>,
    outbound: broadcast::Sender<Outbound>,
    counters: Arc<Counters>,
    local: SocketAddr,
}

/// A connection, and from where it comes.
pub(crate) type Adoption = (TcpStream, SocketAddr);

/// A request to the thread.
pub(crate) enum Command {
    Close {
        session: SessionId,
        reply: Reply<()>,
    },
    CloseProgramme(ProgrammeKey),
    CloseSeat(SeatKey),
    End,
    Patch {
        session: SessionId,
        if_match: Option<String>,
        fragment: String,
        reply: Reply<Patched>,
    },
    Publish {
        offer: String,
        seat: SeatKey,
        reply: Reply<Answer>,
    },
    RemoveSeat {
        seat: SeatKey,
        reply: Reply<()>,
    },
    Subscribe {
        offer: String,
        programme: ProgrammeKey,
        reply: Reply<Answer>,
    },
}

pub(crate) type Reply<T> = oneshot::Sender<Result<T, StageError>>;

/// One encoded frame on its way out.
#[derive(Debug, Clone)]
pub(crate) struct Outbound {
    pub(crate) to: Ears,
    pub(crate) frame: u64,
    pub(crate) packet: Bytes,
}

/// Who is to hear it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ears {
    Programme(ProgrammeKey),
    Return(SeatKey),
}

impl Stage {
    /// Binds the port and starts the thread. Events go to `sink`, on that thread.
    pub fn start(config: &StageConfig, sink: impl EventSink) -> io::Result<Self> {
        let sockets = Sockets::bind(config.udp)?;
        let local = sockets.local_addr()?;
        let reachable = Reachable::at(local, config.advertise, config.door)?;
        let counters = Arc::new(Counters::default());
        let places = Places {
            speakers: SPEAKERS_MAX,
            listeners: config.listeners_max,
        };
        let endpoint = Endpoint::new(reachable, places, Arc::clone(&counters));
        let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
        let (adoptions, arrivals) = mpsc::channel(ADOPTIONS_MAX);
        let (outbound, audio) = broadcast::channel(OUTBOUND_MAX);
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let shell = Shell::new(
            &runtime,
            endpoint,
            sockets,
            Arc::clone(&counters),
            Box::new(sink),
        )?;
        thread::Builder::new()
            .name("stage".to_owned())
            .spawn(move || runtime.block_on(shell.run(inbox, arrivals, audio)))?;
        Ok(Self {
            commands,
            adoptions,
            outbound,
            counters,
            local,
        })
    }

    /// Where it listens, UDP and TCP.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// WHIP: answers a speaker's offer. An earlier session of the seat ends with [`crate::EndReason::Replaced`].
    pub async fn publish(&self, offer: String, seat: SeatKey) -> Result<Answer, StageError> {
        self.ask(|reply| Command::Publish { offer, seat, reply })
            .await
    }

    /// WHEP: answers a listener's offer.
    pub async fn subscribe(
        &self,
        offer: String,
        programme: ProgrammeKey,
    ) -> Result<Answer, StageError> {
        self.ask(|reply| Command::Subscribe {
            offer,
            programme,
            reply,
        })
        .await
    }

    /// Takes a connection that has begun as [`crate::begins_frame`] says, of which nothing was read. Where the stage has too
    /// much to do, it is closed.
    pub fn adopt(&self, stream: TcpStream, source: SocketAddr) {
        if self.adoptions.try_send((stream, source)).is_err() {
            count(&self.counters.tcp_refused);
        }
    }

    /// PATCH of a session: trickled candidates, or an ICE restart.
    pub async fn patch(
        &self,
        session: SessionId,
        if_match: Option<String>,
        fragment: String,
    ) -> Result<Patched, StageError> {
        self.ask(|reply| Command::Patch {
            session,
            if_match,
            fragment,
            reply,
        })
        .await
    }

    /// DELETE of a session.
    pub async fn close(&self, session: SessionId) -> Result<(), StageError> {
        self.ask(|reply| Command::Close { session, reply }).await
    }

    /// Ends the session of a seat, if it has one.
    pub async fn close_seat(&self, seat: SeatKey) -> Result<(), StageError> {
        self.commands
            .send(Command::CloseSeat(seat))
            .await
            .map_err(|_| StageError::Closed)
    }

    /// Ends the session of a seat against the will of who sits there: a client that asks is told
    /// [`StageError::Removed`]. [`StageError::UnknownSession`] where nobody sits.
    pub async fn remove_seat(&self, seat: SeatKey) -> Result<(), StageError> {
        self.ask(|reply| Command::RemoveSeat { seat, reply }).await
    }

    /// Ends the sessions of a programme's listeners.
    pub async fn close_programme(&self, programme: ProgrammeKey) -> Result<(), StageError> {
        self.commands
            .send(Command::CloseProgramme(programme))
            .await
            .map_err(|_| StageError::Closed)
    }

    /// Says goodbye to every peer, frees the port and ends the thread, whoever holds a handle still.
    pub async fn end(&self) {
        if self.commands.send(Command::End).await.is_ok() {
            self.commands.closed().await;
        }
    }

    /// Sends one Opus packet, which begins with that frame of 20 ms, to the speaker on this seat: the mix without that
    /// speaker. Never waits.
    pub fn send_return(&self, seat: SeatKey, frame: u64, packet: Bytes) {
        self.send(Ears::Return(seat), frame, packet);
    }

    /// Sends one Opus packet of 20 ms to all listeners of a programme. Never waits.
    pub fn send_programme(&self, programme: ProgrammeKey, frame: u64, packet: Bytes) {
        self.send(Ears::Programme(programme), frame, packet);
    }

    /// What has been counted so far.
    pub fn counters(&self) -> Snapshot {
        self.counters.snapshot()
    }

    fn send(&self, to: Ears, frame: u64, packet: Bytes) {
        // Without its receiver the stage has ended, and nobody is left to hear.
        let _ = self.outbound.send(Outbound { to, frame, packet });
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, StageError> {
        let (reply, answer) = oneshot::channel();
        self.commands
            .try_send(command(reply))
            .map_err(|error| match error {
                mpsc::error::TrySendError::Closed(_) => StageError::Closed,
                mpsc::error::TrySendError::Full(_) => StageError::Busy,
            })?;
        answer.await.unwrap_or(Err(StageError::Closed))
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    #[test]
    fn however_many_connect_a_request_finds_its_place() {
        // A thread that takes nothing.
        let (commands, _inbox) = mpsc::channel(COMMANDS_MAX);
        let (adoptions, _arrivals) = mpsc::channel(ADOPTIONS_MAX);
        let stage = Stage {
            commands,
            adoptions,
            outbound: broadcast::channel(1).0,
            counters: Arc::default(),
            local: (Ipv4Addr::LOCALHOST, 0).into(),
        };
        let door = TcpListener::bind(stage.local).unwrap();
        let stream = TcpStream::connect(door.local_addr().unwrap()).unwrap();
        for _ in 0..=ADOPTIONS_MAX {
            stage.adopt(stream.try_clone().unwrap(), stage.local);
        }
        assert_eq!(stage.counters().tcp_refused, 1);
        assert_eq!(stage.commands.capacity(), COMMANDS_MAX);
    }
}
