//! Buffers from which the kernel takes one when something comes, so that who hears nothing holds none. Kernel and agent
//! share a ring of them.

use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};
use std::io;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::IoUring;
use io_uring::types::BufRingEntry;

/// One buffer: the longest span at the leanest rendition has 20 KB.
pub(super) const BUFFER_BYTES: usize = 32 << 10;
/// Buffers of a ring, few enough to stay in the processor's cache; when all are taken the rest is read at the next wait.
pub(super) const BUFFERS: u16 = 64;
/// The one group of them.
pub(super) const GROUP: u16 = 0;
/// The kernel wants the ring at the beginning of a page.
const PAGE_BYTES: usize = 4_096;

/// The buffers.
pub(super) struct Buffers {
    /// Neither is freed: the kernel may write to them as long as the ring is not quite gone, and a ring lives as long as
    /// its agent.
    entries: *mut BufRingEntry,
    bytes: *mut u8,
    tail: u16,
}

impl Buffers {
    /// All of them, given to the kernel.
    pub(super) fn new(ring: &IoUring) -> io::Result<Self> {
        let entries = zeroed(usize::from(BUFFERS) * size_of::<BufRingEntry>());
        let mut buffers = Self {
            entries: entries.cast(),
            bytes: zeroed(usize::from(BUFFERS) * BUFFER_BYTES),
            tail: 0,
        };
        // SAFETY: the memory is aligned to pages, long enough, and never freed.
        unsafe {
            ring.submitter()
                .register_buf_ring_with_flags(entries as u64, BUFFERS, GROUP, 0)?;
        }
        for buffer in 0..BUFFERS {
            buffers.give_back(buffer);
        }
        Ok(buffers)
    }

    /// Gives one to the kernel.
    pub(super) fn give_back(&mut self, buffer: u16) {
        let length = u32::try_from(BUFFER_BYTES).expect("a buffer is small");
        // SAFETY: the index is below the number of entries, of which those behind the tail are ours.
        let entry = unsafe { &mut *self.entries.add(usize::from(self.tail % BUFFERS)) };
        entry.set_addr(self.at(buffer) as u64);
        entry.set_len(length);
        entry.set_bid(buffer);
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the tail lies within the first entry, is aligned, and is written by nobody else.
        let tail = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(self.entries).cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }

    /// The bytes of a buffer that the kernel has given us.
    pub(super) fn bytes(&self, buffer: u16, length: usize) -> &[u8] {
        // SAFETY: the buffer is initialised and never freed, and the kernel does not write to one that it gave us.
        unsafe { std::slice::from_raw_parts(self.at(buffer), length.min(BUFFER_BYTES)) }
    }

    fn at(&self, buffer: u16) -> *mut u8 {
        assert!(
            buffer < BUFFERS,
            "the kernel names a buffer that we gave it"
        );
        // SAFETY: the number is below the count.
        unsafe { self.bytes.add(usize::from(buffer) * BUFFER_BYTES) }
    }
}

fn zeroed(bytes: usize) -> *mut u8 {
    let layout = Layout::from_size_align(bytes, PAGE_BYTES).expect("a small power of two");
    // SAFETY: the layout is not empty.
    let memory = unsafe { alloc_zeroed(layout) };
    if memory.is_null() {
        handle_alloc_error(layout);
    }
    memory
}
