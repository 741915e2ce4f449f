//! The crowd as a whole: starts the agents at their places, adds up what they say each second, samples the server, and
//! ends with all the evidence. Agents are processes of the caller's own program, here or lent by other machines; they stop
//! when we are gone.

mod agent;
pub mod place;

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use self::agent::{Agent, News, Waiting};
use self::place::Place;
use crate::SECOND_US;
use crate::agent::{cpu_us, now_us};
use crate::away::lender::Program;
use crate::host::Usage;
use crate::orders::Orders;
use crate::tally::Tally;
use crate::verdict::{AtPlace, Evidence, Second};

/// Connections from one address: below its 64,000 ports, so that taken ones are passed by quickly.
pub(crate) const CONNECTIONS_PER_SOURCE: u32 = 50_000;
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
    /// The program whose agents these are, and how one is started here.
    pub program: Program,
    /// Orders for all; who is who is filled in.
    pub orders: Orders,
    /// Where they run, at least one place.
    pub places: Vec<Place>,
    /// How many agents at each.
    pub agents_each: u32,
    /// Badly behaved clients, over all agents.
    pub misbehaving: u32,
    /// Folder for the streams that are kept.
    pub keep: Option<PathBuf>,
}

impl Crowd {
    /// How many agents there are.
    fn agents(&self) -> u32 {
        let places = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        self.agents_each.saturating_mul(places).max(1)
    }

    /// Orders of one agent.
    fn orders_of(&self, agent: u32, begin_us: u64) -> Orders {
        let mut orders = self.orders.clone();
        orders.agents = self.agents();
        orders.agent = agent;
        orders.begin_us = begin_us;
        orders.keep = self.keep.is_some();
        orders.misbehaving =
            (self.misbehaving + orders.agents - 1).saturating_sub(agent) / orders.agents;
        let place = &self.places[agent as usize % self.places.len()];
        if let Place::Netns(name) = place {
            orders.netns = Some(name.clone());
        } else if orders.address.ip().is_loopback() && orders.address.is_ipv4() {
            let connections = orders.own_of(orders.listeners) + orders.misbehaving;
            orders.sources = loopback_sources(agent, connections, orders.seed);
        }
        orders
    }
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
    running.conclude();
    let mut evidence = running.evidence;
    evidence.leader_cpu_us = cpu_us() - own_before_us;
    Ok(evidence)
}

struct Running<'a> {
    /// The agents; number n is at place n, counted round.
    agents: Vec<Agent>,
    places: Vec<String>,
    news: Receiver<News>,
    server: &'a Look<'a>,
    before: Usage,
    begin_us: u64,
    end_us: u64,
    last: Sample,
    evidence: Evidence,
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
        let places = crowd.places.iter().cycle();
        let waiting: Vec<Waiting> = (0..crowd.agents())
            .zip(places)
            .map(|(_, place)| Waiting::at(place, &crowd.program))
            .collect::<io::Result<_>>()?;
        // All are there: from here on it takes no longer than telling them.
        let start_us = FIRST_START_US + u64::from(crowd.agents()) * AGENT_START_US;
        let begin_us = now_us() + start_us;
        let (sender, news) = sync_channel(LINES_WAITING_MAX);
        let mut agents = Vec::new();
        for (agent, waiting) in (0..crowd.agents()).zip(waiting) {
            let orders = crowd.orders_of(agent, begin_us);
            agents.push(waiting.order(
                &orders,
                agents.len(),
                sender.clone(),
                crowd.keep.clone(),
            )?);
        }
        let before = server().unwrap_or_default();
        Ok(Self {
            agents,
            places: crowd.places.iter().map(ToString::to_string).collect(),
            news,
            server,
            before,
            begin_us,
            end_us: crowd.orders_of(0, begin_us).end_us(),
            last: Sample {
                at_us: begin_us,
                server_cpu_us: before.cpu_us,
                ..Sample::default()
            },
            evidence: Evidence {
                asked: crowd.orders.listeners,
                ..Evidence::default()
            },
        })
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
                self.agents.iter_mut().for_each(Agent::dismiss);
            }
            let all_said = self
                .agents
                .iter()
                .all(|agent| agent.gone || agent.is_done());
            if all_said || now > self.end_us + 2 * LAST_WORD_US {
                break;
            }
            let wait_us = next_us.saturating_sub(now).clamp(1_000, SECOND_US / 5);
            match self.news.recv_timeout(Duration::from_micros(wait_us)) {
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
        for agent in &self.agents {
            let Some(line) = &agent.line else { continue };
            tally.merge(&line.tally);
            if agent.is_lost() {
                // Its listeners went with it.
                tally.listening -= line.tally.listening;
            }
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
            connects: tally.connects,
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

    /// Counts by place, and lets all agents go; who has not said its last word is lost.
    fn conclude(&mut self) {
        for (place, at) in self.places.iter().enumerate() {
            let mut found = AtPlace::new(at);
            for agent in self.agents.iter().skip(place).step_by(self.places.len()) {
                let tally = agent.line.as_ref().map(|line| &line.tally);
                found.add(tally, !agent.is_done());
            }
            self.evidence.agents_lost += found.lost;
            self.evidence.places.push(found);
        }
        self.agents.clear();
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
