//! From the engine to the ordinary server: a connection, and what was already read from it.

use std::io::{self, Read};
use std::net;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::budget::{Budget, Held};
use crate::tls::stream::Carried;

/// A way for at most so many connections at once, which count in this budget.
pub fn hand_over(connections_max: u32, budget: &Arc<Budget>) -> (HandOver, Handed) {
    let places = Arc::new(Semaphore::new(connections_max as usize));
    // Who gives a connection holds a place, so that there is always room.
    let (sender, receiver) = mpsc::channel(connections_max as usize);
    let handed = Handed {
        receiver,
        places: Arc::clone(&places),
        connections_max,
    };
    let budget = Arc::clone(budget);
    let hand_over = HandOver {
        sender,
        places,
        budget,
    };
    (hand_over, handed)
}

/// The engine's end.
#[derive(Clone)]
pub struct HandOver {
    sender: mpsc::Sender<Connection>,
    places: Arc<Semaphore>,
    budget: Arc<Budget>,
}

/// A place among the connections that the ordinary server has at once.
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
    _held: Held,
}

impl HandOver {
    /// A place, unless all are taken.
    pub(crate) fn place(&self) -> Option<Place> {
        let permit = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some(Place {
            _permit: permit,
            _held: self.budget.hold(),
        })
    }

    /// Gives a connection away, which does not block, with the bytes that were read from it. Where the ordinary server
    /// has ended, the connection is closed.
    pub(crate) fn give(&self, stream: Stream, read: Vec<u8>, place: Place) {
        let _ = self.sender.try_send(Connection {
            stream,
            read: io::Cursor::new(read),
            place,
        });
    }
}

/// The ordinary server's end.
pub struct Handed {
    receiver: mpsc::Receiver<Connection>,
    places: Arc<Semaphore>,
    connections_max: u32,
}

impl Handed {
    /// The next connection; `None` when the engine has ended.
    pub(crate) async fn next(&mut self) -> Option<Connection> {
        self.receiver.recv().await
    }

    /// Waits until every place is free again.
    pub(crate) async fn finished(self) {
        let all = self.places.acquire_many(self.connections_max).await;
        drop(all.expect("the semaphore is never closed"));
    }
}

/// A socket on its way.
#[derive(Debug)]
pub(crate) enum Stream {
    /// As it is.
    Plain(net::TcpStream),
    /// With a session in it.
    Tls(net::TcpStream, Box<Carried>),
}

impl From<net::TcpStream> for Stream {
    fn from(socket: net::TcpStream) -> Self {
        Self::Plain(socket)
    }
}

/// A connection on its way.
pub(crate) struct Connection {
    /// The socket, and the session in it.
    pub(crate) stream: Stream,
    /// What was read from it.
    pub(crate) read: io::Cursor<Vec<u8>>,
    /// Its place, to be given back at its end.
    pub(crate) place: Place,
}

/// A stream that begins with bytes that were read before.
pub(crate) struct Replay<S> {
    /// The bytes.
    pub(crate) read: io::Cursor<Vec<u8>>,
    /// What follows them.
    pub(crate) stream: S,
}

impl<S: AsyncRead + Unpin> AsyncRead for Replay<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let length = self.read.read(into.initialize_unfilled())?;
        if length == 0 {
            return Pin::new(&mut self.stream).poll_read(context, into);
        }
        into.advance(length);
        if self.read.position() == self.read.get_ref().len() as u64 {
            self.read = io::Cursor::default();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Replay<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
