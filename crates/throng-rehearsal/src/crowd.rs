//! The crowd as a whole: starts the agents, adds up what they say each second, samples the server, and ends with all the
//! evidence. Agents are processes of the caller's own program; they stop when we are gone.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use crate::SECOND_US;
use crate::agent::{Line, cpu_us, now_us};
use crate::host::Usage;
use crate::orders::Orders;
use crate::tally::Tally;
use crate::verdict::{Evidence, Second};

/// Connections from one address: below its 64,000 ports, so that taken ones are passed by quickly.
const CONNECTIONS_PER_SOURCE: u32 = 50_000;
/// A thread of an agent looks after so many before another core helps.
const LISTENERS_PER_CORE: u32 = 50_000;
/// Lines that wait to be read; an agent writes one each second.
const LINES_WAITING_MAX: usize = 1_024;
/// Until all agents stand ready, for each of them.
const AGENT_START_US: u64 = 30_000;
const FIRST_START_US: u64 = 300_000;
/// After the end agents are waited for so long; one that says nothing by then is lost.
const LAST_WORD_US: u64 = 15 * SECOND_US;

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Crowd {
    /// The program whose agents these are, and how one is started.
    pub program: PathBuf,
    /// Its arguments for that.
    pub arguments: Vec<OsString>,
    /// Orders for all; who is who is filled in.
    pub orders: Orders,
    /// How many agents.
    pub agents: u32,
    /// Badly behaved clients, over all agents.
    pub misbehaving: u32,
}

/// How many agents a crowd needs: as many as what one of them can have asks for, and cores can help.
pub fn agents_for(connections: u32, each_max: u32, cores: u32) -> u32 {
    let by_cores = connections.div_ceil(LISTENERS_PER_CORE).min(cores);
    connections.div_ceil(each_max.max(1)).max(by_cores).max(1)
}

/// Addresses of 127.0.0.0/8 for one agent's connections; runs with different seeds use different ones.
pub fn loopback_sources(agent: u32, connections: u32, seed: u64) -> Vec<IpAddr> {
    let count = connections / CONNECTIONS_PER_SOURCE + 1;
    let [_, high, low, _] = (agent << 8).to_be_bytes();
    let second = 64
        + u8::try_from(seed % 128)
            .expect("below 128")
            .wrapping_add(high);
    (1..=count.min(250))
        .map(|place| {
            let last = u8::try_from(place).expect("at most 250");
            IpAddr::V4(Ipv4Addr::new(127, second, low, last))
        })
        .collect()
}

/// What the server uses now, where that can be seen.
pub type Look<'a> = dyn Fn() -> Option<Usage> + 'a;

/// Runs a crowd to its end, or until `stop` says so.
pub fn run(
    crowd: &Crowd,
    server: &Look<'_>,
    stop: &dyn Fn() -> bool,
    each_second: &mut dyn FnMut(&Second),
) -> io::Result<Evidence> {
    let own_before_us = cpu_us();
    let mut running = Running::start(crowd, server)?;
    running.collect(stop, each_second);
    running.dismiss();
    let mut evidence = running.evidence;
    evidence.leader_cpu_us = cpu_us() - own_before_us;
    Ok(evidence)
}

struct Running<'a> {
    agents: Vec<Agent>,
    lines: Receiver<(usize, Option<Line>)>,
    server: &'a Look<'a>,
    before: Usage,
    begin_us: u64,
    end_us: u64,
    last: Sample,
    evidence: Evidence,
}

struct Agent {
    child: Child,
    /// Closed, it ends the agent.
    input: Option<ChildStdin>,
    line: Option<Line>,
    gone: bool,
}

/// What the second before ended with.
#[derive(Default)]
struct Sample {
    at_us: u64,
    joined: u64,
    client_cpu_us: u64,
    server_cpu_us: u64,
}

impl<'a> Running<'a> {
    fn start(crowd: &Crowd, server: &'a Look<'a>) -> io::Result<Self> {
        let (sender, lines) = sync_channel(LINES_WAITING_MAX);
        let start_us = FIRST_START_US + u64::from(crowd.agents) * AGENT_START_US;
        let mut orders = crowd.orders.clone();
        orders.agents = crowd.agents;
        orders.begin_us = now_us() + start_us;
        let before = server().unwrap_or_default();
        let mut running = Self {
            agents: Vec::new(),
            lines,
            server,
            before,
            begin_us: orders.begin_us,
            end_us: orders.end_us(),
            last: Sample {
                at_us: orders.begin_us,
                server_cpu_us: before.cpu_us,
                ..Sample::default()
            },
            evidence: Evidence {
                asked: orders.listeners,
                ..Evidence::default()
            },
        };
        for agent in 0..crowd.agents {
            orders.agent = agent;
            orders.misbehaving =
                (crowd.misbehaving + crowd.agents - 1).saturating_sub(agent) / crowd.agents;
            if orders.address.ip().is_loopback() && orders.address.is_ipv4() {
                let connections = orders.own_of(orders.listeners) + orders.misbehaving;
                orders.sources = loopback_sources(agent, connections, orders.seed);
            }
            let begun = Agent::start(crowd, &orders, running.agents.len(), sender.clone())?;
            running.agents.push(begun);
        }
        Ok(running)
    }

    /// Takes lines and makes a second of them each second, until every agent has said its last.
    fn collect(&mut self, stop: &dyn Fn() -> bool, each_second: &mut dyn FnMut(&Second)) {
        // Agents report on the second; half a second later all have.
        let mut next_us = self.begin_us + SECOND_US + SECOND_US / 2;
        loop {
            let now = now_us();
            if now >= next_us {
                let second = self.second(now);
                each_second(&second);
                self.evidence.seconds.push(second);
                next_us = next_us.max(now.saturating_sub(SECOND_US)) + SECOND_US;
            }
            if stop() || now > self.end_us + LAST_WORD_US {
                self.agents.iter_mut().for_each(|agent| agent.input = None);
            }
            let all_said = self
                .agents
                .iter()
                .all(|agent| agent.gone || agent.line.as_ref().is_some_and(|line| line.done));
            if all_said || now > self.end_us + 2 * LAST_WORD_US {
                break;
            }
            let wait_us = next_us.saturating_sub(now).clamp(1_000, SECOND_US / 5);
            match self.lines.recv_timeout(Duration::from_micros(wait_us)) {
                Ok((agent, Some(line))) => self.agents[agent].line = Some(line),
                Ok((agent, None)) => self.agents[agent].gone = true,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
        let last = self.second(now_us());
        each_second(&last);
        self.evidence.seconds.push(last);
    }

    /// Adds up what is known now.
    fn second(&mut self, now: u64) -> Second {
        let mut tally = Tally::default();
        let (mut wait_us, mut lag_us) = (0, 0);
        for line in self.agents.iter().filter_map(|agent| agent.line.as_ref()) {
            tally.merge(&line.tally);
            wait_us = line.wait_us.max(wait_us);
            lag_us = line.lag_us.max(lag_us);
        }
        tally.held_peak = self.evidence.tally.held_peak.max(tally.listening);
        if self.agents.len() == 1 {
            let only = self.agents[0].line.as_ref();
            tally.held_peak = only.map_or(0, |line| line.tally.held_peak);
        }
        let usage = (self.server)();
        let passed_us = now.saturating_sub(self.last.at_us).max(1);
        let millicores = |used_us: u64| used_us * 1_000 / passed_us;
        let server_cpu_us = usage.map(|usage| usage.cpu_us);
        let second = Second {
            at_ms: now.saturating_sub(self.begin_us) / 1_000,
            begun: tally.begun,
            listening: tally.listening,
            joins: tally.joined - self.last.joined,
            joined: tally.joined,
            failed: tally.failed,
            refused: tally.refused.values().sum(),
            lost: tally.lost,
            gaps: tally.gaps,
            wait_ms: wait_us / 1_000,
            delivered_seconds: tally.delivered_seconds(),
            server_cpu_millicores: server_cpu_us
                .map(|used_us| millicores(used_us.saturating_sub(self.last.server_cpu_us))),
            client_cpu_millicores: millicores(tally.cpu_us.saturating_sub(self.last.client_cpu_us)),
            server_memory_bytes: usage.map(|usage| usage.memory_bytes),
            socket_memory_bytes: usage.and_then(|usage| usage.socket_bytes),
            client_lag_ms: lag_us / 1_000,
        };
        self.last = Sample {
            at_us: now,
            joined: tally.joined,
            client_cpu_us: tally.cpu_us,
            server_cpu_us: server_cpu_us.unwrap_or(0),
        };
        self.evidence.server_cpu_us =
            server_cpu_us.map(|used_us| used_us.saturating_sub(self.before.cpu_us));
        self.evidence.tally = tally;
        second
    }

    /// Lets all agents go; who has not said its last word is lost.
    fn dismiss(&mut self) {
        for agent in &mut self.agents {
            let done = agent.line.as_ref().is_some_and(|line| line.done);
            self.evidence.agents_lost += u32::from(!done);
            agent.input = None;
            if !done {
                // It may be gone already; that is all we want.
                let _ = agent.child.kill();
            }
            let _ = agent.child.wait();
        }
    }
}

impl Agent {
    fn start(
        crowd: &Crowd,
        orders: &Orders,
        place: usize,
        lines: SyncSender<(usize, Option<Line>)>,
    ) -> io::Result<Self> {
        let mut child = Command::new(&crowd.program)
            .args(&crowd.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C is for us: agents are told by their input.
            .process_group(0)
            .spawn()?;
        let mut input = child.stdin.take();
        if let Some(input) = &mut input {
            serde_json::to_writer(&mut *input, orders)?;
            writeln!(input)?;
        }
        let output = BufReader::new(child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?);
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).ok();
                if lines.send((place, line)).is_err() {
                    return;
                }
            }
            // Nobody may be left to be told.
            let _ = lines.send((place, None));
        });
        Ok(Self {
            child,
            input,
            line: None,
            gone: false,
        })
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.input = None;
        // Where it ended by itself there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_cores_say_how_many_agents_there_are() {
        assert_eq!(agents_for(15_000, 20_000, 2), 1);
        assert_eq!(agents_for(60_000, 19_936, 2), 4);
        assert_eq!(agents_for(200_000, 1_000_000, 8), 4);
        assert_eq!(agents_for(1_400_000, u32::MAX, 2), 2);
        assert_eq!(agents_for(0, 20_000, 2), 1);
    }

    #[test]
    fn every_agent_has_addresses_of_its_own_and_ports_enough() {
        let mut all: Vec<IpAddr> = (0..600)
            .flat_map(|agent| loopback_sources(agent, 120_000, 7))
            .collect();
        assert_eq!(all.len(), 1_800);
        assert!(all.iter().all(IpAddr::is_loopback));
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 1_800);
    }

    #[test]
    fn agents_share_a_crowd_without_rest() {
        let orders = |agent| Orders {
            agents: 7,
            agent,
            ..crate::orders::sample()
        };
        for crowd in [0, 1, 6, 7, 8, 1_000] {
            let sum: u32 = (0..7).map(|agent| orders(agent).own_of(crowd)).sum();
            assert_eq!(sum, crowd);
        }
        assert_eq!(orders(3).number_of(orders(3).own_of(1_000) - 1), 997);
    }
}
