//! How a recording stands against the programme, and what its host is told when it does not keep up.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use throng_archive::ArchiveError;
use throng_core::space::Space;
use throng_core::timeline::PartIndex;

use crate::alarm::Alarm;

/// The recording may be so far behind the programme before the host is told, 2.56 s: more than a flush takes on a busy
/// machine. With the parts that a disk takes before it sticks (0.96 s), and a second until the studio looks again, it is
/// told within 5 s.
const BEHIND_PARTS_MAX: u64 = 8;

/// The place of the recording beside that of the programme; written by the encoder and the archive, read by the desk.
#[derive(Default)]
pub(crate) struct Standing {
    /// The first part that was not given yet.
    given: AtomicU64,
    /// The first part that is not kept yet.
    kept: AtomicU64,
    trouble: Mutex<Option<&'static str>>,
    given_up: AtomicBool,
}

impl Standing {
    /// Nothing is given yet, and nothing missing, before a part.
    pub(super) fn begin(&self, first: PartIndex) {
        self.kept.store(first.0, Ordering::Relaxed);
        self.given.store(first.0, Ordering::Relaxed);
    }

    pub(super) fn give(&self, part: PartIndex) {
        self.given.store(part.next().0, Ordering::Relaxed);
    }

    /// All before a part can be read, and the disk is well as far as anybody knows.
    pub(super) fn keep(&self, next: PartIndex) {
        self.kept.fetch_max(next.0, Ordering::Relaxed);
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) fn fail(&self, error: &ArchiveError) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(words(error));
    }

    /// Nobody waits for the recording any more: what a failing disk did not take is lost.
    pub(crate) fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }

    /// What the host of the space must know of its recording.
    pub(crate) fn alarm(&self, space: &Space) -> Option<Alarm> {
        let trouble = *self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = PartIndex(self.kept.load(Ordering::Relaxed));
        let behind = self.given.load(Ordering::Relaxed).saturating_sub(kept.0);
        let why = match trouble {
            Some(why) => why,
            None if behind > BEHIND_PARTS_MAX => SLOW,
            None => return None,
        };
        Some(Alarm {
            kind: "recording",
            title: "The recording does not keep up.",
            detail: format!(
                "{why} Listeners hear everything. The recording goes on by itself when the disk is well again; what is \
                 missing of more than a minute and a half becomes silence in it, marked as a gap."
            ),
            since: space.moment(kept),
        })
    }
}

const SLOW: &str = "The disk of the server is slow or stuck. Ask its operator to look.";

/// What the error means to somebody who runs an event.
fn words(error: &ArchiveError) -> &'static str {
    let ArchiveError::Disk { source, .. } = error else {
        return "The recording that lies on the server cannot be continued. Ask its operator: the log says why.";
    };
    match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "The disk of the server is full. Ask its operator to make room."
        }
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => {
            "The disk of the server takes no writes. Ask its operator to look."
        }
        _ => "The disk of the server fails. Ask its operator to look.",
    }
}
