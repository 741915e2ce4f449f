//! The synthetic crowd: many listeners who do what a player does, check what they get, and say what a server can hold.
//!
//! The parts that decide are pure (time in microseconds, bytes and chance are arguments): [`arrival`], [`mix`],
//! [`retry`], [`listener`] with [`answer`], [`stream`], [`playback`] and [`hls`], then [`verdict`], [`certificate`],
//! [`plan`], [`words`] and [`page`]. Thin shells act: [`agent`] is one process with one loop, over `io_uring` or epoll, and a
//! slot per listener, [`crowd`] starts as many agents as are of use and adds up what they report, [`away`] has them work on
//! other machines, [`netns`] in network namespaces, [`host`] reads `/proc`. Non-goals: decoding: kept streams are decoded
//! by whoever has codecs.

pub mod agent;
pub mod answer;
pub mod arrival;
pub mod away;
pub mod certificate;
pub mod chance;
pub mod crowd;
pub mod histogram;
pub mod hls;
pub mod host;
pub mod listener;
pub mod mix;
pub mod netns;
pub mod orders;
pub mod page;
pub mod plan;
pub mod playback;
pub mod retry;
pub mod stream;
pub mod tally;
pub mod verdict;
pub mod words;

/// Microseconds of a second: all times here are microseconds of one monotonic clock.
pub const SECOND_US: u64 = 1_000_000;
