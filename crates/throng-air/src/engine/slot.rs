//! What a shard knows of one connection. A listener has a socket, a place in the programme, and this; nothing else.

use std::num::NonZeroU64;

use throng_core::rendition::Rendition;

use super::cursor::Cursor;
use super::head::Manner;
use super::seat::SeatIndex;
use crate::format::Format;
use crate::hls::Ask;
use crate::ledger::Door;
use crate::presence::Player;
use crate::room::{Papers, Taken};

/// One connection, or none.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Slot {
    /// It is being answered.
    Answering {
        /// When it is closed, should the answer not be taken.
        until_ms: u64,
        /// Whether more may be asked then.
        keeps: bool,
        /// The account in which its end is to be noted; none for a refusal, of which nothing is owed.
        door: Option<Door>,
    },
    /// Nobody.
    Empty,
    /// Its answer is not there yet.
    Holding(Holding),
    /// Nothing more will be sent; the peer may finish reading.
    Lingering {
        /// When it is closed all the same.
        until_ms: u64,
        /// How much more it may say.
        reads_left: u8,
    },
    /// A listener.
    Listening(Listener),
    /// On its way to the ordinary server.
    Releasing,
    /// It has not said what it wants, or not all of it.
    Undecided {
        /// When it is closed.
        until_ms: u64,
        /// What it has said.
        said: Said,
    },
    /// It wants a programme that is being made ready.
    Waiting(Waiting),
}

/// What a connection has said of which nobody knows what it wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// Nothing since it was answered.
    Enough,
    /// Nothing at all.
    Nothing,
    /// Part of a head.
    Part,
}

/// Somebody who waits for a part, or for what names it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holding {
    /// The space.
    pub(crate) seat: SeatIndex,
    /// What he asked for.
    pub(crate) ask: Ask,
    /// Who he is.
    pub(crate) player: Player,
    /// How he is to be answered.
    pub(crate) manner: Manner,
    /// Whether the window was filled when it was last looked at.
    pub(crate) is_filled: bool,
    /// When he is told to come again.
    pub(crate) until_ms: u64,
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
    /// Whether he may be sent to another house.
    pub(crate) is_plain: bool,
    /// What he says of himself.
    pub(crate) papers: Papers,
    /// The part for which he waits, if he was elsewhere before; who waits for the first of all has heard nothing.
    pub(crate) from: Option<NonZeroU64>,
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
    /// His place in the house.
    pub(crate) taken: Taken,
    /// Whether the end was sent.
    pub(crate) is_ending: bool,
    /// Whether something did not fit, and waits.
    pub(crate) is_blocked: bool,
    /// When he last got audio.
    pub(crate) heard_ms: u64,
}

/// A million listeners are 64 MB at most, and a slot is one line of the processor's cache.
const _: () = assert!(size_of::<Slot>() <= 64);
