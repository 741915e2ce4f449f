//! Requests that somebody makes for others, and whether he is believed.
//!
//! Where the operator has named his proxies, only they are: who else says that he asks for others asks for himself. Who
//! the peer is costs a call or two, so that it is asked once on a connection, and only of one who says so.

use std::net::IpAddr;

use super::{Place, Port, Said, Shard, Slot};

impl<P: Port> Shard<P> {
    /// Whether a request is made for others, when its headers say so or not; `None` when it has to be asked who makes it.
    pub(super) fn on_whose_behalf(&self, place: Place, is_said: bool) -> Option<bool> {
        if !is_said || self.air.proxies().is_none() {
            return Some(is_said);
        }
        self.proxies.get(&place).copied().flatten()
    }

    /// Keeps what somebody has said until it is known who he is. It stands among the unfinished heads, with their bound
    /// and their deadline.
    pub(super) fn ask_who(&mut self, place: Place, read: Vec<u8>, said: Said) {
        self.wait_for_more(place, read, said);
        let is_here = matches!(self.slots[place as usize], Slot::Undecided { .. });
        if is_here && self.proxies.insert(place, None).is_none() {
            self.port.ask_peer(place);
        }
    }

    /// It is known who a peer is of whom that was asked.
    pub(super) fn know_peer(&mut self, place: Place, address: IpAddr) {
        if self.proxies.get(&place) != Some(&None) {
            return self.judge_silent(place, address);
        }
        let proxies = self.air.proxies();
        let is_ours = proxies.is_some_and(|proxies| proxies.trusts(address));
        self.proxies.insert(place, Some(is_ours));
        if let Slot::Undecided { said, .. } = self.slots[place as usize] {
            self.judge(place, &[], said);
        }
    }
}
