//! Alarms as messages: looked for every second, while somebody wants to be told.
//!
//! Those of a space: dead air, a speaker's bad connection, a recording that does not keep up. What concerns the node is for
//! its metrics, and a database that takes nothing takes no letters either: what it did not take is told at a later look, if
//! it is still so.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::Webhooks;
use super::message::{Message, Subject};
use crate::alarm::Alarm;
use crate::origin::{Origin, SpaceHandle, wall};

/// From look to look.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What names an alarm: the id of the space, and the kind.
type Name = (String, &'static str);
type Standing = BTreeMap<Name, (Arc<SpaceHandle>, Alarm)>;

/// What became of an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    Ended,
    Raised,
}

impl News {
    const fn event(self) -> &'static str {
        match self {
            Self::Ended => "alarm.ended",
            Self::Raised => "alarm.raised",
        }
    }
}

/// Keeps looking as long as there is a house.
pub(crate) async fn keep(origin: Weak<Origin>, webhooks: Arc<Webhooks>) {
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = Standing::new();
    loop {
        looks.tick().await;
        let Some(origin) = origin.upgrade() else {
            return;
        };
        if webhooks.hooks().is_empty() {
            told.clear();
            continue;
        }
        for (news, name, what) in compared(&mut told, standing(&origin)) {
            let (handle, alarm) = &what;
            if webhooks.tell_alarm(news.event(), handle, alarm).await {
                settle(&mut told, news, name, what);
            }
        }
    }
}

/// What is to be told, where so much was told and this stands now. Those that were told and still stand are brought up to
/// date.
fn compared<A: Clone>(
    told: &mut BTreeMap<Name, A>,
    now: BTreeMap<Name, A>,
) -> Vec<(News, Name, A)> {
    let ended = told.iter().filter(|(name, _)| !now.contains_key(name));
    let ended = ended.map(|(name, what)| (News::Ended, name.clone(), what.clone()));
    let mut all: Vec<_> = ended.collect();
    for (name, what) in now {
        match told.get_mut(&name) {
            Some(standing) => *standing = what,
            None => all.push((News::Raised, name, what)),
        }
    }
    all
}

/// It was kept, so that it is told.
fn settle<A>(told: &mut BTreeMap<Name, A>, news: News, name: Name, what: A) {
    match news {
        News::Ended => told.remove(&name),
        News::Raised => told.insert(name, what),
    };
}

fn standing(origin: &Origin) -> Standing {
    let spaces = origin.list().into_iter();
    let spaces = spaces.filter(|handle| !handle.space().state.is_over());
    let alarms = spaces.flat_map(|handle| {
        let alarms = [
            handle.dead_air_alarm(),
            handle.speaker_alarm(),
            handle.recording_alarm(),
        ];
        let id = handle.space().id.clone();
        alarms.into_iter().flatten().map(move |alarm| {
            let key = (id.clone(), alarm.kind);
            (key, (Arc::clone(&handle), alarm))
        })
    });
    alarms.collect()
}

impl Webhooks {
    /// Whether it is kept, and will be told.
    async fn tell_alarm(&self, event: &'static str, handle: &SpaceHandle, alarm: &Alarm) -> bool {
        let subject = Subject::new(&handle.space(), &self.public_url).with_alarm(alarm);
        let letters = self.letters(event, || Message::of(event, &subject, wall()));
        let kept = self.store.keep_letters(&letters).await;
        match &kept {
            Ok(()) => self.ring(),
            Err(error) => {
                tracing::warn!(%error, "an alarm was not kept for webhooks; tried again while it lasts");
            }
        }
        kept.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(space: &str) -> Name {
        (space.to_owned(), "dead_air")
    }

    fn standing_in(spaces: &[(&str, u32)]) -> BTreeMap<Name, u32> {
        let alarms = spaces.iter();
        alarms
            .map(|(space, detail)| (name(space), *detail))
            .collect()
    }

    #[test]
    fn what_was_not_kept_is_told_at_the_next_look_if_it_is_still_so() {
        let mut told = BTreeMap::new();
        let raised = |space, detail| (News::Raised, name(space), detail);
        let ended = |space, detail| (News::Ended, name(space), detail);
        let news = compared(&mut told, standing_in(&[("a", 1), ("b", 1)]));
        assert_eq!(news, [raised("a", 1), raised("b", 1)]);
        settle(&mut told, News::Raised, name("a"), 1);
        let news = compared(&mut told, standing_in(&[("a", 2), ("b", 2)]));
        assert_eq!(news, [raised("b", 2)], "it was not kept");
        let news = compared(&mut told, standing_in(&[]));
        assert_eq!(news, [ended("a", 2)], "nobody was told of the other");
        let news = compared(&mut told, standing_in(&[]));
        assert_eq!(news, [ended("a", 2)], "it was not kept");
        settle(&mut told, News::Ended, name("a"), 2);
        assert_eq!(compared(&mut told, standing_in(&[])), []);
    }

    #[test]
    fn an_end_that_was_not_kept_is_none_where_it_begins_again() {
        let mut told = standing_in(&[("a", 1)]);
        assert_eq!(compared(&mut told, standing_in(&[])).len(), 1);
        assert_eq!(compared(&mut told, standing_in(&[("a", 3)])), []);
    }
}
