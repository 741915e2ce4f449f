//! The floor of the benchmarks: a bare loop of epoll and `send`, which gives every listener the same span at the same
//! time and does nothing else. `floor ADDRESS [PARTS_PER_SPAN|refuse]`
//!
//! What it sends is valid: CMAF with timestamps, in packets of noise at 48 kb/s, so that the same crowd checks it.
//!
//! With `refuse` nobody is let in: each connection is accepted, read once, answered with `503` and closed.
#![expect(clippy::print_stdout, reason = "its first line says that it listens")]

use std::collections::BTreeMap;
use std::error::Error;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::event::{Timespec, epoll};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};
use throng_core::rendition::{Channels, Rendition};
use throng_core::timeline::{PART_DURATION_MS, PartIndex};
use throng_media::package::{init, package};

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: audio/mp4\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n";
/// As long as what a full house says, with a time after which no bench still runs.
const REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n\
    Retry-After: 600\r\nAccess-Control-Allow-Origin: *\r\nContent-Length: 40\r\nConnection: close\r\n\r\nEvery place is taken. Come again later.\n";
/// What a joiner gets at once: 4 s.
const BURST_PARTS: u64 = 13;
const BACKLOG: i32 = 65_535;
const EVENTS_MAX: usize = 1_024;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address: SocketAddr = arguments
        .next()
        .ok_or("floor ADDRESS [PARTS_PER_SPAN|refuse]")?
        .parse()?;
    let word = arguments.next();
    let refuses = word.as_deref() == Some("refuse");
    let span_parts: u64 = match word {
        Some(parts) if !refuses => parts.parse()?,
        _ => 3,
    };
    let listener = listen(address)?;
    println!("listening on {address}");
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit {
        current: limit.maximum,
        ..limit
    };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised)?;
    Floor::new(listener, span_parts, refuses)?.run()
}

/// Several floors may share a port, as each has no more listeners than files.
fn listen(address: SocketAddr) -> rustix::io::Result<OwnedFd> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

struct Floor {
    listener: OwnedFd,
    epoll: OwnedFd,
    span_parts: u64,
    refuses: bool,
    next_part: u64,
    /// What a joiner gets: head, init, burst.
    welcome: Vec<u8>,
    joining: BTreeMap<u64, OwnedFd>,
    listeners: BTreeMap<u64, OwnedFd>,
}

impl Floor {
    fn new(listener: OwnedFd, span_parts: u64, refuses: bool) -> Result<Self, Box<dyn Error>> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let data = epoll::EventData::new_u64(0);
        epoll::add(&epoll, &listener, data, epoll::EventFlags::IN)?;
        let mut floor = Self {
            listener,
            epoll,
            span_parts,
            refuses,
            next_part: 1_000,
            welcome: Vec::new(),
            joining: BTreeMap::new(),
            listeners: BTreeMap::new(),
        };
        floor.make_span();
        Ok(floor)
    }

    fn run(mut self) -> Result<(), Box<dyn Error>> {
        let span = Duration::from_millis(self.span_parts * PART_DURATION_MS);
        let mut next = Instant::now() + span;
        let mut events = Vec::with_capacity(EVENTS_MAX);
        loop {
            let now = Instant::now();
            if now >= next {
                next += span;
                let bytes = self.make_span();
                // Whoever cannot take it is not looked after: this is the floor.
                for socket in self.listeners.values() {
                    let _ = rustix::net::send(
                        socket,
                        &bytes,
                        SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
                    );
                }
            }
            let wait = next.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(wait)?;
            events.clear();
            epoll::wait(
                &self.epoll,
                rustix::buffer::spare_capacity(&mut events),
                Some(&timeout),
            )?;
            for event in &events {
                match event.data.u64() {
                    0 => self.accept()?,
                    one => self.hear(one),
                }
            }
        }
    }

    /// The bytes of the next span; the welcome ends with it from now on.
    fn make_span(&mut self) -> Vec<u8> {
        let parts = |from: u64, to: u64| (from..to).flat_map(|part| noise(part).to_vec());
        let from = self.next_part;
        self.next_part += self.span_parts;
        let burst = parts(self.next_part.saturating_sub(BURST_PARTS), self.next_part);
        self.welcome = [HEAD, &init(Rendition::O48, Channels::Mono, None)].concat();
        self.welcome.extend(burst);
        parts(from, self.next_part).collect()
    }

    fn accept(&mut self) -> Result<(), Box<dyn Error>> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        while let Ok(socket) = rustix::net::accept_with(&self.listener, flags) {
            let one = u64::try_from(socket.as_raw_fd())?;
            let data = epoll::EventData::new_u64(one);
            let wanted = epoll::EventFlags::IN | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
            epoll::add(&self.epoll, &socket, data, wanted)?;
            self.joining.insert(one, socket);
        }
        Ok(())
    }

    fn hear(&mut self, one: u64) {
        let mut request = [0; 2_048];
        let socket = self.joining.get(&one).or_else(|| self.listeners.get(&one));
        let Some(socket) = socket else { return };
        let read = rustix::net::recv(socket, request.as_mut_slice(), RecvFlags::empty());
        if !matches!(read, Ok((_, 1..))) {
            self.joining.remove(&one);
            self.listeners.remove(&one);
        } else if let Some(socket) = self.joining.remove(&one) {
            if self.refuses {
                let _ = rustix::net::send(&socket, REFUSAL, SendFlags::NOSIGNAL);
                return;
            }
            let _ = rustix::net::send(&socket, &self.welcome, SendFlags::NOSIGNAL);
            self.listeners.insert(one, socket);
        }
    }
}

/// A part of 120-byte packets, as 48 kb/s has them.
fn noise(part: u64) -> Bytes {
    let packet = |place: u64| -> Bytes {
        (0..120_u64)
            .map(|at| u8::try_from((part * 31 + place * 7 + at * 131) % 251).expect("below 251"))
            .collect::<Vec<u8>>()
            .into()
    };
    let packets: Vec<Bytes> = (0..16).map(packet).collect();
    package(Rendition::O48, PartIndex(part), &packets).cmaf
}
