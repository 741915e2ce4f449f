//! The host's hand on the stage: mute, gain, place, remove, revoke; and how seats are shown.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use throng_core::key::{Role, SeatNumber};
use throng_core::space::{Act, GAIN_DB_MAX, GAIN_DB_MIN, Place, Space};

use super::refusals::act_problem;
use super::{Answer, parse, uncached};
use crate::api::problem::Problem;
use crate::api::{Desk, not_allowed};
use crate::origin::SpaceHandle;

/// What is to be changed of a seat; an absent field leaves things as they are.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SeatEdit")]
pub(crate) struct SeatBody {
    muted: Option<bool>,
    /// Whole decibels.
    #[schemars(range(min = GAIN_DB_MIN, max = GAIN_DB_MAX))]
    gain_db: Option<i32>,
    place: Option<PlaceBody>,
}

/// Where who sits there is.
#[derive(Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Place")]
pub(crate) enum PlaceBody {
    /// He hears the stage; nobody hears him.
    GreenRoom,
    /// He is heard.
    Stage,
}

/// A seat as the API shows it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Seat")]
#[allow(
    clippy::struct_excessive_bools,
    reason = "facts that do not exclude each other"
)]
pub(crate) struct SeatJson {
    seat: u32,
    connected: bool,
    /// Whether a link was given out that still opens it.
    has_link: bool,
    /// Whether the lock of the stage, if there is one, lets its speaker in.
    admitted: bool,
    /// By the host or by himself.
    muted: bool,
    muted_by_host: bool,
    muted_by_self: bool,
    gain_db: i32,
    place: PlaceBody,
    /// Whether he is heard now.
    talking: bool,
    /// Whether there is a track of what was said here.
    has_track: bool,
    /// Whether a host talks to him now, off air.
    talked_to: bool,
    /// Of his microphone, whatever the gain; null where nobody is connected.
    level_dbov: Option<f32>,
}

/// `PATCH …/speakers/{seat}`: mutes a seat, or changes its gain. A speaker tells by it that he has muted himself.
pub(in crate::api) async fn set(
    State(desk): State<Arc<Desk>>,
    Path((slug, seat)): Path<(String, u32)>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let handle = desk.space(&slug)?;
    match desk.role(&handle, &headers)? {
        Role::Speaker(own) if own.0 == seat => return tell_own_mute(&desk, &handle, own, &body),
        Role::Speaker(_) => {
            return Err(not_allowed(
                "A speaker's link changes nothing of another seat. Ask the host to do this.",
            ));
        }
        Role::Cohost(_) | Role::Host | Role::Operator => {}
    }
    let actor = desk.actor(&handle, &headers)?;
    let seat = known_seat(&handle.space(), seat)?;
    let acts = changes(seat, parse(&body)?);
    handle.edit(actor, acts).await.map_err(act_problem)?;
    Ok(uncached(Json(desk.describe(&handle))).into_response())
}

/// What a body asks for: all of it, or nothing.
fn changes(seat: SeatNumber, body: SeatBody) -> Vec<Act> {
    let SeatBody {
        muted,
        gain_db,
        place,
    } = body;
    let set = Act::SetSeat {
        seat,
        muted,
        gain_db,
    };
    let place = place.map(|place| Act::Place {
        seat,
        place: match place {
            PlaceBody::GreenRoom => Place::GreenRoom,
            PlaceBody::Stage => Place::Stage,
        },
    });
    std::iter::once(set).chain(place).collect()
}

fn tell_own_mute(desk: &Desk, handle: &SpaceHandle, seat: SeatNumber, body: &[u8]) -> Answer {
    let SeatBody {
        muted,
        gain_db,
        place,
    } = parse(body)?;
    if gain_db.is_some() || place.is_some() {
        return Err(not_allowed(
            "A speaker mutes himself, but gain and place are the host's. Ask the host to change them.",
        ));
    }
    if let Some(muted) = muted {
        handle.note_own_mute(seat, muted);
    }
    Ok(uncached(Json(desk.describe(handle))).into_response())
}

/// `DELETE …/speakers/{seat}/session`: puts who sits there off the stage. His link stays good.
pub(in crate::api) async fn remove(
    State(desk): State<Arc<Desk>>,
    Path((slug, seat)): Path<(String, u32)>,
    headers: HeaderMap,
) -> Answer {
    let handle = desk.space(&slug)?;
    let actor = desk.actor(&handle, &headers)?;
    let seat = known_seat(&handle.space(), seat)?;
    if !handle.remove(actor, seat).await.map_err(act_problem)? {
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            "nobody-there",
            "Nobody sits there",
            format!(
                "Nobody is on seat {} now, so there is nobody to remove.",
                seat.0
            ),
        ));
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `DELETE …/speakers/{seat}/link`: the link opens nothing any more, and who sits there by it has to leave.
pub(in crate::api) async fn revoke_link(
    State(desk): State<Arc<Desk>>,
    Path((slug, seat)): Path<(String, u32)>,
    headers: HeaderMap,
) -> Answer {
    let handle = desk.space(&slug)?;
    desk.actor(&handle, &headers)?;
    let seat = known_seat(&handle.space(), seat)?;
    handle
        .revoke_seat(seat)
        .await
        .map_err(|error| Problem::store(&error))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The seat of that number, if the space has it.
pub(in crate::api) fn known_seat(space: &Space, seat: u32) -> Result<SeatNumber, Problem> {
    let seats = space.speakers;
    if (1..=seats).contains(&seat) {
        return Ok(SeatNumber(seat));
    }
    Err(Problem::new(
        StatusCode::NOT_FOUND,
        "unknown-seat",
        "There is no such seat",
        format!("This space has seats 1 to {seats}."),
    ))
}

/// All seats of a space, in order.
pub(super) fn shown(handle: &SpaceHandle, space: &Space) -> Vec<SeatJson> {
    let levels = handle.levels();
    let (levels, talkbacks) = (levels.seats, levels.talkbacks);
    let seats = (1..=space.speakers).map(|seat| {
        let level = levels.iter().find(|level| level.seat == seat);
        let number = SeatNumber(seat);
        let setting = space.stage.seat(number);
        let muted_by_self = level.is_some_and(|level| level.muted_by_self);
        SeatJson {
            seat,
            connected: level.is_some(),
            has_link: handle.has_key(number),
            admitted: space.stage.admits(number),
            muted: setting.muted || muted_by_self,
            muted_by_host: setting.muted,
            muted_by_self,
            gain_db: setting.gain_db,
            place: match space.stage.green_room.place(number) {
                Place::GreenRoom => PlaceBody::GreenRoom,
                Place::Stage => PlaceBody::Stage,
            },
            talking: level.is_some_and(|level| level.talking),
            has_track: handle.has_track(number),
            talked_to: talkbacks.iter().any(|line| line.reaches(seat)),
            level_dbov: level.map(|level| level.level_dbov),
        }
    });
    seats.collect()
}
