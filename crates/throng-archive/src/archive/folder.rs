//! The folder of a recording: its files are begun here, made to survive a power cut, and removed.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use throng_core::rendition::Rendition;

use crate::ArchiveError;
use crate::reader::{journal_path, media_path};
use crate::track;

/// Removes a recording: the files that this crate makes, by name, and their folder if nothing else lies in it. What is
/// not there counts as removed.
pub fn remove(dir: &Path) -> Result<(), ArchiveError> {
    // Without its journal the folder is no recording, so a removal cut short never leaves half of one.
    let media = Rendition::ALL
        .into_iter()
        .map(|rendition| media_path(dir, rendition));
    for path in [journal_path(dir), new_journal_path(dir)]
        .into_iter()
        .chain(media)
    {
        absent_is_fine(fs::remove_file(&path)).map_err(ArchiveError::disk("remove", path))?;
    }
    for path in track::files(dir) {
        absent_is_fine(fs::remove_file(&path)).map_err(ArchiveError::disk("remove", path))?;
    }
    remove_if_empty(&track::folder(dir))?;
    remove_if_empty(dir)
}

fn remove_if_empty(dir: &Path) -> Result<(), ArchiveError> {
    match fs::remove_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        other => absent_is_fine(other).map_err(ArchiveError::disk("remove", dir)),
    }
}

fn absent_is_fine(removal: io::Result<()>) -> io::Result<()> {
    removal.or_else(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            Ok(())
        } else {
            Err(error)
        }
    })
}

/// What a creation cut short leaves may be overwritten; sound without its journal may not.
pub(super) fn refuse_to_overwrite(path: &Path, init: &Bytes) -> Result<(), ArchiveError> {
    if fs::metadata(path).is_ok_and(|found| found.len() > init.len() as u64) {
        return Err(ArchiveError::Damaged {
            path: path.to_owned(),
            what: "its journal is missing".to_owned(),
        });
    }
    Ok(())
}

pub(super) fn write_anew(path: &Path, bytes: &[u8]) -> Result<File, ArchiveError> {
    let mut options = OpenOptions::new();
    let file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path);
    let write = |file: File| {
        io::Write::write_all(&mut &file, bytes)
            .and_then(|()| file.sync_all())
            .map(|()| file)
    };
    file.and_then(write)
        .map_err(ArchiveError::disk("create", path))
}

/// Makes the names in a folder, and its own name, survive a power cut.
pub(crate) fn flush_folder(dir: &Path) -> Result<(), ArchiveError> {
    let folders = dir
        .ancestors()
        .take(2)
        .filter(|folder| !folder.as_os_str().is_empty());
    for folder in folders {
        let flushed = File::open(folder).and_then(|folder| folder.sync_all());
        flushed.map_err(ArchiveError::disk("flush", folder))?;
    }
    Ok(())
}

pub(super) fn new_journal_path(dir: &Path) -> PathBuf {
    dir.join("journal.new")
}
