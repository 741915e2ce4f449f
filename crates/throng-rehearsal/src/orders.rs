//! What an agent is told: whom to send where, when, and how they behave.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::arrival::Curve;
use crate::mix::Mix;

/// Agents of a crowd: a hundred machines with as many cores.
pub const AGENTS_MAX: u32 = 10_000;
/// Listeners of a crowd; numbers of listeners fit well into 32 bits then.
pub const LISTENERS_MAX: u32 = 10_000_000;
/// No time in orders is longer, nor any clock further on: some 70 years, far from what 64 bits hold.
const TIME_MAX_US: u64 = 1 << 51;

/// The orders of one agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orders {
    /// Where the server listens.
    pub address: SocketAddr,
    /// What requests ask for.
    pub funnel: Funnel,
    /// The whole crowd.
    pub listeners: u32,
    /// How many agents share it: each has every so-manieth listener.
    pub agents: u32,
    /// Which of them this is, from 0.
    pub agent: u32,
    /// Badly behaved clients of this agent, on top of the listeners.
    pub misbehaving: u32,
    /// How the crowd comes.
    pub arrive: Curve,
    /// How long the house stays full after the last was due.
    pub stay_us: u64,
    /// How the crowd goes.
    pub leave: Curve,
    /// Which ways they listen.
    pub mix: Mix,
    /// The TLS that the server speaks.
    pub tls: Option<Tls>,
    /// Addresses to connect from; without any the system chooses.
    pub sources: Vec<IpAddr>,
    /// The network namespace to work in.
    pub netns: Option<String>,
    /// When it begins, by the monotonic clock of the agent's machine.
    pub begin_us: u64,
    /// Seed of all chance.
    pub seed: u64,
    /// Whether the streams of this agent's first listeners are kept whole, and told at the end.
    pub keep: bool,
}

/// How connections are sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// The name that the server is asked for.
    pub name: String,
    /// Who takes up an earlier session.
    pub sessions: Sessions,
}

/// Who takes up an earlier TLS session, and so spares the server most of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sessions {
    /// Nobody: every connection is a full handshake.
    New,
    /// Everybody, from when the first tickets have come: a crowd that was here a moment ago.
    Resumed,
    /// Whoever was here before, as browsers do: a crowd of first-time listeners.
    Returning,
}

/// The way of a listener through a server, as paths of requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Funnel {
    /// The `Host` header.
    pub host: String,
    /// What is asked for before any sound: page, what it names, state.
    pub before: Vec<String>,
    /// The endless answer of our page.
    pub progressive: String,
    /// Endless answers of other players, taken in turn.
    pub plain: Vec<String>,
    /// The playlist of HLS, multivariant or not.
    pub hls: String,
    /// The variant that a multivariant playlist is searched for.
    pub variant: String,
    /// Whether players add the random `?l=` of their own making.
    pub sticky: bool,
}

impl Orders {
    /// Whether they can be carried out: they may come from another program.
    pub fn are_sound(&self) -> bool {
        let times = [
            self.begin_us,
            self.arrive.length_us(),
            self.stay_us,
            self.leave.length_us(),
        ];
        self.agent < self.agents
            && self.agents <= AGENTS_MAX
            && self.listeners <= LISTENERS_MAX
            && self.misbehaving <= LISTENERS_MAX
            && times.iter().all(|time_us| *time_us <= TIME_MAX_US)
            && self.mix.is_sound()
    }

    /// When the last of the crowd leaves.
    pub fn end_us(&self) -> u64 {
        self.leave_us() + self.leave.length_us()
    }

    /// When the crowd begins to leave.
    pub fn leave_us(&self) -> u64 {
        self.begin_us + self.arrive.length_us() + self.stay_us
    }

    /// How many of the first so many of the whole crowd are this agent's.
    pub fn own_of(&self, crowd: u32) -> u32 {
        (crowd + self.agents - 1).saturating_sub(self.agent) / self.agents.max(1)
    }

    /// The number in the whole crowd of this agent's listener.
    pub fn number_of(&self, own: u32) -> u32 {
        own * self.agents + self.agent
    }
}

/// Orders of a small crowd of our page.
#[cfg(test)]
pub(crate) fn sample() -> Orders {
    Orders {
        address: SocketAddr::from(([127, 0, 0, 1], 8_080)),
        funnel: Funnel {
            host: "127.0.0.1:8080".to_owned(),
            before: vec!["/s/a".to_owned(), "/s/a/state.json".to_owned()],
            progressive: "/s/a/live.mp4".to_owned(),
            plain: vec!["/s/a/live.webm".to_owned(), "/s/a/live.aac".to_owned()],
            hls: "/s/a/hls/main.m3u8".to_owned(),
            variant: "o48".to_owned(),
            sticky: true,
        },
        listeners: 10,
        agents: 1,
        agent: 0,
        misbehaving: 0,
        arrive: Curve::Vertical,
        stay_us: 1_000_000,
        leave: Curve::Vertical,
        mix: "progressive".parse().expect("a mix"),
        tls: None,
        sources: Vec::new(),
        netns: None,
        begin_us: 0,
        seed: 1,
        keep: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_of_a_stranger_are_looked_at_before_they_are_carried_out() {
        let with = |change: fn(&mut Orders)| {
            let mut orders = sample();
            change(&mut orders);
            orders.are_sound()
        };
        assert!(with(|_| ()));
        assert!(!with(|orders| orders.agents = 0));
        assert!(!with(|orders| orders.agent = 1));
        assert!(!with(|orders| orders.listeners = u32::MAX));
        assert!(!with(|orders| orders.misbehaving = u32::MAX));
        assert!(!with(|orders| orders.begin_us = u64::MAX));
        assert!(!with(|orders| orders.stay_us = u64::MAX));
        assert!(!with(|orders| {
            orders.mix = serde_json::from_str("[]").unwrap();
        }));
        assert!(!with(|orders| {
            orders.mix = serde_json::from_str(r#"[["hls",4294967295],["plain",1]]"#).unwrap();
        }));
    }
}
