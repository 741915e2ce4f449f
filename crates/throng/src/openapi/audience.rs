//! What listeners, players and caches may ask.

use serde_json::{Value, json};
use throng_air::room::{NowServingJson, WaitJson};
use throng_air::state::StateJson;
use throng_core::rendition::{Codec, Rendition};

use super::operation::{Body, Operation, json_of};
use super::text_of;
use super::webrtc::{self, Door};

const HTML: Body = Body::Media("text/html");
const TEXT: Body = Body::Media("text/plain");
const PLAYLIST: Body = Body::Media("application/vnd.apple.mpegurl");
const MP4: Body = Body::Media("audio/mp4");
const AGAIN: &[&str] = &["Retry-After"];

/// Every operation of the audience's address.
pub(super) fn operations() -> Vec<Operation> {
    let mut operations = pages();
    operations.extend(files_of_the_page());
    operations.push(chapters());
    operations.extend([
        live(
            "/s/{slug}/live.mp4",
            "liveMp4",
            "The programme, endless: CMAF",
            "audio/mp4",
            &[Codec::Aac, Codec::Opus],
        ),
        live(
            "/s/{slug}/live.webm",
            "liveWebm",
            "The programme, endless: WebM, Opus",
            "audio/webm",
            &[Codec::Opus],
        ),
        live(
            "/s/{slug}/live.aac",
            "liveAac",
            "The programme, endless: ADTS, AAC",
            "audio/aac",
            &[Codec::Aac],
        ),
        deletable(recording(
            "/s/{slug}/recording.mp4",
            "recordingMp4",
            "Go-live to end as one file: Opus",
            Codec::Opus,
        )),
        deletable(recording(
            "/s/{slug}/recording.m4a",
            "recordingM4a",
            "Go-live to end as one file: AAC",
            Codec::Aac,
        )),
    ]);
    operations.extend(playlists());
    operations.extend(segments());
    operations.extend(webrtc::operations(&Door::WHEP));
    operations
}

fn chapters() -> Operation {
    known(get(
        "/s/{slug}/chapters.json",
        "chapters",
        "What begins where in the recording (Podcasting 2.0, JSON chapters 1.2.0)",
    ))
    .says("`{\"version\",\"chapters\":[{\"startTime\",\"title\"}]}`; `startTime` is in seconds of the recording.")
    .answers(200, "They.", &[Body::Media(crate::chapters::CONTENT_TYPE)])
    .carries(200, &["ETag"])
}

/// Of a recording that may be gone.
fn deletable(operation: Operation) -> Operation {
    operation.answers(
        410,
        "There was a recording, and it has been deleted.",
        &[TEXT],
    )
}

fn pages() -> Vec<Operation> {
    vec![
        known(get("/", "index", "The public list of spaces"))
            .answers(200, "The page.", &[HTML])
            .answers(
                303,
                "At the desk, where it has an address of its own: to the studio.",
                &[],
            )
            .carries(303, &["Location"]),
        known(get(
            "/s/{slug}",
            "page",
            "The page of a space, in every state",
        ))
        .answers(200, "The page.", &[HTML]),
        get("/s/{slug}/state.json", "state", "Where a space stands").answers(
            200,
            "So it stands.",
            &[json_of::<StateJson<'_>>()],
        ),
        get(
            "/s/{slug}/now-serving.json",
            "nowServing",
            "How far the queue of a full house has come",
        )
        .answers(200, "So far.", &[json_of::<NowServingJson>()]),
        file(
            "/s/{slug}/hold.mp4",
            "holdMusic",
            "The hold music, once round, for who waits",
        ),
    ]
}

/// What the page of a space loads besides itself.
fn files_of_the_page() -> Vec<Operation> {
    let module = |path, id, summary| {
        let answer = [Body::Media("text/javascript")];
        known(get(path, id, summary)).answers(200, "A module.", &answer)
    };
    vec![
        module(
            "/s/{slug}/chapters.js",
            "chaptersModule",
            "What the page loads to show chapters",
        ),
        module(
            "/s/{slug}/controls.js",
            "controlsModule",
            "What the page loads after its first sound",
        ),
        known(get(
            "/s/{slug}/controls.css",
            "controlsStyle",
            "How it looks",
        ))
        .answers(200, "A style sheet.", &[Body::Media("text/css")]),
        module(
            "/s/{slug}/replay.js",
            "replayModule",
            "What the page loads for the replay and for starting over",
        ),
        module(
            "/s/{slug}/start-over.js",
            "startOverModule",
            "What the page loads for who starts over",
        ),
        module(
            "/s/{slug}/waiting.js",
            "waiting",
            "What the page loads when the house is full",
        ),
    ]
}

fn playlists() -> Vec<Operation> {
    let media = get("/s/{slug}/hls/{rendition}/media.m3u8", "mediaPlaylist", "Live playlist of 48 s (RFC 8216bis)")
        .says("With `_HLS_msn` the answer is held until the playlist has that segment or part, at most 12 s.");
    let event = get(
        "/s/{slug}/hls/{rendition}/event.m3u8",
        "eventPlaylist",
        "From go-live (before it: from doors) to now",
    );
    let replay = get(
        "/s/{slug}/hls/{rendition}/replay.m3u8",
        "replayPlaylist",
        "Go-live to end, once it has ended",
    );
    let main = full(number(get(
        "/s/{slug}/hls/main.m3u8",
        "mainPlaylist",
        "Multivariant playlist",
    )));
    let main = sent_on(main).answers(200, "The playlist.", &[PLAYLIST]);
    let growing = |operation| {
        full(number(directives(deletable(operation))))
            .answers(200, "The playlist.", &[PLAYLIST])
            .answers(
                400,
                "A directive cannot be understood, or lies too far ahead.",
                &[TEXT],
            )
    };
    vec![
        main,
        growing(media),
        growing(event).answers(404, "Or doors are not open yet.", &[TEXT]),
        deletable(replay)
            .answers(200, "The playlist.", &[PLAYLIST])
            .answers(404, "Or it has not ended yet.", &[TEXT]),
    ]
}

fn segments() -> Vec<Operation> {
    let absent = "Or it is not here: not yet, or not any more.";
    let audio = |path, id, summary| get(path, id, summary).answers(200, "The sound.", &[MP4]);
    vec![
        audio(
            "/s/{slug}/hls/{rendition}/init.mp4",
            "init",
            "Initialisation segment",
        ),
        deletable(audio(
            "/s/{slug}/hls/{rendition}/{n}.m4s",
            "segment",
            "Segment n",
        ))
        .says("One that is due soon is held until it is there, at most 12 s.")
        .answers(404, absent, &[TEXT]),
        deletable(audio(
            "/s/{slug}/hls/{rendition}/{n}.{p}.m4s",
            "part",
            "Part p of segment n",
        ))
        .says("One that is due soon is held until it is there, at most 12 s.")
        .answers(404, absent, &[TEXT]),
        deletable(audio(
            "/s/{slug}/hls/{rendition}/replay/{n}.m4s",
            "replaySegment",
            "Segment n of the replay",
        ))
        .answers(404, absent, &[TEXT]),
    ]
}

/// A stream without an end.
fn live(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    media_type: &'static str,
    codecs: &[Codec],
) -> Operation {
    let operation = rendition_of(codecs, get(path, id, summary))
        .says("It ends when the space does.")
        .with(
            "query",
            "from",
            "the part for which a player waits that was connected before",
            &json!({ "type": "integer", "minimum": 0, "maximum": u64::MAX }),
        );
    sent_on(full(number(operation)))
        .answers(200, "The programme.", &[Body::Media(media_type)])
        .answers(302, "It has ended: to the recording.", &[TEXT])
        .carries(302, &["Location"])
        .answers(
            400,
            "The container does not carry this rendition, or it cannot be understood.",
            &[TEXT],
        )
        .answers(410, "The space was cancelled.", &[TEXT])
}

/// Go-live to end.
fn recording(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    codec: Codec,
) -> Operation {
    rendition_of(&[codec], file(path, id, summary)).answers(
        400,
        "The file is not to be had in this rendition.",
        &[TEXT],
    )
}

/// An encoding by one of these codecs may be chosen.
fn rendition_of(codecs: &[Codec], operation: Operation) -> Operation {
    let carried = Rendition::ALL.into_iter();
    let carried = carried.filter(|rendition| codecs.contains(&rendition.codec()));
    let renditions: Vec<_> = carried.map(Rendition::name).collect();
    operation.with(
        "query",
        "rendition",
        "an encoding that this container carries",
        &json!({ "type": "string", "enum": renditions }),
    )
}

/// A file of which a range may be asked.
fn file(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    let headers = &["Content-Range", "ETag"];
    known(get(path, id, summary))
        .with(
            "header",
            "Range",
            "one range of bytes (RFC 9110 section 14.2)",
            &text_of("bytes=0-999"),
        )
        .with(
            "header",
            "If-Range",
            "the `ETag` to which the range belongs",
            &json!({ "type": "string" }),
        )
        .answers(200, "All of it.", &[MP4])
        .carries(200, &["ETag"])
        .answers(206, "The range.", &[MP4])
        .carries(206, headers)
        .answers(404, "Or there is nothing in it yet.", &[TEXT])
        .answers(416, "The range begins behind the end.", &[TEXT])
        .carries(416, &["Content-Range"])
}

/// What every answer to a listener may be instead.
fn get(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    let operation = Operation::new("get", path, id, summary)
        .answers(503, "Not at this moment: come again.", &[TEXT])
        .carries(503, AGAIN);
    if path.contains('{') {
        operation.answers(404, "There is no such space, or no such file.", &[HTML])
    } else {
        operation
    }
}

/// Who has it already need not be sent it again.
fn known(operation: Operation) -> Operation {
    operation
        .with(
            "header",
            "If-None-Match",
            "the `ETag` of what is there already",
            &json!({ "type": "string" }),
        )
        .answers(304, "It is still that.", &[])
        .carries(304, &["ETag"])
}

/// Who listens is told apart by a number.
fn number(operation: Operation) -> Operation {
    let words = "a random number of the player's own making";
    operation.with("query", "l", words, &json!({ "type": "string" }))
}

/// The house may be full.
fn full(operation: Operation) -> Operation {
    let words = "the ticket of an earlier `503`";
    operation
        .with("query", "ticket", words, &json!({ "type": "string" }))
        .answers(
            503,
            "Or the house is full: a ticket.",
            &[json_of::<WaitJson<'_>>()],
        )
}

/// A full house may know another with room.
fn sent_on(operation: Operation) -> Operation {
    let words = "a full house has sent him here, and he is not sent anywhere else";
    operation
        .with("query", "sent_on", words, &json!({ "type": "string" }))
        .answers(
            307,
            "The house is full, and there is room in another.",
            &[TEXT],
        )
        .carries(307, &["Location"])
}

/// Delivery directives of RFC 8216bis.
fn directives(operation: Operation) -> Operation {
    let number = json!({ "type": "integer", "format": "int64", "minimum": 0, "maximum": 999_999_999_999_999_u64 });
    let skips: Value = json!({ "type": "string", "enum": ["YES", "v2"] });
    operation
        .with(
            "query",
            "_HLS_msn",
            "hold the answer until this segment is in it",
            &number,
        )
        .with(
            "query",
            "_HLS_part",
            "or this part of it; needs `_HLS_msn`",
            &number,
        )
        .with(
            "query",
            "_HLS_skip",
            "leave out what the player has",
            &skips,
        )
}
