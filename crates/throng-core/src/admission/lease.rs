//! Places of those who listen by playlist: taken with the first request, and kept while they go on asking.
//!
//! A playlist is the same for everyone, so that nobody is known by what he was given. Who he is, is told by the number
//! that his player made up (`?l=`), else by his connection. The multivariant playlist is the door: who has no number is
//! refused there or nowhere, because at a media playlist nobody could tell a newcomer from one who is in and has opened
//! another connection. Segments and parts refuse nobody.

use super::board::{Board, Lane};
use super::queue::{Asking, Standing, Verdict, Wait};
use crate::rendition::Rendition;

/// A place is kept for so long after a request: four target durations (RFC 8216bis, 4.4.3.1). Players ask once in each,
/// and a request that is held takes three at most.
pub(super) const LEASE_S: u64 = 16;
/// Places that have run out are looked for in so many steps, one with each call of the queue: all of them in 4 s.
const SWEEPS: usize = 16;

/// Which playlist somebody asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Playlist {
    /// The multivariant playlist, with which everybody begins.
    Main,
    /// One with segments.
    Media,
    /// The same from the beginning of the talk, all of it.
    FromTheStart,
}

/// What becomes of somebody who asks for a playlist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Followed {
    /// He is in, and was before, or is nobody whom one could refuse.
    Goes,
    /// He came in, by this right.
    Enters(Standing),
    /// He would start over, and nobody may now who does not already.
    Pauses,
    /// He is to come again.
    Waits(Wait),
}

impl Board {
    /// Answers somebody who asks for a playlist, and whose player or `connection` is known: a number that no other
    /// connection of the node has, where it is his own. Who has neither is a cache, behind which anybody may be, and takes
    /// no place. A place is given back by itself, 16 s after the last time.
    pub fn follow(
        &self,
        asking: &Asking,
        connection: Option<u64>,
        playlist: Playlist,
        secret: &[u8; 32],
    ) -> Followed {
        let (now_s, number) = (asking.now_ms / 1_000, asking.player);
        let holder = match playlist {
            // The number need not come back with the media playlist, and the connection does.
            Playlist::Main => connection.or(number),
            Playlist::Media | Playlist::FromTheStart => number.or(connection),
        };
        let Some(holder) = holder else {
            return Followed::Goes;
        };
        let from_the_start = playlist == Playlist::FromTheStart;
        let mut names = [number, connection].into_iter().flatten();
        let mut is_new = || !names.any(|name| self.starts_over(name, now_s));
        if from_the_start && asking.rung.pauses_start_over() && is_new() {
            return Followed::Pauses;
        }
        let followed = if self.keeps(asking, connection, playlist) {
            Followed::Goes
        } else if playlist == Playlist::Main || number.is_some() {
            self.take(asking, connection, holder, secret)
        } else {
            self.note_here(holder, now_s, Some(asking.rendition));
            Followed::Goes
        };
        if from_the_start && !matches!(followed, Followed::Waits(_)) {
            self.change_of(holder, now_s, |entry| Some(entry.starting_over()));
        }
        followed
    }

    /// Whether he has a place, which is his for longer from now on.
    fn keeps(&self, asking: &Asking, connection: Option<u64>, playlist: Playlist) -> bool {
        let (now_s, rendition) = (asking.now_ms / 1_000, asking.rendition);
        let renews = |name: Option<u64>, rendition| {
            name.is_some_and(|name| self.renew(name, rendition, now_s))
        };
        match (playlist, asking.player, connection) {
            // He may have it by either name; which rendition he plays, this does not tell.
            (Playlist::Main, number, connection) => {
                renews(connection, None) || renews(number, None)
            }
            (_, Some(number), Some(connection)) => {
                renews(Some(number), Some(rendition))
                    || self.pass_on(connection, number, rendition, now_s)
            }
            (_, number, connection) => renews(number.or(connection), Some(rendition)),
        }
    }

    /// Takes a place for a newcomer, as it is taken at any door.
    fn take(
        &self,
        asking: &Asking,
        connection: Option<u64>,
        holder: u64,
        secret: &[u8; 32],
    ) -> Followed {
        let (now_s, number, rendition) = (asking.now_ms / 1_000, asking.player, asking.rendition);
        let asking = Asking {
            lane: Lane::PLAYLISTS,
            player: number.or(connection),
            ..*asking
        };
        let entered = match self.ask(&asking, secret) {
            Verdict::Wait(wait) => return Followed::Waits(wait),
            Verdict::Enter(entered) => entered,
        };
        if let Some(number) = number {
            self.note_here(number, now_s, None);
        }
        self.note_here(holder, now_s, Some(rendition));
        // What was taken at the door is counted by the lease.
        self.leave(Lane::PLAYLISTS, rendition);
        Followed::Enters(entered.standing)
    }

    /// In this rendition from now on, or in the same.
    fn renew(&self, player: u64, rendition: Option<Rendition>, now_s: u64) -> bool {
        self.change_of(player, now_s, |entry| {
            let before = entry.lease()?;
            Some(entry.leased(rendition.or(Some(before))))
        })
    }

    /// Gives one's place to another, who is the same by another name.
    fn pass_on(&self, from: u64, to: u64, rendition: Rendition, now_s: u64) -> bool {
        let had = self.change_of(from, now_s, |entry| {
            entry.lease().map(|_| entry.leased(None))
        });
        if had {
            self.note_here(to, now_s, Some(rendition));
        }
        had
    }

    /// Ends what has run out; to be said with each tick of the queue.
    pub(super) fn end_leases(&self, tick: u64, now_s: u64) {
        if self.held_by(Lane::PLAYLISTS) == 0 {
            return;
        }
        let run = usize::try_from(tick).expect("a process has 64 bits");
        self.sweep(run, SWEEPS, |entry| {
            let is_over = entry.lease().is_some() && entry.age_s(now_s) > LEASE_S;
            is_over.then(|| entry.leased(None))
        });
    }
}
