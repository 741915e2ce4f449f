//! One agent as its leader sees it, at home or elsewhere: begun, told its orders, listened to, and let go.

use std::fs;
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout};
use std::sync::mpsc::SyncSender;
use std::thread;

use super::place::Place;
use crate::agent::{KEPT_MAX, Line, Said};
use crate::away::leader::{Call, Leash, Reports};
use crate::away::lender::Program;
use crate::away::{LINE_MAX_BYTES, read_line};
use crate::orders::Orders;

/// What an agent has said last; `None` once it is gone.
pub(super) type News = (usize, Option<Box<Line>>);

/// An agent that waits for its orders.
pub(super) enum Waiting {
    Away(Call),
    Here(Child),
}

/// An agent that has them.
pub(super) struct Agent {
    /// Dropped, it ends the agent.
    hold: Option<Hold>,
    /// Its process, where it is ours.
    child: Option<Child>,
    /// What it has said last.
    pub(super) line: Option<Box<Line>>,
    /// Whether it will say no more.
    pub(super) gone: bool,
}

/// What keeps an agent at work.
#[expect(dead_code, reason = "it is there to be dropped")]
enum Hold {
    Leash(Leash),
    Pipe(ChildStdin),
}

/// Where an agent's lines come from.
enum Lines {
    Away(Reports),
    Here(BufReader<ChildStdout>),
}

impl Waiting {
    pub(super) fn at(place: &Place, program: &Program) -> io::Result<Self> {
        match place {
            Place::Away(away) => {
                let call = Call::to(&away.at, &away.key).map_err(io::Error::other)?;
                Ok(Self::Away(call))
            }
            Place::Here | Place::Netns(_) => Ok(Self::Here(program.start()?)),
        }
    }

    /// Tells it its orders and listens: its lines go into `news` under its number, its kept streams into a folder.
    pub(super) fn order(
        self,
        orders: &Orders,
        number: usize,
        news: SyncSender<News>,
        keep: Option<PathBuf>,
    ) -> io::Result<Agent> {
        let (hold, child, lines) = match self {
            Self::Away(call) => {
                let (leash, reports) = call.order(orders).map_err(io::Error::other)?;
                (Hold::Leash(leash), None, Lines::Away(reports))
            }
            Self::Here(mut child) => {
                let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
                let mut pipe = child.stdin.take().ok_or_else(gone)?;
                let output = child.stdout.take().ok_or_else(gone)?;
                // One that has died at once is noticed by its silence.
                let _ = writeln!(pipe, "{}", serde_json::to_string(orders)?);
                let lines = Lines::Here(BufReader::new(output));
                (Hold::Pipe(pipe), Some(child), lines)
            }
        };
        thread::spawn(move || listen(lines, number, &news, keep.as_deref()));
        Ok(Agent {
            hold: Some(hold),
            child,
            line: None,
            gone: false,
        })
    }
}

impl Agent {
    /// Whether it has said its last word.
    pub(super) fn is_done(&self) -> bool {
        self.line.as_ref().is_some_and(|line| line.done)
    }

    /// Whether it went without one.
    pub(super) fn is_lost(&self) -> bool {
        self.gone && !self.is_done()
    }

    /// Tells it to end.
    pub(super) fn dismiss(&mut self) {
        self.hold = None;
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.hold = None;
        if let Some(child) = &mut self.child {
            if !self.line.as_ref().is_some_and(|line| line.done) {
                // It may be gone already; that is all we want.
                let _ = child.kill();
            }
            let _ = child.wait();
        }
    }
}

impl Lines {
    fn next_line(&mut self) -> Option<String> {
        match self {
            Self::Away(reports) => reports.next_line(),
            Self::Here(output) => read_line(output, LINE_MAX_BYTES).ok()?,
        }
    }
}

fn listen(mut lines: Lines, number: usize, news: &SyncSender<News>, keep: Option<&Path>) {
    let mut kept = 0;
    while let Some(line) = lines.next_line() {
        match serde_json::from_str(&line) {
            Ok(Said::Line(line)) => {
                if news.send((number, Some(line))).is_err() {
                    return;
                }
            }
            Ok(Said::Kept(stream)) if kept < KEPT_MAX => {
                kept += 1;
                if let (Some(folder), Some(bytes)) = (keep, stream.bytes()) {
                    // A sample that cannot be written is not listened to.
                    let _ = fs::write(folder.join(format!("{}.mp4", stream.listener)), bytes);
                }
            }
            Ok(Said::Kept(_)) => {}
            // An agent that speaks nonsense is none.
            Err(_) => break,
        }
    }
    // Nobody may be left to be told.
    let _ = news.send((number, None));
}
