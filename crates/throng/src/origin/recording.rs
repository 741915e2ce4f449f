//! The archive's thread: parts in, files out.
//!
//! A part is in the recording before anybody hears it, so that what its name stands for is the same after a crash. But
//! sound never waits for a disk that is slow: a part that is not written within [`APPEND_PATIENCE`] goes on air all the
//! same, and so does each one after it until the disk has caught up. Parts queue up meanwhile; when the queue is full
//! they are dropped here and the gap is filled with silence and marked, because the archive's parts follow one another
//! without holes.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
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
/// How long a part waits to be written before it goes on air without: a third of its length, so that the encoder keeps
/// up. Writing takes well under a millisecond where the disk is not stuck.
const APPEND_PATIENCE: Duration = Duration::from_millis(100);
/// Pause before a failed disk is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

enum Input {
    Part(Arc<Part>),
    Finish,
}

/// The recording of one space.
pub(crate) struct Recording {
    inputs: SyncSender<Input>,
    appended: Receiver<PartIndex>,
    /// The first part that is not known to be in the recording.
    next: PartIndex,
    thread: JoinHandle<()>,
}

impl Recording {
    /// Starts the thread over an open archive.
    pub(crate) fn start(archive: Archive, silence: Arc<Silence>) -> io::Result<Self> {
        let (inputs, queue) = sync_channel(QUEUE_PARTS);
        let (report, appended) = sync_channel(QUEUE_PARTS);
        let next = archive.next();
        let thread = thread::Builder::new()
            .name("archive".to_owned())
            .spawn(move || {
                Writer {
                    archive,
                    silence,
                    appended: report,
                    synced: next,
                    failing: false,
                }
                .run(&queue);
            })?;
        Ok(Self {
            inputs,
            appended,
            next,
            thread,
        })
    }

    /// Takes a part, and returns when it is written, or when the disk is too slow to wait for.
    pub(crate) fn append(&mut self, part: &Arc<Part>) {
        while let Ok(written) = self.appended.try_recv() {
            self.next = written.next();
        }
        let keeps_up = self.next == part.index;
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
    appended: SyncSender<PartIndex>,
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
            // Whoever has stopped listening has stopped waiting.
            let _ = self.appended.try_send(part.index);
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

#[cfg(test)]
mod tests {
    use throng_archive::Reader;
    use throng_core::rendition::Rendition;
    use throng_media::package;

    use super::*;

    #[test]
    fn a_part_is_in_the_recording_before_it_goes_on_air() {
        let folder = tempfile::tempdir().unwrap();
        let inits = Rendition::ALL.map(|rendition| package::init(rendition, None));
        let archive = Archive::create(folder.path(), PartIndex(12), &inits).unwrap();
        let reader: Reader = archive.reader();
        let silence = Arc::new(Silence::new());
        let mut recording = Recording::start(archive, Arc::clone(&silence)).unwrap();
        for index in (12..40).map(PartIndex) {
            recording.append(&Arc::new(silence.part(index)));
            assert_eq!(reader.next(), index.next());
        }
        recording.append(&Arc::new(silence.part(PartIndex(42))));
        recording.finish();
        assert_eq!(reader.next(), PartIndex(43), "what was missing is silence");
        let flags = |part| reader.record(PartIndex(part)).unwrap().unwrap().flags;
        assert_eq!([flags(40), flags(42)], [Flags::GAP, Flags::NONE]);
    }
}
