//! What an HLS player asks for: the delivery directives of a playlist, and the name of a file, at any place of the
//! programme. The first byte says how far the programme has come; the first line is the query, the second the name.
#![no_main]

use std::sync::Arc;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use throng_core::playlist::{MediaQuery, answer_when};
use throng_core::timeline::PartIndex;
use throng_core::window::{Found, Packaged, Part, Wanted, Window};
use throng_fuzz::Script;

fuzz_target!(|bytes: &[u8]| {
    let mut script = Script::new(bytes);
    let (first, length) = (u64::from(script.byte()), u64::from(script.byte() % 64));
    let window = window(first, length, script.byte() % 2 == 1);
    let Ok(text) = str::from_utf8(script.rest()) else {
        return;
    };
    let (query, name) = text.split_once('\n').unwrap_or((text, text));
    if let Ok(query) = MediaQuery::parse(query) {
        let _ = answer_when(&window, query);
    }
    let Some(wanted) = Wanted::parse(name) else {
        return;
    };
    assert_eq!(wanted.to_string(), name, "a file has one name");
    if let Found::Ready(parts) = window.find(wanted) {
        assert!(!parts.is_empty());
        for part in parts {
            assert_eq!(part.index.segment(), wanted.segment);
            assert!(
                wanted
                    .part
                    .is_none_or(|place| part.index.part_in_segment() == place)
            );
        }
    }
});

/// A window of parts without sound.
fn window(first: u64, length: u64, finished: bool) -> Window {
    let mut window = Window::new(PartIndex(first));
    for index in first..first + length {
        let silent = Packaged {
            cmaf: Bytes::new(),
            stream: Bytes::new(),
        };
        let part = Part {
            index: PartIndex(index),
            renditions: std::array::from_fn(|_| silent.clone()),
        };
        window
            .push(Arc::new(part))
            .expect("parts follow one another");
    }
    if finished {
        window.finish();
    }
    window
}
