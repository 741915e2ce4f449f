//! What a shard knows of one connection. A listener has a socket, a place in the programme, and this; nothing else.

use throng_core::rendition::Rendition;

use super::cursor::Cursor;
use super::seat::SeatIndex;
use crate::format::Format;

/// One connection, or none.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Slot {
    /// Nobody.
    Empty,
    /// Nothing more will be sent; the peer may finish reading.
    Lingering {
        /// When it is closed all the same.
        until_ms: u64,
    },
    /// A listener.
    Listening(Listener),
    /// On its way to the ordinary server.
    Releasing,
    /// It has not said what it wants, or not all of it.
    Undecided {
        /// When it is closed.
        until_ms: u64,
        /// Whether it has said something.
        has_spoken: bool,
    },
    /// It wants a programme that is being made ready.
    Waiting(Waiting),
}

/// Somebody who will join.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    /// The space.
    pub(crate) seat: SeatIndex,
    /// What he asked for.
    pub(crate) format: Format,
    /// What he asked for.
    pub(crate) rendition: Rendition,
    /// When he is told to come again.
    pub(crate) until_ms: u64,
}

/// Somebody who listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listener {
    /// His place in the programme.
    pub(crate) cursor: Cursor,
    /// The space.
    pub(crate) seat: SeatIndex,
    /// Whether the end was sent.
    pub(crate) is_ending: bool,
    /// Whether something did not fit, and waits.
    pub(crate) is_blocked: bool,
    /// When he last got audio.
    pub(crate) heard_ms: u64,
}

/// A million listeners are 64 MB at most, and a slot is one line of the processor's cache.
const _: () = assert!(size_of::<Slot>() <= 64);
