//! One space as listeners meet it: the narrow door between the origin and the fan-out.
//!
//! The origin writes (window, facts, page), listeners read. Before doors nothing is produced unless somebody asks:
//! [`OnAir::window`] says so, and waits until the window is filled.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use throng_core::rendition::Channels;
use throng_core::space::Space;
use throng_core::timeline::PartIndex;
use throng_core::window::Window;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

use crate::behind::Behind;
use crate::document::Document;
use crate::past::Past;
use crate::presence::{Counts, Player, Presence, Shard};

/// How long a listener waits for the hold programme to be made ready before he is told to come again.
pub(crate) const FILL_TIMEOUT: Duration = Duration::from_secs(5);

/// What the origin says about a space, and its page that says the same.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The space.
    pub space: Arc<Space>,
    /// Its page for listeners, for everyone alike.
    pub page: Arc<Document>,
    /// Its chapters, as players read them.
    pub chapters: Arc<Document>,
}

/// A space as the publisher of a feed follows it, without being a demand for its parts.
pub(crate) struct Watched {
    pub(crate) facts: watch::Receiver<Facts>,
    pub(crate) flowing: watch::Receiver<bool>,
    pub(crate) window: watch::Receiver<Window>,
}

/// A space on air.
pub struct OnAir {
    facts: watch::Sender<Facts>,
    window: watch::Sender<Window>,
    changed_at: watch::Sender<std::time::Instant>,
    flowing: watch::Sender<bool>,
    closed: watch::Sender<bool>,
    demand: Notify,
    demanded_at: watch::Sender<Instant>,
    presence: Mutex<Presence>,
    behind: Mutex<Behind>,
    told: watch::Sender<Option<Counts>>,
    since: Instant,
    past: Box<dyn Past>,
}

impl OnAir {
    /// A space with an empty window into which nothing flows yet.
    pub fn new(facts: Facts, window: Window, presence: Presence, past: Box<dyn Past>) -> Self {
        Self {
            facts: watch::Sender::new(facts),
            window: watch::Sender::new(window),
            changed_at: watch::Sender::new(std::time::Instant::now()),
            flowing: watch::Sender::new(false),
            closed: watch::Sender::new(false),
            demand: Notify::new(),
            demanded_at: watch::Sender::new(Instant::now()),
            presence: Mutex::new(presence),
            behind: Mutex::default(),
            told: watch::Sender::new(None),
            since: Instant::now(),
            past,
        }
    }

    /// Says something new about the space.
    pub fn declare(&self, facts: Facts) {
        if facts.space.doors_part.is_some() {
            self.present(Presence::open_doors);
        }
        self.facts.send_replace(facts);
    }

    /// Changes the window: pushes a part, starts it anew, finishes it.
    pub fn change_window(&self, change: impl FnOnce(&mut Window)) {
        self.changed_at.send_replace(std::time::Instant::now());
        self.window.send_modify(change);
    }

    /// When the window was last changed.
    pub(crate) fn changed_at(&self) -> std::time::Instant {
        *self.changed_at.borrow()
    }

    /// Whether parts flow into the window now (or it is finished), so that it can be served as it stands.
    pub fn set_flowing(&self, flowing: bool) {
        self.flowing.send_replace(flowing);
    }

    /// Waits until a listener asks for a window into which nothing flows.
    pub async fn wait_for_demand(&self) {
        self.demand.notified().await;
    }

    /// Asks for the window to be filled.
    pub fn ask(&self) {
        self.demand.notify_one();
    }

    /// Somebody listens, or wants to, at a worker or edge.
    pub fn ask_from_afar(&self) {
        self.demanded_at.send_replace(Instant::now());
        if !*self.flowing.borrow() {
            self.ask();
        }
    }

    /// When somebody last asked for the window.
    pub fn demanded_at(&self) -> Instant {
        *self.demanded_at.borrow()
    }

    /// Nothing more will come from this process: the space is deleted, or the process ends. Who waits is sent away
    /// at once instead of waiting for ever.
    pub fn close(&self) {
        self.closed.send_replace(true);
    }

    /// Waits until nothing more will come.
    pub async fn closed(&self) {
        // The sender is in self.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }

    /// The window, filled; `None` when it could not be made ready in time, or nothing more will come.
    pub async fn window(&self) -> Option<watch::Receiver<Window>> {
        self.demanded_at.send_replace(Instant::now());
        if !*self.flowing.borrow() {
            self.ask();
            let mut flowing = self.flowing.subscribe();
            let filled = timeout(FILL_TIMEOUT, flowing.wait_for(|flowing| *flowing));
            tokio::select! {
                filled = filled => drop(filled.ok()?.ok()?),
                () = self.closed() => {}
            }
        }
        (!*self.closed.borrow()).then(|| self.window.subscribe())
    }

    /// Says that somebody listens or wants to; asks for the window to be filled where nothing flows into it. Whether
    /// it can be served as it stands.
    pub(crate) fn demand(&self) -> bool {
        self.demanded_at.send_replace(Instant::now());
        let flowing = *self.flowing.borrow();
        if !flowing {
            self.ask();
        }
        flowing
    }

    /// Whether nothing more will come.
    pub(crate) fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    /// Brings a copy of the window up to this one. Usually a part or two have come, and only they are copied.
    pub(crate) fn follow(&self, copy: &mut Window) {
        let window = self.window.borrow();
        if (window.next(), window.true_next()) == (copy.next(), copy.true_next())
            && (window.oldest(), window.is_finished()) == (copy.oldest(), copy.is_finished())
        {
            return;
        }
        let stands_in = |window: &Window| window.true_next() < window.next();
        let continues = (window.oldest()..=window.next()).contains(&copy.next());
        // Where true parts take the places of stand-ins, the copy changes in its middle.
        if !continues
            || copy.is_finished() && !window.is_finished()
            || stands_in(copy)
            || stands_in(&window)
        {
            *copy = window.clone();
            return;
        }
        for part in window.since(copy.next()) {
            copy.push(Arc::clone(part))
                .expect("parts of a window follow each other");
        }
        if window.is_finished() {
            copy.finish();
        }
    }

    /// The window as it stands, without asking for it to be filled.
    pub fn window_as_it_stands(&self) -> Window {
        self.window.borrow().clone()
    }

    /// How far the window has come, how far truly, and whether it is finished.
    pub(crate) fn standing(&self) -> (PartIndex, PartIndex, bool) {
        let window = self.window.borrow();
        (window.next(), window.true_next(), window.is_finished())
    }

    /// A look at the window as it stands; the origin waits meanwhile.
    pub(crate) fn window_now(&self) -> watch::Ref<'_, Window> {
        self.window.borrow()
    }

    /// The part that comes next, as the window stands.
    pub(crate) fn next_part(&self) -> PartIndex {
        self.window.borrow().next()
    }

    /// How many channels its programme has.
    pub fn channels(&self) -> Channels {
        self.facts.borrow().space.sound.channels
    }

    /// What the origin last said about the space.
    pub fn facts(&self) -> Facts {
        self.facts.borrow().clone()
    }

    /// What the space has kept.
    pub fn past(&self) -> &dyn Past {
        &*self.past
    }

    /// The counts now, over all who serve the space.
    pub fn counts(&self) -> Counts {
        let told = *self.told.borrow();
        told.unwrap_or_else(|| self.counts_here())
    }

    /// The counts of this process and of those that report to it.
    pub fn counts_here(&self) -> Counts {
        let here = self.present(Presence::counts);
        let doors_open = self.facts.borrow().space.doors_part.is_some();
        let now = self.since.elapsed();
        self.behind().with(here, doors_open, now)
    }

    /// A worker or edge says how many listen there now, and how many have joined since it last said so.
    pub fn report(&self, consumer: u128, listening: u64, joined: u64) {
        let now = self.since.elapsed();
        self.behind().report(consumer, listening, joined, now);
    }

    /// The upstream says what the counts are over all; from now on they are shown instead of our own.
    pub fn tell_counts(&self, counts: Counts) {
        self.told.send_replace(Some(counts));
    }

    fn behind(&self) -> MutexGuard<'_, Behind> {
        // A panic in another thread left the counts whole: each change is one step.
        self.behind.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the publisher of a feed follows.
    pub(crate) fn watch(&self) -> Watched {
        Watched {
            facts: self.facts.subscribe(),
            flowing: self.flowing.subscribe(),
            window: self.window.subscribe(),
        }
    }

    /// Whether the window can be served as it stands.
    pub fn is_flowing(&self) -> bool {
        *self.flowing.borrow()
    }

    /// Audio was delivered to a player. A listener who stays is also a demand for the next parts.
    pub fn delivered(&self, player: Player) {
        self.demanded_at.send_replace(Instant::now());
        self.present(|presence, now| presence.delivered(player, now));
    }

    /// Audio was delivered to these players.
    pub(crate) fn delivered_to(&self, players: &mut Vec<Player>) {
        self.present(|presence, now| {
            for player in players.drain(..) {
                presence.delivered(player, now);
            }
        });
    }

    /// A shard has so many listeners now, of which so many have just joined.
    pub(crate) fn counted(&self, shard: Shard, listening: u64, just_joined: u64) {
        self.present(|presence, _| presence.counted(shard, listening, just_joined));
    }

    fn present<T>(&self, act: impl FnOnce(&mut Presence, Duration) -> T) -> T {
        let now = self.since.elapsed();
        // A panic in another thread left the counts whole: each change is one step.
        act(
            &mut self.presence.lock().unwrap_or_else(PoisonError::into_inner),
            now,
        )
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use throng_core::caching::BRIEF;
    use throng_core::slug::Slug;
    use throng_core::space::Announcement;
    use throng_core::time::UnixMillis;

    use super::*;
    use crate::past::KeptElsewhere;

    /// An announced space with an empty window into which parts flow.
    pub(crate) fn on_air() -> Arc<OnAir> {
        let announcement = Announcement {
            id: "1".to_owned(),
            slug: Slug::from_title("A talk", 7),
            title: "A talk".to_owned(),
            scheduled_at: None,
            speakers: 2,
            expected_listeners: None,
        };
        let space = Space::announce(UnixMillis(0), announcement);
        let facts = Facts {
            space: Arc::new(space.expect("it has a title")),
            page: Arc::new(Document::new(String::new(), "text/html", BRIEF)),
            chapters: Arc::new(Document::new(String::new(), "application/json", BRIEF)),
        };
        let window = Window::new(PartIndex(0));
        let on_air = OnAir::new(
            facts,
            window,
            Presence::default(),
            Box::new(KeptElsewhere::nothing()),
        );
        on_air.set_flowing(true);
        Arc::new(on_air)
    }
}
