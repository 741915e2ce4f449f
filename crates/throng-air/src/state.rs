//! `state.json`: what a page and a player want to know, the same for everyone, one second old at most.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use throng_core::ladder::Rung;
use throng_core::ladder::signals::Decision;
use throng_core::rendition::Rendition;
use throng_core::space::{DeletedBy, Space, State};
use throng_core::time::UnixMillis;
use throng_core::timeline::{PART_DURATION_MS, PARTS_PER_SEGMENT, PartIndex};

use crate::on_air::OnAir;
use crate::past::Recorded;
use crate::presence::Counts;

/// Where a space stands. Times are RFC 3339 in UTC with milliseconds.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "State")]
pub struct StateJson<'a> {
    slug: &'a str,
    title: &'a str,
    #[schemars(extend("enum" = State::ALL.map(State::name)))]
    state: &'static str,
    #[schemars(extend("format" = "date-time"))]
    scheduled_at: Option<String>,
    #[schemars(extend("format" = "date-time"))]
    started_at: Option<String>,
    #[schemars(extend("format" = "date-time"))]
    ended_at: Option<String>,
    /// Why it is late, in the host's words.
    delay_reason: Option<&'a str>,
    /// What the host tells all who listen, in plain text.
    message: Option<&'a str>,
    /// When the programme began, from which parts and segments are counted.
    #[schemars(extend("format" = "date-time"))]
    epoch: String,
    segment_seconds: f64,
    part_seconds: f64,
    /// The newest complete segment.
    newest_segment: Option<u64>,
    /// The rung of the ladder.
    #[schemars(range(max = Rung::DEEPEST.number()))]
    rung: u8,
    /// Why it is not 0, in words.
    rung_reason: Option<String>,
    /// Players to which audio was delivered in the last 10 s.
    listening: u64,
    /// The most of them since doors.
    peak: u64,
    /// Admissions since doors.
    joined: u64,
    /// Tickets that are neither served nor over.
    queued: u64,
    renditions: [&'static str; Rendition::ALL.len()],
    recording: RecordingJson,
    /// Until when the recording is kept, where that was said.
    #[schemars(extend("format" = "date-time"))]
    recording_until: Option<String>,
    /// Until when there was a recording, where it is gone.
    #[schemars(extend("format" = "date-time"))]
    recording_deleted_at: Option<String>,
    /// Whether the host has taken it away, or the time was over for which it was to be kept.
    #[schemars(extend("enum" = json!([DeletedBy::Host.name(), DeletedBy::Time.name(), null])))]
    recording_deleted_by: Option<&'static str>,
}

/// What is true of the node, whichever space it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The rung on which listeners are served, and why.
    pub decision: Decision,
    /// Tickets that are neither served nor over.
    pub queued: u64,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct RecordingJson {
    seconds: f64,
    bytes: u64,
}

/// The text that a page carries: what changes rarely. Counts and recording are in it once they are final, so that the
/// page of a space that is over needs nothing else.
pub fn of_page(space: &Space, counts: Counts, recorded: Recorded) -> String {
    let (counts, recorded) = if space.state.is_over() {
        let final_counts = Counts {
            listening: 0,
            ..counts
        };
        (final_counts, recorded)
    } else {
        (Counts::default(), Recorded::default())
    };
    text(&document(space, counts, recorded, None, Told::default()))
}

/// The text of `state.json` at a wall-clock time.
pub fn state_json(on_air: &OnAir, space: &Space, told: Told, now: UnixMillis) -> String {
    text(&state(on_air, space, told, now))
}

/// `state.json` at a wall-clock time, for who says more about the space.
pub fn state<'a>(on_air: &OnAir, space: &'a Space, told: Told, now: UnixMillis) -> StateJson<'a> {
    document(
        space,
        on_air.counts(),
        on_air.past().recorded(),
        newest_segment(on_air, space, now),
        told,
    )
}

fn text(document: &StateJson<'_>) -> String {
    serde_json::to_string(document).expect("plain fields always serialise")
}

/// The newest complete segment. Before doors nobody may be listening, so that the window may be old: the hold
/// programme runs by the clock.
fn newest_segment(on_air: &OnAir, space: &Space, now: UnixMillis) -> Option<u64> {
    let coming = on_air.next_part();
    let by_clock = space.part_at(now);
    let next = match space.doors_part {
        Some(doors) if coming <= doors => by_clock.min(doors),
        Some(_) => coming,
        None => by_clock,
    };
    next.segment().checked_sub(1)
}

#[allow(
    clippy::cast_precision_loss,
    reason = "seconds of a recording stay far below 2^52 ms"
)]
fn seconds(parts: u64) -> f64 {
    (parts * PART_DURATION_MS) as f64 / 1000.0
}

fn document(
    space: &Space,
    counts: Counts,
    recorded: Recorded,
    newest_segment: Option<u64>,
    told: Told,
) -> StateJson<'_> {
    let gone = space.recording_deleted;
    let recorded = gone.map_or(recorded, |_| Recorded::default());
    StateJson {
        slug: space.slug.as_str(),
        title: &space.title,
        state: space.state.name(),
        scheduled_at: space.scheduled_at.map(UnixMillis::to_rfc3339),
        started_at: space.started_at.map(UnixMillis::to_rfc3339),
        ended_at: space.ended_at.map(UnixMillis::to_rfc3339),
        delay_reason: space.delay_reason.as_deref(),
        message: space.programme.message.as_deref(),
        epoch: space.moment(PartIndex(0)).to_rfc3339(),
        segment_seconds: seconds(PARTS_PER_SEGMENT),
        part_seconds: seconds(1),
        newest_segment,
        rung: told.decision.rung.number(),
        rung_reason: told.decision.words(),
        listening: counts.listening,
        peak: counts.peak,
        joined: counts.joined,
        queued: told.queued,
        renditions: Rendition::ALL.map(Rendition::name),
        recording: RecordingJson {
            seconds: seconds(recorded.parts),
            bytes: recorded.bytes,
        },
        recording_until: space.recording_until().map(UnixMillis::to_rfc3339),
        recording_deleted_at: gone.map(|gone| gone.at.to_rfc3339()),
        recording_deleted_by: gone.map(|gone| gone.by.name()),
    }
}
