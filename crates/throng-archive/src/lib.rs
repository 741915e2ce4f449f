//! The recording: what went on air, kept part by part in append-only files that any player opens at every moment.
//!
//! A space's folder holds one fragmented MP4 per rendition and a [`journal`](Record) that says which part lies where,
//! when it was made and what its bytes hash to. One thread owns the [`Archive`] and appends; any number of threads
//! read through [`Reader`] without locks; [`Recording`] shows go-live to end as one file from time 0, made as it is
//! read. Everything is synchronous and positional: nothing here knows the network, the codecs or the clock.
//!
//! **What survives.** A part that can be read is in the page cache: `kill -9` loses none of them. At most
//! [`UNSYNCED_PARTS_MAX`] of them (0.96 s) are not yet on the disk: a power cut loses no more. A flush that failed counts
//! for nothing: what it was to flush is written anew from memory, and after a kill from what was verified. Recovery
//! drops only what such an end explains, from the tail; damage farther back is refused and nothing is touched.

mod archive;
#[cfg(test)]
mod day;
mod disk;
mod error;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod journal;
mod lock;
mod mp4;
mod reader;
mod recording;
mod recovery;
#[cfg(test)]
mod sample;
mod track;

pub use archive::{Archive, BEHIND_PARTS_MAX, PART_BYTES_MAX, UNSYNCED_PARTS_MAX, remove};
pub use error::{ArchiveError, Malformed};
pub use journal::{Extent, Flags, JOURNAL_VERSION, Record};
pub use lock::{DataLock, LockError};
pub use reader::Reader;
pub use recording::{READ_BYTES_MAX, REFERENCES_MAX, Recording};
pub use recovery::{CRASH_REACH_PARTS, Recovery};
pub use track::{TRACK_UNSYNCED_PARTS_MAX, TrackFile, TrackReader, tracks_kept};
