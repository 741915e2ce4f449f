//! The door of this process: who is let in, by the board that the processes of a node share, and what the others are told.

pub mod overflow;
pub mod shared;
mod told;

use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU64;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metrics::{Counter, Gauge, counter, gauge};
use rustix::time::{ClockId, clock_gettime};
use throng_core::admission::{
    Asking, Board, Entered, Followed, Lane, Limits, Reason, Remembered, Share, Signer, Standing,
    Ticket, Verdict, Wait,
};
use throng_core::ladder::Rung;
use throng_core::rendition::Rendition;

use self::overflow::Overflow;
use self::shared::QueueSecret;
use self::told::told;
pub use self::told::{NowServingJson, WaitJson};
use crate::answer::Reply;
use crate::hls::{self, Ask};
use crate::metric::{self, count};
use crate::presence::{chosen, parameter};

/// As much room as a house without a bound tells of.
const FREE_MAX: u64 = 1_000_000;
/// By which rights people come in, as metrics name them.
const STANDINGS: [(Standing, &str); 4] = [
    (Standing::Returned, "returned"),
    (Standing::Room, "room"),
    (Standing::Sampled, "sampled"),
    (Standing::Served, "served"),
];
/// Why people wait, as metrics name it.
const REASONS: [(Reason, &str); 5] = [
    (Reason::Busy, "busy"),
    (Reason::Early, "early"),
    (Reason::Full, "full"),
    (Reason::Late, "late"),
    (Reason::Soon, "soon"),
];

/// The door.
pub struct Room {
    board: Board,
    lane: Lane,
    secret: [u8; 32],
    signer: Signer,
    /// Names connections on the board, in each process by others: a lane outlives the process that had it.
    names: RandomState,
    overflow: OnceLock<Overflow>,
    counters: Counters,
}

/// What somebody says of himself who asks for a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Papers {
    /// The hash of the number that his player made up.
    pub(crate) player: Option<NonZeroU64>,
    /// The ticket that he brought.
    pub(crate) ticket: Option<Ticket>,
}

/// Somebody who asks for a file of HLS, as his request shows him.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Follower<'q> {
    /// What he asks for.
    pub(crate) ask: Ask,
    /// The space.
    pub(crate) slug: &'q str,
    /// What follows the question mark.
    pub(crate) query: &'q str,
    /// A number that no other connection of the process has.
    pub(crate) connection: u64,
    /// Whether another asks for him, as a cache does for many.
    pub(crate) is_forwarded: bool,
}

/// A place that is taken: what to give back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) rendition: Rendition,
    pub(crate) remembered: Option<Remembered>,
}

impl Room {
    /// A door of its own, without a bound.
    pub fn alone() -> Arc<Self> {
        Self::shared(Board::alone(), Lane::new(0), QueueSecret::drawn())
    }

    /// A door of a node whose doors share this board and secret.
    pub fn shared(board: Board, lane: Lane, secret: QueueSecret) -> Arc<Self> {
        let secret = secret.bytes();
        board.begin(lane);
        Arc::new(Self {
            board,
            lane,
            signer: Signer::new(&secret),
            secret,
            names: RandomState::new(),
            overflow: OnceLock::new(),
            counters: Counters::default(),
        })
    }

    /// From now on these bounds; whoever is in stays.
    pub fn limit(&self, limits: Limits) {
        self.board.limit(limits);
    }

    /// Sends plain players to these edges from now on, when this house is full. A second order changes nothing.
    pub fn overflow_to(&self, overflow: Overflow) {
        self.overflow.get_or_init(|| overflow);
    }

    /// Where plain players are sent.
    pub fn overflow(&self) -> Option<&Overflow> {
        self.overflow.get()
    }

    /// What somebody is told in place of this, who was refused at a path: a plain player where there is room, if there
    /// is any.
    pub(crate) fn send_on(&self, refused: Reply, path: &str, query: &str) -> Reply {
        let overflow = self.overflow().filter(|_| overflow::is_plain(query));
        match overflow.and_then(|overflow| overflow.send_on(path, query)) {
            None => refused,
            Some(location) => {
                self.counters.sent_on.increment(1);
                Reply::sent_on(location)
            }
        }
    }

    /// What `?l=` and `?ticket=` of a request say; a ticket that is not ours says nothing.
    pub(crate) fn papers(&self, query: &str) -> Papers {
        let player = chosen(query).map(|number| NonZeroU64::new(number).unwrap_or(NonZeroU64::MIN));
        let ticket = parameter(query, "ticket").and_then(|text| self.signer.open(text));
        Papers { player, ticket }
    }

    /// Takes a place, if it is his turn; else what he is told. Each that is taken is given back by [`Room::leave`].
    pub(crate) fn enter(
        &self,
        papers: Papers,
        rendition: Rendition,
        rung: Rung,
        share: Share,
    ) -> Result<Taken, Reply> {
        let asking = self.asking(papers, rendition, rung, share);
        match self.board.ask(&asking, &self.secret) {
            Verdict::Enter(Entered {
                remembered,
                standing,
            }) => {
                count(&self.counters.entered, standing);
                Ok(Taken {
                    rendition,
                    remembered,
                })
            }
            Verdict::Wait(wait) => Err(self.tell_to_wait(&wait)),
        }
    }

    /// Takes or keeps a place for somebody who asks for a playlist; else what he is told. What is no playlist that
    /// anybody listens by is everybody's. The place is given back by itself when he asks no more.
    pub(crate) fn follow(
        &self,
        follower: &Follower<'_>,
        rung: Rung,
        share: Share,
    ) -> Result<(), Reply> {
        let Some((playlist, rendition)) = follower.ask.playlist() else {
            return Ok(());
        };
        let papers = self.papers(follower.query);
        let name = || self.names.hash_one(follower.connection);
        let connection = (!follower.is_forwarded).then(name);
        let asking = self.asking(papers, rendition, rung, share);
        match self
            .board
            .follow(&asking, connection, playlist, &self.secret)
        {
            Followed::Goes => Ok(()),
            Followed::Enters(standing) => {
                count(&self.counters.entered, standing);
                Ok(())
            }
            Followed::Pauses => Err(hls::start_over_paused()),
            Followed::Waits(wait) => Err(self.told_full(follower, self.tell_to_wait(&wait))),
        }
    }

    /// What he is told for whom there is no place in this space. At other playlists a newcomer has a number.
    fn told_full(&self, follower: &Follower<'_>, told: Reply) -> Reply {
        let Ask::Main(_) = follower.ask else {
            return told;
        };
        let path = format!("/s/{}/hls/main.m3u8", follower.slug);
        self.send_on(told, &path, follower.query)
    }

    fn asking(&self, papers: Papers, rendition: Rendition, rung: Rung, share: Share) -> Asking {
        Asking {
            lane: self.lane,
            rendition,
            rung,
            player: papers.player.map(NonZeroU64::get),
            ticket: papers.ticket,
            share,
            now_ms: now_ms(),
            wall_s: wall_s(),
            chance: RandomState::new().hash_one(()),
        }
    }

    fn tell_to_wait(&self, wait: &Wait) -> Reply {
        count(&self.counters.waits, wait.reason);
        told(wait, &self.signer, self.board.progress())
    }

    /// Places that are taken in this process.
    pub(crate) fn inside(&self) -> u64 {
        self.board.held_by(self.lane)
    }

    /// Gives a place back.
    pub(crate) fn leave(&self, taken: Taken) {
        self.board.leave(self.lane, taken.rendition);
        if let Some(remembered) = taken.remembered {
            self.board.stepped_out(remembered, now_ms() / 1_000);
        }
    }

    /// Whether nobody has come in since by the number of whoever took this place.
    pub(crate) fn is_his(&self, taken: Taken) -> bool {
        taken
            .remembered
            .is_none_or(|remembered| self.board.is_last(remembered))
    }

    /// A place that is given back by itself.
    pub(crate) fn seat(self: &Arc<Self>, taken: Taken) -> Inside {
        Inside {
            room: Arc::clone(self),
            taken,
        }
    }

    /// Calls those whose turn it is, if it is time; to be said several times a second. `is_live` is asked only then.
    pub(crate) fn call(&self, rung: Rung, is_live: impl FnOnce() -> bool) {
        let now_ms = now_ms();
        if !self.board.is_due(now_ms) {
            return;
        }
        let Some(call) = self.board.call(now_ms, rung, is_live()) else {
            return;
        };
        if call.drew {
            tracing::info!("the talk begins: the order of those who came early is drawn");
        }
        if let Some(over) = self.board.last_queue().filter(|_| call.began_anew) {
            let seeds = told::seeds(over.queue, &self.secret);
            let [order_seed, sample_seed] = seeds.map(|seed| seed.opened);
            tracing::info!(over.queue, over.early, over.of, %order_seed, %sample_seed, "the queue is over: its draws are open");
        }
        self.counters.called.increment(call.called);
        self.counters.lapsed.increment(call.lapsed);
        self.counters.tell(&self.board, rung);
    }

    /// `now-serving.json`: how far the queue has come, the same for everyone.
    pub(crate) fn now_serving(&self, rung: Rung) -> String {
        let room = self.board.room(rung);
        let is_waited_for = self.board.queued() > 0;
        let free = if is_waited_for {
            0
        } else {
            room.free.min(FREE_MAX)
        };
        told::now_serving(
            self.board.progress(),
            free,
            self.board.last_queue(),
            &self.secret,
        )
    }

    /// Tickets that are neither served nor over.
    pub(crate) fn queued(&self) -> u64 {
        self.board.queued()
    }
}

/// A process of the node has died, whose lane this was.
pub fn mourn(board: &Board, lane: Lane) {
    board.mourn(lane, now_ms());
}

/// Who is inside or was lately, in numbers that outlive the node.
pub fn remembered(board: &Board) -> Vec<u64> {
    board.remembered(now_ms() / 1_000)
}

/// A node begins that was told these by the one before it.
pub fn recall(board: &Board, remembered: &[u64]) {
    board.recall(remembered, now_ms());
}

/// A place that is taken until this is dropped.
pub(crate) struct Inside {
    room: Arc<Room>,
    taken: Taken,
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.room.leave(self.taken);
    }
}

/// What the door counts; numbers of the board are the same at all doors of a node.
struct Counters {
    entered: [(Standing, Counter); 4],
    waits: [(Reason, Counter); 5],
    sent_on: Counter,
    called: Counter,
    lapsed: Counter,
    held: Gauge,
    free: Gauge,
    egress: Gauge,
    queued: Gauge,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            entered: STANDINGS.map(|(standing, name)| {
                (standing, counter!(metric::ADMISSIONS, "standing" => name))
            }),
            waits: REASONS
                .map(|(reason, name)| (reason, counter!(metric::WAITS, "reason" => name))),
            sent_on: counter!(metric::SENT_ON),
            called: counter!(metric::QUEUE_CALLED),
            lapsed: counter!(metric::QUEUE_LAPSED),
            held: gauge!(metric::SLOTS_HELD),
            free: gauge!(metric::SLOTS_FREE),
            egress: gauge!(metric::EGRESS_BITS),
            queued: gauge!(metric::QUEUED),
        }
    }
}

impl Counters {
    #[allow(
        clippy::cast_precision_loss,
        reason = "a node has fewer than 2^52 of anything"
    )]
    fn tell(&self, board: &Board, rung: Rung) {
        let room = board.room(rung);
        self.held.set(room.held as f64);
        self.egress.set(room.bits as f64);
        self.queued.set(board.queued() as f64);
        let free = if board.is_bounded() {
            room.free as f64
        } else {
            f64::INFINITY
        };
        self.free.set(free);
    }
}

/// A clock that all processes of a machine share and that nobody sets.
fn now_ms() -> u64 {
    let since = Duration::try_from(clock_gettime(ClockId::Monotonic));
    let since = since.expect("this clock begins at zero");
    u64::try_from(since.as_millis()).expect("a machine ends before that")
}

fn wall_s() -> u32 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::shared::SharedBoard;
    use super::*;

    #[test]
    fn a_process_that_takes_the_place_of_another_knows_none_of_its_connections() {
        let (kept, secret) = (SharedBoard::create().unwrap(), QueueSecret::drawn());
        kept.board().limit(Limits {
            slots: Some(1),
            egress_bits: None,
        });
        let begin = || {
            let board = shared::open(&kept.path()).unwrap();
            Room::shared(board, Lane::new(0), secret)
        };
        let first = Follower {
            ask: Ask::Main(Rung::default()),
            slug: "talk",
            query: "",
            connection: 1,
            is_forwarded: false,
        };
        let follows = |room: &Room| room.follow(&first, Rung::default(), Share::ALL).is_ok();
        let before = begin();
        assert!(follows(&before) && follows(&before), "he keeps his place");
        assert!(!follows(&begin()), "another has the first connection now");
    }
}
