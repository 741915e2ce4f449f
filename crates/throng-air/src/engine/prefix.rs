//! Who fills the places without a word: silent connections, counted by the network that they come from.
//!
//! Pure. Listeners are not counted: thousands of them behind one address of a carrier are as welcome as others. Only who
//! says nothing while others find no place is asked where he comes from.

use std::collections::HashMap;
use std::net::IpAddr;

/// Networks counted at once; who comes from one more is not counted, and his deadline ends him. So many networks are not
/// one that fills the places.
const PREFIXES_MAX: usize = 4_096;
/// The part of all places that one network may hold without a word: 64 of them at once would be needed to fill all.
const SHARE: u32 = 64;
/// The part of all places at which it matters: with fewer silent connections nobody is kept out.
const CROWD: u32 = 4;

/// A network: what somebody can be taken to hold who holds one address of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Prefix {
    /// The first 24 bits: the smallest network that is announced on the Internet.
    V4([u8; 3]),
    /// The first 48 bits: the most that a site is usually given (RFC 6177). With a longer prefix one customer would
    /// have 256 or more of them.
    V6([u8; 6]),
}

impl Prefix {
    /// The network of an address.
    pub(crate) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(first(&address.octets())),
            IpAddr::V6(address) => Self::V6(first(&address.octets())),
        }
    }
}

fn first<const COUNT: usize>(octets: &[u8]) -> [u8; COUNT] {
    *octets
        .first_chunk()
        .expect("a prefix is shorter than an address")
}

/// The silent connections of a shard, counted anew in every round of its visits.
#[derive(Debug, Default)]
pub(crate) struct Silence {
    /// In the round before, and so far in this one.
    before: u32,
    now: u32,
    counts: HashMap<Prefix, u32>,
}

impl Silence {
    /// A round begins.
    pub(crate) fn begin(&mut self) {
        self.before = std::mem::take(&mut self.now);
        self.counts.clear();
    }

    /// One more is silent, of a shard with so many places. Whether it is to be asked where it comes from.
    pub(crate) fn note(&mut self, places: u32) -> bool {
        self.now += 1;
        self.before > places / CROWD
    }

    /// Whether one more of this network may stay.
    pub(crate) fn bears(&mut self, prefix: Prefix, places: u32) -> bool {
        if self.counts.len() >= PREFIXES_MAX && !self.counts.contains_key(&prefix) {
            return true;
        }
        let count = self.counts.entry(prefix).or_default();
        *count += 1;
        *count <= (places / SHARE).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(address: &str) -> Prefix {
        Prefix::of(address.parse().unwrap())
    }

    #[test]
    fn a_network_is_what_one_customer_may_hold() {
        assert_eq!(prefix("192.0.2.1"), prefix("192.0.2.254"));
        assert_eq!(prefix("192.0.2.1"), prefix("::ffff:192.0.2.7"));
        assert_ne!(prefix("192.0.2.1"), prefix("192.0.3.1"));
        assert_eq!(prefix("2001:db8:1:2::1"), prefix("2001:db8:1:ffff::9"));
        assert_ne!(prefix("2001:db8:1::1"), prefix("2001:db8:2::1"));
    }

    #[test]
    fn one_network_keeps_its_share_and_others_theirs() {
        let places = 6_400;
        let mut silence = Silence::default();
        for _ in 0..=1_600 {
            assert!(!silence.note(places), "nobody is kept out yet");
        }
        silence.begin();
        let (many, few) = (prefix("192.0.2.1"), prefix("198.51.100.1"));
        let stay = (0..1_000).filter(|_| silence.note(places) && silence.bears(many, places));
        assert_eq!(stay.count(), 100);
        assert!(silence.bears(few, places));
        silence.begin();
        assert!(!silence.note(places), "the crowd has gone");
    }

    #[test]
    fn the_table_is_bounded() {
        let mut silence = Silence::default();
        for network in 0..2 * PREFIXES_MAX {
            let [.., a, b] = u32::try_from(network).unwrap().to_be_bytes();
            assert!(silence.bears(Prefix::V4([10, a, b]), 6_400));
        }
        assert_eq!(silence.counts.len(), PREFIXES_MAX);
    }
}
