//! The planes of a node: what its workers leave to the origin, by means that need no privilege.
//!
//! Stage, recorder and desk live in the origin, with descriptors of their own. What listeners take beyond their share is
//! taken from the workers: they yield the processor, have a budget of memory, cannot have much more, and are the first
//! that the kernel ends when the machine has none left.

use std::fs;
use std::sync::Arc;

use rustix::process::{Resource, Rlimit, getrlimit, nice, setrlimit};
use throng_air::air::Air;
use throng_air::budget;
use throng_air::ladder::memory_bytes;

use crate::config::{Config, EngineConfig};

/// By how much a worker is nicer than the origin: a thread of the origin gets twice the time of one that serves
/// listeners where both want all of it.
const NICENESS: i32 = 3;
/// What a worker adds to how gladly the kernel ends it when memory is used up; 1000 is the most.
const EXPENDABLE: i32 = 500;
/// The part of the machine's, or the container's, memory that a node takes where the operator has not said.
const PERCENT: u64 = 80;
/// Of a node's memory the origin has a quarter, but no more than a hundred speakers, their recordings and a full desk need.
const ORIGIN_SHARE: u64 = 4;
const ORIGIN_MAX: u64 = 1 << 30;
/// What a node takes before anybody comes, rounded up: origin and supervisor, and each worker.
const ORIGIN_MIN: u64 = 128 << 20;
const WORKER_MIN: u64 = 64 << 20;
/// Addresses beyond its budget that a worker may have: stacks, and what is set aside and not used. Who needs more is not
/// shedding, and ends.
const BEYOND: u64 = 256 << 20;

/// The least that `memory_max` may be.
pub(crate) fn memory_min(workers: u32) -> u64 {
    ORIGIN_MIN + WORKER_MIN * u64::from(workers)
}

/// What a worker may take of a node's memory.
fn worker_bytes(node: u64, workers: u32) -> u64 {
    let workers = u64::from(workers.max(1));
    let origin = (node / ORIGIN_SHARE).clamp(ORIGIN_MIN, ORIGIN_MAX);
    (node.saturating_sub(origin) / workers).max(WORKER_MIN)
}

/// A worker keeps to its plane from now on. To be called before it has threads of its own.
pub(crate) fn keep_apart() {
    // Where the system refuses, it works like the others.
    let _ = nice(NICENESS);
    let _ = fs::write("/proc/self/oom_score_adj", EXPENDABLE.to_string());
}

/// The budget of a worker of this node; absent where neither operator nor system says what there is.
pub(crate) fn worker_budget(config: &Config) -> Option<u64> {
    let node = machine_budget(config.engine)?;
    Some(worker_bytes(node, config.air_workers))
}

/// The budget of all that we run on this machine.
pub(crate) fn machine_budget(engine: EngineConfig) -> Option<u64> {
    let said = engine.memory_max.map(u64::from);
    said.or_else(|| Some(memory_bytes()? / 100 * PERCENT))
}

/// Keeps the process to a budget, as long as it serves.
pub(crate) fn keep_budget(air: &Arc<Air>, bytes: Option<u64>) {
    let Some(bytes) = bytes else { return };
    air.budget().bound(bytes);
    bound_addresses(bytes + BEYOND);
    tokio::spawn(budget::keep(Arc::downgrade(air.budget())));
}

/// Allocations that would need more fail from now on.
fn bound_addresses(bytes: u64) {
    let maximum = getrlimit(Resource::Data).maximum;
    let current = Some(maximum.map_or(bytes, |most| most.min(bytes)));
    if let Err(error) = setrlimit(Resource::Data, Rlimit { current, maximum }) {
        tracing::warn!(%error, "the memory of this process has no bound");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_has_its_part_before_the_workers_share_the_rest() {
        const GIB: u64 = 1 << 30;
        assert_eq!(worker_bytes(GIB, 2), 3 * GIB / 8);
        assert_eq!(worker_bytes(32 * GIB, 31), GIB, "more is of no use to it");
        let least = memory_min(3);
        assert_eq!(worker_bytes(least, 3), WORKER_MIN);
        assert_eq!(worker_bytes(0, 3), WORKER_MIN, "it starts at least");
    }
}
