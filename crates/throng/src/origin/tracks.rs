//! Each speaker's own sound, kept beside the recording where the host wants it: the door to a thread that encodes and
//! writes it.
//!
//! Tracks come last: the mixer leaves frames out where this thread does not keep up, and neither programme nor recording
//! waits for it. What is left out, or what a disk did not take, is silence of the same length, so that every track stays
//! in step with the recording.

mod keeper;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

use bytes::Bytes;
use throng_core::rendition::Channels;
use throng_core::timeline::{FRAMES_PER_PART, PartIndex};
use throng_media::WideFrame;
use throng_media::mixer::SeatId;
use throng_media::rendering::Silence;
use tokio::sync::oneshot;

use self::keeper::Keeper;

/// Frames that wait to be encoded, 2 s; each with the sound of at most sixteen seats, 6 MB in all. Beyond, they are left out.
const QUEUE_FRAMES: usize = 100;

/// What each seat sent that is heard in one frame; without silent ones.
pub(crate) type Sounds = Vec<(SeatId, Box<WideFrame>)>;

/// A frame on its way, by its number since the epoch.
struct Input {
    number: u64,
    sounds: Sounds,
}

/// Of which seats there is a track; cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct KeptTracks(Arc<Mutex<BTreeSet<u32>>>);

impl KeptTracks {
    /// There is one of these seats.
    pub(crate) fn add(&self, seats: impl IntoIterator<Item = u32>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(seats);
    }

    /// They are gone with their recording.
    pub(crate) fn clear(&self) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clear();
    }

    /// Whether there is one of a seat.
    pub(crate) fn has(&self, seat: u32) -> bool {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.contains(&seat)
    }
}

/// What the thread works with.
pub(crate) struct Keeping {
    /// The folder of the recording.
    pub(crate) folder: PathBuf,
    /// The part with which the recording begins.
    pub(crate) live: PartIndex,
    pub(crate) channels: Channels,
    /// What the chunks of a track need before them.
    pub(crate) init: Bytes,
    pub(crate) silence: Arc<Silence>,
    pub(crate) kept: KeptTracks,
}

/// The mixer's door to the thread.
pub(crate) struct Tracks {
    inputs: SyncSender<Input>,
    first_frame: u64,
    end: Arc<OnceLock<PartIndex>>,
}

impl Tracks {
    /// Starts the thread; the receiver is told, or dropped, when all is written.
    pub(crate) fn start(keeping: Keeping) -> io::Result<(Self, oneshot::Receiver<()>)> {
        let (inputs, queue) = sync_channel(QUEUE_FRAMES);
        let (done, finished) = oneshot::channel();
        let first_frame = keeping.live.0 * FRAMES_PER_PART;
        let end = Arc::new(OnceLock::new());
        let told = Arc::clone(&end);
        thread::Builder::new()
            .name("tracks".to_owned())
            .spawn(move || {
                let mut keeper = Keeper::new(keeping);
                while let Ok(Input { number, sounds }) = queue.recv() {
                    keeper.take(number - first_frame, &sounds);
                }
                keeper.finish(told.get().copied());
                // Who has stopped waiting is not told.
                let _ = done.send(());
            })?;
        let tracks = Self {
            inputs,
            first_frame,
            end,
        };
        Ok((tracks, finished))
    }

    /// Hands over what was heard in a frame; leaves it out where the thread is 2 s behind.
    pub(crate) fn push(&self, number: u64, sounds: Sounds) {
        // Silence is told once in each part, so that files grow while nobody talks.
        if number < self.first_frame || sounds.is_empty() && !number.is_multiple_of(FRAMES_PER_PART)
        {
            return;
        }
        if self.inputs.try_send(Input { number, sounds }).is_err() {
            metrics::counter!("throng_track_dropped_frames_total").increment(1);
        }
    }

    /// The recording ends before a part; what was pushed is still written.
    pub(crate) fn end(self, end: PartIndex) {
        // Set once: the door closes here.
        let _ = self.end.set(end);
    }
}
