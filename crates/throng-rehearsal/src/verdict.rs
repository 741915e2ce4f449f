//! What a rehearsal has shown: its seconds, its summary, what gave way first, and how many slots that grants. Pure.

mod summary;

use serde::{Deserialize, Serialize};

pub use self::summary::{Gaps, Percentiles, ShownHandshakes, Summary};
use crate::tally::Tally;

/// An agent that looks after nobody for longer cannot tell a late server from its own lateness: half the shortest span.
const LAG_MAX_US: u64 = 480_000;

/// One second of a rehearsal. Counts are totals so far, but for `joins`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Second {
    /// Since the beginning.
    pub at_ms: u64,
    /// Who has set out.
    pub begun: u64,
    /// Connections that were begun.
    pub connects: u64,
    /// To whom sound comes now.
    pub listening: u64,
    /// Who has joined since the second before.
    pub joins: u64,
    /// Who has joined.
    pub joined: u64,
    /// Who gave up before.
    pub failed: u64,
    /// Answers that refused.
    pub refused: u64,
    /// Connections that were lost while sound came.
    pub lost: u64,
    /// Holes in what was heard.
    pub gaps: u64,
    /// The longest time between two deliveries to a listener, in this second.
    pub wait_ms: u64,
    /// Sound that was delivered, seconds.
    pub delivered_seconds: u64,
    /// CPU of the server in this second, thousandths of a core; null where it cannot be seen.
    pub server_cpu_millicores: Option<u64>,
    /// CPU of the agents in this second, thousandths of a core.
    pub client_cpu_millicores: u64,
    /// Resident memory of the server.
    pub server_memory_bytes: Option<u64>,
    /// Memory of all TCP sockets of the server's machine.
    pub socket_memory_bytes: Option<u64>,
    /// The longest time in which an agent looked after nobody, in this second.
    pub client_lag_ms: u64,
}

impl Second {
    /// Whether somebody has been left without by then.
    fn has_trouble(&self) -> bool {
        self.failed + self.refused + self.lost + self.gaps > 0
    }
}

/// What gave way first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Limit {
    /// The crowd itself: nothing is known of the server.
    Client,
    /// Nothing: the server may hold more.
    None,
    /// The server.
    Server,
}

impl Limit {
    /// As it stands in the summary.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::None => "none",
            Self::Server => "server",
        }
    }
}

/// What is known of both sides at the end.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// The size of the crowd.
    pub asked: u32,
    /// All counts.
    pub tally: Tally,
    /// Second by second.
    pub seconds: Vec<Second>,
    /// Agents that ended without a last word.
    pub agents_lost: u32,
    /// What was counted at each place where agents ran.
    pub places: Vec<AtPlace>,
    /// What the server used during the rehearsal, where it can be seen.
    pub server_cpu_us: Option<u64>,
    /// CPU time of whoever leads the agents.
    pub leader_cpu_us: u64,
}

impl Evidence {
    /// What gave way first.
    pub fn limit(&self) -> Limit {
        let tally = &self.tally;
        let all_well = tally.joined == u64::from(self.asked)
            && tally.failed + tally.lost + tally.gaps + tally.refused.values().sum::<u64>() == 0;
        if self.agents_lost > 0 || tally.own_limits > 0 {
            return Limit::Client;
        }
        match all_well {
            true => Limit::None,
            false if tally.longest_lag_us > LAG_MAX_US => Limit::Client,
            false => Limit::Server,
        }
    }

    /// The first second in which somebody had been left without.
    pub fn first_trouble(&self) -> Option<&Second> {
        self.seconds.iter().find(|second| second.has_trouble())
    }

    /// How many listeners at once were held before anybody was left without.
    pub fn slots(&self) -> u64 {
        let well = self
            .seconds
            .iter()
            .take_while(|second| !second.has_trouble());
        match self.limit() {
            Limit::Client => 0,
            Limit::None => self.tally.held_peak,
            Limit::Server => well.map(|second| second.listening).max().unwrap_or(0),
        }
    }
}

/// The agents of one place: which machine ran what, and whether it was up to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AtPlace {
    /// `here`, `netns NAME`, or the address of a machine that lent them.
    pub at: String,
    /// How many.
    pub agents: u32,
    /// Those that ended without a last word.
    pub lost: u32,
    /// Who got sound.
    pub joined: u64,
    /// Who gave up before.
    pub failed: u64,
    /// Holes in what was heard.
    pub gaps: u64,
    /// Their CPU time.
    pub cpu_ms: u64,
    /// The longest time in which one of them looked after nobody.
    pub lag_ms: u64,
}

impl AtPlace {
    /// A place without agents yet.
    pub fn new(at: &str) -> Self {
        Self {
            at: at.to_owned(),
            ..Self::default()
        }
    }

    /// Adds one agent, with what it has counted.
    pub fn add(&mut self, tally: Option<&Tally>, is_lost: bool) {
        self.agents += 1;
        self.lost += u32::from(is_lost);
        if let Some(tally) = tally {
            self.joined += tally.joined;
            self.failed += tally.failed;
            self.gaps += tally.gaps;
            self.cpu_ms += tally.cpu_us / 1_000;
            self.lag_ms = self.lag_ms.max(tally.longest_lag_us / 1_000);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence() -> Evidence {
        let seconds = [(1, 500, 0), (2, 1_000, 0), (3, 1_000, 4), (4, 900, 9)];
        let seconds = seconds.map(|(at, listening, gaps)| Second {
            at_ms: at * 1_000,
            listening,
            gaps,
            ..Second::default()
        });
        let tally = Tally {
            joined: 1_000,
            held_peak: 1_000,
            ..Tally::default()
        };
        Evidence {
            asked: 1_000,
            tally,
            seconds: seconds.to_vec(),
            ..Evidence::default()
        }
    }

    #[test]
    fn a_house_where_nobody_missed_anything_grants_all_it_held() {
        let mut evidence = evidence();
        evidence.tally.longest_lag_us = 2 * LAG_MAX_US;
        assert_eq!((evidence.limit(), evidence.slots()), (Limit::None, 1_000));
    }

    #[test]
    fn a_server_that_gave_way_grants_what_it_held_before() {
        let mut evidence = evidence();
        evidence.tally.gaps = 9;
        evidence.seconds[1].listening = 800;
        assert_eq!((evidence.limit(), evidence.slots()), (Limit::Server, 800));
        evidence.seconds[0].refused = 1;
        assert_eq!(evidence.slots(), 0);
    }

    #[test]
    fn a_generator_that_gave_way_grants_nothing() {
        let with = |change: fn(&mut Evidence)| {
            let mut evidence = evidence();
            change(&mut evidence);
            (evidence.limit(), evidence.slots())
        };
        let nothing = (Limit::Client, 0);
        assert_eq!(with(|evidence| evidence.agents_lost = 1), nothing);
        assert_eq!(with(|evidence| evidence.tally.own_limits = 1), nothing);
        let late = with(|evidence| {
            evidence.tally.gaps = 1;
            evidence.tally.longest_lag_us = LAG_MAX_US + 1;
        });
        assert_eq!(late, nothing);
    }

    #[test]
    fn the_last_line_has_the_names_of_the_contract() {
        let line = serde_json::to_value(evidence().summary()).unwrap();
        for name in [
            "asked",
            "joined",
            "held_peak",
            "failed",
            "queued",
            "refused_by_reason",
            "join_ms",
            "first_sound_ms",
            "gaps",
            "delivered_audio_seconds",
            "server_cpu_seconds",
            "client_cpu_seconds",
            "server_memory_bytes",
        ] {
            assert!(line.get(name).is_some(), "{name}");
        }
        assert_eq!(line["limit"], "none");
        assert!(line["join_ms"]["p99"].is_u64() && line["gaps"]["longest_ms"].is_u64());
    }
}
