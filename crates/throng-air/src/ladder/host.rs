//! What this process and its machine have left, from `/proc` and the control group. What cannot be read presses nobody.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use throng_core::ladder::signals::{Share, Signals};

use super::strain::Second;

const CGROUPS: &str = "/sys/fs/cgroup";

/// A look at the host, a second after the one before.
#[derive(Debug)]
pub(super) struct Host {
    /// Memory that the operator allows the node.
    pub(super) budget_bytes: Option<u64>,
    cores: u64,
    at: Instant,
    cpu_us: u64,
    /// Time in which something waited for a core, and for memory.
    waited_us: (u64, u64),
}

impl Default for Host {
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
            budget_bytes: None,
            cores: cores as u64,
            at: Instant::now(),
            cpu_us: process_cpu_us(),
            waited_us: waited_us(),
        }
    }
}

impl Host {
    /// What the time since the last look brought, together with what the threads that serve tell of it.
    pub(super) fn look(&mut self, now: Instant, second: Second) -> Signals {
        let (cpu_us, waited_us) = (process_cpu_us(), waited_us());
        let passed_us = as_us(now.saturating_duration_since(self.at));
        let of_cores = |used_us: u64| Share::of(used_us, passed_us * self.cores);
        let of_time = |now: u64, before: u64| Share::of(now.saturating_sub(before), passed_us);
        let signals = Signals {
            lag_ms: second.lag_ms,
            spans: second.spans,
            late_spans: second.late_spans,
            listeners: second.listeners,
            blocked: second.blocked,
            cpu: of_cores(cpu_us.saturating_sub(self.cpu_us)),
            cpu_serving: of_cores(second.cpu_us),
            cpu_waiting: of_time(waited_us.0, self.waited_us.0),
            memory_of_budget: self.budget_bytes.map_or_else(Share::default, |budget| {
                Share::of(resident_bytes().unwrap_or(0), budget)
            }),
            memory_of_machine: [machine(), container()]
                .into_iter()
                .flatten()
                .map(Memory::taken)
                .max()
                .unwrap_or_default(),
            memory_waiting: of_time(waited_us.1, self.waited_us.1),
            joins: Some(Share::of(second.joins.into(), 1_000)),
        };
        (self.at, self.cpu_us, self.waited_us) = (now, cpu_us, waited_us);
        signals
    }
}

fn process_cpu_us() -> u64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    let (seconds, nanoseconds) = (used.tv_sec.cast_unsigned(), used.tv_nsec.cast_unsigned());
    seconds * 1_000_000 + nanoseconds / 1_000
}

fn as_us(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn read(path: impl AsRef<Path>) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// Memory that this process has.
pub(crate) fn resident_bytes() -> Option<u64> {
    kilobytes(&read("/proc/self/status")?, "VmRSS:")
}

/// Memory that this machine has for us, or the container that we are in.
pub fn memory_bytes() -> Option<u64> {
    let all = [machine(), container()].into_iter().flatten();
    all.map(|memory| memory.bytes).min()
}

/// Memory of a machine or container.
struct Memory {
    bytes: u64,
    taken: u64,
}

impl Memory {
    fn taken(self) -> Share {
        Share::of(self.taken, self.bytes)
    }
}

fn machine() -> Option<Memory> {
    let text = read("/proc/meminfo")?;
    let (total, available) = (
        kilobytes(&text, "MemTotal:")?,
        kilobytes(&text, "MemAvailable:")?,
    );
    Some(Memory {
        bytes: total,
        taken: total.saturating_sub(available),
    })
}

/// That of this container, or service; what the kernel can drop at once does not count.
fn container() -> Option<Memory> {
    let groups = read("/proc/self/cgroup")?;
    let of_version = |controllers: &str, root: &str, names: [&str; 3]| {
        // In a container the group is often mounted as the root.
        [group(&groups, controllers)?, "/"]
            .into_iter()
            .find_map(|path| {
                let folder = format!("{CGROUPS}{root}{path}");
                let number = |name: &str| read(format!("{folder}/{name}"))?.trim().parse().ok();
                let (limit, used): (u64, u64) = (number(names[0])?, number(names[1])?);
                let stat = read(format!("{folder}/memory.stat")).unwrap_or_default();
                let droppable = field(&stat, names[2]).unwrap_or(0);
                Some(Memory {
                    bytes: limit,
                    taken: used.saturating_sub(droppable),
                })
            })
    };
    of_version("", "", ["memory.max", "memory.current", "inactive_file"]).or_else(|| {
        let names = [
            "memory.limit_in_bytes",
            "memory.usage_in_bytes",
            "total_inactive_file",
        ];
        of_version("memory", "/memory", names)
    })
}

/// The path of the group with this controller in `/proc/self/cgroup`; the second version names none.
fn group<'t>(text: &'t str, controller: &str) -> Option<&'t str> {
    text.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let is_it = fields.next()?.split(',').any(|name| name == controller);
        let path = fields.next()?;
        is_it.then_some(path)
    })
}

/// Time in which something waited for a core, and for memory, since the machine started.
fn waited_us() -> (u64, u64) {
    let of = |name| stalled_us(&read(format!("/proc/pressure/{name}"))?);
    (of("cpu").unwrap_or(0), of("memory").unwrap_or(0))
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=123`
fn stalled_us(text: &str) -> Option<u64> {
    let some = text.lines().find(|line| line.starts_with("some"))?;
    some.rsplit_once("total=")?.1.parse().ok()
}

/// `MemTotal:       24683372 kB`
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    Some(field(text, name)? * 1_024)
}

/// The number behind a name.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()? == name).then(|| words.next()?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_writes_is_read() {
        let meminfo =
            "MemTotal:       24683372 kB\nMemFree:        1 kB\nMemAvailable:    22810000 kB\n";
        assert_eq!(
            kilobytes(meminfo, "MemAvailable:"),
            Some(22_810_000 * 1_024)
        );
        let pressure =
            "some avg10=0.00 avg60=1.00 avg300=0.10 total=915\nfull avg10=0.00 total=7\n";
        assert_eq!(stalled_us(pressure), Some(915));
        let groups = "9:name=systemd:/\n5:cpu,memory:/service/a:b\n0::/user.slice\n";
        assert_eq!(group(groups, "memory"), Some("/service/a:b"));
        assert_eq!(group(groups, ""), Some("/user.slice"));
        assert_eq!(group(groups, "pids"), None);
        assert_eq!(
            field("active_file 3\ninactive_file 4096\n", "inactive_file"),
            Some(4_096)
        );
        assert_eq!(field("max\n", "inactive_file"), None);
    }

    #[test]
    fn a_busy_second_is_seen() {
        let mut host = Host {
            budget_bytes: Some(1),
            ..Host::default()
        };
        let nothing = Second {
            lag_ms: 1,
            spans: 2,
            late_spans: 1,
            listeners: 3,
            blocked: 1,
            joins: 0,
            cpu_us: 500_000 * host.cores,
        };
        let signals = host.look(host.at + Duration::from_secs(1), nothing);
        assert_eq!(signals.cpu_serving, Share::new(500).unwrap());
        assert_eq!(
            signals.memory_of_budget,
            Share::ALL,
            "a process has some memory"
        );
        assert!(signals.memory_of_machine > Share::default());
    }
}
