//! Who runs a space besides its host, who is at its desk, when it is cued, and who talked when: what a [`SpaceHandle`] does
//! of that.

use std::sync::{Mutex, MutexGuard, PoisonError};

use thiserror::Error;
use throng_core::at_desk::{AtDesk, Runner};
use throng_core::key::{COHOSTS_MAX, Key, Role, is_granted, renew, revoke};
use throng_core::space::{Actor, State};
use throng_core::time::UnixMillis;
use throng_core::timeline::PartIndex;
use throng_core::turns::Turns;
use tokio::sync::watch;

use super::clock::{now, wall};
use super::space::{ActError, Command, SpaceHandle, grant};
use super::turns;
use crate::alarm::Alarm;
use crate::store::StoreError;

/// A countdown to the start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cue {
    /// At which it ends.
    pub(super) part: PartIndex,
    /// Who has begun it.
    pub(super) actor: Actor,
}

/// Why there is no further cohost.
#[derive(Debug, Error)]
pub(crate) enum CohostError {
    #[error("a space has at most {COHOSTS_MAX} cohosts; take the link of one back first")]
    Full,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a handle holds for it.
pub(super) struct Roles {
    /// One cohost is made at a time: each number is given once.
    making: tokio::sync::Mutex<()>,
    at_desk: Mutex<AtDesk>,
    pub(super) cue: watch::Receiver<Option<Cue>>,
    pub(super) turns: turns::Shared,
}

impl Roles {
    pub(super) fn new(cue: watch::Receiver<Option<Cue>>, turns: turns::Shared) -> Self {
        Self {
            making: tokio::sync::Mutex::default(),
            at_desk: Mutex::new(AtDesk::new(now().steady)),
            cue,
            turns,
        }
    }

    fn at_desk(&self) -> MutexGuard<'_, AtDesk> {
        // A panic in another thread left it whole.
        self.at_desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SpaceHandle {
    /// Makes somebody a cohost, with this key; by which number.
    pub(crate) async fn add_cohost(&self, key: &Key) -> Result<u32, CohostError> {
        let _turn = self.roles.making.lock().await;
        let taken = self.cohosts();
        let mut numbers = 1..=COHOSTS_MAX;
        let number = numbers.find(|number| !taken.contains(number));
        let number = number.ok_or(CohostError::Full)?;
        let (grant, now) = (grant(Role::Cohost(number), key, None), wall());
        self.shared
            .store
            .grant_cohost(&self.space().id, number, &grant, now)
            .await?;
        self.grants.send_modify(|grants| renew(grants, grant, now));
        Ok(number)
    }

    /// Takes a cohost's key back; whether he had one. He is not heard on the stage any more, either, and a countdown
    /// that a cohost has begun is stopped.
    pub(crate) async fn revoke_cohost(&self, number: u32) -> Result<bool, StoreError> {
        if !self.cohosts().contains(&number) {
            return Ok(false);
        }
        let now = wall();
        self.shared
            .store
            .revoke_cohost(&self.space().id, number, now)
            .await?;
        let role = Role::Cohost(number);
        self.grants.send_modify(|grants| revoke(grants, role, now));
        self.roles.at_desk().forget(Runner::Cohost(number));
        let keys: Vec<_> = {
            let grants = self.grants.borrow();
            let of_his = grants.iter().filter(|grant| grant.role == role);
            of_his.map(|grant| grant.digest).collect()
        };
        self.hang_up(&keys).await;
        let cued = *self.roles.cue.borrow();
        if cued.is_some_and(|cue| cue.actor == Actor::Cohost) {
            // It may be his. Nobody goes live by the hand of one who has been sent away; whoever stays begins it anew. A
            // space that is being closed goes live no more.
            let _ = self.stop_cue(Actor::Cohost).await;
        }
        Ok(true)
    }

    /// The cohosts whose keys are good, by number.
    pub(crate) fn cohosts(&self) -> Vec<u32> {
        let (grants, now) = (self.grants.borrow(), wall());
        let has_key = |number: &u32| is_granted(&grants, Role::Cohost(*number), now);
        (1..=COHOSTS_MAX).filter(has_key).collect()
    }

    /// Notes that somebody has asked for the space.
    pub(crate) fn note_seen(&self, role: Role) {
        if let Some(runner) = Runner::of(role) {
            self.roles.at_desk().see(now().steady, runner);
        }
    }

    /// Who is at the desk, and when each was seen.
    pub(crate) fn at_desk(&self) -> Vec<(Runner, UnixMillis)> {
        let now = now();
        let desk = self.roles.at_desk();
        let present = desk.present(now.steady);
        present
            .map(|(runner, ago_ms)| (runner, now.wall.minus_ms(ago_ms)))
            .collect()
    }

    /// Whether the space is live and nobody is at its desk.
    pub(crate) fn host_away_alarm(&self) -> Option<Alarm> {
        let space = self.space();
        let live_part = space.live_part.filter(|_| space.state == State::Live)?;
        let live_since = space.created_at.plus_ms(live_part.start_ms());
        let now = now();
        let away_ms = self.roles.at_desk().away_ms(now.steady, live_since)?;
        Some(Alarm {
            kind: "host_away",
            title: "Nobody is at the desk.",
            detail: "Neither the host nor a cohost has the studio open. Listeners go on hearing the stage; whoever has a \
                host's or cohost's link can open it, go on, and end the space."
                .to_owned(),
            since: now.wall.minus_ms(away_ms),
        })
    }

    /// Begins a countdown to the start; one that runs begins anew.
    pub(crate) async fn begin_cue(&self, actor: Actor, seconds: u32) -> Result<(), ActError> {
        let seconds = Some(seconds);
        let cue = |reply| Command::Cue {
            actor,
            seconds,
            reply,
        };
        self.ask(cue).await.ok_or(ActError::Closed)?.map(drop)
    }

    /// Stops a countdown; whether there was one.
    pub(crate) async fn stop_cue(&self, actor: Actor) -> Result<bool, ActError> {
        let cue = |reply| Command::Cue {
            actor,
            seconds: None,
            reply,
        };
        self.ask(cue).await.ok_or(ActError::Closed)?
    }

    /// When the countdown ends, if there is one.
    pub(crate) fn cue_ends(&self) -> Option<UnixMillis> {
        let cue = *self.roles.cue.borrow();
        cue.map(|cue| self.space().moment(cue.part))
    }

    /// Who talked when.
    pub(crate) fn turns(&self) -> Turns {
        turns::of(&self.roles.turns)
    }
}
