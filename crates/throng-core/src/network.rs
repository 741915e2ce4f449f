//! Networks, and which of them hold proxies of ours that may say for whom they ask.
//!
//! Pure. An address says who somebody is only to whom he connects: behind a proxy all come from one. What the proxy
//! writes into `X-Forwarded-For` is believed from the proxies that the operator names, and from nobody else.

// Addresses alone; what could open a socket is not there.
use core::net::IpAddr;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Bits of an IPv4 address that stands in IPv6: `::ffff:0:0/96` (RFC 4291 section 2.5.5.2).
const MAPPED_BITS: u8 = 96;
/// Proxies in a row that are looked through: nobody has more in front of him. What is farther is taken for a client.
const HOPS_MAX: usize = 16;

/// A network in the notation of RFC 4632, `192.0.2.0/24`; an address alone is a network of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// The text is not a network.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} is not a network: {why}. Write 10.0.0.0/8, 2001:db8::/32, or one address")]
pub struct NotANetwork {
    text: String,
    why: &'static str,
}

impl Network {
    /// Whether an address lies in it; an IPv4 address is the same in the notation of IPv6.
    pub fn holds(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(other)) => {
                leading(ours.to_bits().into(), 32, self.bits)
                    == leading(other.to_bits().into(), 32, self.bits)
            }
            (IpAddr::V6(ours), IpAddr::V6(other)) => {
                leading(ours.to_bits(), 128, self.bits) == leading(other.to_bits(), 128, self.bits)
            }
            _ => false,
        }
    }
}

/// The first bits of an address so wide.
fn leading(address: u128, width: u32, bits: u8) -> u128 {
    address
        .checked_shr(width - u32::from(bits))
        .unwrap_or_default()
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let wrong = |why| NotANetwork {
            text: text.to_owned(),
            why,
        };
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address
            .parse()
            .map_err(|_| wrong("it does not begin with an IP address"))?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => width,
            Some(bits) => bits
                .parse()
                .ok()
                .filter(|bits| *bits <= width)
                .ok_or_else(|| wrong("after the slash stands how many bits are common, up to 32 of IPv4 and 128 of IPv6"))?,
        };
        let network = match (address, address.to_canonical()) {
            (IpAddr::V6(_), canonical @ IpAddr::V4(_)) if bits >= MAPPED_BITS => Self {
                address: canonical,
                bits: bits - MAPPED_BITS,
            },
            _ => Self { address, bits },
        };
        // 10.0.0.1/8 is a slip of the pen, and which of both was meant is not for us to say.
        if network.has_host_bits() {
            return Err(wrong("there are bits after those that are common"));
        }
        Ok(network)
    }
}

impl Network {
    fn has_host_bits(&self) -> bool {
        let (address, width) = match self.address {
            IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
            IpAddr::V6(address) => (address.to_bits(), 128),
        };
        let host_bits = width - u32::from(self.bits);
        address.trailing_zeros() < host_bits
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl TryFrom<String> for Network {
    type Error = NotANetwork;

    fn try_from(text: String) -> Result<Self, NotANetwork> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

/// The networks of the operator's proxies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<Network>);

impl TrustedProxies {
    /// These.
    pub fn new(networks: Vec<Network>) -> Self {
        Self(networks)
    }

    /// Whether there are none, as far as is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether somebody with this address is believed.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.holds(address))
    }

    /// Whose request it is that came from `peer` with these values of `X-Forwarded-For`, in the order in which they stand.
    ///
    /// Each proxy adds at the end from whom it has the request. So the list is believed from its end, as far as the
    /// speakers are trusted: the last address that no proxy of ours has is the client's. What stands before it is what
    /// the client says of himself.
    pub fn client<'v>(
        &self,
        peer: IpAddr,
        values: impl DoubleEndedIterator<Item = &'v [u8]>,
    ) -> IpAddr {
        let mut speaker = peer.to_canonical();
        let entries = values
            .rev()
            .flat_map(|value| value.rsplit(|byte| *byte == b','));
        for entry in entries.take(HOPS_MAX) {
            if !self.trusts(speaker) {
                break;
            }
            // From there on it is not known; the one who said it is the nearest that is.
            let Some(before) = address(entry) else { break };
            speaker = before;
        }
        speaker
    }
}

/// An address as proxies write it: alone, with a port, IPv6 in brackets or not.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(entry).ok()?.trim_ascii();
    let alone = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => match text.split_once(':') {
            Some((address, port)) if !port.contains(':') => address,
            _ => text,
        },
    };
    alone
        .parse()
        .ok()
        .map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    fn at(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn proxies() -> TrustedProxies {
        TrustedProxies::new(vec![network("10.0.0.0/8"), network("2001:db8::/32")])
    }

    fn client(peer: &str, lines: &[&str]) -> IpAddr {
        proxies().client(at(peer), lines.iter().map(|line| line.as_bytes()))
    }

    #[test]
    fn a_network_holds_what_begins_as_it_does() {
        assert!(network("10.0.0.0/8").holds(at("10.255.0.1")));
        assert!(!network("10.0.0.0/8").holds(at("11.0.0.1")));
        assert!(network("0.0.0.0/0").holds(at("192.0.2.1")));
        assert!(!network("0.0.0.0/0").holds(at("2001:db8::1")));
        assert!(network("::/0").holds(at("2001:db8::1")));
        assert!(network("192.0.2.1").holds(at("192.0.2.1")));
        assert!(!network("192.0.2.1").holds(at("192.0.2.2")));
        assert!(network("2001:db8::/33").holds(at("2001:db8:7fff::1")));
        assert!(!network("2001:db8::/33").holds(at("2001:db8:8000::1")));
    }

    #[test]
    fn an_address_of_ipv4_is_the_same_in_ipv6() {
        assert!(network("10.0.0.0/8").holds(at("::ffff:10.1.2.3")));
        assert!(network("::ffff:10.0.0.0/104").holds(at("10.1.2.3")));
        assert_eq!(network("::ffff:10.0.0.0/104").to_string(), "10.0.0.0/8");
        assert_eq!(
            client("::ffff:10.0.0.1", &["::ffff:192.0.2.7"]),
            at("192.0.2.7")
        );
    }

    #[test]
    fn what_is_no_network_is_refused_with_a_reason() {
        for (text, why) in [
            ("", "does not begin with an IP address"),
            ("example.org", "does not begin with an IP address"),
            ("10.0.0.0/33", "how many bits"),
            ("10.0.0.0/", "how many bits"),
            ("10.0.0.0/-1", "how many bits"),
            ("10.0.0.1/8", "bits after those"),
            ("::/129", "how many bits"),
        ] {
            let told = text.parse::<Network>().unwrap_err().to_string();
            assert!(
                told.contains(why) && told.contains("Write 10.0.0.0/8"),
                "{told}"
            );
        }
    }

    #[test]
    fn the_client_is_the_last_who_is_no_proxy_of_ours() {
        assert_eq!(client("10.0.0.1", &["192.0.2.7"]), at("192.0.2.7"));
        assert_eq!(
            client("10.0.0.1", &["192.0.2.7, 10.0.0.2"]),
            at("192.0.2.7")
        );
        assert_eq!(
            client("10.0.0.1", &["192.0.2.7", "10.0.0.2"]),
            at("192.0.2.7")
        );
        assert_eq!(
            client("10.0.0.1", &["2001:db8::9"]),
            at("2001:db8::9"),
            "all of them are ours"
        );
        assert_eq!(client("10.0.0.1", &[]), at("10.0.0.1"));
    }

    #[test]
    fn what_a_client_says_of_himself_counts_for_nothing() {
        let forged = ["203.0.113.1, 10.0.0.9, 192.0.2.7"];
        assert_eq!(client("10.0.0.1", &forged), at("192.0.2.7"));
        assert_eq!(
            client("192.0.2.7", &["203.0.113.1"]),
            at("192.0.2.7"),
            "he is no proxy"
        );
        assert_eq!(client("10.0.0.1", &["192.0.2.7, unknown"]), at("10.0.0.1"));
    }

    #[test]
    fn addresses_are_read_as_proxies_write_them() {
        for text in ["192.0.2.7:4711", " 192.0.2.7 ", "::ffff:192.0.2.7"] {
            assert_eq!(client("10.0.0.1", &[text]), at("192.0.2.7"), "{text}");
        }
        for text in ["[2001:db9::7]:4711", "[2001:db9::7]", "2001:db9::7"] {
            assert_eq!(client("10.0.0.1", &[text]), at("2001:db9::7"), "{text}");
        }
    }

    #[test]
    fn a_long_row_of_proxies_is_not_walked_to_its_end() {
        let row = ["10.0.0.1"; 100].join(",");
        let line = format!("192.0.2.7,{row}");
        assert_eq!(client("10.0.0.1", &[&line]), at("10.0.0.1"));
    }
}
