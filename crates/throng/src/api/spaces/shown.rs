//! A space as the API shows it: `state.json` as it is now, with what only the desk may see.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use throng_air::state::{StateJson, state};
use throng_core::key::SeatNumber;

use super::seats::{self, SeatJson};
use crate::alarm::Alarm;
use crate::api::Desk;
use crate::capacity::Capacity;
use crate::chapters::ChapterJson;
use crate::origin::{SpaceHandle, now};

/// A space, as its host sees it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Space")]
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
    /// Every seat, in order.
    speakers: Vec<SeatJson>,
    /// What begins where in the recording, in order.
    chapters: Vec<ChapterJson>,
    /// For how many days after the end the recording is kept; null for ever.
    keep_recording_days: Option<NonZeroU32>,
    /// What the host must know now.
    alarms: Vec<Alarm>,
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

    /// The space as who sits in a seat sees it.
    pub(super) fn describe_to(&self, handle: &SpaceHandle, seat: Option<SeatNumber>) -> Value {
        let space = handle.space();
        let mut alarms = handle.alarms();
        alarms.extend(self.origin.ladder_alarm());
        let shown = SpaceJson {
            state: state(&handle.on_air, &space, self.origin.told(), now().wall),
            id: &space.id,
            listen_url: self.listen_url(space.slug.as_str()),
            seats: space.speakers,
            expected_listeners: space.expected_listeners,
            capacity: self.capacity,
            stage_locked: space.stage.lock().is_some(),
            speakers: seats::shown(handle, &space),
            chapters: space.chapters.iter().map(ChapterJson::from).collect(),
            keep_recording_days: space.keep_recording_days,
            alarms,
            seat: seat.map(|seat| seat.0),
        };
        serde_json::to_value(shown).expect("plain fields always serialise")
    }
}
