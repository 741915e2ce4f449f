//! What a feed says: the messages in both directions, and how each is written.

mod down;
mod ladder;
mod ledger;
mod space;
#[cfg(test)]
mod tests;
mod up;

pub use down::Down;
pub use up::{Asked, Hello, Here, Present, Report, Second, Up};
