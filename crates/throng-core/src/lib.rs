//! What Throng decides, without IO, clock or chance: the life of a space, its keys, the programme's timeline,
//! the window of parts and the playlists over it.
//!
//! Time, bytes and randomness come in as arguments; effects go out as returned values. The crate builds for wasm32,
//! and its `clippy.toml` bans clocks, threads, hash maps and locks.

pub mod address;
pub mod admission;
pub mod at_desk;
pub mod caching;
pub mod dates;
pub mod hex;
pub mod key;
pub mod ladder;
pub mod network;
pub mod playlist;
pub mod rate;
pub mod rendition;
pub mod ring;
pub mod slug;
pub mod space;
pub mod time;
pub mod timeline;
pub mod turns;
pub mod webhook;
pub mod window;
