//! The clocks of an agent.

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Microseconds of the machine's monotonic clock, the same for all its processes.
pub fn now_us() -> u64 {
    microseconds(clock_gettime(ClockId::Monotonic))
}

/// CPU time that this process has used.
pub fn cpu_us() -> u64 {
    microseconds(clock_gettime(ClockId::ProcessCPUTime))
}

fn microseconds(time: Timespec) -> u64 {
    let us = i128::from(time.tv_sec) * 1_000_000 + i128::from(time.tv_nsec) / 1_000;
    u64::try_from(us).unwrap_or(0)
}
