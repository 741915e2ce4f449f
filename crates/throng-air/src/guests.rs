//! Who is at a door of the ordinary server, by the network that he comes from: nobody's network takes all its places.
//!
//! Listeners are not counted here but for what the engine hands on: thousands of them behind one address of a carrier are
//! as welcome as others. Hosts, speakers, downloads and WHEP share a few places, of which the last quarter is for those
//! whose network has few. Who comes by a proxy that the operator trusts is counted by the address that it names, for as
//! long as his request takes; everybody else by his own, for as long as he is connected.

use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request};
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use metrics::{Counter, Gauge, counter, gauge};
use throng_core::network::TrustedProxies;

use crate::engine::head::FORWARDED;
use crate::engine::prefix::Prefix;
use crate::metric;

/// In which a proxy says for whom it asks.
const FORWARDED_FOR: &str = "x-forwarded-for";
/// The part of all places from which on it matters who has how many: three quarters.
const CROWD: (u32, u32) = (3, 4);
/// The part of all places that a network may hold then.
const SHARE: u32 = 4;

/// The address of who makes a request, as far as it is known: an extension of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client(pub IpAddr);

/// Who is at a door.
pub struct Guests {
    proxies: TrustedProxies,
    places: u32,
    here: Mutex<Here>,
    networks: Gauge,
    refused: Counter,
}

/// How many are here, in all and of each network; at most as many networks as there are places.
#[derive(Debug, Default)]
struct Here {
    all: u32,
    by_network: HashMap<Prefix, u32>,
}

impl Here {
    /// Lets one more in, if that leaves room for others.
    fn enter(&mut self, network: Prefix, places: u32) -> bool {
        let of_his = self.by_network.get(&network).copied().unwrap_or_default();
        let (most, in_all) = CROWD;
        let is_crowded = self.all >= places / in_all * most;
        if is_crowded && of_his >= (places / SHARE).max(1) {
            return false;
        }
        self.all += 1;
        *self.by_network.entry(network).or_default() += 1;
        true
    }

    fn leave(&mut self, network: Prefix) {
        self.all -= 1;
        if let Some(count) = self.by_network.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                self.by_network.remove(&network);
            }
        }
    }
}

/// Somebody who is here until this is dropped.
pub(crate) struct Guest {
    guests: Arc<Guests>,
    network: Prefix,
}

/// Who is at the other end of a connection.
pub(crate) enum Peer {
    /// Somebody for himself, who is here as long as the connection is.
    Guest {
        address: IpAddr,
        #[allow(dead_code, reason = "held, and given back when the connection ends")]
        place: Guest,
    },
    /// A proxy of ours.
    Proxy(IpAddr),
}

impl Guests {
    /// Nobody yet, at a door with so many places that metrics call by this name.
    pub fn at(door: &'static str, places: u32, proxies: TrustedProxies) -> Arc<Self> {
        Arc::new(Self {
            proxies,
            places,
            here: Mutex::default(),
            networks: gauge!(metric::GUEST_NETWORKS, "at" => door),
            refused: counter!(metric::GUESTS_REFUSED, "at" => door),
        })
    }

    /// Somebody connects; none where his network has enough.
    pub(crate) fn connect(self: &Arc<Self>, address: IpAddr) -> Option<Peer> {
        if self.proxies.trusts(address) {
            return Some(Peer::Proxy(address));
        }
        let place = self.enter(address)?;
        let address = address.to_canonical();
        Some(Peer::Guest { address, place })
    }

    /// Somebody is here; none where his network has enough.
    fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Guest> {
        let network = Prefix::of(address);
        let mut here = self.here.lock().unwrap_or_else(PoisonError::into_inner);
        if !here.enter(network, self.places) {
            self.refused.increment(1);
            return None;
        }
        self.tell(&here);
        Some(Guest {
            guests: Arc::clone(self),
            network,
        })
    }

    #[allow(
        clippy::cast_precision_loss,
        reason = "a few thousand networks at the most"
    )]
    fn tell(&self, here: &Here) {
        self.networks.set(here.by_network.len() as f64);
    }

    /// Whose request it is that comes from this peer. What somebody says who is not believed is taken out of it, once
    /// there are proxies that are: nothing behind this goes by it.
    pub(crate) fn client<B>(&self, peer: &Peer, request: &mut Request<B>) -> IpAddr {
        match peer {
            Peer::Proxy(address) => self.named(*address, request.headers()),
            Peer::Guest { address, .. } => {
                if !self.proxies.is_empty() {
                    for name in FORWARDED {
                        request.headers_mut().remove(name);
                    }
                }
                *address
            }
        }
    }

    fn named(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let values: Vec<&[u8]> = headers
            .get_all(FORWARDED_FOR)
            .iter()
            .map(HeaderValue::as_bytes)
            .collect();
        self.proxies.client(peer, values.into_iter())
    }

    /// A place for the request of somebody who comes by a proxy, where one is needed: who connects himself has his.
    pub(crate) fn request(
        self: &Arc<Self>,
        peer: &Peer,
        client: IpAddr,
    ) -> Result<Option<Guest>, Crowded> {
        match peer {
            Peer::Guest { .. } => Ok(None),
            // A proxy that names nobody asks for itself.
            Peer::Proxy(_) if self.proxies.trusts(client) => Ok(None),
            Peer::Proxy(_) => self.enter(client).map(Some).ok_or(Crowded),
        }
    }
}

/// His network has enough places.
pub(crate) struct Crowded;

impl Drop for Guest {
    fn drop(&mut self) {
        let guests = &self.guests;
        let mut here = guests.here.lock().unwrap_or_else(PoisonError::into_inner);
        here.leave(self.network);
        guests.tell(&here);
    }
}

/// An answer's body, with the place that its reader has until it is told or broken off.
pub(crate) struct Occupied {
    pub(crate) body: Body,
    #[allow(dead_code, reason = "held, and given back when the body is dropped")]
    pub(crate) guest: Guest,
}

impl HttpBody for Occupied {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACES: u32 = 400;

    fn at(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn guests() -> Arc<Guests> {
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        Guests::at("test", PLACES, proxies)
    }

    fn asked(guests: &Guests, peer: &Peer, forwarded: &str) -> (IpAddr, bool) {
        let request = Request::get("/").header("x-forwarded-for", forwarded);
        let mut request = request.body(()).unwrap();
        let client = guests.client(peer, &mut request);
        (client, request.headers().contains_key("x-forwarded-for"))
    }

    #[test]
    fn the_last_quarter_is_for_networks_that_have_few() {
        let guests = guests();
        let many: Vec<_> = (0..PLACES)
            .map_while(|_| guests.enter(at("192.0.2.1")))
            .collect();
        assert_eq!(many.len(), 300, "alone he may have what nobody else wants");
        let few: Vec<_> = (0..PLACES)
            .map_while(|_| guests.enter(at("198.51.100.1")))
            .collect();
        assert_eq!(few.len(), 100);
        drop(many);
        assert!(guests.enter(at("192.0.2.1")).is_some());
    }

    #[test]
    fn places_are_given_back_and_networks_forgotten() {
        let guests = guests();
        drop([guests.enter(at("192.0.2.1")), guests.enter(at("192.0.3.1"))]);
        let here = guests.here.lock().unwrap();
        assert_eq!((here.all, here.by_network.len()), (0, 0));
    }

    #[test]
    fn whoever_comes_by_a_trusted_proxy_is_counted_by_the_address_that_it_names() {
        let guests = guests();
        let peer = guests.connect(at("::ffff:10.0.0.1")).unwrap();
        let (client, _) = asked(&guests, &peer, "203.0.113.9, 192.0.2.7");
        assert_eq!(client, at("192.0.2.7"));
        let _place = guests.request(&peer, client).ok().flatten().unwrap();
        let here = guests.here.lock().unwrap();
        assert_eq!(here.by_network.get(&Prefix::of(at("192.0.2.1"))), Some(&1));
        assert_eq!(here.all, 1, "the proxy itself takes no place");
    }

    #[test]
    fn what_anybody_else_says_is_taken_out() {
        let guests = guests();
        let peer = guests.connect(at("192.0.2.7")).unwrap();
        assert_eq!(
            asked(&guests, &peer, "203.0.113.9"),
            (at("192.0.2.7"), false)
        );
        assert!(matches!(guests.request(&peer, at("192.0.2.7")), Ok(None)));
    }

    #[test]
    fn without_named_proxies_headers_stay_and_say_nothing() {
        let guests = Guests::at("test", PLACES, TrustedProxies::default());
        let peer = guests.connect(at("10.0.0.1")).unwrap();
        assert_eq!(asked(&guests, &peer, "203.0.113.9"), (at("10.0.0.1"), true));
    }
}
