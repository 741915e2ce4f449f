//! The program's library: what the binary, its commands and their tests share.

pub mod client;
