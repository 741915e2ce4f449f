//! Buffers from which the kernel takes one when a request head comes, so that who is silent holds none.

use io_uring::opcode::{ProvideBuffers, Recv};
use io_uring::squeue::{Entry, Flags};
use io_uring::types::Fixed;

use super::READ_MAX_BYTES;

/// Buffers of a ring, half a megabyte. A head is looked at as soon as it is there, and its buffer given back; when all are taken
/// at once the rest of a rush is read with the next wait.
const BUFFERS: u16 = 128;
/// The one group of them.
const GROUP: u16 = 0;

/// The buffers.
pub(super) struct Pool {
    /// Never freed: the kernel may write to them as long as the ring is not quite gone, and a ring lives as long as the
    /// process.
    buffers: *mut [u8; READ_MAX_BYTES],
}

// SAFETY: the pool is the only owner of the pointer.
unsafe impl Send for Pool {}

impl Pool {
    /// Buffers that are not provided yet.
    pub(super) fn new() -> Self {
        let buffers = vec![[0_u8; READ_MAX_BYTES]; usize::from(BUFFERS)];
        Self {
            buffers: Box::leak(buffers.into_boxed_slice()).as_mut_ptr(),
        }
    }

    /// Gives all of them to the kernel.
    pub(super) fn provide_all(&self) -> Entry {
        self.provided(0, BUFFERS)
    }

    /// Gives one back.
    pub(super) fn provide(&self, buffer: u16) -> Entry {
        self.provided(buffer, 1)
    }

    fn provided(&self, first: u16, count: u16) -> Entry {
        let length = i32::try_from(READ_MAX_BYTES).expect("a buffer is small");
        ProvideBuffers::new(self.at(first).cast(), length, count, GROUP, first).build()
    }

    /// A read into one of them.
    #[allow(clippy::unused_self, reason = "the buffers must be there")]
    pub(super) fn read(&self, socket: Fixed) -> Entry {
        let length = u32::try_from(READ_MAX_BYTES).expect("a buffer is small");
        let read = Recv::new(socket, std::ptr::null_mut(), length).buf_group(GROUP);
        read.build().flags(Flags::BUFFER_SELECT)
    }

    /// The bytes of a buffer that the kernel has given us.
    pub(super) fn bytes(&self, buffer: u16) -> &[u8; READ_MAX_BYTES] {
        // SAFETY: the buffer is initialised and never freed, and the kernel does not write to one that it gave us.
        unsafe { &*self.at(buffer) }
    }

    fn at(&self, buffer: u16) -> *mut [u8; READ_MAX_BYTES] {
        assert!(
            buffer < BUFFERS,
            "the kernel names a buffer that we gave it"
        );
        // SAFETY: the number is below the count.
        unsafe { self.buffers.add(buffer.into()) }
    }
}
