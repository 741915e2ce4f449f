//! Whose is this datagram? Decided before any session sees a byte of it.
//!
//! STUN requests name their session by the user fragment in USERNAME; everything else belongs to the session whose ICE
//! has validated the address that it comes from. So a DTLS hello raced in from elsewhere (the class of CVE-2023-49786)
//! meets nothing that it could harm, and nothing here answers an unknown sender.

use std::collections::HashMap;
use std::net::SocketAddr;

use str0m::net::Protocol;

/// The longest datagram or frame that we take: an Ethernet frame. Longer ones are dropped.
pub(crate) const DATAGRAM_MAX_BYTES: usize = 1500;

const STUN_HEADER_BYTES: usize = 20;
const STUN_MAGIC: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const STUN_BINDING_REQUEST: [u8; 2] = [0x00, 0x01];
const STUN_BINDING_SUCCESS: [u8; 2] = [0x01, 0x01];
const STUN_USERNAME: u16 = 0x0006;

/// What a datagram claims to be (RFC 7983 section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Datagram<'a> {
    /// A STUN binding request for the session with this user fragment.
    BindingRequest(&'a str),
    /// DTLS, RTP or RTCP.
    Media,
    /// Any other STUN: an ICE-lite agent asks nothing, so it awaits no response.
    OtherStun,
    /// None of these.
    Unknown,
}

/// Looks at the first byte, and into STUN for the name.
pub(crate) fn classify(bytes: &[u8]) -> Datagram<'_> {
    if bytes.len() > DATAGRAM_MAX_BYTES {
        return Datagram::Unknown;
    }
    match bytes.first() {
        Some(0..=3) => match stun_user(bytes) {
            Some(user) => Datagram::BindingRequest(user),
            None if bytes.get(4..8) == Some(&STUN_MAGIC) => Datagram::OtherStun,
            None => Datagram::Unknown,
        },
        Some(20..=63 | 128..=191) => Datagram::Media,
        _ => Datagram::Unknown,
    }
}

/// Whether these bytes are the answer that ICE gives only to a request with the right password.
pub(crate) fn is_binding_success(bytes: &[u8]) -> bool {
    bytes.get(..2) == Some(&STUN_BINDING_SUCCESS) && bytes.get(4..8) == Some(&STUN_MAGIC)
}

/// Our half of USERNAME in a binding request: "The username is formed by concatenating the username fragment provided
/// by the peer with the username fragment of the ICE agent sending the request, separated by a colon" (RFC 8445
/// section 7.2.2).
fn stun_user(bytes: &[u8]) -> Option<&str> {
    if bytes.get(..2)? != STUN_BINDING_REQUEST || bytes.get(4..8)? != STUN_MAGIC {
        return None;
    }
    let mut rest = bytes.get(STUN_HEADER_BYTES..)?;
    while let [t0, t1, l0, l1, body @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*l0, *l1]));
        if u16::from_be_bytes([*t0, *t1]) == STUN_USERNAME {
            let name = std::str::from_utf8(body.get(..length)?).ok()?;
            return name.split_once(':').map(|(ours, _)| ours);
        }
        rest = body.get(length.next_multiple_of(4)..)?;
    }
    None
}

/// A session's key inside the endpoint.
pub(crate) type Key = u64;

/// From names and addresses to sessions. Bounded by the sessions: one name and a bounded list of addresses each.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    users: HashMap<String, Key>,
    addresses: HashMap<(Protocol, SocketAddr), Key>,
}

impl Routes {
    pub(crate) fn add_user(&mut self, ufrag: &str, key: Key) {
        self.users.insert(ufrag.to_owned(), key);
    }

    pub(crate) fn remove_user(&mut self, ufrag: &str) {
        self.users.remove(ufrag);
    }

    /// The address has proved by ICE that it speaks for this session.
    pub(crate) fn add_address(&mut self, from: (Protocol, SocketAddr), key: Key) {
        self.addresses.insert(from, key);
    }

    /// Forgets the address, if it is still this session's.
    pub(crate) fn remove_address(&mut self, from: (Protocol, SocketAddr), key: Key) {
        if self.addresses.get(&from) == Some(&key) {
            self.addresses.remove(&from);
        }
    }

    pub(crate) fn by_user(&self, ufrag: &str) -> Option<Key> {
        self.users.get(ufrag).copied()
    }

    pub(crate) fn by_address(&self, from: (Protocol, SocketAddr)) -> Option<Key> {
        self.addresses.get(&from).copied()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.users.is_empty() && self.addresses.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request(username: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 1, 0, 0];
        bytes.extend(STUN_MAGIC);
        bytes.extend([7; 12]);
        // An attribute before it, of a length that needs padding (RFC 8489 section 14).
        bytes.extend([0x80, 0x22, 0, 3, b'a', b'b', b'c', 0]);
        bytes.extend([0, 6]);
        bytes.extend(u16::try_from(username.len()).unwrap().to_be_bytes());
        bytes.extend(username);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn a_binding_request_names_its_session() {
        assert_eq!(
            classify(&request(b"ours:theirs")),
            Datagram::BindingRequest("ours")
        );
        assert_eq!(classify(&request(b"nocolon")), Datagram::OtherStun);
        assert_eq!(classify(&request(&[0xff, b':'])), Datagram::OtherStun);
    }

    #[test]
    fn the_first_byte_sorts_as_rfc_7983_says() {
        for byte in 0..=255_u8 {
            let bytes = [byte; 40];
            let found = classify(&bytes);
            let wanted = match byte {
                20..=63 | 128..=191 => Datagram::Media,
                _ => Datagram::Unknown,
            };
            assert_eq!(found, wanted, "first byte {byte}");
        }
        assert_eq!(classify(&[]), Datagram::Unknown);
        assert_eq!(classify(&[128; DATAGRAM_MAX_BYTES + 1]), Datagram::Unknown);
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_sorting(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = classify(&bytes);
            let _ = is_binding_success(&bytes);
        }

        #[test]
        fn no_damage_to_a_request_breaks_the_sorting(at in 0_usize..60, value: u8, cut in 0_usize..60) {
            let mut bytes = request(b"ours:theirs");
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
            bytes.truncate(cut);
            let _ = classify(&bytes);
        }
    }
}
