//! The feed between an origin and its workers and edges, in either direction and in pieces of any size: the same whatever
//! the pieces, and what was read is written as it came.
#![no_main]

use libfuzzer_sys::fuzz_target;
use throng_air::feed::GREETING;
use throng_air::feed::decoder::{Message, read_in_pieces as read};
use throng_air::feed::message::{Down, Up};
use throng_fuzz::Script;

fuzz_target!(|bytes: &[u8]| {
    let mut script = Script::new(bytes);
    let (up, piece) = (script.byte() % 2 == 1, usize::from(script.byte()) + 1);
    // Most inputs get past the greeting; the rest spoil it.
    let line = match script.byte() {
        0 => script.rest().to_vec(),
        _ => [&GREETING[..], script.rest()].concat(),
    };
    if up {
        check::<Up>(&line, piece);
    } else {
        check::<Down>(&line, piece);
    }
});

fn check<M: Message>(line: &[u8], piece: usize) {
    let (messages, error) = read::<M>(line, line.len().max(1));
    let frames: Vec<_> = messages.iter().map(Message::to_frame).collect();
    let (in_pieces, same_error) = read::<M>(line, piece);
    let again: Vec<_> = in_pieces.iter().map(Message::to_frame).collect();
    assert_eq!((&frames, error), (&again, same_error));
    let mut at = GREETING.len();
    for frame in frames {
        let frame = frame.expect("what was read is not longer than what may be");
        assert_eq!(
            &line[at..at + frame.len()],
            &frame[..],
            "one message has one form"
        );
        at += frame.len();
    }
}
