//! The publishing end: one task for each consumer tells it what it lacks, then everything that changes.
//!
//! It reads what listeners read and holds nobody: each space has a cursor into its window, a consumer whose line takes
//! nothing for [`SLOW_MAX`] is cut off, and one that comes back says what it has. Stand-ins are never told; whoever
//! needs them has the hold loop.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use throng_core::rendition::Channels;
use throng_core::slug::Slug;
use throng_core::timeline::PartIndex;
use throng_core::window::{Part, Window};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{interval, timeout};

use super::decoder::Message;
use super::hold::HoldParts;
use super::message::{Down, Hello, Here};
use super::{BEAT_EVERY, GREETING};
use crate::air::Air;
use crate::document::Document;
use crate::metric;
use crate::on_air::{OnAir, Watched};

/// Frames that wait for one consumer's line, about 1 MB of parts. When it is full, the tasks that fill it wait.
const QUEUE_FRAMES: usize = 64;
/// A line that takes nothing for so long is cut. The consumer plays the hold loop meanwhile.
const SLOW_MAX: Duration = Duration::from_secs(5);
/// Parts that are looked up at once.
const PARTS_AT_ONCE: usize = 16;

/// Starts to tell a consumer; it ends when nobody receives any more, or the receiver is too slow.
pub fn publish(air: &Arc<Air>, hello: Hello) -> mpsc::Receiver<Bytes> {
    let (line, frames) = mpsc::channel(QUEUE_FRAMES);
    let publisher = Publisher {
        air: Arc::clone(air),
        line: Line(line),
        following: BTreeMap::new(),
        followers: JoinSet::new(),
    };
    tokio::spawn(async move {
        metrics::gauge!(metric::CONSUMERS).increment(1.0);
        if publisher.run(hello).await == Err(Lost::TooSlow) {
            metrics::counter!(metric::CUT_OFF).increment(1);
            tracing::warn!("a consumer of the feed was too slow and is cut off");
        }
        metrics::gauge!(metric::CONSUMERS).decrement(1.0);
    });
    frames
}

/// Why a consumer is told no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lost {
    Gone,
    TooSlow,
}

/// The way to one consumer.
#[derive(Clone)]
struct Line(mpsc::Sender<Bytes>);

impl Line {
    async fn tell(&self, message: &Down) -> Result<(), Lost> {
        if let Some(frame) = message.to_frame() {
            return self.send(frame).await;
        }
        tracing::error!("a message is too long for the feed and is left out");
        Ok(())
    }

    async fn send(&self, frame: Bytes) -> Result<(), Lost> {
        match timeout(SLOW_MAX, self.0.send(frame)).await {
            Ok(sent) => sent.map_err(|_| Lost::Gone),
            Err(_) => Err(Lost::TooSlow),
        }
    }
}

/// What is told to one consumer.
struct Publisher {
    air: Arc<Air>,
    line: Line,
    following: BTreeMap<String, Following>,
    followers: JoinSet<Result<(), Lost>>,
}

async fn over(closed: &mut watch::Receiver<bool>) {
    // The sender lives in the Air.
    let _ = closed.wait_for(|closed| *closed).await;
}

/// A space that the consumer knows.
struct Following {
    slug: Slug,
    on_air: Arc<OnAir>,
    follower: AbortHandle,
    /// The counts that it was told last.
    told: Option<Bytes>,
}

impl Publisher {
    async fn run(mut self, hello: Hello) -> Result<(), Lost> {
        self.line.send(Bytes::from_static(&GREETING)).await?;
        let headers = Box::new(self.air.headers().clone());
        self.line.tell(&Down::Headers(headers)).await?;
        let (mut spaces, mut index) = (self.air.spaces(), self.air.watch_index());
        let [mut hold, mut wide_hold] = Channels::ALL.map(|channels| self.air.hold(channels));
        self.air.ladder().learn(hello.decision);
        let mut here: BTreeMap<Slug, Here> = hello
            .here
            .into_iter()
            .map(|here| (here.slug.clone(), here))
            .collect();
        self.wait_until_told(&mut index).await?;
        self.tell_spaces(&mut spaces, &mut here).await?;
        self.tell_index(&mut index).await?;
        self.line.tell(&Down::Listed).await?;
        self.tell_decision().await?;
        let [known, wide_known] = hello.hold;
        self.tell_hold(Channels::Mono, &mut hold, known).await?;
        self.tell_hold(Channels::Stereo, &mut wide_hold, wide_known)
            .await?;
        let (mut beat, mut closed) = (interval(BEAT_EVERY), self.air.closed());
        // A sender lives as long as the Air that is held here, so that `changed` fails for none of them.
        loop {
            tokio::select! {
                _ = spaces.changed() => self.tell_spaces(&mut spaces, &mut here).await?,
                _ = index.changed() => self.tell_index(&mut index).await?,
                _ = hold.changed() => self.tell_hold(Channels::Mono, &mut hold, 0).await?,
                _ = wide_hold.changed() => self.tell_hold(Channels::Stereo, &mut wide_hold, 0).await?,
                _ = beat.tick() => self.beat().await?,
                Some(Ok(ended)) = self.followers.join_next() => ended?,
                () = over(&mut closed) => return Ok(()),
            }
        }
    }

    /// Tells spaces that came and went, and follows the new ones.
    async fn tell_spaces(
        &mut self,
        spaces: &mut watch::Receiver<BTreeMap<String, Arc<OnAir>>>,
        here: &mut BTreeMap<Slug, Here>,
    ) -> Result<(), Lost> {
        let present = spaces.borrow_and_update().clone();
        let is_present = |name: &str, following: &Following| {
            present
                .get(name)
                .is_some_and(|on_air| Arc::ptr_eq(on_air, &following.on_air))
        };
        let gone: Vec<_> = self
            .following
            .extract_if(.., |name, following| !is_present(name, following))
            .collect();
        for (_, following) in gone {
            following.follower.abort();
            self.line.tell(&Down::Removed(following.slug)).await?;
        }
        for (name, on_air) in present {
            if !self.following.contains_key(&name) {
                self.follow(name, on_air, here).await?;
            }
        }
        Ok(())
    }

    async fn follow(
        &mut self,
        name: String,
        on_air: Arc<OnAir>,
        here: &mut BTreeMap<Slug, Here>,
    ) -> Result<(), Lost> {
        let mut watched = on_air.watch();
        let facts = watched.facts.borrow_and_update().clone();
        let slug = facts.space.slug.clone();
        let cursor = here
            .remove(&slug)
            .filter(|here| here.epoch == facts.space.created_at)
            .map(|here| here.next);
        self.line.tell(&Down::Space(facts)).await?;
        let follower = Follower {
            slug: slug.clone(),
            on_air: Arc::clone(&on_air),
            watched,
            // Nothing flows at a consumer that has nothing; of the others nobody knows.
            flowing: cursor.is_none().then_some(false),
            cursor,
            finished: false,
            line: self.line.clone(),
        };
        let follower = self.followers.spawn(follower.run());
        let following = Following {
            slug,
            on_air,
            follower,
            told: None,
        };
        self.following.insert(name, following);
        Ok(())
    }

    async fn tell_index(
        &self,
        index: &mut watch::Receiver<Option<Arc<Document>>>,
    ) -> Result<(), Lost> {
        let index = index.borrow_and_update().clone();
        match index {
            Some(index) => self.line.tell(&Down::Index((*index).clone())).await,
            None => Ok(()),
        }
    }

    /// Waits until we know ourselves what is on air: nobody is to take what we have not heard of yet for gone.
    async fn wait_until_told(
        &self,
        index: &mut watch::Receiver<Option<Arc<Document>>>,
    ) -> Result<(), Lost> {
        let mut beat = interval(BEAT_EVERY);
        while index.borrow().is_none() {
            tokio::select! {
                // The sender lives in the Air.
                _ = index.changed() => {}
                _ = beat.tick() => self.line.tell(&Down::Beat).await?,
            }
        }
        Ok(())
    }

    /// Tells the rung. With each beat: a second later is soon enough, and a consumer that hears nothing decides for itself.
    async fn tell_decision(&self) -> Result<(), Lost> {
        let decision = self.air.ladder().decision();
        self.line.tell(&Down::Decided(decision)).await
    }

    /// Tells the hold loop to who has another.
    async fn tell_hold(
        &self,
        channels: Channels,
        hold: &mut watch::Receiver<Option<Arc<HoldParts>>>,
        known: u64,
    ) -> Result<(), Lost> {
        let Some(hold) = hold.borrow_and_update().clone() else {
            return Ok(());
        };
        if hold.fingerprint() == known {
            return Ok(());
        }
        let of = u32::try_from(hold.parts().len()).expect("a loop has few parts");
        for part in hold.parts() {
            let part = part.clone();
            self.line.tell(&Down::Hold { channels, of, part }).await?;
        }
        Ok(())
    }

    /// Says that the line is alive, and what the counts are where they have changed.
    async fn beat(&mut self) -> Result<(), Lost> {
        self.line.tell(&Down::Beat).await?;
        self.tell_decision().await?;
        for following in self.following.values_mut() {
            let message = counts(&following.slug, &following.on_air);
            let frame = message.to_frame();
            if following.told != frame {
                self.line.tell(&message).await?;
                following.told = frame;
            }
        }
        Ok(())
    }
}

/// The counts of a space as they are now.
fn counts(slug: &Slug, on_air: &OnAir) -> Down {
    Down::Counts {
        slug: slug.clone(),
        counts: on_air.counts(),
        recorded: on_air.past().recorded(),
    }
}

/// Tells one space to one consumer, as it changes.
struct Follower {
    slug: Slug,
    on_air: Arc<OnAir>,
    watched: Watched,
    /// The part for which the consumer's window waits; `None` before it has one.
    cursor: Option<PartIndex>,
    /// What the consumer was told.
    flowing: Option<bool>,
    finished: bool,
    line: Line,
}

impl Follower {
    async fn run(mut self) -> Result<(), Lost> {
        loop {
            self.tell_parts().await?;
            let Watched {
                facts,
                flowing,
                window,
            } = &mut self.watched;
            tokio::select! {
                changed = facts.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    let facts = facts.borrow_and_update().clone();
                    // A space that has ended has its whole recording in the same breath.
                    self.line.tell(&counts(&self.slug, &self.on_air)).await?;
                    self.line.tell(&Down::Space(facts)).await?;
                }
                _ = flowing.changed() => {}
                _ = window.changed() => {}
            }
        }
    }

    /// Tells the parts that the consumer lacks, and then whether more are to be expected.
    async fn tell_parts(&mut self) -> Result<(), Lost> {
        let flowing = *self.watched.flowing.borrow_and_update();
        loop {
            let step = step(
                &self.watched.window.borrow_and_update(),
                self.cursor,
                flowing,
            );
            match step {
                Step::Parts(parts) => {
                    for part in parts {
                        self.cursor = Some(part.index.next());
                        let slug = self.slug.clone();
                        self.line.tell(&Down::Part { slug, part }).await?;
                    }
                }
                Step::Restart { first, next } => {
                    self.cursor = Some(first);
                    let slug = self.slug.clone();
                    self.line.tell(&Down::Restart { slug, first, next }).await?;
                }
                Step::Nothing => break,
                Step::Finish if self.finished => break,
                Step::Finish => {
                    self.finished = true;
                    self.line.tell(&Down::Finished(self.slug.clone())).await?;
                }
            }
        }
        if self.flowing != Some(flowing) && (self.cursor.is_some() || !flowing) {
            self.flowing = Some(flowing);
            let slug = self.slug.clone();
            self.line.tell(&Down::Flowing { slug, flowing }).await?;
        }
        Ok(())
    }
}

/// What a consumer is told next about a window.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Finish,
    Nothing,
    Parts(Vec<Arc<Part>>),
    Restart { first: PartIndex, next: PartIndex },
}

/// A window that has ended before the consumer knew it is not told: what is asked of it is fetched. One into which
/// nothing flows is old, and told when it flows again.
fn step(window: &Window, cursor: Option<PartIndex>, flowing: bool) -> Step {
    let (oldest, next) = (window.oldest(), window.true_next());
    match cursor {
        None if window.is_finished() || !flowing => Step::Nothing,
        Some(_) if !window.is_finished() && !flowing => Step::Nothing,
        Some(cursor) if cursor == next && window.is_finished() => Step::Finish,
        Some(cursor) if cursor == next => Step::Nothing,
        Some(cursor) if (oldest..next).contains(&cursor) => {
            let lacking = window.since(cursor).take_while(|part| part.index < next);
            Step::Parts(lacking.take(PARTS_AT_ONCE).cloned().collect())
        }
        _ => Step::Restart {
            first: oldest.min(next),
            next,
        },
    }
}

#[cfg(test)]
mod tests;
