//! Keys: who holds one may do what it grants. They are random, travel in link fragments and `Authorization` headers,
//! expire, and can be revoked. Only their digests are stored, and only digests are compared.

use std::cmp::Reverse;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use thiserror::Error;

use crate::hex::hex;
use crate::time::UnixMillis;

/// A key: 256 random bits, written as 43 characters of base64url (RFC 4648, section 5) without padding. It shows
/// itself through [`Key::expose`] only.
#[derive(Clone)]
pub struct Key([u8; 32]);

/// The text is not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a key: it has 43 of the characters A-Z, a-z, 0-9, - and _; copy the whole link again")]
pub struct NotAKey;

impl Key {
    /// A key from random bytes.
    pub const fn from_random(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads a key from a link or header.
    pub fn parse(text: &str) -> Result<Self, NotAKey> {
        let mut key = [0; 32];
        // Decoded into a slice of exactly its length: other lengths, padding and stray trailing bits are errors.
        match URL_SAFE_NO_PAD.decode_slice(text, &mut key) {
            Ok(32) => Ok(Self(key)),
            _ => Err(NotAKey),
        }
    }

    /// The key in plain text, for the one link or file that it is made for.
    pub fn expose(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// For what is made from it in this crate.
    pub(crate) const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// What is stored of it.
    pub fn digest(&self) -> KeyDigest {
        KeyDigest(Sha256::digest(self.0).into())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(redacted)")
    }
}

/// The SHA-256 of a key, compared in constant time. A key has 256 random bits, so that no salt or slow hash is needed.
#[derive(Clone, Copy, Debug, Eq)]
pub struct KeyDigest([u8; 32]);

/// The text is not a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not the digest of a key: it has 64 hexadecimal digits")]
pub struct NotADigest;

impl KeyDigest {
    /// Reads a digest from the store.
    pub fn from_hex(text: &str) -> Result<Self, NotADigest> {
        let mut digest = [0; 32];
        if text.len() != 2 * digest.len() {
            return Err(NotADigest);
        }
        for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
        }
        Ok(Self(digest))
    }

    /// 64 hexadecimal digits for the store.
    pub fn to_hex(self) -> String {
        hex(&self.0)
    }
}

impl PartialEq for KeyDigest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

fn hex_digit(digit: u8) -> Result<u8, NotADigest> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(NotADigest),
    }
}

/// The number of a seat on the stage, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeatNumber(pub u32);

/// What the holder of a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Runs one space with its host, as one of at most [`COHOSTS_MAX`]; by number, from 1.
    Cohost(u32),
    /// Runs one space.
    Host,
    /// Runs the node.
    Operator,
    /// Has a seat on the stage of one space.
    Speaker(SeatNumber),
}

/// One key that was given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What its holder is.
    pub role: Role,
    /// How the key is recognised.
    pub digest: KeyDigest,
    /// From when on it is worth nothing, if ever.
    pub expires_at: Option<UnixMillis>,
    /// Since when it is worth nothing, if it was taken back.
    pub revoked_at: Option<UnixMillis>,
}

/// Keys of one seat that are remembered after they were taken back, so that their holders are told why; older ones are
/// as good as never given out.
pub const REVOKED_KEPT: usize = 8;

/// Most cohosts of one space: more hands than a desk has room for. A further one is refused.
pub const COHOSTS_MAX: u32 = 8;

/// Gives a role to a new key alone: all others of the role are taken back, the oldest forgotten.
pub fn renew(grants: &mut Vec<Grant>, new: Grant, now: UnixMillis) {
    revoke(grants, new.role, now);
    let mut revoked: Vec<_> = grants
        .extract_if(.., |grant| grant.role == new.role)
        .collect();
    revoked.sort_by_key(|grant| Reverse(grant.revoked_at));
    revoked.truncate(REVOKED_KEPT);
    grants.extend(revoked);
    grants.push(new);
}

/// Takes all keys of a role back.
pub fn revoke(grants: &mut [Grant], role: Role, now: UnixMillis) {
    for grant in grants.iter_mut().filter(|grant| grant.role == role) {
        grant.revoked_at.get_or_insert(now);
    }
}

/// Whether somebody may hold a key of a role that is good.
pub fn is_granted(grants: &[Grant], role: Role, now: UnixMillis) -> bool {
    grants.iter().any(|grant| grant.verdict(now) == Ok(role))
}

impl Grant {
    fn verdict(&self, now: UnixMillis) -> Result<Role, KeyRefusal> {
        // Whatever the clock says now: one that is set back must not bring back what was taken.
        if self.revoked_at.is_some() {
            Err(KeyRefusal::Revoked)
        } else if self.expires_at.is_some_and(|expires_at| expires_at <= now) {
            Err(KeyRefusal::Expired)
        } else {
            Ok(self.role)
        }
    }
}

/// Why a key does not admit. Only who holds the key learns that it was once good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyRefusal {
    /// Its time is over.
    #[error("this key has expired; ask the host for a new link")]
    Expired,
    /// It was taken back.
    #[error("this key was revoked; ask the host for a new link")]
    Revoked,
    /// It was never given out for this.
    #[error("this key does not open this space; copy the whole link again")]
    Unknown,
}

/// What the presented key makes of its holder. Every grant is compared, whether or not one has matched, so that the
/// time taken tells nothing; of several grants of one key, one that is good counts.
pub fn admit(grants: &[Grant], presented: &Key, now: UnixMillis) -> Result<Role, KeyRefusal> {
    let digest = presented.digest();
    let mut found = Err(KeyRefusal::Unknown);
    for grant in grants {
        let matches = grant.digest == digest;
        if matches && found.is_err() {
            found = grant.verdict(now);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: UnixMillis = UnixMillis(1_000);

    fn grant(role: Role, key: &Key) -> Grant {
        Grant {
            role,
            digest: key.digest(),
            expires_at: None,
            revoked_at: None,
        }
    }

    #[test]
    fn a_key_opens_what_it_was_given_for_until_it_expires_or_is_revoked() {
        let [host, speaker, stranger] = [1, 2, 3].map(|byte| Key::from_random([byte; 32]));
        let seat = Role::Speaker(SeatNumber(1));
        let good = [grant(Role::Host, &host), grant(seat, &speaker)];
        assert_eq!(admit(&good, &host, NOW), Ok(Role::Host));
        assert_eq!(admit(&good, &speaker, NOW), Ok(seat));
        assert_eq!(admit(&good, &stranger, NOW), Err(KeyRefusal::Unknown));
        assert_eq!(admit(&[], &host, NOW), Err(KeyRefusal::Unknown));

        let expiring = |ms| {
            [Grant {
                expires_at: Some(UnixMillis(ms)),
                ..good[0]
            }]
        };
        assert_eq!(admit(&expiring(1_001), &host, NOW), Ok(Role::Host));
        assert_eq!(
            admit(&expiring(1_000), &host, NOW),
            Err(KeyRefusal::Expired)
        );
        let revoked = Grant {
            revoked_at: Some(NOW),
            ..good[0]
        };
        assert_eq!(admit(&[revoked], &host, NOW), Err(KeyRefusal::Revoked));
        assert_eq!(
            admit(&[revoked], &host, NOW.minus_ms(500)),
            Err(KeyRefusal::Revoked),
            "by a clock that was set back, too"
        );
        assert_eq!(
            admit(&[revoked, good[0]], &host, NOW),
            Ok(Role::Host),
            "given out again"
        );
        assert_eq!(
            admit(&[good[0], revoked], &host, NOW),
            Ok(Role::Host),
            "in any order"
        );
    }

    #[test]
    fn a_renewed_role_has_one_good_key_and_remembers_a_few_that_were_taken_back() {
        let seat = |number| Role::Speaker(SeatNumber(number));
        let key = |byte| Key::from_random([byte; 32]);
        let mut grants = vec![grant(seat(1), &key(0)), grant(seat(2), &key(100))];
        let renewals = 1..=20;
        for byte in renewals.clone() {
            let now = UnixMillis(i64::from(byte));
            renew(&mut grants, grant(seat(1), &key(byte)), now);
        }
        let verdict = |byte| admit(&grants, &key(byte), NOW);
        assert_eq!(grants.len(), REVOKED_KEPT + 2);
        assert_eq!(verdict(100), Ok(seat(2)), "another seat");
        assert_eq!(verdict(20), Ok(seat(1)));
        let told: Vec<_> = renewals
            .filter(|&byte| verdict(byte) == Err(KeyRefusal::Revoked))
            .collect();
        assert_eq!(told, [12, 13, 14, 15, 16, 17, 18, 19], "the newest");
        assert_eq!(verdict(11), Err(KeyRefusal::Unknown));
    }

    #[test]
    fn a_revoked_role_has_no_good_key_until_it_is_renewed() {
        let [one, two] = [1, 2].map(|number| Role::Speaker(SeatNumber(number)));
        let key = |byte| Key::from_random([byte; 32]);
        let mut grants = vec![grant(one, &key(1)), grant(two, &key(2))];
        revoke(&mut grants, one, NOW);
        revoke(&mut grants, one, NOW.plus_ms(1));
        assert_eq!(grants[0].revoked_at, Some(NOW), "it is taken back once");
        assert_eq!(admit(&grants, &key(1), NOW), Err(KeyRefusal::Revoked));
        assert_eq!(admit(&grants, &key(2), NOW), Ok(two));
        let granted = |grants: &[Grant]| [one, two].map(|role| is_granted(grants, role, NOW));
        assert_eq!(granted(&grants), [false, true]);
        renew(&mut grants, grant(one, &key(3)), NOW);
        assert_eq!(granted(&grants), [true, true]);
    }

    #[test]
    fn a_key_does_not_show_itself_by_accident() {
        let key = Key::from_random([7; 32]);
        assert_eq!(format!("{key:?}"), "Key(redacted)");
    }

    #[test]
    fn the_digest_is_sha_256() {
        let digest = Key::from_random([0; 32]).digest();
        assert_eq!(
            digest.to_hex(),
            "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925"
        );
        assert_eq!(KeyDigest::from_hex(&digest.to_hex()), Ok(digest));
        assert_eq!(KeyDigest::from_hex("66"), Err(NotADigest));
        assert_eq!(KeyDigest::from_hex(&"g".repeat(64)), Err(NotADigest));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let good = Key::from_random([255; 32]).expose();
        assert_eq!(good.len(), 43);
        let short = good[..42].to_owned();
        // The last character carries four bits of the key; its two lowest must be 0, or one key had four spellings.
        let stray_bits = format!("{short}9");
        for text in [
            "",
            &short,
            &stray_bits,
            &format!("{good}="),
            &format!("{good}A"),
            &format!("{good}{good}"),
            &format!("+{short}"),
            &format!(" {short}"),
        ] {
            assert_eq!(
                Key::parse(text).map(|key| key.expose()),
                Err(NotAKey),
                "{text:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_key_survives_its_link(bytes: [u8; 32]) {
            let key = Key::from_random(bytes);
            prop_assert_eq!(Key::parse(&key.expose()).unwrap().digest(), key.digest());
        }
    }
}
