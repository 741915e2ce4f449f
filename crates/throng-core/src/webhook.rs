//! What is told to other programs of an operator: how a message is signed, and when it is tried again.
//!
//! Signatures are those of Standard Webhooks (symmetric, `v1`). Nothing secret is kept of a hook: its secret is made from
//! the node's own and its id, so that only the file of the node's secret has to be guarded.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::key::Key;

/// A message that nobody took is given up after a day: whoever was away for longer looks at what is.
pub const GIVE_UP_AFTER_MS: u64 = 24 * 60 * 60 * 1_000;
/// The first pause; a receiver that restarts is back by then.
const PAUSE_FIRST_MS: u64 = 5_000;
/// The longest pause.
const PAUSE_MAX_MS: u64 = 60 * 60 * 1_000;
/// What a secret of this scheme begins with.
const SECRET_PREFIX: &str = "whsec_";

/// What a hook and its receiver share.
#[derive(Clone)]
pub struct Secret([u8; 32]);

impl Secret {
    /// That of the hook with this id at the node with this secret.
    pub fn of_hook(node: &Key, hook: &str) -> Self {
        let mut mac = keyed(node.bytes());
        mac.update(b"throng webhook ");
        mac.update(hook.as_bytes());
        Self(mac.finalize().into_bytes().into())
    }

    /// In plain text, for whoever checks signatures.
    pub fn expose(&self) -> String {
        format!("{SECRET_PREFIX}{}", STANDARD.encode(self.0))
    }

    /// The value of `webhook-signature`.
    pub fn sign(&self, id: &str, timestamp_s: i64, body: &[u8]) -> String {
        let mut mac = keyed(&self.0);
        mac.update(format!("{id}.{timestamp_s}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("a key of any length is taken")
}

/// How long to wait after so many tries that failed, the first being 1; `chance` is from 0 to 1. Each pause is up to twice
/// as long as the one before, and of chance: half of it at least, so that no two receivers are found together for ever.
pub fn pause_ms(failures: u32, chance: f64) -> u64 {
    let doubled = PAUSE_FIRST_MS.saturating_mul(1 << failures.saturating_sub(1).min(20));
    let longest = doubled.min(PAUSE_MAX_MS);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a part of an hour in milliseconds"
    )]
    let part = (longest as f64 / 2.0 * chance.clamp(0.0, 1.0)) as u64;
    longest / 2 + part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_signed_as_standard_webhooks_has_it() {
        // The example of the specification's reference libraries.
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let mut secret = [0; 32];
        secret[..key.len()].copy_from_slice(&key);
        // HMAC pads a key with zeros, so that the shorter one signs alike.
        let signed = Secret(secret).sign(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn each_hook_has_a_secret_of_its_own_at_each_node() {
        let secret = |node, hook| Secret::of_hook(&Key::from_random([node; 32]), hook).expose();
        assert_eq!(secret(1, "a"), secret(1, "a"));
        assert_ne!(secret(1, "a"), secret(1, "b"));
        assert_ne!(secret(1, "a"), secret(2, "a"));
        let key = STANDARD.decode(secret(1, "a").strip_prefix("whsec_").unwrap());
        assert_eq!(key.unwrap().len(), 32);
    }

    #[test]
    fn pauses_double_up_to_an_hour_and_are_of_chance() {
        assert_eq!((pause_ms(1, 0.0), pause_ms(1, 1.0)), (2_500, 5_000));
        assert_eq!((pause_ms(2, 0.0), pause_ms(3, 0.5)), (5_000, 15_000));
        for failures in [12, 64, u32::MAX] {
            assert_eq!(pause_ms(failures, 1.0), PAUSE_MAX_MS);
        }
        assert_eq!(pause_ms(1, f64::NAN) / 2_500, 1);
    }
}
