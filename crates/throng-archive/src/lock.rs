//! One process owns a data folder: a file that the kernel locks for as long as its owner lives.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// The folder is this process's own until the lock is dropped, or the process ends in whatever way.
#[derive(Debug)]
pub struct DataLock {
    _file: File,
}

/// Why the folder cannot be owned.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error(
        "the data folder {} is in use by {}: stop it first, or give this one another folder with --data",
        .path.display(),
        .holder.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
    )]
    Held {
        /// The data folder.
        path: PathBuf,
        /// The process that wrote its number into the lock.
        holder: Option<u32>,
    },
    /// The lock file cannot be made or written.
    #[error("cannot lock the data folder {}: {source}", .path.display())]
    Refused {
        /// The data folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl DataLock {
    /// Takes the folder, which must exist.
    pub fn acquire(data_dir: &Path) -> Result<Self, LockError> {
        Self::acquire_for(data_dir, std::process::id())
    }

    /// The same, in the name of another process: the one that has to be stopped for the folder to be free.
    pub fn acquire_for(data_dir: &Path, holder: u32) -> Result<Self, LockError> {
        let refused = |source| LockError::Refused {
            path: data_dir.to_owned(),
            source,
        };
        let path = data_dir.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(refused)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(LockError::Held {
                    path: data_dir.to_owned(),
                    holder: written(&path),
                });
            }
            Err(errno) => return Err(refused(errno.into())),
        }
        // The file stays when the lock goes: a file removed and made anew could be locked twice.
        file.set_len(0).map_err(refused)?;
        writeln!(file, "{holder}").map_err(refused)?;
        Ok(Self { _file: file })
    }

    /// Who has the folder; nobody, too, where he left no number. A node that starts in the moment of asking finds it
    /// taken.
    pub fn holder(data_dir: &Path) -> Option<u32> {
        let path = data_dir.join("lock");
        let file = File::open(&path).ok()?;
        let looked = flock(&file, FlockOperation::NonBlockingLockShared);
        (looked == Err(rustix::io::Errno::WOULDBLOCK)).then(|| written(&path))?
    }
}

/// The process that wrote its number into the lock.
fn written(path: &Path) -> Option<u32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_in_use_names_its_holder_and_is_free_once_the_lock_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let lock = DataLock::acquire(dir.path()).unwrap();
        let error = DataLock::acquire(dir.path()).unwrap_err();
        assert!(
            matches!(error, LockError::Held { holder: Some(pid), .. } if pid == std::process::id())
        );
        assert!(error.to_string().contains("--data"), "{error}");
        drop(lock);
        DataLock::acquire(dir.path()).unwrap();
    }

    #[test]
    fn who_has_a_folder_is_asked_without_taking_it() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(DataLock::holder(dir.path()), None);
        let lock = DataLock::acquire_for(dir.path(), 7).unwrap();
        assert_eq!(DataLock::holder(dir.path()), Some(7));
        assert_eq!(
            DataLock::holder(dir.path()),
            Some(7),
            "a look takes nothing"
        );
        drop(lock);
        assert_eq!(DataLock::holder(dir.path()), None);
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = DataLock::acquire(&dir.path().join("nowhere")).unwrap_err();
        assert!(error.to_string().contains("nowhere"), "{error}");
    }
}
