//! The archive's thread: parts in, files out, for as long as it takes.
//!
//! What the disk refuses is tried again until it takes it; meanwhile parts wait. A row of them is flushed once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use throng_archive::{Archive, ArchiveError, BEHIND_PARTS_MAX, Flags};
use throng_core::timeline::PartIndex;
use throng_core::window::Part;
use throng_media::rendering::Silence;
use tokio::sync::oneshot;

use super::{Input, Keeping};

/// Parts between two syncs, 0.64 s: with the part in the making, a power cut loses less than a second.
const SYNC_EVERY_PARTS: u64 = 2;
/// Pause before a failed disk is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// The same where the recording could not be opened: trying it reads the whole journal.
const OPEN_RETRY_PAUSE: Duration = Duration::from_secs(2);

pub(super) struct Writer<O> {
    keeping: Keeping<O>,
    archive: Option<Archive>,
    /// Parts taken from the queue that are not in the archive yet, at most [`BEHIND_PARTS_MAX`].
    waiting: VecDeque<Arc<Part>>,
    appended: SyncSender<PartIndex>,
    /// The first part that may not be on the disk yet.
    synced: PartIndex,
    failing: bool,
}

impl<O: FnMut() -> Result<Archive, ArchiveError>> Writer<O> {
    pub(super) fn new(keeping: Keeping<O>, appended: SyncSender<PartIndex>) -> Self {
        Self {
            keeping,
            archive: None,
            waiting: VecDeque::new(),
            appended,
            synced: PartIndex(0),
            failing: false,
        }
    }

    pub(super) fn run(mut self, queue: &Receiver<Input>, tried: oneshot::Sender<()>) {
        let opened = self.open();
        // Who has stopped waiting goes on without what was recorded before.
        let _ = tried.send(());
        self.report(opened);
        let mut over = false;
        while !over || self.failing {
            // Before it is tried again: one that was removed meanwhile must not be made anew.
            if self.failing && self.keeping.standing.is_given_up() {
                tracing::error!("the disk never took the end of a recording; it is lost");
                return;
            }
            over = over || self.gather(queue);
            let written = self.write(over);
            self.report(written);
        }
    }

    fn open(&mut self) -> Result<(), ArchiveError> {
        if self.archive.is_none() {
            let archive = (self.keeping.open)()?;
            self.synced = archive.next();
            self.keeping.reader.open(archive.reader());
            self.archive = Some(archive);
        }
        Ok(())
    }

    /// Takes what waits in the queue, and says whether it was the last; waits only where there is nothing to do.
    fn gather(&mut self, queue: &Receiver<Input>) -> bool {
        while self.waiting.len() < BEHIND_PARTS_MAX {
            let idle = self.waiting.is_empty() && !self.failing;
            let input = if idle {
                queue.recv().ok()
            } else {
                match queue.try_recv() {
                    Err(TryRecvError::Empty) => return false,
                    input => input.ok(),
                }
            };
            match input {
                Some(Input::Part(part)) => self.waiting.push_back(part),
                Some(Input::Finish) | None => return true,
            }
        }
        false
    }

    fn write(&mut self, over: bool) -> Result<(), ArchiveError> {
        self.open()?;
        let archive = self.archive.as_mut().expect("it was opened just now");
        let is_row = self.waiting.len() > 1 || self.failing;
        while let Some(part) = self.waiting.front() {
            fill(archive, part.index, &self.keeping.silence)?;
            if archive.next() == part.index {
                if is_row {
                    archive.append_behind(part, unix_millis(), Flags::NONE)?;
                } else {
                    archive.append(part, unix_millis(), Flags::NONE)?;
                    // Whoever has stopped listening has stopped waiting.
                    let _ = self.appended.try_send(part.index);
                }
            }
            self.waiting.pop_front();
        }
        let next = archive.next();
        if is_row || over || next.0 >= self.synced.0 + SYNC_EVERY_PARTS {
            archive.sync()?;
            self.synced = next;
        }
        if is_row && next > PartIndex(0) {
            let _ = self.appended.try_send(PartIndex(next.0 - 1));
        }
        self.keeping.standing.keep(next);
        Ok(())
    }

    fn report(&mut self, written: Result<(), ArchiveError>) {
        match written {
            Ok(()) if self.failing => {
                self.failing = false;
                tracing::info!("the recording goes on; what is missing in it is marked as a gap");
            }
            Ok(()) => {}
            Err(error) => {
                metrics::counter!("throng_archive_errors_total").increment(1);
                self.keeping.standing.fail(&error);
                if !self.failing {
                    self.failing = true;
                    tracing::error!(%error, "the recording cannot be written; the live programme goes on");
                }
                thread::sleep(match self.archive {
                    Some(_) => RETRY_PAUSE,
                    None => OPEN_RETRY_PAUSE,
                });
            }
        }
    }
}

/// Silence, marked, for the parts that are missing before one.
fn fill(archive: &mut Archive, until: PartIndex, silence: &Silence) -> Result<(), ArchiveError> {
    while archive.next() < until {
        let missing = silence.part(archive.next());
        archive.append_behind(&missing, unix_millis(), Flags::GAP)?;
        metrics::counter!("throng_archive_gap_parts_total").increment(1);
    }
    Ok(())
}

fn unix_millis() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
