//! The summary of a rehearsal: the last line of its output.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{AtPlace, Evidence, Limit, Second};
use crate::histogram::Histogram;

impl Evidence {
    /// The summary.
    pub fn summary(&self) -> Summary {
        let tally = &self.tally;
        let most = |of: fn(&Second) -> Option<u64>| self.seconds.iter().filter_map(of).max();
        let delivered = tally.delivered_seconds();
        Summary {
            asked: self.asked,
            connects: tally.connects,
            joined: tally.joined,
            held_peak: tally.held_peak,
            failed: tally.failed,
            queued: tally.queued,
            refused_by_reason: tally.refused.clone(),
            troubles: tally.troubles.clone(),
            left: tally.left,
            lost: tally.lost,
            ended: tally.ended,
            join_ms: Percentiles::of(&tally.join_us),
            first_sound_ms: Percentiles::of(&tally.first_sound_us),
            gaps: Gaps {
                listeners: tally.gap_listeners,
                count: tally.gaps,
                longest_ms: tally.longest_gap_us.div_ceil(1_000),
            },
            longest_wait_ms: most(|second| Some(second.wait_ms)).unwrap_or(0),
            delivered_audio_seconds: delivered,
            delivered_bytes: tally.bytes,
            joins_per_second_peak: most(|second| Some(second.joins)).unwrap_or(0),
            server_cpu_seconds: self.server_cpu_us.map(seconds_of),
            client_cpu_seconds: seconds_of(tally.cpu_us + self.leader_cpu_us),
            server_cpu_us_per_audio_second: self.server_cpu_us.map(|used| ratio(used, delivered)),
            client_cpu_us_per_audio_second: ratio(tally.cpu_us, delivered),
            server_memory_bytes: most(|second| second.server_memory_bytes),
            socket_memory_bytes: most(|second| second.socket_memory_bytes),
            client_lag_ms: tally.longest_lag_us / 1_000,
            misbehaved: tally.misbehaved,
            shown_out: tally.shown_out,
            handshakes: ShownHandshakes {
                made: tally.handshakes.made,
                resumed: tally.handshakes.resumed,
                failed: tally.handshakes.failed,
                ms: Percentiles::of(&tally.handshakes.us),
            },
            agents_lost: self.agents_lost,
            places: self.places.clone(),
            slots: self.slots(),
            limit: self.limit(),
        }
    }
}

/// The last line of a rehearsal.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The size of the crowd.
    pub asked: u32,
    /// Connections that were begun, the first of each listener among them.
    pub connects: u64,
    /// Who got sound.
    pub joined: u64,
    /// The most at once.
    pub held_peak: u64,
    /// Who gave up before any.
    pub failed: u64,
    /// Who was given a ticket.
    pub queued: u64,
    /// Refusals.
    pub refused_by_reason: BTreeMap<String, u64>,
    /// What else went wrong.
    pub troubles: BTreeMap<String, u64>,
    /// Who left as planned.
    pub left: u64,
    /// Connections lost while sound came.
    pub lost: u64,
    /// Who came to the programme's end.
    pub ended: u64,
    /// From the first connect to the answer that carries sound.
    pub join_ms: Percentiles,
    /// From the first connect until sound began.
    pub first_sound_ms: Percentiles,
    /// Holes.
    pub gaps: Gaps,
    /// The longest time between two deliveries of an endless answer.
    pub longest_wait_ms: u64,
    /// Sound delivered, each sample once.
    pub delivered_audio_seconds: u64,
    /// Bytes received.
    pub delivered_bytes: u64,
    /// The most joins of a second.
    pub joins_per_second_peak: u64,
    /// CPU time of the server; null where it cannot be seen.
    pub server_cpu_seconds: Option<f64>,
    /// CPU time of the agents and their leader.
    pub client_cpu_seconds: f64,
    /// Microseconds of server CPU for a second of sound to one listener, joins included.
    pub server_cpu_us_per_audio_second: Option<f64>,
    /// The same of the agents.
    pub client_cpu_us_per_audio_second: f64,
    /// The most memory that the server had.
    pub server_memory_bytes: Option<u64>,
    /// The most memory of TCP sockets on its machine.
    pub socket_memory_bytes: Option<u64>,
    /// The longest time in which an agent looked after nobody.
    pub client_lag_ms: u64,
    /// Connections of badly behaved clients.
    pub misbehaved: u64,
    /// How many of them the server closed.
    pub shown_out: u64,
    /// TLS handshakes.
    pub handshakes: ShownHandshakes,
    /// Agents that ended without a last word.
    pub agents_lost: u32,
    /// Where agents ran.
    pub places: Vec<AtPlace>,
    /// What a certificate of this rehearsal grants.
    pub slots: u64,
    /// What gave way first.
    pub limit: Limit,
}

/// Three points of a distribution.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Percentiles {
    /// The median.
    pub p50: u64,
    /// All but one in a hundred.
    pub p99: u64,
    /// The longest.
    pub max: u64,
}

impl Percentiles {
    fn of(times_us: &Histogram) -> Self {
        Self {
            p50: times_us.percentile(50).div_ceil(1_000),
            p99: times_us.percentile(99).div_ceil(1_000),
            max: times_us.max().div_ceil(1_000),
        }
    }
}

/// TLS handshakes of a rehearsal.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ShownHandshakes {
    /// Those that were done.
    pub made: u64,
    /// How many of them took up an earlier session.
    pub resumed: u64,
    /// Those that came to nothing.
    pub failed: u64,
    /// How long they took, from the connection on.
    pub ms: Percentiles,
}

/// Holes in what was heard.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Gaps {
    /// Who had any.
    pub listeners: u64,
    /// How many.
    pub count: u64,
    /// The longest.
    pub longest_ms: u64,
}

#[expect(
    clippy::cast_precision_loss,
    reason = "2^53 microseconds are 285 years"
)]
fn seconds_of(us: u64) -> f64 {
    us as f64 / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    (part as f64 / whole as f64 * 100.0).round() / 100.0
}
