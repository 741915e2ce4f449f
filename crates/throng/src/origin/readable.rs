//! The archive of a space while it may be read: opened once, and closed when its recording is deleted.
//!
//! A file that somebody holds open takes its room on the disk although it has no name any more, so that deleting means
//! closing, too. Who reads at that moment reads to the end of what he asked for.

use std::sync::{Arc, PoisonError, RwLock};

use throng_archive::Reader;

/// Where the readers of a space find its archive.
#[derive(Clone, Default)]
pub(crate) struct Readable(Arc<RwLock<Option<Reader>>>);

impl Readable {
    /// The archive, if it is open.
    pub(crate) fn get(&self) -> Option<Reader> {
        let reader = self.0.read().unwrap_or_else(PoisonError::into_inner);
        reader.clone()
    }

    /// It can be read from now on. A reader that is there already is of the same files.
    pub(crate) fn open(&self, reader: Reader) {
        let mut place = self.0.write().unwrap_or_else(PoisonError::into_inner);
        place.get_or_insert(reader);
    }

    /// It is gone.
    pub(crate) fn close(&self) {
        let mut place = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *place = None;
    }
}
