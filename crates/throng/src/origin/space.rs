//! One space: the task that owns its life, and the handle by which the rest of the program reaches it.
//!
//! Acts are decided in `throng-core`, kept in the store, and only then carried out; a refused or unkept act changes
//! nothing. The audience is told of the end when the replay is ready to play.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use thiserror::Error;
use throng_air::on_air::{Facts, OnAir};
use throng_air::past::Recorded;
use throng_air::presence::{Counts, Presence};
use throng_air::state;
use throng_archive::{ArchiveError, TrackReader, tracks_kept};
use throng_core::key::{
    Grant, Key, KeyRefusal, Role, SeatNumber, admit, is_granted, renew, revoke,
};
use throng_core::space::{Act, Actor, Refusal, Space};
use throng_core::time::UnixMillis;
use throng_core::timeline::PartIndex;
use throng_core::window::Window;
use throng_media::mixer::{MAX_TALKBACKS, SeatId};
use throng_stage::{Answer, Patched, ProgrammeKey, SessionId, Stage, StageError};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinSet, spawn_blocking};

use super::clock::{ClockWatch, now, wall};
use super::dead_air;
use super::layout::Layouts;
use super::mixing::{Input, Levels, Mixing};
use super::own_hold::{OwnHolds, Player};
use super::owner::Owner;
use super::past::SpacePast;
use super::pipeline;
use super::reception;
use super::roles::{Cue, Roles};
use super::routing::{Mixers, seat_key};
use super::space_hold::SpaceHold;
use super::talkback::Lines;
use super::tracks::KeptTracks;
use crate::alarm::Alarm;
use crate::store::{Kept, Store, StoreError};
use crate::webhooks::Webhooks;
use crate::{chapters, pages};

/// Acts that wait for the space's task: people press buttons, and each press is answered.
const QUEUE_ACTS: usize = 32;
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
    pub(crate) layouts: Layouts,
    pub(crate) own_holds: Arc<OwnHolds>,
    pub(crate) mixers: Mixers,
    pub(crate) archives: PathBuf,
    pub(crate) clock: Arc<ClockWatch>,
    pub(crate) webhooks: Arc<Webhooks>,
    /// Pulsed when something that the public list shows has changed.
    pub(crate) listed: watch::Sender<()>,
}

/// What the handle asks of the owner.
pub(super) enum Command {
    /// All of them, or none.
    Act {
        actor: Actor,
        acts: Vec<Act>,
        reply: oneshot::Sender<Result<Arc<Space>, ActError>>,
    },
    /// Begins a countdown of so many seconds, or stops one; whether one ran.
    Cue {
        actor: Actor,
        seconds: Option<u32>,
        reply: oneshot::Sender<Result<bool, ActError>>,
    },
    Mixer {
        reply: oneshot::Sender<Result<Mixing, PublishError>>,
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
    pub(super) grants: watch::Sender<Vec<Grant>>,
    pub(super) roles: Roles,
    levels: watch::Receiver<Option<Mixing>>,
    recorded: pipeline::Recorded,
    tracks: KeptTracks,
    pub(super) talkback_lines: watch::Sender<Lines>,
    /// Of the hold programme.
    pub(crate) player: Arc<Player>,
    commands: mpsc::Sender<Command>,
    pub(super) shared: Arc<Shared>,
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
        let recorded = pipeline::Recorded::default();
        let layout = shared.layouts.of(space.sound.channels);
        let hold = SpaceHold::new(Arc::clone(&layout.hold));
        let past = SpacePast {
            hold: Arc::clone(&hold),
            space: watched.clone(),
            archive: recorded.reader.clone(),
        };
        let mut presence = Presence::resume(kept.peak, kept.joined);
        if space.doors_part.is_some() {
            presence.open_doors(Duration::ZERO);
        }
        let window = Window::new(PartIndex(0));
        let facts = facts(&space, Counts::default(), Recorded::default());
        let on_air = Arc::new(OnAir::new(facts, window, presence, Box::new(past)));
        let (commands, queue) = mpsc::channel(QUEUE_ACTS);
        let (mixing, levels) = watch::channel(None);
        let player = player(&shared, hold, &watched, &levels);
        let (cue, cued) = watch::channel(None::<Cue>);
        let turns = Arc::new(Mutex::new(kept.turns));
        let tracks = tracks_of(&space, &shared).await;
        let mut owner = Owner {
            number,
            space,
            space_now,
            on_air: Arc::clone(&on_air),
            recorded: recorded.clone(),
            mixing,
            pipeline: None,
            tracks: tracks.clone(),
            keeping_tracks: None,
            ending: None,
            holding: JoinSet::new(),
            player: Arc::clone(&player),
            counted: (kept.peak, kept.joined),
            is_to_be_removed: false,
            cue,
            turns_kept: super::turns::of(&turns),
            turns: Arc::clone(&turns),
            shared: Arc::clone(&shared),
        };
        owner.resume().await?;
        tokio::spawn(owner.run(queue));
        let grants = watch::Sender::new(kept.grants);
        Ok(Arc::new(Self {
            number,
            on_air,
            space: watched,
            roles: Roles::new(cued, turns),
            grants,
            levels,
            recorded,
            tracks,
            talkback_lines: watch::Sender::default(),
            player,
            commands,
            shared,
        }))
    }

    /// The space as it is.
    pub(crate) fn space(&self) -> Arc<Space> {
        Arc::clone(&self.space.borrow())
    }

    /// The space as it is, and as it changes; the watch ends with the space.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<Space>> {
        self.space.clone()
    }

    /// What a key makes of its holder here.
    pub(crate) fn admit(&self, key: &Key) -> Result<Role, KeyRefusal> {
        admit(&self.grants.borrow(), key, wall())
    }

    /// Does an act, durably.
    pub(crate) async fn act(&self, actor: Actor, act: Act) -> Result<Arc<Space>, ActError> {
        self.edit(actor, vec![act]).await
    }

    /// Does several acts that edit, durably: all of them at once, or none.
    pub(crate) async fn edit(&self, actor: Actor, acts: Vec<Act>) -> Result<Arc<Space>, ActError> {
        self.ask(|reply| Command::Act { actor, acts, reply })
            .await
            .ok_or(ActError::Closed)?
    }

    /// Who is on stage, and how loud.
    pub(crate) fn levels(&self) -> Levels {
        self.levels
            .borrow()
            .as_ref()
            .map(Mixing::levels)
            .unwrap_or_default()
    }

    /// Takes back what was said and is not heard yet: listeners never hear it, and it is not recorded. How many frames that
    /// were; none where the programme holds nothing.
    pub(crate) async fn dump(&self) -> Result<usize, ActError> {
        let Some(mixing) = self.levels.borrow().clone() else {
            return Ok(0);
        };
        let (reply, answer) = oneshot::channel();
        if mixing.inputs().try_send(Input::Dump(reply)).is_err() {
            return Err(ActError::Closed);
        }
        answer.await.map_err(|_| ActError::Closed)
    }

    /// What the host must know now.
    pub(crate) fn alarms(&self) -> Vec<Alarm> {
        let alarms = [
            self.dead_air_alarm(),
            self.speaker_alarm(),
            self.host_away_alarm(),
            self.recording_alarm(),
            self.shared.store.alarm(),
            self.shared.clock.alarm(now()),
        ];
        alarms.into_iter().flatten().collect()
    }

    /// Whether the space is live and nobody is heard.
    pub(crate) fn dead_air_alarm(&self) -> Option<Alarm> {
        dead_air::alarm(&self.space.borrow(), self.levels().dead_air)
    }

    /// Whether a speaker's connection is bad.
    pub(crate) fn speaker_alarm(&self) -> Option<Alarm> {
        reception::alarm(&self.space.borrow(), &self.levels().seats)
    }

    /// Whether the recording does not keep up.
    pub(crate) fn recording_alarm(&self) -> Option<Alarm> {
        self.recorded.standing.alarm(&self.space.borrow())
    }

    /// How often a part was passed over because the disk gave back other bytes than were recorded.
    pub(crate) fn spoilt_parts(&self) -> u64 {
        let reader = self.recorded.reader.get();
        reader.map_or(0, |reader| reader.unsound_parts())
    }

    /// Whether there is a track of a seat.
    pub(crate) fn has_track(&self, seat: SeatNumber) -> bool {
        self.tracks.has(seat.0)
    }

    /// The track of a seat, as far as it has come.
    pub(crate) async fn track(
        &self,
        seat: SeatNumber,
    ) -> Result<Option<TrackReader>, ArchiveError> {
        let folder = self.shared.archives.join(&self.space().id);
        let opened = spawn_blocking(move || TrackReader::open(&folder, seat.0)).await;
        opened.expect("opening does not panic")
    }

    /// Connects a speaker to his seat.
    pub(crate) async fn publish(
        &self,
        seat: SeatNumber,
        offer: String,
    ) -> Result<Answer, PublishError> {
        if !self.space.borrow().stage.admits(seat) {
            return Err(PublishError::Locked);
        }
        self.mixing().await?;
        Ok(self
            .shared
            .stage
            .publish(offer, seat_key(self.number, SeatId(seat.0)))
            .await?)
    }

    /// The mixer, started where it is not there yet.
    pub(super) async fn mixing(&self) -> Result<Mixing, PublishError> {
        // The owner may wait for the disk; where there is a stage, nobody who belongs on it does.
        let mixing = self.levels.borrow().clone();
        match mixing {
            Some(mixing) => Ok(mixing),
            None => self
                .ask(|reply| Command::Mixer { reply })
                .await
                .ok_or(PublishError::Over)?,
        }
    }

    pub(super) fn stage(&self) -> &Stage {
        &self.shared.stage
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
    pub(crate) async fn renew_seat(
        &self,
        seat: SeatNumber,
        key: &Key,
        expires_at: Option<UnixMillis>,
    ) -> Result<(), StoreError> {
        let grant = grant(Role::Speaker(seat), key, expires_at);
        let now = wall();
        self.shared
            .store
            .replace_seat_grant(&self.space().id, seat, &grant, now)
            .await?;
        self.grants.send_modify(|grants| renew(grants, grant, now));
        self.put_out(seat).await;
        Ok(())
    }

    /// Takes the keys of a seat back; whoever sits there has to leave.
    pub(crate) async fn revoke_seat(&self, seat: SeatNumber) -> Result<(), StoreError> {
        let now = wall();
        self.shared
            .store
            .revoke_seat_grants(&self.space().id, seat, now)
            .await?;
        self.grants
            .send_modify(|grants| revoke(grants, Role::Speaker(seat), now));
        self.put_out(seat).await;
        Ok(())
    }

    /// Ends the session of a seat whose key is good no more.
    async fn put_out(&self, seat: SeatNumber) {
        // A stage that is closed has no session left to end.
        let _ = self
            .shared
            .stage
            .close_seat(seat_key(self.number, SeatId(seat.0)))
            .await;
    }

    /// Whether a seat has a key that is good.
    pub(crate) fn has_key(&self, seat: SeatNumber) -> bool {
        is_granted(&self.grants.borrow(), Role::Speaker(seat), wall())
    }

    /// Puts who sits there off the stage; his key stays good, but where the stage is locked he does not come back, and where
    /// there is a green room, to there. Whether there was anybody to be put off.
    pub(crate) async fn remove(&self, actor: Actor, seat: SeatNumber) -> Result<bool, ActError> {
        let space = self.space();
        let was_awaited = space.stage.lock().is_some_and(|kept| kept.contains(&seat));
        let kept = if was_awaited || space.stage.green_room.is_open() {
            self.act(actor, Act::Dismiss(seat)).await.map(drop)
        } else {
            Ok(())
        };
        // However it is with the database: he is cut off.
        let key = seat_key(self.number, SeatId(seat.0));
        let was_there = match self.shared.stage.remove_seat(key).await {
            Ok(()) => true,
            Err(StageError::UnknownSession) => false,
            Err(_) => return Err(ActError::Closed),
        };
        kept?;
        Ok(was_there || was_awaited)
    }

    /// Notes that a speaker has muted himself, or no longer. It is for the studio to show: where the mixer has no room for
    /// it, it is missed there, and no sound is changed.
    pub(crate) fn note_own_mute(&self, seat: SeatNumber, muted: bool) {
        if let Some(mixing) = &*self.levels.borrow() {
            let seat = SeatId(seat.0);
            let _ = mixing.inputs().try_send(Input::OwnMute { seat, muted });
        }
    }

    /// Stops everything and writes what waits.
    pub(crate) async fn close(&self) {
        self.ask(|reply| Command::Close { reply }).await;
    }

    pub(super) async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.ok()?;
        answer.await.ok()
    }
}

/// What plays before the talk: the host's own hold music, taken up where it lies, or the node's.
fn player(
    shared: &Shared,
    hold: Arc<SpaceHold>,
    space: &watch::Receiver<Arc<Space>>,
    mixing: &watch::Receiver<Option<Mixing>>,
) -> Arc<Player> {
    let player = Arc::new(Player {
        shared: Arc::clone(&shared.own_holds),
        hold,
        space: space.clone(),
        mixing: mixing.clone(),
        own: watch::Sender::new(None),
        is_deleted: AtomicBool::new(false),
    });
    if !space.borrow().state.is_over() {
        tokio::spawn(Arc::clone(&player).resume());
    }
    player
}

/// The tracks that an earlier process has kept of a space.
async fn tracks_of(space: &Space, shared: &Shared) -> KeptTracks {
    let tracks = KeptTracks::default();
    if space.sound.tracks && space.live_part.is_some() {
        let folder = shared.archives.join(&space.id);
        let kept = spawn_blocking(move || tracks_kept(&folder)).await;
        tracks.add(kept.expect("looking does not panic"));
    }
    tracks
}

/// Why a speaker could not be connected.
#[derive(Debug, Error)]
pub(crate) enum PublishError {
    #[error("the stage is locked")]
    Locked,
    #[error("the space is over")]
    Over,
    #[error("{MAX_TALKBACKS} hosts talk to the stage already")]
    TalkbackFull,
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    #[error(transparent)]
    Stage(#[from] StageError),
}

/// What the audience is told of a space.
pub(super) fn facts(space: &Arc<Space>, counts: Counts, recorded: Recorded) -> Facts {
    let state = state::of_page(space, counts, recorded);
    Facts {
        space: Arc::clone(space),
        page: Arc::new(pages::listen(space, &state)),
        chapters: Arc::new(chapters::document(space)),
    }
}

/// A key that is good until its time is over, if it has one, or it is taken back.
pub(crate) fn grant(role: Role, key: &Key, expires_at: Option<UnixMillis>) -> Grant {
    Grant {
        role,
        digest: key.digest(),
        expires_at,
        revoked_at: None,
    }
}
