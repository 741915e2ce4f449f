//! What this node can carry, as far as that is known: the slots that its certificate grants, and the operator's bound.

use serde::{Deserialize, Serialize};
use throng_rehearsal::certificate::Certificate;
use throng_rehearsal::host::hash_of_file;

use crate::client::{Error, verify};
use crate::config::Config;

/// Listeners at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Capacity {
    /// More are told to come again; without a bound where absent.
    pub(crate) slots: Option<u64>,
    /// What the certificate grants; absent where nobody has rehearsed.
    pub(crate) rehearsed: Option<u64>,
}

impl Capacity {
    /// What the settings say. A certificate that does not hold, or grants nothing, is an error: a bound that was
    /// asked for is never left out.
    pub(crate) fn of(config: &Config) -> Result<Self, Error> {
        let rehearsed = match &config.certificate {
            None => None,
            Some(path) => {
                let certificate = verify::granting(path)?;
                tell_what_differs(&certificate);
                Some(certificate.slots)
            }
        };
        let most = config.listeners_max.map(|most| u64::from(most.get()));
        Ok(Self {
            slots: rehearsed.into_iter().chain(most).min(),
            rehearsed,
        })
    }

    /// The share of one of so many workers, which are numbered from 1: together they have exactly the slots.
    pub(crate) fn share(self, worker: u32, workers: u32) -> Option<u64> {
        let (worker, workers) = (u64::from(worker), u64::from(workers));
        self.slots
            .map(|slots| slots / workers + u64::from(worker <= slots % workers))
    }
}

/// A certificate speaks of one build; with another, what it says is a guess, and the operator is told so.
fn tell_what_differs(certificate: &Certificate) {
    let rehearsed = &certificate.server.build_sha256;
    let program = std::env::current_exe().and_then(|path| hash_of_file(&path));
    if program.is_ok_and(|here| !rehearsed.is_empty() && here != *rehearsed) {
        tracing::warn!(
            slots = certificate.slots,
            "the capacity certificate was issued for another build of this program; rehearse this one"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_share_the_slots_without_rest() {
        for slots in [0, 1, 7, 300] {
            let capacity = Capacity {
                slots: Some(slots),
                rehearsed: None,
            };
            for workers in 1..5 {
                let shares = (1..=workers).filter_map(|worker| capacity.share(worker, workers));
                assert_eq!(shares.sum::<u64>(), slots, "{workers} workers");
            }
        }
        assert_eq!(Capacity::default().share(1, 2), None);
    }
}
