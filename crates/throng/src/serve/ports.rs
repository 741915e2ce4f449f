//! How ports are taken: alone, shared by the threads of a process, or kept for the workers of a node.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{SockFilter, SockRef};
use tokio::net::TcpSocket;

use super::ServeError;

/// Connections that wait to be accepted; the kernel cuts it to `somaxconn`.
const BACKLOG: u32 = 65_535;

/// Binds an address that belongs to this process alone.
pub(crate) fn bind_plain(
    flag: &'static str,
    address: SocketAddr,
) -> Result<TcpListener, ServeError> {
    named(flag, address, listen(address))
}

/// So many sockets at the audience's address, among which the kernel deals out connections. Unless it is kept for this
/// process, nobody else may have it.
pub(super) fn bind_for_threads(
    address: SocketAddr,
    count: usize,
    is_kept: bool,
) -> Result<Vec<TcpListener>, ServeError> {
    let wrong = |source| bind_error("--listen", address, source);
    if address.port() != 0 && !is_kept {
        // Sockets that share a port would also share it with another process of this user.
        socket(address)
            .and_then(|alone| alone.bind(address))
            .map_err(wrong)?;
    }
    let shared = |address| {
        let listener = shared_socket(address)?.listen(BACKLOG)?;
        listener.into_std()
    };
    let mut listeners = vec![shared(address).map_err(wrong)?];
    let bound = listeners[0].local_addr().map_err(wrong)?;
    for _ in 1..count {
        listeners.push(shared(bound).map_err(wrong)?);
    }
    Ok(listeners)
}

/// Keeps the audience's address for the workers of this node: nobody else may listen there, and it stays ours while
/// they come and go. Whoever only keeps it is given no connection.
pub(crate) fn keep(address: SocketAddr) -> Result<TcpSocket, ServeError> {
    // To a socket that shares with nobody, one that listens there is in the way; ours is let go before it listens.
    drop(named("--listen", address, listen(address))?);
    named("--listen", address, shared_socket(address))
}

/// Lets no more connections begin at a socket: what would begin one is not heard, so that it is sent again a second later
/// (RFC 6298 section 2.1), when the socket is closed and a sibling hears it. Were the socket closed at once, the kernel
/// would break off whatever waits to be accepted there and every handshake under way.
pub(super) fn begin_no_more(listener: &TcpListener) -> io::Result<()> {
    /// Classic BPF, as `linux/bpf_common.h` numbers it.
    const LOAD_BYTE: u16 = 0x30;
    const JUMP_IF_SET: u16 = 0x45;
    const RETURN: u16 = 0x06;
    /// Where flags stand in a TCP header, and the one of who begins (RFC 9293 section 3.1).
    const FLAGS: u32 = 13;
    const SYN: u32 = 0x02;
    SockRef::from(listener).attach_filter(&[
        SockFilter::new(LOAD_BYTE, 0, 0, FLAGS),
        SockFilter::new(JUMP_IF_SET, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ])
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(address)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

fn shared_socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = socket(address)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A restart must not wait for the connections of the process before.
    socket.set_reuseaddr(true)?;
    Ok(socket)
}

fn named<T>(
    flag: &'static str,
    address: SocketAddr,
    taken: io::Result<T>,
) -> Result<T, ServeError> {
    taken.map_err(|source| bind_error(flag, address, source))
}

fn bind_error(flag: &'static str, address: SocketAddr, source: io::Error) -> ServeError {
    ServeError::Bind {
        flag,
        address,
        source,
    }
}

#[cfg(test)]
mod tests {
    use socket2::{Domain, Socket, Type};

    use super::*;

    /// More than enough that each of two sockets is dealt some.
    const CLIENTS: usize = 40;

    /// Over loopback a first packet has been heard, or not, when this returns.
    fn begin(address: SocketAddr) -> Socket {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        let _ = socket.connect(&address.into());
        socket
    }

    fn accepted(listener: &TcpListener) -> usize {
        std::iter::from_fn(|| listener.accept().ok()).count()
    }

    #[tokio::test]
    async fn a_socket_that_begins_no_more_keeps_who_is_there_and_leaves_the_others_to_its_sibling()
    {
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut sockets = bind_for_threads(free, 2, false).unwrap();
        let (stays, ends) = (sockets.remove(0), sockets.remove(0));
        let address = stays.local_addr().unwrap();
        let early: Vec<_> = (0..CLIENTS).map(|_| begin(address)).collect();
        begin_no_more(&ends).unwrap();
        let late: Vec<_> = (0..CLIENTS).map(|_| begin(address)).collect();
        let before = accepted(&ends);
        assert!((1..CLIENTS).contains(&before), "{before}");
        drop(ends);
        stays.set_nonblocking(false).unwrap();
        // Those whose first packet was not heard send another.
        for _ in before..early.len() + late.len() {
            stays.accept().unwrap();
        }
    }
}
