//! The lender's end: waits for leaders, and starts an agent for each connection of one who has the key.
//!
//! An agent is a process of the caller's own program, as at home: orders on its input, lines on its output. A thread
//! carries its lines back, another waits for the leader to hang up; then the agent's input is closed, and it ends.

use std::ffi::OsString;
use std::io::{self, BufReader};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::thread;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::seal::{Key, Seal, Side};
use super::{
    Claim, GREETING_TIME, Hello, KNOCK_MAX_BYTES, LINE_MAX_BYTES, ORDERS_TIME, PROOF, PROTOCOL,
    REFUSED, Seals, Welcome, hear, nonce, read_line, say, say_json, watch,
};
use crate::agent::{connections_max, now_us};
use crate::host;
use crate::orders::Orders;

/// Agents at once, those that are still greeted included; who comes on top is refused. More than cores are of no use,
/// more than this are somebody's who has no key.
const AGENTS_MAX: usize = 256;
/// How soon a wish to stop is noticed.
const LOOK_AROUND: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 200_000_000,
};

/// How an agent is started.
#[derive(Clone, Debug)]
pub struct Program {
    /// The program.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

impl Program {
    /// Starts it as a process that takes orders on its input.
    pub(crate) fn start(&self) -> io::Result<Child> {
        Command::new(&self.path)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C is for us: agents are told by their input.
            .process_group(0)
            .spawn()
    }
}

/// What happens at a lender, for its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A leader looked whether he can have agents.
    Asked(SocketAddr),
    /// An agent has its orders.
    Began(SocketAddr),
    /// It has ended.
    Ended(SocketAddr),
    /// Somebody without the key.
    Refused(SocketAddr),
}

/// Serves leaders until told to stop. Agents that still work then end when this process does.
pub fn serve(
    listener: &TcpListener,
    key: &Key,
    program: &Program,
    stop: &dyn Fn() -> bool,
    note: impl Fn(Event) + Clone + Send + 'static,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let seats = Arc::new(());
    while !stop() {
        let mut ready = [PollFd::new(listener, PollFlags::IN)];
        match poll(&mut ready, Some(&LOOK_AROUND)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => continue,
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        // Who hung up meanwhile, or cannot be let in for want of descriptors, is none of the others' business.
        let Ok((mut socket, from)) = listener.accept() else {
            thread::sleep(std::time::Duration::from_millis(10));
            continue;
        };
        if Arc::strong_count(&seats) > AGENTS_MAX {
            let _ = say(
                &mut socket,
                &format!("{REFUSED}all {AGENTS_MAX} agents are taken"),
            );
            continue;
        }
        let (seat, key, program, note) =
            (seats.clone(), key.clone(), program.clone(), note.clone());
        thread::spawn(move || {
            match greet(socket, &key) {
                Ok(None) => note(Event::Asked(from)),
                Ok(Some(lent)) => {
                    note(Event::Began(from));
                    // What became of it the leader has seen by its lines.
                    let _ = lent.work(&program);
                    note(Event::Ended(from));
                }
                Err(_) => note(Event::Refused(from)),
            }
            drop(seat);
        });
    }
    Ok(())
}

/// A connection whose leader has proved himself and given orders.
struct Lent {
    input: BufReader<TcpStream>,
    seal: Seal,
    orders: String,
}

/// `None` where a leader has proved himself, and wants no agent now.
fn greet(socket: TcpStream, key: &Key) -> io::Result<Option<Lent>> {
    socket.set_nonblocking(false)?;
    watch(&socket)?;
    socket.set_read_timeout(Some(GREETING_TIME))?;
    let mut input = BufReader::new(socket);
    let own = nonce()?;
    let hello = Hello {
        protocol: PROTOCOL.to_owned(),
        nonce: own.clone(),
    };
    say_json(input.get_mut(), &hello)?;
    let claim = read_line(&mut input, KNOCK_MAX_BYTES)?.unwrap_or_default();
    let Ok(claim) = serde_json::from_str::<Claim>(&claim) else {
        return turned_away(&mut input, "that is no claim to lead");
    };
    let mut seals = Seals::new(key, &own, &claim.nonce, Side::Lender);
    let proof = hear(&mut input, &mut seals.others, KNOCK_MAX_BYTES)?;
    if proof.as_deref() != Some(PROOF) {
        return turned_away(&mut input, "the key is not the one of these agents");
    }
    let welcome = serde_json::to_string(&here())?;
    say(input.get_mut(), &seals.own.close(&welcome))?;
    input.get_ref().set_read_timeout(Some(ORDERS_TIME))?;
    let Some(line) = read_line(&mut input, LINE_MAX_BYTES)? else {
        return Ok(None);
    };
    let orders = seals.others.open(&line);
    let Some(orders) = orders.filter(|orders| serde_json::from_str::<Orders>(orders).is_ok())
    else {
        return turned_away(&mut input, "these orders cannot be understood");
    };
    Ok(Some(Lent {
        orders: orders.to_owned(),
        input,
        seal: seals.own,
    }))
}

fn turned_away<T>(input: &mut BufReader<TcpStream>, reason: &str) -> io::Result<T> {
    say(input.get_mut(), &format!("{REFUSED}{reason}"))?;
    Err(io::Error::new(io::ErrorKind::PermissionDenied, reason))
}

fn here() -> Welcome {
    Welcome {
        machine: host::machine(),
        cores: thread::available_parallelism()
            .map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX)),
        connections_max: connections_max(),
        clock_us: now_us(),
    }
}

impl Lent {
    /// Runs the agent until it is done or its leader is gone.
    fn work(self, program: &Program) -> io::Result<()> {
        let Self {
            mut input,
            seal,
            orders,
        } = self;
        let mut child = program.start()?;
        let began = child.stdin.as_mut().map(|pipe| say(pipe, &orders));
        let output = child.stdout.take();
        let back = input.get_ref().try_clone()?;
        let reports = thread::spawn(move || {
            if let Some(output) = output {
                // A leader who does not take them has hung up.
                let _ = report(output, seal, &back);
            }
            // Wakes who waits for the leader below.
            let _ = back.shutdown(Shutdown::Both);
        });
        if matches!(began, Some(Ok(()))) {
            input.get_ref().set_read_timeout(None)?;
            // Nothing more is said to an agent: the next thing is the end.
            let _ = read_line(&mut input, KNOCK_MAX_BYTES);
        }
        drop(child.stdin.take());
        let _ = reports.join();
        child.wait().map(drop)
    }
}

fn report(output: ChildStdout, mut seal: Seal, mut back: &TcpStream) -> io::Result<()> {
    let mut output = BufReader::new(output);
    while let Some(line) = read_line(&mut output, LINE_MAX_BYTES)? {
        say(&mut back, &seal.close(&line))?;
    }
    Ok(())
}
