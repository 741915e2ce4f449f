//! What this node can carry, as far as that is known: the slots that its certificate grants, and the operator's bound.

mod link;

use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::thread;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use throng_core::admission::Limits;
use throng_rehearsal::certificate::Certificate;
use throng_rehearsal::host::hash_of_file;

use crate::client::{Error, verify};
use crate::config::Config;

/// Listeners for each core where nobody has rehearsed or said otherwise: a third of what two noisy cores were seen to
/// hold at normal spans with TLS, and they had a synthetic crowd on them besides.
const SLOTS_PER_CORE: u64 = 25_000;

/// Listeners at once, and what they may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Capacity {
    /// More wait in the queue.
    pub(crate) slots: Option<u64>,
    /// Bits per second that they may take together; without a bound where absent.
    pub(crate) egress_bits: Option<u64>,
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
        let (most, egress) = (config.listeners_max, config.egress_max);
        Ok(Self::bounded(rehearsed, most, egress, config.listen.ip()))
    }

    /// What certificate and operator say; what they do not say is assumed or, for the line, asked of the system.
    pub(crate) fn bounded(
        rehearsed: Option<u64>,
        most: Option<NonZeroU32>,
        egress: Option<NonZeroU64>,
        listen: IpAddr,
    ) -> Self {
        let most = most.map(|most| u64::from(most.get()));
        let said = rehearsed.into_iter().chain(most).min();
        let egress_bits = egress.map(NonZeroU64::get);
        Self {
            slots: said.or_else(|| Some(default_slots())),
            egress_bits: egress_bits.or_else(|| link::egress_bits(listen)),
            rehearsed,
        }
    }

    /// The bounds of the door.
    pub(crate) fn limits(self) -> Limits {
        Limits {
            slots: self.slots,
            egress_bits: self.egress_bits,
        }
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

fn default_slots() -> u64 {
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    SLOTS_PER_CORE * cores as u64
}
