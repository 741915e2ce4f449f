//! JSON from outside: what hosts send to the desk, line by line to one space, and a signed certificate.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use throng::fuzzing::{announced, edited, shown};
use throng_core::space::{Space, TEXT_CHARS_MAX};
use throng_rehearsal::certificate::verify;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = str::from_utf8(bytes) {
        assert!(!verify(text, None).valid, "nobody here has a key");
    }
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let Some(mut space) = lines.next().and_then(announced) else {
        return;
    };
    check(&space);
    for line in lines {
        if let Some(after) = edited(&space, line) {
            space = after;
            check(&space);
        }
    }
});

/// A space is sound whatever was asked for, and what is told of it is what it is.
fn check(space: &Space) {
    space.check_invariants().expect("a space is sound");
    let (state, page) = shown(space);
    let told: Value = serde_json::from_str(&state).expect("state.json is JSON");
    assert_eq!(told["title"], *space.title);
    assert_eq!(told["delay_reason"].as_str(), space.delay_reason.as_deref());
    assert!(space.title.chars().count() <= TEXT_CHARS_MAX);
    // What stands in the page's script elements and titles cannot end them early, and says the same.
    let data = between(&page, "<script type=\"application/json\"", "</script>");
    let data = data.split_once('>').expect("the element opens").1;
    assert_eq!(
        serde_json::from_str::<Value>(data).expect("it is JSON"),
        told
    );
    let title = between(&page, "<title>", "</title>");
    assert!(!title.contains(['<', '>']), "a title is text");
}

fn between<'a>(page: &'a str, open: &str, close: &str) -> &'a str {
    let rest = page.split_once(open).expect("it begins").1;
    rest.split_once(close).expect("it ends").0
}
