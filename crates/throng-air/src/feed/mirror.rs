//! The following end: a feed fills an [`Air`], and where parts stop the hold loop stands in.
//!
//! No sockets and no clock: messages and instants come in. The same mirror outlives its lines: it says what it has
//! ([`Mirror::hello`]), and each new line brings what is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use throng_core::rendition::Channels;
use throng_core::slug::Slug;
use throng_core::timeline::{PART_DURATION_MS, PartIndex};
use throng_core::window::{OutOfOrder, Part, Window};
use tokio::sync::watch;
use tokio::time::Instant;

use super::hold::HoldParts;
use super::message::{Down, Hello, Here};
use crate::air::Air;
use crate::metric;
use crate::on_air::{Facts, OnAir};
use crate::past::{KeptElsewhere, Recorded};
use crate::presence::Presence;

/// A part that is later than this is stood in for. Listeners have a cushion of 4 s less a span of 0.96 s; half of the
/// rest is for the line's jitter, half for the way to the listener.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// Somebody who asked so long ago may listen still: HLS players and spans ask more often.
const DEMAND_LASTS: Duration = Duration::from_secs(10);
/// Most stand-ins at once: a process that was stopped for longer has lost its listeners, and begins anew with the
/// newest.
const STAND_INS_AT_ONCE: u64 = 300;

/// What an origin that stood still brings when it goes on comes faster than real time; stand-ins go on meanwhile, for so
/// long. Beyond, its clock is another, and the true parts are waited for.
const CATCH_UP_MAX: Duration = Duration::from_secs(10);

/// Who is no farther behind than this has caught up: waiting costs listeners less than more of the hold loop would.
const CAUGHT_UP_PARTS: u64 = 2;

/// Makes the part that stands in for a number in a space of so many channels.
pub type StandIn = Box<dyn Fn(Channels, PartIndex) -> Part + Send + Sync>;

/// Why a line is given up. The next one begins afresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MirrorError {
    /// The upstream frames its sound otherwise than we do.
    #[error("the upstream has other init headers: run the same version of throng at both ends")]
    OtherHeaders,
    /// A part came out of its order.
    #[error(transparent)]
    OutOfOrder(#[from] OutOfOrder),
}

/// What a feed has told so far.
pub struct Mirror {
    air: Arc<Air>,
    stand_in: StandIn,
    spaces: BTreeMap<Slug, Mirrored>,
    /// What this line has told of so far; `None` once it has told of all.
    listing: Option<BTreeSet<Slug>>,
    /// The parts of hold loops that are not whole yet, by [`Channels::index`].
    hold: [Vec<Part>; 2],
    listed: watch::Sender<bool>,
    filled: watch::Sender<bool>,
}

/// A space of the upstream.
struct Mirrored {
    on_air: Arc<OnAir>,
    recorded: watch::Sender<Recorded>,
    /// A window that is not whole yet, and how far it has to come before it takes the place of the present one.
    filling: Option<(Window, PartIndex)>,
    /// Whether parts are to be expected.
    flowing: bool,
    /// Which part came next, and when, the last time that nothing stood in; `None` before the first.
    in_time: Option<(PartIndex, Instant)>,
    /// Since when parts have come again that stand-ins had replaced.
    catching_up: Option<Instant>,
    /// When it was made, before anybody could ask.
    made_at: Instant,
    /// The newest demand that has been told.
    asked: Instant,
    standing_in: bool,
}

impl Mirror {
    /// A mirror that fills a house.
    pub fn new(air: Arc<Air>, stand_in: StandIn) -> Self {
        Self {
            air,
            stand_in,
            spaces: BTreeMap::new(),
            listing: None,
            hold: Default::default(),
            listed: watch::Sender::new(false),
            filled: watch::Sender::new(false),
        }
    }

    /// Whether every space of the upstream has been told once.
    pub fn listed(&self) -> watch::Receiver<bool> {
        self.listed.subscribe()
    }

    /// Whether, besides, every space between doors and end has its window.
    pub fn filled(&self) -> watch::Receiver<bool> {
        self.filled.subscribe()
    }

    /// Begins a new line: what we have.
    pub fn hello(&mut self) -> Hello {
        self.listing = Some(BTreeSet::new());
        self.hold = Default::default();
        let mut here = Vec::new();
        for (slug, mirrored) in &mut self.spaces {
            mirrored.filling = None;
            if mirrored.in_time.is_some() {
                here.push(Here {
                    slug: slug.clone(),
                    epoch: mirrored.on_air.facts().space.created_at,
                    next: mirrored.on_air.window_as_it_stands().true_next(),
                });
            }
        }
        let hold = Channels::ALL.map(|channels| {
            let hold = self.air.hold(channels);
            let hold = hold.borrow();
            hold.as_ref().map_or(0, |hold| hold.fingerprint())
        });
        Hello {
            hold,
            decision: self.air.ladder().told(),
            here,
        }
    }

    /// Takes what the upstream tells.
    pub fn apply(&mut self, message: Down, now: Instant) -> Result<(), MirrorError> {
        match message {
            Down::Beat => {}
            Down::Decided(decision) => self.air.ladder().tell(decision, now.into_std()),
            Down::Headers(headers) => {
                if *self.air.headers() != *headers {
                    return Err(MirrorError::OtherHeaders);
                }
            }
            Down::Hold { channels, of, part } => self.take_hold(channels, of, part),
            Down::Index(index) => self.air.set_index(index),
            Down::Listed => self.end_listing(),
            Down::Removed(slug) => self.remove(&slug),
            Down::Space(facts) => self.declare(facts),
            Down::Counts {
                slug,
                counts,
                recorded,
            } => {
                if let Some(mirrored) = self.spaces.get(&slug) {
                    mirrored.on_air.tell_counts(counts);
                    mirrored.recorded.send_replace(recorded);
                }
            }
            Down::Finished(slug) => self.change(&slug, Mirrored::finish),
            Down::Flowing { slug, flowing } => {
                self.change(&slug, |mirrored| mirrored.set_flowing(flowing));
            }
            Down::Restart { slug, first, next } => {
                self.change(&slug, |mirrored| {
                    mirrored.filling = Some((Window::new(first), next));
                });
            }
            Down::Part { slug, part } => {
                if let Some(mirrored) = self.spaces.get_mut(&slug) {
                    mirrored.push(part, now)?;
                }
            }
        }
        Ok(())
    }

    /// Plays stand-ins where parts are late, and says which spaces somebody has begun to ask for.
    pub fn tick(&mut self, now: Instant) -> Vec<Slug> {
        let mut asked = Vec::new();
        if *self.listed.borrow() && !*self.filled.borrow() {
            let filled = self.spaces.values().all(Mirrored::is_filled);
            self.filled.send_replace(filled);
        }
        for (slug, mirrored) in &mut self.spaces {
            mirrored.stand_in(&self.stand_in, now);
            let demanded_at = mirrored.on_air.demanded_at();
            if !mirrored.flowing && demanded_at > mirrored.asked {
                mirrored.asked = demanded_at;
                asked.push(slug.clone());
            }
        }
        asked
    }

    /// The spaces that somebody listens to or waits for.
    pub fn demanded(&self, now: Instant) -> Vec<Slug> {
        self.spaces
            .iter()
            .filter(|(_, mirrored)| mirrored.is_demanded(now))
            .map(|(slug, _)| slug.clone())
            .collect()
    }

    fn change(&mut self, slug: &Slug, change: impl FnOnce(&mut Mirrored)) {
        // What concerns a space that was just removed may still be on its way.
        if let Some(mirrored) = self.spaces.get_mut(slug) {
            change(mirrored);
        }
    }

    fn declare(&mut self, facts: Facts) {
        let slug = facts.space.slug.clone();
        if let Some(listing) = &mut self.listing {
            listing.insert(slug.clone());
        }
        let known = self
            .spaces
            .get(&slug)
            .filter(|mirrored| mirrored.on_air.facts().space.created_at == facts.space.created_at);
        if let Some(mirrored) = known {
            mirrored.on_air.declare(facts);
            return;
        }
        self.remove(&slug);
        let mirrored = Mirrored::new(facts);
        self.air.add(slug.as_str(), Arc::clone(&mirrored.on_air));
        self.spaces.insert(slug, mirrored);
    }

    fn remove(&mut self, slug: &Slug) {
        if let Some(mirrored) = self.spaces.remove(slug) {
            self.air.remove(slug.as_str());
            mirrored.on_air.close();
        }
    }

    /// What was not told of went while there was no line.
    fn end_listing(&mut self) {
        let Some(listing) = self.listing.take() else {
            return;
        };
        let gone: Vec<_> = self
            .spaces
            .keys()
            .filter(|slug| !listing.contains(*slug))
            .cloned()
            .collect();
        for slug in gone {
            self.remove(&slug);
        }
        self.listed.send_replace(true);
    }

    fn take_hold(&mut self, channels: Channels, of: u32, part: Part) {
        let hold = &mut self.hold[channels.index()];
        if part.index == PartIndex(0) {
            hold.clear();
        }
        // A loop that begins in its middle is not taken; the next line tells it whole.
        if part.index.0 == hold.len() as u64 {
            hold.push(part);
        }
        if hold.len() == of as usize {
            let whole = HoldParts::new(std::mem::take(hold));
            self.air.set_hold(channels, whole);
        }
    }
}

impl Mirrored {
    fn new(facts: Facts) -> Self {
        let (recorded, kept) = watch::channel(Recorded::default());
        let (window, presence) = (Window::new(PartIndex(0)), Presence::default());
        // The program fetches from the upstream what is not in the window.
        let past = Box::new(KeptElsewhere(kept));
        let on_air = Arc::new(OnAir::new(facts.clone(), window, presence, past));
        // Doors that are open already count from now on.
        on_air.declare(facts);
        Self {
            recorded,
            filling: None,
            flowing: false,
            in_time: None,
            catching_up: None,
            made_at: on_air.demanded_at(),
            asked: on_air.demanded_at(),
            standing_in: false,
            on_air,
        }
    }

    fn push(&mut self, part: Arc<Part>, now: Instant) -> Result<(), OutOfOrder> {
        if let Some((mut window, goal)) = self.filling.take() {
            window.push(part)?;
            if window.next() < goal {
                self.filling = Some((window, goal));
                return Ok(());
            }
            self.on_air.change_window(|present| *present = window);
        } else {
            let mut pushed = Ok(());
            self.on_air
                .change_window(|window| pushed = window.push(part));
            pushed?;
        }
        let (next, true_next, _) = self.on_air.standing();
        let since = *self.catching_up.get_or_insert(now);
        if next.0 - true_next.0 <= CAUGHT_UP_PARTS
            || now.saturating_duration_since(since) >= CATCH_UP_MAX
        {
            self.in_time = Some((true_next, now));
            self.catching_up = None;
            if std::mem::take(&mut self.standing_in) {
                tracing::info!(slug = self.slug(), "parts come again");
            }
        }
        Ok(())
    }

    fn finish(&mut self) {
        self.flowing = false;
        self.on_air.change_window(Window::finish);
        self.on_air.set_flowing(true);
    }

    /// Whether parts are always to be expected: from doors to the end.
    fn is_in_programme(&self) -> bool {
        let space = self.on_air.facts().space;
        space.doors_part.is_some() && !space.state.is_over()
    }

    fn is_filled(&self) -> bool {
        self.on_air.is_flowing() || !self.is_in_programme()
    }

    /// In its programme an origin that has no parts yet has just come back.
    fn set_flowing(&mut self, flowing: bool) {
        let in_programme = self.is_in_programme();
        let (_, _, finished) = self.on_air.standing();
        if flowing || !in_programme {
            self.flowing = flowing && !finished;
            self.on_air.set_flowing(flowing || finished);
        }
    }

    fn stand_in(&mut self, make: &StandIn, now: Instant) {
        let Some((expected, at)) = self.in_time.filter(|_| self.flowing) else {
            return;
        };
        let (next, _, finished) = self.on_air.standing();
        let until = stand_ins_until(expected, now.saturating_duration_since(at));
        if finished || until <= next {
            return;
        }
        if !self.standing_in {
            self.standing_in = true;
            tracing::warn!(
                slug = self.slug(),
                part = next.0,
                "parts have stopped; the hold loop stands in"
            );
        }
        let from = next.0.max(until.0.saturating_sub(STAND_INS_AT_ONCE));
        let channels = self.on_air.channels();
        let parts: Vec<_> = (from..until.0)
            .map(|index| Arc::new(make(channels, PartIndex(index))))
            .collect();
        metrics::counter!(metric::STAND_INS).increment(parts.len() as u64);
        self.on_air.change_window(|window| {
            if window.next().0 < from {
                *window = Window::new(PartIndex(from));
            }
            for part in parts {
                // They follow one another, and nothing else pushes.
                let _ = window.push_stand_in(part);
            }
        });
    }

    fn is_demanded(&self, now: Instant) -> bool {
        let demanded_at = self.on_air.demanded_at();
        demanded_at > self.made_at && now.saturating_duration_since(demanded_at) < DEMAND_LASTS
    }

    fn slug(&self) -> String {
        self.on_air.facts().space.slug.as_str().to_owned()
    }
}

/// Up to where stand-ins are played, when the newest part that came in time, the one before `true_next`, is so long ago. Once the
/// patience is over they begin where the true parts stopped, so that what it took does not eat up the listeners'
/// cushion, and then go on in real time.
fn stand_ins_until(true_next: PartIndex, since_newest: Duration) -> PartIndex {
    let part = Duration::from_millis(PART_DURATION_MS);
    if since_newest < part + PATIENCE {
        return true_next;
    }
    let missing = since_newest.as_millis() / part.as_millis();
    PartIndex(true_next.0 + u64::try_from(missing).unwrap_or(u64::MAX >> 1))
}

#[cfg(test)]
mod tests;
