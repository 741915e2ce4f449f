//! The client's reader of a progressive CMAF stream, in pieces of any size: the same whatever the pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use throng_core::rendition::Codec;
use throng_fuzz::Script;

#[path = "../../crates/throng/src/client/listen/cmaf.rs"]
#[allow(dead_code, reason = "the client uses more of it")]
mod cmaf;

fuzz_target!(|bytes: &[u8]| {
    let mut script = Script::new(bytes);
    let codec = [Codec::Opus, Codec::Aac][usize::from(script.byte() % 2)];
    let piece = usize::from(script.byte()) + 1;
    let stream = script.rest();
    let whole = read(codec, stream, stream.len().max(1));
    assert_eq!(read(codec, stream, piece), whole);
    for packet in &whole.0 {
        assert!(packet.bytes.len() <= stream.len());
    }
});

fn read(codec: Codec, stream: &[u8], piece: usize) -> (Vec<cmaf::Packet>, Option<cmaf::Malformed>) {
    let (mut reader, mut packets) = (cmaf::Reader::new(codec), Vec::new());
    let malformed = stream
        .chunks(piece)
        .find_map(|piece| reader.push(piece, &mut packets).err());
    (packets, malformed)
}
