//! Tickets: what somebody who waits holds instead of a socket.
//!
//! `base64url(queue u64 | arrived u64 | at_s u64 | HMAC-SHA256 of these, first 16 bytes)`, big-endian. Nobody can make
//! one but the node, and it says nothing about who holds it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// Bytes of what is said.
const SAID: usize = 24;
/// Bytes of the seal: nobody guesses 128 bits (RFC 2104 section 5 allows half of the digest).
const SEAL: usize = 16;
/// Characters of a ticket.
const LENGTH: usize = (SAID + SEAL).div_ceil(3) * 4 - 2;

/// What a ticket says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Of which queue it is; a later one knows nothing of it.
    pub queue: u64,
    /// How many came before.
    pub arrived: u64,
    /// When that was, in seconds of the wall clock: for the record.
    pub at_s: u64,
}

/// Seals tickets with the secret of a node.
#[derive(Clone)]
pub struct Signer(Hmac<Sha256>);

impl Signer {
    /// A signer with this secret.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(Hmac::new_from_slice(secret).expect("HMAC takes keys of any length"))
    }

    /// The ticket as its holder has it.
    pub fn seal(&self, ticket: Ticket) -> String {
        let mut bytes = [0; SAID + SEAL];
        let (said, seal) = bytes.split_at_mut(SAID);
        for (piece, number) in
            said.chunks_exact_mut(8)
                .zip([ticket.queue, ticket.arrived, ticket.at_s])
        {
            piece.copy_from_slice(&number.to_be_bytes());
        }
        let mac = self.0.clone().chain_update(&*said).finalize().into_bytes();
        seal.copy_from_slice(&mac[..SEAL]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// What a ticket says that this node has given.
    pub fn open(&self, text: &str) -> Option<Ticket> {
        let mut bytes = [0; SAID + SEAL];
        if text.len() > LENGTH || URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) != Ok(SAID + SEAL)
        {
            return None;
        }
        let (said, seal) = bytes.split_at(SAID);
        self.0
            .clone()
            .chain_update(said)
            .verify_truncated_left(seal)
            .ok()?;
        let mut numbers = said
            .chunks_exact(8)
            .map(|piece| u64::from_be_bytes(piece.try_into().expect("pieces of eight")));
        let mut next = || numbers.next().unwrap_or_default();
        Some(Ticket {
            queue: next(),
            arrived: next(),
            at_s: next(),
        })
    }
}
