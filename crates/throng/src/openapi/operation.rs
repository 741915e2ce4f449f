//! One operation as the document tells it: who may ask, with what, and every answer.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::api::problem::Problem;

/// Makes the schema of a type where it is asked for.
type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// What a body is.
#[derive(Clone, Copy)]
pub(super) enum Body {
    /// JSON of a type.
    Json(SchemaOf),
    /// A refusal of the API (RFC 9457).
    Problem,
    /// Bytes or text of a media type.
    Media(&'static str),
}

/// JSON of a type.
pub(super) fn json_of<T: JsonSchema>() -> Body {
    Body::Json(SchemaGenerator::subschema_for::<T>)
}

/// Schemas of what is read, and of what is written: an optional field may be left out of the one, and is there in the
/// other.
pub(super) struct Schemas {
    pub(super) read: SchemaGenerator,
    pub(super) written: SchemaGenerator,
}

/// A method at a path.
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    id: &'static str,
    summary: &'static str,
    words: &'static str,
    keys: &'static [&'static str],
    parameters: Vec<Value>,
    reads: Option<(Body, bool)>,
    answers: BTreeMap<u16, Answer>,
}

struct Answer {
    words: String,
    bodies: Vec<Body>,
    headers: &'static [&'static str],
}

impl Operation {
    /// What it is for, in one line; `id` names it in clients that are generated.
    pub(super) fn new(
        method: &'static str,
        path: &'static str,
        id: &'static str,
        summary: &'static str,
    ) -> Self {
        Self {
            method,
            path,
            id,
            summary,
            words: "",
            keys: &[],
            parameters: Vec::new(),
            reads: None,
            answers: BTreeMap::new(),
        }
    }

    /// What is to be known besides.
    pub(super) fn says(mut self, words: &'static str) -> Self {
        self.words = words;
        self
    }

    /// One of these keys opens it.
    pub(super) fn by(mut self, keys: &'static [&'static str]) -> Self {
        self.keys = keys;
        self
    }

    /// It may be asked with a parameter of the query or a header.
    pub(super) fn with(mut self, place: &str, name: &str, words: &str, schema: &Value) -> Self {
        self.parameters
            .push(json!({ "in": place, "name": name, "description": words, "schema": schema }));
        self
    }

    /// It reads a body.
    pub(super) fn reads(self, body: Body) -> Self {
        Self {
            reads: Some((body, true)),
            ..self
        }
    }

    /// It reads a body where there is one.
    pub(super) fn may_read(self, body: Body) -> Self {
        Self {
            reads: Some((body, false)),
            ..self
        }
    }

    /// It is answered so, with one of these bodies. What is said twice of a status adds up.
    pub(super) fn answers(mut self, status: u16, words: &str, bodies: &[Body]) -> Self {
        let answer = self.answers.entry(status).or_insert_with(|| Answer {
            words: String::new(),
            bodies: Vec::new(),
            headers: &[],
        });
        if !answer.words.is_empty() {
            answer.words += " ";
        }
        answer.words += words;
        answer.bodies.extend(bodies);
        self
    }

    /// An answer that was told carries these headers.
    pub(super) fn carries(mut self, status: u16, headers: &'static [&'static str]) -> Self {
        let answer = self.answers.get_mut(&status);
        answer.expect("headers belong to an answer").headers = headers;
        self
    }

    /// As the document has it.
    pub(super) fn written(&self, tag: &str, schemas: &mut Schemas) -> Value {
        let mut operation = json!({
            "operationId": self.id,
            "summary": self.summary,
            "tags": [tag],
            "responses": self
                .answers
                .iter()
                .map(|(status, answer)| (status.to_string(), answer.written(&mut schemas.written)))
                .collect::<Map<_, _>>(),
            "security": self.keys.iter().map(|key| json!({ *key: [] })).collect::<Vec<_>>(),
        });
        if !self.words.is_empty() {
            operation["description"] = json!(self.words);
        }
        let of_path = parameters_of(self.path)
            .map(|name| json!({ "$ref": format!("#/components/parameters/{name}") }));
        let parameters: Vec<_> = of_path.chain(self.parameters.iter().cloned()).collect();
        if !parameters.is_empty() {
            operation["parameters"] = json!(parameters);
        }
        if let Some((body, required)) = self.reads {
            operation["requestBody"] = json!({
                "content": content(&[body], &mut schemas.read),
                "required": required,
            });
        }
        operation
    }
}

impl Answer {
    fn written(&self, schemas: &mut SchemaGenerator) -> Value {
        let mut answer = json!({ "description": self.words });
        if !self.bodies.is_empty() {
            answer["content"] = content(&self.bodies, schemas);
        }
        if !self.headers.is_empty() {
            let header = |name: &&str| {
                (
                    (*name).to_owned(),
                    json!({ "$ref": format!("#/components/headers/{name}") }),
                )
            };
            answer["headers"] = self.headers.iter().map(header).collect();
        }
        answer
    }
}

fn content(bodies: &[Body], schemas: &mut SchemaGenerator) -> Value {
    let mut media = |body: &Body| match body {
        Body::Json(schema) => ("application/json", json!({ "schema": schema(schemas) })),
        Body::Problem => {
            let schema = schemas.subschema_for::<Problem>();
            ("application/problem+json", json!({ "schema": schema }))
        }
        Body::Media(media_type) => (*media_type, json!({})),
    };
    let said = bodies.iter().map(|body| {
        let (media_type, said) = media(body);
        (media_type.to_owned(), said)
    });
    said.collect()
}

/// The names in braces.
pub(super) fn parameters_of(path: &str) -> impl Iterator<Item = &str> {
    path.split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}'))
        .map(|(name, _)| name)
}
