//! A space as the API shows it: `state.json` as it is now, with what only the desk may see.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use throng_air::state::{StateJson, state};
use throng_core::key::Role;
use throng_core::space::State;

use super::cohosts::{self, AtDeskJson};
use super::cue::{self, CueJson};
use super::hold::HoldJson;
use super::programme::DelayJson;
use super::seats::{self, SeatJson};
use crate::alarm::Alarm;
use crate::api::Desk;
use crate::capacity::Capacity;
use crate::chapters::ChapterJson;
use crate::origin::{SpaceHandle, now};

/// A space, as its host sees it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Space")]
#[allow(
    clippy::struct_excessive_bools,
    reason = "settings, each on or off for itself"
)]
pub(crate) struct SpaceJson<'a> {
    #[serde(flatten)]
    state: StateJson<'a>,
    id: &'a str,
    #[schemars(extend("format" = "uri"))]
    listen_url: String,
    /// Seats of its stage.
    seats: u32,
    /// So many listeners are expected.
    expected_listeners: Option<NonZeroU32>,
    capacity: Capacity,
    /// Whether nobody new takes a seat.
    stage_locked: bool,
    /// Whether speakers who come wait in the green room.
    green_room: bool,
    /// The countdown to the start, where one runs.
    cue: Option<CueJson>,
    /// What the node's clock showed when this was made.
    #[schemars(extend("format" = "date-time"))]
    now: String,
    /// Who runs the space and was seen in the last 20 s.
    at_desk: Vec<AtDeskJson>,
    /// Whether voices are brought gently to the same loudness.
    levelling: bool,
    /// Whether each speaker's own sound is kept, from go-live to the end.
    tracks: bool,
    /// Whether its programme has two channels, left and right.
    stereo: bool,
    /// By how many seconds the programme is to be later than the stage.
    delay_seconds: u8,
    delay: DelayJson,
    hold: HoldJson,
    /// Every seat, in order.
    speakers: Vec<SeatJson>,
    /// What begins where in the recording, in order.
    chapters: Vec<ChapterJson>,
    /// For how many days after the end the recording is kept; null for ever.
    keep_recording_days: Option<NonZeroU32>,
    /// What the host must know now.
    alarms: Vec<Alarm>,
    /// What who asks is: `cohost`, `host`, `operator` or `speaker`.
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    /// The number of the cohost who asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    cohost: Option<u32>,
    /// The seat of the speaker who asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    seat: Option<u32>,
}

/// All spaces, newest first.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Spaces")]
pub(crate) struct SpacesJson {
    #[schemars(with = "Vec<SpaceJson<'static>>")]
    pub(super) spaces: Vec<Value>,
}

impl Desk {
    /// The space as host and operator see it.
    pub(crate) fn describe(&self, handle: &SpaceHandle) -> Value {
        self.describe_to(handle, None)
    }

    /// The space as who asks for it sees it.
    pub(super) fn describe_to(&self, handle: &SpaceHandle, asks: Option<Role>) -> Value {
        // Before the space: what is live by then has nothing to count down to.
        let cue = cue::shown(handle);
        let space = handle.space();
        let now = now().wall;
        let mut alarms = handle.alarms();
        alarms.extend(self.origin.ladder_alarm());
        let shown = SpaceJson {
            state: state(&handle.on_air, &space, self.origin.told(), now),
            id: &space.id,
            listen_url: self.listen_url(space.slug.as_str()),
            seats: space.speakers,
            expected_listeners: space.expected_listeners,
            capacity: self.capacity,
            stage_locked: space.stage.lock().is_some(),
            green_room: space.stage.green_room.is_open(),
            cue: cue.filter(|_| matches!(space.state, State::Announced | State::Doors)),
            now: now.to_rfc3339(),
            at_desk: cohosts::at_desk(handle),
            levelling: space.sound.levelling,
            tracks: space.sound.tracks,
            stereo: space.sound.channels.is_stereo(),
            delay_seconds: space.programme.delay_seconds,
            delay: handle.levels().delay.into(),
            hold: HoldJson::of(handle),
            speakers: seats::shown(handle, &space),
            chapters: space.chapters.iter().map(ChapterJson::from).collect(),
            keep_recording_days: space.keep_recording_days,
            alarms,
            role: asks.map(name),
            cohost: match asks {
                Some(Role::Cohost(number)) => Some(number),
                _ => None,
            },
            seat: match asks {
                Some(Role::Speaker(seat)) => Some(seat.0),
                _ => None,
            },
        };
        serde_json::to_value(shown).expect("plain fields always serialise")
    }
}

/// A role in JSON.
const fn name(role: Role) -> &'static str {
    match role {
        Role::Cohost(_) => "cohost",
        Role::Host => "host",
        Role::Operator => "operator",
        Role::Speaker(_) => "speaker",
    }
}
