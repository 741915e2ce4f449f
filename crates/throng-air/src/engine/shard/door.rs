//! The way in: from an accepted connection to a listener, to the ordinary server, or out again.

use std::num::NonZeroU64;
use std::sync::Arc;

use throng_core::space::State;

use super::{Interest, Place, Port, READ_MAX_BYTES, Refused, Said, Shard, Slot, Waiting};
use crate::answer::Reply;
use crate::drain::Successor;
use crate::engine::answer::{Framed, refusal, reply};
use crate::engine::head::{self, Asked, Head, Wish};
use crate::engine::port::Taken;
use crate::hand_over::Stream;
use crate::hls;
use crate::ledger::Door;
use crate::on_air::{FILL_TIMEOUT, OnAir};
use crate::room::overflow;

/// Time for the first byte after the connection is there; browsers open spare connections and are told by a clean
/// close that this one was not needed.
pub(super) const FIRST_BYTE_MS: u64 = 10_000;
/// Time for the whole head from its first byte.
pub(super) const HEAD_MS: u64 = 15_000;
/// Time for the programme to be made ready.
pub(super) const FILL_MS: u64 = FILL_TIMEOUT.as_secs() * 1_000;
/// Heads that may be unfinished at once on a shard, so that they hold 32 MB at most. A head comes in one piece from
/// nearly everyone; whose does not when there are so many is refused as if it had not ended in time.
pub(super) const HEADS_MAX: usize = 2_048;

impl<P: Port> Shard<P> {
    /// Somebody connected; usually his request is there already.
    pub(super) fn arrive(&mut self, place: Place) {
        let count = place as usize + 1;
        if self.slots.len() < count {
            self.slots.resize(count, Slot::Empty);
            self.lives.resize(count, 0);
        }
        self.lives[place as usize] = self.lives[place as usize].wrapping_add(1);
        self.slots[place as usize] = Slot::Undecided {
            until_ms: self.now_ms + FIRST_BYTE_MS,
            said: Said::Nothing,
        };
        self.connections += 1;
        self.air.budget().came();
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
            (Taken::Bytes(length), Slot::Undecided { said, .. }) => {
                self.judge(place, &bytes[..length], said);
            }
            (Taken::Bytes(length), Slot::Answering { .. } | Slot::Holding(_)) => {
                self.postpone(place, &bytes[..length]);
            }
            (Taken::Bytes(_), Slot::Lingering { .. }) => self.ignore(place),
            (Taken::Nothing | Taken::Bytes(_), _) => self.port.watch(place, Interest::Read),
        }
    }

    /// Hears nothing of what somebody says who was told everything; closed at once, he might not have read it.
    fn ignore(&mut self, place: Place) {
        if let Slot::Lingering { reads_left, .. } = &mut self.slots[place as usize] {
            if let Some(left) = reads_left.checked_sub(1) {
                *reads_left = left;
                self.port.watch(place, Interest::Read);
            } else {
                self.drop(place);
            }
        }
    }

    pub(super) fn judge(&mut self, place: Place, bytes: &[u8], said: Said) {
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
                self.wait_for_more(place, read, said);
            }
            Head::Refuse(refused) => {
                self.refuse(place, &refusal(refused), Refused::Head(refused));
            }
            Head::Wish(wish) => {
                let Some(is_forwarded) = self.on_whose_behalf(place, wish.is_forwarded) else {
                    let read = whole.to_vec();
                    return self.ask_who(place, read, said);
                };
                let wish = Wish {
                    is_forwarded,
                    ..wish
                };
                self.fulfil(place, wish, whole);
            }
        }
    }

    /// Somebody did not say in time what he wants.
    pub(super) fn lose_patience(&mut self, place: Place, said: Said) {
        match said {
            Said::Enough => self.drop_content(place),
            Said::Nothing => self.turn_away(place, Refused::Silent),
            Said::Part => self.turn_away(place, Refused::Unfinished),
        }
    }

    /// Closes a connection that was answered and has asked for no more.
    pub(super) fn drop_content(&mut self, place: Place) {
        if let Slot::Answering {
            door: Some(door), ..
        } = self.slots[place as usize]
        {
            self.tally.not_taken(door);
        }
        self.tally.content();
        self.drop(place);
    }

    pub(super) fn wait_for_more(&mut self, place: Place, read: Vec<u8>, said: Said) {
        if self.heads.len() >= HEADS_MAX {
            return self.turn_away(place, Refused::Unfinished);
        }
        self.heads.insert(place, read);
        if said != Said::Part {
            self.slots[place as usize] = Slot::Undecided {
                until_ms: self.now_ms + HEAD_MS,
                said: Said::Part,
            };
        }
        self.port.watch(place, Interest::Read);
    }

    /// Lets somebody in who asks for a stream, if there is one.
    fn admit(&mut self, place: Place, asked: Asked<'_>, head: &[u8]) {
        let Some(on_air) = self.on_air(asked.slug) else {
            return self.hand_on(place, head.to_vec());
        };
        let waiting = Waiting {
            seat: self.seats.take(asked.slug, on_air),
            format: asked.format,
            rendition: asked.rendition,
            is_plain: overflow::is_plain(asked.query),
            papers: self.air.room().papers(asked.query),
            from: asked.from.and_then(|part| NonZeroU64::new(part.0)),
            until_ms: self.now_ms + FILL_MS,
        };
        self.tally.asked(Door::Stream);
        self.slots[place as usize] = Slot::Waiting(waiting);
        self.try_join(place, waiting);
        if matches!(self.slots[place as usize], Slot::Waiting(_)) {
            self.port.watch(place, Interest::Leave);
        }
    }

    /// The space of a slug, if it is on air.
    pub(super) fn on_air(&self, slug: &str) -> Option<Arc<OnAir>> {
        self.air.find(slug).filter(|on_air| {
            let state = on_air.facts().space.state;
            matches!(state, State::Announced | State::Doors | State::Live)
        })
    }

    /// Joins as soon as the programme is ready.
    pub(super) fn try_join(&mut self, place: Place, waiting: Waiting) {
        if self
            .drain
            .is_some_and(|(_, drain)| drain.successor == Successor::Elsewhere)
        {
            return self.refuse(place, &reply(&Reply::leaving(), false), Refused::Leaving);
        }
        if self.air.budget().is_spent() {
            return self.refuse_spent(place);
        }
        let is_over = self.now_ms >= waiting.until_ms;
        let seat = self.seats.at(waiting.seat);
        let view = seat.view();
        let is_ready = view.is_joinable() || is_over && view.next > view.oldest;
        if seat.is_closed || is_over && !(seat.flowing && is_ready) {
            self.refuse(place, &reply(&hls::unfilled(), false), Refused::Unready);
        } else if seat.flowing && is_ready {
            let (room, rung) = (self.air.room(), self.air.ladder().rung());
            let waited = u64::try_from(self.woke.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.flow.note(waited, self.now_ms);
            let share = self.flow.share(self.now_ms);
            self.tally.note_joins(self.flow.strain_per_mille());
            match room.enter(waiting.papers, waiting.rendition, rung, share) {
                Ok(taken) => self.join(place, waiting, taken),
                Err(told) => {
                    let told = self.told_full(told, &waiting);
                    self.refuse(place, &reply(&told, false), Refused::Full);
                }
            }
        }
    }

    /// What somebody is told for whom there is no place: a plain player, where there is one.
    fn told_full(&mut self, told: Reply, waiting: &Waiting) -> Reply {
        if !waiting.is_plain {
            return told;
        }
        let slug = &self.seats.at(waiting.seat).slug;
        let (format, rendition) = (waiting.format.name(), waiting.rendition);
        let path = format!("/s/{slug}/live.{format}");
        let query = format!("rendition={rendition}");
        self.air.room().send_on(told, &path, &query)
    }

    /// Hands a connection to the ordinary server, unless that has no place.
    pub(super) fn hand_on(&mut self, place: Place, read: Vec<u8>) {
        // It is in what was read.
        self.heads.remove(&place);
        if self.air.budget().is_spent() {
            return self.refuse_spent(place);
        }
        let Some(reserved) = self.hand_over.place() else {
            let sentence =
                "Too many people ask for this at once. Please come again in a few seconds.\n";
            let crowded = reply(&Reply::come_again(5, sentence), false);
            return self.refuse(place, &crowded, Refused::Crowded);
        };
        self.slots[place as usize] = Slot::Releasing;
        self.releasing.insert(place, (read, reserved));
        self.port.release(place);
    }

    /// A connection is an ordinary one now.
    pub(super) fn release(&mut self, place: Place, stream: Stream) {
        self.slots[place as usize] = Slot::Empty;
        self.proxies.remove(&place);
        self.connections -= 1;
        self.air.budget().left();
        if let Some((read, reserved)) = self.releasing.remove(&place) {
            self.hand_over.give(stream, read, reserved);
            self.tally.handed_on();
        }
    }

    fn refuse_spent(&mut self, place: Place) {
        self.refuse(place, &reply(&Reply::spent(), false), Refused::Memory);
    }

    /// Gives a short answer to somebody who is not let in, and closes.
    fn refuse(&mut self, place: Place, answer: &Framed, reason: Refused) {
        self.tally.refused(reason);
        self.stop_waiting(place, reason);
        // A fresh send buffer takes a few hundred bytes, so that nothing is learnt from the outcome.
        let _ = self.port.send(place, &answer.sent(true), false);
        match reason {
            // Nobody says more after he asked for a stream. Half a close, and waiting for the other half, would cost more
            // than all the rest of such a refusal; and there may be very many.
            Refused::Full => {
                self.port.say_end(place);
                self.drop(place);
            }
            _ => self.linger(place),
        }
    }

    /// Closes a connection that came to nothing.
    pub(super) fn turn_away(&mut self, place: Place, reason: Refused) {
        self.tally.refused(reason);
        self.releasing.remove(&place);
        self.stop_waiting(place, reason);
        self.drop(place);
    }

    /// Counts out who waits and will not join.
    fn stop_waiting(&mut self, place: Place, reason: Refused) {
        if let Slot::Waiting(waiting) = self.slots[place as usize] {
            self.seats.leave(waiting.seat, None);
            self.tally.not_joined(reason);
        }
    }
}
