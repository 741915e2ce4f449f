//! A WebRTC session as its client sees it: offer and answer over HTTP (WHIP, RFC 9725; WHEP), packets by the stage's
//! client, and a goodbye at the end. A lost session is taken up again, unless somebody else took the seat or the host has
//! ended it; one that may only be out of reach is kept until the server is asked ([`Doubt`]).

use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use throng_stage::client::{Client as Line, ClientError, ClientKind, ClientState, Transport};
use tokio::time::timeout;

use super::Error;
use super::backoff::Backoff;
use super::doubt::{Doubt, Step};
use super::http::Client;
use super::link::resolve;

/// A session that is up.
pub struct Session {
    /// Where packets come and go.
    pub line: Line,
    /// Whether the server hears two channels of us: it says so in its answer (RFC 7587, section 6.1).
    pub is_stereo: bool,
    resource: Resource,
    /// How the packets got through.
    transport: Transport,
    doubt: Doubt,
    /// What the server says to the question whether it is there.
    asked: Option<Receiver<bool>>,
}

/// Where and how to ask for a session.
#[derive(Clone, Debug)]
pub struct Door {
    /// The client towards the server.
    pub client: Client,
    /// The WHIP or WHEP endpoint.
    pub url: String,
    /// The speaker's key; WHEP needs none.
    pub bearer: Option<String>,
    /// What we want there.
    pub kind: ClientKind,
}

/// The session's own URL: DELETE ends it (RFC 9725, section 4.2).
struct Resource {
    door: Door,
    url: Option<String>,
}

impl Door {
    /// Asks for a session and waits until packets can flow: over UDP, or where that does not get through, over TCP.
    pub fn enter(&self) -> Result<Session, Error> {
        self.enter_within(UDP_LIMIT)
    }

    fn enter_within(&self, udp_limit: Duration) -> Result<Session, Error> {
        match self.enter_by(Transport::Udp, udp_limit) {
            Err(Error::NoWay { .. }) => self.enter_by(Transport::Tcp, udp_limit),
            entered => entered,
        }
    }

    fn enter_by(&self, transport: Transport, udp_limit: Duration) -> Result<Session, Error> {
        let (pending, offer) = Line::offer(self.kind, transport);
        let answer = self
            .client
            .post_offer(&self.url, self.bearer.as_deref(), offer)?;
        let url = answer
            .header("location")
            .map(|location| resolve(&self.url, location));
        let resource = Resource {
            door: self.clone(),
            url,
        };
        let answer = answer.text(ANSWER_BYTES_MAX)?;
        let line = pending
            .connect(&answer)
            .and_then(|line| until_connected(line, transport, udp_limit));
        match line {
            Ok(line) => Ok(Session {
                line,
                is_stereo: throng_stage::asks_for_stereo(&answer),
                resource,
                transport,
                doubt: Doubt::default(),
                asked: None,
            }),
            Err(cause) => {
                // One that cannot be told finds out by our silence.
                let _ = resource.give_back();
                Err(self.failed(&cause))
            }
        }
    }

    fn failed(&self, cause: &ClientError) -> Error {
        let (url, reason) = (self.url.clone(), cause.to_string());
        match cause {
            ClientError::Answer(_) => Error::Malformed { url, reason },
            _ => Error::NoWay { url, reason },
        }
    }
}

impl Session {
    /// Says goodbye, on the media connection and over HTTP.
    pub fn close(self) {
        self.line.close();
        // One that cannot be told finds out by our silence.
        let _ = self.resource.give_back();
    }

    /// Whether it is over, or the server is there and yet nothing is heard of it. To be asked again and again.
    pub fn is_lost(&mut self) -> bool {
        let now = Instant::now();
        if let Some(is_there) = self.take_answer() {
            self.doubt.answer(now, is_there);
        }
        if self.line.state() == ClientState::Closed {
            return true;
        }
        match self.doubt.look(now, self.line.silence()) {
            Step::Ask => self.ask(),
            Step::GiveUp => return true,
            Step::Wait => {}
        }
        false
    }

    /// Asks on a thread of its own: whoever speaks does not wait.
    fn ask(&mut self) {
        let (teller, answer) = mpsc::channel();
        self.asked = Some(answer);
        let Door { client, url, .. } = self.resource.door.clone();
        thread::spawn(move || {
            // Nobody may want to know any more.
            let _ = teller.send(client.anew().reaches(&url, ASK_LIMIT));
        });
    }

    fn take_answer(&mut self) -> Option<bool> {
        let answer = match self.asked.as_ref()?.try_recv() {
            Ok(is_there) => is_there,
            Err(TryRecvError::Empty) => return None,
            // The thread is gone without a word.
            Err(TryRecvError::Disconnected) => false,
        };
        self.asked = None;
        Some(answer)
    }

    /// Takes a lost session up again; none when the space is over. Gives up after two minutes, or when told so after a
    /// fruitless try.
    pub fn resume(self, is_given_up: impl Fn() -> bool) -> Result<Option<Self>, Error> {
        let Self {
            line,
            mut resource,
            transport,
            ..
        } = self;
        line.close();
        resource.door.client = resource.door.client.anew();
        let (lost_at, mut backoff) = (Instant::now(), Backoff::default());
        let (door, mut lost) = (resource.door.clone(), Some(resource));
        loop {
            thread::sleep(backoff.next_wait());
            let failed = match door.ask_anew(&mut lost, transport) {
                Ok(session) => return Ok(Some(session)),
                // We have been inside, so it is not too early: the doors are closed for good.
                Err(Error::Refused { status: 409, .. }) => return Ok(None),
                Err(error) if error.may_pass() => error,
                Err(error) => return Err(error),
            };
            // Who is away loses nothing by being asked often, and is found the sooner.
            if matches!(failed, Error::Unreachable { .. }) {
                backoff = Backoff::default();
            }
            if is_given_up() || lost_at.elapsed() > RESUME_LIMIT {
                return Err(Error::BrokeOff(Box::new(failed)));
            }
        }
    }
}

impl Door {
    /// Before a new session is asked for, the server says what became of the lost one: somebody who took the seat
    /// meanwhile, in another window or place, keeps it.
    fn ask_anew(&self, lost: &mut Option<Resource>, last: Transport) -> Result<Session, Error> {
        if let Some(resource) = lost {
            resource.give_back()?;
            *lost = None;
        }
        match last {
            Transport::Tcp => self.enter_by(last, UDP_AGAIN_LIMIT),
            Transport::Udp => self.enter_within(UDP_AGAIN_LIMIT),
        }
    }
}

impl Resource {
    /// Ends the session at the server, if it is still there. An error that is neither [`Error::Removed`] nor
    /// [`Error::Replaced`] says that we do not know.
    fn give_back(&self) -> Result<(), Error> {
        let Some(url) = &self.url else {
            return Ok(());
        };
        match self
            .door
            .client
            .delete(url, self.door.bearer.as_deref(), ASK_LIMIT)
        {
            Err(Error::Refused {
                status: 410, kind, ..
            }) => Err(match kind.as_deref() {
                Some("urn:throng:problem:removed") => Error::Removed,
                _ => Error::Replaced,
            }),
            Err(error) if error.may_pass() => Err(error),
            // Ended now, or unknown to a server that has restarted.
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// Waits for ICE and DTLS; the line itself gives up after a while.
fn until_connected(
    mut line: Line,
    transport: Transport,
    udp_limit: Duration,
) -> Result<Line, ClientError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    runtime.block_on(async {
        match transport {
            Transport::Tcp => line.connected().await,
            Transport::Udp => timeout(udp_limit, line.connected())
                .await
                .unwrap_or(Err(ClientError::Closed)),
        }
    })?;
    Ok(line)
}

/// As long an SDP as the other side takes from us; a longer answer is refused.
const ANSWER_BYTES_MAX: u64 = 32 << 10;
/// A network that lets UDP through does so within a second, with losses within three; after that we try TCP.
const UDP_LIMIT: Duration = Duration::from_secs(5);
/// As before, of one who has been heard: a network that has ceased to let UDP through must not silence him for longer.
const UDP_AGAIN_LIMIT: Duration = Duration::from_secs(3);
/// A server that is there answers within a few round trips; one that does not is asked again, so that it is found soon.
const ASK_LIMIT: Duration = Duration::from_secs(1);
/// After so long an outage it is over.
const RESUME_LIMIT: Duration = Duration::from_mins(2);
