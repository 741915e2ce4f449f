//! Agents on other machines: what a leader and the machine that lends them say to each other over TCP.
//!
//! One connection is one agent. The machine that is asked says [`Hello`], the leader answers with a [`Claim`], the machine
//! says [`Welcome`], the leader gives orders, and from then on the agent's lines go back as from one at home. The key
//! that both have never travels, and from the claim on each line is sealed with it ([`seal`]). When the connection ends,
//! so does the agent: nobody's crowd outlives its leader.
//!
//! Nothing here is secret but the key: whoever listens in learns whom a crowd is sent to, and can order nothing.

pub mod leader;
pub mod lender;
pub mod seal;

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustix::net::sockopt;
use serde::{Deserialize, Serialize};

use self::seal::{Key, Seal, Side};

/// The version of all that is said; both sides must have the same.
pub const PROTOCOL: &str = "throng agents 1";
/// The longest line before a claim has held: nobody may make us keep more.
const KNOCK_MAX_BYTES: usize = 1_024;
/// The longest line afterwards: a kept stream of 4 MB in base64, or a curve of a day's seconds.
pub(crate) const LINE_MAX_BYTES: usize = 8 << 20;
/// How long the other side may take for one step of the greeting. A leader greets up to 1,000 agents one after another
/// before any is ordered about.
const GREETING_TIME: Duration = Duration::from_secs(10);
/// An agent that waits for its orders longer than this has no leader any more.
const ORDERS_TIME: Duration = Duration::from_mins(2);
/// A connection that has been dead for so long is given up, on both sides.
const DEAD_AFTER: Duration = Duration::from_secs(20);
/// Precedes the reason of a refusal, which cannot be sealed: there may be no common key.
const REFUSED: &str = "refused: ";

/// The first line of the machine that lends agents.
#[derive(Debug, Serialize, Deserialize)]
struct Hello {
    protocol: String,
    nonce: String,
}

/// The leader's answer; a line sealed over both nonces follows and proves the key.
#[derive(Debug, Serialize, Deserialize)]
struct Claim {
    nonce: String,
}

/// What a leader seals to prove its key.
const PROOF: &str = "lead";

/// What a machine says of itself to who has the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The machine, as its kernel names this boot of it: the same for all its network namespaces and containers.
    pub machine: String,
    /// Its cores.
    pub cores: u32,
    /// Connections that one agent can have.
    pub connections_max: u32,
    /// Its monotonic clock when this was said.
    pub clock_us: u64,
}

/// Both ends of a conversation.
struct Seals {
    own: Seal,
    others: Seal,
}

impl Seals {
    fn new(key: &Key, lender: &str, leader: &str, own: Side) -> Self {
        let seal = |side| Seal::new(key, [lender, leader], side);
        Self {
            own: seal(own),
            others: seal(own.other()),
        }
    }
}

/// 128 random bits in hexadecimal: never the same twice, so that nothing sealed is of use a second time.
fn nonce() -> io::Result<String> {
    let mut bytes = [0_u8; 16];
    let got = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    if got < bytes.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

/// A peer that is gone without a word is noticed.
fn watch(socket: &TcpStream) -> io::Result<()> {
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, DEAD_AFTER / 4)?;
    sockopt::set_tcp_keepintvl(socket, DEAD_AFTER / 4)?;
    sockopt::set_tcp_keepcnt(socket, 3)?;
    let dead_ms = u32::try_from(DEAD_AFTER.as_millis()).expect("seconds");
    sockopt::set_tcp_user_timeout(socket, dead_ms)?;
    socket.set_nodelay(true)
}

/// A line of at most so many bytes; none at the end.
pub(crate) fn read_line(input: &mut impl BufRead, most: usize) -> io::Result<Option<String>> {
    let mut line = String::new();
    let got = input.take(most as u64 + 1).read_line(&mut line)?;
    if got > most {
        let words = format!("a line of more than {most} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, words));
    }
    while line.ends_with(['\n', '\r']) {
        line.pop();
    }
    Ok((got > 0).then_some(line))
}

/// The next line, opened; an end is an error here.
fn hear(
    input: &mut BufReader<TcpStream>,
    seal: &mut Seal,
    most: usize,
) -> io::Result<Option<String>> {
    let Some(line) = read_line(input, most)? else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    Ok(seal.open(&line).map(str::to_owned))
}

fn say(output: &mut impl Write, line: &str) -> io::Result<()> {
    output.write_all(format!("{line}\n").as_bytes())
}

fn say_json(output: &mut impl Write, words: &impl Serialize) -> io::Result<()> {
    say(output, &serde_json::to_string(words)?)
}

#[cfg(test)]
mod tests;
