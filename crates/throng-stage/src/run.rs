//! The stage's thread: sockets, clock and queues around the [`Endpoint`].
//!
//! One loop: wait for a datagram, a frame, a request, audio or a deadline; hand it in; send what comes out.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::net::{Protocol, Transmit};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::runtime::Runtime;
use tokio::sync::{broadcast, mpsc};

use crate::counters::{Counters, add, count, set};
use crate::demux::DATAGRAM_MAX_BYTES;
use crate::endpoint::Endpoint;
use crate::event::{Event, EventSink};
use crate::stage::{Adoption, Command, Ears, Outbound};
use crate::tcp::{Connections, Inbound};

/// Datagrams read in a row before anything else gets its turn.
const BATCH: usize = 64;
/// Socket buffers: a second of 64 speakers' packets, so that a busy moment of this thread loses nothing.
const SOCKET_BUFFER_BYTES: usize = 1 << 20;
/// Ports tried until one is free for UDP and TCP.
const PORT_TRIES: usize = 16;
/// After a failed accept (out of descriptors), before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// With no session there is nothing to wait for but the far future.
const IDLE: Duration = Duration::from_hours(1);
/// Between two attempts to hand on the lives that the sink had no room for.
const LIVES_PAUSE: Duration = Duration::from_millis(20);
/// For the last frames of ICE-TCP connections when the stage ends.
const GOODBYE_LIMIT: Duration = Duration::from_secs(1);
/// Lives that the sink had no room for. Each session has two; full, the oldest goes, for the newest tells the truth.
const LIVES_MAX: usize = 1024;

/// One port, UDP and TCP.
pub(crate) struct Sockets {
    udp: std::net::UdpSocket,
    tcp: std::net::TcpListener,
}

impl Sockets {
    pub(crate) fn bind(at: SocketAddr) -> io::Result<Self> {
        let mut failed = io::Error::from(io::ErrorKind::AddrInUse);
        for _ in 0..PORT_TRIES {
            let udp = std::net::UdpSocket::bind(at)?;
            match std::net::TcpListener::bind(udp.local_addr()?) {
                Ok(tcp) => {
                    rustix::net::sockopt::set_socket_recv_buffer_size(&udp, SOCKET_BUFFER_BYTES)?;
                    rustix::net::sockopt::set_socket_send_buffer_size(&udp, SOCKET_BUFFER_BYTES)?;
                    udp.set_nonblocking(true)?;
                    tcp.set_nonblocking(true)?;
                    return Ok(Self { udp, tcp });
                }
                Err(error) => failed = error,
            }
            if at.port() != 0 {
                break;
            }
        }
        Err(failed)
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.udp.local_addr()
    }
}

/// Everything that the thread owns.
pub(crate) struct Shell {
    endpoint: Endpoint,
    udp: UdpSocket,
    tcp: TcpListener,
    /// Not before then: the last accept failed.
    accept_from: Instant,
    connections: Connections,
    frames: mpsc::Receiver<Inbound>,
    counters: Arc<Counters>,
    sink: Box<dyn EventSink>,
    /// `Joined` and `Left` that the sink had no room for.
    lives: VecDeque<Event>,
}

impl Shell {
    pub(crate) fn new(
        runtime: &Runtime,
        endpoint: Endpoint,
        sockets: Sockets,
        counters: Arc<Counters>,
        sink: Box<dyn EventSink>,
    ) -> io::Result<Self> {
        let _entered = runtime.enter();
        let (connections, frames) = Connections::new();
        Ok(Self {
            endpoint,
            udp: UdpSocket::from_std(sockets.udp)?,
            tcp: TcpListener::from_std(sockets.tcp)?,
            accept_from: Instant::now(),
            connections,
            frames,
            counters,
            sink,
            lives: VecDeque::new(),
        })
    }

    /// Runs until it is told to end, or the last handle is dropped; then says goodbye to every peer.
    pub(crate) async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        mut adoptions: mpsc::Receiver<Adoption>,
        mut audio: broadcast::Receiver<Outbound>,
    ) {
        loop {
            self.flush();
            let now = Instant::now();
            let wake = tokio::time::sleep_until(self.due(now).into());
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::End) | None => break,
                    Some(command) => self.obey(command),
                },
                outbound = audio.recv() => self.speak(outbound),
                readable = self.udp.readable() => if readable.is_ok() { self.read() },
                accepted = self.tcp.accept(), if now >= self.accept_from => self.admit(accepted),
                Some(adoption) = adoptions.recv() => self.adopt(adoption),
                Some(inbound) = self.frames.recv() => self.frame(inbound),
                () = wake => {}
            }
            self.endpoint.tick(Instant::now());
        }
        self.endpoint.close_all();
        self.flush();
        let Self {
            connections,
            mut frames,
            udp,
            tcp,
            ..
        } = self;
        // Whoever waits for the end may take the port.
        drop((udp, tcp, connections, commands, adoptions));
        // Each connection's task writes its backlog, then lets go of the inbox. Who reads slower than that is cut.
        let written = async { while frames.recv().await.is_some() {} };
        let _ = tokio::time::timeout(GOODBYE_LIMIT, written).await;
    }

    fn due(&self, now: Instant) -> Instant {
        let mut due = self.endpoint.due().unwrap_or(now + IDLE);
        if now < self.accept_from {
            due = due.min(self.accept_from);
        }
        if !self.lives.is_empty() {
            due = due.min(now + LIVES_PAUSE);
        }
        due
    }

    fn obey(&mut self, command: Command) {
        let now = Instant::now();
        // A requester that no longer waits has no use for the reply.
        match command {
            Command::Close { session, reply } => drop(reply.send(self.endpoint.close(&session))),
            Command::CloseProgramme(programme) => self.endpoint.close_programme(programme),
            Command::CloseSeat(seat) => self.endpoint.close_seat(seat),
            Command::End => {}
            Command::Patch {
                session,
                if_match,
                fragment,
                reply,
            } => {
                drop(
                    reply.send(
                        self.endpoint
                            .patch(now, &session, if_match.as_deref(), &fragment),
                    ),
                );
            }
            Command::Publish { offer, seat, reply } => {
                drop(reply.send(self.endpoint.publish(now, &offer, seat)));
            }
            Command::RemoveSeat { seat, reply } => {
                drop(reply.send(self.endpoint.remove_seat(seat)));
            }
            Command::Subscribe {
                offer,
                programme,
                reply,
            } => {
                drop(reply.send(self.endpoint.subscribe(now, &offer, programme)));
            }
        }
    }

    fn speak(&mut self, outbound: Result<Outbound, broadcast::error::RecvError>) {
        let now = Instant::now();
        match outbound {
            Ok(Outbound {
                to: Ears::Return(seat),
                frame,
                packet,
            }) => {
                self.endpoint.send_return(now, seat, frame, &packet);
            }
            Ok(Outbound {
                to: Ears::Programme(programme),
                frame,
                packet,
            }) => {
                self.endpoint.send_programme(now, programme, frame, &packet);
            }
            Err(broadcast::error::RecvError::Lagged(lost)) => {
                add(&self.counters.dropped_outbound, lost);
            }
            // The handles are going; the commands' end says so too.
            Err(broadcast::error::RecvError::Closed) => {}
        }
    }

    fn read(&mut self) {
        // One byte more than allowed, so that what was cut off is known to be too long.
        let mut buffer = [0; DATAGRAM_MAX_BYTES + 1];
        for _ in 0..BATCH {
            match self.udp.try_recv_from(&mut buffer) {
                Ok((length, source)) => {
                    let source = (Protocol::Udp, plain(source));
                    self.endpoint
                        .datagram(Instant::now(), source, &buffer[..length]);
                    self.flush();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // An ICMP error of an earlier send: some peer is gone, which its silence will tell.
                Err(_) => {}
            }
        }
    }

    fn admit(&mut self, accepted: io::Result<(TcpStream, SocketAddr)>) {
        match accepted {
            Ok((stream, source)) => {
                if !self.connections.adopt(stream, plain(source)) {
                    count(&self.counters.tcp_refused);
                }
                set(&self.counters.tcp_connections, self.connections.len());
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept ICE-TCP");
                self.accept_from = Instant::now() + ACCEPT_PAUSE;
            }
        }
    }

    fn adopt(&mut self, (stream, source): Adoption) {
        self.admit(TcpStream::from_std(stream).map(|stream| (stream, source)));
    }

    fn frame(&mut self, inbound: Inbound) {
        match inbound {
            Inbound::Frame { source, bytes } => {
                if !self
                    .endpoint
                    .datagram(Instant::now(), (Protocol::Tcp, source), &bytes)
                {
                    count(&self.counters.tcp_refused);
                    self.connections.cut(source);
                }
            }
            Inbound::Ended { source, serial } => {
                if self.connections.ended(source, serial) {
                    self.endpoint.disconnected((Protocol::Tcp, source));
                }
            }
        }
        set(&self.counters.tcp_connections, self.connections.len());
    }

    /// Sends and hands on what the endpoint has brought out.
    fn flush(&mut self) {
        while let Some(transmit) = self.endpoint.poll_transmit() {
            if self.transmit(&transmit) {
                count(&self.counters.datagrams_out);
            } else {
                count(&self.counters.dropped_send);
            }
        }
        while let Some(life) = self.lives.pop_front() {
            if let Err(life) = self.sink.offer(life) {
                self.lives.push_front(life);
                break;
            }
        }
        while let Some(event) = self.endpoint.poll_event() {
            self.tell(event);
        }
    }

    fn transmit(&self, transmit: &Transmit) -> bool {
        match transmit.proto {
            Protocol::Udp => {
                let mapped = self.udp.local_addr().is_ok_and(|ours| ours.is_ipv6());
                let to = if mapped {
                    mapped_v6(transmit.destination)
                } else {
                    transmit.destination
                };
                self.udp.try_send_to(&transmit.contents, to).is_ok()
            }
            _ => self
                .connections
                .send(transmit.destination, &transmit.contents),
        }
    }

    fn tell(&mut self, event: Event) {
        let refused = if self.lives.is_empty() {
            self.sink.offer(event).err()
        } else {
            Some(event)
        };
        match refused {
            None => {}
            Some(Event::Packet { .. }) => count(&self.counters.dropped_sink_full),
            Some(life) => {
                if self.lives.len() == LIVES_MAX {
                    self.lives.pop_front();
                }
                self.lives.push_back(life);
            }
        }
    }
}

/// An IPv4 peer of an IPv6 socket, by its own name.
fn plain(source: SocketAddr) -> SocketAddr {
    SocketAddr::new(source.ip().to_canonical(), source.port())
}

/// And back.
fn mapped_v6(to: SocketAddr) -> SocketAddr {
    match to.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), to.port()),
        IpAddr::V6(_) => to,
    }
}
