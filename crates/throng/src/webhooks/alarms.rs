//! Alarms as messages: looked for every second, while somebody wants to be told.
//!
//! Those of a space: dead air, a speaker's bad connection, a recording that does not keep up. What concerns the node is for
//! its metrics, and a database that takes nothing takes no letters either.

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

/// Those that stand: by space and kind.
type Standing = BTreeMap<(String, &'static str), (Arc<SpaceHandle>, Alarm)>;

/// Keeps looking as long as there is a house.
pub(crate) async fn keep(origin: Weak<Origin>, webhooks: Arc<Webhooks>) {
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = Standing::new();
    loop {
        looks.tick().await;
        let Some(origin) = origin.upgrade() else {
            return;
        };
        if webhooks.hooks().is_empty() {
            before.clear();
            continue;
        }
        let now = standing(&origin);
        let raised = now.iter().filter(|(key, _)| !before.contains_key(key));
        let ended = before.iter().filter(|(key, _)| !now.contains_key(key));
        let raised = raised.map(|(_, what)| ("alarm.raised", what));
        let ended = ended.map(|(_, what)| ("alarm.ended", what));
        for (event, (handle, alarm)) in raised.chain(ended) {
            webhooks.tell_alarm(event, handle, alarm).await;
        }
        before = now;
    }
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
    async fn tell_alarm(&self, event: &'static str, handle: &SpaceHandle, alarm: &Alarm) {
        let subject = Subject::new(&handle.space(), &self.public_url).with_alarm(alarm);
        let letters = self.letters(event, || Message::of(event, &subject, wall()));
        match self.store.keep_letters(&letters).await {
            Ok(()) => self.ring(),
            Err(error) => tracing::warn!(%error, "an alarm was not kept for webhooks"),
        }
    }
}
