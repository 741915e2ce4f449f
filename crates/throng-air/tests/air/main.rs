//! Air over real sockets: what is on the wire, and when.

#![allow(
    clippy::unwrap_used,
    reason = "tests panic where their world is not as they made it"
)]

mod accept;
mod bad_input;
mod engine;
mod hls;
mod hold_file;
mod house;
mod ledger;
mod playlists;
mod progressive;
mod recording;
mod seal;
mod state;
mod tls;
mod wire;
