//! The archive's thread: parts in, files out. Nothing waits for it.
//!
//! When the disk is slower than the programme, parts queue up; when the queue is full they are dropped here and the
//! gap is filled with silence and marked, because the archive's parts follow one another without holes.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{io, thread};

use throng_archive::{Archive, ArchiveError, Flags};
use throng_core::timeline::PartIndex;
use throng_core::window::Part;
use throng_media::rendering::Silence;

/// Parts that wait for the disk, 32 s: a disk that stalls longer has lost them from the recording, and only there.
const QUEUE_PARTS: usize = 100;
/// Parts between two syncs, 0.64 s: with the part in the making, a power cut loses less than a second.
const SYNC_EVERY_PARTS: u64 = 2;
/// Pause before a failed disk is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

enum Input {
    Part(Arc<Part>),
    Finish,
}

/// The recording of one space.
pub(crate) struct Recording {
    inputs: SyncSender<Input>,
    thread: JoinHandle<()>,
}

impl Recording {
    /// Starts the thread over an open archive.
    pub(crate) fn start(archive: Archive, silence: Arc<Silence>) -> io::Result<Self> {
        let (inputs, queue) = sync_channel(QUEUE_PARTS);
        let synced = archive.next();
        let thread = thread::Builder::new()
            .name("archive".to_owned())
            .spawn(move || {
                Writer {
                    archive,
                    silence,
                    synced,
                    failing: false,
                }
                .run(&queue);
            })?;
        Ok(Self { inputs, thread })
    }

    /// A door for the encoder's thread; never blocks.
    pub(crate) fn writer(&self) -> impl FnMut(Arc<Part>) + Send + 'static {
        let inputs = self.inputs.clone();
        move |part| {
            if let Err(TrySendError::Full(_)) = inputs.try_send(Input::Part(part)) {
                metrics::counter!("throng_archive_dropped_parts_total").increment(1);
            }
        }
    }

    /// Writes what waits, and ends.
    pub(crate) fn finish(self) {
        // A thread that is gone has nothing left to write.
        let _ = self.inputs.send(Input::Finish);
        if self.thread.join().is_err() {
            tracing::error!("the archive's thread panicked");
        }
    }
}

struct Writer {
    archive: Archive,
    silence: Arc<Silence>,
    /// The first part that may not be on the disk yet.
    synced: PartIndex,
    failing: bool,
}

impl Writer {
    fn run(mut self, queue: &Receiver<Input>) {
        while let Ok(Input::Part(part)) = queue.recv() {
            let written = self.append(&part);
            self.report(written);
        }
        let synced = self.sync();
        self.report(synced);
    }

    /// Appends a part, and silence for those that are missing before it.
    fn append(&mut self, part: &Part) -> Result<(), ArchiveError> {
        while self.archive.next() < part.index {
            let missing = self.silence.part(self.archive.next());
            self.archive.append(&missing, unix_millis(), Flags::GAP)?;
        }
        if self.archive.next() == part.index {
            self.archive.append(part, unix_millis(), Flags::NONE)?;
        }
        if self.archive.next().0 >= self.synced.0 + SYNC_EVERY_PARTS {
            self.sync()?;
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), ArchiveError> {
        self.archive.sync()?;
        self.synced = self.archive.next();
        Ok(())
    }

    fn report(&mut self, written: Result<(), ArchiveError>) {
        match written {
            Ok(()) if self.failing => {
                self.failing = false;
                tracing::info!("the archive is written again; the gap is marked");
            }
            Ok(()) => {}
            Err(error) => {
                metrics::counter!("throng_archive_errors_total").increment(1);
                if !self.failing {
                    self.failing = true;
                    tracing::error!(%error, "the archive cannot be written; the live programme goes on");
                }
                thread::sleep(RETRY_PAUSE);
            }
        }
    }
}

fn unix_millis() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
