//! Lines that only a holder of the key can have written, each once, in this order, in this conversation. Pure.
//!
//! A sealed line is 64 hexadecimal digits, a space and the line. The digits are HMAC-SHA256 (RFC 2104) of the line and
//! its number in its direction, under a key that is made of the common key, of a nonce of either side, and of who speaks.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The block of SHA-256 (RFC 2104, section 2: B).
const BLOCK_BYTES: usize = 64;
/// What is sealed here can never be mistaken for anything else that is signed with the key.
const CONTEXT: &str = "throng agents v1";
const SEAL_DIGITS: usize = 64;

/// What leader and agents have in common. It shows itself to nobody.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; 32]);

impl Key {
    /// From the text that people pass on; it must have been made by chance and long enough (256 bits here).
    pub fn of(text: &str) -> Self {
        Self(Sha256::digest(text.trim()).into())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(redacted)")
    }
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Who orders agents about.
    Leader,
    /// The machine that lends them.
    Lender,
}

impl Side {
    /// Who listens.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Leader => Self::Lender,
            Self::Lender => Self::Leader,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Lender => "lender",
        }
    }
}

/// One direction of a conversation. Both ends have one of their own and count along.
pub struct Seal {
    key: [u8; 32],
    count: u64,
}

impl Seal {
    /// For what one side says in the conversation of these nonces, the lender's and the leader's.
    pub fn new(key: &Key, nonces: [&str; 2], says: Side) -> Self {
        let name = says.name();
        let words = [CONTEXT, nonces[0], nonces[1], name].join("\n");
        Self {
            key: hmac(&key.0, &[words.as_bytes()]),
            count: 0,
        }
    }

    /// The next line, sealed.
    pub fn close(&mut self, line: &str) -> String {
        format!("{} {line}", self.digits(line))
    }

    /// What the next line says; `None` where it is not the next one of who has the key. Then the conversation is over:
    /// whatever follows does not open either.
    pub fn open<'a>(&mut self, sealed: &'a str) -> Option<&'a str> {
        let (digits, line) = sealed.split_at_checked(SEAL_DIGITS)?;
        let line = line.strip_prefix(' ')?;
        let same: bool = self.digits(line).as_bytes().ct_eq(digits.as_bytes()).into();
        same.then_some(line)
    }

    fn digits(&mut self, line: &str) -> String {
        let seal = hmac(&self.key, &[&self.count.to_be_bytes(), line.as_bytes()]);
        self.count += 1;
        let digit = |half: u8| char::from_digit(half.into(), 16).expect("four bits are a digit");
        let digits = seal.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        digits.map(digit).collect()
    }
}

/// RFC 2104, section 2, for keys no longer than a block.
fn hmac(key: &[u8], text: &[&[u8]]) -> [u8; 32] {
    let padded = |with: u8| {
        let mut block = [with; BLOCK_BYTES];
        for (byte, of_key) in block.iter_mut().zip(key) {
            *byte ^= of_key;
        }
        block
    };
    let mut inner = Sha256::new_with_prefix(padded(0x36));
    for part in text {
        inner.update(part);
    }
    let mut outer = Sha256::new_with_prefix(padded(0x5c));
    outer.update(inner.finalize());
    outer.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal(key: &str, says: Side) -> Seal {
        Seal::new(&Key::of(key), ["a", "b"], says)
    }

    #[test]
    fn hmac_is_that_of_rfc_4231() {
        let hex = |bytes: [u8; 32]| bytes.map(|byte| format!("{byte:02x}")).concat();
        // Section 4.2 and 4.3, test cases 1 and 2.
        assert_eq!(
            hex(hmac(&[0x0b; 20], &[b"Hi ", b"There"])),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        );
        assert_eq!(
            hex(hmac(b"Jefe", &[b"what do ya want for nothing?"])),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn lines_open_once_in_order_and_for_who_has_the_key() {
        let (mut one, mut other) = (seal("k", Side::Leader), seal("k", Side::Leader));
        let (first, second) = (one.close("first"), one.close("second"));
        assert_eq!(other.open(&first), Some("first"));
        assert_eq!(other.open(&second), Some("second"));
        assert_eq!(other.open(&second), None, "a line again");
        assert_eq!(seal("k", Side::Leader).open(&second), None, "out of turn");
        assert_eq!(seal("x", Side::Leader).open(&first), None, "another key");
        assert_eq!(seal("k", Side::Lender).open(&first), None, "thrown back");
        let mut later = Seal::new(&Key::of("k"), ["a", "c"], Side::Leader);
        assert_eq!(later.open(&first), None, "another conversation");
    }

    #[test]
    fn a_line_that_was_changed_anywhere_does_not_open() {
        let sealed = seal("k", Side::Lender).close("ten");
        for place in 0..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[place] ^= 1;
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(seal("k", Side::Lender).open(&changed), None, "{changed}");
        }
        for short in ["", "ten", &sealed[..64], "\u{e9}\u{e9}"] {
            assert_eq!(seal("k", Side::Lender).open(short), None);
        }
        assert_eq!(format!("{:?}", Key::of("k")), "Key(redacted)");
    }
}
