//! The ladder in a process that serves: measures itself each second, moves, and says so.
//!
//! A node decides once for all its processes, which share a machine: workers report what they measure, the origin adds
//! it up and decides, and the feed carries the decision down. A worker whose origin is away decides for itself, from
//! where it was. An edge has a machine of its own and decides for itself, too, unless an operator has set a rung: that
//! holds everywhere. What a rung means for a listener is his cursor's to decide.

mod host;
pub(crate) mod strain;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use throng_core::ladder::Rung;
use throng_core::ladder::climber::{Climber, Move};
use throng_core::ladder::reason::Reason;
use throng_core::ladder::signals::{Decision, Signals};
use throng_core::time::UnixMillis;
use tokio::time::{MissedTickBehavior, interval};

use self::host::Host;
pub use self::host::memory_bytes;
pub(crate) use self::host::resident_bytes;
use self::strain::Strain;
use crate::air::{Air, now};
use crate::metric;

/// What a worker measured counts for so long: reports come every second, and one may be late.
const HEARD_FOR: Duration = Duration::from_secs(3);
/// What the upstream decided counts for so long: a dead line is known after four seconds.
const TOLD_FOR: Duration = Duration::from_secs(5);
/// Workers heard at once; as many as may follow a feed. What one more measures is left out until another's is too old.
const WORKERS_MAX: usize = 256;
/// An origin that has just started learns from its workers for so long where its forerunner was.
const LEARNS_FOR: Duration = Duration::from_secs(10);

/// The ladder of a process.
#[derive(Debug)]
pub struct Ladder {
    /// Read with each span that is sent.
    rung: AtomicU8,
    strain: Strain,
    books: Mutex<Books>,
}

#[derive(Debug)]
struct Books {
    climber: Climber,
    host: Host,
    /// What the upstream decided, and when it last said so.
    told: Option<(Decision, Instant)>,
    /// Whether this process is on a machine of its own.
    is_alone: bool,
    /// Until when the node may learn where it was before; never, once somebody has said where it is.
    learns_until: Option<Instant>,
    /// What workers measured, and when.
    heard: BTreeMap<u128, (Signals, Instant)>,
    /// What this process measured.
    here: Signals,
    /// What it is decided by.
    signals: Signals,
    since: UnixMillis,
}

/// Where the ladder stands.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// The rung, and why.
    pub decision: Decision,
    /// The rung to which the last second would have moved it.
    pub wanted: Rung,
    /// What it is decided by.
    pub signals: Signals,
    /// Since when it is on its rung.
    pub since: UnixMillis,
}

impl Default for Ladder {
    fn default() -> Self {
        Self {
            rung: AtomicU8::new(0),
            strain: Strain::default(),
            books: Mutex::new(Books {
                climber: Climber::default(),
                host: Host::default(),
                told: None,
                is_alone: false,
                learns_until: Some(Instant::now() + LEARNS_FOR),
                heard: BTreeMap::new(),
                here: Signals::default(),
                signals: Signals::default(),
                since: now(),
            }),
        }
    }
}

impl Ladder {
    /// The rung on which listeners are served.
    pub fn rung(&self) -> Rung {
        Rung::new(self.rung.load(Ordering::Relaxed)).expect("only rungs are stored")
    }

    /// The same, and why.
    pub fn decision(&self) -> Decision {
        self.books().climber.decision()
    }

    /// Where it stands.
    pub fn standing(&self) -> Standing {
        let books = self.books();
        Standing {
            decision: books.climber.decision(),
            wanted: books.climber.wanted(),
            signals: books.signals,
            since: books.since,
        }
    }

    /// What this process measured in its last second.
    pub fn here(&self) -> Signals {
        self.books().here
    }

    /// The operator sets a rung, which stays.
    pub fn lock(&self, rung: Rung) {
        let mut books = self.books();
        books.learns_until = None;
        let moved = books.climber.lock(rung);
        self.publish(&mut books, moved, "operator");
    }

    /// The operator lets it move by itself again.
    pub fn unlock(&self) {
        let mut books = self.books();
        books.learns_until = None;
        books.climber.unlock();
    }

    /// The operator allows the node so much memory.
    pub fn set_memory_max(&self, bytes: u64) {
        self.books().host.budget_bytes = Some(bytes);
    }

    /// This process has a machine of its own: it follows nobody but an operator.
    pub fn decide_alone(&self) {
        self.books().is_alone = true;
    }

    /// What the threads that serve listeners tell of themselves.
    pub(crate) fn strain(&self) -> &Strain {
        &self.strain
    }

    /// The upstream says what it has decided.
    pub(crate) fn tell(&self, decision: Decision, now: Instant) {
        let mut books = self.books();
        books.told = Some((decision, now));
        let moved = books.follow(now);
        self.publish(&mut books, moved, "upstream");
    }

    /// What the upstream has decided, if this process follows that.
    pub(crate) fn told(&self) -> Decision {
        let books = self.books();
        let told = books.told.filter(|_| !books.is_alone);
        told.map_or_else(Decision::default, |(decision, _)| decision)
    }

    /// A worker that has outlived our forerunner says what that had decided last.
    pub(crate) fn learn(&self, decision: Decision) {
        let mut books = self.books();
        let may_learn = books
            .learns_until
            .is_some_and(|until| Instant::now() < until);
        if decision != Decision::default() && may_learn {
            books.learns_until = None;
            let moved = books.climber.take(decision);
            self.publish(&mut books, moved, "forerunner");
        }
    }

    /// A worker says what it has measured.
    pub(crate) fn hear(&self, worker: u128, signals: Signals, now: Instant) {
        let heard = &mut self.books().heard;
        if heard.len() < WORKERS_MAX || heard.contains_key(&worker) {
            heard.insert(worker, (signals, now));
        }
    }

    /// A second is over.
    fn end_second(&self, now: Instant) {
        let mut books = self.books();
        let here = books.host.look(now, self.strain.end_second());
        let moved = books.end_second(here, now);
        self.publish(&mut books, moved, "calm");
        books.publish();
    }

    /// Says where it is, and what has moved it there if nothing pressed.
    fn publish(&self, books: &mut Books, moved: Option<Move>, otherwise: &'static str) {
        let Some(Move { from, to, reasons }) = moved else {
            return;
        };
        self.rung.store(to.number(), Ordering::Relaxed);
        books.since = now();
        let names: Vec<_> = reasons.each().map(Reason::name).collect();
        let names = if names.is_empty() || otherwise == "upstream" {
            vec![otherwise]
        } else {
            names
        };
        for reason in &names {
            metrics::counter!(metric::LADDER_MOVES, "reason" => *reason).increment(1);
        }
        let (from, to, because) = (from.number(), to.number(), names.join(", "));
        tracing::info!(from, to, because, signals = ?books.signals, "moved along the ladder");
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        // A panic in another thread left the books whole: each change is one step.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    fn end_second(&mut self, here: Signals, now: Instant) -> Option<Move> {
        self.heard
            .retain(|_, (_, at)| now.saturating_duration_since(*at) < HEARD_FOR);
        self.here = here;
        let heard = self.heard.values().map(|(signals, _)| *signals);
        self.signals = heard.fold(here, Signals::with);
        if self.is_following(now) {
            return None;
        }
        self.climber.second(&self.signals)
    }

    /// Goes where the upstream is, if this process follows it.
    fn follow(&mut self, now: Instant) -> Option<Move> {
        let (decision, _) = self.told?;
        if self.is_following(now) {
            return self.climber.take(decision);
        }
        // Who has an upstream is locked by it alone.
        self.climber.unlock();
        None
    }

    /// Whether the upstream decides. What an operator set holds for as long as nobody takes it back.
    fn is_following(&self, now: Instant) -> bool {
        self.told.is_some_and(|(decision, at)| {
            let is_fresh = now.saturating_duration_since(at) < TOLD_FOR;
            decision.locked || is_fresh && !self.is_alone
        })
    }

    fn publish(&self) {
        metrics::gauge!(metric::LADDER_RUNG).set(self.climber.decision().rung.number());
        metrics::gauge!(metric::LADDER_WANTED).set(self.climber.wanted().number());
        for reason in Reason::ALL {
            let value = f64::from(reason.of(&self.signals)) / 1_000.0;
            metrics::gauge!(metric::LADDER_SIGNAL, "signal" => reason.name()).set(value);
        }
    }
}

/// Measures and moves every second, as long as there is somebody to serve.
pub async fn keep(air: Weak<Air>) {
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        seconds.tick().await;
        let Some(air) = air.upgrade() else { return };
        air.ladder().end_second(Instant::now());
    }
}

#[cfg(test)]
mod tests;
