//! CMAF chunks that were stored: whatever is accepted is a chunk of ours, and stays one when it is moved.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use throng_core::rendition::Rendition;
use throng_core::timeline::PartIndex;
use throng_media::package::{package, packets, restore, retime};

fuzz_target!(|bytes: &[u8]| {
    let mut moved = bytes.to_vec();
    let retimed = retime(&mut moved, 7, 99 * 15_360);
    let Some(found) = packets(&Bytes::copy_from_slice(bytes)) else {
        return;
    };
    assert_eq!(retimed, Ok(()), "a chunk of ours can be moved");
    let moved = Bytes::from(moved);
    assert_eq!(
        packets(&moved).as_ref(),
        Some(&found),
        "and holds the same sound"
    );
    let rendition = match found.len() {
        15 => Rendition::A64,
        _ => Rendition::O48,
    };
    let index = PartIndex(99);
    let whole = package(rendition, index, &found);
    let restored = restore(rendition, index, whole.cmaf.clone());
    assert_eq!(restored.as_ref(), Some(&whole));
    assert_eq!(restore(rendition, PartIndex(98), whole.cmaf), None);
});
