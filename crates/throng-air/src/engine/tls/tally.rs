//! What one loop counts of handshakes. They balance: connections = done + failed + under way.

use metrics::{Counter, Gauge, counter, gauge};

use crate::metric;
use crate::presence::Shard;
use crate::tls::handshake::Failure;

/// The counters.
pub(super) struct Tally {
    full: Counter,
    resumed: Counter,
    failed: [(Failure, Counter); Failure::ALL.len()],
    handshaking: Gauge,
}

impl Tally {
    /// All zero.
    pub(super) fn new(shard: Shard) -> Self {
        let shard = shard.0.to_string();
        let done = |kind| counter!(metric::HANDSHAKES, "kind" => kind, "shard" => shard.clone());
        Self {
            full: done("full"),
            resumed: done("resumed"),
            failed: Failure::ALL.map(|failure| {
                let name = failure.name();
                let failed =
                    counter!(metric::HANDSHAKES_FAILED, "reason" => name, "shard" => shard.clone());
                (failure, failed)
            }),
            handshaking: gauge!(metric::SHARD_HANDSHAKES, "shard" => shard.clone()),
        }
    }

    /// Keys are agreed.
    pub(super) fn succeeded(&self, is_resumed: bool) {
        let done = if is_resumed {
            &self.resumed
        } else {
            &self.full
        };
        done.increment(1);
    }

    /// A handshake came to nothing.
    pub(super) fn failed(&self, failure: Failure) {
        let counted = self.failed.iter().filter(|(of, _)| *of == failure);
        counted.for_each(|(_, counter)| counter.increment(1));
    }

    /// So many are under way.
    pub(super) fn handshaking(&self, count: usize) {
        self.handshaking
            .set(u32::try_from(count).unwrap_or(u32::MAX));
    }
}
