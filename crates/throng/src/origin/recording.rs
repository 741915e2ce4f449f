//! The recording of a space: the door to the archive's thread.
//!
//! A part is in the recording before anybody hears it, so that what its name stands for is the same after a crash. But
//! sound never waits for a disk that is slow: a part that is not written within [`APPEND_PATIENCE`] goes on air all the
//! same, and so does each one after it until the disk has caught up. Parts queue up meanwhile, for as long as listeners
//! could hear them again; when the queue is full they are dropped here, and the gap is filled with silence and marked,
//! because the archive's parts follow one another without holes.

mod standing;
mod writer;

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use throng_archive::{Archive, ArchiveError};
use throng_core::timeline::PartIndex;
use throng_core::window::{PARTS_KEPT, Part};
use throng_media::rendering::Silence;
use tokio::sync::oneshot;

pub(crate) use self::standing::Standing;
use self::writer::Writer;
use super::readable::Readable;

/// Parts that wait for the disk, 96 s: the window keeps them for so long anyway. A disk that is away for longer has lost
/// them from the recording, and only there.
const QUEUE_PARTS: usize = PARTS_KEPT;
/// How long a part waits to be written before it goes on air without: a third of its length, so that the encoder keeps
/// up. Writing takes well under a millisecond where the disk is not stuck.
const APPEND_PATIENCE: Duration = Duration::from_millis(100);

enum Input {
    Part(Arc<Part>),
    Finish,
}

/// What the archive's thread works with.
pub(crate) struct Keeping<O> {
    /// Opens the archive, or begins it; asked again until the disk lets it.
    pub(crate) open: O,
    /// Where the archive can be read from, once it is open.
    pub(crate) reader: Readable,
    /// What the host and the metrics are told.
    pub(crate) standing: Arc<Standing>,
    pub(crate) silence: Arc<Silence>,
}

/// The recording of one space.
pub(crate) struct Recording {
    inputs: SyncSender<Input>,
    appended: Receiver<PartIndex>,
    /// The first part that is not known to be in the recording.
    next: PartIndex,
    standing: Arc<Standing>,
    thread: JoinHandle<()>,
}

impl Recording {
    /// Starts the thread; the receiver is told when it has tried to open the archive for the first time.
    pub(crate) fn start<O>(keeping: Keeping<O>) -> io::Result<(Self, oneshot::Receiver<()>)>
    where
        O: FnMut() -> Result<Archive, ArchiveError> + Send + 'static,
    {
        let (inputs, queue) = sync_channel(QUEUE_PARTS);
        let (report, appended) = sync_channel(QUEUE_PARTS);
        let (tried, opened) = oneshot::channel();
        let standing = Arc::clone(&keeping.standing);
        let thread = thread::Builder::new()
            .name("archive".to_owned())
            .spawn(move || Writer::new(keeping, report).run(&queue, tried))?;
        let recording = Self {
            inputs,
            appended,
            next: PartIndex(0),
            standing,
            thread,
        };
        Ok((recording, opened))
    }

    /// The parts that are given begin with this one.
    pub(crate) fn begin(&mut self, first: PartIndex) {
        self.next = first;
        self.standing.begin(first);
    }

    /// Takes a part, and returns when it is written, or when the disk is too slow to wait for.
    pub(crate) fn append(&mut self, part: &Arc<Part>) {
        while let Ok(written) = self.appended.try_recv() {
            self.next = written.next();
        }
        let keeps_up = self.next == part.index;
        self.standing.give(part.index);
        if self.inputs.try_send(Input::Part(Arc::clone(part))).is_err() {
            metrics::counter!("throng_archive_dropped_parts_total").increment(1);
            return;
        }
        match keeps_up.then(|| self.appended.recv_timeout(APPEND_PATIENCE)) {
            Some(Ok(written)) => self.next = written.next(),
            Some(Err(_)) | None => {
                metrics::counter!("throng_archive_late_parts_total").increment(1);
            }
        }
    }

    /// Writes what waits, and ends; where the disk fails, when it is well again or the recording is given up.
    pub(crate) fn finish(self) {
        // A thread that is gone has nothing left to write.
        let _ = self.inputs.send(Input::Finish);
        if self.thread.join().is_err() {
            tracing::error!("the archive's thread panicked");
        }
    }
}

#[cfg(test)]
mod tests;
