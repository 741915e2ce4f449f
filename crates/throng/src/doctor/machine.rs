//! What the machine has for a crowd: listeners, open files, rings, memory, and a clock that is right.
#![allow(
    unsafe_code,
    reason = "whether the clock is kept right is known to a call of the C library, of which no crate of ours has a safe form"
)]

use std::fmt::Display;
use std::fs;
use std::io;
use std::path::Path;

use rustix::process::{Resource, getrlimit};
use throng_air::engine::Backend;

use super::Finding;
use crate::capacity::Capacity;
use crate::config::Config;
use crate::plane;

/// Fewer open files than these leave too few to listeners once everything else has its own.
const FILES_MIN: u64 = 10_000;
/// Connections that wait to be accepted while a crowd comes in; systems of today have 4,096.
const BACKLOG_MIN: u64 = 4_096;

pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let known = Capacity::of(config);
    let mut findings = vec![capacity(config, known.as_ref()), engine(config)];
    findings.extend(memory(config));
    findings.extend(number("/proc/sys/net/core/somaxconn").map(backlog));
    findings.extend(known.ok().and_then(|known| tracked(&known)));
    findings.push(clock());
    findings
}

fn capacity(config: &Config, known: Result<&Capacity, &impl Display>) -> Finding {
    let capacity = match known {
        Ok(capacity) => capacity,
        Err(error) => {
            let fix = "rehearse this build here (throng rehearse … --certificate FILE), or leave --certificate out";
            return Finding::fault("capacity", error.to_string(), fix);
        }
    };
    let slots = capacity.slots.unwrap_or_default();
    let egress = capacity.egress_bits.map_or_else(
        || "any number of bits".to_owned(),
        |bits| format!("{} Mb/s", bits / 1_000_000),
    );
    let says = format!("{slots} listeners at once, {egress}");
    if capacity.rehearsed.is_none() && config.listeners_max.is_none() {
        let fix = "a guess by the number of cores: rehearse (throng rehearse), and give the certificate to --certificate";
        return Finding::note("capacity", says, fix);
    }
    Finding::fine("capacity", says)
}

/// How listeners would be served, and how many the limit of open files allows then.
fn engine(config: &Config) -> Finding {
    let files = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    match Backend::from(config.engine.backend).choose() {
        Ok(Backend::IoUring) => {
            Finding::fine("engine", "io_uring: listeners are no open files".to_owned())
        }
        Ok(_) if files < FILES_MIN => Finding::note(
            "engine",
            format!(
                "epoll, for which every listener is an open file, and a process may have {files}"
            ),
            "LimitNOFILE=1048576 in the service, or ulimit -n; or a system with io_uring (Linux 6.8 and later)",
        ),
        Ok(_) => Finding::fine(
            "engine",
            format!("epoll: a process may have {files} open files"),
        ),
        Err(error) => Finding::fault(
            "engine",
            format!("--air-backend io-uring is not to be had: {error}"),
            "--air-backend auto; Linux 6.8 and later have it, unless a container forbids it",
        ),
    }
}

fn memory(config: &Config) -> Option<Finding> {
    let all = plane::machine_budget(config.engine)?;
    let megabytes = |bytes: u64| bytes / 1_000_000;
    let least = plane::memory_min(config.air_workers);
    if all < least {
        let says = format!(
            "{} MB for a node that takes {} before anybody comes",
            megabytes(all),
            megabytes(least)
        );
        return Some(Finding::fault(
            "memory",
            says,
            "more memory, or fewer --air-workers",
        ));
    }
    let share = plane::worker_budget(config).filter(|_| config.air_workers > 0);
    let of_workers = share.map_or_else(String::new, |bytes| {
        format!(
            ", {} for each of {} workers",
            megabytes(bytes),
            config.air_workers
        )
    });
    Some(Finding::fine(
        "memory",
        format!("{} MB{of_workers}", megabytes(all)),
    ))
}

fn backlog(connections: u64) -> Finding {
    let says = format!("{connections} connections may wait to be accepted at each thread");
    if connections < BACKLOG_MIN {
        let fix = "sysctl -w net.core.somaxconn=65535: beyond it newcomers lose a second or more";
        return Finding::note("backlog", says, fix);
    }
    Finding::fine("backlog", says)
}

/// A firewall that remembers connections has room for so many, and drops whoever is beyond.
fn tracked(capacity: &Capacity) -> Option<Finding> {
    let most = number("/proc/sys/net/netfilter/nf_conntrack_max")?;
    let slots = capacity.slots?;
    (most < 2 * slots).then(|| {
        Finding::note(
            "firewall",
            format!(
                "it remembers {most} connections, for {slots} listeners and whoever comes and goes"
            ),
            format!(
                "sysctl -w net.netfilter.nf_conntrack_max={}, or no tracking for the port",
                4 * slots
            ),
        )
    })
}

fn number(path: impl AsRef<Path>) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Doors, links that expire and dates of playlists go by the clock of the machine.
fn clock() -> Finding {
    match clock_is_kept() {
        Ok(true) => Finding::fine("clock", "it is kept right"),
        Ok(false) => Finding::note(
            "clock",
            "nobody keeps it right: doors open by it, and links expire by it",
            "timedatectl set-ntp true, or chrony",
        ),
        Err(error) => Finding::note(
            "clock",
            format!("whether it is kept right cannot be asked: {error}"),
            "look at it where the machine's clock is set",
        ),
    }
}

/// Whether something synchronises the clock (adjtimex(2): `TIME_ERROR` says that nothing does).
fn clock_is_kept() -> io::Result<bool> {
    // SAFETY: a `timex` of zeros asks for nothing to be changed, and the call keeps no pointer.
    let state = unsafe {
        let mut asked: libc::timex = std::mem::zeroed();
        libc::adjtimex(&raw mut asked)
    };
    match state {
        -1 => Err(io::Error::last_os_error()),
        state => Ok(state != libc::TIME_ERROR),
    }
}
