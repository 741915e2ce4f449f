//! What is counted while an evening goes on.

use crate::outcome::Series;

/// Counts of individuals.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// People who want to hear it and have neither left nor given up.
    pub(crate) wanting: u64,
    /// People who were put out and are not in again.
    pub(crate) out: u64,
    pub(crate) evicted: u64,
    pub(crate) closed_too_slow: u64,
    pub(crate) interrupted: u64,
    /// Connections that no node ever saw, because its backlog was full.
    pub(crate) unseen: u64,
    pub(crate) hoarded: u64,
    /// Refusals of people by their networks: own, carrier.
    pub(crate) refused: [u64; 2],
    pub(crate) people: [u64; 2],
    /// From wanting to the first sound.
    pub(crate) waits_ms: Vec<u32>,
    pub(crate) heard_in_time: u64,
    /// Sound that was delivered, and that could have been; in milliseconds of one listener.
    pub(crate) delivered_ms: u64,
    pub(crate) possible_ms: u64,
    pub(crate) is_unbalanced: bool,
    pub(crate) joins: u64,
    pub(crate) refusals: u64,
    pub(crate) series: Series,
}
