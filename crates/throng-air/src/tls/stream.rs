//! An established session over an ordinary socket, for the ordinary server.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::record::{Broken, Content, Heard, Incoming, PLAIN_MAX_BYTES, Session};

/// Bytes that are read at once.
const READ_MAX_BYTES: usize = 4 * 1024;

/// A session and what is on its way in it.
#[derive(Debug)]
pub(crate) struct Carried {
    /// The keys.
    pub(crate) session: Session,
    /// What came and was not taken.
    pub(crate) incoming: Incoming,
    /// What is sealed and was not sent.
    pub(crate) unsent: Vec<u8>,
}

/// The stream. At most one record is sealed before the one before it is sent.
pub(crate) struct TlsStream {
    socket: TcpStream,
    carried: Carried,
    /// How much of what is sealed was sent.
    sent: usize,
    has_ended: bool,
}

impl TlsStream {
    /// Goes on where the session stands.
    pub(crate) fn new(socket: TcpStream, carried: Carried) -> Self {
        Self {
            socket,
            carried,
            sent: 0,
            has_ended: false,
        }
    }

    fn poll_unsent(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.carried.unsent.len() {
            let rest = &self.carried.unsent[self.sent..];
            match ready!(Pin::new(&mut self.socket).poll_write(context, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => self.sent += sent,
            }
        }
        self.carried.unsent.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }
}

impl From<Broken> for io::Error {
    fn from(_: Broken) -> Self {
        io::ErrorKind::InvalidData.into()
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Carried {
            session, incoming, ..
        } = &mut this.carried;
        loop {
            match incoming.take(session, into.initialize_unfilled())? {
                Heard::Bytes(count) => {
                    into.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Heard::End => return Poll::Ready(Ok(())),
                Heard::Nothing => {}
            }
            let mut bytes = [0; READ_MAX_BYTES];
            let mut came = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut this.socket).poll_read(context, &mut came))?;
            if came.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            incoming.add(came.filled());
        }
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_unsent(context))?;
        let record = &bytes[..bytes.len().min(PLAIN_MAX_BYTES)];
        let Carried {
            session, unsent, ..
        } = &mut this.carried;
        session.seal(Content::Application, record, unsent)?;
        // It is sealed and thus taken, whether or not the socket has room now.
        if let Poll::Ready(Err(error)) = this.poll_unsent(context) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(record.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_unsent(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.has_ended {
            this.has_ended = true;
            this.carried.session.seal_end(&mut this.carried.unsent)?;
        }
        ready!(this.poll_unsent(context))?;
        Pin::new(&mut this.socket).poll_shutdown(context)
    }
}
