//! The record layer of TLS 1.3 (RFC 8446 section 5) and 1.2 (RFC 5246 section 6.2, RFC 5288, RFC 7905), after the
//! handshake: bytes in, bytes out.
//!
//! A session holds keys as bytes and expands one when it is used, which costs a fiftieth of sending a span and saves more
//! than a kilobyte per listener. Not here: key updates. Who asks for one (RFC 8446 section 4.6.3) is parted with;
//! no listener comes near the 2^24 records after which it is advised.

use std::ops::Range;

use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce,
    UnboundKey,
};
use rustls::{ConnectionTrafficSecrets, ExtractedSecrets, ProtocolVersion};

/// Plaintext of one record (RFC 8446 section 5.1).
pub(crate) const PLAIN_MAX_BYTES: usize = 1 << 14;
/// Payload of one record on the wire; 1.2 allows it more than 1.3, and neither needs it with these ciphers.
const SEALED_MAX_BYTES: usize = PLAIN_MAX_BYTES + 256;
/// The header of a record.
pub(crate) const HEADER_BYTES: usize = 5;
/// The tag of every cipher here.
const TAG_BYTES: usize = 16;
/// The part of the nonce that AES-GCM of TLS 1.2 sends along.
const EXPLICIT_BYTES: usize = 8;
/// What a record is longer than its plaintext at most.
const OVERHEAD_MAX_BYTES: usize = HEADER_BYTES + EXPLICIT_BYTES + TAG_BYTES;
/// The longest key.
const KEY_MAX_BYTES: usize = 32;
/// Records that one key of AES-GCM may seal (RFC 8446 section 5.5): half a year of spans. Then the connection ends.
const GCM_RECORDS_MAX: u64 = 1 << 24;
/// The version that every record names (RFC 8446 section 5.1).
const VERSION: [u8; 2] = [3, 3];

/// What a record carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Content {
    /// The end, or something wrong.
    Alert = 21,
    /// A message of the handshake protocol.
    Handshake = 22,
    /// Bytes of the application.
    Application = 23,
}

impl Content {
    const fn of(byte: u8) -> Option<Self> {
        match byte {
            21 => Some(Self::Alert),
            22 => Some(Self::Handshake),
            23 => Some(Self::Application),
            _ => None,
        }
    }
}

/// The peer broke the protocol, or bytes were changed on the way, or a key is worn out: the connection must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

/// Both directions of an established connection.
#[derive(Debug)]
pub(crate) struct Session {
    sends: Direction,
    receives: Direction,
    cipher: Cipher,
    is_tls13: bool,
}

/// A million listeners are 120 MB at most.
const _: () = assert!(size_of::<Option<Session>>() <= 120);

/// Key, initial vector and number of the next record.
struct Direction {
    key: [u8; KEY_MAX_BYTES],
    iv: [u8; NONCE_LEN],
    next: u64,
}

impl std::fmt::Debug for Direction {
    /// Keys are for nobody's log.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Direction").finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cipher {
    Aes128Gcm,
    Aes256Gcm,
    ChaCha20Poly1305,
}

impl Cipher {
    fn algorithm(self) -> &'static Algorithm {
        match self {
            Self::Aes128Gcm => &AES_128_GCM,
            Self::Aes256Gcm => &AES_256_GCM,
            Self::ChaCha20Poly1305 => &CHACHA20_POLY1305,
        }
    }

    fn key(self, bytes: &[u8; KEY_MAX_BYTES]) -> LessSafeKey {
        let algorithm = self.algorithm();
        let key = UnboundKey::new(algorithm, &bytes[..algorithm.key_len()]);
        LessSafeKey::new(key.expect("a key of the cipher's own length"))
    }

    const fn records_max(self) -> u64 {
        match self {
            Self::Aes128Gcm | Self::Aes256Gcm => GCM_RECORDS_MAX,
            Self::ChaCha20Poly1305 => u64::MAX,
        }
    }
}

impl Direction {
    fn of(secrets: (u64, ConnectionTrafficSecrets)) -> Option<(Cipher, Self)> {
        let (next, secrets) = secrets;
        let (cipher, bytes, iv) = match secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (Cipher::Aes128Gcm, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (Cipher::Aes256Gcm, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => {
                (Cipher::ChaCha20Poly1305, key, iv)
            }
            _ => return None,
        };
        let mut key = [0; KEY_MAX_BYTES];
        key[..bytes.as_ref().len()].copy_from_slice(bytes.as_ref());
        let iv = iv.as_ref().try_into().ok()?;
        Some((cipher, Self { key, iv, next }))
    }

    /// The initial vector, changed by the number of the record (RFC 8446 section 5.3; RFC 7905 section 2). For AES-GCM
    /// of TLS 1.2, whose nonce the sender may choose as he likes if he chooses each once, the same does.
    fn nonce(&self) -> [u8; NONCE_LEN] {
        let mut nonce = self.iv;
        let number = self.next.to_be_bytes();
        for (byte, number) in nonce[NONCE_LEN - 8..].iter_mut().zip(number) {
            *byte ^= number;
        }
        nonce
    }
}

impl Session {
    /// What is left of a connection after its handshake; `None` with a cipher that is not offered.
    pub(crate) fn new(secrets: ExtractedSecrets, version: ProtocolVersion) -> Option<Self> {
        let (cipher, sends) = Direction::of(secrets.tx)?;
        let (_, receives) = Direction::of(secrets.rx)?;
        Some(Self {
            sends,
            receives,
            cipher,
            is_tls13: version == ProtocolVersion::TLSv1_3,
        })
    }

    /// Bytes of the nonce that are sent along with each record.
    fn explicit_bytes(&self) -> usize {
        let is_explicit = !self.is_tls13 && self.cipher != Cipher::ChaCha20Poly1305;
        if is_explicit { EXPLICIT_BYTES } else { 0 }
    }

    /// Seals bytes into as few records as may be, behind what `out` holds.
    pub(crate) fn seal(
        &mut self,
        content: Content,
        plain: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Broken> {
        let key = self.cipher.key(&self.sends.key);
        let records = plain.len().div_ceil(PLAIN_MAX_BYTES);
        out.reserve(plain.len() + records * OVERHEAD_MAX_BYTES);
        for chunk in plain.chunks(PLAIN_MAX_BYTES) {
            self.seal_record(&key, content, chunk, out)?;
        }
        Ok(())
    }

    fn seal_record(
        &mut self,
        key: &LessSafeKey,
        content: Content,
        plain: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Broken> {
        if self.sends.next >= self.cipher.records_max() {
            return Err(Broken);
        }
        let inner = [content as u8];
        // In 1.3 the kind of the content is sealed with it, and every record looks like one of application data.
        let (outer, extra) = if self.is_tls13 {
            (Content::Application, &inner[..])
        } else {
            (content, &[][..])
        };
        let explicit = self.explicit_bytes();
        let nonce = self.sends.nonce();
        let length = explicit + plain.len() + extra.len() + TAG_BYTES;
        let header = header(outer as u8, length);
        out.extend(header);
        out.extend(&nonce[NONCE_LEN - explicit..]);
        let begin = out.len();
        out.resize(begin + plain.len() + extra.len() + TAG_BYTES, 0);
        let (sealed, rest) = out[begin..].split_at_mut(plain.len());
        let nonce = Nonce::assume_unique_for_key(nonce);
        if self.is_tls13 {
            key.seal_out_of_place_scatter(nonce, Aad::from(header), plain, sealed, extra, rest)
        } else {
            let aad = Aad::from(aad_of_tls12(self.sends.next, outer as u8, plain.len()));
            key.seal_out_of_place_scatter(nonce, aad, plain, sealed, extra, rest)
        }
        .map_err(|_| Broken)?;
        self.sends.next += 1;
        Ok(())
    }

    /// Opens a whole record in place: what it carries and where that stands.
    fn open(&mut self, record: &mut [u8]) -> Result<(Content, Range<usize>), Broken> {
        let (header, payload) = record.split_at_mut(HEADER_BYTES);
        let explicit = self.explicit_bytes();
        let plain_length = payload.len().checked_sub(explicit + TAG_BYTES);
        let plain_length = plain_length.ok_or(Broken)?;
        let mut nonce = self.receives.nonce();
        // With AES-GCM of TLS 1.2 it is the sender's choice.
        nonce[NONCE_LEN - explicit..].copy_from_slice(&payload[..explicit]);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let key = self.cipher.key(&self.receives.key);
        let sealed = &mut payload[explicit..];
        let plain = if self.is_tls13 {
            key.open_in_place(nonce, Aad::from(&*header), sealed)
        } else {
            let aad = aad_of_tls12(self.receives.next, header[0], plain_length);
            key.open_in_place(nonce, Aad::from(aad), sealed)
        };
        let plain = plain.map_err(|_| Broken)?;
        self.receives.next = self.receives.next.checked_add(1).ok_or(Broken)?;
        let (kind, length) = if self.is_tls13 {
            // Zeros may follow the kind, to hide how long a record is (RFC 8446 section 5.4).
            let last = plain.iter().rposition(|byte| *byte != 0).ok_or(Broken)?;
            (plain[last], last)
        } else {
            (header[0], plain.len())
        };
        if length > PLAIN_MAX_BYTES {
            return Err(Broken);
        }
        let begin = HEADER_BYTES + explicit;
        Ok((Content::of(kind).ok_or(Broken)?, begin..begin + length))
    }

    /// The record that says that nothing more comes (RFC 8446 section 6.1), behind what `out` holds.
    pub(crate) fn seal_end(&mut self, out: &mut Vec<u8>) -> Result<(), Broken> {
        const WARNING: u8 = 1;
        self.seal(Content::Alert, &[WARNING, CLOSE_NOTIFY], out)
    }
}

fn header(kind: u8, length: usize) -> [u8; HEADER_BYTES] {
    let length = u16::try_from(length).expect("a record is shorter");
    let [high, low] = length.to_be_bytes();
    [kind, VERSION[0], VERSION[1], high, low]
}

/// RFC 5246 section 6.2.3.3.
fn aad_of_tls12(number: u64, kind: u8, plain_length: usize) -> [u8; 13] {
    let mut aad = [0; 13];
    aad[..8].copy_from_slice(&number.to_be_bytes());
    aad[8..].copy_from_slice(&header(kind, plain_length));
    aad
}

/// The alert that ends a connection in order.
const CLOSE_NOTIFY: u8 = 0;
/// The alert of a peer whose user has changed his mind; the end follows.
const USER_CANCELED: u8 = 90;

/// What was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// So many bytes.
    Bytes(usize),
    /// The peer will say nothing more.
    End,
    /// Nothing whole yet.
    Nothing,
}

/// What came and was not taken: at most one record that is not whole, with what one read brought behind it, and the
/// plaintext of one.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    sealed: Vec<u8>,
    opened: Vec<u8>,
}

impl Incoming {
    /// Bytes that were opened already, and what came behind them.
    pub(crate) fn new(opened: Vec<u8>, sealed: Vec<u8>) -> Self {
        Self { sealed, opened }
    }

    /// Adds what came.
    pub(crate) fn add(&mut self, sealed: &[u8]) {
        self.sealed.extend_from_slice(sealed);
    }

    /// Whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.sealed.is_empty() && self.opened.is_empty()
    }

    /// Whether something can be taken, or is wrong.
    pub(crate) fn is_ready(&self) -> bool {
        !self.opened.is_empty() || !matches!(self.whole(), Ok(None))
    }

    /// Length of the first record if it is whole.
    fn whole(&self) -> Result<Option<usize>, Broken> {
        let Some(header) = self.sealed.first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
        let is_known = Content::of(header[0]).is_some() && header[1..3] == VERSION;
        if length > SEALED_MAX_BYTES || !is_known {
            return Err(Broken);
        }
        let whole = HEADER_BYTES + length;
        Ok((self.sealed.len() >= whole).then_some(whole))
    }

    /// Takes bytes of the application.
    pub(crate) fn take(&mut self, session: &mut Session, into: &mut [u8]) -> Result<Heard, Broken> {
        while self.opened.is_empty() {
            let Some(length) = self.whole()? else {
                return Ok(Heard::Nothing);
            };
            let (content, plain) = session.open(&mut self.sealed[..length])?;
            let plain = &self.sealed[plain];
            match (content, plain) {
                (Content::Application, _) => self.opened.extend_from_slice(plain),
                (Content::Alert, [_, CLOSE_NOTIFY]) => return Ok(Heard::End),
                (Content::Alert, [_, USER_CANCELED]) => {}
                (Content::Alert | Content::Handshake, _) => return Err(Broken),
            }
            self.sealed.drain(..length);
        }
        let count = self.opened.len().min(into.len());
        into[..count].copy_from_slice(&self.opened[..count]);
        self.opened.drain(..count);
        Ok(Heard::Bytes(count))
    }
}

#[cfg(test)]
pub(crate) mod tests;
