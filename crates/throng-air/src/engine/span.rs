//! Spans as bytes: framed once as one chunk of a chunked body (RFC 9112 section 7.1), shared by all who get them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use bytes::Bytes;
use throng_core::window::Window;

use super::answer;
use super::cursor::Span;
use crate::air::Headers;
use crate::format::Format;

/// The chunk that ends a body.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Which bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// The seat of the space.
    pub(crate) seat: u32,
    /// The container.
    pub(crate) format: Format,
    /// The parts.
    pub(crate) span: Span,
    /// Whether the head of the answer and the stream's header precede them.
    pub(crate) first: bool,
}

/// The spans of one tick. Those whose listeners differ in nothing share one; there are at most as many as renditions,
/// formats and places of slow listeners, and all go with the next tick.
#[derive(Default)]
pub(crate) struct Spans(HashMap<Key, Bytes>);

impl Spans {
    /// The bytes of a key, made if nobody wanted them before.
    pub(crate) fn of(&mut self, key: Key, window: &Window, headers: &Headers) -> Bytes {
        match self.0.entry(key) {
            Entry::Occupied(made) => made.get().clone(),
            Entry::Vacant(place) => place.insert(frame(key, window, headers)).clone(),
        }
    }

    /// Forgets all; who is still sent one keeps it.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

fn frame(key: Key, window: &Window, headers: &Headers) -> Bytes {
    let Key { format, span, .. } = key;
    let count = usize::try_from(span.parts).expect("a span is shorter than a window");
    let parts = || {
        let parts = window.since(span.from).take(count);
        parts.map(|part| format.bytes(part, span.rendition))
    };
    let header = if key.first {
        &format.header(headers, span.rendition)[..]
    } else {
        &[]
    };
    let length = header.len() + parts().map(Bytes::len).sum::<usize>();
    let mut bytes = Vec::with_capacity(length + 512);
    if key.first {
        bytes.extend(answer::opening(format).as_bytes());
    }
    // An empty chunk would end the body.
    if length > 0 {
        bytes.extend(format!("{length:x}\r\n").as_bytes());
        bytes.extend(header);
        parts().for_each(|part| bytes.extend(part));
        bytes.extend(b"\r\n");
    }
    if span.last {
        bytes.extend(LAST_CHUNK);
    }
    bytes.into()
}
