//! `trickle-ice-sdpfrag` (RFC 8840) patched into a session by its owner.
#![no_main]

use libfuzzer_sys::fuzz_target;
use throng_stage::fuzzing::{Wire, fragment};

fuzz_target!(|text: &str| {
    // A session costs a thousand times what the parser does: one for what may be more than noise.
    if fragment(text) {
        let mut wire = Wire::new();
        wire.patch(text);
        wire.finish();
    }
});
