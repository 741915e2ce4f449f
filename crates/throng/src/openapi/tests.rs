//! The document says what is answered, and nothing else.

use std::collections::BTreeSet;

use throng_air::space_file::{HLS, SpaceFile};

use super::*;

/// The reference in words, which tidy compares with the routes in the source.
const REFERENCE: &str = include_str!("../../../../docs/reference/http.md");

fn document() -> Value {
    described("https://live.example", "https://desk.example")
}

/// Method and path of every operation; names in braces do not matter.
fn operations(document: &Value) -> BTreeSet<String> {
    let paths = document["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().keys();
        methods
            .filter(|key| *key != "servers")
            .map(move |method| format!("{} {}", method.to_uppercase(), nameless(path)))
    });
    operations.collect()
}

fn nameless(path: &str) -> String {
    let (mut text, mut inside) = (String::new(), false);
    for character in path.chars() {
        match character {
            '{' => {
                inside = true;
                text.push_str("{}");
            }
            '}' => inside = false,
            other if !inside => text.push(other),
            _ => {}
        }
    }
    text
}

/// The operations in the tables of the reference: `GET /a`, and `/b` behind it.
fn in_words(reference: &str) -> BTreeSet<String> {
    let (both, _) = reference.split_once("## Internal").unwrap();
    let rows = both.lines().filter(|line| line.starts_with("| `"));
    let rows = rows.map(|line| line[2..].split(" |").next().unwrap());
    let mut operations = BTreeSet::new();
    for row in rows {
        let mut method = "";
        for code in row.split('`').skip(1).step_by(2) {
            let path = match code.split_once(' ') {
                Some((first, path)) if path.starts_with('/') => {
                    method = first;
                    path
                }
                _ => code,
            };
            if path.starts_with('/') {
                operations.insert(format!("{method} {}", nameless(path)));
            }
        }
    }
    operations
}

#[test]
fn document_and_reference_tell_of_the_same_operations() {
    assert_eq!(operations(&document()), in_words(REFERENCE));
}

#[test]
fn every_file_of_a_space_is_in_the_document() {
    let files = SpaceFile::ALL.map(|(name, _)| format!("GET /s/{{}}/{name}"));
    let hls = HLS.map(|name| format!("GET /s/{{}}/hls/{}", nameless(name)));
    let there_are: BTreeSet<_> = files.into_iter().chain(hls).collect();
    let told = operations(&document());
    let told = told.into_iter().filter(|told| {
        let is_desk = ["/speak", "/whip", "/whep"];
        told.starts_with("GET /s/{}/") && !is_desk.iter().any(|end| told.ends_with(end))
    });
    assert_eq!(told.collect::<BTreeSet<_>>(), there_are);
}

#[test]
fn each_operation_says_at_which_address_it_is() {
    let document = document();
    let server = |path: &str| document["paths"][path]["servers"][0]["url"].clone();
    assert_eq!(server("/s/{slug}/state.json"), "https://live.example");
    assert_eq!(server("/s/{slug}/whep"), "https://live.example");
    assert_eq!(server("/api/spaces"), "https://desk.example");
    assert_eq!(server("/s/{slug}/whip"), "https://desk.example");
}

#[test]
fn what_an_operation_refers_to_is_there() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                found.extend(
                    fields
                        .get("$ref")
                        .and_then(Value::as_str)
                        .map(str::to_owned),
                );
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let (document, mut found) = (document(), Vec::new());
    references(&document, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        let place = reference.trim_start_matches('#');
        assert!(document.pointer(place).is_some(), "{reference}");
    }
}
