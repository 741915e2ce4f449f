//! The three things that a recording asks of a disk when it writes, so that tests can refuse them.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::ArchiveError;

/// A file as a writer sees it.
pub(crate) trait Disk: Send + std::fmt::Debug {
    /// Writes all of the bytes at an offset.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Returns once all that was written is on the disk.
    fn sync(&self) -> io::Result<()>;
    /// Cuts the file at a length.
    fn truncate(&self, len: u64) -> io::Result<()>;
}

impl Disk for Arc<File> {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }
}

/// A [`Disk`] with its name, for errors that say which file.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) path: PathBuf,
    pub(crate) disk: Box<dyn Disk>,
}

impl Output {
    pub(crate) fn write_at(&self, bytes: &[u8], offset: u64) -> Result<(), ArchiveError> {
        self.disk
            .write_at(bytes, offset)
            .map_err(ArchiveError::disk("write", &self.path))
    }

    pub(crate) fn sync(&self) -> Result<(), ArchiveError> {
        self.disk
            .sync()
            .map_err(ArchiveError::disk("flush", &self.path))
    }

    pub(crate) fn truncate(&self, len: u64) -> Result<(), ArchiveError> {
        self.disk
            .truncate(len)
            .map_err(ArchiveError::disk("truncate", &self.path))
    }
}
