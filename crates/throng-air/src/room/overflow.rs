//! Other houses with room: where plain players are sent from a full one.
//!
//! A plain player knows of no tickets and cannot queue, but follows a redirect (RFC 9110 section 15.4.8). Whoever has a
//! number or a ticket stays, and has his place in this queue. Nobody is sent on twice: the way says that he was.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::presence::parameter;

/// Most edges: each is asked by each process every few seconds. With more, a balancer in front does it better.
pub const EDGES_MAX: usize = 16;
/// Says that somebody was sent on already.
pub(crate) const SENT_ON: &str = "sent_on";

/// Edges, and for how many more each has room.
#[derive(Debug)]
pub struct Overflow(Vec<Edge>);

#[derive(Debug)]
struct Edge {
    url: String,
    free: AtomicU64,
}

impl Overflow {
    /// These edges, of which nothing is known yet: they count as full.
    pub fn to(urls: &[String]) -> Self {
        let edge = |url: &String| Edge {
            url: url.clone(),
            free: AtomicU64::new(0),
        };
        Self(urls.iter().take(EDGES_MAX).map(edge).collect())
    }

    /// The edge at this place has room for so many more.
    pub fn has_room(&self, edge: usize, free: u64) {
        if let Some(edge) = self.0.get(edge) {
            edge.free.store(free, Relaxed);
        }
    }

    /// Where somebody is sent who asked for this path with this query, if any edge has room: to the one that has most.
    pub(crate) fn send_on(&self, path: &str, query: &str) -> Option<String> {
        let most = self.0.iter().max_by_key(|edge| edge.free.load(Relaxed))?;
        let taken = most
            .free
            .fetch_update(Relaxed, Relaxed, |free| free.checked_sub(1));
        taken.ok()?;
        let and = if query.is_empty() { "" } else { "&" };
        Some(format!("{}{path}?{query}{and}{SENT_ON}=1", most.url))
    }
}

/// Whether somebody who asks so is a plain player that was not sent on yet.
pub(crate) fn is_plain(query: &str) -> bool {
    ["l", "ticket", SENT_ON]
        .into_iter()
        .all(|name| parameter(query, name).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_sent_on_as_there_is_room_for_and_first_to_where_there_is_most() {
        let urls = ["http://a", "http://b"].map(str::to_owned);
        let overflow = Overflow::to(&urls);
        assert_eq!(
            overflow.send_on("/s/x/live.aac", ""),
            None,
            "nobody has answered"
        );
        overflow.has_room(0, 1);
        overflow.has_room(1, 2);
        overflow.has_room(2, 9);
        let sent: Vec<_> = (0..4)
            .map_while(|_| overflow.send_on("/s/x/live.aac", "rendition=a32"))
            .collect();
        let at = |edge: &str| format!("http://{edge}/s/x/live.aac?rendition=a32&sent_on=1");
        assert_eq!(sent.len(), 3);
        assert_eq!(sent[0], at("b"));
        assert_eq!(
            sent.iter().filter(|location| **location == at("a")).count(),
            1
        );
        assert_eq!(
            overflow.send_on("/s/x/live.aac", ""),
            None,
            "until they have answered again"
        );
    }

    #[test]
    fn only_who_has_no_number_and_no_ticket_is_plain_and_nobody_twice() {
        assert!(is_plain("") && is_plain("rendition=o24"));
        for query in ["l=1", "rendition=o24&ticket=x", "sent_on=1"] {
            assert!(!is_plain(query), "{query}");
        }
    }
}
