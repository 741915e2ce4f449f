//! Where peers are told to come to. Pure, but for the one question which address the world would be reached from.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::demux::DATAGRAM_MAX_BYTES;

/// The longest frame begins with these, as the first byte of its length (RFC 4571 section 2): a datagram is at most an
/// Ethernet frame.
const FRAME_FIRST_MAX: u8 = DATAGRAM_MAX_BYTES.to_le_bytes()[1];

/// Whether a connection that begins with this byte carries frames of ours. A request of HTTP begins with a letter or with
/// an empty line (RFC 9112 section 2.2), a TLS record with 20 to 23 (RFC 8446 section 5.1), a frame with the high byte of
/// its length: below both.
pub const fn begins_frame(byte: u8) -> bool {
    byte <= FRAME_FIRST_MAX
}

/// Another listener at which ICE-TCP arrives beside something else; whoever owns it gives such connections to
/// [`crate::Stage::adopt`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpDoor {
    /// Where it is bound.
    pub bound: SocketAddr,
    /// The port by which the world reaches it.
    pub port: u16,
}

/// Our addresses as peers see them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reachable {
    /// The stage's own port, by UDP and TCP alike.
    pub(crate) stage: Vec<SocketAddr>,
    /// By TCP alone.
    pub(crate) door: Vec<SocketAddr>,
}

impl From<Vec<SocketAddr>> for Reachable {
    fn from(stage: Vec<SocketAddr>) -> Self {
        Self {
            stage,
            door: Vec::new(),
        }
    }
}

impl Reachable {
    /// The advertised address, else the bound one, else those from which the world would be reached, else loopback.
    pub(crate) fn at(
        bound: SocketAddr,
        advertise: Option<IpAddr>,
        door: Option<TcpDoor>,
    ) -> io::Result<Self> {
        let ips = ips(bound.ip(), advertise);
        if let Some(bad) = ips
            .iter()
            .find(|ip| ip.is_unspecified() || ip.is_multicast())
        {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{bad} is no address to be reached at"),
            ));
        }
        let with_port = |port| ips.iter().map(move |ip| SocketAddr::new(*ip, port));
        Ok(Self {
            stage: with_port(bound.port()).collect(),
            door: door
                .filter(|door| is_met_there(door.bound.ip(), &ips, advertise))
                .map(|door| with_port(door.port).collect())
                .unwrap_or_default(),
        })
    }
}

/// Whether who comes to the stage's addresses finds a listener there that is bound to this one. Behind a proxy on the same
/// machine it is bound to loopback, and nobody does.
fn is_met_there(bound: IpAddr, ips: &[IpAddr], advertise: Option<IpAddr>) -> bool {
    bound.is_unspecified()
        || ips.contains(&bound)
        // Behind address translation the advertised one is none of ours.
        || advertise.is_some() && !bound.is_loopback()
}

fn ips(bound: IpAddr, advertise: Option<IpAddr>) -> Vec<IpAddr> {
    match advertise {
        Some(ip) => vec![ip],
        None if !bound.is_unspecified() => vec![bound],
        None => {
            // (RFC 5737 and 3849 addresses.)
            let mut found = vec![outward(Ipv4Addr::new(192, 0, 2, 1).into())];
            if bound.is_ipv6() {
                found.push(outward(
                    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
                ));
            }
            let mut ips: Vec<_> = found.into_iter().flatten().collect();
            if ips.is_empty() {
                ips.push(Ipv4Addr::LOCALHOST.into());
            }
            ips
        }
    }
}

/// The address of ours that the kernel would use towards `there`. Connecting UDP sends nothing; it only asks the kernel
/// for the route.
pub(crate) fn outward(there: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = if there.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = std::net::UdpSocket::bind((any, 0)).ok()?;
    socket.connect((there, 9)).ok()?;
    socket.local_addr().ok().map(|ours| ours.ip())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::frame;

    #[test]
    fn frames_are_told_from_http_and_tls_by_their_first_byte() {
        for length in [1, 20, 108, DATAGRAM_MAX_BYTES] {
            assert!(begins_frame(frame(&vec![0; length])[0]), "{length}");
        }
        for request in ["GET / HTTP/1.1", "options *", "\r\nGET /", "\nGET /"] {
            assert!(!begins_frame(request.as_bytes()[0]), "{request:?}");
        }
        assert!((20..=23).all(|record| !begins_frame(record)), "TLS");
    }

    /// As peers are told of a desk that is bound to the first at port 8443, where the stage is at the second.
    fn door(bound: &str, stage: &str, advertise: Option<&str>) -> Vec<String> {
        let door = TcpDoor {
            bound: SocketAddr::new(bound.parse().unwrap(), 8443),
            port: 443,
        };
        let stage = SocketAddr::new(stage.parse().unwrap(), 5000);
        let advertise = advertise.map(|ip| ip.parse().unwrap());
        let reachable = Reachable::at(stage, advertise, Some(door)).unwrap();
        reachable.door.iter().map(SocketAddr::to_string).collect()
    }

    #[test]
    fn a_door_is_told_where_it_is_met() {
        assert_eq!(door("0.0.0.0", "192.0.2.1", None), ["192.0.2.1:443"]);
        assert_eq!(door("192.0.2.1", "192.0.2.1", None), ["192.0.2.1:443"]);
        assert_eq!(door("127.0.0.1", "127.0.0.1", None), ["127.0.0.1:443"]);
        let far = Some("203.0.113.7");
        assert_eq!(
            door("10.0.0.5", "0.0.0.0", far),
            ["203.0.113.7:443"],
            "translated"
        );
        assert_eq!(door("::", "2001:db8::1", None), ["[2001:db8::1]:443"]);
        assert!(
            door("127.0.0.1", "0.0.0.0", far).is_empty(),
            "behind a proxy"
        );
        assert!(door("192.0.2.2", "192.0.2.1", None).is_empty());
    }
}
