//! Admission: who is let in now, who waits, and in which order.
//!
//! Four limits stand apart: listeners held and egress (here, on the [`Board`]), joins in flight ([`Flow`]), and TLS
//! handshakes in flight (where they are made). Whoever is in stays in, and whoever was in comes back in; a newcomer who
//! finds the house full is given a [`Ticket`] and asks again. Nothing is kept for those who wait but two numbers: how
//! many tickets were given, and how far the queue has come.
//!
//! Time, chance and secrets are arguments. The cells of the board are atomic numbers, so that the processes of a node
//! share one queue without a lock that a dying process could keep.

mod board;
mod draw;
mod flow;
mod gate;
mod lease;
mod queue;
mod sticky;
mod ticket;

pub use self::board::{Board, Cells, Lane, Limits, Room, wire_bits};
pub use self::draw::{Chances, RETRY_AFTER_S};
pub use self::flow::{Flow, Share};
pub use self::lease::{Followed, Playlist};
pub use self::queue::{
    Asking, Call, Entered, LastQueue, Progress, Reason, Standing, Verdict, Wait,
};
pub use self::sticky::Remembered;
pub use self::ticket::{Signer, Ticket};

#[cfg(test)]
mod tests;
