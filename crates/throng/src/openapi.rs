//! `/openapi.json`: an `OpenAPI` 3.1 document of both addresses, with schemas from the types that are read and written.
//!
//! Each address has a list of its operations ([`audience`], [`desk`]); a new route is an entry there and a row in
//! `docs/reference/http.md`, and tests say where one of them is missing. Not here: the internal address.

mod audience;
mod desk;
mod operation;
mod programs;
mod recordings;
#[cfg(test)]
mod tests;
mod webrtc;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use throng_air::document::Document;
use throng_core::rendition::Rendition;
use throng_core::slug;

use self::operation::{Body, Operation, Schemas};
use crate::api::spaces::STEPS;
use crate::pages::ONE_MINUTE;

/// Where the version of the program stands.
const VERSION: &str = env!("CARGO_PKG_VERSION");

const ABOUT: &str = "Live audio for a crowd. The audience's address is read by anyone, without credentials and from any \
    page; hosts and speakers use the desk, with the key of their link as `Authorization: Bearer KEY`. Times are RFC 3339 \
    in UTC with milliseconds; parts (320 ms) and segments (3.84 s) are counted from 0 at the creation of a space.\n\n\
    Every `GET` is also a `HEAD`. A method that a path does not have is `405` with `Allow`; a head that is no HTTP is \
    `400`, and one that is too large `431`.";

/// The document of a node that is reached so.
pub(crate) fn document(public_url: &str, desk_url: &str) -> Document {
    let text = described(public_url, desk_url).to_string();
    Document::new(text, "application/json", ONE_MINUTE)
}

fn described(public_url: &str, desk_url: &str) -> Value {
    let mut schemas = Schemas {
        read: generator(SchemaSettings::for_deserialize),
        written: generator(SchemaSettings::for_serialize),
    };
    let mut paths = Map::new();
    describe(
        &mut paths,
        ("audience", public_url),
        &audience::operations(),
        &mut schemas,
    );
    describe(
        &mut paths,
        ("desk", desk_url),
        &desk::operations(),
        &mut schemas,
    );
    let mut types = schemas.read.take_definitions(true);
    types.extend(schemas.written.take_definitions(true));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Throng",
            "version": VERSION,
            "description": ABOUT,
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": desk_url, "description": "the desk" }],
        "tags": [
            { "name": "audience", "description": "Listening: pages, streams, replays." },
            { "name": "desk", "description": "Hosts, speakers and the operator." },
        ],
        "paths": paths,
        "components": {
            "schemas": types,
            "parameters": path_parameters(),
            "headers": headers(),
            "securitySchemes": keys(),
        },
    })
}

fn generator(contract: fn(SchemaSettings) -> SchemaSettings) -> SchemaGenerator {
    contract(SchemaSettings::draft2020_12())
        .with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
        .into_generator()
}

/// Adds the operations of an address.
fn describe(
    paths: &mut Map<String, Value>,
    (tag, url): (&str, &str),
    operations: &[Operation],
    schemas: &mut Schemas,
) {
    for operation in operations {
        let path = paths
            .entry(operation.path)
            .or_insert_with(|| json!({ "servers": [{ "url": url, "description": tag }] }));
        path[operation.method] = operation.written(tag, schemas);
    }
}

/// What the names in braces stand for.
fn path_parameters() -> Value {
    let number = json!({ "type": "integer", "format": "int64", "minimum": 0, "maximum": 999_999_999_999_999_u64 });
    let parameters = [
        (
            "act",
            "a step of its life",
            json!({ "type": "string", "enum": STEPS }),
        ),
        (
            "chapter",
            "a chapter, by its id",
            json!({ "type": "integer", "format": "int64", "minimum": 0, "maximum": u32::MAX }),
        ),
        (
            "cohost",
            "a cohost, counted from 1",
            json!({ "type": "integer", "format": "int64", "minimum": 0, "maximum": u32::MAX }),
        ),
        (
            "file",
            "a module or style of the desk's pages",
            json!({ "type": "string" }),
        ),
        ("n", "a segment, counted from 0", number),
        (
            "p",
            "a part of a segment",
            json!({ "type": "integer", "minimum": 0, "maximum": 11 }),
        ),
        ("rendition", "an encoding of the programme", rendition()),
        (
            "seat",
            "a seat of the stage, counted from 1",
            json!({ "type": "integer", "format": "int64", "minimum": 0, "maximum": u32::MAX }),
        ),
        (
            "session",
            "a WebRTC session, by the name that it was given",
            json!({ "type": "string" }),
        ),
        (
            "slug",
            "a space, by its place in the link",
            json!({ "type": "string", "pattern": "^[a-z0-9-]+$", "maxLength": slug::LENGTH_MAX }),
        ),
        (
            "webhook",
            "a webhook, by its id",
            json!({ "type": "string", "pattern": "^[0-9a-f]{32}$" }),
        ),
    ];
    let parameters = parameters.into_iter().map(|(name, words, schema)| {
        let parameter = json!({ "in": "path", "name": name, "required": true, "description": words, "schema": schema });
        (name.to_owned(), parameter)
    });
    parameters.collect()
}

/// With refusals of these statuses, which always mean the same.
fn refused(operation: Operation, statuses: &[u16]) -> Operation {
    statuses.iter().fold(operation, |operation, status| {
        let words = match status {
            400 => "The path or the body cannot be read.",
            401 => "The key does not open this.",
            403 => "This key does not allow it.",
            404 => "There is no such thing.",
            409 => "It does not follow; `state` is where the space is.",
            413 => "The body is too large.",
            415 => "The body is of another type.",
            422 => "What was asked for is not possible.",
            429 => "That was too often: with this key, or with wrong keys from this network. Come again.",
            500 => "Something failed here.",
            503 => "Nothing was changed, and it may be tried again.",
            _ => unreachable!("every status that is passed has its words"),
        };
        operation.answers(*status, words, &[Body::Problem])
    })
}

fn text_of(example: &str) -> Value {
    json!({ "type": "string", "examples": [example] })
}

fn rendition() -> Value {
    json!({ "type": "string", "enum": Rendition::ALL.map(Rendition::name) })
}

/// What the headers of answers say.
fn headers() -> Value {
    let text = json!({ "type": "string" });
    let headers = [
        (
            "Content-Range",
            "which bytes these are (RFC 9110 section 14.4)",
            &text,
        ),
        ("ETag", "names this version", &text),
        (
            "Location",
            "where it is",
            &json!({ "type": "string", "format": "uri-reference" }),
        ),
        (
            "Retry-After",
            "seconds after which to come again",
            &json!({ "type": "integer", "minimum": 0 }),
        ),
    ];
    let headers = headers.into_iter().map(|(name, words, schema)| {
        (
            name.to_owned(),
            json!({ "description": words, "schema": schema }),
        )
    });
    headers.collect()
}

/// Who holds a key.
fn keys() -> Value {
    let keys = [
        (
            "operator",
            "Opens everything. It lies in `operator.key` in the data folder.",
        ),
        ("host", "Runs one space: the key of the host's link."),
        (
            "cohost",
            "Runs one space with its host: the key of a cohost's link.",
        ),
        (
            "speaker",
            "Has a seat in one space: the key of a speaker's link.",
        ),
        (
            "feed",
            "For edges. It lies in `feed.key` in the data folder.",
        ),
    ];
    let keys = keys.into_iter().map(|(name, words)| {
        (
            name.to_owned(),
            json!({ "type": "http", "scheme": "bearer", "description": words }),
        )
    });
    keys.collect()
}
