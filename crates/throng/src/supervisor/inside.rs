//! Who is inside, on disk: after a crash of the whole node its listeners come back before newcomers.
//!
//! A thread of its own writes it every few seconds, so that a slow disk keeps nobody waiting; what cannot be written is
//! forgotten. There are no names in it: hashes of the numbers that players make up for each visit.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use throng_air::room::{self, shared};
use throng_core::admission::Board;

const FILE: &str = "inside";
/// What is written while the next is not whole yet.
const NEXT: &str = "inside.next";
/// The first bytes of the file: what follows are numbers of eight bytes.
const FORMAT: &[u8; 8] = b"inside 1";
/// Who comes in within so long before a crash is a newcomer after it. At 200,000 listeners a file has 1.6 MB.
const EVERY: Duration = Duration::from_secs(5);
/// As long as somebody is remembered who has gone; an older file is of another evening.
const AGE_MAX: Duration = Duration::from_mins(10);
/// More than a board remembers is not of ours.
const BYTES_MAX: u64 = (Board::CELLS * 8) as u64;

/// Tells an empty board who was inside when the node before this one ended, if that was lately.
pub(super) fn recall(data: &Path, board: &Board) {
    match read(&data.join(FILE)) {
        Ok(remembered) => {
            tracing::info!(
                remembered = remembered.len(),
                "listeners of before may come back first"
            );
            room::recall(board, &remembered);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(%error, "nobody knows who was inside before"),
    }
}

/// Writes down who is inside on this board, from now on.
pub(super) fn keep(data: &Path, board: &PathBuf) -> io::Result<()> {
    let (data, board) = (data.to_owned(), shared::open(board)?);
    let write_on = move || {
        let mut was_written = true;
        loop {
            thread::sleep(EVERY);
            let written = write(&data, &room::remembered(&board));
            if let Err(error) = &written
                && was_written
            {
                tracing::warn!(%error, "who is inside cannot be written down");
            }
            was_written = written.is_ok();
        }
    };
    let thread = thread::Builder::new().name("inside".to_owned());
    thread.spawn(write_on).map(drop)
}

fn read(path: &Path) -> io::Result<Vec<u64>> {
    let file = File::open(path)?;
    let written = file.metadata()?.modified()?;
    let age = SystemTime::now().duration_since(written);
    if age.is_ok_and(|age| age > AGE_MAX) {
        return Err(io::ErrorKind::NotFound.into());
    }
    let mut bytes = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut bytes)?;
    let numbers = bytes.strip_prefix(FORMAT).map(<[u8]>::as_chunks);
    match numbers {
        Some((numbers, [])) => Ok(numbers
            .iter()
            .map(|eight| u64::from_le_bytes(*eight))
            .collect()),
        _ => Err(io::Error::other("it is not of this version, or damaged")),
    }
}

fn write(data: &Path, remembered: &[u64]) -> io::Result<()> {
    let mut bytes = FORMAT.to_vec();
    bytes.extend(remembered.iter().flat_map(|number| number.to_le_bytes()));
    let next = data.join(NEXT);
    fs::write(&next, bytes)?;
    fs::rename(next, data.join(FILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_anything_else_is_not() {
        let data = tempfile::tempdir().unwrap();
        let path = data.path().join(FILE);
        assert_eq!(read(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        write(data.path(), &[1, u64::MAX]).unwrap();
        assert_eq!(read(&path).unwrap(), [1, u64::MAX]);
        let whole = fs::read(&path).unwrap();
        for cut in [0, 7, 9, whole.len() - 1] {
            fs::write(&path, &whole[..cut]).unwrap();
            assert!(read(&path).is_err(), "{cut} bytes");
        }
    }

    #[test]
    fn another_evening_is_forgotten() {
        let data = tempfile::tempdir().unwrap();
        write(data.path(), &[1]).unwrap();
        let long_ago = SystemTime::now() - AGE_MAX - Duration::from_secs(1);
        let path = data.path().join(FILE);
        File::open(&path).unwrap().set_modified(long_ago).unwrap();
        assert_eq!(read(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
