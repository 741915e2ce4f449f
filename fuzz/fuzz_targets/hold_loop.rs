//! The encoded hold loop as it is read from its file.
#![no_main]

use std::sync::LazyLock;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use throng_core::timeline::PartIndex;
use throng_fuzz::Script;
use throng_media::hold::{EncodedLoop, HoldLoop};

/// The shortest loop.
static SOUND: LazyLock<HoldLoop> = LazyLock::new(|| {
    let tooth = |at: u32| f32::from(u8::try_from(at % 200).expect("below 200")) / 200.0 - 0.5;
    HoldLoop::from_pcm((0..200_000).map(tooth).collect()).expect("it sounds")
});

/// What precedes its packets; hashing the sound takes longer than all the rest.
static HEAD: LazyLock<Vec<u8>> =
    LazyLock::new(|| [*b"THRHOLD1", SOUND.fingerprint().to_be_bytes()].concat());

fuzz_target!(|bytes: &[u8]| {
    let mut script = Script::new(bytes);
    // The fuzzer would hardly find the fingerprint of the sound by itself.
    let file: Bytes = if script.byte().is_multiple_of(4) {
        script.rest().to_vec().into()
    } else {
        [&HEAD[..], &packets(script.rest())].concat().into()
    };
    if let Ok(read) = EncodedLoop::from_bytes(file.clone(), &SOUND) {
        assert_eq!(read.to_bytes(&SOUND), file, "what is read is written alike");
        assert_eq!(read.part(PartIndex(1_003)).index, PartIndex(1_003));
    }
});

/// Packets of the lengths that the bytes say, over and over, until a loop is full.
fn packets(lengths: &[u8]) -> Vec<u8> {
    const PACKETS: usize = 12 * (3 * 16 + 2 * 15);
    let mut out = Vec::new();
    for &length in lengths.iter().cycle().take(PACKETS) {
        out.extend([0, length]);
        out.extend(std::iter::repeat_n(length, usize::from(length)));
    }
    out
}
