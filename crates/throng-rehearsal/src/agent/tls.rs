//! A port that speaks TLS 1.3 (RFC 8446) over another one: a connection is told as made when its handshake is done.
//!
//! Who has a connection has a [`Session`] of some 1.5 KB, and no buffer but the beginning of a record that is not whole.
//! Certificates are not looked at here, nor are the server's signatures checked: the leader has done so once, and a crowd
//! must cost less than what it tries. So this is no way to talk to a server that one has to trust.

mod session;
mod tickets;
mod unverified;

use std::io;
use std::sync::Arc;

use rustix::io::Errno;
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::version::TLS13;
use rustls::{ClientConfig, HandshakeKind};

use self::session::{Progress, Session};
use self::tickets::Tickets;
use self::unverified::Unverified;
use super::port::{Event, Place, Port, Taken, Trouble};
use super::time::now_us;
use crate::orders::{Sessions, Tls};
use crate::tally::Handshakes;

/// A port that speaks TLS.
pub(super) struct TlsPort {
    under: Box<dyn Port>,
    config: Arc<ClientConfig>,
    tickets: Arc<Tickets>,
    name: ServerName<'static>,
    sessions: Sessions,
    lines: Vec<Line>,
    counts: Handshakes,
    /// Something is there to be taken at a place that has just been told as made.
    readable: Option<Place>,
    plain: Vec<u8>,
    sealed: Vec<u8>,
}

/// What is known of a place.
#[derive(Default)]
struct Line {
    session: Option<Box<Session>>,
    began_us: u64,
    /// Whether a handshake has been done here before: who comes back.
    comes_back: bool,
}

impl TlsPort {
    pub(super) fn new(under: Box<dyn Port>, tls: &Tls, connections: u32) -> io::Result<Self> {
        let tickets = Arc::new(Tickets::default());
        let mut lines = Vec::new();
        lines.resize_with(connections as usize, Line::default);
        Ok(Self {
            under,
            config: Arc::new(config(tickets.clone()).map_err(io::Error::other)?),
            tickets,
            name: ServerName::try_from(tls.name.clone()).map_err(io::Error::other)?,
            sessions: tls.sessions,
            lines,
            counts: Handshakes::default(),
            readable: None,
            plain: Vec::new(),
            sealed: Vec::new(),
        })
    }

    /// A connection is made: the client speaks first.
    fn begin(&mut self, place: Place) -> Option<Event> {
        let line = &mut self.lines[place as usize];
        self.tickets.allow(match self.sessions {
            Sessions::New => false,
            Sessions::Resumed => true,
            Sessions::Returning => line.comes_back,
        });
        self.sealed.clear();
        line.began_us = now_us();
        let begun = Session::begin(&self.config, &self.name, &mut self.sealed);
        let Ok(session) = begun else {
            return Some(self.failed(place));
        };
        line.session = Some(Box::new(session));
        (!self.under.send(place, &self.sealed)).then_some(Event::Unsent(place))
    }

    fn is_shaking_hands(&self, place: Place) -> bool {
        let line = self.lines.get(place as usize);
        line.and_then(|line| line.session.as_ref())
            .is_some_and(|session| !session.is_established())
    }

    /// Goes on with a handshake; what there is to tell of it.
    fn shake_hands(&mut self, place: Place) -> Option<Event> {
        self.plain.clear();
        self.sealed.clear();
        let line = &mut self.lines[place as usize];
        let session = line.session.as_mut()?;
        let mut progress = Progress::Open;
        loop {
            let received = match self.under.take(place) {
                Taken::Bytes(bytes) => session.receive(bytes, &mut self.plain, &mut self.sealed),
                Taken::Nothing => break,
                Taken::Broken | Taken::End => return Some(self.failed(place)),
            };
            match received {
                Ok(made) => progress = made,
                Err(_) => return Some(self.failed(place)),
            }
        }
        if !session.is_established() {
            let sent = self.sealed.is_empty() || self.under.send(place, &self.sealed);
            return (!sent).then_some(Event::Unsent(place));
        }
        // The last words of the handshake go out with the request.
        session.keep(&self.plain, &self.sealed);
        if progress == Progress::Closed || !self.plain.is_empty() {
            self.readable = Some(place);
        }
        line.comes_back = true;
        self.counts.made += 1;
        self.counts.resumed += u64::from(session.kind() == Some(HandshakeKind::Resumed));
        self.counts.us.note(now_us().saturating_sub(line.began_us));
        Some(Event::Made(place))
    }

    fn failed(&mut self, place: Place) -> Event {
        self.counts.failed += 1;
        self.lines[place as usize].session = None;
        Event::Missed(place, Trouble(Errno::PROTO))
    }
}

impl Port for TlsPort {
    fn wait(&mut self, most_us: u64) -> io::Result<()> {
        self.under.wait(most_us)
    }

    fn next(&mut self) -> Option<Event> {
        if let Some(place) = self.readable.take() {
            return Some(Event::Readable(place));
        }
        loop {
            let told = match self.under.next()? {
                Event::Made(place) => self.begin(place),
                Event::Readable(place) if self.is_shaking_hands(place) => self.shake_hands(place),
                event => Some(event),
            };
            if told.is_some() {
                return told;
            }
        }
    }

    fn take(&mut self, place: Place) -> Taken<'_> {
        let Some(session) = &mut self.lines[place as usize].session else {
            return Taken::Nothing;
        };
        self.plain.clear();
        self.sealed.clear();
        session.kept(&mut self.plain);
        while self.plain.is_empty() && !session.is_over() {
            match self.under.take(place) {
                Taken::Bytes(bytes) => {
                    let received = session.receive(bytes, &mut self.plain, &mut self.sealed);
                    if received.is_err() {
                        return Taken::Broken;
                    }
                }
                Taken::Nothing => return Taken::Nothing,
                Taken::Broken => return Taken::Broken,
                Taken::End => return Taken::End,
            }
        }
        if !self.sealed.is_empty() && !self.under.send(place, &self.sealed) {
            return Taken::Broken;
        }
        if self.plain.is_empty() {
            return Taken::End;
        }
        Taken::Bytes(&self.plain)
    }

    fn connect(&mut self, place: Place) -> Result<(), Trouble> {
        self.lines[place as usize].session = None;
        self.under.connect(place)
    }

    fn send(&mut self, place: Place, bytes: &[u8]) -> bool {
        let Some(session) = &mut self.lines[place as usize].session else {
            return false;
        };
        self.sealed.clear();
        session.send(bytes, &mut self.sealed).is_ok() && self.under.send(place, &self.sealed)
    }

    fn close(&mut self, place: Place) {
        self.lines[place as usize].session = None;
        self.readable.take_if(|readable| *readable == place);
        self.under.close(place);
    }

    fn handshakes(&self) -> Option<&Handshakes> {
        Some(&self.counts)
    }
}

/// What a client says first.
pub(super) fn first_words(tls: &Tls) -> io::Result<Vec<u8>> {
    let mut words = Vec::new();
    let config = config(Arc::default()).map_err(io::Error::other)?;
    let name = ServerName::try_from(tls.name.clone()).map_err(io::Error::other)?;
    Session::begin(&Arc::new(config), &name, &mut words).map_err(io::Error::other)?;
    Ok(words)
}

/// How a player speaks TLS, but for the trust.
fn config(tickets: Arc<Tickets>) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Arc::new(Unverified::new(&provider));
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::store(tickets);
    Ok(config)
}

#[cfg(test)]
mod tests;
