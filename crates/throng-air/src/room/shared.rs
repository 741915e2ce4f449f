//! Memory that the processes of a node share for their board: a file without a name, kept by the supervisor.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;
use std::{fmt, process, ptr, slice};

use aws_lc_rs::rand;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use serde::{Deserialize, Serialize};
use throng_core::admission::{Board, Cells};

const BYTES: usize = Board::CELLS * size_of::<AtomicU64>();

/// What seals the tickets of a queue and draws its lots.
#[derive(Clone, Copy, Deserialize, Serialize)]
pub struct QueueSecret([u8; 32]);

impl QueueSecret {
    /// A new one.
    ///
    /// # Panics
    ///
    /// If the system has no randomness to give.
    pub fn drawn() -> Self {
        let mut bytes = [0; 32];
        rand::fill(&mut bytes).expect("the system gives randomness");
        Self(bytes)
    }

    pub(super) fn bytes(self) -> [u8; 32] {
        self.0
    }
}

impl fmt::Debug for QueueSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QueueSecret")
    }
}

/// A board that other processes may share, as its keeper has it: it is there as long as this.
#[derive(Debug)]
pub struct SharedBoard {
    file: OwnedFd,
    board: Board,
}

impl SharedBoard {
    /// An empty one.
    pub fn create() -> io::Result<Self> {
        let file = memfd_create("throng-board", MemfdFlags::CLOEXEC)?;
        ftruncate(&file, BYTES as u64)?;
        let board = Board::over(Mapped::new(&file)?);
        Ok(Self { file, board })
    }

    /// One that a program before this kept.
    pub fn adopt(file: OwnedFd) -> io::Result<Self> {
        let file = File::from(file);
        let board = Board::over(mapped(&file)?);
        Ok(Self {
            file: file.into(),
            board,
        })
    }

    /// Where it lies, for a program that takes this one's place.
    pub fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// The board.
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// Where a process of the same user finds it.
    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", process::id(), self.file.as_raw_fd()).into()
    }
}

/// The board that another process keeps at this path.
pub fn open(path: &PathBuf) -> io::Result<Board> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    Ok(Board::over(mapped(&file)?))
}

/// A file that is a board of this layout.
fn mapped(file: &File) -> io::Result<Mapped> {
    if file.metadata()?.len() != BYTES as u64 {
        return Err(io::Error::other("another version keeps this board"));
    }
    Mapped::new(file)
}

/// The file, in memory.
struct Mapped(NonNull<AtomicU64>);

impl Mapped {
    #[expect(
        unsafe_code,
        reason = "memory is shared between processes by mapping it"
    )]
    fn new<F: AsFd>(file: &F) -> io::Result<Self> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the kernel chooses the place, so that nothing that is there is mapped over; the file is as long as the
        // mapping, and nobody can make it shorter without its descriptor, which only processes of this program have.
        let place = unsafe { mmap(ptr::null_mut(), BYTES, access, MapFlags::SHARED, file, 0) }?;
        NonNull::new(place.cast())
            .map(Self)
            .ok_or_else(|| io::Error::other("nothing was mapped"))
    }
}

// SAFETY: what lies there is atomic, and the mapping is valid in all threads until it is dropped.
#[expect(unsafe_code, reason = "a pointer to atomics may be shared")]
unsafe impl Send for Mapped {}
// SAFETY: as above.
#[expect(unsafe_code, reason = "a pointer to atomics may be shared")]
unsafe impl Sync for Mapped {}

impl Cells for Mapped {
    #[expect(unsafe_code, reason = "the mapping is read as what it holds")]
    fn cells(&self) -> &[AtomicU64] {
        // SAFETY: a mapping begins at a page, so that it is aligned; it is so long, zero at first, and every pattern of
        // bits is a number. It is only touched by atomic operations.
        unsafe { slice::from_raw_parts(self.0.as_ptr(), Board::CELLS) }
    }
}

impl Drop for Mapped {
    #[expect(unsafe_code, reason = "what was mapped is unmapped")]
    fn drop(&mut self) {
        // SAFETY: it was mapped with this length, and nobody borrows from it any more.
        let _ = unsafe { munmap(self.0.as_ptr().cast(), BYTES) };
    }
}

#[cfg(test)]
mod tests {
    use throng_core::admission::{Lane, Limits};
    use throng_core::ladder::Rung;
    use throng_core::rendition::Rendition;

    use super::*;

    #[test]
    fn two_who_open_a_board_see_the_same_numbers() {
        let kept = SharedBoard::create().unwrap();
        kept.board().limit(Limits {
            slots: Some(3),
            egress_bits: None,
        });
        let boards = [0, 1].map(|_| open(&kept.path()).unwrap());
        let entered = (0..4).filter(|turn| {
            let lane = Lane::new(turn % 2);
            if *turn < 2 {
                boards[turn % 2].begin(lane);
            }
            boards[turn % 2].enter(lane, Rendition::O48, Rung::default())
        });
        assert_eq!(entered.count(), 3);
        assert_eq!(kept.board().room(Rung::default()).held, 3);
    }

    #[test]
    fn what_is_no_board_is_not_opened() {
        let file = memfd_create("other", MemfdFlags::CLOEXEC).unwrap();
        let path = format!("/proc/self/fd/{}", file.as_raw_fd()).into();
        assert!(open(&path).is_err());
    }
}
