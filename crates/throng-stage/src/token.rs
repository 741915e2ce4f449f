//! Unguessable names: session ids, ICE credentials, first RTP numbers.
//!
//! The WebRTC library draws its ICE credentials from a generator that is not cryptographic. Whoever guesses them may
//! redirect a session (RFC 8445 section 5.3 demands 128 random bits for the password), so ours come from the kernel.

use rustix::rand::{GetRandomFlags, getrandom};

/// 32 letters that are legal both in a URL path and as ice-char (RFC 8839 section 5.4): five bits each.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// A random word of `N` letters, five bits each.
pub(crate) fn word<const N: usize>() -> String {
    bytes::<N>()
        .into_iter()
        .map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]))
        .collect()
}

/// `N` random bytes.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    const {
        assert!(N <= 256, "that much comes in one piece");
    };
    let mut drawn = [0_u8; N];
    let filled = getrandom(&mut drawn[..], GetRandomFlags::empty())
        .expect("the kernel has a random source, and up to 256 bytes are never interrupted");
    assert_eq!(filled, N, "up to 256 bytes are filled whole");
    drawn
}
