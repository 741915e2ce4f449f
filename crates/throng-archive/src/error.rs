//! What can go wrong with a recording, with enough in hand to act upon.

use std::io;
use std::path::PathBuf;

use throng_core::rendition::Rendition;
use throng_core::timeline::PartIndex;

/// Why a recording could not be begun, continued or read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The disk refused. After a refused append the archive may be tried again: it mends itself first.
    #[error("cannot {doing} {}: {source}", .path.display())]
    Disk {
        /// What was tried, as a verb.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is a recording already; it is opened, never begun again.
    #[error("{} already holds a recording", .0.display())]
    Exists(PathBuf),
    /// There is no recording in the folder.
    #[error("{} holds no recording", .0.display())]
    Missing(PathBuf),
    /// The folder was written by a program that laid it out in another way.
    #[error(
        "{} is a recording of format {found}, this program reads format {}: open it with the version of Throng that \
         wrote it",
        .path.display(),
        crate::JOURNAL_VERSION
    )]
    OtherVersion {
        /// The journal.
        path: PathBuf,
        /// The format that it names.
        found: u32,
    },
    /// The files contradict each other by more than a crash explains. Nothing was changed.
    #[error(
        "the recording {} is damaged ({what}), more than a crash explains; nothing was changed: restore the folder \
         from a copy, or move it away to begin a new recording",
        .path.display()
    )]
    Damaged {
        /// The file at fault.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The recording was begun with other codec settings, so new parts would not play after the old ones.
    #[error(
        "the recording of {0} was begun with other codec settings and cannot be continued with these"
    )]
    OtherInit(Rendition),
    /// A part that does not follow the last one. Lost time is filled with silence by the caller.
    #[error("part {offered} does not follow: the recording goes on with part {expected}")]
    NotNext {
        /// What follows.
        expected: PartIndex,
        /// What came.
        offered: PartIndex,
    },
    /// Parts were asked for as a recording that the archive does not hold.
    #[error("parts {from} to {to} are not in the recording, which holds {first} to {next}")]
    NotHeld {
        /// The first part asked for.
        from: PartIndex,
        /// The part after the last one asked for.
        to: PartIndex,
        /// The first part held.
        first: PartIndex,
        /// The part after the last one held.
        next: PartIndex,
    },
    /// Bytes that are not the MP4 which Throng writes.
    #[error("{rendition}: {source}")]
    Malformed {
        /// In which rendition.
        rendition: Rendition,
        /// Where and how.
        source: Malformed,
    },
}

impl ArchiveError {
    /// Puts a name to what the system refused.
    pub(crate) fn disk(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Disk {
            doing,
            path,
            source,
        }
    }
}

/// MP4 that is not as Throng writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed MP4: {expected} expected at byte {at}")]
pub struct Malformed {
    /// What should have been there.
    pub expected: &'static str,
    /// Where.
    pub at: usize,
}
