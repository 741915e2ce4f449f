//! Opus packets (RFC 6716) as any speaker may send them, in a stream with losses: sound or an error, never more.
#![no_main]

use libfuzzer_sys::fuzz_target;
use throng_fuzz::{Script, VOICE};
use throng_media::codec::{MAX_PACKET_SAMPLES, OpusDecode, opus_decoder};

const PACKETS_MAX: usize = 40;

fuzz_target!(|bytes: &[u8]| {
    let mut script = Script::new(bytes);
    let mut decoder = opus_decoder();
    for _ in 0..PACKETS_MAX {
        if script.is_over() {
            break;
        }
        let act = script.byte();
        let packet = if act & 0x80 == 0 {
            let length = usize::from(script.short() % 1_600);
            script.bytes(length)
        } else {
            &VOICE[usize::from(script.byte()) % VOICE.len()]
        };
        let samples = match act % 4 {
            0 | 1 => decoder.decode(packet),
            2 => decoder.recover(packet),
            _ => Ok(decoder.conceal(usize::from(script.short() % 6_000))),
        };
        if let Ok(samples) = samples {
            assert!(samples.len() <= MAX_PACKET_SAMPLES);
            assert!(
                samples.iter().all(|sample| sample.abs() <= 1.0),
                "sound within [-1, 1]"
            );
        }
    }
});
