//! What consumers report: taken once each, spread over the spaces, and kept second by second for the ledger.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::SECONDS_MAX;
use super::message::{Report, Second};
use crate::air::Air;
use crate::ledger::{Account, Accounts, Closed, Door, Ledger, Refused, add};
use crate::metric;

/// Consumers known at once: the workers of a large machine and as many edges as one upstream feeds. A restarted worker
/// is a new one; beyond the bound the one that has been silent for longest is forgotten, with its seconds alone.
const CONSUMERS_MAX: usize = 256;

/// The reports of all consumers.
#[derive(Debug, Default)]
pub struct Reports {
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
struct Books {
    consumers: BTreeMap<u128, Consumer>,
    /// Counts reports, to tell who has been silent for longest.
    clock: u64,
    /// Everything that was ever reported.
    behind: Accounts,
    /// The accounts of this process at the end of its last second, and how many seconds it has had.
    here: (Accounts, u64),
}

/// The number by which a process is its own consumer; others draw theirs from 128 bits.
const HERE: u128 = 0;
/// The place of an edge. It has a machine of its own, which decides for itself how much it can do.
const EDGE: u32 = 0;

/// What one consumer has reported.
#[derive(Clone, Debug, Default)]
pub struct Consumer {
    /// Its place in a node; 0 for an edge.
    pub place: u32,
    /// Its newest seconds, the oldest first.
    pub seconds: VecDeque<Second>,
    /// Everything that it has reported.
    pub accounts: Accounts,
    number: u64,
    heard_at: u64,
}

impl Reports {
    /// Takes a report, once.
    pub fn take(&self, air: &Air, report: &Report) {
        if !self.enter(report) {
            return;
        }
        if report.place != EDGE {
            let ladder = air.ladder();
            ladder.hear(report.consumer, report.signals, Instant::now());
        }
        for present in &report.present {
            if let Some(on_air) = air.find(present.slug.as_str()) {
                on_air.report(report.consumer, present.listening, present.joined);
            }
        }
        for asked in &report.asked {
            if let Some(on_air) = air.find(asked.as_str()) {
                on_air.ask_from_afar();
            }
        }
        publish(report);
    }

    /// A second is over in this process, which reports to itself as others do.
    pub fn end_second(&self, ledger: &Ledger, place: u32, unix_seconds: u64) {
        let now = ledger.accounts();
        let (brought, number) = {
            let (before, number) = &mut self.lock().here;
            let brought = std::array::from_fn(|door| now[door] - before[door]);
            (*before, *number) = (now, *number + 1);
            (brought, *number)
        };
        if brought == Accounts::default() {
            return;
        }
        let report = Report {
            consumer: HERE,
            place,
            number,
            seconds: vec![Second {
                unix_seconds,
                accounts: brought,
            }],
            ..Report::default()
        };
        self.enter(&report);
        publish(&report);
    }

    /// Every consumer as it is known.
    pub fn consumers(&self) -> Vec<Consumer> {
        self.lock().consumers.values().cloned().collect()
    }

    /// The sums over everything that was ever reported.
    pub fn behind(&self) -> Accounts {
        self.lock().behind
    }

    /// Enters a report into the books; false where it is there already.
    fn enter(&self, report: &Report) -> bool {
        let mut books = self.lock();
        books.clock += 1;
        let clock = books.clock;
        if !books.consumers.contains_key(&report.consumer) {
            books.make_room();
        }
        let consumer = books.consumers.entry(report.consumer).or_default();
        consumer.heard_at = clock;
        if report.number <= consumer.number {
            return false;
        }
        consumer.number = report.number;
        consumer.place = report.place;
        for second in &report.seconds {
            if consumer.seconds.len() == SECONDS_MAX {
                consumer.seconds.pop_front();
            }
            consumer.seconds.push_back(second.clone());
            add(&mut consumer.accounts, &second.accounts);
        }
        for second in &report.seconds {
            add(&mut books.behind, &second.accounts);
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        // A panic in another thread left the books whole enough to go on counting.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    fn make_room(&mut self) {
        if self.consumers.len() >= CONSUMERS_MAX
            && let Some(silent) = self
                .consumers
                .iter()
                .min_by_key(|(_, consumer)| consumer.heard_at)
                .map(|(consumer, _)| *consumer)
        {
            self.consumers.remove(&silent);
        }
    }
}

/// Adds what a report says of the doors to the metrics.
fn publish(report: &Report) {
    for second in &report.seconds {
        for (door, account) in Door::ALL.into_iter().zip(&second.accounts) {
            publish_account(report.place, door, account);
        }
    }
}

fn publish_account(place: u32, door: Door, account: &Account) {
    let (door, worker) = (door.name(), || place.to_string());
    for (name, sum) in [
        (metric::DOOR_ARRIVED, account.arrived),
        (metric::DOOR_ADMITTED, account.admitted),
        (metric::DOOR_FAILED, account.failed),
        (metric::DOOR_DELIVERED_SAMPLES, account.delivered_samples),
    ] {
        metrics::counter!(name, "door" => door, "worker" => worker()).increment(sum);
    }
    for (reason, sum) in Refused::ALL.into_iter().zip(account.refused) {
        let reason = reason.name();
        metrics::counter!(metric::DOOR_REFUSED, "door" => door, "reason" => reason, "worker" => worker()).increment(sum);
    }
    for (reason, sum) in Closed::ALL.into_iter().zip(account.closed) {
        let reason = reason.name();
        metrics::counter!(metric::DOOR_CLOSED, "door" => door, "reason" => reason, "worker" => worker()).increment(sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(consumer: u128, number: u64) -> Report {
        let mut accounts = Accounts::default();
        accounts[0].arrive();
        let second = Second {
            unix_seconds: number,
            accounts,
        };
        Report {
            consumer,
            number,
            seconds: vec![second],
            ..Report::default()
        }
    }

    #[test]
    fn a_report_that_comes_twice_counts_once() {
        let reports = Reports::default();
        assert!(reports.enter(&report(1, 1)));
        assert!(!reports.enter(&report(1, 1)), "its answer was lost");
        assert!(reports.enter(&report(1, 2)));
        assert!(reports.enter(&report(2, 1)), "another consumer");
        assert_eq!(reports.behind()[0].arrived, 3);
        assert_eq!(reports.consumers()[0].seconds.len(), 2);
    }

    #[test]
    fn a_process_reports_to_itself_what_each_second_brought() {
        let (reports, ledger) = (Reports::default(), Ledger::default());
        for second in 0..3 {
            ledger.write(Door::Page, Account::arrive);
            reports.end_second(&ledger, 1, second);
        }
        reports.end_second(&ledger, 1, 3);
        assert_eq!(reports.behind(), ledger.accounts());
        assert_eq!(
            reports.consumers()[0].seconds.len(),
            3,
            "a second without anything is none"
        );
    }

    #[test]
    fn who_has_been_silent_for_longest_makes_room_and_his_sums_stay() {
        let reports = Reports::default();
        for consumer in 0..CONSUMERS_MAX as u128 {
            assert!(reports.enter(&report(consumer, 1)));
        }
        assert!(reports.enter(&report(0, 2)), "so that 1 is the silent one");
        assert!(reports.enter(&report(u128::MAX, 1)));
        let books = reports.lock();
        assert_eq!(books.consumers.len(), CONSUMERS_MAX);
        assert!(books.consumers.contains_key(&0) && !books.consumers.contains_key(&1));
        assert_eq!(books.behind[0].arrived, CONSUMERS_MAX as u64 + 2);
    }
}
