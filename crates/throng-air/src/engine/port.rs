//! What a shard asks of the system: sockets by the number of their place, and what happened to them.
//!
//! Two ports exist, epoll and `io_uring`; the shard does not know which it has. A place is a small number that belongs
//! to one connection from [`Event::Arrived`] until it was closed or released.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::hand_over::Stream;
use crate::tls::handshake::Failure;

/// The number of a connection on its shard.
pub(crate) type Place = u32;

/// Bytes that are read at once: a head of a browser with room to spare.
pub(crate) const READ_MAX_BYTES: usize = 4 * 1024;
/// The kernel's send buffer of a listener (it reckons with twice as much for its own book-keeping): some eight seconds
/// at 48 kb/s, or the burst of a join at any rendition up to it. What does not fit is sent when there is room.
const SEND_BUFFER_BYTES: usize = 48 * 1024;
/// The kernel's receive buffer: a request head; listeners have nothing more to say.
const RECEIVE_BUFFER_BYTES: usize = 32 * 1024;
/// A peer that takes nothing for so long is gone; without this a vanished listener holds his buffer for 15 minutes.
pub(crate) const STALLED_PEER_TIMEOUT_MS: u32 = 90_000;

/// What happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// Somebody connected.
    Arrived(Place),
    /// Somebody who connected could not be heard: his handshake came to nothing. He has no place.
    Failed(Failure),
    /// The peer closed, or the connection broke.
    Left(Place),
    /// Who the peer is of a connection of which that was asked.
    Peer(Place, IpAddr),
    /// There may be something to read.
    Readable(Place),
    /// A connection that was to be released is an ordinary one now.
    Released(Place, Stream),
    /// What became of a send whose fate was not known at once.
    Sent(Place, Sent),
    /// There is room again for what did not fit.
    Writable(Place),
}

/// What is to be waited for on a connection. That the peer leaves is always told besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    /// Nothing but that.
    Leave,
    /// Something to read.
    Read,
    /// Room to write.
    Write,
}

/// What was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// So many bytes.
    Bytes(usize),
    /// The peer will say nothing more.
    End,
    /// Nothing yet.
    Nothing,
}

/// What became of a send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// The connection is broken.
    Broken,
    /// This did not fit.
    Short(Bytes),
    /// All of it is the kernel's now.
    Whole,
}

/// The system as a shard meets it.
pub(crate) trait Port {
    /// Waits until something happens, or for so long.
    fn wait(&mut self, most: Duration, events: &mut Vec<Event>) -> io::Result<()>;

    /// Ends a wait early whenever this is written to (`eventfd`), from now on.
    fn wake_by(&mut self, wakes: &Arc<OwnedFd>) -> io::Result<()>;

    /// Accepts connections or lets them wait in the kernel's backlog.
    fn set_accepting(&mut self, accepting: bool);

    /// Reads what is there.
    fn take(&mut self, place: Place, into: &mut [u8; READ_MAX_BYTES]) -> Taken;

    /// Asks who the peer is; [`Event::Peer`] tells, unless it is not to be known. Costs a call or two, so that it is not
    /// for every connection.
    fn ask_peer(&mut self, place: Place);

    /// Waits for something on a connection.
    fn watch(&mut self, place: Place, interest: Interest);

    /// Sends one slice. `None` when its fate will be told by [`Event::Sent`]: always if `tell`, else only if it was
    /// not sent whole.
    fn send(&mut self, place: Place, bytes: &Bytes, tell: bool) -> Option<Sent>;

    /// Ends what is sent in a way that the peer can tell from a broken connection, where that takes bytes.
    fn say_end(&mut self, _place: Place) {}

    /// Says that nothing more will be sent.
    fn shut_down(&mut self, place: Place);

    /// Closes a connection. Its place is free for another from the next wait on.
    fn close(&mut self, place: Place);

    /// Makes an ordinary connection of it; [`Event::Released`] brings it, or [`Event::Left`] if that fails.
    fn release(&mut self, place: Place);
}

/// Largest send buffer of a connection that is released: downloads want more than spans do. The kernel's own limit may
/// be lower.
const RELEASED_SEND_BUFFER_BYTES: usize = 1024 * 1024;

/// Who is at the other end of a socket.
pub(crate) fn peer(socket: &OwnedFd) -> Option<IpAddr> {
    let address = rustix::net::getpeername(socket).ok().flatten()?;
    Some(SocketAddr::try_from(address).ok()?.ip())
}

/// Makes an ordinary stream of a socket that was a listener's.
pub(crate) fn ordinary(socket: OwnedFd) -> TcpStream {
    // Where it cannot be set, the smaller buffer does.
    let _ = rustix::net::sockopt::set_socket_send_buffer_size(&socket, RELEASED_SEND_BUFFER_BYTES);
    TcpStream::from(socket)
}

/// Sets what every connection of a listening socket inherits from it, so that a join costs no call for it.
pub(crate) fn prepare(listener: &std::net::TcpListener) -> io::Result<()> {
    use rustix::net::sockopt;
    listener.set_nonblocking(true)?;
    sockopt::set_tcp_nodelay(listener, true)?;
    sockopt::set_tcp_user_timeout(listener, STALLED_PEER_TIMEOUT_MS)?;
    sockopt::set_socket_send_buffer_size(listener, SEND_BUFFER_BYTES)?;
    sockopt::set_socket_recv_buffer_size(listener, RECEIVE_BUFFER_BYTES)?;
    Ok(())
}
