//! Whose is a datagram? Decided from bytes of anybody.
#![no_main]

use libfuzzer_sys::fuzz_target;
use throng_stage::fuzzing::{FRAME_MAX_BYTES, stun_user};

fuzz_target!(|datagram: &[u8]| {
    if let Some(user) = stun_user(datagram) {
        assert!(datagram.len() <= FRAME_MAX_BYTES);
        // RFC 8489, section 14: an attribute has four bytes before its value; RFC 8445, section 7.2.2: the colon.
        let name = [user.as_bytes(), b":"].concat();
        let values = datagram.windows(name.len()).skip(24);
        assert!(
            values.into_iter().any(|value| value == name),
            "the name stands in the datagram"
        );
    }
});
