//! New sockets of an agent, from many addresses of our own where those are given.
//!
//! We choose the ports ourselves: a bound address has 64,000 of them, whereas the system gives 28,000, and searches the
//! longer the more are taken.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use rustix::process::{Resource, getrlimit, setrlimit};

use super::port::Trouble;
use crate::crowd::CONNECTIONS_PER_SOURCE;

/// Ports below belong to the system.
const FIRST_PORT: u16 = 1_024;
/// Ports that are tried for one connection; some are taken by servers, a long row of them is something else.
const TRIES_MAX: u32 = 64;

/// Where connections go, and from where.
#[derive(Clone)]
pub(super) struct Sources {
    pub(super) address: SocketAddr,
    own: Vec<IpAddr>,
    next: u64,
}

impl Sources {
    pub(super) fn new(address: SocketAddr, sources: &[IpAddr]) -> Self {
        Self {
            address,
            own: sources.to_vec(),
            next: 0,
        }
    }

    /// The same addresses, with the ports that the crowd comes to last: whoever connects besides it begins there.
    pub(super) fn besides(&self) -> Self {
        Self {
            next: self.own.len() as u64 * u64::from(CONNECTIONS_PER_SOURCE),
            ..self.clone()
        }
    }

    /// A socket that may be connected.
    pub(super) fn socket(&mut self) -> Result<OwnedFd, Trouble> {
        let family = if self.address.is_ipv4() {
            AddressFamily::INET
        } else {
            AddressFamily::INET6
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None);
        let socket = socket.map_err(Trouble)?;
        self.bind(&socket)?;
        Ok(socket)
    }

    /// A socket whose connection is begun.
    pub(super) fn connected(&mut self) -> Result<OwnedFd, Trouble> {
        let socket = self.socket()?;
        self.connect(&socket)?;
        Ok(socket)
    }

    /// The same, with a receive buffer of this size.
    pub(super) fn connected_with_buffer(&mut self, bytes: usize) -> Result<OwnedFd, Trouble> {
        let socket = self.socket()?;
        sockopt::set_socket_recv_buffer_size(&socket, bytes).map_err(Trouble)?;
        self.connect(&socket)?;
        Ok(socket)
    }

    fn connect(&self, socket: impl AsFd) -> Result<(), Trouble> {
        match rustix::net::connect(socket, &self.address) {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(()),
            Err(errno) => Err(Trouble(errno)),
        }
    }

    fn bind(&mut self, socket: impl AsFd) -> Result<(), Trouble> {
        if self.own.is_empty() {
            return Ok(());
        }
        // A port that was used a moment ago may be used again.
        sockopt::set_socket_reuseaddr(&socket, true).map_err(Trouble)?;
        let mut last = Errno::ADDRINUSE;
        for _ in 0..TRIES_MAX {
            match rustix::net::bind(&socket, &self.next_source()) {
                Ok(()) => return Ok(()),
                Err(errno) => last = errno,
            }
        }
        Err(Trouble(last))
    }

    /// The sources in turn, and a port further each time round.
    fn next_source(&mut self) -> SocketAddr {
        let sources = self.own.len() as u64;
        let source = usize::try_from(self.next % sources).expect("a place in a list");
        let ports = u64::from(u16::MAX - FIRST_PORT) + 1;
        let place = u16::try_from(self.next / sources % ports).expect("below the number of ports");
        self.next += 1;
        SocketAddr::new(self.own[source], FIRST_PORT + place)
    }
}

/// Raises the limit of open files to what the system allows, and says what that is.
pub(super) fn raise_open_files() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Refused where a container forbids it: then the present limit holds.
    let _ = setrlimit(Resource::Nofile, limit);
    getrlimit(Resource::Nofile).current.unwrap_or(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_connects_besides_the_crowd_takes_none_of_its_ports() {
        let own = ["127.9.0.1".parse().unwrap(), "127.9.0.2".parse().unwrap()];
        let mut crowd = Sources::new("127.0.0.1:80".parse().unwrap(), &own);
        let mut others = crowd.besides();
        let taken: Vec<_> = (0..2_000).map(|_| crowd.next_source()).collect();
        assert!((0..2_000).all(|_| !taken.contains(&others.next_source())));
    }
}
