//! One space: the task that owns its life, and the handle by which the rest of the program reaches it.
//!
//! Acts are decided in `throng-core`, kept in the store, and only then carried out; a refused or unkept act changes
//! nothing. The audience is told of the end when the replay is ready to play.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;
use throng_air::on_air::{Facts, OnAir};
use throng_air::presence::Presence;
use throng_air::state;
use throng_archive::{ArchiveError, Reader};
use throng_core::key::{Grant, Key, KeyRefusal, Role, SeatNumber, admit};
use throng_core::space::{Act, Actor, Change, Refusal, Space, playhead};
use throng_core::timeline::PartIndex;
use throng_core::window::Window;
use throng_media::mixer::SeatId;
use throng_media::rendering::Silence;
use throng_stage::{Answer, Patched, ProgrammeKey, SessionId, Stage, StageError};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::clock::now;
use super::hold::{self, Hold};
use super::mixing::{Input, Mixing, SeatLevel};
use super::past::SpacePast;
use super::pipeline::{self, Pipeline};
use super::routing::{Mixers, seat_key};
use crate::pages;
use crate::store::{Kept, Store, StoreError};

/// Acts that wait for the space's task: people press buttons, and each press is answered.
const QUEUE_ACTS: usize = 32;
/// An act is decided anew when keeping it took so long that its moment has passed; a disk this slow is an error.
const DECISIONS_MAX: usize = 5;
/// Counts are kept this often, and at the end.
const COUNT_EVERY: Duration = Duration::from_secs(10);
/// The audience is told of the end at the latest so long after it, even where the archive does not finish.
const END_TIMEOUT: Duration = Duration::from_secs(3);

/// Why an act was not done.
#[derive(Debug, Error)]
pub(crate) enum ActError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the pipeline could not start: {0}")]
    Pipeline(#[from] PipelineError),
    #[error("the space is being closed")]
    Closed,
}

/// Why the programme of a space cannot be made.
#[derive(Debug, Error)]
pub(crate) enum PipelineError {
    #[error("a thread could not start: {0}")]
    Thread(#[from] io::Error),
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

/// What all spaces of a node share.
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) stage: Stage,
    pub(crate) hold: Arc<Hold>,
    pub(crate) silence: Arc<Silence>,
    pub(crate) mixers: Mixers,
    pub(crate) inits: [Bytes; throng_core::rendition::RENDITION_COUNT],
    pub(crate) archives: PathBuf,
    /// Pulsed when something that the public list shows has changed.
    pub(crate) listed: watch::Sender<()>,
}

enum Command {
    Act {
        actor: Actor,
        act: Act,
        reply: oneshot::Sender<Result<Arc<Space>, ActError>>,
    },
    Mixer {
        reply: oneshot::Sender<Result<Mixing, PipelineError>>,
    },
    Close {
        reply: oneshot::Sender<()>,
    },
}

/// A space of this node.
pub(crate) struct SpaceHandle {
    pub(crate) number: u32,
    pub(crate) on_air: Arc<OnAir>,
    space: watch::Receiver<Arc<Space>>,
    grants: watch::Sender<Vec<Grant>>,
    levels: watch::Receiver<Option<Mixing>>,
    commands: mpsc::Sender<Command>,
    shared: Arc<Shared>,
}

impl SpaceHandle {
    /// Puts a kept space on air and goes on where it was.
    pub(crate) async fn start(
        number: u32,
        kept: Kept,
        shared: Arc<Shared>,
    ) -> Result<Arc<Self>, PipelineError> {
        let space = Arc::new(kept.space);
        let (space_now, watched) = watch::channel(Arc::clone(&space));
        let archive = Arc::new(OnceLock::new());
        let past = SpacePast {
            hold: Arc::clone(&shared.hold),
            space: watched.clone(),
            archive: Arc::clone(&archive),
        };
        let mut presence = Presence::resume(kept.peak, kept.joined);
        if space.doors_part.is_some() {
            presence.open_doors(Duration::ZERO);
        }
        let window = Window::new(PartIndex(0));
        let on_air = Arc::new(OnAir::new(facts(&space), window, presence, Box::new(past)));
        let (commands, queue) = mpsc::channel(QUEUE_ACTS);
        let (mixing, levels) = watch::channel(None);
        let mut owner = Owner {
            number,
            space,
            space_now,
            on_air: Arc::clone(&on_air),
            archive,
            mixing,
            pipeline: None,
            counted: (kept.peak, kept.joined),
            shared: Arc::clone(&shared),
        };
        owner.resume().await?;
        tokio::spawn(owner.run(queue));
        let grants = watch::Sender::new(kept.grants);
        Ok(Arc::new(Self {
            number,
            on_air,
            space: watched,
            grants,
            levels,
            commands,
            shared,
        }))
    }

    /// The space as it is.
    pub(crate) fn space(&self) -> Arc<Space> {
        Arc::clone(&self.space.borrow())
    }

    /// What a key makes of its holder here.
    pub(crate) fn admit(&self, key: &Key) -> Result<Role, KeyRefusal> {
        admit(&self.grants.borrow(), key, now())
    }

    /// Does an act, durably.
    pub(crate) async fn act(&self, actor: Actor, act: Act) -> Result<Arc<Space>, ActError> {
        self.ask(|reply| Command::Act { actor, act, reply })
            .await
            .ok_or(ActError::Closed)?
    }

    /// Who is on stage, and how loud.
    pub(crate) fn levels(&self) -> Vec<SeatLevel> {
        self.levels
            .borrow()
            .as_ref()
            .map(Mixing::levels)
            .unwrap_or_default()
    }

    /// Connects a speaker to his seat.
    pub(crate) async fn publish(
        &self,
        seat: SeatNumber,
        offer: String,
    ) -> Result<Answer, PublishError> {
        self.ask(|reply| Command::Mixer { reply })
            .await
            .ok_or(PublishError::Over)??;
        Ok(self
            .shared
            .stage
            .publish(offer, seat_key(self.number, SeatId(seat.0)))
            .await?)
    }

    /// Connects a listener over WebRTC.
    pub(crate) async fn subscribe(&self, offer: String) -> Result<Answer, StageError> {
        self.shared
            .stage
            .subscribe(offer, ProgrammeKey(u64::from(self.number)))
            .await
    }

    /// Changes the connection of a speaker or listener.
    pub(crate) async fn patch(
        &self,
        session: SessionId,
        if_match: Option<String>,
        fragment: String,
    ) -> Result<Patched, StageError> {
        self.shared.stage.patch(session, if_match, fragment).await
    }

    /// Ends the connection of a speaker or listener.
    pub(crate) async fn leave(&self, session: SessionId) -> Result<(), StageError> {
        self.shared.stage.close(session).await
    }

    /// Gives a seat a new key; the old one opens nothing any more, and whoever sits there by it has to leave.
    pub(crate) async fn renew_seat(&self, seat: SeatNumber, key: &Key) -> Result<(), StoreError> {
        let grant = grant(Role::Speaker(seat), key);
        let revoked_at = now();
        self.shared
            .store
            .replace_seat_grant(&self.space().id, seat, &grant, revoked_at)
            .await?;
        self.grants.send_modify(|grants| {
            for old in grants.iter_mut().filter(|old| old.role == grant.role) {
                old.revoked_at.get_or_insert(revoked_at);
            }
            grants.push(grant);
        });
        // A stage that is closed has no session left to end.
        let _ = self
            .shared
            .stage
            .close_seat(seat_key(self.number, SeatId(seat.0)))
            .await;
        Ok(())
    }

    /// Stops everything and writes what waits.
    pub(crate) async fn close(&self) {
        self.ask(|reply| Command::Close { reply }).await;
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.ok()?;
        answer.await.ok()
    }
}

/// Why a speaker could not be connected.
#[derive(Debug, Error)]
pub(crate) enum PublishError {
    #[error("the space is over")]
    Over,
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    #[error(transparent)]
    Stage(#[from] StageError),
}

fn facts(space: &Arc<Space>) -> Facts {
    Facts {
        space: Arc::clone(space),
        page: Arc::new(pages::listen(space, &state::initial(space))),
    }
}

/// The task that owns a space.
struct Owner {
    number: u32,
    space: Arc<Space>,
    space_now: watch::Sender<Arc<Space>>,
    on_air: Arc<OnAir>,
    archive: Arc<OnceLock<Reader>>,
    mixing: watch::Sender<Option<Mixing>>,
    pipeline: Option<Pipeline>,
    counted: (u64, u64),
    shared: Arc<Shared>,
}

impl Owner {
    /// Takes up a space where an earlier process left it.
    async fn resume(&mut self) -> Result<(), PipelineError> {
        let space = Arc::clone(&self.space);
        if space.state.is_over() {
            return self.open_past().await;
        }
        if space.doors_part.is_none() {
            tokio::spawn(hold::produce(
                Arc::clone(&self.shared.hold),
                Arc::clone(&self.on_air),
            ));
            return Ok(());
        }
        self.begin().await
    }

    /// Opens the archive of a space that is over, for its replay.
    async fn open_past(&mut self) -> Result<(), PipelineError> {
        if self.space.live_part.is_some() {
            let folder = self.shared.archives.join(&self.space.id);
            let reader = tokio::task::spawn_blocking(move || Reader::open_ended(&folder)).await;
            let reader = reader.expect("opening does not panic")?;
            let window = pipeline::newest_window(&reader, self.space.end_part)?;
            self.on_air.change_window(|present| *present = window);
            let _ = self.archive.set(reader);
        }
        self.on_air.change_window(Window::finish);
        self.on_air.set_flowing(true);
        Ok(())
    }

    async fn run(mut self, mut queue: mpsc::Receiver<Command>) {
        let mut count = tokio::time::interval(COUNT_EVERY);
        loop {
            let deadline = self.space.next_deadline();
            let doors = async {
                match deadline {
                    Some(at) => {
                        sleep_until(Instant::now() + Duration::from_millis(at.ms_since(now())))
                            .await;
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                command = queue.recv() => match command {
                    Some(Command::Act { actor, act, reply }) => {
                        let _ = reply.send(self.act(actor, act).await);
                    }
                    Some(Command::Mixer { reply }) => {
                        let _ = reply.send(self.mixing());
                    }
                    Some(Command::Close { reply }) => {
                        self.close().await;
                        let _ = reply.send(());
                        return;
                    }
                    None => return,
                },
                () = doors => {
                    if let Err(error) = self.act(Actor::Clock, Act::OpenDoors).await {
                        tracing::error!(%error, "doors did not open at their time; tried again in a second");
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                }
                _ = count.tick() => self.keep_counts().await,
            }
        }
    }

    async fn act(&mut self, actor: Actor, act: Act) -> Result<Arc<Space>, ActError> {
        let (space, change) = self.decide(actor, act).await?;
        self.space = Arc::new(space);
        self.space_now.send_replace(Arc::clone(&self.space));
        self.carry_out(change).await?;
        self.shared.listed.send_replace(());
        Ok(Arc::clone(&self.space))
    }

    /// Decides and keeps. Where keeping took so long that the decided part has begun, a later one is decided.
    async fn decide(&self, actor: Actor, act: Act) -> Result<(Space, Change), ActError> {
        let mut decided = self.decide_once(actor, act.clone()).await?;
        for _ in 1..DECISIONS_MAX {
            let missed = change_part(decided.1)
                .is_some_and(|part| part.first_sample() <= playhead(self.space.created_at, now()));
            if !missed {
                break;
            }
            decided = self.decide_once(actor, act.clone()).await?;
        }
        Ok(decided)
    }

    async fn decide_once(&self, actor: Actor, act: Act) -> Result<(Space, Change), ActError> {
        let mut space = Space::clone(&self.space);
        let change = space.apply(now(), actor, act)?;
        self.shared.store.update(&space).await?;
        Ok((space, change))
    }

    async fn carry_out(&mut self, change: Change) -> Result<(), ActError> {
        match change {
            Change::Edited => self.declare(),
            Change::DoorsOpened(_) => {
                self.begin().await?;
                self.declare();
                self.on_air.ask();
            }
            Change::WentLive(part) => {
                match &self.pipeline {
                    Some(_) => self.tell_mixer(Input::GoLive(part)),
                    None => self.begin().await?,
                }
                self.declare();
                self.on_air.ask();
            }
            Change::Ended(part) => self.end(part).await,
            Change::Cancelled => {
                self.stop_mixing().await;
                self.pipeline = None;
                self.on_air.change_window(Window::finish);
                self.on_air.set_flowing(true);
                self.declare();
            }
        }
        Ok(())
    }

    fn declare(&self) {
        self.on_air.declare(facts(&self.space));
    }

    /// Starts (or takes up) mixing, encoding and recording.
    async fn begin(&mut self) -> Result<(), PipelineError> {
        let mixing = self.mixing()?;
        let pipeline = pipeline::begin(
            self.number,
            &self.space,
            &self.on_air,
            &self.shared,
            &mixing,
        )
        .await?;
        let _ = self.archive.set(pipeline.reader());
        self.pipeline = Some(pipeline);
        Ok(())
    }

    /// The mixer of the space, started when the first speaker comes or the doors open.
    fn mixing(&self) -> Result<Mixing, PipelineError> {
        if let Some(mixing) = &*self.mixing.borrow() {
            return Ok(mixing.clone());
        }
        let epoch = super::clock::instant_of(self.space.created_at);
        let mixing = Mixing::start(self.number, epoch, self.shared.stage.clone())?;
        self.shared.mixers.send_modify(|mixers| {
            mixers.insert(self.number, mixing.inputs());
        });
        self.mixing.send_replace(Some(mixing.clone()));
        Ok(mixing)
    }

    fn tell_mixer(&self, input: Input) {
        if let Some(mixing) = &*self.mixing.borrow() {
            // The queue is drained fifty times a second; one that stays full has lost its thread.
            if mixing.inputs().try_send(input).is_err() {
                tracing::error!("the mixer did not take an act");
            }
        }
    }

    /// Waits until the last part is played and on disk, then tells the audience.
    async fn end(&mut self, part: PartIndex) {
        self.tell_mixer(Input::End(part));
        if let Some(pipeline) = self.pipeline.take() {
            let until_end = Duration::from_millis(self.space.moment(part).ms_since(now()));
            if timeout(until_end + END_TIMEOUT, pipeline.finished())
                .await
                .is_err()
            {
                tracing::error!(
                    "the archive did not finish in time; the replay may lack its last second"
                );
            }
        }
        self.on_air.change_window(Window::finish);
        self.on_air.set_flowing(true);
        self.stop_mixing().await;
        self.declare();
        self.keep_counts().await;
    }

    async fn stop_mixing(&self) {
        self.tell_mixer(Input::Stop);
        self.mixing.send_replace(None);
        self.shared.mixers.send_modify(|mixers| {
            mixers.remove(&self.number);
        });
        for seat in 1..=self.space.speakers {
            // A stage that is closed has no session left to end.
            let _ = self
                .shared
                .stage
                .close_seat(seat_key(self.number, SeatId(seat)))
                .await;
        }
        let _ = self
            .shared
            .stage
            .close_programme(ProgrammeKey(u64::from(self.number)))
            .await;
    }

    async fn keep_counts(&mut self) {
        let counts = self.on_air.counts();
        if (counts.peak, counts.joined) != self.counted
            && self
                .shared
                .store
                .count(&self.space.id, counts.peak, counts.joined)
                .await
                .is_ok()
        {
            self.counted = (counts.peak, counts.joined);
        }
    }

    async fn close(&mut self) {
        self.stop_mixing().await;
        if let Some(pipeline) = self.pipeline.take() {
            let _ = timeout(END_TIMEOUT, pipeline.finished()).await;
        }
        self.keep_counts().await;
    }
}

/// The part at which a change takes effect.
const fn change_part(change: Change) -> Option<PartIndex> {
    match change {
        Change::DoorsOpened(part) | Change::WentLive(part) | Change::Ended(part) => Some(part),
        Change::Cancelled | Change::Edited => None,
    }
}

/// A key for as long as it is not taken back.
pub(crate) fn grant(role: Role, key: &Key) -> Grant {
    Grant {
        role,
        digest: key.digest(),
        expires_at: None,
        revoked_at: None,
    }
}
