//! What came of an evening.

use serde::Serialize;

use crate::scenario::{Fault, Limits, Scenario, Service};
use crate::tally::Tally;

/// The answer of a simulation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// What it was called.
    pub title: String,
    /// Which kind of service it was.
    pub service: Service,
    /// The seed, from which all of it follows.
    pub seed: u64,
    /// People who came.
    pub people: u64,
    /// How many people each stood for who was simulated.
    pub people_per_individual: u64,
    /// Those who heard something within ten seconds, or before the talk began.
    pub heard_in_time: u64,
    /// Those who heard something later.
    pub heard_late: u64,
    /// Those who gave up, or still waited at the end.
    pub never_heard: u64,
    /// Listeners whom the service closed by its own fault or will, other than by a fault of the scenario.
    pub evicted: u64,
    /// Listeners who were closed because their own line did not carry the leanest rendition.
    pub closed_too_slow: u64,
    /// Listeners whom a fault put out.
    pub interrupted: u64,
    /// Of them, those who still wanted to hear it at the end, or had given up, and were not in.
    pub not_back: u64,
    /// Sound that was delivered, of what could have been to those who wanted it, by the places there were.
    pub goodput: f64,
    /// How often a place was taken that was somebody's who stood before.
    pub queue_order_violations: u64,
    /// Whether the books of every node balanced in every second.
    pub ledger_balanced: bool,
    /// Seconds from the end of the worst fault until 99 % of those whom it put out were in again.
    pub healed_s: Option<u32>,
    /// From wanting to hear it to the first sound, of those who heard any.
    pub wait_s: Waits,
    /// Refusals for each person on a line of his own.
    pub refused_per_person_own: f64,
    /// Refusals for each person behind one address of a carrier.
    pub refused_per_person_carrier: f64,
    /// Tickets that nobody wanted to use.
    pub hoarded: u64,
    /// Attempts to connect that no node saw.
    pub unseen: u64,
    /// Each second, or each of several.
    pub series: Series,
}

/// How long people waited, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Waits {
    /// On average.
    pub mean: f64,
    /// Half of them.
    pub p50: f64,
    /// Nearly all of them.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

/// How it went; each list has one number for each of the seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Series {
    /// Seconds since the beginning.
    pub second: Vec<u64>,
    /// People who want to hear it.
    pub wanting: Vec<u64>,
    /// Places that nodes have.
    pub places: Vec<u64>,
    /// Listeners.
    pub listening: Vec<u64>,
    /// People who were put out by a fault and are not in again.
    pub out: Vec<u64>,
    /// Tickets that are neither served nor over.
    pub queued: Vec<u64>,
    /// Joins in this second.
    pub joins: Vec<u64>,
    /// Refusals in this second.
    pub refusals: Vec<u64>,
    /// Percent of the processors in use.
    pub cpu_percent: Vec<u64>,
    /// The deepest rung.
    pub rung: Vec<u64>,
}

impl Series {
    /// Every so many of its seconds.
    fn thinned(&self, step: usize) -> Self {
        let thin = |list: &Vec<u64>| list.iter().copied().step_by(step.max(1)).collect();
        Self {
            second: thin(&self.second),
            wanting: thin(&self.wanting),
            places: thin(&self.places),
            listening: thin(&self.listening),
            out: thin(&self.out),
            queued: thin(&self.queued),
            joins: thin(&self.joins),
            refusals: thin(&self.refusals),
            cpu_percent: thin(&self.cpu_percent),
            rung: thin(&self.rung),
        }
    }
}

/// Points of a series that are told.
const POINTS_MAX: usize = 1_200;
/// Nearly all.
const HEALED_PERCENT: u64 = 99;

/// What else an outcome is made of.
pub(crate) struct Ending {
    pub(crate) seed: u64,
    pub(crate) weight: u64,
    pub(crate) individuals: u64,
    pub(crate) not_back: u64,
    pub(crate) violations: u64,
}

impl Outcome {
    pub(crate) fn new(scenario: &Scenario, ending: &Ending, tally: Tally) -> Self {
        let weight = ending.weight;
        let heard = tally.waits_ms.len() as u64;
        let share = |part: u64, whole: u64| real(part) / real(whole.max(1));
        let series = tally.series;
        let step = series.second.len().div_ceil(POINTS_MAX);
        Self {
            title: scenario.title.clone(),
            service: scenario.service,
            seed: ending.seed,
            people: ending.individuals * weight,
            people_per_individual: weight,
            heard_in_time: tally.heard_in_time * weight,
            heard_late: (heard - tally.heard_in_time) * weight,
            never_heard: (ending.individuals - heard) * weight,
            evicted: tally.evicted * weight,
            closed_too_slow: tally.closed_too_slow * weight,
            interrupted: tally.interrupted * weight,
            not_back: ending.not_back * weight,
            goodput: share(tally.delivered_ms, tally.possible_ms).min(1.0),
            queue_order_violations: ending.violations,
            ledger_balanced: !tally.is_unbalanced,
            healed_s: healed_s(&scenario.fault, &series),
            wait_s: Waits::of(tally.waits_ms),
            refused_per_person_own: share(tally.refused[0], tally.people[0]),
            refused_per_person_carrier: share(tally.refused[1], tally.people[1]),
            hoarded: tally.hoarded * weight,
            unseen: tally.unseen * weight,
            series: series.thinned(step),
        }
    }

    /// Which limits it does not keep, in words.
    pub fn beyond(&self, limits: &Limits) -> Vec<String> {
        let people = real(self.people.max(1));
        let percent = |count: u64| 100.0 * real(count) / people;
        let mut beyond = Vec::new();
        let mut least = |name: &str, value: f64, limit: Option<f64>| {
            if let Some(limit) = limit.filter(|limit| value < *limit) {
                beyond.push(format!("{name} is {value:.4}, less than {limit}"));
            }
        };
        least("goodput", self.goodput, limits.goodput_min);
        least(
            "percent in time",
            percent(self.heard_in_time),
            limits.in_time_percent_min,
        );
        let carrier =
            100.0 * (self.refused_per_person_carrier / self.refused_per_person_own.max(1e-9) - 1.0);
        let mut most = |name: &str, value: f64, limit: Option<f64>| {
            if let Some(limit) = limit.filter(|limit| value > *limit) {
                beyond.push(format!("{name} is {value:.4}, more than {limit}"));
            }
        };
        most("goodput", self.goodput, limits.goodput_max);
        most(
            "percent who never heard",
            percent(self.never_heard),
            limits.never_percent_max,
        );
        most(
            "refusals behind a carrier, percent beyond others",
            carrier,
            limits.carrier_percent_max,
        );
        most(
            "seconds to heal",
            f64::from(self.healed_s.unwrap_or(0)),
            limits.healed_s_max.map(f64::from),
        );
        most(
            "evicted",
            real(self.evicted),
            Some(real(limits.evicted_max)),
        );
        most(
            "violations of the order",
            real(self.queue_order_violations),
            Some(0.0),
        );
        if !self.ledger_balanced {
            beyond.push("the books do not balance".to_owned());
        }
        beyond
    }
}

impl Waits {
    fn of(mut waits_ms: Vec<u32>) -> Self {
        waits_ms.sort_unstable();
        let count = waits_ms.len();
        let Some(last) = waits_ms.last() else {
            return Self::default();
        };
        let seconds = |ms: u64| real(ms) / 1_000.0;
        let at = |percent: usize| seconds(waits_ms[(count * percent / 100).min(count - 1)].into());
        let sum: u64 = waits_ms.iter().copied().map(u64::from).sum();
        Self {
            mean: seconds(sum / count as u64),
            p50: at(50),
            p99: at(99),
            max: seconds((*last).into()),
        }
    }
}

/// From the end of the worst fault until nearly all are in again whom it put out.
fn healed_s(faults: &[Fault], series: &Series) -> Option<u32> {
    let end = series.second.len();
    let healing = |fault: &Fault| {
        let (at, over) = (
            (fault.at_s() as usize).min(end),
            (fault.over_s() as usize).min(end),
        );
        let put_out = series.out[at..(over + 1).min(end)]
            .iter()
            .max()
            .copied()
            .unwrap_or(0);
        let is_healed =
            |second: &usize| series.out[*second] * 100 <= put_out * (100 - HEALED_PERCENT);
        let healed = (over..end).find(is_healed).unwrap_or(end);
        u32::try_from(healed - over).unwrap_or(u32::MAX)
    };
    faults.iter().map(healing).max()
}

/// Counts here are far below 2^52.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn real(number: u64) -> f64 {
    number as f64
}
