//! Connections that say nothing, when there are so many that others find no place.

use std::net::IpAddr;

use super::door::{FIRST_BYTE_MS, HEAD_MS};
use super::{Place, Port, Refused, Said, Shard, Slot};
use crate::answer::Reply;
use crate::engine::answer::reply;
use crate::engine::prefix::Prefix;

/// Who has come a moment ago may yet speak: of a crowd that comes at once, each needs a while for it.
pub(super) const GRACE_MS: u64 = 3_000;
/// Connections asked in one tick where they come from; with `io_uring` each is an open file for a moment.
const ASKED_MAX: u32 = 1_024;

impl<P: Port> Shard<P> {
    /// A round of visits begins.
    pub(super) fn begin_round(&mut self) {
        self.silence.begin();
    }

    /// A connection is visited that has not said what it wants, and may until then.
    pub(super) fn note_silent(&mut self, place: Place, until_ms: u64, said: Said) {
        let in_all = if said == Said::Nothing {
            FIRST_BYTE_MS
        } else {
            HEAD_MS
        };
        if self.now_ms + in_all < until_ms + GRACE_MS {
            return;
        }
        if self.silence.note(self.connections_max) && self.asked < ASKED_MAX {
            self.asked += 1;
            self.port.ask_peer(place);
        }
    }

    /// It is known where a silent connection comes from.
    pub(super) fn judge_silent(&mut self, place: Place, address: IpAddr) {
        let is_silent = matches!(
            self.slots[place as usize],
            Slot::Undecided {
                said: Said::Nothing | Said::Part,
                ..
            }
        );
        // Behind a proxy there are many, and it has nothing to say before one of them has.
        let is_ours = self
            .air
            .proxies()
            .is_some_and(|proxies| proxies.trusts(address));
        if is_silent
            && !is_ours
            && !self
                .silence
                .bears(Prefix::of(address), self.connections_max)
        {
            let sentence = "Too many connections of your network say nothing. Please come again in ten seconds.\n";
            let words = reply(&Reply::come_again(10, sentence), false).sent(true);
            // A fresh send buffer takes them.
            let _ = self.port.send(place, &words, false);
            self.turn_away(place, Refused::Network);
        }
    }
}
