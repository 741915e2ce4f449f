//! The client's socket: datagrams by UDP, or frames by TCP (RFC 4571).

use std::io;
use std::net::SocketAddr;

use str0m::net::{Protocol, Transmit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Duration, timeout};

use crate::demux::DATAGRAM_MAX_BYTES;
use crate::tcp::{Deframer, frame};

const TCP_CONNECT_LIMIT: Duration = Duration::from_secs(10);
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
    pub(crate) async fn open(
        protocol: Protocol,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> io::Result<Self> {
        if protocol == Protocol::Udp {
            let socket = UdpSocket::bind(local).await?;
            let local = socket.local_addr()?;
            return Ok(Self::Udp { socket, local });
        }
        let stream = timeout(TCP_CONNECT_LIMIT, TcpStream::connect(remote)).await??;
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
