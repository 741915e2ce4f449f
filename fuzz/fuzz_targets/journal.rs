//! The journal of a recording, form by form. The first byte says whether they carry their right CRC, as no accident makes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use throng_archive::fuzzing::{FORM_BYTES, header, record};
use throng_fuzz::{Script, sealed};

fuzz_target!(|bytes: &[u8]| {
    let mut script = Script::new(bytes);
    let seals = script.byte() & 1 == 1;
    let [header_bytes, record_bytes] = FORM_BYTES;
    let mut form = |length| {
        let bytes = script.bytes(length).to_vec();
        if seals { sealed(bytes) } else { bytes }
    };
    let first = form(header_bytes);
    if let Some(written) = header(&first) {
        assert_eq!(written, first, "a header has one spelling");
    }
    let next = form(record_bytes);
    if let Some((record, written)) = record(&next) {
        assert_eq!(written, next, "a record has one spelling");
        for extent in &record.extents {
            assert!(extent.start() <= extent.end);
        }
    }
});
