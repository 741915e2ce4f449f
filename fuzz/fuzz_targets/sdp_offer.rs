//! SDP offers (RFC 8866) posted by anybody who holds a key: answered or refused, and nothing is left behind.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| throng_stage::fuzzing::offer(text));
