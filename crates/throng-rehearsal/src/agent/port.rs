//! What an agent asks of the system: connections by the number of their place, bytes in and out.
//!
//! Two ports exist, epoll and `io_uring`, and one with TLS over either; the agent does not know which it has. A place is a listener's number within
//! its agent. Whatever happened is told one by one, and what is told next belongs to connections that are still there.

use std::io;

use rustix::io::Errno;

use super::epoll::Epoll;
use super::sources::{Sources, raise_open_files};
use super::uring::{self, Uring};
use crate::tally::Handshakes;

/// Files of an agent that are not connections.
const OWN_FILES: u64 = 64;

/// The number of a connection within its agent.
pub(super) type Place = u32;

/// What happened.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    /// A connection is made.
    Made(Place),
    /// A connection that was begun could not be made.
    Missed(Place, Trouble),
    /// There is something to take: bytes, or the end.
    Readable(Place),
    /// What was sent did not get away whole.
    Unsent(Place),
}

/// What was taken.
#[derive(Debug)]
pub(super) enum Taken<'a> {
    /// The connection broke.
    Broken,
    /// These.
    Bytes(&'a [u8]),
    /// The server will say nothing more.
    End,
    /// Nothing more for now.
    Nothing,
}

/// Why there is no connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trouble(pub(super) Errno);

/// The system as an agent meets it.
pub(super) trait Port {
    /// Waits until something happens, or for so long.
    fn wait(&mut self, most_us: u64) -> io::Result<()>;

    /// The next of what has happened by then.
    fn next(&mut self) -> Option<Event>;

    /// Takes what the last event was about, again and again until there is nothing more.
    fn take(&mut self, place: Place) -> Taken<'_>;

    /// Begins a connection, in place of the one before.
    fn connect(&mut self, place: Place) -> Result<(), Trouble>;

    /// Sends a request; whether it may have got away.
    fn send(&mut self, place: Place, bytes: &[u8]) -> bool;

    /// Ends a connection.
    fn close(&mut self, place: Place);

    /// What was counted of handshakes, where there are any.
    fn handshakes(&self) -> Option<&Handshakes> {
        None
    }
}

/// The port for so many connections: rings where the system lets us have them.
pub(super) fn open(sources: Sources, connections: u32) -> io::Result<Box<dyn Port>> {
    if uring::is_available() {
        return Ok(Box::new(Uring::new(sources, connections)));
    }
    Ok(Box::new(Epoll::new(sources, connections)?))
}

/// How many connections one agent can have: rings hold any number; with epoll each is an open file.
pub fn connections_max() -> u32 {
    let files = raise_open_files();
    if uring::is_available() {
        return u32::MAX;
    }
    u32::try_from(files.saturating_sub(OWN_FILES)).unwrap_or(u32::MAX)
}

impl Trouble {
    pub(super) fn reason(self) -> &'static str {
        match self.0 {
            Errno::CONNREFUSED => "connection refused",
            Errno::CONNRESET => "connection reset",
            Errno::TIMEDOUT => "connect timed out",
            // No socket says this of TCP; a port with TLS does.
            Errno::PROTO => "TLS handshake failed",
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

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self(Errno::from_io_error(&error).unwrap_or(Errno::IO))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener};

    use super::*;

    const WAIT_US: u64 = 10_000;
    const LONG: usize = 300_000;

    /// What becomes of a connection in place 5, which says `ask` once it is made.
    fn story(port: &mut dyn Port) -> Vec<String> {
        let (mut told, mut bytes) = (Vec::new(), 0);
        loop {
            port.wait(WAIT_US).unwrap();
            while let Some(event) = port.next() {
                match event {
                    Event::Made(place) => {
                        told.push(format!("made {place}"));
                        assert!(port.send(place, b"ask"));
                    }
                    Event::Missed(place, trouble) => {
                        told.push(format!("missed {place}: {}", trouble.reason()));
                        return told;
                    }
                    Event::Unsent(place) => told.push(format!("unsent {place}")),
                    Event::Readable(place) => loop {
                        match port.take(place) {
                            Taken::Bytes(some) => {
                                assert!(some.iter().all(|byte| *byte == b'x'));
                                bytes += some.len();
                            }
                            Taken::Nothing => break,
                            Taken::Broken => told.push("broken".to_owned()),
                            Taken::End => {
                                told.push(format!("{bytes} bytes, end"));
                                return told;
                            }
                        }
                    },
                }
            }
        }
    }

    fn ports(listener: &TcpListener) -> Vec<Box<dyn Port>> {
        let sources = || {
            Sources::new(
                listener.local_addr().unwrap(),
                &["127.9.8.7".parse().unwrap()],
            )
        };
        let mut ports: Vec<Box<dyn Port>> = vec![Box::new(Epoll::new(sources(), 6).unwrap())];
        if uring::is_available() {
            // Two places in a ring: place 5 is in the third.
            ports.push(Box::new(Uring::with_rings_of(2, sources(), 6)));
        }
        ports
    }

    #[test]
    fn either_port_connects_asks_and_reads_to_the_end_twice_in_one_place() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        for mut port in ports(&listener) {
            for _ in 0..2 {
                port.connect(5).unwrap();
                let serving = listener.try_clone().unwrap();
                let server = std::thread::spawn(move || {
                    let (mut socket, peer) = serving.accept().unwrap();
                    assert_eq!(peer.ip().to_string(), "127.9.8.7");
                    let mut asked = [0; 3];
                    socket.read_exact(&mut asked).unwrap();
                    assert_eq!(&asked, b"ask");
                    socket.write_all(&vec![b'x'; LONG]).unwrap();
                    socket.shutdown(Shutdown::Write).unwrap();
                });
                let told = story(port.as_mut());
                assert_eq!(told, ["made 5".to_owned(), format!("{LONG} bytes, end")]);
                server.join().unwrap();
            }
            port.close(5);
        }
    }

    #[test]
    fn either_port_tells_that_nobody_listens() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ports = ports(&listener);
        drop(listener);
        for mut port in ports {
            if port.connect(5).is_ok() {
                assert_eq!(story(port.as_mut()), ["missed 5: connection refused"]);
            }
        }
    }
}
