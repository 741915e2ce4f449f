//! A program takes the place of the one before, in the same process: what is handed over, and the question beforehand
//! whether it can be taken.
//!
//! What is handed over lies in a socket that becomes the new program's standard input, with the listening sockets and the
//! lines to the children in flight. So the process keeps its number, its children stay its children, and no socket is
//! closed for a moment. Who is only asked gets the same document without sockets.

use std::env;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use throng_air::room::shared::{QueueSecret, SharedBoard};
use throng_air::tls::tickets::TicketSecret;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::timeout;

use super::child::{Role, Running};
use super::queue::Queue;
use super::sockets::Sockets;
use super::{line, signals};
use crate::capacity::Capacity;
use crate::config::Config;
use crate::serve::ServeError;
use crate::tls::Certificate;

/// What says that standard input is an estate: the number of the process that is to take it, or [`ASKED`].
const ENVIRONMENT: &str = "THRONG_ESTATE";
/// The value for a program that is asked whether it could.
const ASKED: &str = "asked";
/// Changes when a program before could not understand an estate any more. Fields that are new have a default.
const FORMAT: u32 = 1;
/// A program that has not answered by then cannot take over.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Why the program cannot be changed.
#[derive(Debug, Error)]
pub enum SuccessionError {
    /// The new program did not say that it could take over.
    #[error("{0} cannot take over; what it said stands above, and this program goes on")]
    Refused(PathBuf),
    /// The settings do not fit what is handed over.
    #[error("an upgrade keeps {0}: it is {1} now; restart the node to change it")]
    Differs(&'static str, String),
    /// Nobody who understands it has written it.
    #[error("what is handed over was written by a version that this one does not follow")]
    Format,
    /// The system.
    #[error("the place could not be taken: {0}")]
    System(#[from] io::Error),
}

/// What a supervisor leaves to its successor, besides sockets.
#[derive(Debug, Deserialize, Serialize)]
struct Estate {
    format: u32,
    data: PathBuf,
    listen: SocketAddr,
    desk: SocketAddr,
    internal: SocketAddr,
    stage: SocketAddr,
    tickets: TicketSecret,
    /// What seals the tickets of the queue, and whose lane on its board is whose; the board comes after the children.
    #[serde(default)]
    queue: Option<QueueSecret>,
    #[serde(default)]
    lanes: Vec<(i32, usize)>,
    /// How many sockets each worker has.
    audience: Vec<(u32, usize)>,
    /// The children, by what they are.
    children: Vec<(Role, i32)>,
}

/// What a program takes that was started in the place of another.
pub(super) struct Inheritance {
    pub(super) sockets: Sockets,
    pub(super) tickets: TicketSecret,
    /// Absent where the program before had none, or one that this program cannot read.
    pub(super) queue: Option<Queue>,
    pub(super) children: Vec<Running>,
}

/// Why the program was started.
pub(super) enum Start {
    /// By somebody who wants a node.
    Anew,
    /// By a supervisor that asks whether this program could take over; it has been answered.
    Asked,
    /// In the place of another.
    Instead(Inheritance),
}

/// Finds out why the program was started. Addresses that were handed over are written into the settings.
pub(super) fn begin(config: &mut Config) -> Result<Start, ServeError> {
    let Ok(whose) = env::var(ENVIRONMENT) else {
        return Ok(Start::Anew);
    };
    let is_asked = whose == ASKED;
    // Children have the variable, too, and whatever they start.
    if !is_asked && whose != process::id().to_string() {
        return Ok(Start::Anew);
    }
    let (document, sockets) = line::receive(io::stdin())?;
    let estate: Estate = serde_json::from_slice(&document).map_err(|_| SuccessionError::Format)?;
    estate.fit(config)?;
    if is_asked {
        can_serve(config)?;
        line::send(io::stdin(), ASKED.as_bytes(), &[])?;
        return Ok(Start::Asked);
    }
    let mut given = sockets.into_iter();
    let sockets =
        Sockets::restore(&mut given, config, &estate.audience).map_err(SuccessionError::System)?;
    let children = estate.children.into_iter().zip(&mut given);
    let children = children.map(|((role, pid), line)| Running::adopt(role, pid, line.into()));
    let children: Vec<_> = children
        .collect::<io::Result<_>>()
        .map_err(SuccessionError::System)?;
    let board = given.next().and_then(|file| SharedBoard::adopt(file).ok());
    let queue = board.zip(estate.queue);
    Ok(Start::Instead(Inheritance {
        sockets,
        tickets: estate.tickets,
        queue: queue.map(|(board, secret)| Queue::inherit(board, secret, estate.lanes)),
        children,
    }))
}

impl Estate {
    /// Whether the settings fit, which then get the addresses that are bound already.
    fn fit(&self, config: &mut Config) -> Result<(), SuccessionError> {
        if self.format != FORMAT {
            return Err(SuccessionError::Format);
        }
        let differs = |what, now: String| Err(SuccessionError::Differs(what, now));
        if config.data != self.data {
            return differs("--data", self.data.display().to_string());
        }
        if config.air_workers == 0 {
            return differs("its workers", self.audience.len().to_string());
        }
        let shared = self.desk == self.listen;
        if config.shares_desk() != shared {
            return differs("--desk", self.desk.to_string());
        }
        let addresses = [
            ("--listen", &mut config.listen, self.listen),
            ("--desk", &mut config.desk, self.desk),
            ("--internal", &mut config.internal, self.internal),
            ("--stage-udp", &mut config.stage_udp, self.stage),
        ];
        for (flag, wanted, bound) in addresses {
            // Port 0 is whichever the system chose.
            if *wanted != bound && *wanted != SocketAddr::new(bound.ip(), 0) {
                return differs(flag, bound.to_string());
            }
            *wanted = bound;
        }
        Ok(())
    }
}

/// Whether the files that the settings name can be used.
fn can_serve(config: &Config) -> Result<(), ServeError> {
    Capacity::of(config).map_err(ServeError::Capacity)?;
    config
        .certificate_files()
        .map(Certificate::open)
        .transpose()?;
    Ok(())
}

/// The path of this program as it was started: what lies there later may be another. To be asked early.
pub(super) fn program() -> io::Result<PathBuf> {
    let name = env::args_os().next().unwrap_or_default();
    if Path::new(&name).components().count() > 1 {
        return std::path::absolute(name);
    }
    env::current_exe()
}

/// What a supervisor has, for its successor.
pub(super) struct Holding<'a> {
    pub(super) config: &'a Config,
    pub(super) sockets: &'a Sockets,
    pub(super) tickets: &'a TicketSecret,
    pub(super) queue: &'a Queue,
    pub(super) children: Vec<&'a Running>,
}

impl Holding<'_> {
    /// Asks the program at this path whether it can take over, and lets it. Returns only if that fails; then everything is
    /// as before. Call it on the main thread, which stays.
    pub(super) async fn hand_over(&self, program: &Path) -> SuccessionError {
        if let Err(error) = self.ask(program).await {
            tracing::warn!(%error, "no answer");
            return SuccessionError::Refused(program.to_owned());
        }
        match self.packed() {
            Ok(theirs) => {
                let mut command = command(program, &process::id().to_string(), theirs);
                signals::hold();
                let error = command.exec();
                signals::release();
                error.into()
            }
            Err(error) => error.into(),
        }
    }

    async fn ask(&self, program: &Path) -> io::Result<()> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut asked = command(program, ASKED, theirs)
            .stdout(Stdio::null())
            .spawn()?;
        line::send(&ours, &serde_json::to_vec(&self.estate())?, &[])?;
        ours.set_nonblocking(true)?;
        let mut answers = BufReader::new(tokio::net::UnixStream::from_std(ours)?).lines();
        let answer = timeout(ANSWER_MAX, answers.next_line()).await;
        // It has said what it had to say, or has not in time.
        asked.kill()?;
        asked.wait()?;
        match answer {
            Ok(Ok(Some(word))) if word == ASKED => Ok(()),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// The estate, in a socket of which the other end is closed.
    fn packed(&self) -> io::Result<UnixStream> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut sockets = self.sockets.all();
        sockets.extend(self.children.iter().map(|child| child.line()));
        sockets.push(self.queue.board.file());
        line::send(&ours, &serde_json::to_vec(&self.estate())?, &sockets)?;
        Ok(theirs)
    }

    fn estate(&self) -> Estate {
        let children = self.children.iter();
        Estate {
            format: FORMAT,
            data: self.config.data.clone(),
            listen: self.config.listen,
            desk: self.config.desk,
            internal: self.config.internal,
            stage: self.config.stage_udp,
            tickets: self.tickets.clone(),
            queue: Some(self.queue.secret),
            lanes: self.queue.lanes(),
            audience: self.sockets.counts(),
            children: children
                .map(|child| (child.role, child.pid.as_raw_nonzero().get()))
                .collect(),
        }
    }
}

/// The same command line and environment.
fn command(program: &Path, whose: &str, stdin: UnixStream) -> Command {
    let mut command = Command::new(program);
    let mut words = env::args_os();
    if let Some(name) = words.next() {
        command.arg0(name);
    }
    command
        .args(words)
        .env(ENVIRONMENT, whose)
        .stdin(Stdio::from(OwnedFd::from(stdin)));
    command
}
