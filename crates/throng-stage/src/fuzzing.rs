//! Doors for the fuzz targets, and for nobody else (`cfg(fuzzing)`): hostile bytes to what is private here.
//!
//! Each door checks what must hold whatever comes in. Time is a number: nothing here waits.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::net::Protocol;

use crate::demux::{self, DATAGRAM_MAX_BYTES};
use crate::endpoint::{Endpoint, Places};
use crate::event::Event;
use crate::peer::{Peer, PeerOutput};
use crate::sdp::{Fragment, narrow};
use crate::session::{CONNECT_LIMIT, ProgrammeKey, SILENCE_LIMIT, SeatKey};
use crate::tcp::Deframer;

const SEAT: SeatKey = SeatKey(7);
const STEP: Duration = Duration::from_millis(10);
/// Ticks at one moment after which the endpoint must want a later one: the shell would spin.
const TICKS_MAX: usize = 20;
/// Ticks until a silent session has ended: a few a second are its timers' share.
const LAST_TICKS_MAX: usize = 5_000;

/// An offer, for a speaker and for a listener.
pub fn offer(text: &str) {
    let mut endpoint = endpoint();
    let now = Instant::now();
    let answers = [
        endpoint.publish(now, text, SEAT),
        endpoint.subscribe(now, text, ProgrammeKey(3)),
    ];
    for answer in answers.iter().flatten() {
        assert!(answer.sdp.starts_with("v=0"), "{}", answer.sdp);
        assert!(narrow(&answer.sdp, Protocol::Udp).is_some(), "no candidate");
    }
    let _ = narrow(text, Protocol::Tcp);
    let mut rest = Rest::of(now);
    rest.run(&mut endpoint);
}

/// Whether this is a `trickle-ice-sdpfrag`.
pub fn fragment(text: &str) -> bool {
    Fragment::parse(text).is_ok()
}

/// Which user a datagram names, if it is a STUN binding request.
pub fn stun_user(datagram: &[u8]) -> Option<&str> {
    let _ = demux::is_binding_success(datagram);
    match demux::classify(datagram) {
        demux::Datagram::BindingRequest(user) => Some(user),
        _ => None,
    }
}

/// The frames of a TCP stream that comes in pieces, and whether a frame was too long.
pub fn deframe<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, bool) {
    let (mut deframer, mut frames) = (Deframer::default(), Vec::new());
    for piece in pieces {
        deframer.push(piece);
        loop {
            match deframer.next() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(_) => return (frames, true),
            }
        }
    }
    (frames, false)
}

/// The longest frame that [`deframe`] gives.
pub const FRAME_MAX_BYTES: usize = DATAGRAM_MAX_BYTES;

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// The speaker.
    Caller,
    /// The speaker from another address.
    Roamed,
    /// Somebody without any key.
    Stranger,
}

impl Sender {
    fn address(self) -> SocketAddr {
        let host = match self {
            Self::Caller => 1,
            Self::Roamed => 2,
            Self::Stranger => 66,
        };
        SocketAddr::from(([198, 51, 100, host], 1000))
    }
}

/// A speaker's session, its real peer, and the wire between them.
pub struct Wire {
    endpoint: Endpoint,
    caller: Peer,
    out: Vec<PeerOutput>,
    session: crate::SessionId,
    rest: Rest,
}

impl Wire {
    /// A session that has just been answered.
    #[allow(clippy::new_without_default, reason = "it draws keys")]
    pub fn new() -> Self {
        let mut endpoint = endpoint();
        let now = Instant::now();
        let (mut caller, pending, offer) = Peer::offer(now, true);
        let answer = endpoint
            .publish(now, &offer, SEAT)
            .expect("our own offer is sound");
        let (sdp, _) = narrow(&answer.sdp, Protocol::Udp).expect("our own answer is sound");
        caller
            .accept_answer(pending, &sdp, Protocol::Udp, Sender::Caller.address())
            .expect("our own answer is sound");
        let mut out = Vec::new();
        caller.tick(now, &mut out);
        Self {
            endpoint,
            caller,
            out,
            session: answer.session,
            rest: Rest::of(now),
        }
    }

    /// Carries everything both ways, then moves time on. `spoil` says what arrives for each datagram of the caller.
    pub fn step(&mut self, mut spoil: impl FnMut(&[u8]) -> Vec<(Sender, Vec<u8>)>) {
        for output in std::mem::take(&mut self.out) {
            if let PeerOutput::Transmit(transmit) = output {
                for (sender, bytes) in spoil(&transmit.contents) {
                    self.deliver(sender, &bytes);
                }
            }
        }
        self.answers();
        self.wait(STEP);
    }

    /// A datagram arrives.
    pub fn deliver(&mut self, sender: Sender, bytes: &[u8]) {
        let source = (Protocol::Udp, sender.address());
        self.endpoint.datagram(self.rest.now, source, bytes);
        self.rest.check(&mut self.endpoint);
    }

    /// The caller, who has the keys, sends any payload under any numbers.
    pub fn say(&mut self, red: bool, sequence: u64, timestamp: u32, payload: &[u8]) {
        let numbers = (sequence, timestamp);
        self.caller
            .send_raw(self.rest.now, red, numbers, payload, &mut self.out);
    }

    /// PATCH with any fragment.
    pub fn patch(&mut self, fragment: &str) {
        let _ = self
            .endpoint
            .patch(self.rest.now, &self.session, Some("*"), fragment);
        self.rest.check(&mut self.endpoint);
    }

    /// Somebody asks to listen and does not come.
    pub fn knock(&mut self) {
        let (.., offer) = Peer::offer(self.rest.now, false);
        let _ = self
            .endpoint
            .subscribe(self.rest.now, &offer, ProgrammeKey(3));
        self.rest.check(&mut self.endpoint);
    }

    /// Time passes.
    pub fn wait(&mut self, time: Duration) {
        self.rest.now += time;
        self.rest.tick(&mut self.endpoint);
        self.caller.tick(self.rest.now, &mut self.out);
    }

    /// Whether the session is up.
    pub fn is_connected(&self) -> bool {
        self.rest.joined
    }

    /// The caller falls silent: nothing of the session may stay.
    pub fn finish(mut self) {
        self.answers();
        self.rest.run(&mut self.endpoint);
        assert!(self.rest.left, "a session that was opened ends");
    }

    fn answers(&mut self) {
        for (destination, contents) in std::mem::take(&mut self.rest.sent) {
            if destination == Sender::Caller.address() {
                let from = (Protocol::Udp, ours());
                let _ =
                    self.caller
                        .receive(self.rest.now, from, destination, &contents, &mut self.out);
            }
        }
    }
}

/// What the endpoint does by itself, and what must hold of it.
struct Rest {
    now: Instant,
    sent: Vec<(SocketAddr, Vec<u8>)>,
    joined: bool,
    left: bool,
}

impl Rest {
    fn of(now: Instant) -> Self {
        Self {
            now,
            sent: Vec::new(),
            joined: false,
            left: false,
        }
    }

    fn tick(&mut self, endpoint: &mut Endpoint) {
        let mut ticks = 0;
        endpoint.tick(self.now);
        while endpoint.due().is_some_and(|due| due <= self.now) {
            ticks += 1;
            assert!(ticks < TICKS_MAX, "time is asked for that has passed");
            endpoint.tick(self.now);
        }
        self.check(endpoint);
    }

    /// Until everything has ended.
    fn run(&mut self, endpoint: &mut Endpoint) {
        let latest = self.now + CONNECT_LIMIT.max(SILENCE_LIMIT);
        for _ in 0..LAST_TICKS_MAX {
            let Some(due) = endpoint.due() else {
                return;
            };
            assert!(due <= latest, "a silent session lingers");
            self.now = self.now.max(due);
            self.tick(endpoint);
        }
        panic!("a silent session keeps its timers busy");
    }

    fn check(&mut self, endpoint: &mut Endpoint) {
        while let Some(transmit) = endpoint.poll_transmit() {
            assert_ne!(
                transmit.destination,
                Sender::Stranger.address(),
                "an answer to nobody"
            );
            assert!(transmit.contents.len() <= DATAGRAM_MAX_BYTES);
            self.sent
                .push((transmit.destination, transmit.contents.to_vec()));
        }
        while let Some(event) = endpoint.poll_event() {
            assert!(!self.left, "an event of a session that has ended");
            match event {
                Event::Joined { .. } => {
                    assert!(!self.joined, "joined twice");
                    self.joined = true;
                }
                Event::Packet { packet, .. } => {
                    assert!(self.joined, "sound of a session that is not up");
                    assert!(packet.bytes.len() <= DATAGRAM_MAX_BYTES);
                }
                Event::Left { .. } => self.left = true,
            }
        }
        endpoint.check_invariants();
    }
}

fn ours() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 5000))
}

fn endpoint() -> Endpoint {
    let places = Places {
        speakers: 2,
        listeners: 2,
    };
    Endpoint::new(vec![ours()], places, Arc::default())
}
