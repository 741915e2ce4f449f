//! How ports are taken: alone, shared by the threads of a process, or kept for the workers of a node.

use std::io;
use std::net::{SocketAddr, TcpListener};

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
