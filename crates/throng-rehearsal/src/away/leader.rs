//! The leader's end: an agent elsewhere is greeted, told its orders, and listened to.

use std::io::{self, BufReader};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::seal::{Key, Seal, Side};
use super::{
    Claim, GREETING_TIME, Hello, KNOCK_MAX_BYTES, LINE_MAX_BYTES, PROOF, PROTOCOL, REFUSED, Seals,
    Welcome, hear, nonce, read_line, say, say_json, watch,
};
use crate::agent::now_us;
use crate::orders::Orders;

/// Of a stranger's refusal so much is shown.
const REASON_MAX_CHARS: usize = 200;

/// Why there is no agent.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// What answers is no lender of agents, or one of another version.
    #[error("{at} is not a `throng agents` of this version ({PROTOCOL}): {reason}")]
    NotOne {
        /// Where.
        at: String,
        /// What it said.
        reason: String,
    },
    /// It will not have us.
    #[error("{at} refused: {reason}")]
    Refused {
        /// Where.
        at: String,
        /// Why.
        reason: String,
    },
    /// No connection, or one that broke.
    #[error("cannot reach the agents at {at}: {source}")]
    Unreachable {
        /// Where.
        at: String,
        /// What the system said.
        source: io::Error,
    },
}

/// An agent elsewhere that has greeted us and waits for orders.
pub struct Call {
    at: String,
    input: BufReader<TcpStream>,
    seals: Seals,
    /// What its machine says of itself.
    pub welcome: Welcome,
    /// By how much its clock is ahead of ours.
    ahead_us: i64,
}

/// The leader's hold on an agent that works: dropped, it ends the agent.
pub struct Leash(TcpStream);

/// What the agent says.
pub struct Reports {
    input: BufReader<TcpStream>,
    seal: Seal,
}

impl Call {
    /// Calls for one agent.
    pub fn to(at: &str, key: &Key) -> Result<Self, CallError> {
        let unreachable = |source| CallError::Unreachable {
            at: at.to_owned(),
            source,
        };
        let mut input = BufReader::new(connect(at).map_err(unreachable)?);
        let hello = read_line(&mut input, KNOCK_MAX_BYTES).map_err(unreachable)?;
        let hello = greeted(at, &hello.unwrap_or_default())?;
        let own = nonce().map_err(unreachable)?;
        let mut seals = Seals::new(key, &hello.nonce, &own, Side::Leader);
        let said_us = now_us();
        say_json(input.get_mut(), &Claim { nonce: own }).map_err(unreachable)?;
        say(input.get_mut(), &seals.own.close(PROOF)).map_err(unreachable)?;
        let line = read_line(&mut input, KNOCK_MAX_BYTES).map_err(unreachable)?;
        let line = line.unwrap_or_default();
        let ahead_us = |clock_us| ahead_us(said_us, now_us(), clock_us);
        if let Some(reason) = line.strip_prefix(REFUSED) {
            return Err(refused(at, reason));
        }
        let welcome = seals.others.open(&line);
        let welcome: Welcome = welcome
            .and_then(|words| serde_json::from_str(words).ok())
            .ok_or_else(|| refused(at, "its welcome is not sealed with our key"))?;
        let socket = input.get_ref();
        socket.set_read_timeout(None).map_err(unreachable)?;
        Ok(Self {
            at: at.to_owned(),
            ahead_us: ahead_us(welcome.clock_us),
            input,
            seals,
            welcome,
        })
    }

    /// Tells it its orders, which speak of our clock.
    pub fn order(mut self, orders: &Orders) -> Result<(Leash, Reports), CallError> {
        let mut orders = orders.clone();
        orders.begin_us = orders.begin_us.saturating_add_signed(self.ahead_us);
        let told = self.tell(&orders);
        let leash = told.and_then(|()| self.input.get_ref().try_clone());
        let leash = leash.map_err(|source| CallError::Unreachable {
            at: self.at,
            source,
        })?;
        let reports = Reports {
            input: self.input,
            seal: self.seals.others,
        };
        Ok((Leash(leash), reports))
    }

    fn tell(&mut self, orders: &Orders) -> io::Result<()> {
        let line = serde_json::to_string(orders)?;
        say(self.input.get_mut(), &self.seals.own.close(&line))
    }
}

impl Reports {
    /// The next line; none when the agent is gone, or somebody else speaks.
    pub fn next_line(&mut self) -> Option<String> {
        hear(&mut self.input, &mut self.seal, LINE_MAX_BYTES).ok()?
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        // Only our half: its last line is still to come. Where the connection is gone already, so is the agent.
        let _ = self.0.shutdown(Shutdown::Write);
    }
}

fn connect(at: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "no such host");
    for address in at.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, GREETING_TIME) {
            Ok(socket) => {
                watch(&socket)?;
                socket.set_read_timeout(Some(GREETING_TIME))?;
                socket.set_write_timeout(Some(GREETING_TIME + Duration::from_secs(1)))?;
                return Ok(socket);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn greeted(at: &str, line: &str) -> Result<Hello, CallError> {
    if let Some(reason) = line.strip_prefix(REFUSED) {
        return Err(refused(at, reason));
    }
    match serde_json::from_str::<Hello>(line) {
        Ok(hello) if hello.protocol == PROTOCOL => Ok(hello),
        Ok(other) => Err(not_one(at, &format!("it speaks {}", other.protocol))),
        Err(_) if line.is_empty() => Err(not_one(at, "it says nothing")),
        Err(_) => Err(not_one(at, line)),
    }
}

fn not_one(at: &str, reason: &str) -> CallError {
    CallError::NotOne {
        at: at.to_owned(),
        reason: shown(reason),
    }
}

fn refused(at: &str, reason: &str) -> CallError {
    CallError::Refused {
        at: at.to_owned(),
        reason: shown(reason),
    }
}

/// A stranger's words, fit for a terminal.
fn shown(words: &str) -> String {
    let plain = words
        .chars()
        .map(|char| if char.is_control() { ' ' } else { char });
    plain.take(REASON_MAX_CHARS).collect()
}

/// By how much a clock is ahead that was read between two moments of ours: off by half the time between at most.
fn ahead_us(asked_us: u64, answered_us: u64, clock_us: u64) -> i64 {
    let ours_us = asked_us.midpoint(answered_us);
    let difference = i128::from(clock_us) - i128::from(ours_us);
    i64::try_from(difference).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_compared_with_the_middle_of_the_way_there_and_back() {
        assert_eq!(ahead_us(1_000, 3_000, 2_000), 0);
        assert_eq!(ahead_us(1_000, 3_000, 9_000_000), 8_998_000);
        assert_eq!(ahead_us(9_000_000, 9_000_010, 5), -9_000_000);
        assert_eq!(ahead_us(0, 0, u64::MAX), 0, "nonsense moves nothing");
    }

    #[test]
    fn what_strangers_say_is_shown_short_and_plain() {
        assert_eq!(shown("a\u{1b}[2Jb\n"), "a [2Jb ");
        assert_eq!(shown(&"x".repeat(9_999)).len(), REASON_MAX_CHARS);
        let hello = |line: &str| greeted("there", line);
        assert!(matches!(
            hello("refused: full"),
            Err(CallError::Refused { .. })
        ));
        assert!(matches!(hello(""), Err(CallError::NotOne { .. })));
        assert!(matches!(hello("SSH-2.0-x"), Err(CallError::NotOne { .. })));
        let later = r#"{"protocol":"throng agents 2","nonce":"x"}"#;
        assert!(
            hello(later)
                .unwrap_err()
                .to_string()
                .contains("it speaks throng agents 2")
        );
    }
}
