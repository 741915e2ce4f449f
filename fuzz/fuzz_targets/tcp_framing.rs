//! ICE-TCP: frames (RFC 4571) cut from a stream in pieces, against a second reader that has it all at once.
#![no_main]

use libfuzzer_sys::fuzz_target;
use throng_fuzz::Script;
use throng_stage::fuzzing::{FRAME_MAX_BYTES, deframe};

fuzz_target!(|bytes: &[u8]| {
    let mut script = Script::new(bytes);
    let piece = usize::from(script.byte()) + 1;
    let stream = script.rest();
    assert_eq!(deframe(stream.chunks(piece)), at_once(stream));
});

fn at_once(stream: &[u8]) -> (Vec<Vec<u8>>, bool) {
    let (mut script, mut frames) = (Script::new(stream), Vec::new());
    loop {
        let header = script.bytes(2);
        let [high, low] = *header else {
            return (frames, false);
        };
        let length = usize::from(high) << 8 | usize::from(low);
        if length > FRAME_MAX_BYTES {
            return (frames, true);
        }
        let frame = script.bytes(length);
        if frame.len() < length {
            return (frames, false);
        }
        if length > 0 {
            frames.push(frame.to_vec());
        }
    }
}
