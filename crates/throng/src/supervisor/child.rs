//! A process of a node, from both sides: the supervisor orders it over a line, which is its standard input, and it says
//! there that it is ready. It ends when the supervisor does, however that ends.

use std::ffi::CStr;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal,
    set_parent_process_death_signal, waitid,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use throng_air::room::shared::QueueSecret;
use throng_air::tls::tickets::TicketSecret;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::oneshot;

use super::line;
use crate::capacity::Capacity;
use crate::config::Config;
use crate::serve::{Links, ServeError};

/// How often a process was started again, as it counts itself.
pub(crate) const RESTARTS: &str = "throng_process_restarts_total";

/// What a process of a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
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

/// What the origin is told. With it come the sockets of the internal address and of the desk, where that has its own.
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
    pub(crate) stage: SocketAddr,
}

/// What a worker is told. With it come its sockets at the audience's address.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct WorkerOrder {
    pub(crate) config: Config,
    /// Its place in the node, from 1.
    pub(crate) place: u32,
    /// Its lane on the board: its own as long as it lives.
    pub(crate) lane: usize,
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
#[derive(Debug)]
pub(super) struct Running {
    pub(super) role: Role,
    pub(super) pid: Pid,
    /// Names this one process even when it is gone and its number is another's.
    handle: Arc<OwnedFd>,
    /// Our end of this line tells the child that we are there.
    line: UnixStream,
}

impl Running {
    /// Starts a process and gives it its order. Call it on a thread that lives as long as this process: the kernel
    /// takes the end of the thread for the end of the parent.
    pub(super) fn start(
        role: Role,
        order: &impl Serialize,
        sockets: &[TcpListener],
    ) -> io::Result<Self> {
        let (line, theirs) = UnixStream::pair()?;
        // The very program that runs here, whatever lies in its place by now.
        let child = Command::new("/proc/self/exe")
            .arg0("throng")
            .arg(role.command())
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            // Ctrl-C on a terminal is for the supervisor, who tells the others in his own way.
            .process_group(0)
            .spawn()?;
        let running = Self::adopt(role, child.id().cast_signed(), line)?;
        let sockets: Vec<BorrowedFd<'_>> = sockets.iter().map(AsFd::as_fd).collect();
        line::send(&running.line, &serde_json::to_vec(order)?, &sockets)?;
        Ok(running)
    }

    /// A child that a program before this one started in this process.
    pub(super) fn adopt(role: Role, pid: i32, line: UnixStream) -> io::Result<Self> {
        let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::NotFound)?;
        Ok(Self {
            role,
            pid,
            handle: Arc::new(pidfd_open(pid, PidfdFlags::empty())?),
            line,
        })
    }

    /// Sends a signal.
    pub(super) fn signal(&self, signal: Signal) {
        signal_to(&self.handle, signal);
    }

    /// The process, to be sent a signal later.
    pub(super) fn handle(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.handle)
    }

    /// The line, for a program that takes this one's place.
    pub(super) fn line(&self) -> BorrowedFd<'_> {
        self.line.as_fd()
    }

    /// Tells its end, and in words how it ended. A thread waits for it: there are as many as processes.
    pub(super) fn ended(&self) -> io::Result<oneshot::Receiver<String>> {
        let (handle, (teller, told)) = (self.handle(), oneshot::channel());
        thread::Builder::new()
            .name("child".to_owned())
            .spawn(move || {
                let ended = waitid(WaitId::PidFd(handle.as_fd()), WaitIdOptions::EXITED);
                let ended = ended.ok().flatten();
                let ended = ended.map(|ended| (ended.exit_status(), ended.terminating_signal()));
                // Nobody may want to know any more.
                let _ = teller.send(match ended {
                    Some((Some(status), _)) => format!("exit status {status}"),
                    Some((_, Some(signal))) => format!("signal {signal}"),
                    _ => "unknown".to_owned(),
                });
            })?;
        Ok(told)
    }

    /// Waits until it says that it is ready; none when it ends before.
    pub(super) fn first_line(
        &self,
    ) -> io::Result<impl Future<Output = Option<String>> + Send + 'static> {
        let line = self.line.try_clone()?;
        line.set_nonblocking(true)?;
        let line = tokio::net::UnixStream::from_std(line)?;
        Ok(async move { BufReader::new(line).lines().next_line().await.ok()? })
    }
}

/// Sends a signal to a process; one that has just ended needs none.
pub(super) fn signal_to(handle: &OwnedFd, signal: Signal) {
    let _ = pidfd_send_signal(handle, signal);
}

/// In the child: takes the order with its sockets, and from now on ends at once when the supervisor is gone.
pub(crate) fn take_order<T: DeserializeOwned>(
    name: &CStr,
) -> Result<(T, Vec<TcpListener>), ServeError> {
    // For `ps` and `top`; the program is the same.
    rustix::thread::set_name(name).map_err(io::Error::from)?;
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(io::Error::from)?;
    let (order, sockets) = line::receive(io::stdin())?;
    let order = serde_json::from_slice(&order).map_err(|_| ServeError::Order)?;
    // The line says it where the kernel could not: the supervisor may have gone before we asked.
    thread::Builder::new()
        .name("orphan".to_owned())
        .spawn(move || {
            let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
            std::process::exit(1);
        })?;
    Ok((order, sockets.into_iter().map(TcpListener::from).collect()))
}

/// In the child: says that it is ready, in one line.
pub(crate) fn say(document: &impl Serialize) -> io::Result<()> {
    line::send(io::stdin(), &serde_json::to_vec(document)?, &[])
}
