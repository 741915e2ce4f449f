//! Who is at the desk of a space: who runs it and was seen there lately. And whether nobody is, while it is live.
//!
//! A space hangs on nobody's connection: where the host's is gone, it goes on. But somebody should know. Whoever asks for
//! the space with a key that runs it is at the desk, as the studio does every second. Times are by the steady clock.

use std::collections::BTreeMap;

use crate::key::{COHOSTS_MAX, Role};
use crate::time::UnixMillis;

/// Seen so lately, one is there: the studio asks every second, and every 15 s while it gets no answer.
pub const AT_DESK_MS: u64 = 20_000;
/// Nobody for so long is no reload, and no change of networks.
pub const AWAY_MS: u64 = 30_000;

/// Who runs a space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Runner {
    /// Its host.
    Host,
    /// One of his cohosts, by number.
    Cohost(u32),
    /// Who runs the node.
    Operator,
}

impl Runner {
    /// Whom a role makes somebody who runs the space, if it does.
    pub const fn of(role: Role) -> Option<Self> {
        match role {
            Role::Host => Some(Self::Host),
            Role::Cohost(number) => Some(Self::Cohost(number)),
            Role::Operator => Some(Self::Operator),
            Role::Speaker(_) => None,
        }
    }
}

/// Who was seen at the desk. Holds the host, the operator and [`COHOSTS_MAX`] cohosts; there are no others.
#[derive(Clone, Debug)]
pub struct AtDesk {
    /// Since when it looks: who was there before is not known.
    since: UnixMillis,
    seen: BTreeMap<Runner, UnixMillis>,
}

impl AtDesk {
    /// Nobody seen yet.
    pub const fn new(now: UnixMillis) -> Self {
        Self {
            since: now,
            seen: BTreeMap::new(),
        }
    }

    /// Somebody is there.
    pub fn see(&mut self, now: UnixMillis, runner: Runner) {
        if matches!(runner, Runner::Cohost(number) if number > COHOSTS_MAX) {
            return;
        }
        self.seen.insert(runner, now);
    }

    /// Somebody's key is good no more.
    pub fn forget(&mut self, runner: Runner) {
        self.seen.remove(&runner);
    }

    /// Who is there, and how long ago each was seen, in milliseconds.
    pub fn present(&self, now: UnixMillis) -> impl Iterator<Item = (Runner, u64)> + '_ {
        let seen = self.seen.iter();
        seen.map(move |(&runner, at)| (runner, now.ms_since(*at)))
            .filter(|&(_, ago_ms)| ago_ms <= AT_DESK_MS)
    }

    /// For how long nobody has been there, of a space that is live since then; `None` while that is no reason to worry.
    pub fn away_ms(&self, now: UnixMillis, live_since: UnixMillis) -> Option<u64> {
        let last = self.seen.values().max().copied().unwrap_or(self.since);
        let away_ms = now.ms_since(last.max(self.since).max(live_since));
        (away_ms >= AWAY_MS).then_some(away_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: i64) -> UnixMillis {
        UnixMillis(1_000_000 + ms)
    }

    #[test]
    fn whoever_was_seen_lately_is_at_the_desk() {
        let mut desk = AtDesk::new(at(0));
        desk.see(at(0), Runner::Host);
        desk.see(at(5_000), Runner::Cohost(2));
        desk.see(at(5_000), Runner::Cohost(COHOSTS_MAX + 1));
        let present = |desk: &AtDesk, ms| desk.present(at(ms)).collect::<Vec<_>>();
        assert_eq!(
            present(&desk, 6_000),
            [(Runner::Host, 6_000), (Runner::Cohost(2), 1_000)]
        );
        assert_eq!(present(&desk, 20_001), [(Runner::Cohost(2), 15_001)]);
        desk.forget(Runner::Cohost(2));
        assert_eq!(present(&desk, 20_001), []);
    }

    #[test]
    fn nobody_at_the_desk_of_a_live_space_is_told_after_half_a_minute() {
        let mut desk = AtDesk::new(at(0));
        assert_eq!(desk.away_ms(at(29_999), at(0)), None);
        assert_eq!(desk.away_ms(at(30_000), at(0)), Some(30_000));
        assert_eq!(
            desk.away_ms(at(100_000), at(90_000)),
            None,
            "from the start on"
        );
        desk.see(at(100_000), Runner::Cohost(1));
        assert_eq!(desk.away_ms(at(129_999), at(0)), None, "a cohost is enough");
        assert_eq!(desk.away_ms(at(131_000), at(0)), Some(31_000));
        desk.forget(Runner::Cohost(1));
        assert_eq!(desk.away_ms(at(131_000), at(0)), Some(131_000));
    }

    #[test]
    fn who_speaks_does_not_run_the_space() {
        let seat = crate::key::SeatNumber(1);
        assert_eq!(Runner::of(Role::Speaker(seat)), None);
        assert_eq!(Runner::of(Role::Cohost(3)), Some(Runner::Cohost(3)));
    }
}
