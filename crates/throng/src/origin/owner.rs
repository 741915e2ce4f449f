//! The task that owns a space: decides, keeps, and carries out; one at a time.

use std::future::pending;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use throng_air::on_air::OnAir;
use throng_archive::Reader;
use throng_core::space::{Act, Actor, Change, Space, playhead};
use throng_core::time::UnixMillis;
use throng_core::timeline::PartIndex;
use throng_core::turns::Turns;
use throng_core::window::Window;
use throng_media::mixer::SeatId;
use throng_media::rendering::TRACK_RENDITION;
use throng_stage::ProgrammeKey;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, sleep_until, timeout};

use super::clock::{instant_of, now, wall};
use super::hold;
use super::mixing::{Input, Mixing, talkback};
use super::own_hold::Player;
use super::pipeline::{self, Pipeline, Recorded};
use super::roles::Cue;
use super::routing::seat_key;
use super::space::{ActError, Command, PipelineError, PublishError, Shared, facts};
use super::tracks::{Keeping, KeptTracks, Tracks};
use super::turns;
use crate::store::Letter;
use crate::webhooks;

/// An act is decided anew when keeping it took so long that its moment has passed; a disk this slow is an error.
const DECISIONS_MAX: usize = 5;
/// Counts are kept this often, and at the end.
const COUNT_EVERY: Duration = Duration::from_secs(10);
/// The wall clock is looked at this often: the dates of the next segment but one follow it, and doors open by it.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What time is to do later than this is looked at again before: the loop comes round more often.
const WAIT_MAX: Duration = Duration::from_hours(24);
/// The audience is told of the end at the latest so long after it, even where the archive does not finish. Otherwise it
/// is told within a second; but a machine out of breath has up to 5 s of sound in its queues, and none of it is given up
/// lightly.
const END_TIMEOUT: Duration = Duration::from_secs(15);
/// Half a second: a programme that is hardly late, because a cut was, is waited for with the end. One that is delayed is not.
const HELD_AWAITED_FRAMES: u64 = 25;
/// A frame.
const FRAME_MS: u64 = 20;
/// What the mixer tells of itself is at most so old; meanwhile the line may have grown.
const LEVELS_AGE_MS: u64 = 100;

/// The task that owns a space.
pub(super) struct Owner {
    pub(super) number: u32,
    pub(super) space: Arc<Space>,
    pub(super) space_now: watch::Sender<Arc<Space>>,
    pub(super) on_air: Arc<OnAir>,
    pub(super) recorded: Recorded,
    pub(super) mixing: watch::Sender<Option<Mixing>>,
    pub(super) pipeline: Option<Pipeline>,
    pub(super) tracks: KeptTracks,
    /// Told when the thread that writes tracks has ended.
    pub(super) keeping_tracks: Option<oneshot::Receiver<()>>,
    /// Until when the programme plays out what it holds, where it has ended.
    pub(super) ending: Option<Instant>,
    /// The hold programme before doors; it ends with the owner.
    pub(super) holding: JoinSet<()>,
    /// Of the hold programme.
    pub(super) player: Arc<Player>,
    pub(super) counted: (u64, u64),
    /// The recording is deleted, and lies on the disk still.
    pub(super) is_to_be_removed: bool,
    /// The countdown to the start, where one runs.
    pub(super) cue: watch::Sender<Option<Cue>>,
    pub(super) turns: turns::Shared,
    /// As they are on disk.
    pub(super) turns_kept: Turns,
    pub(super) shared: Arc<Shared>,
}

impl Owner {
    /// Takes up a space where an earlier process left it.
    pub(super) async fn resume(&mut self) -> Result<(), PipelineError> {
        let space = Arc::clone(&self.space);
        if space.state.is_over() {
            return self.open_past().await;
        }
        if space.doors_part.is_none() {
            self.holding.spawn(hold::produce(
                Arc::clone(&self.player.hold),
                Arc::clone(&self.on_air),
            ));
            return Ok(());
        }
        self.begin().await
    }

    /// Opens the archive of a space that is over, for its replay.
    async fn open_past(&mut self) -> Result<(), PipelineError> {
        if self.space.recording_deleted.is_some() {
            self.remove_recording().await;
        } else if self.space.live_part.is_some() {
            let folder = self.shared.archives.join(&self.space.id);
            let reader = tokio::task::spawn_blocking(move || Reader::open_ended(&folder)).await;
            let reader = reader.expect("opening does not panic")?;
            let window = pipeline::newest_window(&reader, self.space.end_part)?;
            self.on_air.change_window(|present| *present = window);
            self.recorded.reader.open(reader);
        }
        self.on_air.change_window(Window::finish);
        self.on_air.set_flowing(true);
        self.declare();
        Ok(())
    }

    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Command>) {
        let mut count = tokio::time::interval(COUNT_EVERY);
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_over = self.space.state.is_over();
            let due = self.due();
            let cued = *self.cue.borrow();
            let cue = at(cued.map(|cue| self.space.cue_due(cue.part)), now().steady);
            let played_out = until(self.ending);
            tokio::select! {
                command = queue.recv() => match command {
                    Some(Command::Act { actor, acts, reply }) => {
                        let _ = reply.send(self.act(actor, &acts).await);
                    }
                    Some(Command::Cue { actor, seconds, reply }) => {
                        let _ = reply.send(self.set_cue(actor, seconds).await);
                    }
                    Some(Command::Mixer { reply }) => {
                        let _ = reply.send(self.seats());
                    }
                    Some(Command::Close { reply }) => {
                        self.close().await;
                        let _ = reply.send(());
                        return;
                    }
                    None => return,
                },
                act = due => {
                    if let Err(error) = self.act(Actor::Clock, std::slice::from_ref(&act)).await {
                        tracing::error!(%error, "time could not {}; tried again in a second", act.name());
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                }
                () = cue => self.take_cue().await,
                () = played_out => {
                    self.finish().await;
                    self.shared.listed.send_replace(());
                }
                _ = look.tick(), if !is_over => self.keep_dates().await,
                _ = count.tick() => {
                    self.keep_counts().await;
                    self.mend().await;
                    if self.is_to_be_removed {
                        self.remove_recording().await;
                    }
                }
            }
        }
    }

    /// Waits until time has something to do, and says what.
    fn due(&self) -> impl Future<Output = Act> + use<> {
        let next = self.space.next_clock_act();
        let clock_is_doubtful = self.shared.clock.alarm(now()).is_some();
        async move {
            match next {
                // What is deleted is not made again by a clock that is set right.
                Some((_, Act::DeleteRecording)) if clock_is_doubtful => pending().await,
                Some((at, act)) => {
                    let wait = Duration::from_millis(at.ms_since(wall())).min(WAIT_MAX);
                    sleep_until(Instant::now() + wait).await;
                    if wait < WAIT_MAX {
                        act
                    } else {
                        pending().await
                    }
                }
                None => pending().await,
            }
        }
    }

    async fn act(&mut self, actor: Actor, acts: &[Act]) -> Result<Arc<Space>, ActError> {
        if self.pipeline.is_none() && matches!(acts, [Act::OpenDoors | Act::GoLive]) {
            // The programme begins with the hold's sound, which a node that has just started is still making.
            self.player.hold.sound().await;
        }
        let (space, change) = match acts {
            [Act::End] => self.decide(actor, &[self.end_act()]).await?,
            acts => self.decide(actor, acts).await?,
        };
        self.shared.webhooks.ring();
        self.space = Arc::new(space);
        self.space_now.send_replace(Arc::clone(&self.space));
        let done = self.carry_out(change).await;
        if !matches!(change, Change::DoorsOpened(_) | Change::Edited) {
            self.cue.send_replace(None);
        }
        self.shared.listed.send_replace(());
        done?;
        Ok(Arc::clone(&self.space))
    }

    async fn set_cue(&self, actor: Actor, seconds: Option<u32>) -> Result<bool, ActError> {
        let cue = match seconds {
            None => None,
            Some(seconds) => {
                if self.pipeline.is_none() {
                    self.player.hold.sound().await;
                }
                let part = self.space.cue(now(), seconds)?;
                Some(Cue { part, actor })
            }
        };
        Ok(self.cue.send_replace(cue).is_some())
    }

    /// Goes live at the end of a countdown. Where that fails, the space stays where it is, for its host to see.
    async fn take_cue(&mut self) {
        let Some(cue) = *self.cue.borrow() else {
            return;
        };
        if let Err(error) = self.act(cue.actor, &[Act::GoLive]).await {
            tracing::error!(slug = self.space.slug.as_str(), %error, "a countdown ended, and the space did not go live");
        }
        self.cue.send_replace(None);
    }

    /// How many frames were said and are not heard yet.
    fn held_frames(&self) -> u64 {
        let levels = self.mixing.borrow().as_ref().map(Mixing::levels);
        levels.unwrap_or_default().delay.behind as u64
    }

    /// The end: at once, or when what was said and is not heard yet has been played out.
    fn end_act(&self) -> Act {
        match self.held_frames() {
            0 => Act::End,
            frames => Act::PlayOut {
                held_ms: frames * FRAME_MS + LEVELS_AGE_MS,
            },
        }
    }

    /// Decides and keeps. Where keeping took so long that the decided part has begun, a later one is decided.
    async fn decide(&self, actor: Actor, acts: &[Act]) -> Result<(Space, Change), ActError> {
        let mut letters = Vec::new();
        let mut decided = self.decide_once(actor, acts, &mut letters).await?;
        for _ in 1..DECISIONS_MAX {
            let missed = change_part(decided.1).is_some_and(|part| {
                part.first_sample() <= playhead(self.space.created_at, now().steady)
            });
            if !missed {
                break;
            }
            decided = self.decide_once(actor, acts, &mut letters).await?;
        }
        Ok(decided)
    }

    /// Several acts are edits, so that the change of one stands for all. The letters are those that were kept of the same
    /// acts before: of one step nobody is told twice.
    async fn decide_once(
        &self,
        actor: Actor,
        acts: &[Act],
        letters: &mut Vec<Letter>,
    ) -> Result<(Space, Change), ActError> {
        let mut space = Space::clone(&self.space);
        let mut change = Change::Edited;
        for act in acts {
            change = space.apply(now(), actor, act.clone())?;
        }
        let anew = self.shared.webhooks.of_change(Some(&self.space), &space);
        *letters = webhooks::in_place_of(mem::take(letters), anew);
        let store = &self.shared.store;
        store.update_and_tell(&space, letters).await?;
        Ok((space, change))
    }

    async fn carry_out(&mut self, change: Change) -> Result<(), ActError> {
        match change {
            Change::Edited => self.declare(),
            Change::RecordingDeleted => {
                self.declare();
                self.remove_recording().await;
            }
            Change::DoorsOpened(_) => {
                // Declared first, so that the hold programme stops there however long the beginning takes.
                self.declare();
                self.on_air.ask();
                self.begin().await?;
            }
            Change::WentLive(part) => {
                self.declare();
                self.on_air.ask();
                match &self.pipeline {
                    Some(_) => {
                        self.tell_mixer(Input::GoLive {
                            said_from: pipeline::said_from(&self.space, part),
                            heard_from: part,
                        });
                        self.keep_tracks();
                    }
                    None => self.begin().await?,
                }
            }
            Change::Ended(part) => self.end(part).await,
            Change::Cancelled => {
                self.holding.shutdown().await;
                self.stop().await;
                self.player.let_go();
                self.on_air.change_window(Window::finish);
                self.on_air.set_flowing(true);
                self.declare();
            }
        }
        Ok(())
    }

    /// Follows a wall clock that was set. What cannot be kept is tried again with the next look.
    async fn keep_dates(&mut self) {
        let mut space = Space::clone(&self.space);
        if self.shared.store.alarm().is_some() || !space.correct_dates(now()) {
            return;
        }
        if self.shared.store.update(&space).await.is_ok() {
            metrics::counter!("throng_date_corrections_total").increment(1);
            self.space = Arc::new(space);
            self.space_now.send_replace(Arc::clone(&self.space));
            self.declare();
        }
    }

    /// Tells the audience where the space stands. While it hears what is played out, it is live.
    fn declare(&self) {
        if self.ending.is_some() {
            return;
        }
        let (counts, recorded) = (self.on_air.counts(), self.on_air.past().recorded());
        self.on_air.declare(facts(&self.space, counts, recorded));
    }

    /// Starts (or takes up) mixing, encoding and recording.
    async fn begin(&mut self) -> Result<(), PipelineError> {
        let mixing = self.mixing()?;
        let pipeline = pipeline::begin(
            self.number,
            &self.space,
            &self.on_air,
            &self.shared,
            &self.recorded,
            &mixing,
            &self.player.hold,
        )
        .await?;
        self.pipeline = Some(pipeline);
        self.keep_tracks();
        Ok(())
    }

    /// Starts to keep what each seat sends, where that is wanted and its recording has begun.
    fn keep_tracks(&mut self) {
        let space = &self.space;
        let live = space.live_part.filter(|_| !space.state.is_over());
        let (Some(live), true, None) = (live, space.sound.tracks, &self.keeping_tracks) else {
            return;
        };
        let layout = self.shared.layouts.of(space.sound.channels);
        let started = Tracks::start(Keeping {
            folder: self.shared.archives.join(&space.id),
            live,
            channels: space.sound.channels,
            init: layout.inits[TRACK_RENDITION.index()].clone(),
            silence: Arc::clone(&layout.silence),
            kept: self.tracks.clone(),
        });
        match started {
            Ok((tracks, done)) => {
                self.keeping_tracks = Some(done);
                self.tell_mixer(Input::KeepTracks(tracks));
            }
            Err(error) => {
                tracing::error!(slug = space.slug.as_str(), %error, "no track is kept; tried again in a while");
            }
        }
    }

    /// Begins anew what could not begin: a machine that had no thread to give is no reason for a programme that stays
    /// away.
    async fn mend(&mut self) {
        if self.pipeline.is_some() {
            self.keep_tracks();
        }
        let wanted = self.space.doors_part.is_some() && !self.space.state.is_over();
        if wanted
            && self.pipeline.is_none()
            && let Err(error) = self.begin().await
        {
            tracing::error!(slug = self.space.slug.as_str(), %error, "the programme still cannot begin");
        }
    }

    /// The mixer, for a speaker who comes; a space that is over has none.
    fn seats(&self) -> Result<Mixing, PublishError> {
        if self.space.state.is_over() {
            return Err(PublishError::Over);
        }
        Ok(self.mixing()?)
    }

    /// The mixer of the space, started when the first speaker comes or the doors open.
    fn mixing(&self) -> Result<Mixing, PipelineError> {
        if let Some(mixing) = &*self.mixing.borrow() {
            return Ok(mixing.clone());
        }
        let epoch = instant_of(self.space.created_at);
        let space = self.space_now.subscribe();
        let mixing = Mixing::start(self.number, epoch, self.shared.stage.clone(), space)?;
        self.shared.mixers.send_modify(|mixers| {
            mixers.insert(self.number, mixing.inputs());
        });
        let (levels, turns) = (mixing.watch_levels(), Arc::clone(&self.turns));
        tokio::spawn(turns::follow(levels, turns));
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

    /// Ends the programme before a part. Where it is delayed, the host has his answer first, and can still take back what
    /// was said; else with his answer he has the replay.
    async fn end(&mut self, part: PartIndex) {
        let is_delayed = self.held_frames() > HELD_AWAITED_FRAMES;
        self.tell_mixer(Input::End(part));
        let ends_at = self.space.created_at.plus_ms(part.start_ms());
        let until_end = Duration::from_millis(ends_at.ms_since(now().steady));
        let ending = Instant::now() + until_end;
        self.ending = Some(ending);
        if !is_delayed {
            sleep_until(ending).await;
            self.finish().await;
        }
    }

    /// Waits until the last part is on disk, then tells the audience.
    async fn finish(&mut self) {
        self.ending = None;
        if let Some(pipeline) = self.pipeline.take()
            && timeout(END_TIMEOUT, pipeline.finished()).await.is_err()
        {
            tracing::error!(
                "the archive did not finish in time; the replay lacks its end until the disk has taken it"
            );
        }
        self.on_air.change_window(Window::finish);
        self.on_air.set_flowing(true);
        self.stop_mixing().await;
        self.player.let_go();
        self.declare();
        self.keep_counts().await;
        if self.is_to_be_removed {
            self.remove_recording().await;
        }
    }

    async fn stop_mixing(&self) {
        self.tell_mixer(Input::Stop);
        self.mixing.send_replace(None);
        self.shared.mixers.send_modify(|mixers| {
            mixers.remove(&self.number);
        });
        let seats = (1..=self.space.speakers).map(SeatId);
        for seat in seats.chain(talkback::lines()) {
            // A stage that is closed has no session left to end.
            let _ = self
                .shared
                .stage
                .close_seat(seat_key(self.number, seat))
                .await;
        }
        let _ = self
            .shared
            .stage
            .close_programme(ProgrammeKey(u64::from(self.number)))
            .await;
    }

    /// Takes the recording off the disk. What fails is tried again with the next look, also after a restart.
    async fn remove_recording(&mut self) {
        if self.ending.is_some() {
            // Listeners still hear the end of it, from this window: it goes when that has been played out.
            self.is_to_be_removed = true;
            return;
        }
        self.finish_tracks().await;
        self.tracks.clear();
        self.recorded.standing.give_up();
        self.recorded.reader.close();
        self.on_air.change_window(|window| {
            *window = Window::new(window.next());
            window.finish();
        });
        let folder = self.shared.archives.join(&self.space.id);
        let removed = tokio::task::spawn_blocking(move || throng_archive::remove(&folder)).await;
        let removed = removed.expect("removing does not panic");
        self.is_to_be_removed = removed.is_err();
        if let Err(error) = removed {
            let slug = self.space.slug.as_str();
            tracing::error!(slug, %error, "a deleted recording is still on disk; removing it is tried again");
        }
    }

    async fn keep_counts(&mut self) {
        let counts = self.on_air.counts();
        // Counts can wait, and who speaks or acts must not wait for them.
        if self.shared.store.alarm().is_none()
            && (counts.peak, counts.joined) != self.counted
            && self
                .shared
                .store
                .count(&self.space.id, counts.peak, counts.joined)
                .await
                .is_ok()
        {
            self.counted = (counts.peak, counts.joined);
        }
        let turns = turns::of(&self.turns);
        if self.shared.store.alarm().is_none()
            && turns != self.turns_kept
            && self
                .shared
                .store
                .keep_turns(&self.space.id, &turns)
                .await
                .is_ok()
        {
            self.turns_kept = turns;
        }
    }

    /// Stops mixing at once, and writes what was mixed.
    async fn stop(&mut self) {
        self.stop_mixing().await;
        if let Some(pipeline) = self.pipeline.take()
            && timeout(END_TIMEOUT, pipeline.finished()).await.is_err()
        {
            tracing::error!("the archive did not finish in time");
        }
        self.finish_tracks().await;
        self.recorded.standing.give_up();
    }

    /// Waits until what was said last is in the tracks, where any are kept. Nobody mixes any more.
    async fn finish_tracks(&mut self) {
        if let Some(done) = self.keeping_tracks.take()
            && timeout(END_TIMEOUT, done).await.is_err()
        {
            tracing::error!("the tracks were not finished in time");
        }
    }

    async fn close(&mut self) {
        self.stop().await;
        self.on_air.close();
        self.keep_counts().await;
    }
}

/// Waits until a time of a clock that shows `now`; for ever without one.
async fn at(time: Option<UnixMillis>, now: UnixMillis) {
    match time {
        Some(at) => sleep_until(Instant::now() + Duration::from_millis(at.ms_since(now))).await,
        None => pending().await,
    }
}

/// Waits until an instant; for ever without one.
async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => pending().await,
    }
}

/// The part at which a change takes effect.
const fn change_part(change: Change) -> Option<PartIndex> {
    match change {
        Change::DoorsOpened(part) | Change::WentLive(part) | Change::Ended(part) => Some(part),
        Change::Cancelled | Change::Edited | Change::RecordingDeleted => None,
    }
}
