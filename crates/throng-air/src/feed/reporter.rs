//! The reporting end: what a second brought becomes a report, which is told until it was taken.

use std::collections::{BTreeMap, VecDeque};

use throng_core::ladder::signals::Signals;
use throng_core::slug::Slug;

use super::SECONDS_MAX;
use super::message::{Present, Report, Second};
use crate::ledger::{Account, Accounts, add};
use crate::presence::Counts;

/// Counts and the ledger on their way up.
#[derive(Debug)]
pub struct Reporter {
    consumer: u128,
    place: u32,
    number: u64,
    /// The report that was not taken yet.
    pending: Option<Report>,
    /// Seconds that no report holds yet.
    seconds: VecDeque<Second>,
    /// The accounts at the end of the last second.
    accounts: Accounts,
    /// Admissions that have been reported, and whether listeners were, by space.
    told: BTreeMap<Slug, (u64, bool)>,
}

impl Reporter {
    /// A consumer by a number of its own making, at its place in the node.
    pub fn new(consumer: u128, place: u32) -> Self {
        Self {
            consumer,
            place,
            number: 0,
            pending: None,
            seconds: VecDeque::new(),
            accounts: Accounts::default(),
            told: BTreeMap::new(),
        }
    }

    /// A second is over, and these are the accounts now.
    pub fn end_second(&mut self, unix_seconds: u64, accounts: Accounts) {
        let brought: Accounts = std::array::from_fn(|door| accounts[door] - self.accounts[door]);
        self.accounts = accounts;
        if brought.iter().all(|account| *account == Account::default()) {
            return;
        }
        // While the upstream is away, the oldest seconds lose their edges but nothing of their sums.
        if self.seconds.len() == SECONDS_MAX
            && let Some(oldest) = self.seconds.pop_front()
            && let Some(next) = self.seconds.front_mut()
        {
            add(&mut next.accounts, &oldest.accounts);
        }
        self.seconds.push_back(Second {
            unix_seconds,
            accounts: brought,
        });
    }

    /// What to tell now: the report that was not taken, or a new one.
    pub fn report(
        &mut self,
        counts: impl IntoIterator<Item = (Slug, Counts)>,
        asked: Vec<Slug>,
        signals: Signals,
    ) -> &Report {
        if self.pending.is_none() {
            self.number += 1;
            let present = self.present(counts);
            self.pending = Some(Report {
                consumer: self.consumer,
                place: self.place,
                number: self.number,
                present,
                asked,
                signals,
                seconds: self.seconds.drain(..).collect(),
            });
        }
        self.pending.as_ref().expect("it was just made")
    }

    /// The report was taken.
    pub fn taken(&mut self) {
        self.pending = None;
    }

    /// Spaces with listeners or new admissions; and once those that have lost their last listener.
    fn present(&mut self, counts: impl IntoIterator<Item = (Slug, Counts)>) -> Vec<Present> {
        let mut present = Vec::new();
        let mut told = BTreeMap::new();
        for (slug, counts) in counts {
            let (joined_before, listened) = self.told.remove(&slug).unwrap_or_default();
            let joined = counts.joined.saturating_sub(joined_before);
            let listens = counts.listening > 0;
            told.insert(slug.clone(), (counts.joined, listens));
            if listens || listened || joined > 0 {
                present.push(Present {
                    slug,
                    listening: counts.listening,
                    joined,
                });
            }
        }
        self.told = told;
        present
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(listening: u64, joined: u64) -> [(Slug, Counts); 1] {
        let counts = Counts {
            listening,
            peak: 0,
            joined,
        };
        [(Slug::parse("talk").unwrap(), counts)]
    }

    fn told(report: &Report) -> Vec<(u64, u64)> {
        report
            .present
            .iter()
            .map(|present| (present.listening, present.joined))
            .collect()
    }

    fn arrived(arrived: u64) -> Accounts {
        let mut accounts = Accounts::default();
        accounts[0].arrived = arrived;
        accounts
    }

    #[test]
    fn a_report_is_told_until_it_is_taken_and_each_admission_once() {
        let mut reporter = Reporter::new(1, 2);
        reporter.end_second(100, arrived(3));
        let first = reporter
            .report(counts(2, 5), Vec::new(), Signals::default())
            .clone();
        assert_eq!((first.number, told(&first)), (1, vec![(2, 5)]));
        reporter.end_second(101, arrived(4));
        assert_eq!(
            *reporter.report(counts(3, 6), Vec::new(), Signals::default()),
            first,
            "not taken"
        );
        reporter.taken();
        let second = reporter
            .report(counts(3, 7), Vec::new(), Signals::default())
            .clone();
        assert_eq!((second.number, told(&second)), (2, vec![(3, 2)]));
        assert_eq!(second.seconds.len(), 1);
        assert_eq!(second.seconds[0].accounts[0].arrived, 1);
        reporter.taken();
        assert_eq!(
            told(reporter.report(counts(0, 7), Vec::new(), Signals::default())),
            [(0, 0)],
            "the last has left"
        );
        reporter.taken();
        assert_eq!(
            told(reporter.report(counts(0, 7), Vec::new(), Signals::default())),
            []
        );
    }

    #[test]
    fn seconds_that_no_one_takes_are_bounded_and_keep_their_sum() {
        let mut reporter = Reporter::new(1, 2);
        let seconds = SECONDS_MAX as u64 + 50;
        for second in 1..=seconds {
            reporter.end_second(second, arrived(second));
        }
        reporter.end_second(seconds + 1, arrived(seconds));
        let report = reporter.report([], Vec::new(), Signals::default());
        assert_eq!(
            report.seconds.len(),
            SECONDS_MAX,
            "and a second without anything is none"
        );
        let sum: u64 = report
            .seconds
            .iter()
            .map(|second| second.accounts[0].arrived)
            .sum();
        assert_eq!(sum, seconds);
    }
}
