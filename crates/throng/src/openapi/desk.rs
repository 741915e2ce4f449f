//! What hosts, speakers and the operator may ask.

use serde_json::json;

use super::operation::{Body, Operation, json_of};
use super::webrtc::{self, Door};
use super::{programs, recordings, refused};
use crate::api::audit::{AuditJson, LIMIT_MAX};
use crate::api::ladder::{LadderJson, SetBody};
use crate::api::spaces::cohosts::{CohostsJson, NewCohostJson};
use crate::api::spaces::cue::CueBody;
use crate::api::spaces::programme::DumpJson;
use crate::api::spaces::seats::SeatBody;
use crate::api::spaces::turns::TurnsJson;
use crate::api::spaces::{
    CreateBody, CreatedJson, EditBody, RenewBody, RenewedJson, SpaceJson, SpacesJson,
};

const ANY_OF_SPACE: &[&str] = &["operator", "host", "cohost", "speaker"];
pub(super) const HOST: &[&str] = &["operator", "host", "cohost"];
/// What the host keeps to himself.
pub(super) const HOST_ALONE: &[&str] = &["operator", "host"];
pub(super) const OPERATOR: &[&str] = &["operator"];
const BYTES: Body = Body::Media("application/octet-stream");
const TEXT: Body = Body::Media("text/plain");
const TRACK: Body = Body::Media("audio/mp4");

/// Every operation of the desk.
pub(super) fn operations() -> Vec<Operation> {
    let mut operations = spaces();
    operations.extend(one_space());
    operations.push(dump());
    operations.extend(hold());
    operations.extend(seats());
    operations.extend(recordings::operations());
    operations.extend(programs::operations());
    operations.extend(roles());
    operations.push(track());
    operations.push(audit());
    operations.extend(ladder());
    operations.extend(webrtc::operations(&Door::WHIP));
    operations.extend(webrtc::operations(&Door::TALKBACK));
    operations.extend(pages());
    operations.extend(feed());
    operations
}

fn spaces() -> Vec<Operation> {
    vec![
        api(
            "get",
            "/api/spaces",
            "listSpaces",
            "All spaces, newest first",
            OPERATOR,
        )
        .answers(200, "They.", &[json_of::<SpacesJson>()]),
        refused(
            api(
                "post",
                "/api/spaces",
                "createSpace",
                "A new space",
                OPERATOR,
            )
            .reads(json_of::<CreateBody>())
            .answers(
                201,
                "It, with its links: the only time that keys are shown.",
                &[json_of::<CreatedJson>()],
            )
            .answers(409, "There is no room for another space.", &[Body::Problem]),
            &[400, 413, 422],
        ),
    ]
}

fn one_space() -> Vec<Operation> {
    let it = || json_of::<SpaceJson<'_>>();
    let follows = "The step does not follow; `state` is where the space is.";
    vec![
        api(
            "get",
            "/api/spaces/{slug}",
            "showSpace",
            "A space",
            ANY_OF_SPACE,
        )
        .answers(200, "It.", &[it()]),
        refused(
            api(
                "patch",
                "/api/spaces/{slug}",
                "editSpace",
                "Changes what is said of a space",
                HOST,
            )
            .reads(json_of::<EditBody>())
            .answers(200, "It, changed.", &[it()])
            .answers(409, follows, &[Body::Problem]),
            &[403, 413, 422],
        ),
        refused(
            api(
                "delete",
                "/api/spaces/{slug}",
                "deleteSpace",
                "Deletes a space and its recording",
                HOST_ALONE,
            )
            .answers(204, "Gone.", &[]),
            &[403],
        ),
        refused(
            api(
                "post",
                "/api/spaces/{slug}/{act}",
                "stepSpace",
                "A step of a space's life",
                HOST,
            )
            .answers(200, "It, where it is now.", &[it()])
            .answers(409, follows, &[Body::Problem]),
            &[403],
        ),
    ]
}

fn dump() -> Operation {
    let operation = api(
        "post",
        "/api/spaces/{slug}/dump",
        "dump",
        "Takes back what was said and is not heard yet",
        HOST,
    )
    .says("Listeners never hear it, and it is not recorded. It cannot be undone.")
    .answers(200, "How much that was.", &[json_of::<DumpJson>()])
    .answers(409, "The programme holds nothing.", &[Body::Problem]);
    refused(operation, &[403])
}

fn hold() -> Vec<Operation> {
    let (path, it) = ("/api/spaces/{slug}/hold", || json_of::<SpaceJson<'_>>());
    let put = api("put", path, "putHold", "Hold music of the host's own", HOST)
        .says("WAV, FLAC, Ogg (Vorbis, Opus) or MP3, 4 s to 10 minutes. It is looped, and brought to the loudness of the programme.")
        .reads(BYTES)
        .answers(200, "The space; it is played once `hold.ready` says so.", &[it()])
        .answers(408, "It did not come within two minutes.", &[Body::Problem])
        .answers(409, "The space is live or over, or too many have their own.", &[Body::Problem]);
    let delete = api(
        "delete",
        path,
        "deleteHold",
        "The node's hold music again",
        HOST,
    )
    .answers(200, "The space.", &[it()]);
    vec![refused(put, &[403, 413, 422]), refused(delete, &[403])]
}

fn seats() -> Vec<Operation> {
    let link = "/api/spaces/{slug}/speakers/{seat}/link";
    let over = "The space is over; `state` says how.";
    vec![
        refused(
            api(
                "patch",
                "/api/spaces/{slug}/speakers/{seat}",
                "editSeat",
                "Mutes a seat, changes its gain, or moves it to the stage or the green room",
                ANY_OF_SPACE,
            )
            .says("The seat's own speaker may tell `muted` of himself.")
            .reads(json_of::<SeatBody>())
            .answers(200, "The space, changed.", &[json_of::<SpaceJson<'_>>()])
            .answers(409, over, &[Body::Problem]),
            &[403, 413, 422],
        ),
        refused(
            api(
                "delete",
                "/api/spaces/{slug}/speakers/{seat}/session",
                "removeSpeaker",
                "Puts who sits there off the stage",
                HOST,
            )
            .says("His link stays good.")
            .answers(204, "He is.", &[])
            .answers(409, over, &[Body::Problem]),
            &[403],
        ),
        refused(
            api("post", link, "renewLink", "A new link for a seat", HOST)
                .says("The old one opens nothing any more, and who sat there has to leave.")
                .may_read(json_of::<RenewBody>())
                .answers(200, "It.", &[json_of::<RenewedJson>()]),
            &[403, 413],
        ),
        refused(
            api(
                "delete",
                link,
                "revokeLink",
                "Takes a seat's link back",
                HOST,
            )
            .says("It opens nothing any more, and who sat there has to leave.")
            .answers(204, "Taken back.", &[]),
            &[403],
        ),
    ]
}

fn roles() -> Vec<Operation> {
    let it = || json_of::<SpaceJson<'_>>();
    let cohosts = "/api/spaces/{slug}/cohosts";
    let cue = "/api/spaces/{slug}/cue";
    vec![
        refused(
            api("get", cohosts, "listCohosts", "The cohosts", HOST)
                .answers(200, "They.", &[json_of::<CohostsJson>()]),
            &[403],
        ),
        refused(
            api("post", cohosts, "addCohost", "A link for a further cohost", HOST_ALONE)
                .says("He runs the space as the host does, but neither cancels nor deletes it, nor makes cohosts.")
                .answers(201, "It: the only time that it is shown.", &[json_of::<NewCohostJson>()])
                .answers(409, "There are enough cohosts.", &[Body::Problem]),
            &[403],
        ),
        refused(
            api(
                "delete",
                "/api/spaces/{slug}/cohosts/{cohost}",
                "revokeCohost",
                "Takes a cohost's link back",
                HOST_ALONE,
            )
            .answers(204, "It opens nothing any more.", &[]),
            &[403],
        ),
        refused(
            api("put", cue, "beginCue", "Counts down to the start", HOST)
                .says("At the end the space goes live. Speakers see it; listeners do not.")
                .reads(json_of::<CueBody>())
                .answers(200, "The space.", &[it()])
                .answers(409, "The space may not go live; `state` says why.", &[Body::Problem]),
            &[403, 413, 422],
        ),
        refused(
            api("delete", cue, "stopCue", "Stops the countdown", HOST)
                .answers(200, "The space.", &[it()]),
            &[403],
        ),
        refused(
            api("get", "/api/spaces/{slug}/turns", "showTurns", "Who talked when", HOST)
                .with(
                    "query",
                    "last_seconds",
                    "only turns of so many seconds until now; shares are of the whole time all the same",
                    &json!({ "type": "integer", "format": "int64", "minimum": 0, "maximum": u32::MAX }),
                )
                .answers(200, "They.", &[json_of::<TurnsJson>()]),
            &[403],
        ),
    ]
}

fn track() -> Operation {
    let text = json!({ "type": "string" });
    refused(
        api(
            "get",
            "/api/spaces/{slug}/tracks/{seat}",
            "track",
            "What was said on a seat, from go-live on: MP4 with Opus",
            HOST,
        )
        .says("As it was sent, muted where it was muted, without gain or levelling; in step with the recording.")
        .with("header", "Range", "one range of bytes (RFC 9110 section 14.2)", &text)
        .with("header", "If-Range", "the `ETag` to which the range belongs", &text)
        .with("header", "If-None-Match", "the `ETag` of what is there already", &text)
        .answers(200, "All of it.", &[TRACK])
        .carries(200, &["ETag"])
        .answers(206, "The range.", &[TRACK])
        .carries(206, &["Content-Range", "ETag"])
        .answers(304, "It is still that.", &[])
        .carries(304, &["ETag"])
        .answers(416, "The range begins behind the end.", &[Body::Problem])
        .carries(416, &["Content-Range"]),
        &[403],
    )
}

fn audit() -> Operation {
    let number = json!({ "type": "integer", "minimum": 1 });
    let limit = json!({ "type": "integer", "minimum": 1, "maximum": LIMIT_MAX });
    refused(
        api(
            "get",
            "/api/spaces/{slug}/audit",
            "auditOfSpace",
            "What was done to a space",
            HOST,
        )
        .says(
            "Every change that was asked for with its host's or the operator's key, newest first, and what came of it. \
             The last 10,000 are kept. No addresses.",
        )
        .with("query", "before", "Only acts before this number.", &number)
        .with("query", "limit", "At most so many.", &limit)
        .answers(200, "They.", &[json_of::<AuditJson>()]),
        &[403],
    )
}

fn ladder() -> Vec<Operation> {
    vec![
        api(
            "get",
            "/api/ladder",
            "showLadder",
            "Where the ladder is, and why",
            OPERATOR,
        )
        .answers(200, "There.", &[json_of::<LadderJson>()]),
        refused(
            api(
                "put",
                "/api/ladder",
                "setLadder",
                "Keeps a rung, or lets it move by what is measured",
                OPERATOR,
            )
            .reads(json_of::<SetBody>())
            .answers(200, "As it is now.", &[json_of::<LadderJson>()]),
            &[400, 413, 422],
        ),
    ]
}

fn pages() -> Vec<Operation> {
    let html = Body::Media("text/html");
    vec![
        page(
            "/studio",
            "studio",
            "The operator's desk: all spaces",
            &[html],
        ),
        page(
            "/studio/{slug}",
            "studioOfSpace",
            "The desk of a space",
            &[html],
        )
        .answers(404, "There is no such space.", &[html]),
        page("/s/{slug}/speak", "speak", "The speaker's page", &[html]).answers(
            404,
            "There is no such space.",
            &[html],
        ),
        page(
            "/assets/{file}",
            "asset",
            "What these pages load",
            &[Body::Media("text/javascript"), Body::Media("text/css")],
        )
        .answers(404, "There is no such file.", &[]),
        page(
            "/openapi.json",
            "openapi",
            "This document",
            &[Body::Media("application/json")],
        ),
    ]
}

fn feed() -> Vec<Operation> {
    let words = "Between processes of one version: its frames are not for others. Under `/feed/house` an edge fetches \
        what its audience asks for and it does not have, by the audience's paths.";
    let operation = |path, id, summary| {
        let operation = Operation::new("post", path, id, summary)
            .says(words)
            .by(&["feed"])
            .reads(BYTES)
            .answers(400, "This is no such message.", &[TEXT])
            .answers(413, "It is too large.", &[TEXT]);
        away(refused(operation, &[401]))
    };
    vec![
        operation("/feed", "feed", "The feed of an edge, endless").answers(
            200,
            "Frames.",
            &[BYTES],
        ),
        operation(
            "/feed/report",
            "feedReport",
            "What an edge reports every second",
        )
        .answers(204, "Taken.", &[]),
    ]
}

/// An operation of the API, by who has one of these keys.
pub(super) fn api(
    method: &'static str,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    keys: &'static [&'static str],
) -> Operation {
    let operation = away(Operation::new(method, path, id, summary)).by(keys);
    let of_path: &[u16] = if path.contains('{') { &[400, 404] } else { &[] };
    refused(refused(operation, &[401, 429, 500, 503]), of_path).carries(429, &["Retry-After"])
}

/// A page or module that is the same for everyone.
fn page(path: &'static str, id: &'static str, summary: &'static str, bodies: &[Body]) -> Operation {
    away(Operation::new("get", path, id, summary))
        .with(
            "header",
            "If-None-Match",
            "the `ETag` of what is there already",
            &json!({ "type": "string" }),
        )
        .answers(200, "It.", bodies)
        .carries(200, &["ETag"])
        .answers(304, "It is still that.", &[])
        .carries(304, &["ETag"])
}

/// Behind a worker the desk may be away.
fn away(operation: Operation) -> Operation {
    operation
        .answers(503, "The origin is away: come again.", &[TEXT])
        .carries(503, &["Retry-After"])
}
