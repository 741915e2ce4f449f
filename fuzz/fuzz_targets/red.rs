//! Redundant audio (RFC 2198) as any speaker may send it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use throng_media::red;

fuzz_target!(|packet: &[u8]| {
    if let Ok(red) = red::parse(packet) {
        let copies: usize = red.copies().iter().map(|copy| copy.payload.len()).sum();
        let headers = 4 * red.copies().len() + 1;
        assert_eq!(
            headers + copies + red.primary.payload.len(),
            packet.len(),
            "every byte belongs to one block"
        );
    }
});
