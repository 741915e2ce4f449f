//! Tickets that every process of a node can read: who comes back is dealt to any of them (RFC 8446 section 4.6.1).
//!
//! All share one secret, from which each derives the key of the present hours. A ticket names its hours, and is good
//! while a node knows their key: those before the present ones are known, too, so that nobody's ticket goes stale at a
//! change of keys. Nothing is kept per client, and the secret lives no longer than the node.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::rand;
use rustls::server::ProducesTickets;
use serde::{Deserialize, Serialize};

/// Bytes of a secret, and of the keys.
const SECRET_BYTES: usize = 32;
/// How long one key seals new tickets.
const PERIOD_SECONDS: u64 = 6 * 3_600;
/// Where the number of a ticket's period ends, and where its nonce does.
const PERIOD_END: usize = size_of::<u64>();
const NONCE_END: usize = PERIOD_END + NONCE_LEN;
/// What keys are derived for, and nothing else.
const PURPOSE: &[u8] = b"throng session tickets";

/// What the processes of a node share to read each other's tickets.
#[derive(Clone, Deserialize, Serialize)]
pub struct TicketSecret([u8; SECRET_BYTES]);

impl TicketSecret {
    /// A new one.
    ///
    /// # Panics
    ///
    /// If the system has no randomness to give, without which there is no TLS either.
    pub fn drawn() -> Self {
        let mut bytes = [0; SECRET_BYTES];
        rand::fill(&mut bytes).expect("the system gives randomness");
        Self(bytes)
    }

    /// The key of a period.
    fn key(&self, period: u64) -> Option<RandomizedNonceKey> {
        let period = period.to_be_bytes();
        let purpose = [PURPOSE, &period];
        let pseudorandom = Salt::new(HKDF_SHA256, &[]).extract(&self.0);
        let expanded = pseudorandom.expand(&purpose, HKDF_SHA256).ok()?;
        let mut key = [0; SECRET_BYTES];
        expanded.fill(&mut key).ok()?;
        RandomizedNonceKey::new(&AES_256_GCM, &key).ok()
    }

    fn seal(&self, period: u64, plain: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = plain.to_vec();
        let name = period.to_be_bytes();
        let key = self.key(period)?;
        let nonce = key
            .seal_in_place_append_tag(Aad::from(name), &mut sealed)
            .ok()?;
        let mut ticket = Vec::with_capacity(NONCE_END + sealed.len());
        ticket.extend(name);
        ticket.extend(nonce.as_ref());
        ticket.extend(sealed);
        Some(ticket)
    }

    fn open(&self, now: u64, ticket: &[u8]) -> Option<Vec<u8>> {
        let name = *ticket.first_chunk::<PERIOD_END>()?;
        let period = u64::from_be_bytes(name);
        if period != now && period.checked_add(1) != Some(now) {
            return None;
        }
        let nonce = Nonce::try_assume_unique_for_key(ticket.get(PERIOD_END..NONCE_END)?).ok()?;
        let mut sealed = ticket[NONCE_END..].to_vec();
        let key = self.key(period)?;
        let opened = key
            .open_in_place(nonce, Aad::from(name), &mut sealed)
            .ok()?;
        Some(opened.to_vec())
    }
}

impl fmt::Debug for TicketSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketSecret")
    }
}

impl ProducesTickets for TicketSecret {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(2 * PERIOD_SECONDS).expect("half a day")
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.seal(period_now(), plain)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.open(period_now(), ticket)
    }
}

fn period_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs() / PERIOD_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_the_secret_reads_a_ticket_for_this_period_and_the_next() {
        let (secret, other) = (TicketSecret::drawn(), TicketSecret::drawn());
        let ticket = secret.seal(70, b"a session").unwrap();
        for (now, read) in [(69, false), (70, true), (71, true), (72, false)] {
            let opened = secret.clone().open(now, &ticket);
            assert_eq!(opened.is_some(), read, "{now}");
            assert!(opened.is_none_or(|plain| plain == b"a session"));
        }
        assert!(other.open(70, &ticket).is_none());
        assert_ne!(secret.seal(70, b"a session").unwrap(), ticket);
    }

    #[test]
    fn a_ticket_that_was_changed_or_cut_is_none() {
        let secret = TicketSecret::drawn();
        let ticket = secret.seal(70, b"a session").unwrap();
        for place in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[place] ^= 1;
            assert!(secret.open(70, &changed).is_none(), "{place}");
            assert!(secret.open(70, &ticket[..place]).is_none(), "{place}");
        }
        assert_eq!(format!("{secret:?}"), "TicketSecret");
    }
}
