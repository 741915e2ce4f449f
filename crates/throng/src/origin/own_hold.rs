//! The host's own hold programme: a sound file that is taken for one space, looped, levelled and encoded like ours, and kept
//! beside its database row under the id of the space.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{fs, io};

use thiserror::Error;
use throng_core::space::{Space, playhead};
use throng_core::timeline::{PARTS_PER_SEGMENT, PartIndex, SAMPLE_RATE_HZ};
use throng_media::hold::{HoldError, HoldLoop};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::clock::now;
use super::hold::{self, Hold};
use super::mixing::{Input, Mixing};
use super::space_hold::{ASKED_FOR_PARTS, SpaceHold};
use crate::secret_file;
use crate::sound_file::{self, SoundFileError};

/// Longest file: people wait less. Bounds the memory of a loop, 115 MB as sound.
const SECONDS_MAX: usize = 10 * 60;
/// Largest file: ten minutes in good quality, or three as plain samples.
pub(crate) const BYTES_MAX: usize = 30 << 20;
/// Files of a node in memory: of spaces that are not over, and for the two minutes in which listeners can still ask for what
/// was taken away. Bounds the memory of all of them; a further one is refused.
const OWN_MAX: usize = 8;
/// The file as it was given.
const FILE: &str = "sound";
/// The loop, encoded.
const CACHE: &str = "loop.bin";

/// Why a file was not taken.
#[derive(Debug, Error)]
pub(crate) enum OwnHoldError {
    #[error(transparent)]
    Loop(#[from] HoldError),
    #[error("the file is longer than ten minutes; cut it")]
    TooLong,
    #[error(transparent)]
    Sound(SoundFileError),
    #[error(
        "{OWN_MAX} spaces have hold music of their own already; take it from one of them, or end it, and try again in two \
         minutes"
    )]
    Full,
    #[error("another file is being taken; try again in a moment")]
    Busy,
    #[error("the space was over, or deleted, before the file was there")]
    Over,
    #[error("the file could not be kept: {0}")]
    Io(#[from] io::Error),
}

/// What all spaces of a node share of it.
pub(crate) struct OwnHolds {
    folder: PathBuf,
    places: Arc<Semaphore>,
    /// One file is decoded at a time: it takes a core and 300 MB for some seconds.
    taking: Arc<Semaphore>,
}

impl OwnHolds {
    pub(crate) fn in_folder(folder: PathBuf) -> Self {
        Self {
            folder,
            places: Arc::new(Semaphore::new(OWN_MAX)),
            taking: Arc::new(Semaphore::new(1)),
        }
    }

    fn folder_of(&self, space_id: &str) -> PathBuf {
        self.folder.join(space_id)
    }

    /// Deletes what a space has. Its folder goes first, as a whole: whoever is just encoding finds none to put his work into.
    fn remove(&self, space_id: &str) -> io::Result<()> {
        let folder = self.folder_of(space_id);
        let gone = folder.with_extension("gone");
        // What an earlier process began to delete.
        absent_is_fine(fs::remove_dir_all(&gone))?;
        absent_is_fine(fs::rename(folder, &gone))?;
        absent_is_fine(fs::remove_dir_all(gone))
    }
}

/// Who plays it in one space.
pub(crate) struct Player {
    pub(super) shared: Arc<OwnHolds>,
    pub(super) hold: Arc<SpaceHold>,
    pub(super) space: watch::Receiver<Arc<Space>>,
    pub(super) mixing: watch::Receiver<Option<Mixing>>,
    /// What the space has, or is about to have.
    pub(super) own: watch::Sender<Option<Arc<Own>>>,
    /// The space is deleted. Its watch ends where the node stops, too, and then its file is to stay.
    pub(super) is_deleted: AtomicBool,
}

/// A file of the host's.
pub(crate) struct Own {
    hold: Arc<Hold>,
    parts: usize,
    pub(crate) seconds: u64,
}

impl Own {
    /// Whether it is encoded to its end; until then the node's own plays.
    pub(crate) fn is_ready(&self) -> bool {
        self.hold.encoded_parts() >= self.parts
    }
}

impl Player {
    /// The turn to send a file, if nobody else does: what is sent is in memory.
    pub(crate) fn turn(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.shared.taking).try_acquire_owned().ok()
    }

    /// What the host has given.
    pub(crate) fn own(&self) -> Option<Arc<Own>> {
        self.own.borrow().clone()
    }

    /// Takes a file, keeps it, and plays it once it is encoded. What comes when the space is over leaves nothing behind.
    pub(crate) async fn take(
        self: &Arc<Self>,
        _turn: OwnedSemaphorePermit,
        bytes: Vec<u8>,
    ) -> Result<(), OwnHoldError> {
        let place = self.place()?;
        let folder = self.folder();
        let taking = tokio::task::spawn_blocking(move || {
            let sound = looped(bytes.clone())?;
            keep(&folder, &bytes)?;
            Ok(sound)
        });
        let taken = self.play(ended_well(taking.await)?, place);
        if matches!(taken, Err(OwnHoldError::Over)) {
            self.remove().await?;
        }
        taken
    }

    /// Takes up what an earlier process has kept. One file after the other.
    pub(crate) async fn resume(self: Arc<Self>) {
        // A space that has none takes no turn: somebody may be sending one just now.
        let file = self.folder().join(FILE);
        if !tokio::fs::try_exists(&file).await.unwrap_or(true) {
            return;
        }
        let Ok(_turn) = self.shared.taking.acquire().await else {
            return;
        };
        // Only now: while this waited for its turn, the host may have given another, or taken it away.
        let own = self.own.subscribe();
        if own.borrow().is_some() {
            return;
        }
        let reading = tokio::task::spawn_blocking(move || fs::read(file)).await;
        let Ok(Ok(bytes)) = reading else { return };
        let resumed = async {
            let place = self.place()?;
            let sound = tokio::task::spawn_blocking(move || looped(bytes)).await;
            let sound = ended_well(sound)?;
            if own.has_changed().unwrap_or(true) {
                // It was taken away while it was decoded.
                return Ok(());
            }
            self.play(sound, place)
        };
        match resumed.await {
            // It was called off meanwhile, and plays nothing.
            Ok(()) | Err(OwnHoldError::Over) => {}
            Err(error) => {
                tracing::error!(%error, "a space has lost its own hold music; ours is played");
            }
        }
    }

    /// Goes back to the node's own, and forgets the file.
    pub(crate) async fn give_up(&self) -> io::Result<()> {
        self.remove().await?;
        if self.own.send_replace(None).is_some() {
            self.turn_to(self.hold.ours()).await;
        }
        Ok(())
    }

    /// The space is deleted, and what it has with it.
    pub(crate) async fn delete(&self) -> io::Result<()> {
        // Said first: who is just keeping a file sees it then, and removes it himself.
        self.is_deleted.store(true, Ordering::SeqCst);
        self.own.send_replace(None);
        self.remove().await
    }

    async fn remove(&self) -> io::Result<()> {
        let (shared, id) = (Arc::clone(&self.shared), self.space.borrow().id.clone());
        let removed = tokio::task::spawn_blocking(move || shared.remove(&id)).await;
        removed.expect("removing does not panic")
    }

    /// Whether nobody will hear it any more.
    fn is_over(&self) -> bool {
        self.is_deleted.load(Ordering::SeqCst) || self.space.borrow().state.is_over()
    }

    /// The space is over: its memory is freed, its file kept.
    pub(super) fn let_go(&self) {
        self.own.send_replace(None);
        self.hold.let_go(self.next_segment());
    }

    /// A place among those of the node; a space that has one keeps it.
    fn place(&self) -> Result<OwnedSemaphorePermit, OwnHoldError> {
        // The one before is given up only when the new one is there: a refused file changes nothing.
        let places = Arc::clone(&self.shared.places);
        places.try_acquire_owned().map_err(|_| OwnHoldError::Full)
    }

    fn folder(&self) -> PathBuf {
        self.shared.folder_of(&self.space.borrow().id)
    }

    fn play(
        self: &Arc<Self>,
        sound: HoldLoop,
        place: OwnedSemaphorePermit,
    ) -> Result<(), OwnHoldError> {
        if self.is_over() {
            return Err(OwnHoldError::Over);
        }
        let channels = self.space.borrow().sound.channels;
        let own = Arc::new(Own {
            parts: hold::parts_of(&sound),
            seconds: sound.len_samples() / SAMPLE_RATE_HZ,
            hold: Hold::start(|| sound, channels, self.folder().join(CACHE), Some(place))?,
        });
        self.own.send_replace(Some(Arc::clone(&own)));
        if self.is_over() {
            // It ended in between, and may have let go of what was there before.
            self.own.send_replace(None);
            return Err(OwnHoldError::Over);
        }
        let player = Arc::clone(self);
        tokio::spawn(async move {
            let last = PartIndex(own.parts as u64 - 1);
            own.hold.part_when_encoded(last).await;
            let is_wanted = player
                .own
                .borrow()
                .as_ref()
                .is_some_and(|now| Arc::ptr_eq(now, &own));
            if is_wanted && !player.space.borrow().state.is_over() {
                player.turn_to(Arc::clone(&own.hold)).await;
            }
        });
        Ok(())
    }

    /// Plays it from the next segment on; where the programme is mixed, at once, with a crossfade.
    async fn turn_to(&self, hold: Arc<Hold>) {
        let sound = hold.sound().await;
        let from = self.next_segment();
        self.hold.turn_to(hold, from);
        self.forget_before(from);
        if let Some(mixing) = &*self.mixing.borrow()
            && mixing.inputs().try_send(Input::Hold(sound)).is_err()
        {
            tracing::error!("the mixer did not take the hold music");
        }
    }

    /// Lets go of what played before a part, when nobody can ask for any of that.
    fn forget_before(&self, from: PartIndex) {
        let asked_for = PartIndex(from.0 + ASKED_FOR_PARTS);
        let until = self.space.borrow().created_at.plus_ms(asked_for.start_ms());
        let wait = Duration::from_millis(until.ms_since(now().steady));
        let hold = Arc::downgrade(&self.hold);
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            if let Some(hold) = hold.upgrade() {
                hold.forget_before(from);
            }
        });
    }

    /// The first segment of which no part is made yet.
    fn next_segment(&self) -> PartIndex {
        let playing = playhead(self.space.borrow().created_at, now().steady);
        let next = PartIndex::holding(playing).0 + 2;
        PartIndex(next.next_multiple_of(PARTS_PER_SEGMENT))
    }
}

/// Decodes a file and closes it into a loop, at the loudness of the programme.
fn looped(bytes: Vec<u8>) -> Result<HoldLoop, OwnHoldError> {
    let longest = SECONDS_MAX * usize::try_from(SAMPLE_RATE_HZ).expect("48,000");
    let pcm = sound_file::from_upload("the file", bytes, longest).map_err(|error| match error {
        SoundFileError::TooLong { .. } => OwnHoldError::TooLong,
        error => OwnHoldError::Sound(error),
    })?;
    Ok(HoldLoop::from_pcm(pcm)?)
}

/// A decoder that panics on what somebody has sent is a file that nobody can read.
fn ended_well(
    taken: Result<Result<HoldLoop, OwnHoldError>, tokio::task::JoinError>,
) -> Result<HoldLoop, OwnHoldError> {
    taken.unwrap_or_else(|_| {
        Err(OwnHoldError::Sound(SoundFileError::Damaged {
            name: "the file".to_owned(),
            detail: "it cannot be decoded".to_owned(),
        }))
    })
}

fn absent_is_fine(removal: io::Result<()>) -> io::Result<()> {
    match removal {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// In place of the one before, if there is one.
fn keep(folder: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    secret_file::replace(&folder.join(FILE), bytes)
}

#[cfg(test)]
mod tests {
    use throng_core::rendition::Channels;
    use throng_core::space::{Act, Actor};

    use super::*;
    use crate::sample;
    use crate::sound_file::WavWriter;

    /// Four seconds of a tone.
    fn tone() -> Vec<f32> {
        let period: Vec<f32> = (0..120_u8)
            .map(|sample| (f32::from(sample) / 120.0 * std::f32::consts::TAU).sin() * 0.1)
            .collect();
        period.repeat(1_600)
    }

    /// The same as a file.
    fn wav(folder: &Path) -> Vec<u8> {
        let path = folder.join("tone.wav");
        let mut file = WavWriter::create(&path).unwrap();
        file.push(&tone()).unwrap();
        file.finish().unwrap();
        fs::read(path).unwrap()
    }

    /// A player of a space that was just announced, and its owner's side.
    fn player(folder: &Path) -> (Arc<Player>, watch::Sender<Arc<Space>>) {
        let space = watch::Sender::new(Arc::new(sample::announced(now().steady)));
        let ours = HoldLoop::from_pcm(tone()).unwrap();
        let ours = Hold::start(|| ours, Channels::Mono, folder.join("ours.bin"), None).unwrap();
        let player = Player {
            shared: Arc::new(OwnHolds::in_folder(folder.join("spaces"))),
            hold: SpaceHold::new(ours),
            space: space.subscribe(),
            mixing: watch::Sender::default().subscribe(),
            own: watch::Sender::new(None),
            is_deleted: AtomicBool::new(false),
        };
        (Arc::new(player), space)
    }

    async fn taken(player: &Arc<Player>, folder: &Path) -> Result<(), OwnHoldError> {
        let turn = player.turn().unwrap();
        player.take(turn, wav(folder)).await
    }

    #[tokio::test]
    async fn a_file_that_comes_after_the_end_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let (player, space) = player(folder.path());
        taken(&player, folder.path()).await.unwrap();
        assert_eq!(player.shared.places.available_permits(), OWN_MAX - 1);
        assert!(player.folder().join(FILE).exists());
        // Another is on its way when the space is called off.
        space.send_modify(|space| {
            let called_off = Arc::make_mut(space).apply(now(), Actor::Host, Act::Cancel);
            called_off.unwrap();
        });
        player.let_go();
        let late = taken(&player, folder.path()).await;
        assert!(matches!(late, Err(OwnHoldError::Over)), "{late:?}");
        assert!(player.own().is_none() && !player.folder().exists());
        // The first gives its place back once it is encoded.
        let all = u32::try_from(OWN_MAX).unwrap();
        drop(player.shared.places.acquire_many(all).await.unwrap());
    }

    #[tokio::test]
    async fn a_file_that_comes_after_its_space_was_deleted_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let (player, _space) = player(folder.path());
        player.delete().await.unwrap();
        let late = taken(&player, folder.path()).await;
        assert!(matches!(late, Err(OwnHoldError::Over)), "{late:?}");
        assert!(player.own().is_none() && !player.folder().exists());
    }

    #[tokio::test]
    async fn a_file_that_comes_while_the_node_stops_is_kept_for_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let (player, space) = player(folder.path());
        drop(space);
        taken(&player, folder.path()).await.unwrap();
        assert!(player.folder().join(FILE).exists());
    }

    /// Waits until what was taken plays.
    async fn turned(player: &Player) {
        let sound = player.own().unwrap().hold.sound().await.pcm();
        let plays = |now: HoldLoop| Arc::ptr_eq(&now.pcm(), &sound);
        while !player.hold.sound_as_it_stands().is_some_and(plays) {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_place_of_what_was_taken_away_is_free_when_nobody_can_ask_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let (player, space) = player(folder.path());
        taken(&player, folder.path()).await.unwrap();
        turned(&player).await;
        // A minute later.
        space.send_modify(|space| {
            let space = Arc::make_mut(space);
            space.created_at = space.created_at.minus_ms(60_000);
        });
        player.give_up().await.unwrap();
        let places = &player.shared.places;
        assert_eq!(places.available_permits(), OWN_MAX - 1, "it may be heard");
        tokio::time::sleep(Duration::from_mins(2)).await;
        let all = u32::try_from(OWN_MAX).unwrap();
        drop(places.acquire_many(all).await.unwrap());
    }

    #[tokio::test]
    async fn a_space_without_a_file_of_its_own_is_in_nobodys_way() {
        let folder = tempfile::tempdir().unwrap();
        let (player, _space) = player(folder.path());
        let resuming = tokio::spawn(Arc::clone(&player).resume());
        tokio::task::yield_now().await;
        assert!(player.turn().is_some());
        resuming.await.unwrap();
    }

    #[tokio::test]
    async fn what_was_kept_is_not_played_over_what_the_host_has_done_since() {
        let folder = tempfile::tempdir().unwrap();
        let (player, _space) = player(folder.path());
        keep(&player.folder(), &wav(folder.path())).unwrap();
        // Another space decodes.
        let turn = player.turn().unwrap();
        let resuming = tokio::spawn(Arc::clone(&player).resume());
        tokio::task::yield_now().await;
        player.take(turn, wav(folder.path())).await.unwrap();
        let given = player.own().unwrap();
        resuming.await.unwrap();
        assert!(Arc::ptr_eq(&player.own().unwrap(), &given));

        let turn = player.turn().unwrap();
        player.own.send_replace(None);
        let resuming = tokio::spawn(Arc::clone(&player).resume());
        tokio::task::yield_now().await;
        player.give_up().await.unwrap();
        drop(turn);
        resuming.await.unwrap();
        assert!(player.own().is_none());
    }
}
