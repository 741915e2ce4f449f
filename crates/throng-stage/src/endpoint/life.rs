//! One session of an endpoint, from its offer to its end, and what it brings about meanwhile.

use std::sync::Arc;
use std::time::Instant;

use super::{Endpoint, FRAME_SAMPLES};
use crate::counters::count;
use crate::demux::{Key, is_binding_success};
use crate::error::StageError;
use crate::event::Event;
use crate::peer::{Peer, PeerOutput, Redundancy};
use crate::sdp::{Offer, Purpose};
use crate::session::{EndReason, Part, Session};
use crate::stage::Answer;

impl Endpoint {
    pub(super) fn open(
        &mut self,
        now: Instant,
        offer: &str,
        part: Part,
        taken: usize,
    ) -> Result<Answer, StageError> {
        let (purpose, redundancy, limit) = match part {
            // A speaker's return must get through; a listener's costs egress twice over for it.
            Part::Speaker(_) => (Purpose::Publish, Redundancy::On, self.places.speakers),
            Part::Listener(_) => (Purpose::Subscribe, Redundancy::Off, self.places.listeners),
        };
        if taken >= limit {
            return Err(StageError::Full { limit });
        }
        let answered = Offer::check(offer, purpose).and_then(|offer| {
            Peer::answer(now, &offer, &self.reachable, redundancy)
                .map(|(peer, sdp)| (offer, peer, sdp))
        });
        let (offer, peer, sdp) = answered.inspect_err(|_| count(&self.counters.offers_refused))?;
        let session = Session::new(now, part, peer, offer);
        let answer = Answer {
            session: session.id.clone(),
            sdp,
            etag: session.etag(),
        };
        let key = self.next_key;
        self.next_key += 1;
        self.routes.add_user(&session.ours.ufrag, key);
        self.ids.insert(session.id.clone(), key);
        self.sessions.insert(key, session);
        count(&self.counters.sessions_opened);
        self.gauge();
        self.at(now, key, |peer, out| peer.tick(now, out));
        Ok(answer)
    }

    pub(super) fn end(&mut self, key: Key, reason: EndReason) {
        let Some(mut session) = self.sessions.remove(&key) else {
            return;
        };
        let was_connected = session.is_connected();
        let mut out = Vec::new();
        session.peer.close(&mut out);
        self.transmits
            .extend(out.into_iter().filter_map(|output| match output {
                PeerOutput::Transmit(transmit) => Some(transmit),
                _ => None,
            }));
        self.routes.remove_user(&session.ours.ufrag);
        for address in session.addresses {
            self.routes.remove_address(address, key);
        }
        self.ids.remove(&session.id);
        if let Part::Speaker(seat) = session.part {
            if reason == EndReason::Gone && !was_connected {
                tracing::info!(
                    "a speaker's connection did not come up; RUST_LOG=throng_stage=debug says why"
                );
            }
            if self.seats.get(&seat) == Some(&key) {
                self.seats.remove(&seat);
            }
            self.events.push_back(Event::Left {
                seat,
                session: session.id,
                reason,
            });
        }
        count(&self.counters.sessions_closed);
        if reason == EndReason::Faulted {
            count(&self.counters.sessions_faulted);
        }
        self.gauge();
        debug_assert!(
            !self.sessions.is_empty() || self.routes.is_empty(),
            "no route outlives its session"
        );
    }

    pub(super) fn send(&mut self, now: Instant, key: Key, frame: u64, packet: &Arc<[u8]>) {
        // The RTP clock wraps; the frame number does not.
        #[expect(
            clippy::cast_possible_truncation,
            reason = "RTP timestamps are the low 32 bits"
        )]
        let timestamp = frame.wrapping_mul(FRAME_SAMPLES) as u32;
        let mut sent = false;
        self.at(now, key, |peer, out| {
            sent = peer.send(now, timestamp, packet, out);
        });
        if sent {
            count(&self.counters.audio_out);
        }
    }

    /// Does something with one connection and takes up what comes of it.
    pub(super) fn at(
        &mut self,
        now: Instant,
        key: Key,
        act: impl FnOnce(&mut Peer, &mut Vec<PeerOutput>),
    ) {
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        let mut drained = std::mem::take(&mut self.drained);
        act(&mut session.peer, &mut drained);
        let mut ended = None;
        for output in drained.drain(..) {
            match output {
                PeerOutput::Transmit(transmit) => {
                    if is_binding_success(&transmit.contents) {
                        session.hear(now);
                        let address = (transmit.proto, transmit.destination);
                        if !session.knows(address) {
                            session.addresses.push_back(address);
                        }
                        self.routes.add_address(address, key);
                    }
                    self.transmits.push_back(transmit);
                }
                PeerOutput::Connected => {
                    session.connect(now);
                    if let Part::Speaker(seat) = session.part {
                        self.events.push_back(Event::Joined {
                            seat,
                            session: session.id.clone(),
                        });
                    }
                }
                PeerOutput::Audio(packet) => {
                    session.hear(now);
                    if let Part::Speaker(seat) = session.part {
                        count(&self.counters.audio_in);
                        let session = session.id.clone();
                        self.events.push_back(Event::Packet {
                            seat,
                            session,
                            packet,
                            arrived: now,
                        });
                    }
                }
                // Asked for by clients alone.
                PeerOutput::Reported(_) => {}
                PeerOutput::Closed => ended = ended.or(Some(EndReason::Gone)),
                PeerOutput::Faulted => ended = Some(EndReason::Faulted),
            }
        }
        self.drained = drained;
        if let Some(reason) = ended {
            self.end(key, reason);
        }
    }
}
