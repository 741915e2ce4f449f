//! A whole node on loopback: the desk's API, the life of a space, pages, the store.

#![allow(
    clippy::unwrap_used,
    reason = "tests panic where their world is not as they made it"
)]

#[allow(dead_code, reason = "another crate's tests use the rest")]
#[path = "../../../throng-air/tests/air/wire.rs"]
mod wire;

mod craft;
mod desk;
mod hand;
mod house;
mod keeping;
mod ladder;
mod life;
mod outbox;
mod pages;
mod rehearsal;
mod roles;
mod secrets;
mod store;
mod tls;
mod told;
mod webrtc;
mod wires;
