//! Who is listening: the definitions of `listening`, `peak` and `joined`.
//!
//! *listening* are the players to which audio was delivered in the last ten seconds, *peak* its maximum since doors,
//! *joined* the admissions since doors. Time comes in as an argument.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// A player counts as listening for so long after the last audio that it was given.
pub const LISTENING_FOR: Duration = Duration::from_secs(10);
/// Departed players are looked for this often, not once for each join and each answer that says the counts.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// Players known at once in one space, some 15 MB. Sixteen rings hold a quarter of a million connections, all of
/// them HLS players at most; a player beyond it is served like any other but not counted.
const PLAYERS_MAX: usize = 300_000;

/// A player: its own random number where it gave one, else its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Player {
    /// Known by the hash of the `l` that it made up.
    Chosen(u64),
    /// Known by its connection.
    Connection(u64),
}

impl Player {
    /// The player of a playlist: the number that it made up, `l`, else its connection.
    pub(crate) fn of(query: &str, connection: u64) -> Self {
        chosen(query).map_or(Self::Connection(connection), Self::Chosen)
    }
}

/// The hash of the number that a player made up, `l`; the same in all processes of a node, and in the next ones.
pub(crate) fn chosen(query: &str) -> Option<u64> {
    parameter(query, "l").map(|chosen| {
        let mut hasher = DefaultHasher::new();
        chosen.hash(&mut hasher);
        hasher.finish()
    })
}

/// The value of a parameter of a query, the first if there are several.
pub(crate) fn parameter<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

/// A part of the fan-out that counts its listeners itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shard(pub u32);

/// The three counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Players to which audio was delivered in the last ten seconds.
    pub listening: u64,
    /// The most that were listening at once since doors.
    pub peak: u64,
    /// Admissions since doors.
    pub joined: u64,
}

/// The players of one space and when each was last given audio.
#[derive(Debug, Default)]
pub struct Presence {
    players: BTreeMap<Player, Duration>,
    /// Listeners of each shard that has any; as many as there are cores.
    shards: BTreeMap<Shard, u64>,
    peak: u64,
    joined: u64,
    doors_open: bool,
    swept_at: Duration,
}

impl Presence {
    /// Goes on from the counts of an earlier process.
    pub fn resume(peak: u64, joined: u64) -> Self {
        Self {
            peak,
            joined,
            ..Self::default()
        }
    }

    /// From now on `peak` and `joined` count; who is there already has just joined.
    pub fn open_doors(&mut self, now: Duration) {
        if !self.doors_open {
            self.doors_open = true;
            self.sweep(now);
            self.joined += self.listening();
            self.note_peak();
        }
    }

    /// A shard has so many listeners now, by the same definition, of which so many have just joined.
    pub fn counted(&mut self, shard: Shard, listening: u64, just_joined: u64) {
        if listening == 0 {
            self.shards.remove(&shard);
        } else {
            self.shards.insert(shard, listening);
        }
        if self.doors_open {
            self.joined += just_joined;
            self.note_peak();
        }
    }

    /// Audio was delivered to a player.
    pub fn delivered(&mut self, player: Player, now: Duration) {
        if let Some(last) = self.players.get_mut(&player) {
            *last = now;
            return;
        }
        if now.saturating_sub(self.swept_at) >= SWEEP_EVERY {
            self.sweep(now);
        }
        if self.players.len() >= PLAYERS_MAX {
            return;
        }
        self.players.insert(player, now);
        if self.doors_open {
            self.joined += 1;
            self.note_peak();
        }
    }

    /// The counts now.
    pub fn counts(&mut self, now: Duration) -> Counts {
        if now.saturating_sub(self.swept_at) >= SWEEP_EVERY {
            self.sweep(now);
        }
        Counts {
            listening: self.listening(),
            peak: self.peak,
            joined: self.joined,
        }
    }

    fn listening(&self) -> u64 {
        self.players.len() as u64 + self.shards.values().sum::<u64>()
    }

    fn note_peak(&mut self) {
        self.peak = self.peak.max(self.listening());
    }

    fn sweep(&mut self, now: Duration) {
        self.swept_at = now;
        self.players
            .retain(|_, last| now.saturating_sub(*last) < LISTENING_FOR);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_player_is_listening_until_ten_seconds_after_the_last_audio() {
        let mut presence = Presence::default();
        presence.delivered(Player::Chosen(1), at(0));
        presence.delivered(Player::Chosen(1), at(5));
        assert_eq!(presence.counts(at(14)).listening, 1);
        assert_eq!(presence.counts(at(15)).listening, 0);
    }

    #[test]
    fn peak_and_joined_begin_with_doors_and_take_in_who_waits_there() {
        let mut presence = Presence::default();
        presence.delivered(Player::Chosen(1), at(0));
        presence.delivered(Player::Connection(1), at(1));
        assert_eq!(
            presence.counts(at(2)),
            Counts {
                listening: 2,
                peak: 0,
                joined: 0
            }
        );
        presence.open_doors(at(2));
        presence.delivered(Player::Chosen(3), at(3));
        assert_eq!(
            presence.counts(at(3)),
            Counts {
                listening: 3,
                peak: 3,
                joined: 3
            }
        );
        assert_eq!(
            presence.counts(at(30)),
            Counts {
                listening: 0,
                peak: 3,
                joined: 3
            }
        );
    }

    #[test]
    fn a_player_beyond_the_bound_is_not_counted_again_with_every_delivery() {
        let mut presence = Presence::default();
        presence.open_doors(at(0));
        for player in 0..=PLAYERS_MAX as u64 {
            presence.delivered(Player::Connection(player), at(0));
        }
        presence.delivered(Player::Connection(PLAYERS_MAX as u64), at(1));
        let most = PLAYERS_MAX as u64;
        assert_eq!(
            presence.counts(at(1)),
            Counts {
                listening: most,
                peak: most,
                joined: most
            }
        );
    }

    #[test]
    fn what_shards_count_is_added_and_joins_before_doors_count_once() {
        let mut presence = Presence::resume(2, 7);
        presence.counted(Shard(0), 3, 3);
        presence.counted(Shard(1), 1, 1);
        presence.delivered(Player::Chosen(1), at(0));
        presence.open_doors(at(1));
        presence.counted(Shard(0), 4, 2);
        presence.counted(Shard(1), 0, 0);
        assert_eq!(
            presence.counts(at(1)),
            Counts {
                listening: 5,
                peak: 6,
                joined: 14
            }
        );
    }

    #[test]
    fn the_same_player_on_two_connections_is_one() {
        let mut presence = Presence::default();
        presence.open_doors(at(0));
        presence.delivered(Player::Chosen(7), at(0));
        presence.delivered(Player::Chosen(7), at(1));
        assert_eq!(
            presence.counts(at(1)),
            Counts {
                listening: 1,
                peak: 1,
                joined: 1
            }
        );
    }
}
