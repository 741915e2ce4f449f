//! One event loop of the engine: its connections, and what is done for them when.
//!
//! A tick looks at the windows and visits every third place, so that a listener is looked at once in the time of a
//! part and the sends of a part are spread over it. Between ticks the loop reacts to what happens to connections. No
//! listener has a task, a timer or an object of his own; only who is blocked has the rest of a span.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use throng_core::admission::Flow;
use throng_core::timeline::{PART_DURATION_MS, PartIndex};
use tokio::sync::watch;

use super::cursor::{Cursor, Span, Step};
use super::phase;
use super::port::{Event, Interest, Place, Port, READ_MAX_BYTES, STALLED_PEER_TIMEOUT_MS, Sent};
use super::prefix::Silence;
use super::seat::{GROUPS, Heard, Seats};
use super::slot::{Holding, Listener, Said, Slot, Waiting};
use super::span::{Key, Spans};
use super::tally::{Closed, Refused, Tally};
use crate::air::Air;
use crate::drain::{Drain, Successor};
use crate::hand_over::{self, HandOver};
use crate::presence;
use crate::room::Taken;

mod door;
mod files;
mod proxied;
mod silent;
#[cfg(test)]
mod tests;

/// From tick to tick.
const TICK: Duration = Duration::from_micros(PART_DURATION_MS * 1_000 / GROUPS as u64);
/// The same while nobody is here: only the end of the process is looked for.
const IDLE_TICK: Duration = Duration::from_millis(PART_DURATION_MS);
/// A tick that begins later than this may be heard by somebody whose cushion is thin.
const LATE_TICK: Duration = Duration::from_millis(250);
/// A listener who takes nothing for so long is closed. Most players wait in a tunnel and know of no other way back: the
/// kernel tries again after as long as they were away, so that half of this is what they get through.
const STALLED_MS: u64 = STALLED_PEER_TIMEOUT_MS as u64;
/// Who is being answered and takes nothing for so long is closed.
const STALLED_ANSWER_MS: u64 = 30_000;
/// A peer that was told everything may take so long to read it.
const LINGER_MS: u64 = 5_000;
/// Reads, of 4 KB each, of what he goes on to say meanwhile; then he is closed at once.
const LINGER_READS_MAX: u8 = 16;

/// One event loop.
pub(crate) struct Shard<P> {
    number: presence::Shard,
    port: P,
    air: Arc<Air>,
    hand_over: HandOver,
    connections_max: u32,
    connections: u32,
    slots: Vec<Slot>,
    /// How many connections each place has had.
    lives: Vec<u32>,
    seats: Seats,
    spans: Spans,
    /// What did not fit, of those who are blocked; most of them share it.
    rests: HashMap<Place, Bytes>,
    /// What is sent piece by piece after what is being sent, of those who download a file; all share its bytes.
    files: HashMap<Place, Bytes>,
    /// Heads of which more must come, and what came before its turn. The bound and the answer to "full" are [`door::HEADS_MAX`].
    heads: HashMap<Place, Vec<u8>>,
    /// What was read from connections that become ordinary ones.
    releasing: HashMap<Place, (Vec<u8>, hand_over::Place)>,
    /// Who has been answered and has said more already.
    again: Vec<Place>,
    /// Of whom it was asked whether he is a proxy of ours, and what came of it; only who says that he asks for another.
    proxies: HashMap<Place, Option<bool>>,
    /// Whether requests are held.
    has_held: bool,
    looked_ms: u64,
    silence: Silence,
    /// How long those wait who come.
    flow: Flow,
    /// Connections that were asked in this tick where they come from.
    asked: u32,
    tally: Tally,
    started: Instant,
    /// When the loop last heard what had happened.
    woke: Instant,
    now_ms: u64,
    group: usize,
    /// The order to let everybody go, and when it came.
    drain: Option<(Instant, Drain)>,
    is_closing: bool,
}

impl<P: Port> Shard<P> {
    /// A loop without connections.
    pub(crate) fn new(
        number: presence::Shard,
        port: P,
        air: Arc<Air>,
        hand_over: HandOver,
    ) -> Self {
        Self {
            number,
            port,
            air,
            hand_over,
            connections_max: 0,
            connections: 0,
            slots: Vec::new(),
            lives: Vec::new(),
            seats: Seats::new(number),
            spans: Spans::default(),
            rests: HashMap::new(),
            files: HashMap::new(),
            heads: HashMap::new(),
            releasing: HashMap::new(),
            again: Vec::new(),
            proxies: HashMap::new(),
            has_held: false,
            looked_ms: 0,
            silence: Silence::default(),
            flow: Flow::new(),
            asked: 0,
            tally: Tally::new(number),
            started: Instant::now(),
            woke: Instant::now(),
            now_ms: 0,
            group: 0,
            drain: None,
            is_closing: false,
        }
    }

    /// Serves so many connections at once, until `closing` turns true and the last of them has gone.
    pub(crate) fn run(mut self, connections_max: u32, closing: &watch::Receiver<bool>) {
        self.connections_max = connections_max;
        let mut events = Vec::new();
        let mut due = self.started;
        loop {
            let now = self.note_time();
            if let Some(late) = now.checked_duration_since(due) {
                self.tally.ticked(late, late > LATE_TICK, self.connections);
                due = (due + self.pause(due)).max(now);
                // A sender that is gone will not open again either.
                self.is_closing = *closing.borrow() || closing.has_changed().is_err();
                self.tick();
                self.tally.settle(&self.air, self.rests.len());
                if self.is_closing && self.connections == 0 {
                    return;
                }
            }
            let most = self.patience(due.saturating_duration_since(Instant::now()));
            if let Err(error) = self.port.wait(most, &mut events) {
                tracing::error!(%error, "a shard cannot go on");
                return self.abandon();
            }
            let now = self.note_time();
            self.woke = now;
            let was_idle = self.connections == 0;
            for event in events.drain(..) {
                self.react(event);
            }
            self.go_on();
            self.look_for_held();
            if was_idle && self.connections > 0 {
                due = due.min(now + TICK);
            }
        }
    }

    /// From the tick that was due then to the next.
    fn pause(&self, due: Instant) -> Duration {
        if self.connections == 0 {
            return IDLE_TICK;
        }
        let newest = self.seats.newest_part_at();
        phase::pause(TICK, newest.map(|at| due.saturating_duration_since(at)))
    }

    /// Counts everybody out whom the end of the loop cuts off.
    fn abandon(&mut self) {
        for place in places_of_all(self.slots.len()) {
            self.lose(place);
        }
        self.tally.settle(&self.air, 0);
    }

    fn note_time(&mut self) -> Instant {
        let now = Instant::now();
        let since = now.duration_since(self.started);
        self.now_ms = u64::try_from(since.as_millis()).expect("a process ends before that");
        now
    }

    fn tick(&mut self) {
        self.group = (self.group + 1) % GROUPS;
        self.asked = 0;
        self.drain = self.air.drained();
        if self.group == 0 {
            self.begin_round();
        }
        self.spans.clear();
        self.seats.look(self.group);
        self.answer_held();
        for place in places_of(self.group, self.slots.len()) {
            self.visit(place);
        }
        self.seats.report(self.now_ms);
        self.air.call();
        let is_left = |(_, drain): (Instant, Drain)| drain.successor == Successor::Here;
        let is_open = !self.is_closing
            && !self.drain.is_some_and(is_left)
            && self.connections < self.connections_max;
        self.port.set_accepting(is_open);
    }

    fn visit(&mut self, place: Place) {
        match self.slots[place as usize] {
            Slot::Empty | Slot::Releasing => {}
            Slot::Lingering { until_ms, .. } => {
                if self.now_ms >= until_ms {
                    self.drop(place);
                }
            }
            Slot::Answering { until_ms, .. } => {
                if self.now_ms >= until_ms {
                    self.drop_content(place);
                }
            }
            Slot::Holding(holding) => {
                if self.now_ms >= holding.until_ms {
                    self.give_up(place, holding);
                }
            }
            Slot::Undecided { until_ms, said } => {
                if self.now_ms >= until_ms || self.is_closing {
                    self.lose_patience(place, said);
                } else if said != Said::Enough {
                    self.note_silent(place, until_ms, said);
                }
            }
            Slot::Waiting(waiting) => self.try_join(place, waiting),
            Slot::Listening(listener) => self.serve(place, listener),
        }
    }

    /// What a visit does for a listener.
    fn serve(&mut self, place: Place, mut listener: Listener) {
        let is_to_go = self.is_to_go(place);
        let seat = self.seats.at(listener.seat);
        if seat.is_closed && !listener.is_ending {
            return self.dismiss(place, Closed::Cut);
        }
        let (group, heard_ms) = (self.group, listener.heard_ms);
        seat.audience.count(group, heard_ms, self.now_ms);
        if listener.is_blocked {
            if self.now_ms >= heard_ms + STALLED_MS {
                self.dismiss(place, Closed::Stalled);
            }
            return;
        }
        if listener.is_ending {
            return;
        }
        if is_to_go {
            self.part_with(place, Closed::Moved);
            return self.linger(place);
        }
        if !self.air.room().is_his(listener.taken) {
            return self.dismiss(place, Closed::Replaced);
        }
        match listener.cursor.step(seat.view(), self.air.ladder().rung()) {
            Step::Wait => {}
            Step::Close => return self.dismiss(place, Closed::Slow),
            Step::Send {
                span,
                missed,
                is_late,
            } => {
                let key = Key {
                    seat: listener.seat,
                    format: listener.cursor.format(),
                    span,
                    first: false,
                };
                listener.heard_ms = self.now_ms;
                listener.is_ending = span.last;
                let is_late = is_late && !seat.is_rushed();
                let headers = self.air.headers_of(&seat.on_air);
                let bytes = self.spans.of(key, &seat.window, headers);
                self.slots[place as usize] = Slot::Listening(listener);
                self.tally.sent(bytes.len(), span.parts, missed, is_late);
                return self.send(place, &bytes, span.last);
            }
        }
        self.slots[place as usize] = Slot::Listening(listener);
    }

    /// Whether the time has come that was dealt to a listener for his leave.
    fn is_to_go(&self, place: Place) -> bool {
        let number = u64::from(self.number.0) << 32 | u64::from(place);
        let now = self.started + Duration::from_millis(self.now_ms);
        self.drain.is_some_and(|(began, drain)| {
            drain.is_due(number, now.saturating_duration_since(began))
        })
    }

    /// Begins to serve a listener: the head, the stream's header and the burst in one send.
    fn join(&mut self, place: Place, waiting: Waiting, taken: Taken) {
        let Waiting {
            seat: index,
            format,
            rendition,
            from,
            ..
        } = waiting;
        let seat = self.seats.at(index);
        let (mut cursor, mut span): (Cursor, Span) =
            Cursor::join(format, rendition, seat.view(), self.air.ladder().rung());
        if let Some(from) = from {
            span = cursor.go_on(PartIndex(from.get()), span, seat.view());
        }
        cursor.set_group(group_of(place));
        let key = Key {
            seat: index,
            format,
            span,
            first: true,
        };
        let headers = self.air.headers_of(&seat.on_air);
        let bytes = self.spans.of(key, &seat.window, headers);
        self.slots[place as usize] = Slot::Listening(Listener {
            cursor,
            seat: index,
            taken,
            is_ending: span.last,
            is_blocked: false,
            heard_ms: self.now_ms,
        });
        self.seats.joined(index, group_of(place), self.now_ms);
        self.tally.joined(format);
        self.tally.sent(bytes.len(), span.parts, 0, false);
        self.port.watch(place, Interest::Leave);
        self.send(place, &bytes, span.last);
    }

    fn send(&mut self, place: Place, bytes: &Bytes, tell: bool) {
        if let Some(sent) = self.port.send(place, bytes, tell) {
            self.sent(place, sent);
        }
    }

    /// What became of what somebody was sent.
    fn sent(&mut self, place: Place, sent: Sent) {
        match (self.slots[place as usize], sent) {
            (Slot::Listening(_), Sent::Broken) => self.dismiss(place, Closed::Left),
            (Slot::Answering { .. }, Sent::Broken) => self.drop_content(place),
            (Slot::Listening(_) | Slot::Answering { .. }, Sent::Short(rest)) => {
                self.rests.insert(place, rest);
                self.tally.blocked();
                self.port.watch(place, Interest::Write);
                match &mut self.slots[place as usize] {
                    Slot::Listening(listener) => {
                        listener.is_blocked = true;
                        listener.cursor.set_blocked();
                    }
                    // He took something.
                    Slot::Answering { until_ms, .. } => {
                        *until_ms = self.now_ms + STALLED_ANSWER_MS;
                    }
                    _ => {}
                }
            }
            (Slot::Listening(listener), Sent::Whole) => self.sent_whole(place, listener),
            (Slot::Answering { keeps, door, .. }, Sent::Whole) => {
                self.sent_piece(place, keeps, door);
            }
            // Whoever else was sent something is not waited for.
            _ => {}
        }
    }

    fn sent_whole(&mut self, place: Place, mut listener: Listener) {
        if listener.is_ending {
            self.part_with(place, Closed::Ended);
            return self.linger(place);
        }
        if listener.is_blocked {
            listener.is_blocked = false;
            listener.heard_ms = self.now_ms;
            self.slots[place as usize] = Slot::Listening(listener);
            self.port.watch(place, Interest::Leave);
        }
    }

    /// There is room for what did not fit.
    fn resume(&mut self, place: Place) {
        if let Some(rest) = self.rests.remove(&place) {
            self.send(place, &rest, true);
        }
    }

    /// Ends a listener's connection.
    fn dismiss(&mut self, place: Place, reason: Closed) {
        self.part_with(place, reason);
        self.drop(place);
    }

    /// Counts a listener out.
    fn part_with(&mut self, place: Place, reason: Closed) {
        if let Slot::Listening(listener) = self.slots[place as usize] {
            let heard = Heard {
                group: group_of(place),
                at_ms: listener.heard_ms,
                now_ms: self.now_ms,
            };
            self.seats.leave(listener.seat, Some(heard));
            self.tally.closed(reason);
            self.air.room().leave(listener.taken);
            self.rests.remove(&place);
        }
    }

    /// Says that nothing more comes, and gives the peer time to read what did.
    fn linger(&mut self, place: Place) {
        self.heads.remove(&place);
        self.port.shut_down(place);
        self.slots[place as usize] = Slot::Lingering {
            until_ms: self.now_ms + LINGER_MS,
            reads_left: LINGER_READS_MAX,
        };
        self.port.watch(place, Interest::Read);
    }

    /// Closes a connection of which nothing is owed.
    fn drop(&mut self, place: Place) {
        self.heads.remove(&place);
        self.rests.remove(&place);
        self.files.remove(&place);
        self.proxies.remove(&place);
        self.port.close(place);
        self.slots[place as usize] = Slot::Empty;
        self.connections -= 1;
        self.air.budget().left();
    }

    fn react(&mut self, event: Event) {
        match event {
            Event::Arrived(place) => self.arrive(place),
            Event::Failed(failure) => self.tally.failed(failure),
            Event::Left(place) => self.lose(place),
            Event::Peer(place, address) => self.know_peer(place, address),
            Event::Readable(place) => self.read(place),
            Event::Released(place, stream) => self.release(place, stream),
            Event::Sent(place, sent) => self.sent(place, sent),
            Event::Writable(place) => self.resume(place),
        }
    }

    /// The peer of a connection has gone.
    fn lose(&mut self, place: Place) {
        match self.slots[place as usize] {
            Slot::Empty => {}
            Slot::Holding(holding) => {
                self.let_go(place, holding);
                self.tally.not_answered(holding.ask.door());
                self.drop_content(place);
            }
            Slot::Lingering { .. } => self.drop(place),
            Slot::Answering { .. }
            | Slot::Undecided {
                said: Said::Enough, ..
            } => self.drop_content(place),
            Slot::Listening(_) => self.dismiss(place, Closed::Left),
            Slot::Releasing | Slot::Undecided { .. } | Slot::Waiting(_) => {
                self.turn_away(place, Refused::Gone);
            }
        }
    }
}

/// The group of a place: runs of 64, so that a visit reads memory in order.
const fn group_of(place: Place) -> usize {
    place as usize / 64 % GROUPS
}

/// All places of so many.
fn places_of_all(count: usize) -> impl Iterator<Item = Place> {
    (0..GROUPS).flat_map(move |group| places_of(group, count))
}

/// The places of a group among so many.
fn places_of(group: usize, count: usize) -> impl Iterator<Item = Place> {
    let runs = (group * 64..count).step_by(64 * GROUPS);
    let places = runs.flat_map(move |first| first..(first + 64).min(count));
    places.map(|place| Place::try_from(place).expect("places are small numbers"))
}
