//! ICE over TCP (RFC 6544): for speakers behind walls that let no UDP through. We only accept (tcptype passive).
//!
//! A connection is a datagram pipe: frames with a length in front (RFC 4571). Anybody may connect, so a connection has
//! a deadline for its first frame and for every next one, a bounded backlog, and is cut when a frame is nobody's.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::demux::DATAGRAM_MAX_BYTES;

/// Open connections: every speaker and listener, and as many again in the doorway. More are refused.
pub(crate) const CONNECTIONS_MAX: usize = 512;
/// From so many on it matters from where they come, three quarters: the rest is for networks that have few.
const CROWD: usize = CONNECTIONS_MAX / 4 * 3;
/// Connections that a network may hold then. More are refused.
const SHARE: usize = CONNECTIONS_MAX / 8;
/// Whoever has connected has a STUN request at hand; a new connection that says nothing is cut.
const FIRST_FRAME_LIMIT: Duration = Duration::from_secs(5);
/// As long as a session may be silent, and a little: then its connection is cut too.
const NEXT_FRAME_LIMIT: Duration = Duration::from_secs(20);
/// Frames waiting to be written: 1.3 s of audio. What does not fit is dropped: late audio is worth nothing.
const BACKLOG_FRAMES: usize = 64;
/// A peer that reads nothing for that long is gone.
const WRITE_LIMIT: Duration = Duration::from_secs(5);
/// Frames read and not yet taken, over all connections; a full queue holds the readers back.
const INBOX_FRAMES: usize = 256;
const READ_BYTES: usize = 4096;

/// Cuts a byte stream into frames: "a 16-bit unsigned integer LENGTH field" before each (RFC 4571 section 2). Pure.
#[derive(Debug, Default)]
pub(crate) struct Deframer {
    /// At most one incomplete frame and what was pushed last.
    buffer: Vec<u8>,
}

/// A frame longer than any datagram of ours.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Oversize;

impl Deframer {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame. Empty ones are skipped.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<u8>>, Oversize> {
        while let Some((length, rest)) = self.buffer.split_first_chunk::<2>() {
            let length = usize::from(u16::from_be_bytes(*length));
            if length > DATAGRAM_MAX_BYTES {
                return Err(Oversize);
            }
            let Some(frame) = rest.get(..length) else {
                return Ok(None);
            };
            let frame = frame.to_vec();
            self.buffer.drain(..2 + length);
            if !frame.is_empty() {
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }
}

/// The datagram with its length in front.
pub(crate) fn frame(datagram: &[u8]) -> Vec<u8> {
    let length =
        u16::try_from(datagram.len()).expect("a datagram of ours is at most an Ethernet frame");
    let mut framed = Vec::with_capacity(2 + datagram.len());
    framed.extend(length.to_be_bytes());
    framed.extend_from_slice(datagram);
    framed
}

/// What the connections' tasks report to the owner.
#[derive(Debug)]
pub(crate) enum Inbound {
    Ended { source: SocketAddr, serial: u64 },
    Frame { source: SocketAddr, bytes: Vec<u8> },
}

/// All open connections, by the address of their far end.
pub(crate) struct Connections {
    open: HashMap<SocketAddr, (u64, mpsc::Sender<Vec<u8>>)>,
    serial: u64,
    inbox: mpsc::Sender<Inbound>,
}

impl Connections {
    /// None yet; and where their frames come out.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Inbound>) {
        let (inbox, outlet) = mpsc::channel(INBOX_FRAMES);
        (
            Self {
                open: HashMap::new(),
                serial: 0,
                inbox,
            },
            outlet,
        )
    }

    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// Takes a new connection; false if there are too many, or too many of its network.
    pub(crate) fn adopt(&mut self, stream: TcpStream, source: SocketAddr) -> bool {
        if !self.has_room(source.ip()) {
            return false;
        }
        self.serial += 1;
        let (backlog, outbox) = mpsc::channel(BACKLOG_FRAMES);
        self.open.insert(source, (self.serial, backlog));
        let (serial, inbox) = (self.serial, self.inbox.clone());
        tokio::spawn(async move {
            // Without it each packet would wait for the acknowledgement of the last; a socket that is gone refuses.
            let _ = stream.set_nodelay(true);
            if let Err(error) = pump(stream.into_split(), source, outbox, &inbox).await {
                tracing::debug!(%error, "ICE-TCP connection ended");
            }
            // The owner going away first is fine: then nobody needs to know.
            let _ = inbox.send(Inbound::Ended { source, serial }).await;
        });
        true
    }

    /// Whether one more may come from there.
    fn has_room(&self, from: IpAddr) -> bool {
        if self.open.len() < CROWD {
            return true;
        }
        let of_his = self.open.keys().map(|source| network(source.ip()));
        let of_his = of_his.filter(|other| *other == network(from));
        self.open.len() < CONNECTIONS_MAX && of_his.count() < SHARE
    }

    /// Sends a datagram; false if there is no such connection or its backlog is full.
    pub(crate) fn send(&self, to: SocketAddr, datagram: &[u8]) -> bool {
        self.open
            .get(&to)
            .is_some_and(|(_, backlog)| backlog.try_send(frame(datagram)).is_ok())
    }

    /// Cuts a connection, after what is in its backlog.
    pub(crate) fn cut(&mut self, source: SocketAddr) {
        self.open.remove(&source);
    }

    /// The task has ended; true if it was the present connection of that address.
    pub(crate) fn ended(&mut self, source: SocketAddr, serial: u64) -> bool {
        let present = self
            .open
            .get(&source)
            .is_some_and(|(open, _)| *open == serial);
        if present {
            self.open.remove(&source);
        }
        present
    }
}

/// What somebody can be taken to hold who holds one address of it, as its first address: the smallest network that is
/// announced on the Internet, or as much as a site is usually given (RFC 6177).
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() >> 8 << 8).into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 80 << 80).into(),
    }
}

/// Carries frames both ways until either end is done.
async fn pump(
    (mut reader, mut writer): (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    source: SocketAddr,
    mut outbox: mpsc::Receiver<Vec<u8>>,
    inbox: &mpsc::Sender<Inbound>,
) -> io::Result<()> {
    let writing = async {
        while let Some(framed) = outbox.recv().await {
            timeout(WRITE_LIMIT, writer.write_all(&framed))
                .await
                .map_err(|_| io::ErrorKind::TimedOut)??;
        }
        io::Result::Ok(())
    };
    let reading = async {
        let mut deframer = Deframer::default();
        let mut buffer = [0; READ_BYTES];
        let mut limit = FIRST_FRAME_LIMIT;
        loop {
            // One deadline for a whole frame: bytes that trickle do not extend it.
            let next = async {
                loop {
                    if let Some(bytes) = deframer
                        .next()
                        .map_err(|Oversize| io::ErrorKind::InvalidData)?
                    {
                        return io::Result::Ok(Some(bytes));
                    }
                    match reader.read(&mut buffer).await? {
                        0 => return Ok(None),
                        n => deframer.push(&buffer[..n]),
                    }
                }
            };
            let Some(bytes) = timeout(limit, next)
                .await
                .map_err(|_| io::ErrorKind::TimedOut)??
            else {
                return io::Result::Ok(());
            };
            limit = NEXT_FRAME_LIMIT;
            if inbox.send(Inbound::Frame { source, bytes }).await.is_err() {
                return Ok(());
            }
        }
    };
    tokio::select! {
        done = writing => done,
        done = reading => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio::io::DuplexStream;
    use tokio::task::JoinHandle;
    use tokio::time::Instant;

    #[test]
    fn a_frame_longer_than_a_datagram_ends_the_stream() {
        let mut deframer = Deframer::default();
        deframer.push(&[0xff, 0xff, 1]);
        assert_eq!(deframer.next(), Err(Oversize));
    }

    /// Connects from addresses of a network, one after the other, until one is refused; how many that were.
    fn fill(connections: &mut Connections, network: &str) -> usize {
        let (backlog, _outbox) = mpsc::channel(1);
        let before = connections.len();
        for (port, last) in (1_024..2_048).zip((1..=200).cycle()) {
            let source: SocketAddr = format!("{network}{last}:{port}").parse().unwrap();
            if !connections.has_room(source.ip()) {
                break;
            }
            connections.open.insert(source, (0, backlog.clone()));
        }
        connections.len() - before
    }

    #[test]
    fn the_last_quarter_is_for_networks_that_have_few() {
        let (mut connections, _frames) = Connections::new();
        let alone = fill(&mut connections, "192.0.2.");
        assert_eq!(alone, CROWD, "alone it may have what nobody else wants");
        assert_eq!(fill(&mut connections, "198.51.100."), SHARE);
        assert_eq!(fill(&mut connections, "203.0.113."), SHARE);
        assert_eq!(connections.len(), CONNECTIONS_MAX);
        assert_eq!(fill(&mut connections, "10.0.0."), 0, "full is full");
    }

    #[test]
    fn a_network_is_what_one_customer_may_hold() {
        let network = |address: &str| network(address.parse().unwrap());
        assert_eq!(network("192.0.2.1"), network("::ffff:192.0.2.254"));
        assert_ne!(network("192.0.2.1"), network("192.0.3.1"));
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:ffff::9"));
        assert_ne!(network("2001:db8:1::1"), network("2001:db8:2::1"));
    }

    /// A connection without a socket, on a clock that jumps to the next deadline: the far end, what to send, and how and
    /// after what time it ends.
    struct Pipe {
        far: DuplexStream,
        backlog: mpsc::Sender<Vec<u8>>,
        frames: mpsc::Receiver<Inbound>,
        end: JoinHandle<(io::Result<()>, Duration)>,
    }

    fn pipe() -> Pipe {
        let (far, near) = tokio::io::duplex(64);
        let (backlog, outbox) = mpsc::channel(BACKLOG_FRAMES);
        let (inbox, frames) = mpsc::channel(INBOX_FRAMES);
        let end = tokio::spawn(async move {
            let (since, source) = (Instant::now(), ([192, 0, 2, 1], 9).into());
            let ended = pump(tokio::io::split(near), source, outbox, &inbox).await;
            (ended, since.elapsed())
        });
        Pipe {
            far,
            backlog,
            frames,
            end,
        }
    }

    async fn timed_out_after(end: JoinHandle<(io::Result<()>, Duration)>) -> Duration {
        let (ended, after) = end.await.unwrap();
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
        after
    }

    #[tokio::test(start_paused = true)]
    async fn who_connects_and_says_nothing_is_cut() {
        let pipe = pipe();
        assert_eq!(timed_out_after(pipe.end).await, FIRST_FRAME_LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_that_trickle_do_not_extend_the_deadline() {
        let mut pipe = pipe();
        let trickle = async {
            for byte in frame(&[7; 60]) {
                tokio::time::sleep(Duration::from_secs(1)).await;
                // Cut in the midst of it.
                let _ = pipe.far.write_all(&[byte]).await;
            }
        };
        let (after, ()) = tokio::join!(timed_out_after(pipe.end), trickle);
        assert_eq!(after, FIRST_FRAME_LIMIT);
        assert!(pipe.frames.recv().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_spoken_may_be_silent_for_longer() {
        let mut pipe = pipe();
        pipe.far.write_all(&frame(&[7; 60])).await.unwrap();
        assert!(matches!(
            pipe.frames.recv().await,
            Some(Inbound::Frame { bytes, .. }) if bytes == [7; 60]
        ));
        assert_eq!(timed_out_after(pipe.end).await, NEXT_FRAME_LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_nothing_is_cut() {
        let mut pipe = pipe();
        pipe.far.write_all(&frame(&[7; 60])).await.unwrap();
        // More than the pipe holds.
        pipe.backlog.send(frame(&[7; 500])).await.unwrap();
        assert_eq!(timed_out_after(pipe.end).await, WRITE_LIMIT);
    }

    proptest! {
        #[test]
        fn frames_survive_any_cut_of_the_stream(
            datagrams in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..300), 0..8),
            piece in 1_usize..40,
        ) {
            let stream: Vec<u8> = datagrams.iter().flat_map(|datagram| frame(datagram)).collect();
            let mut deframer = Deframer::default();
            let mut found = Vec::new();
            for part in stream.chunks(piece) {
                deframer.push(part);
                while let Some(datagram) = deframer.next().unwrap() {
                    found.push(datagram);
                }
            }
            prop_assert_eq!(found, datagrams);
        }

        #[test]
        fn no_bytes_make_the_buffer_grow_beyond_a_frame(bytes in proptest::collection::vec(any::<u8>(), 0..6000)) {
            let mut deframer = Deframer::default();
            for part in bytes.chunks(64) {
                deframer.push(part);
                loop {
                    match deframer.next() {
                        Ok(Some(datagram)) => prop_assert!(!datagram.is_empty()),
                        Ok(None) => break,
                        Err(Oversize) => return Ok(()),
                    }
                }
                prop_assert!(deframer.buffer.len() <= 2 + DATAGRAM_MAX_BYTES);
            }
        }
    }
}
