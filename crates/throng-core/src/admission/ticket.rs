//! Tickets: what somebody who waits holds instead of a socket.
//!
//! `base64url(arrived u64 | queue u32 | at_s u32 | HMAC-SHA256 of these, first 16 bytes)`, big-endian. Nobody can make
//! one but the node, and it says nothing about who holds it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// Bytes of what is said.
const SAID: usize = 16;
/// Bytes of the seal: nobody guesses 128 bits (RFC 2104 section 5 allows half of the digest).
const SEAL: usize = 16;

/// What a ticket says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Of which queue it is; a later one knows nothing of it.
    pub queue: u32,
    /// How many came before.
    pub arrived: u64,
    /// When that was, in seconds of the wall clock: for the record.
    pub at_s: u32,
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
        said[..8].copy_from_slice(&ticket.arrived.to_be_bytes());
        said[8..12].copy_from_slice(&ticket.queue.to_be_bytes());
        said[12..].copy_from_slice(&ticket.at_s.to_be_bytes());
        let mac = self.0.clone().chain_update(&*said).finalize().into_bytes();
        seal.copy_from_slice(&mac[..SEAL]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// What a ticket says that this node has given.
    pub fn open(&self, text: &str) -> Option<Ticket> {
        let mut bytes = [0; SAID + SEAL];
        if URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) != Ok(SAID + SEAL) {
            return None;
        }
        let (said, seal) = bytes.split_at(SAID);
        let mac = self.0.clone().chain_update(said);
        mac.verify_truncated_left(seal).ok()?;
        let (arrived, rest) = said.split_first_chunk()?;
        let (queue, at_s) = rest.split_first_chunk()?;
        Some(Ticket {
            queue: u32::from_be_bytes(*queue),
            arrived: u64::from_be_bytes(*arrived),
            at_s: u32::from_be_bytes(*at_s.first_chunk()?),
        })
    }
}
