//! The host's own hold programme: a sound file that is taken for one space, looped, levelled and encoded like ours, and kept
//! beside its database row under the id of the space.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use thiserror::Error;
use throng_core::space::{Space, playhead};
use throng_core::timeline::{PARTS_PER_SEGMENT, PartIndex, SAMPLE_RATE_HZ};
use throng_media::hold::{HoldError, HoldLoop};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::clock::now;
use super::hold::{self, Hold};
use super::mixing::{Input, Mixing};
use super::space_hold::SpaceHold;
use crate::sound_file::{self, SoundFileError};

/// Longest file: people wait less. Bounds the memory of a loop, 115 MB as sound.
const SECONDS_MAX: usize = 10 * 60;
/// Largest file: ten minutes in good quality, or three as plain samples.
pub(crate) const BYTES_MAX: usize = 30 << 20;
/// Spaces of a node with a file of their own that are not over. Bounds the memory of all of them; a further one is refused.
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
        "{OWN_MAX} spaces have hold music of their own already; take it from one of them, or end it"
    )]
    Full,
    #[error("another file is being taken; try again in a moment")]
    Busy,
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

    /// Deletes what a space has.
    pub(crate) fn remove(&self, space_id: &str) -> io::Result<()> {
        match fs::remove_dir_all(self.folder_of(space_id)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
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
}

/// A file of the host's.
pub(crate) struct Own {
    hold: Arc<Hold>,
    parts: usize,
    pub(crate) seconds: u64,
    _place: OwnedSemaphorePermit,
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

    /// Takes a file, keeps it, and plays it once it is encoded.
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
        self.play(ended_well(taking.await)?, place)
    }

    /// Takes up what an earlier process has kept. One file after the other.
    pub(crate) async fn resume(self: Arc<Self>) {
        let file = self.folder().join(FILE);
        let reading = tokio::task::spawn_blocking(move || fs::read(file)).await;
        let Ok(Ok(bytes)) = reading else { return };
        let Ok(_turn) = self.shared.taking.acquire().await else {
            return;
        };
        let resumed = async {
            let place = self.place()?;
            let sound = tokio::task::spawn_blocking(move || looped(bytes)).await;
            self.play(ended_well(sound)?, place)
        };
        if let Err(error) = resumed.await {
            tracing::error!(%error, "a space has lost its own hold music; ours is played");
        }
    }

    /// Goes back to the node's own, and forgets the file.
    pub(crate) async fn give_up(&self) -> io::Result<()> {
        let (shared, id) = (Arc::clone(&self.shared), self.space.borrow().id.clone());
        let removed = tokio::task::spawn_blocking(move || shared.remove(&id)).await;
        removed.expect("removing does not panic")?;
        if self.own.send_replace(None).is_some() {
            self.turn_to(self.hold.ours()).await;
        }
        Ok(())
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
        let own = Arc::new(Own {
            parts: hold::parts_of(&sound),
            seconds: sound.len_samples() / SAMPLE_RATE_HZ,
            hold: Hold::start(Some(sound), self.folder().join(CACHE))?,
            _place: place,
        });
        self.own.send_replace(Some(Arc::clone(&own)));
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
        self.hold.turn_to(hold, self.next_segment());
        if let Some(mixing) = &*self.mixing.borrow()
            && mixing.inputs().try_send(Input::Hold(sound)).is_err()
        {
            tracing::error!("the mixer did not take the hold music");
        }
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

/// Written beside and renamed, so that a kill leaves the one before or the new one.
fn keep(folder: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let unfinished = folder.join("sound.part");
    fs::write(&unfinished, bytes)?;
    fs::rename(unfinished, folder.join(FILE))
}
