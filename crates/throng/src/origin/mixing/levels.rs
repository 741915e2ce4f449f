//! What the mixer tells of its stage: to the desk ten times a second, and to the metrics.

use throng_core::space::Place;
use throng_core::timeline::PartIndex;
use throng_media::delay::Standing;
use throng_media::jitter::Counters;

use super::talkback::TalkbackLevel;
use crate::origin::dead_air::DeadAir;
use crate::origin::reception::Trouble;

/// The stage as the desk shows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Levels {
    /// Who is connected.
    pub(crate) seats: Vec<SeatLevel>,
    /// That listeners hear nobody, while they should.
    pub(crate) dead_air: Option<DeadAir>,
    /// The part in which listeners hear what was said then, where they do.
    pub(crate) live_part: Option<PartIndex>,
    /// By how much the programme is late.
    pub(crate) delay: Standing,
    /// Hosts who have a line to the stage.
    pub(crate) talkbacks: Vec<TalkbackLevel>,
}

/// One speaker as the desk shows him.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SeatLevel {
    pub(crate) seat: u32,
    /// Where he is.
    pub(crate) place: Place,
    pub(crate) muted_by_host: bool,
    /// As his page tells; who is heard is not muted, whatever it told.
    pub(crate) muted_by_self: bool,
    pub(crate) level_dbov: f32,
    pub(crate) talking: bool,
    /// How long his sound waits for late packets, and for copies of lost ones.
    pub(crate) delay_samples: u32,
    pub(crate) trouble: Option<Trouble>,
}

impl SeatLevel {
    /// Whether nobody hears him, by whoever's will.
    pub(crate) fn is_muted(&self) -> bool {
        self.muted_by_host || self.muted_by_self
    }
}

/// Adds what has happened to a speaker's packets since it was counted last.
pub(super) fn count(before: &Counters, now: &Counters) {
    let add = |name: &'static str, count: fn(&Counters) -> u64| {
        metrics::counter!(name).increment(count(now) - count(before));
    };
    add("throng_speakers_packets_total", |counters| {
        counters.received
    });
    add("throng_speakers_packets_lost_total", |counters| {
        counters.lost
    });
    add("throng_speakers_packets_late_total", |counters| {
        counters.late
    });
    add("throng_speakers_packets_doubled_total", |counters| {
        counters.duplicate
    });
    add("throng_speakers_recovered_by_red_total", |counters| {
        counters.recovered_by_red
    });
    add("throng_speakers_recovered_by_fec_total", |counters| {
        counters.recovered_by_fec
    });
    add("throng_speakers_guessed_samples_total", |counters| {
        counters.concealed_samples
    });
}
