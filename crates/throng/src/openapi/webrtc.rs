//! WHIP at the desk and WHEP at the audience's address: the same operations around another offer.

use serde_json::json;

use super::operation::{Body, Operation};
use super::refused;

const SDP: Body = Body::Media("application/sdp");
const FRAGMENT: Body = Body::Media("application/trickle-ice-sdpfrag");

/// What tells them apart.
pub(super) struct Door {
    path: &'static str,
    session: &'static str,
    /// Of each operation: to offer, to ask beforehand, to leave, to patch, to ask that beforehand.
    ids: [&'static str; 5],
    offer: &'static str,
    words: &'static str,
    key: &'static [&'static str],
}

impl Door {
    pub(super) const WHEP: Self = Self {
        path: "/s/{slug}/whep",
        session: "/s/{slug}/whep/{session}",
        ids: [
            "subscribe",
            "subscribePreflight",
            "unsubscribe",
            "patchSubscription",
            "unsubscribePreflight",
        ],
        offer: "WHEP: the programme under one second",
        words: "From doors on; 200 places per node.",
        key: &[],
    };
    pub(super) const TALKBACK: Self = Self {
        path: "/s/{slug}/talkback",
        session: "/s/{slug}/talkback/{session}",
        ids: [
            "talkBack",
            "talkBackPreflight",
            "hangUp",
            "patchTalkback",
            "hangUpPreflight",
        ],
        offer: "WHIP: a host or cohost talks to the stage, off air",
        words: "It is never in the programme. One line for each key, four for each space.",
        key: super::desk::HOST,
    };
    pub(super) const WHIP: Self = Self {
        path: "/s/{slug}/whip",
        session: "/s/{slug}/whip/{session}",
        ids: [
            "publish",
            "publishPreflight",
            "leave",
            "patchSession",
            "leavePreflight",
        ],
        offer: "WHIP (RFC 9725): a speaker takes his seat",
        words: "A `sendrecv` offer is answered `sendrecv`, with the mix-minus of the seat.",
        key: &["speaker"],
    };
}

/// The operations of a door.
pub(super) fn operations(door: &Door) -> Vec<Operation> {
    let [offer, preflight, leave, patch, leave_preflight] = door.ids;
    vec![
        offered(door, offer),
        asked_beforehand(door.path, preflight),
        of_session("delete", door.session, leave, "Leaves").answers(200, "Left.", &[]),
        patched(door.session, patch),
        asked_beforehand(door.session, leave_preflight),
    ]
}

fn offered(door: &Door, id: &'static str) -> Operation {
    let operation = Operation::new("post", door.path, id, door.offer)
        .says(door.words)
        .reads(SDP)
        .answers(201, "The answer; the session is at `Location`.", &[SDP])
        .carries(201, &["ETag", "Location"]);
    let operation = refused(operation, &[400, 404, 413, 415, 422, 503]).answers(
        409,
        "Doors are not open yet, the space is over, or all lines are taken.",
        &[Body::Problem],
    );
    let operation = if door.path.ends_with("talkback") {
        let to = json!({ "type": "string", "pattern": "^(all|[0-9]+)$", "default": "all" });
        operation.with("query", "to", "`all`, or the number of a seat", &to)
    } else {
        operation
    };
    if door.key.is_empty() {
        operation
    } else {
        refused(operation.by(door.key), &[401, 403])
    }
}

fn patched(path: &'static str, id: &'static str) -> Operation {
    let operation = of_session("patch", path, id, "Trickles candidates, or restarts ICE")
        .with(
            "header",
            "If-Match",
            "the `ETag` of the session",
            &json!({ "type": "string" }),
        )
        .reads(FRAGMENT)
        .answers(200, "Restarted.", &[FRAGMENT])
        .carries(200, &["ETag"])
        .answers(204, "Trickled.", &[])
        .answers(412, "The session has another `ETag`.", &[Body::Problem])
        .answers(428, "A restart needs `If-Match`.", &[Body::Problem]);
    refused(operation, &[413, 415])
}

fn of_session(
    method: &'static str,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
) -> Operation {
    let operation = Operation::new(method, path, id, summary)
        .says("The name of a session is unguessable, and who knows it may.")
        .answers(410, "A newer session has the seat.", &[Body::Problem]);
    refused(operation, &[400, 404, 503])
}

fn asked_beforehand(path: &'static str, id: &'static str) -> Operation {
    Operation::new(
        "options",
        path,
        id,
        "What a page from elsewhere may do (CORS)",
    )
    .answers(204, "This.", &[])
}
