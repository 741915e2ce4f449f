//! What `/proc` says of this machine, and of a server that runs on it: CPU time, memory, sockets. Parsing is pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// The processor.
    pub cpu: String,
    /// Its cores, as this process may use them.
    pub cores: u64,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// The kernel's release.
    pub kernel: String,
}

impl Host {
    /// This machine.
    pub fn here() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        Self {
            cpu: value_of(&read("/proc/cpuinfo"), "model name")
                .unwrap_or("unknown")
                .to_owned(),
            cores: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64),
            memory_bytes: kilobytes_of(&read("/proc/meminfo"), "MemTotal"),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }
}

/// The machine, as its kernel names this boot of it: the same for all its namespaces and containers.
pub fn machine() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    boot.unwrap_or_default().trim().to_owned()
}

/// What a server has used so far, and holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// User and system time of its processes.
    pub cpu_us: u64,
    /// Their resident memory.
    pub memory_bytes: u64,
    /// Memory of all TCP sockets of its machine, a crowd's own on the same machine included, where that can be seen.
    pub socket_bytes: Option<u64>,
}

impl Usage {
    /// From the metrics of a server elsewhere (Prometheus text); `None` where they do not tell.
    pub fn from_metrics(text: &str) -> Option<Self> {
        // A node of several processes has a line for each of them.
        let value = |name: &str| {
            let lines = text.lines().filter_map(|line| line.strip_prefix(name));
            let values = lines.map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
            let value = values.reduce(|sum, value| Some(sum? + value?))??;
            (0.0..1e15).contains(&value).then_some(value)
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "bounded above"
        )]
        let whole = |value: f64| value as u64;
        Some(Self {
            cpu_us: whole(value("process_cpu_seconds_total")? * 1e6),
            memory_bytes: whole(value("process_resident_memory_bytes")?),
            socket_bytes: None,
        })
    }
}

/// A server on this machine: the processes that listen at an address, and their children.
#[derive(Clone, Debug)]
pub struct Server {
    roots: BTreeSet<u32>,
}

impl Server {
    /// Who listens at an address; `None` where nobody on this machine does, or we may not see who.
    pub fn at(address: SocketAddr) -> Option<Self> {
        // Only an address of this machine can be bound; the same port elsewhere is somebody else's.
        UdpSocket::bind((address.ip(), 0)).ok()?;
        let mut sockets = BTreeSet::new();
        for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
            let text = fs::read_to_string(table).unwrap_or_default();
            sockets.extend(listening_inodes(&text, address.port()));
        }
        let roots: BTreeSet<u32> = processes()
            .into_iter()
            .filter(|process| holds_any(*process, &sockets))
            .map(eldest)
            .collect();
        (!roots.is_empty()).then_some(Self { roots })
    }

    /// What it uses.
    pub fn usage(&self) -> Usage {
        let mut usage = Usage {
            socket_bytes: fs::read_to_string("/proc/net/sockstat")
                .ok()
                .map(|text| tcp_pages(&text) * PAGE_BYTES),
            ..Usage::default()
        };
        for process in self.family() {
            let read = |file: &str| {
                fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default()
            };
            usage.cpu_us += stat_of(&read("stat")).map_or(0, |stat| stat.cpu_us);
            usage.memory_bytes += kilobytes_of(&read("status"), "VmRSS");
        }
        usage
    }

    /// What it was built from and how it was started; what we may not see is empty.
    pub fn identity(&self) -> Identity {
        let Some(root) = self.roots.first() else {
            return Identity::default();
        };
        let program = PathBuf::from(format!("/proc/{root}/exe"));
        let arguments = fs::read(format!("/proc/{root}/cmdline")).unwrap_or_default();
        let environment = fs::read(format!("/proc/{root}/environ")).unwrap_or_default();
        let folder = PathBuf::from(format!("/proc/{root}/cwd"));
        let config = config_file(&arguments).and_then(|file| fs::read(folder.join(file)).ok());
        Identity {
            build_sha256: hash_of_file(&program).unwrap_or_default(),
            config_sha256: config_hash(&arguments, &environment, &config.unwrap_or_default()),
        }
    }

    /// The listening processes and all that descend from them, but for ourselves.
    fn family(&self) -> BTreeSet<u32> {
        let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for process in processes() {
            let text = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
            if let Some(stat) = stat_of(&text) {
                children.entry(stat.parent).or_default().push(process);
            }
        }
        let mut family = BTreeSet::new();
        let mut open: Vec<u32> = self.roots.iter().copied().collect();
        while let Some(process) = open.pop() {
            if process != std::process::id() && family.insert(process) {
                open.extend(children.get(&process).into_iter().flatten());
            }
        }
        family
    }
}

/// What was run, as hashes: equal hashes were the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// SHA-256 of the server's program file, hexadecimal.
    pub build_sha256: String,
    /// SHA-256 of its arguments, its `THRONG_…` environment and the configuration file that the arguments name.
    pub config_sha256: String,
}

/// SHA-256 of a file.
pub fn hash_of_file(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let mut hash = Sha256::new();
    io::copy(&mut file, &mut hash)?;
    Ok(hex(&hash.finalize()))
}

fn config_hash(arguments: &[u8], environment: &[u8], config: &[u8]) -> String {
    let mut settings: Vec<&[u8]> = environment
        .split(|byte| *byte == 0)
        .filter(|pair| {
            pair.starts_with(b"THRONG_") && !SECRETS.iter().any(|name| pair.starts_with(name))
        })
        .collect();
    settings.sort_unstable();
    // The program's own path says nothing about how it is set.
    let end = arguments
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(arguments.len());
    let mut hash = Sha256::new();
    for part in [&arguments[end..], &settings.join(&0), config] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex(&hash.finalize())
}

/// The file after `--config`, or in `--config=FILE`.
fn config_file(arguments: &[u8]) -> Option<String> {
    let words: Vec<_> = arguments
        .split(|byte| *byte == 0)
        .map(String::from_utf8_lossy)
        .collect();
    let place = words.iter().position(|word| word.starts_with("--config"))?;
    match words[place].split_once('=') {
        Some((_, file)) => Some(file.to_owned()),
        None => words.get(place + 1).map(|file| file.clone().into_owned()),
    }
}

fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(half.into(), 16).expect("four bits are a digit");
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(digit).collect()
}

fn processes() -> Vec<u32> {
    let folders = fs::read_dir("/proc").into_iter().flatten().flatten();
    folders
        .filter_map(|folder| folder.file_name().to_str()?.parse().ok())
        .collect()
}

/// The process of the same program from which one descends: that which was started, and has started it.
fn eldest(mut process: u32) -> u32 {
    let program = |process: u32| fs::read_link(format!("/proc/{process}/exe")).ok();
    let parent = |process: u32| {
        let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        Some(stat_of(&text)?.parent)
    };
    while let Some(above) = parent(process)
        && above != std::process::id()
        && program(above).is_some_and(|of| Some(of) == program(process))
    {
        process = above;
    }
    process
}

fn holds_any(process: u32, sockets: &BTreeSet<u64>) -> bool {
    let files = fs::read_dir(format!("/proc/{process}/fd"))
        .into_iter()
        .flatten()
        .flatten();
    let links = files.filter_map(|file| fs::read_link(file.path()).ok());
    links
        .filter_map(|link| {
            let name = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            name.parse().ok()
        })
        .any(|inode: u64| sockets.contains(&inode))
}

/// Inodes of the sockets that listen at a port (state `0A`), from `/proc/net/tcp`.
fn listening_inodes(table: &str, port: u16) -> Vec<u64> {
    let rows = table.lines().skip(1).map(|row| row.split_whitespace());
    rows.filter_map(|mut row| {
        let local = row.nth(1)?;
        let (_, hex_port) = local.rsplit_once(':')?;
        let listens = row.nth(1)? == "0A" && u16::from_str_radix(hex_port, 16) == Ok(port);
        let inode = row.nth(5)?.parse().ok()?;
        listens.then_some(inode)
    })
    .collect()
}

struct Stat {
    parent: u32,
    cpu_us: u64,
}

/// From `/proc/PID/stat`; the name in it may hold anything, so that fields count from its last bracket.
fn stat_of(text: &str) -> Option<Stat> {
    let (_, fields) = text.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
    Some(Stat {
        parent: u32::try_from(number(1)?).ok()?,
        cpu_us: (number(11)? + number(12)?) * TICK_US,
    })
}

fn tcp_pages(sockstat: &str) -> u64 {
    let line = sockstat.lines().find_map(|line| line.strip_prefix("TCP: "));
    let pages = line.and_then(|line| line.split_once("mem ")?.1.split(' ').next()?.parse().ok());
    pages.unwrap_or(0)
}

fn value_of<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim())
}

fn kilobytes_of(text: &str, name: &str) -> u64 {
    let value = value_of(text, name).and_then(|value| value.split(' ').next()?.parse().ok());
    value.unwrap_or(0) * 1_024
}

/// Settings that say nothing of what a server can hold, and that nothing is made of.
const SECRETS: [&[u8]; 2] = [b"THRONG_OPERATOR_KEY", b"THRONG_AGENTS_KEY"];
/// Linux counts CPU time for its users in hundredths of a second, on every architecture that we run on.
const TICK_US: u64 = 10_000;
/// The unit of `mem` in sockstat, on those that we run on.
const PAGE_BYTES: u64 = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
        0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0\n\
        1: 0100007F:1F90 0100007F:D431 01 00000000:00000000 02:0000 00000000     0        0 4712 2 0 20 4 30 10 -1\n";

    #[test]
    fn only_who_listens_at_the_port_is_taken() {
        assert_eq!(listening_inodes(TCP, 8_080), [4_711]);
        assert_eq!(listening_inodes(TCP, 8_081), [0_u64; 0]);
    }

    #[test]
    fn a_process_with_a_strange_name_is_read() {
        let text = "7 (a) b) (c) S 3 7 7 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 4 0 100 1 1 1";
        let stat = stat_of(text).unwrap();
        assert_eq!((stat.parent, stat.cpu_us), (3, 2_000_000));
        assert!(stat_of("nonsense").is_none());
    }

    #[test]
    fn memory_is_read_in_its_units() {
        assert_eq!(kilobytes_of("Name: x\nVmRSS:\t  12 kB\n", "VmRSS"), 12_288);
        assert_eq!(
            tcp_pages("sockets: used 9\nTCP: inuse 1 orphan 0 tw 0 alloc 2 mem 33\n"),
            33
        );
    }

    #[test]
    fn a_server_elsewhere_tells_by_its_metrics() {
        let text = "# TYPE x counter\nprocess_cpu_seconds_total 1.5\nprocess_resident_memory_bytes 4096\n\
             process_cpu_seconds_total{worker=\"1\"} 2\n";
        let usage = Usage::from_metrics(text).unwrap();
        assert_eq!((usage.cpu_us, usage.memory_bytes), (3_500_000, 4_096));
        assert_eq!(Usage::from_metrics("process_cpu_seconds_total 1.5\n"), None);
        assert_eq!(
            Usage::from_metrics("process_cpu_seconds_total NaN\nprocess_resident_memory_bytes 1\n"),
            None
        );
    }

    #[test]
    fn a_configuration_is_the_same_under_another_path_and_key() {
        let hash = |arguments: &[u8], environment: &[u8]| config_hash(arguments, environment, b"");
        let one = hash(
            b"/a/throng\0serve\0",
            b"X=1\0THRONG_LISTEN=y\0THRONG_OPERATOR_KEY=s\0",
        );
        assert_eq!(one, hash(b"throng\0serve\0", b"THRONG_LISTEN=y\0"));
        assert_ne!(one, hash(b"throng\0demo\0", b"THRONG_LISTEN=y\0"));
        assert_ne!(one, hash(b"throng\0serve\0", b""));
        assert_eq!(
            config_file(b"t\0serve\0--config\0a.toml\0").as_deref(),
            Some("a.toml")
        );
        assert_eq!(
            config_file(b"t\0--config=b.toml\0").as_deref(),
            Some("b.toml")
        );
    }
}
