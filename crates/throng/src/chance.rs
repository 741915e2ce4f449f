//! Chance, from the operating system: keys, ids, slugs.

use rustls::crypto::aws_lc_rs::default_provider;
use throng_core::key::Key;

fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    default_provider()
        .secure_random
        .fill(&mut bytes)
        .expect("the operating system gives random bytes");
    bytes
}

/// A new key.
pub(crate) fn key() -> Key {
    Key::from_random(bytes())
}

/// A secret from which a signing key is made.
pub(crate) fn secret() -> [u8; 32] {
    bytes()
}

/// A new opaque id.
pub(crate) fn id() -> String {
    format!("{:032x}", u128::from_be_bytes(bytes()))
}

/// A random number.
pub(crate) fn number() -> u64 {
    u64::from_be_bytes(bytes())
}

/// A random number that no other will ever be.
pub(crate) fn wide_number() -> u128 {
    u128::from_be_bytes(bytes())
}

/// A random number from 0 to 1.
pub(crate) fn fraction() -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "chance needs no more than 53 bits"
    )]
    let fraction = number() as f64 / u64::MAX as f64;
    fraction
}
