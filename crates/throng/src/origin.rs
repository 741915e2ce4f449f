//! The origin: the process that owns spaces, from the announcement to the replay.

mod clock;
mod dead_air;
mod encoding;
mod hold;
mod layout;
mod mixing;
mod own_hold;
mod owner;
mod past;
mod pipeline;
mod readable;
mod reception;
mod recording;
mod roles;
mod routing;
mod space;
mod space_hold;
mod talkback;
mod tracks;
mod turns;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use thiserror::Error;
use throng_air::air::Air;
use throng_air::ladder::Ladder;
use throng_air::state::Told;
use throng_core::key::{Key, Role, SeatNumber};
use throng_core::ladder::Rung;
use throng_core::slug::Slug;
use throng_core::space::{Act, Actor, Announcement, Refusal, SoundSetting, Space};
use throng_core::time::UnixMillis;
use throng_core::turns::Turns;
use throng_media::hold::HoldLoop;
use throng_stage::Stage;
use tokio::sync::{Mutex, watch};
use tokio::time::MissedTickBehavior;

pub(crate) use self::clock::{now, unix_seconds, wall};
use self::layout::Layouts;
use self::own_hold::OwnHolds;
pub(crate) use self::own_hold::{BYTES_MAX as HOLD_BYTES_MAX, OwnHoldError};
pub(crate) use self::roles::CohostError;
pub(crate) use self::routing::{Mixers, Router};
pub(crate) use self::space::{ActError, PublishError, SpaceHandle};
use self::space::{PipelineError, Shared, grant};
use crate::alarm::Alarm;
use crate::chance;
use crate::pages;
use crate::store::audit::Done;
use crate::store::{Kept, Store, StoreError};
use crate::webhooks::{self, Webhooks};

/// Spaces of one node, ended ones included; each costs a task, a page and some hundred bytes a row. More are refused
/// until old ones are deleted.
const SPACES_MAX: usize = 10_000;

/// From this rung on listeners can notice it.
const AUDIBLE: Rung = Rung::new(2).expect("there are five rungs");

/// Why a space was not created.
#[derive(Debug, Error)]
pub(crate) enum CreateError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("there are {SPACES_MAX} spaces already; delete some that have ended")]
    Full,
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
}

/// Why the origin could not start.
#[derive(Debug, Error)]
pub enum OriginError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A thread or file failed.
    #[error("the hold programme could not start: {0}")]
    Hold(std::io::Error),
}

/// A new space with the keys that nobody can read again.
pub(crate) struct Created {
    pub(crate) handle: Arc<SpaceHandle>,
    pub(crate) host: Key,
    pub(crate) speakers: Vec<Key>,
}

/// What somebody who creates a space asks for.
pub(crate) struct Wish {
    pub(crate) title: String,
    pub(crate) scheduled_at: Option<UnixMillis>,
    pub(crate) speakers: u32,
    /// From when on the speakers' links open nothing, if ever.
    pub(crate) speaker_links_expire_at: Option<UnixMillis>,
    pub(crate) expected_listeners: Option<NonZeroU32>,
    /// Whether speakers who come wait in the green room.
    pub(crate) green_room: bool,
    pub(crate) sound: SoundSetting,
}

/// All spaces of this node.
pub(crate) struct Origin {
    spaces: watch::Sender<BTreeMap<String, Arc<SpaceHandle>>>,
    /// One creation or deletion at a time: numbers and slugs are given out once.
    next_number: Mutex<u32>,
    air: Arc<Air>,
    shared: Arc<Shared>,
}

/// What the origin is built from.
pub(crate) struct Parts {
    pub(crate) store: Store,
    pub(crate) stage: Stage,
    pub(crate) mixers: Mixers,
    pub(crate) air: Arc<Air>,
    /// Who is told what happens.
    pub(crate) webhooks: Arc<Webhooks>,
    /// The operator's own hold programme.
    pub(crate) hold: Option<HoldLoop>,
}

impl Origin {
    /// Takes up every space that was kept.
    pub(crate) async fn start(parts: Parts, data: &Path) -> Result<Arc<Self>, OriginError> {
        let Parts {
            store,
            stage,
            mixers,
            air,
            webhooks,
            hold,
        } = parts;
        let keeper = clock::resume(data);
        let kept = store.load().await?;
        let layouts = Layouts::start(hold, Arc::clone(&air), data).map_err(OriginError::Hold)?;
        let shared = Arc::new(Shared {
            store,
            stage,
            layouts,
            own_holds: Arc::new(OwnHolds::in_folder(data.join("hold").join("spaces"))),
            mixers,
            archives: data.join("archive"),
            clock: Arc::default(),
            webhooks: Arc::clone(&webhooks),
            listed: watch::Sender::new(()),
        });
        let origin = Arc::new(Self {
            spaces: watch::Sender::new(BTreeMap::new()),
            next_number: Mutex::new(0),
            air,
            shared,
        });
        for space in kept {
            let slug = space.space.slug.clone();
            if let Err(error) = origin.put_on_air(space).await {
                tracing::error!(slug = slug.as_str(), %error, "a space could not be taken up; its data is untouched");
            }
        }
        tokio::spawn(webhooks::keep_alarms(Arc::downgrade(&origin), webhooks));
        tokio::spawn(watch_clock(Arc::downgrade(&origin)));
        tokio::spawn(keep_clock(Arc::downgrade(&origin), keeper));
        let listed = origin.shared.listed.subscribe();
        tokio::spawn(list(Arc::downgrade(&origin), listed));
        Ok(origin)
    }

    /// The space of a slug.
    pub(crate) fn find(&self, slug: &str) -> Option<Arc<SpaceHandle>> {
        self.spaces.borrow().get(slug).cloned()
    }

    /// Whether a space of this id is there still.
    pub(crate) fn has(&self, id: &str) -> bool {
        let spaces = self.spaces.borrow();
        spaces.values().any(|handle| handle.space().id == id)
    }

    /// Keeps what somebody did to a space.
    pub(crate) async fn note(&self, space_id: &str, done: &Done) -> Result<(), StoreError> {
        self.shared.store.note(space_id, done).await
    }

    /// What was done to a space before that number, newest first.
    pub(crate) async fn acts(
        &self,
        space_id: &str,
        before: i64,
        limit: u32,
    ) -> Result<Vec<(i64, Done)>, StoreError> {
        self.shared.store.acts(space_id, before, limit).await
    }

    /// Every space, newest first.
    pub(crate) fn list(&self) -> Vec<Arc<SpaceHandle>> {
        let mut spaces: Vec<_> = self.spaces.borrow().values().cloned().collect();
        spaces.sort_by_key(|handle| std::cmp::Reverse(handle.space().created_at));
        spaces
    }

    /// What is true of the node, whichever space it is.
    pub(crate) fn told(&self) -> Told {
        self.air.told()
    }

    /// The ladder, on a rung of which listeners are served.
    pub(crate) fn ladder(&self) -> &Ladder {
        self.air.ladder()
    }

    /// Creates a space and puts it on air.
    pub(crate) async fn create(&self, wish: Wish) -> Result<Created, CreateError> {
        if self.spaces.borrow().len() >= SPACES_MAX {
            return Err(CreateError::Full);
        }
        let announcement = Announcement {
            id: chance::id(),
            slug: Slug::from_title(&wish.title, chance::number()),
            title: wish.title,
            scheduled_at: wish.scheduled_at,
            speakers: wish.speakers,
            expected_listeners: wish.expected_listeners,
        };
        let mut space = Space::announce(now(), announcement)?;
        let green_room = Act::SetGreenRoom {
            is_open: wish.green_room,
            seated: BTreeSet::new(),
        };
        space.apply(now(), Actor::Operator, green_room)?;
        space.sound = wish.sound;
        let host = chance::key();
        let speakers: Vec<Key> = (0..space.speakers).map(|_| chance::key()).collect();
        let seats = (1..).zip(&speakers).map(|(seat, key)| {
            grant(
                Role::Speaker(SeatNumber(seat)),
                key,
                wish.speaker_links_expire_at,
            )
        });
        let grants: Vec<_> = std::iter::once(grant(Role::Host, &host, None))
            .chain(seats)
            .collect();
        let letters = self.shared.webhooks.of_change(None, &space);
        let store = &self.shared.store;
        store.create_and_tell(&space, &grants, &letters).await?;
        self.shared.webhooks.ring();
        let handle = self
            .put_on_air(Kept {
                space,
                grants,
                peak: 0,
                joined: 0,
                turns: Turns::default(),
            })
            .await?;
        self.shared.listed.send_replace(());
        Ok(Created {
            handle,
            host,
            speakers,
        })
    }

    /// Deletes a space with its recording, for good.
    pub(crate) async fn delete(&self, handle: &SpaceHandle) -> Result<(), StoreError> {
        let space = handle.space();
        let letters = self.shared.webhooks.of_deletion(&space);
        let store = &self.shared.store;
        store.delete_and_tell(&space.id, &letters).await?;
        self.shared.webhooks.ring();
        self.spaces.send_modify(|spaces| {
            spaces.remove(space.slug.as_str());
        });
        self.air.remove(space.slug.as_str());
        handle.close().await;
        if let Err(error) = handle.player.delete().await {
            tracing::error!(%error, "the hold music of a deleted space is still on disk");
        }
        let folder = self.shared.archives.join(&space.id);
        let removed = tokio::task::spawn_blocking(move || throng_archive::remove(&folder)).await;
        if let Err(error) = removed.expect("removing does not panic") {
            tracing::error!(slug = space.slug.as_str(), %error, "the recording of a deleted space is still on disk");
        }
        self.shared.listed.send_replace(());
        Ok(())
    }

    /// Whom the operator wants to be told.
    pub(crate) fn webhooks(&self) -> &Webhooks {
        &self.shared.webhooks
    }

    /// What the stage has counted.
    pub(crate) fn stage_counters(&self) -> throng_stage::Snapshot {
        self.shared.stage.counters()
    }

    /// Why the database takes no changes, if it does not.
    pub(crate) fn store_alarm(&self) -> Option<Alarm> {
        self.shared.store.alarm()
    }

    /// Whether the clock was set not long ago.
    pub(crate) fn clock_alarm(&self) -> Option<Alarm> {
        self.shared.clock.alarm(now())
    }

    /// That listeners get less than usual, where they can hear it.
    pub(crate) fn ladder_alarm(&self) -> Option<Alarm> {
        let standing = self.ladder().standing();
        let rung = standing.decision.rung;
        (rung >= AUDIBLE).then(|| Alarm {
            kind: "ladder",
            title: "Listeners are served more cheaply",
            detail: format!(
                "Rung {} of 4: {}. The reason: {}. Nobody has been sent away, and it is undone by itself.",
                rung.number(),
                rung.words(),
                standing.decision.words().unwrap_or_default()
            ),
            since: standing.since,
        })
    }

    /// Whether the database answers.
    pub(crate) async fn is_ready(&self) -> bool {
        self.shared.store.answers().await
    }

    /// Stops every space and writes what waits.
    pub(crate) async fn close(&self) {
        let spaces: Vec<_> = self.spaces.borrow().values().cloned().collect();
        for handle in spaces {
            handle.close().await;
        }
        self.shared.stage.end().await;
        self.shared.store.close().await;
    }

    async fn put_on_air(&self, kept: Kept) -> Result<Arc<SpaceHandle>, PipelineError> {
        let mut next_number = self.next_number.lock().await;
        let slug = kept.space.slug.as_str().to_owned();
        let handle = SpaceHandle::start(*next_number, kept, Arc::clone(&self.shared)).await?;
        *next_number += 1;
        self.air.add(&slug, Arc::clone(&handle.on_air));
        self.spaces.send_modify(|spaces| {
            spaces.insert(slug, Arc::clone(&handle));
        });
        Ok(handle)
    }
}

/// Looks every second whether somebody has set the clock.
async fn watch_clock(origin: Weak<Origin>) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        seconds.tick().await;
        let Some(origin) = origin.upgrade() else {
            return;
        };
        if let Some(by_ms) = origin.shared.clock.look(now()) {
            metrics::counter!("throng_clock_steps_total").increment(1);
            tracing::warn!(by_ms, "the clock of the machine was set, or it slept");
        }
    }
}

/// Keeps the clock as long as there is somebody who goes by it.
async fn keep_clock(origin: Weak<Origin>, keeper: clock::Keeper) {
    while origin.strong_count() > 0 {
        let keeper = keeper.clone();
        let kept = tokio::task::spawn_blocking(move || keeper.keep()).await;
        kept.expect("keeping does not panic");
        tokio::time::sleep(clock::KEEP_EVERY).await;
    }
}

/// Renders the public list anew when it has changed, as long as there is somebody to show it.
async fn list(origin: Weak<Origin>, mut listed: watch::Receiver<()>) {
    while let Some(origin) = origin.upgrade() {
        let spaces: Vec<_> = origin.list().iter().map(|handle| handle.space()).collect();
        origin
            .air
            .set_index(pages::index(spaces.iter().map(|space| &**space)));
        drop(origin);
        if listed.changed().await.is_err() {
            return;
        }
    }
}
