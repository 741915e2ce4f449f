//! The way in: from an accepted connection to a listener, to the ordinary server, or out again.

use std::net::TcpStream;

use bytes::Bytes;
use throng_core::caching::BRIEF;
use throng_core::space::State;

use super::{Interest, Place, Port, READ_MAX_BYTES, Refused, Shard, Slot, Waiting, span};
use crate::engine::head::{self, Asked, Head};
use crate::engine::port::Taken;
use crate::on_air::FILL_TIMEOUT;

/// Time for the first byte after the connection is there; browsers open spare connections and are told by a clean
/// close that this one was not needed.
const FIRST_BYTE_MS: u64 = 10_000;
/// Time for the whole head from its first byte.
const HEAD_MS: u64 = 15_000;
/// Time for the programme to be made ready.
const FILL_MS: u64 = FILL_TIMEOUT.as_secs() * 1_000;
/// Heads that may be unfinished at once on a shard, so that they hold 32 MB at most. A head comes in one piece from
/// nearly everyone; whose does not when there are so many is refused as if it had not ended in time.
pub(super) const HEADS_MAX: usize = 2_048;

impl<P: Port> Shard<P> {
    /// Somebody connected; usually his request is there already.
    pub(super) fn arrive(&mut self, place: Place) {
        let count = place as usize + 1;
        if self.slots.len() < count {
            self.slots.resize(count, Slot::Empty);
        }
        self.slots[place as usize] = Slot::Undecided {
            until_ms: self.now_ms + FIRST_BYTE_MS,
            has_spoken: false,
        };
        self.connections += 1;
        self.tally.accepted();
        if self.connections >= self.connections_max {
            self.port.set_accepting(false);
        }
        self.read(place);
    }

    /// Reads what is there.
    pub(super) fn read(&mut self, place: Place) {
        let mut bytes = [0; READ_MAX_BYTES];
        match (
            self.port.take(place, &mut bytes),
            self.slots[place as usize],
        ) {
            (Taken::End, _) => self.lose(place),
            (Taken::Bytes(length), Slot::Undecided { has_spoken, .. }) => {
                self.judge(place, &bytes[..length], has_spoken);
            }
            // Whatever somebody says besides is not heard.
            (Taken::Nothing | Taken::Bytes(_), _) => self.port.watch(place, Interest::Read),
        }
    }

    fn judge(&mut self, place: Place, bytes: &[u8], has_spoken: bool) {
        let mut read = self.heads.remove(&place).unwrap_or_default();
        let whole = if read.is_empty() {
            bytes
        } else {
            read.extend(bytes);
            &read
        };
        match head::read(whole) {
            Head::HandOn => self.hand_on(place, whole.to_vec()),
            Head::Live(asked) => self.admit(place, asked, whole),
            Head::Partial => {
                let read = if read.is_empty() {
                    bytes.to_vec()
                } else {
                    read
                };
                self.wait_for_more(place, read, has_spoken);
            }
            Head::Refuse(refusal) => {
                self.answer(place, &span::refusal(refusal), Refused::Head(refusal));
            }
        }
    }

    fn wait_for_more(&mut self, place: Place, read: Vec<u8>, has_spoken: bool) {
        if self.heads.len() >= HEADS_MAX {
            return self.turn_away(place, Refused::Unfinished);
        }
        self.heads.insert(place, read);
        if !has_spoken {
            self.slots[place as usize] = Slot::Undecided {
                until_ms: self.now_ms + HEAD_MS,
                has_spoken: true,
            };
        }
        self.port.watch(place, Interest::Read);
    }

    /// Lets somebody in who asks for a stream, if there is one.
    fn admit(&mut self, place: Place, asked: Asked<'_>, head: &[u8]) {
        let found = self.air.find(asked.slug).filter(|on_air| {
            let state = on_air.facts().space.state;
            matches!(state, State::Announced | State::Doors | State::Live)
        });
        let Some(on_air) = found else {
            return self.hand_on(place, head.to_vec());
        };
        let waiting = Waiting {
            seat: self.seats.take(asked.slug, on_air),
            format: asked.format,
            rendition: asked.rendition,
            until_ms: self.now_ms + FILL_MS,
        };
        self.slots[place as usize] = Slot::Waiting(waiting);
        self.try_join(place, waiting);
        if matches!(self.slots[place as usize], Slot::Waiting(_)) {
            self.port.watch(place, Interest::Leave);
        }
    }

    /// Joins as soon as the programme is ready.
    pub(super) fn try_join(&mut self, place: Place, waiting: Waiting) {
        let is_over = self.now_ms >= waiting.until_ms;
        let seat = self.seats.at(waiting.seat);
        let view = seat.view();
        let is_ready = view.is_joinable() || is_over && view.next > view.oldest;
        if seat.on_air.is_closed() || is_over && !(seat.flowing && is_ready) {
            let sentence = "The programme is being made ready. Please come again in two seconds.\n";
            let answer = span::short(
                "503 Service Unavailable",
                BRIEF,
                sentence,
                "retry-after: 2\r\n",
            );
            self.answer(place, &answer, Refused::Unready);
        } else if seat.flowing && is_ready {
            self.join(place, waiting);
        }
    }

    /// Hands a connection to the ordinary server, unless that has no place.
    fn hand_on(&mut self, place: Place, read: Vec<u8>) {
        let Some(reserved) = self.hand_over.place() else {
            let sentence =
                "Too many people ask for this at once. Please come again in a few seconds.\n";
            let answer = span::short(
                "503 Service Unavailable",
                BRIEF,
                sentence,
                "retry-after: 5\r\n",
            );
            return self.answer(place, &answer, Refused::Crowded);
        };
        self.slots[place as usize] = Slot::Releasing;
        self.releasing.insert(place, (read, reserved));
        self.port.release(place);
    }

    /// A connection is an ordinary one now.
    pub(super) fn release(&mut self, place: Place, stream: TcpStream) {
        self.slots[place as usize] = Slot::Empty;
        self.connections -= 1;
        if let Some((read, reserved)) = self.releasing.remove(&place) {
            self.hand_over.give(stream, read, reserved);
            self.tally.handed_on();
        }
    }

    /// Gives a short answer to somebody who is not let in, and closes.
    fn answer(&mut self, place: Place, answer: &Bytes, reason: Refused) {
        self.tally.refused(reason);
        if let Slot::Waiting(waiting) = self.slots[place as usize] {
            self.leave(waiting.seat, None);
        }
        // A fresh send buffer takes a few hundred bytes, so that nothing is learnt from the outcome.
        let _ = self.port.send(place, answer, false);
        self.linger(place);
    }

    /// Closes a connection that came to nothing.
    pub(super) fn turn_away(&mut self, place: Place, reason: Refused) {
        self.tally.refused(reason);
        self.heads.remove(&place);
        self.releasing.remove(&place);
        if let Slot::Waiting(waiting) = self.slots[place as usize] {
            self.leave(waiting.seat, None);
        }
        self.drop(place);
    }
}
