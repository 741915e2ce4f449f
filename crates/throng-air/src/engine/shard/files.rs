//! Answers in one piece, one after the other on a connection: pages, `state.json`, playlists, parts; and requests that
//! are held until their part is there.
//!
//! What comes while a request is being answered is kept, up to a read more, and looked at when the answer is the
//! kernel's (RFC 9112 section 9.3.2). A held request is a slot and a number in its seat's set; the part that it waits for
//! makes one answer, which all who wait for it share.

use std::sync::Arc;
use std::time::Duration;

use throng_core::playlist::HOLD_LIMIT_MS;

use super::door::{FILL_MS, HEAD_MS, HEADS_MAX};
use super::{Holding, Interest, Place, Port, STALLED_ANSWER_MS, Said, Shard, Slot};
use crate::answer::Reply;
use crate::document::{Document, names};
use crate::engine::answer::{self, Framed};
use crate::engine::head::{File, Manner, What, Wish};
use crate::hls::{self, Decision, Source};
use crate::ledger::Door;
use crate::on_air::OnAir;
use crate::past::Recording;
use crate::presence::Player;
use crate::room::Follower;

/// From look to look, while requests are held, whether their part has come: what that may cost a player who stays a
/// second behind the playhead.
pub(super) const LOOK_MS: u64 = 20;
/// A file is sent in pieces of this size, so that a connection over TLS has no more of it sealed than a little more than
/// its socket takes.
const PIECE_BYTES: usize = 64 * 1024;

impl<P: Port> Shard<P> {
    /// How long to wait for events, when the next tick is due so soon.
    pub(super) fn patience(&self, tick: Duration) -> Duration {
        if !self.again.is_empty() {
            Duration::ZERO
        } else if self.has_held {
            tick.min(Duration::from_millis(LOOK_MS))
        } else {
            tick
        }
    }

    /// Looks, if it is time, whether a part has come for which requests are held.
    pub(super) fn look_for_held(&mut self) {
        if self.has_held && self.now_ms >= self.looked_ms + LOOK_MS {
            self.looked_ms = self.now_ms;
            self.seats.look_for_held();
            self.answer_held();
        }
    }

    /// Somebody asks for something that is answered in one piece. `whole` is what he has said and was not answered.
    pub(super) fn fulfil(&mut self, place: Place, wish: Wish<'_>, whole: &[u8]) {
        let mut manner = wish.manner;
        manner.keeps &= self.keep(place, &whole[wish.length..])
            && self.drain.is_none()
            && !self.is_closing
            && !self.air.budget().is_spent();
        if let What::Hls(file) = wish.what
            && let Some(on_air) = self.air.find(file.slug)
        {
            let wish = Wish { manner, ..wish };
            return self.ask(place, on_air, file, wish, whole);
        }
        if let What::HoldFile(slug) = wish.what
            && let (Some(_), Some(file)) = (self.air.find(slug), self.air.hold_file())
        {
            let is_known = wish.known.is_some_and(|tags| names(tags, &file.etag()));
            if manner.with_body && !is_known {
                self.files.insert(place, file.bytes().clone());
            }
            let head = answer::hold_file(&file, is_known, manner.keeps);
            return self.answer(place, &head, manner, Door::Audio);
        }
        match self.text(wish, manner.keeps) {
            Some((framed, door)) => self.answer(place, &framed, manner, door),
            // What there is not, or not yet, the ordinary server says best: it may ask an upstream.
            None => self.hand_on(place, whole.to_vec()),
        }
    }

    /// A page or `state.json`, or what a stream begins with, if it is to be had here.
    fn text(&self, wish: Wish<'_>, keeps: bool) -> Option<(Framed, Door)> {
        let page = |document: &Document| {
            let is_known = wish.known.is_some_and(|tags| document.is_named_by(tags));
            let framed = if is_known {
                answer::page_not_modified(document, keeps)
            } else {
                answer::page(document, wish.gzip, keeps)
            };
            (framed, Door::Page)
        };
        match wish.what {
            What::Chapters(slug) => Some(page(&self.air.find(slug)?.facts().chapters)),
            What::Hls(_) | What::HoldFile(_) => None,
            What::Index => Some(page(&*self.air.index()?)),
            What::LiveHead(asked) => {
                self.on_air(asked.slug)?;
                Some((answer::live_head(asked.format, keeps), Door::Stream))
            }
            What::Page(slug) => Some(page(&self.air.find(slug)?.facts().page)),
            What::NowServing(slug) => {
                self.air.find(slug)?;
                Some((answer::now_serving(&self.air, keeps), Door::Page))
            }
            What::State(slug) => {
                let on_air = self.air.find(slug)?;
                Some((answer::state(&self.air, &on_air, keeps), Door::Page))
            }
            What::OfPage(slug, file) => {
                self.air.find(slug)?;
                Some(page(self.air.of_page(file)))
            }
        }
    }

    /// Somebody asks for a file under `hls/`.
    fn ask(
        &mut self,
        place: Place,
        on_air: Arc<OnAir>,
        file: File<'_>,
        wish: Wish<'_>,
        whole: &[u8],
    ) {
        let (manner, rung) = (wish.manner, self.air.ladder().rung());
        let ask = match file.name.ask(file.query, rung) {
            Ok(ask) => ask,
            Err(error) => {
                let reply = hls::misunderstood(error);
                return self.reply(place, &reply, manner, Door::Playlist);
            }
        };
        let space = on_air.facts().space;
        // What was over before this process knew of it has its window elsewhere.
        if space.state.is_over() && !on_air.is_flowing() {
            return self.hand_on(place, whole.to_vec());
        }
        let follower = Follower {
            ask,
            slug: file.slug,
            query: file.query,
            connection: self.connection_number(place),
            is_forwarded: wish.is_forwarded,
        };
        // Who asks what he would be told is told it, and does not come in.
        if manner.with_body && !space.state.is_over() {
            let share = self.flow.share(self.now_ms);
            if let Err(reply) = self.air.room().follow(&follower, rung, share) {
                return self.reply(place, &reply, manner, Door::Playlist);
            }
        }
        match hls::decide(ask, &space, None) {
            Decision::Fill => {
                let holding = Holding {
                    seat: self.seats.take(file.slug, on_air),
                    ask,
                    player: Player::of(file.query, follower.connection),
                    manner,
                    is_filled: false,
                    until_ms: self.now_ms + FILL_MS,
                };
                self.settle(place, holding, Some(whole));
            }
            Decision::Hold | Decision::Past => self.hand_on(place, whole.to_vec()),
            Decision::Refuse(reply) => self.reply(place, &reply, manner, ask.door()),
            Decision::Send(content) => {
                let reply = hls::compose(
                    content,
                    &Source {
                        space: &space,
                        window: &on_air.window_now(),
                        recorded: on_air.past().recorded(),
                        headers: self.air.headers_of(&on_air),
                    },
                );
                self.reply(place, &reply, manner, ask.door());
            }
        }
    }

    /// Answers a request for which the window is needed, or holds it. `whole` is there at the first look.
    fn settle(&mut self, place: Place, mut holding: Holding, whole: Option<&[u8]>) {
        let seat = self.seats.at(holding.seat);
        let facts = seat.on_air.facts();
        let window = seat.flowing.then_some(&seat.window);
        let decision = match hls::decide(holding.ask, &facts.space, window) {
            _ if seat.is_closed => Decision::Refuse(too_late(holding)),
            decision => decision,
        };
        let (manner, door) = (holding.manner, holding.ask.door());
        match decision {
            Decision::Fill => self.hold(place, holding, whole.is_some()),
            Decision::Hold => {
                if !holding.is_filled {
                    holding.is_filled = true;
                    holding.until_ms = self.now_ms + HOLD_LIMIT_MS;
                }
                self.hold(place, holding, whole.is_some());
            }
            Decision::Past => {
                self.let_go(place, holding);
                match whole {
                    Some(whole) => self.hand_on(place, whole.to_vec()),
                    // He waited for it, so that it was never there.
                    None => self.reply(place, &hls::not_here(), manner, door),
                }
            }
            Decision::Refuse(reply) => {
                self.let_go(place, holding);
                self.reply(place, &reply, manner, door);
            }
            Decision::Send(content) => {
                let headers = self.air.headers_of(&seat.on_air);
                let framed = seat.answer(content, manner.keeps, headers);
                if content.counts() {
                    seat.deliver(holding.player);
                }
                self.let_go(place, holding);
                self.answer_with(place, &framed, manner, (door, content.samples()));
            }
        }
    }

    fn hold(&mut self, place: Place, holding: Holding, is_new: bool) {
        self.slots[place as usize] = Slot::Holding(holding);
        self.seats.at(holding.seat).held.insert(place);
        self.has_held = true;
        if is_new {
            self.tally.asked(holding.ask.door());
            // He is read on so that it is seen when he leaves.
            let has_said_more = self.heads.contains_key(&place);
            let interest = if has_said_more {
                Interest::Leave
            } else {
                Interest::Read
            };
            self.port.watch(place, interest);
        }
    }

    /// A request is held no more.
    pub(super) fn let_go(&mut self, place: Place, holding: Holding) {
        self.seats.at(holding.seat).held.remove(&place);
        self.seats.leave(holding.seat, None);
    }

    /// Answers the held requests whose part has come.
    pub(super) fn answer_held(&mut self) {
        while let Some(places) = self.seats.stirred() {
            for place in places {
                if let Slot::Holding(holding) = self.slots[place as usize] {
                    self.settle(place, holding, None);
                }
            }
        }
        let held = self.seats.held();
        self.has_held = held > 0;
        self.tally.holds(held);
    }

    /// A request was held for as long as may be.
    pub(super) fn give_up(&mut self, place: Place, holding: Holding) {
        self.let_go(place, holding);
        let door = holding.ask.door();
        self.reply(place, &too_late(holding), holding.manner, door);
    }

    fn reply(&mut self, place: Place, reply: &Reply, manner: Manner, door: Door) {
        self.answer(place, &answer::reply(reply, manner.keeps), manner, door);
    }

    fn answer(&mut self, place: Place, framed: &Framed, manner: Manner, door: Door) {
        self.answer_with(place, framed, manner, (door, 0));
    }

    /// Answers what was asked at a door; who was held has been counted when he came.
    fn answer_with(
        &mut self,
        place: Place,
        framed: &Framed,
        manner: Manner,
        (door, samples): (Door, u64),
    ) {
        if !matches!(self.slots[place as usize], Slot::Holding(_)) {
            self.tally.asked(door);
        }
        let samples = if manner.with_body { samples } else { 0 };
        let is_admitted = self.tally.answered(door, framed.status(), samples);
        self.slots[place as usize] = Slot::Answering {
            until_ms: self.now_ms + STALLED_ANSWER_MS,
            keeps: manner.keeps,
            door: is_admitted.then_some(door),
        };
        self.send(place, &framed.sent(manner.with_body), true);
    }

    /// What was sent of an answer is the kernel's: the next piece of its file, if it has one.
    pub(super) fn sent_piece(&mut self, place: Place, keeps: bool, door: Option<Door>) {
        let Some(mut file) = self.files.remove(&place) else {
            return self.answered(place, keeps, door);
        };
        let piece = file.split_to(file.len().min(PIECE_BYTES));
        if !file.is_empty() {
            self.files.insert(place, file);
        }
        self.slots[place as usize] = Slot::Answering {
            until_ms: self.now_ms + STALLED_ANSWER_MS,
            keeps,
            door,
        };
        self.send(place, &piece, true);
    }

    /// The answer is the kernel's; the next request may come, or is here.
    fn answered(&mut self, place: Place, keeps: bool, door: Option<Door>) {
        if let Some(door) = door {
            self.tally.taken(door);
        }
        if !keeps || self.is_closing {
            self.tally.content();
            return self.linger(place);
        }
        let has_said_more = self.heads.contains_key(&place);
        self.slots[place as usize] = Slot::Undecided {
            until_ms: self.now_ms + HEAD_MS,
            said: if has_said_more {
                Said::Part
            } else {
                Said::Enough
            },
        };
        if has_said_more {
            self.again.push(place);
        } else {
            self.port.watch(place, Interest::Read);
        }
    }

    /// Looks at the next request of those who sent it before its turn; one each, so that nobody waits for a long row.
    pub(super) fn go_on(&mut self) {
        for place in std::mem::take(&mut self.again) {
            let is_here = self.heads.contains_key(&place);
            if let (true, Slot::Undecided { said, .. }) = (is_here, self.slots[place as usize]) {
                self.judge(place, &[], said);
            }
        }
    }

    /// Keeps what came before its turn, and reads no more until then.
    pub(super) fn postpone(&mut self, place: Place, bytes: &[u8]) {
        if !self.keep(place, bytes)
            && let Slot::Answering { keeps, .. }
            | Slot::Holding(Holding {
                manner: Manner { keeps, .. },
                ..
            }) = &mut self.slots[place as usize]
        {
            // What was said is lost, so that the connection must end after this answer.
            *keeps = false;
        }
        self.port.watch(place, Interest::Leave);
    }

    /// Keeps bytes that come before their turn; whether there was room.
    fn keep(&mut self, place: Place, bytes: &[u8]) -> bool {
        let has_room = self.heads.len() < HEADS_MAX || self.heads.contains_key(&place);
        if has_room && !bytes.is_empty() {
            self.heads.entry(place).or_default().extend(bytes);
        }
        has_room || bytes.is_empty()
    }

    /// A number that no other connection of the process has.
    fn connection_number(&self, place: Place) -> u64 {
        let life = u64::from(self.lives[place as usize] & 0xff_ffff);
        // The ordinary server counts from 0.
        1 << 63 | u64::from(self.number.0) << 48 | u64::from(place) << 24 | life
    }
}

fn too_late(holding: Holding) -> Reply {
    if holding.is_filled {
        hls::held_too_long()
    } else {
        hls::unfilled()
    }
}
