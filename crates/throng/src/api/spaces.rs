//! Spaces over the API: create, list, show, edit, the steps of their life, delete.

pub(crate) mod chapters;
pub(crate) mod cohosts;
pub(crate) mod cue;
pub(crate) mod hold;
pub(crate) mod programme;
mod refusals;
pub(crate) mod seats;
mod shown;
pub(crate) mod turns;

use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use throng_core::key::{Key, Role, SeatNumber};
use throng_core::rendition::Channels;
use throng_core::space::{
    Act, Actor, DELAY_SECONDS_MAX, KEEP_DAYS_MAX, MESSAGE_CHARS_MAX, SPEAKERS_MAX, SoundSetting,
    Space, TEXT_CHARS_MAX,
};
use throng_core::time::UnixMillis;

use self::refusals::{act_problem, create_problem};
pub(super) use self::seats::known_seat;
pub(crate) use self::shown::{SpaceJson, SpacesJson};
use super::problem::Problem;
use super::{Desk, not_allowed};
use crate::chance;
use crate::origin::{SpaceHandle, Wish};

/// The steps of a space's life, as paths name them.
pub(crate) const STEPS: [&str; 4] = ["open-doors", "go-live", "end", "cancel"];
/// Seats of a space where nothing else is asked for.
const SPEAKERS_DEFAULT: u32 = 2;

pub(super) type Answer = Result<Response, Problem>;

/// A space that is to be.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewSpace")]
pub(crate) struct CreateBody {
    /// One line.
    #[schemars(length(min = 1, max = TEXT_CHARS_MAX))]
    title: String,
    /// When it is to go live; doors open 15 minutes before.
    #[schemars(extend("format" = "date-time"))]
    scheduled_at: Option<String>,
    /// Seats of its stage.
    #[schemars(range(min = 1, max = SPEAKERS_MAX), extend("default" = SPEAKERS_DEFAULT))]
    speakers: Option<u32>,
    #[schemars(extend("format" = "date-time"))]
    speaker_links_expire_at: Option<String>,
    #[schemars(range(max = u32::MAX))]
    expected_listeners: Option<NonZeroU32>,
    /// Whether speakers who come wait in the green room.
    #[schemars(extend("default" = false))]
    green_room: Option<bool>,
    /// Whether voices are brought gently to the same loudness.
    #[schemars(extend("default" = true))]
    levelling: Option<bool>,
    /// Whether each speaker's own sound is kept as a track.
    #[schemars(extend("default" = false))]
    tracks: Option<bool>,
    /// Whether its programme has two channels: for music. For good.
    #[schemars(extend("default" = false))]
    stereo: Option<bool>,
}

/// How long a new link is good.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "LinkRenewal")]
pub(crate) struct RenewBody {
    /// For ever, where it is not said.
    #[schemars(extend("format" = "date-time"))]
    expires_at: Option<String>,
}

/// A new link of a seat.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SpeakerLink")]
pub(crate) struct RenewedJson {
    seat: u32,
    #[schemars(extend("format" = "uri"))]
    speaker_url: String,
}

/// An absent field leaves things as they are, `null` clears them.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SpaceEdit")]
pub(crate) struct EditBody {
    #[schemars(length(min = 1, max = TEXT_CHARS_MAX))]
    title: Option<String>,
    /// A time that was announced is not taken back.
    #[serde(default)]
    #[schemars(with = "String", extend("format" = "date-time"))]
    scheduled_at: Wanted<String>,
    /// Why it is late, in words that listeners see.
    #[serde(default)]
    #[schemars(with = "Option<String>", length(min = 1, max = TEXT_CHARS_MAX))]
    delay_reason: Wanted<String>,
    #[serde(default)]
    #[schemars(with = "Option<NonZeroU32>", range(max = u32::MAX))]
    expected_listeners: Wanted<NonZeroU32>,
    /// Whether nobody new takes a seat.
    stage_locked: Option<bool>,
    /// For how many days after the end the recording is kept; `null` for ever, as it is where nothing is said.
    #[serde(default)]
    #[schemars(with = "Option<NonZeroU32>", range(max = KEEP_DAYS_MAX))]
    keep_recording_days: Wanted<NonZeroU32>,
    /// Whether speakers who come wait in the green room. Who is there stays where he is.
    green_room: Option<bool>,
    levelling: Option<bool>,
    /// Before go-live only, so that all tracks are of one length.
    tracks: Option<bool>,
    /// By how many seconds the programme is later than the stage.
    #[schemars(range(max = DELAY_SECONDS_MAX))]
    delay_seconds: Option<u8>,
    /// What listeners read beside the programme, in plain text.
    #[serde(default)]
    #[schemars(with = "Option<String>", length(min = 1, max = MESSAGE_CHARS_MAX))]
    message: Wanted<String>,
}

/// What an edit wants of a field that can be empty.
#[derive(Default)]
enum Wanted<T> {
    /// `null`: empty.
    Nothing,
    /// A value.
    This(T),
    /// Absent: as it is.
    #[default]
    Unchanged,
}

impl<T> Wanted<T> {
    /// The act that brings it about, if it is not as it is.
    fn act(self, act: impl FnOnce(Option<T>) -> Act) -> Option<Act> {
        match self {
            Self::Nothing => Some(act(None)),
            Self::This(value) => Some(act(Some(value))),
            Self::Unchanged => None,
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Wanted<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Nothing, Self::This))
    }
}

/// What is shown once: the links with their keys.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "NewSpaceLinks")]
pub(crate) struct CreatedJson {
    id: String,
    slug: String,
    #[schemars(extend("format" = "uri"))]
    listen_url: String,
    #[schemars(extend("format" = "uri"))]
    host_url: String,
    speaker_urls: Vec<String>,
    state: &'static str,
}

pub(super) async fn create(
    State(desk): State<Arc<Desk>>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    desk.operator(&headers)?;
    let wish = wish(&body)?;
    let created = desk.origin.create(wish).await.map_err(create_problem)?;
    desk.note_creation(&created.handle, &headers, &body).await;
    let space = created.handle.space();
    let slug = space.slug.as_str().to_owned();
    let document = CreatedJson {
        id: space.id.clone(),
        listen_url: desk.listen_url(&slug),
        host_url: format!("{}/studio/{slug}#key={}", desk.url, created.host.expose()),
        speaker_urls: created
            .speakers
            .iter()
            .map(|key| desk.speaker_url(&slug, &key.expose()))
            .collect(),
        state: space.state.name(),
        slug,
    };
    Ok((StatusCode::CREATED, uncached(Json(document))).into_response())
}

/// What the body of a creation asks for.
pub(crate) fn wish(body: &[u8]) -> Result<Wish, Problem> {
    let body: CreateBody = parse(body)?;
    let usual = SoundSetting::default();
    Ok(Wish {
        title: body.title,
        scheduled_at: optional_time("scheduled_at", body.scheduled_at.as_deref())?,
        speakers: body.speakers.unwrap_or(SPEAKERS_DEFAULT),
        speaker_links_expire_at: optional_time(
            "speaker_links_expire_at",
            body.speaker_links_expire_at.as_deref(),
        )?,
        expected_listeners: body.expected_listeners,
        green_room: body.green_room.unwrap_or(false),
        sound: SoundSetting {
            channels: body.stereo.map_or(usual.channels, Channels::of),
            levelling: body.levelling.unwrap_or(usual.levelling),
            tracks: body.tracks.unwrap_or(usual.tracks),
        },
    })
}

pub(super) async fn list(State(desk): State<Arc<Desk>>, headers: HeaderMap) -> Answer {
    desk.operator(&headers)?;
    let spaces: Vec<_> = desk
        .origin
        .list()
        .iter()
        .map(|handle| desk.describe(handle))
        .collect();
    Ok(uncached(Json(SpacesJson { spaces })).into_response())
}

pub(super) async fn show(
    State(desk): State<Arc<Desk>>,
    Path(slug): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let handle = desk.space(&slug)?;
    let role = desk.role(&handle, &headers)?;
    Ok(uncached(Json(desk.describe_to(&handle, Some(role)))).into_response())
}

pub(super) async fn edit(
    State(desk): State<Arc<Desk>>,
    Path(slug): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let handle = desk.space(&slug)?;
    let actor = desk.actor(&handle, &headers)?;
    let seated = handle.levels().seats.into_iter();
    let seated = seated.map(|level| SeatNumber(level.seat)).collect();
    let acts = edits(&body, &handle.space(), seated)?;
    handle.edit(actor, acts).await.map_err(act_problem)?;
    Ok(uncached(Json(desk.describe(&handle))).into_response())
}

/// The acts that the body of an edit asks for; `seated` are the seats that are taken now.
pub(crate) fn edits(
    body: &[u8],
    space: &Space,
    seated: BTreeSet<SeatNumber>,
) -> Result<Vec<Act>, Problem> {
    let body: EditBody = parse(body)?;
    let mut acts: Vec<_> = body.title.map(Act::Rename).into_iter().collect();
    acts.extend(body.green_room.map(|is_open| {
        let seated = seated.clone();
        Act::SetGreenRoom { is_open, seated }
    }));
    acts.extend(body.stage_locked.map(|locked| {
        if locked {
            Act::LockStage { seated }
        } else {
            Act::UnlockStage
        }
    }));
    acts.extend(body.levelling.map(Act::Level));
    acts.extend(
        body.tracks
            .filter(|&tracks| tracks != space.sound.tracks)
            .map(Act::KeepTracks),
    );
    acts.extend(body.delay_seconds.map(Act::SetDelay));
    acts.extend(body.message.act(Act::SetMessage));
    acts.extend(body.expected_listeners.act(Act::Expect));
    acts.extend(body.keep_recording_days.act(Act::KeepRecording));
    match (body.scheduled_at, body.delay_reason) {
        (Wanted::This(at), reason) => acts.push(Act::Reschedule {
            scheduled_at: time("scheduled_at", &at)?,
            reason: match reason {
                Wanted::Nothing => None,
                Wanted::This(reason) => Some(reason),
                Wanted::Unchanged => space.delay_reason.clone(),
            },
        }),
        (Wanted::Unchanged, reason) => acts.extend(reason.act(Act::SetDelayReason)),
        (Wanted::Nothing, _) => {
            return Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "refused",
                "This is not possible",
                "A time that was announced is not taken back. Give another, or cancel the space.",
            ));
        }
    }
    Ok(acts)
}

pub(super) async fn act(
    State(desk): State<Arc<Desk>>,
    Path((slug, act)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answer {
    let handle = desk.space(&slug)?;
    let actor = desk.actor(&handle, &headers)?;
    let act = match act.as_str() {
        "open-doors" => Act::OpenDoors,
        "go-live" => Act::GoLive,
        "end" => Act::End,
        "cancel" => Act::Cancel,
        other => {
            let detail = format!("{other:?} is no step. Steps are {}.", STEPS.join(", "));
            return Err(Problem::new(
                StatusCode::NOT_FOUND,
                "unknown-step",
                "There is no such step",
                detail,
            ));
        }
    };
    handle.act(actor, act).await.map_err(act_problem)?;
    Ok(uncached(Json(desk.describe(&handle))).into_response())
}

pub(super) async fn delete(
    State(desk): State<Arc<Desk>>,
    Path(slug): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let handle = desk.space(&slug)?;
    desk.host(&handle, &headers)?;
    desk.origin
        .delete(&handle)
        .await
        .map_err(|error| Problem::store(&error))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `DELETE …/recording`: the recording is gone for good, and the space, its link and its numbers stay.
pub(super) async fn delete_recording(
    State(desk): State<Arc<Desk>>,
    Path(slug): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let handle = desk.space(&slug)?;
    let actor = desk.actor(&handle, &headers)?;
    let deleted = handle.act(actor, Act::DeleteRecording).await;
    deleted.map_err(act_problem)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A new link for a seat; the old one opens nothing any more. The body may say when it expires.
pub(super) async fn renew_link(
    State(desk): State<Arc<Desk>>,
    Path((slug, seat)): Path<(String, u32)>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let handle = desk.space(&slug)?;
    desk.actor(&handle, &headers)?;
    let body: RenewBody = if body.is_empty() {
        RenewBody::default()
    } else {
        parse(&body)?
    };
    let expires_at = optional_time("expires_at", body.expires_at.as_deref())?;
    let number = known_seat(&handle.space(), seat)?;
    let key = chance::key();
    handle
        .renew_seat(number, &key, expires_at)
        .await
        .map_err(|error| Problem::store(&error))?;
    let speaker_url = desk.speaker_url(&slug, &key.expose());
    Ok(uncached(Json(RenewedJson { seat, speaker_url })).into_response())
}

impl Desk {
    fn listen_url(&self, slug: &str) -> String {
        format!("{}/s/{slug}", self.public_url)
    }

    fn speaker_url(&self, slug: &str, key: &str) -> String {
        format!("{}/s/{slug}/speak#key={key}", self.url)
    }

    /// Who acts on the life of a space with this key.
    pub(in crate::api) fn actor(
        &self,
        handle: &SpaceHandle,
        headers: &HeaderMap,
    ) -> Result<Actor, Problem> {
        actor_of(self.role(handle, headers)?)
    }

    /// Whether this key still runs the space. That somebody has it says nothing of where he is.
    pub(crate) fn runs(&self, handle: &SpaceHandle, key: &Key) -> Result<(), Problem> {
        actor_of(self.role_of(handle, key)?).map(drop)
    }

    /// Whether the key is the host's own, or the operator's.
    fn host(&self, handle: &SpaceHandle, headers: &HeaderMap) -> Result<(), Problem> {
        match self.actor(handle, headers)? {
            Actor::Cohost => Err(not_allowed(
                "A cohost runs the space, but neither deletes it nor says who else runs it. Ask the host to do this.",
            )),
            _ => Ok(()),
        }
    }
}

/// As what somebody acts on the life of a space.
fn actor_of(role: Role) -> Result<Actor, Problem> {
    match role {
        Role::Host => Ok(Actor::Host),
        Role::Cohost(_) => Ok(Actor::Cohost),
        Role::Operator => Ok(Actor::Operator),
        Role::Speaker(_) => Err(not_allowed(
            "A speaker's link is for speaking. Ask the host to do this.",
        )),
    }
}

/// Keys and live states are not for caches.
pub(super) fn uncached(json: impl IntoResponse) -> Response {
    let mut response = json.into_response();
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The object that a body is.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let bad = |why: &dyn fmt::Display| {
        let detail = format!("The body is not the JSON that is expected here: {why}.");
        Problem::new(
            StatusCode::BAD_REQUEST,
            "bad-json",
            "The request cannot be read",
            detail,
        )
    };
    // Fields without their names would be taken, too.
    if body.trim_ascii_start().first() == Some(&b'[') {
        return Err(bad(&"it is an array"));
    }
    serde_json::from_slice(body).map_err(|error| bad(&error))
}

fn optional_time(field: &str, text: Option<&str>) -> Result<Option<UnixMillis>, Problem> {
    text.map(|text| time(field, text)).transpose()
}

fn time(field: &str, text: &str) -> Result<UnixMillis, Problem> {
    UnixMillis::parse_rfc3339(text).map_err(|_| {
        let detail = format!("{field} is {text:?}; write it as 2026-12-01T20:00:00Z (RFC 3339).");
        Problem::new(
            StatusCode::BAD_REQUEST,
            "bad-time",
            "The time cannot be read",
            detail,
        )
    })
}
