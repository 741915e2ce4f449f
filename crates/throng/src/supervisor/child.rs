//! A process of a node, from both sides: the supervisor orders it over its standard input, and it says that it is ready
//! over its standard output. It ends when the supervisor does, however that ends.

use std::ffi::CStr;
use std::io::{self, BufRead, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::thread;

use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use throng_air::room::shared::QueueSecret;
use throng_air::tls::tickets::TicketSecret;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{self, ChildStdin, ChildStdout, Command};
use tokio::sync::oneshot;

use crate::capacity::Capacity;
use crate::config::Config;
use crate::serve::{Links, ServeError};

/// How often a process was started again, as it counts itself.
pub(crate) const RESTARTS: &str = "throng_process_restarts_total";

/// What a process of a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Origin,
    /// A worker by its place, from 1.
    Worker(u32),
}

impl Role {
    const fn command(self) -> &'static str {
        match self {
            Self::Origin => "origin",
            Self::Worker(_) => "air-worker",
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Origin => f.write_str("origin"),
            Self::Worker(place) => write!(f, "worker {place}"),
        }
    }
}

/// What the origin is told.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct OriginOrder {
    pub(crate) config: Config,
    /// The process that an operator would stop.
    pub(crate) supervisor: u32,
    /// How often it was started again.
    pub(crate) restarts: u64,
    /// Found once for all processes of the node, and for all their lives: the certificate's file may change meanwhile.
    pub(crate) capacity: Capacity,
    /// Where the board lies that all doors of the node share, and what they seal the tickets of the queue with.
    pub(crate) board: PathBuf,
    pub(crate) queue: QueueSecret,
}

/// What the origin says when it serves.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct OriginReady {
    pub(crate) links: Links,
    /// The desk's address, where it has one of its own.
    pub(crate) desk: Option<SocketAddr>,
    pub(crate) internal: SocketAddr,
    pub(crate) stage: SocketAddr,
}

/// What a worker is told.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct WorkerOrder {
    pub(crate) config: Config,
    /// Its place in the node, from 1.
    pub(crate) place: u32,
    /// How often it was started again.
    pub(crate) restarts: u64,
    /// Where the board lies that all doors of the node share.
    pub(crate) board: PathBuf,
    /// What they seal the tickets of the queue with.
    pub(crate) queue: QueueSecret,
    /// What all workers of the node seal tickets with, so that each resumes what another began.
    pub(crate) tickets: TicketSecret,
}

/// A process that runs.
pub(super) struct Running {
    pid: Pid,
    /// Its end of this pipe tells the child that we are gone.
    _orders: ChildStdin,
    /// The first line that it says; none when it ends before.
    pub(super) first_line: Option<oneshot::Receiver<String>>,
}

impl Running {
    /// Starts a process and gives it its order. Call it on a thread that lives as long as this process: the kernel
    /// takes the end of the thread for the end of the parent.
    pub(super) async fn start(
        role: Role,
        order: &impl Serialize,
    ) -> io::Result<(Self, process::Child)> {
        // The very program that runs here, whatever lies in its place by now: both ends of a feed are of one version.
        let mut child = Command::new("/proc/self/exe")
            .arg0("throng")
            .arg(role.command())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C on a terminal is for the supervisor, who tells the others in his own way.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let pid = child
            .id()
            .and_then(|pid| Pid::from_raw(pid.cast_signed()))
            .ok_or(io::ErrorKind::NotFound)?;
        let mut orders = child.stdin.take().expect("it is piped");
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        orders.write_all(&line).await?;
        let (said, first_line) = oneshot::channel();
        tokio::spawn(listen(child.stdout.take().expect("it is piped"), said));
        let running = Self {
            pid,
            _orders: orders,
            first_line: Some(first_line),
        };
        Ok((running, child))
    }

    /// Sends a signal. The process is not reaped before it is forgotten, so that its number is nobody else's.
    pub(super) fn signal(&self, signal: Signal) {
        // One that has just ended needs none.
        let _ = kill_process(self.pid, signal);
    }
}

/// Passes the first line on, and takes whatever comes after it so that nobody blocks on a full pipe.
async fn listen(stdout: ChildStdout, said: oneshot::Sender<String>) {
    let mut lines = BufReader::new(stdout).lines();
    if let Ok(Some(line)) = lines.next_line().await {
        // A supervisor that is not interested any more has its reasons.
        let _ = said.send(line);
    }
    while let Ok(Some(_)) = lines.next_line().await {}
}

/// In the child: takes the order, and from now on ends at once when the supervisor is gone.
pub(crate) fn take_order<T: DeserializeOwned>(name: &CStr) -> Result<T, ServeError> {
    // For `ps` and `top`; the program is the same.
    rustix::thread::set_name(name).map_err(io::Error::from)?;
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(io::Error::from)?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let order = serde_json::from_str(&line).map_err(|_| ServeError::Order)?;
    // The pipe says it where the kernel could not: the supervisor may have gone before we asked.
    thread::Builder::new()
        .name("orphan".to_owned())
        .spawn(move || {
            let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
            std::process::exit(1);
        })?;
    Ok(order)
}

/// In the child: says that it is ready, in one line.
pub(crate) fn say(document: &impl Serialize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, document)?;
    writeln!(out)?;
    out.flush()
}
