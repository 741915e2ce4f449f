//! The client's socket: datagrams by UDP, or frames by TCP (RFC 4571).

use std::io;
use std::net::SocketAddr;

use str0m::net::{Protocol, Transmit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::{Duration, sleep, timeout};

use crate::demux::DATAGRAM_MAX_BYTES;
use crate::tcp::{Deframer, frame};

const TCP_CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Between the first try of a way and that of the next, where nothing is heard.
const TCP_NEXT_WAY: Duration = Duration::from_millis(250);
/// A server that takes nothing for that long is gone.
const TCP_WRITE_LIMIT: Duration = Duration::from_secs(5);

/// The socket.
pub(crate) enum Link {
    Tcp {
        stream: TcpStream,
        deframer: Deframer,
        local: SocketAddr,
        remote: SocketAddr,
    },
    Udp {
        socket: UdpSocket,
        local: SocketAddr,
    },
}

impl Link {
    pub(crate) async fn by_udp(local: SocketAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind(local).await?;
        let local = socket.local_addr()?;
        Ok(Self::Udp { socket, local })
    }

    /// By the first of these ways that lets us through, and which that is. A wall that drops what it does not like says
    /// nothing, so that one way is not waited for before the next is tried (RFC 8305 section 5).
    pub(crate) async fn by_tcp(ways: Vec<SocketAddr>) -> io::Result<(Self, SocketAddr)> {
        let mut tries = JoinSet::new();
        for (delay, way) in (0..).map(|turn| turn * TCP_NEXT_WAY).zip(ways) {
            tries.spawn(async move {
                sleep(delay).await;
                let stream = timeout(TCP_CONNECT_LIMIT, TcpStream::connect(way)).await??;
                io::Result::Ok((stream, way))
            });
        }
        let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
        while let Some(tried) = tries.join_next().await {
            match tried.unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into())) {
                Ok((stream, remote)) => return Ok((Self::over(stream, remote)?, remote)),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    fn over(stream: TcpStream, remote: SocketAddr) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let local = stream.local_addr()?;
        Ok(Self::Tcp {
            stream,
            deframer: Deframer::default(),
            local,
            remote,
        })
    }

    pub(crate) fn local(&self) -> SocketAddr {
        match self {
            Self::Tcp { local, .. } | Self::Udp { local, .. } => *local,
        }
    }

    pub(crate) fn protocol(&self) -> Protocol {
        match self {
            Self::Tcp { .. } => Protocol::Tcp,
            Self::Udp { .. } => Protocol::Udp,
        }
    }

    /// The next datagram and where it comes from. May be dropped and called again without loss.
    pub(crate) async fn recv(&mut self) -> io::Result<(SocketAddr, Vec<u8>)> {
        match self {
            Self::Udp { socket, .. } => {
                let mut buffer = vec![0; DATAGRAM_MAX_BYTES];
                let (length, source) = socket.recv_from(&mut buffer).await?;
                buffer.truncate(length);
                Ok((source, buffer))
            }
            Self::Tcp {
                stream,
                deframer,
                remote,
                ..
            } => loop {
                if let Some(bytes) = deframer.next().map_err(|_| io::ErrorKind::InvalidData)? {
                    return Ok((*remote, bytes));
                }
                let mut buffer = [0; DATAGRAM_MAX_BYTES];
                match stream.read(&mut buffer).await? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    length => deframer.push(&buffer[..length]),
                }
            },
        }
    }

    pub(crate) async fn send(&mut self, transmit: &Transmit) -> io::Result<()> {
        match self {
            Self::Udp { socket, .. } => {
                // Like any lost datagram: the protocols above know what to do.
                let _ = socket
                    .send_to(&transmit.contents, transmit.destination)
                    .await;
                Ok(())
            }
            Self::Tcp { stream, .. } => {
                timeout(
                    TCP_WRITE_LIMIT,
                    stream.write_all(&frame(&transmit.contents)),
                )
                .await?
            }
        }
    }
}
