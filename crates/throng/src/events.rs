//! What happens in a space, as it happens, for who runs it: a row of numbered events that many may follow.
//!
//! A space is looked at while somebody follows it, and for a minute after, so that who comes back after a blip has missed
//! nothing. Followers share what is made; each has a cursor into the newest [`KEPT`] events, and who is farther behind is
//! told everything anew.

mod parts;
mod stream;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use throng_core::key::Key;
use throng_core::ring::Ring;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

use self::parts::Told;
use self::stream::frames;
use crate::api::Desk;
use crate::origin::{SpaceHandle, wall};

/// Streams of one node: the hosts of some spaces and their programs. More are told to come again.
const STREAMS_MAX: usize = 64;
/// Streams of one space: a few people with a few tabs and programs each.
const STREAMS_OF_SPACE_MAX: usize = 16;
/// Events that are kept for who comes back: a minute of a busy stage.
const KEPT: usize = 256;
/// A space is looked at this often; a change of the space itself is told at once.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A space is looked at for so long after the last one who followed it.
const LINGER: Duration = Duration::from_mins(1);

/// One event.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) name: &'static str,
    /// JSON, on one line.
    pub(crate) data: String,
}

/// All spaces that are followed.
pub(crate) struct Events {
    topics: Mutex<BTreeMap<String, Arc<Topic>>>,
    streams: Arc<Semaphore>,
}

/// A space that is followed.
pub(crate) struct Topic {
    row: watch::Sender<Row>,
    streams: Arc<Semaphore>,
}

struct Row {
    events: Ring<Event>,
    /// Nothing more will happen here.
    is_over: bool,
}

/// Who follows has his places until he goes.
pub(crate) struct Places {
    _of_node: OwnedSemaphorePermit,
    _of_space: OwnedSemaphorePermit,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            topics: Mutex::default(),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
        }
    }
}

impl Desk {
    /// Follows a space by a key, from after an event that was read last; `None` where there is no place.
    pub(crate) fn follow(
        self: &Arc<Self>,
        handle: &Arc<SpaceHandle>,
        key: Key,
        last: Option<u64>,
    ) -> Option<mpsc::Receiver<String>> {
        let of_node = Arc::clone(&self.events.streams).try_acquire_owned().ok()?;
        let topic = self.topic(handle);
        let of_space = Arc::clone(&topic.streams).try_acquire_owned().ok()?;
        let places = Places {
            _of_node: of_node,
            _of_space: of_space,
        };
        Some(frames(self, handle, (topic, places), key, last))
    }

    fn topic(self: &Arc<Self>, handle: &Arc<SpaceHandle>) -> Arc<Topic> {
        let id = handle.space().id.clone();
        let mut topics = self.events.topics();
        let topic = topics.entry(id).or_insert_with(|| {
            // Numbers grow over restarts, so that one from before is not taken for one of these.
            let first = u64::try_from(wall().0).unwrap_or_default();
            let topic = Arc::new(Topic {
                row: watch::Sender::new(Row {
                    events: Ring::new(first, KEPT),
                    is_over: false,
                }),
                streams: Arc::new(Semaphore::new(STREAMS_OF_SPACE_MAX)),
            });
            let (desk, handle) = (Arc::clone(self), Arc::clone(handle));
            tokio::spawn(look(desk, handle, Arc::clone(&topic)));
            topic
        });
        Arc::clone(topic)
    }

    /// What a follower is told of a space who begins.
    fn whole(&self, handle: &SpaceHandle) -> String {
        self.describe(handle).to_string()
    }
}

impl Events {
    fn topics(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Topic>>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody follows it, and nobody can begin to any more.
    fn forget(&self, id: &str, topic: &Arc<Topic>, always: bool) -> bool {
        let mut topics = self.topics();
        let is_followed = topic.streams.available_permits() < STREAMS_OF_SPACE_MAX;
        if is_followed && !always {
            return false;
        }
        topics.remove(id);
        true
    }
}

impl Topic {
    fn tell(&self, changes: Vec<(&'static str, Value)>) {
        if changes.is_empty() {
            return;
        }
        self.row.send_modify(|row| {
            for (name, data) in changes {
                let data = data.to_string();
                row.events.push(Event { name, data });
            }
        });
    }
}

/// Looks at a space until nobody follows it, or it is no more.
async fn look(desk: Arc<Desk>, handle: Arc<SpaceHandle>, topic: Arc<Topic>) {
    let id = handle.space().id.clone();
    let (mut space, mut told) = (handle.watch(), Told::default());
    let (since, mut followed) = (Instant::now(), Instant::now());
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // What there is when he begins, a follower is told whole.
    told.changes(&desk.describe(&handle), 0);
    loop {
        let is_over = tokio::select! {
            _ = looks.tick() => false,
            changed = space.changed() => changed.is_err(),
        };
        if topic.streams.available_permits() < STREAMS_OF_SPACE_MAX {
            followed = Instant::now();
        }
        let is_left = followed.elapsed() >= LINGER;
        if (is_over || is_left) && desk.events.forget(&id, &topic, is_over) {
            topic.row.send_modify(|row| row.is_over = true);
            return;
        }
        let now_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        topic.tell(told.changes(&desk.describe(&handle), now_ms));
    }
}
