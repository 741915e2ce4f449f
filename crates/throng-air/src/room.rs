//! The door of this process: who is let in, by the board that the processes of a node share, and what the others are told.

pub mod shared;
mod told;

use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metrics::{Counter, Gauge, counter, gauge};
use rustix::time::{ClockId, clock_gettime};
use throng_core::admission::{
    Asking, Board, Entered, Lane, Limits, Reason, Remembered, Share, Signer, Standing, Ticket,
    Verdict,
};
use throng_core::ladder::Rung;
use throng_core::rendition::Rendition;

use self::shared::QueueSecret;
use self::told::told;
use crate::answer::Reply;
use crate::metric;
use crate::presence::parameter;

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
            counters: Counters::default(),
        })
    }

    /// From now on these bounds; whoever is in stays.
    pub fn limit(&self, limits: Limits) {
        self.board.limit(limits);
    }

    /// What `?l=` and `?ticket=` of a request say; a ticket that is not ours says nothing.
    pub(crate) fn papers(&self, query: &str) -> Papers {
        let player = parameter(query, "l").map(|chosen| {
            let mut hasher = DefaultHasher::new();
            chosen.hash(&mut hasher);
            NonZeroU64::new(hasher.finish()).unwrap_or(NonZeroU64::MIN)
        });
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
        let asking = Asking {
            lane: self.lane,
            rendition,
            rung,
            player: papers.player.map(NonZeroU64::get),
            ticket: papers.ticket,
            share,
            now_ms: now_ms(),
            wall_s: wall_s(),
            chance: RandomState::new().hash_one(()),
        };
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
            Verdict::Wait(wait) => {
                count(&self.counters.waits, wait.reason);
                Err(told(&wait, &self.signer, self.board.progress()))
            }
        }
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
        self.counters.called.increment(call.called);
        self.counters.lapsed.increment(call.lapsed);
        self.counters.tell(&self.board, rung);
    }

    /// `now-serving.json`: how far the queue has come, the same for everyone.
    pub(crate) fn now_serving(&self) -> String {
        told::now_serving(self.board.progress(), &self.board.chances(&self.secret))
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

fn count<K: Copy + PartialEq>(counters: &[(K, Counter)], key: K) {
    let found = counters.iter().find(|(of, _)| *of == key);
    let (_, counter) = found.expect("each has its counter");
    counter.increment(1);
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
