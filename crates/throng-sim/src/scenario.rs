//! What a scenario says: who comes when, to which nodes, what breaks, and which limits hold. Read by whoever links this
//! crate, from whatever format serde reads.

use serde::{Deserialize, Serialize};

/// An evening.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it is called.
    pub title: String,
    /// How long it is watched.
    pub duration_s: u32,
    /// When the talk begins; before, the hold programme is on air, and the order of the queue is not drawn.
    #[serde(default)]
    pub starts_s: u32,
    /// Which kind of service it meets.
    #[serde(default)]
    pub service: Service,
    /// The machines.
    pub nodes: Nodes,
    /// Who comes.
    pub crowd: Vec<Crowd>,
    /// What breaks.
    #[serde(default)]
    pub fault: Vec<Fault>,
    /// Machines that take tickets and never use them.
    #[serde(default)]
    pub hoard: Vec<Hoard>,
    /// What must hold.
    #[serde(default)]
    pub limits: Limits,
}

/// How people are let in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// Seven calls of a millisecond or two for each who comes, no admission, retries every two seconds.
    Naive,
    /// What this project does.
    #[default]
    Throng,
}

/// Machines that are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nodes {
    /// How many.
    pub count: u16,
    /// Cores of each.
    #[serde(default = "two")]
    pub cores: u32,
    /// Listeners that each lets in (`--listeners-max`).
    pub listeners_max: u64,
    /// Bits per second that each sends (`--egress-max`); without it the line has no end.
    #[serde(default)]
    pub egress_max: Option<u64>,
    /// Listeners come over TLS.
    #[serde(default)]
    pub tls: bool,
    /// A cache in front answers for pages and for the counter of the queue.
    #[serde(default)]
    pub cache: bool,
    /// Whether joins are judged by what they waited in the kernel, too, and not only by how late the node is.
    #[serde(default)]
    pub judges_backlog: bool,
}

/// People who are alike.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crowd {
    /// How many.
    pub people: u64,
    /// By which second how many have come; straight lines between, and the last is all of them.
    pub arrive: Vec<(u32, u64)>,
    /// How long they listen on average: from half of it to half as much again.
    pub stay_s: u32,
    /// Nobody stays longer than till then; they leave within this time.
    #[serde(default)]
    pub leave: Option<Leave>,
    /// How long they try to get in, on average.
    pub patience_s: u32,
    /// Percent who use a player of their own choice, which knows no tickets.
    #[serde(default)]
    pub plain_percent: u32,
    /// Percent behind one address of a carrier.
    #[serde(default)]
    pub carrier_percent: u32,
    /// Percent whose line is too slow for what they ask for, or stalls.
    #[serde(default)]
    pub slow_percent: u32,
}

/// The end of an evening.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leave {
    /// When the first leave.
    pub from_s: u32,
    /// Until all have.
    pub over_s: u32,
}

/// Something breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Fault {
    /// A machine is gone with all that it knew.
    NodeDies {
        /// Which, from 0.
        node: u16,
        /// When.
        at_s: u32,
        /// When another stands in its place.
        #[serde(default)]
        returns_s: Option<u32>,
    },
    /// All processes that serve are gone, and come back; what they share stays.
    Outage {
        /// When.
        at_s: u32,
        /// How long.
        for_s: u32,
    },
}

impl Fault {
    /// From when on it may heal.
    pub fn over_s(self) -> u32 {
        match self {
            Self::NodeDies { at_s, .. } => at_s,
            Self::Outage { at_s, for_s } => at_s + for_s,
        }
    }

    /// When it breaks.
    pub fn at_s(self) -> u32 {
        match self {
            Self::NodeDies { at_s, .. } | Self::Outage { at_s, .. } => at_s,
        }
    }
}

/// Tickets for nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hoard {
    /// How many are asked for.
    pub tickets: u64,
    /// From when on.
    pub from_s: u32,
    /// In which time.
    pub over_s: u32,
}

/// What must hold; absent means that nothing is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Of the sound that could be heard, so much is, at least.
    pub goodput_min: Option<f64>,
    /// At most: where a service without a plan is shown to fail.
    pub goodput_max: Option<f64>,
    /// Percent of the people who hear the talk in time, at least.
    pub in_time_percent_min: Option<f64>,
    /// Percent who never hear anything, at most.
    pub never_percent_max: Option<f64>,
    /// Seconds after a fault until those whom it put out are in again, at most.
    pub healed_s_max: Option<u32>,
    /// By how many percent people behind one address may be refused more often than others.
    pub carrier_percent_max: Option<f64>,
    /// Listeners who are closed by us; 0 if nothing is said.
    #[serde(default)]
    pub evicted_max: u64,
}

const fn two() -> u32 {
    2
}

impl Scenario {
    /// People who come.
    pub fn people(&self) -> u64 {
        self.crowd.iter().map(|crowd| crowd.people).sum()
    }

    /// What makes no sense, if anything does not.
    pub fn nonsense(&self) -> Option<String> {
        let rises = |points: &[(u32, u64)]| {
            let pairs = points.iter().zip(points.iter().skip(1));
            !points.is_empty() && pairs.clone().all(|(a, b)| a.0 < b.0 && a.1 <= b.1)
        };
        let count = self.nodes.count;
        let is_known =
            |fault: &Fault| !matches!(fault, Fault::NodeDies { node, .. } if *node >= count);
        let named = [
            (
                self.duration_s == 0 || self.duration_s > DURATION_MAX_S,
                "duration_s must be 1 to 86400",
            ),
            (
                count == 0 || count > NODES_MAX,
                "nodes.count must be 1 to 256",
            ),
            (
                self.nodes.cores == 0 || self.nodes.cores > 1_024,
                "nodes.cores must be 1 to 1024",
            ),
            (
                self.nodes.listeners_max == 0,
                "nodes.listeners_max must not be 0",
            ),
            (
                self.people() == 0 || self.people() > PEOPLE_MAX,
                "1 to 100000000 people must come",
            ),
            (self.crowd.len() > CROWDS_MAX, "there are too many crowds"),
            (
                !self.crowd.iter().all(|crowd| rises(&crowd.arrive)),
                "arrive: times must rise, and numbers not fall",
            ),
            (
                self.crowd
                    .iter()
                    .any(|crowd| crowd.arrive.last().is_none_or(|last| last.1 == 0)),
                "arrive: nobody comes",
            ),
            (
                !self.fault.iter().all(is_known),
                "a fault names a node that is not there",
            ),
        ];
        let wrong = named.into_iter().find(|(is_wrong, _)| *is_wrong);
        wrong.map(|(_, words)| words.to_owned())
    }
}

/// A day: each second is kept.
const DURATION_MAX_S: u32 = 86_400;
/// Each has a board of some megabytes.
const NODES_MAX: u16 = 256;
/// The counts of people stay far from the end of numbers.
const PEOPLE_MAX: u64 = 100_000_000;
/// Told apart by one byte.
const CROWDS_MAX: usize = 200;
