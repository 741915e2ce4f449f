//! Connections of an agent, from many addresses of our own where those are given.
//!
//! We choose the ports ourselves: a bound address has 64,000 of them, whereas the system gives 28,000, and searches the
//! longer the more are taken.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use rustix::process::{Resource, getrlimit, setrlimit};

/// Ports below belong to the system.
const FIRST_PORT: u16 = 1_024;
/// Ports that are tried for one connection; some are taken by servers, a long row of them is something else.
const TRIES_MAX: u32 = 64;

/// Where connections go, and from where.
pub(super) struct Ports {
    address: SocketAddr,
    sources: Vec<IpAddr>,
    next: u64,
}

/// Why there is no connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trouble(Errno);

impl Trouble {
    pub(super) fn reason(self) -> &'static str {
        match self.0 {
            Errno::CONNREFUSED => "connection refused",
            Errno::CONNRESET => "connection reset",
            Errno::TIMEDOUT => "connect timed out",
            Errno::HOSTUNREACH | Errno::NETUNREACH => "no way there",
            _ if self.is_our_own() => "out of descriptors, ports or memory here",
            _ => "connect failed",
        }
    }

    /// Whether it is this machine that lacks something, rather than the server.
    pub(super) fn is_our_own(self) -> bool {
        matches!(
            self.0,
            Errno::MFILE
                | Errno::NFILE
                | Errno::NOBUFS
                | Errno::NOMEM
                | Errno::NOSPC
                | Errno::ADDRNOTAVAIL
                | Errno::ADDRINUSE
        )
    }
}

impl Ports {
    pub(super) fn new(address: SocketAddr, sources: &[IpAddr]) -> Self {
        Self {
            address,
            sources: sources.to_vec(),
            next: 0,
        }
    }

    /// Begins a connection and has its events told under `data`.
    pub(super) fn connect(&mut self, epoll: &OwnedFd, data: u64) -> Result<OwnedFd, Trouble> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        self.connect_for(epoll, data, flags, None)
    }

    /// As [`Self::connect`], for certain events, and with a receive buffer of a certain size.
    pub(super) fn connect_for(
        &mut self,
        epoll: &OwnedFd,
        data: u64,
        flags: EventFlags,
        receive_bytes: Option<usize>,
    ) -> Result<OwnedFd, Trouble> {
        let family = if self.address.is_ipv4() {
            AddressFamily::INET
        } else {
            AddressFamily::INET6
        };
        let socket_flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(family, SocketType::STREAM, socket_flags, None)
            .map_err(Trouble)?;
        if let Some(bytes) = receive_bytes {
            sockopt::set_socket_recv_buffer_size(&socket, bytes).map_err(Trouble)?;
        }
        self.bind(&socket)?;
        match rustix::net::connect(&socket, &self.address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(errno) => return Err(Trouble(errno)),
        }
        epoll::add(epoll, &socket, EventData::new_u64(data), flags).map_err(Trouble)?;
        Ok(socket)
    }

    fn bind(&mut self, socket: impl AsFd) -> Result<(), Trouble> {
        if self.sources.is_empty() {
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
        let sources = self.sources.len() as u64;
        let source = usize::try_from(self.next % sources).expect("a place in a list");
        let ports = u64::from(u16::MAX - FIRST_PORT) + 1;
        let place = u16::try_from(self.next / sources % ports).expect("below the number of ports");
        self.next += 1;
        SocketAddr::new(self.sources[source], FIRST_PORT + place)
    }
}

/// Whether a connection that was begun is made.
pub(super) fn made(socket: Option<&OwnedFd>) -> Result<(), Trouble> {
    let Some(socket) = socket else {
        return Err(Trouble(Errno::NOTCONN));
    };
    match sockopt::socket_error(socket) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(errno)) | Err(errno) => Err(Trouble(errno)),
    }
}

/// Raises the limit of open files to what the system allows, and says what that is.
pub fn raise_open_files() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Refused where a container forbids it: then the present limit holds.
    let _ = setrlimit(Resource::Nofile, limit);
    getrlimit(Resource::Nofile).current.unwrap_or(1 << 20)
}
