//! All sessions behind one port, without the port: datagrams, requests and time go in; datagrams and events come out.
//!
//! One owner, no locks, no sockets, no clock: [`crate::run`] is the shell around it.
//! Invariants: a seat has at most one session; no session sees a datagram that is not addressed to it by its user
//! fragment or by an address that its ICE has validated; nobody but a session's peer is ever sent anything.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use str0m::net::{Protocol, Transmit};

use crate::counters::{Counters, count, set};
use crate::demux::{Datagram, Key, Routes, classify};
use crate::error::StageError;
use crate::event::Event;
use crate::peer::PeerOutput;
use crate::reachable::Reachable;
use crate::sdp::{Fragment, restart_fragment};
use crate::session::{ADDRESSES_MAX, EndReason, Part, ProgrammeKey, SeatKey, Session, SessionId};
use crate::stage::{Answer, Patched, SPEAKERS_MAX};

mod life;
#[cfg(test)]
mod tests;

/// Listeners whose connection is not up yet, where so many places are free. Anybody may ask, so whoever asks and does not
/// come must not hold the places of those who do; but all the listeners of a node with the usual limit may come back at
/// once after a restart. Full: a newer one takes the place of the oldest that has not proved its address, or else of the
/// oldest.
const DOORWAY_MAX: usize = 256;
/// Sessions that others ended and that are remembered, so that a client that asks learns why it was put out: one for each
/// speaker. Full: the oldest is forgotten, and its client hears that there is no such session.
const PUT_OUT_MAX: usize = SPEAKERS_MAX;
/// Samples in a frame of 20 ms at 48 kHz, the RTP clock of Opus (RFC 7587 section 4.1).
const FRAME_SAMPLES: u64 = 960;

/// How many sessions at once; more are refused with [`StageError::Full`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places {
    pub(crate) speakers: usize,
    pub(crate) listeners: usize,
}

/// Where a datagram comes from.
pub(crate) type Source = (Protocol, SocketAddr);

/// The endpoint.
pub(crate) struct Endpoint {
    reachable: Reachable,
    places: Places,
    counters: Arc<Counters>,
    sessions: BTreeMap<Key, Session>,
    next_key: Key,
    ids: HashMap<SessionId, Key>,
    seats: BTreeMap<SeatKey, Key>,
    /// And why. Oldest first.
    put_out: VecDeque<(SessionId, StageError)>,
    routes: Routes,
    /// Emptied by the shell after every input, so it holds what one input brought about.
    transmits: VecDeque<Transmit>,
    /// As above.
    events: VecDeque<Event>,
    drained: Vec<PeerOutput>,
}

impl Endpoint {
    /// An endpoint without sessions.
    pub(crate) fn new(
        reachable: impl Into<Reachable>,
        places: Places,
        counters: Arc<Counters>,
    ) -> Self {
        let reachable = reachable.into();
        assert!(
            !reachable.stage.is_empty(),
            "peers need an address to come to"
        );
        Self {
            reachable,
            places,
            counters,
            sessions: BTreeMap::new(),
            next_key: 0,
            ids: HashMap::new(),
            seats: BTreeMap::new(),
            put_out: VecDeque::new(),
            routes: Routes::default(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            drained: Vec::new(),
        }
    }

    /// WHIP (RFC 9725): a speaker comes. An earlier session of the seat ends.
    pub(crate) fn publish(
        &mut self,
        now: Instant,
        offer: &str,
        seat: SeatKey,
    ) -> Result<Answer, StageError> {
        let replaced = self.seats.get(&seat).copied();
        let taken = self.seats.len() - usize::from(replaced.is_some());
        let answer = self.open(now, offer, Part::Speaker(seat), taken)?;
        if let Some(old) = replaced {
            self.remember(old, StageError::Replaced);
            self.end(old, EndReason::Replaced);
        }
        self.seats.insert(seat, self.ids[&answer.session]);
        Ok(answer)
    }

    /// WHEP: a listener comes.
    pub(crate) fn subscribe(
        &mut self,
        now: Instant,
        offer: &str,
        programme: ProgrammeKey,
    ) -> Result<Answer, StageError> {
        let doorway = self.keys(|session| session.is_listener() && !session.is_connected());
        let inside = self.sessions.len() - self.seats.len() - doorway.len();
        let answer = self.open(now, offer, Part::Listener(programme), inside)?;
        if doorway.len() >= DOORWAY_MAX.min(self.places.listeners - inside) {
            let unproved = |key: &&Key| self.sessions[*key].addresses.is_empty();
            if let Some(&oldest) = doorway.iter().find(unproved).or(doorway.first()) {
                self.end(oldest, EndReason::NeverConnected);
            }
        }
        Ok(answer)
    }

    /// Trickle ICE and ICE restart (RFC 9725 section 4.3).
    pub(crate) fn patch(
        &mut self,
        now: Instant,
        id: &SessionId,
        if_match: Option<&str>,
        fragment: &str,
    ) -> Result<Patched, StageError> {
        let key = self.key_of(id)?;
        let session = self
            .sessions
            .get_mut(&key)
            .expect("ids name living sessions");
        match if_match.map(str::trim) {
            None => return Err(StageError::EtagRequired),
            Some("*") => {}
            Some(tag) if tag == session.etag() => {}
            Some(_) => return Err(StageError::EtagMismatch),
        }
        let fragment = Fragment::parse(fragment)?;
        let Some(theirs) = fragment
            .credentials
            .filter(|new| new != session.offer.credentials())
        else {
            // Candidates: a lite agent has no use for them.
            return Ok(Patched::Trickled);
        };
        let offer = session.offer.restarted(theirs);
        let answer = session.peer.restart(&offer)?;
        self.routes.remove_user(&session.ours.ufrag);
        session.offer = offer;
        session.ours = session.peer.credentials();
        self.routes.add_user(&session.ours.ufrag, key);
        // Media goes on by the present path until the new one is validated.
        while session.addresses.len() > 1 {
            let old = session
                .addresses
                .pop_front()
                .expect("there is more than one");
            self.routes.remove_address(old, key);
        }
        let patched = Patched::Restarted {
            fragment: restart_fragment(&answer, &session.ours),
            etag: session.etag(),
        };
        self.at(now, key, |peer, out| peer.tick(now, out));
        Ok(patched)
    }

    /// DELETE, or the owner's wish.
    pub(crate) fn close(&mut self, id: &SessionId) -> Result<(), StageError> {
        let key = self.key_of(id)?;
        self.end(key, EndReason::Closed);
        Ok(())
    }

    /// The seat is withdrawn.
    pub(crate) fn close_seat(&mut self, seat: SeatKey) {
        if let Some(&key) = self.seats.get(&seat) {
            self.end(key, EndReason::Closed);
        }
    }

    /// Who sits there is put off the stage, and is told so if he asks.
    pub(crate) fn remove_seat(&mut self, seat: SeatKey) -> Result<(), StageError> {
        let &key = self.seats.get(&seat).ok_or(StageError::UnknownSession)?;
        self.remember(key, StageError::Removed);
        self.end(key, EndReason::Closed);
        Ok(())
    }

    /// The programme is over.
    pub(crate) fn close_programme(&mut self, programme: ProgrammeKey) {
        for key in self.keys(|session| session.part == Part::Listener(programme)) {
            self.end(key, EndReason::Closed);
        }
    }

    /// Everybody out.
    pub(crate) fn close_all(&mut self) {
        for key in self.keys(|_| true) {
            self.end(key, EndReason::Closed);
        }
    }

    /// A datagram, or a frame of ICE-TCP, came in. False if it was nobody's.
    pub(crate) fn datagram(&mut self, now: Instant, source: Source, bytes: &[u8]) -> bool {
        count(&self.counters.datagrams_in);
        let (key, dropped) = match classify(bytes) {
            Datagram::BindingRequest(ufrag) => {
                (self.routes.by_user(ufrag), &self.counters.dropped_stun)
            }
            Datagram::Media => (
                self.routes.by_address(source),
                &self.counters.dropped_unvalidated,
            ),
            Datagram::OtherStun => (None, &self.counters.dropped_stun),
            Datagram::Unknown => (None, &self.counters.dropped_malformed),
        };
        let Some(key) = key else {
            count(dropped);
            return false;
        };
        // Who spoofs a speaker's address and has a session of his own must not draw the speaker's media to it.
        if self
            .routes
            .by_address(source)
            .is_some_and(|owner| owner != key)
        {
            count(&self.counters.dropped_stun);
            return false;
        }
        let session = &self.sessions[&key];
        if !session.knows(source) && session.addresses.len() >= ADDRESSES_MAX {
            count(&self.counters.dropped_addresses);
            return false;
        }
        let destination = self.destination(source.1);
        let mut taken = Ok(());
        self.at(now, key, |peer, out| {
            taken = peer.receive(now, source, destination, bytes, out);
        });
        if taken.is_err() {
            count(&self.counters.dropped_unreadable);
        }
        // A request with a wrong password is no error to the library, but it proves nothing and gets no answer.
        let known = self.routes.by_address(source) == Some(key);
        if !known {
            count(&self.counters.dropped_stun);
        }
        known
    }

    /// An ICE-TCP connection has ended.
    pub(crate) fn disconnected(&mut self, source: Source) {
        if let Some(key) = self.routes.by_address(source) {
            self.routes.remove_address(source, key);
        }
    }

    /// That speaker's mix-minus.
    pub(crate) fn send_return(&mut self, now: Instant, seat: SeatKey, frame: u64, packet: &[u8]) {
        if let Some(&key) = self.seats.get(&seat) {
            self.send(now, key, frame, &Arc::from(packet));
        }
    }

    /// The programme, to all its listeners.
    pub(crate) fn send_programme(
        &mut self,
        now: Instant,
        programme: ProgrammeKey,
        frame: u64,
        packet: &[u8],
    ) {
        let packet = Arc::from(packet);
        for key in self.keys(|session| session.part == Part::Listener(programme)) {
            self.send(now, key, frame, &packet);
        }
    }

    /// Time passes: timers run, the silent end.
    pub(crate) fn tick(&mut self, now: Instant) {
        for key in self.keys(|session| session.due() <= now) {
            match self.sessions[&key].expired(now) {
                Some(reason) => self.end(key, reason),
                None => self.at(now, key, |peer, out| peer.tick(now, out)),
            }
        }
    }

    /// When to call [`Self::tick`] at the latest.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.sessions.values().map(Session::due).min()
    }

    pub(crate) fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn key_of(&self, id: &SessionId) -> Result<Key, StageError> {
        if let Some(&key) = self.ids.get(id) {
            return Ok(key);
        }
        let why = self.put_out.iter().find(|(known, _)| known == id);
        Err(why.map_or(StageError::UnknownSession, |(_, why)| why.clone()))
    }

    /// Remembers why a session that lives is about to end.
    fn remember(&mut self, key: Key, why: StageError) {
        if self.put_out.len() == PUT_OUT_MAX {
            self.put_out.pop_front();
        }
        self.put_out
            .push_back((self.sessions[&key].id.clone(), why));
    }

    /// What holds after every input.
    #[cfg(fuzzing)]
    pub(crate) fn check_invariants(&self) {
        assert!(self.seats.len() <= self.places.speakers);
        assert!(self.sessions.len() - self.seats.len() <= self.places.listeners);
        assert!(self.put_out.len() <= PUT_OUT_MAX);
        assert_eq!(self.ids.len(), self.sessions.len());
        for session in self.sessions.values() {
            assert!(session.addresses.len() <= ADDRESSES_MAX);
        }
        assert!(!self.sessions.is_empty() || self.routes.is_empty());
    }

    /// As which of our addresses a peer of this family has reached us. Who came by another door was let in all the same.
    fn destination(&self, source: SocketAddr) -> SocketAddr {
        let ours = &self.reachable.stage;
        let same_family = ours.iter().find(|ours| ours.is_ipv4() == source.is_ipv4());
        *same_family.unwrap_or(&ours[0])
    }

    fn keys(&self, wanted: impl Fn(&Session) -> bool) -> Vec<Key> {
        self.sessions
            .iter()
            .filter(|(_, session)| wanted(session))
            .map(|(&key, _)| key)
            .collect()
    }

    fn gauge(&self) {
        let speakers = self.keys(|session| !session.is_listener()).len();
        set(&self.counters.speakers, speakers);
        set(&self.counters.listeners, self.sessions.len() - speakers);
    }
}
