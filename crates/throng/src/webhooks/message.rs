//! What is told: the events by their names, and the message of each. Pure.

use serde::Serialize;
use serde_json::{Value, json};
use throng_core::space::{Space, State};
use throng_core::time::UnixMillis;

use crate::alarm::Alarm;
use crate::chapters::ChapterJson;

/// Every event that can be asked for.
pub(crate) const EVENTS: [&str; 11] = [
    "alarm.ended",
    "alarm.raised",
    "chapters.changed",
    "recording.deleted",
    "space.announced",
    "space.cancelled",
    "space.changed",
    "space.deleted",
    "space.doors",
    "space.ended",
    "space.live",
];

/// A message (Standard Webhooks: type, timestamp, data).
#[derive(Debug, Serialize)]
pub(crate) struct Message {
    #[serde(rename = "type")]
    event: &'static str,
    timestamp: String,
    data: Value,
}

/// A space as messages tell of it.
pub(crate) struct Subject {
    told: Value,
    /// All of them, a hundred times as long as the rest.
    chapters: Value,
}

/// The one event with which chapters are told: what waits for a receiver who is away is kept for a day.
const CHAPTERS_CHANGED: &str = "chapters.changed";

impl Subject {
    /// A space of the node whose audience's address is this.
    pub(crate) fn new(space: &Space, public_url: &str) -> Self {
        let time = |time: Option<UnixMillis>| time.map(UnixMillis::to_rfc3339);
        let chapters: Vec<_> = space.chapters.iter().map(ChapterJson::from).collect();
        let told = json!({
            "id": space.id,
            "slug": space.slug.as_str(),
            "title": space.title,
            "state": space.state.name(),
            "scheduled_at": time(space.scheduled_at),
            "started_at": time(space.started_at),
            "ended_at": time(space.ended_at),
            "delay_reason": space.delay_reason,
            "listen_url": format!("{public_url}/s/{}", space.slug.as_str()),
            "keep_recording_days": space.keep_recording_days,
            "recording_until": time(space.recording_until()),
            "recording_deleted_at": time(space.recording_deleted.map(|gone| gone.at)),
        });
        let chapters = serde_json::to_value(chapters).expect("plain fields always serialise");
        Self { told, chapters }
    }

    /// With an alarm that was raised or has ended.
    pub(crate) fn with_alarm(mut self, alarm: &Alarm) -> Self {
        self.told["alarm"] = serde_json::to_value(alarm).expect("plain fields always serialise");
        self
    }
}

impl Message {
    /// An event of a space.
    pub(crate) fn of(event: &'static str, subject: &Subject, now: UnixMillis) -> Self {
        let mut data = subject.told.clone();
        if event == CHAPTERS_CHANGED {
            data["chapters"] = subject.chapters.clone();
        }
        Self {
            event,
            timestamp: now.to_rfc3339(),
            data,
        }
    }

    /// A test.
    pub(crate) fn ping(now: UnixMillis) -> Self {
        Self {
            event: "ping",
            timestamp: now.to_rfc3339(),
            data: json!({}),
        }
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("plain fields always serialise")
    }
}

/// The events by which a space differs from what it was; all that a new one brings, where there was none.
pub(crate) fn happened(before: Option<&Space>, after: &Space) -> Vec<&'static str> {
    let Some(before) = before else {
        return vec!["space.announced"];
    };
    let mut events = Vec::new();
    if before.state != after.state {
        events.extend(match after.state {
            State::Announced => None,
            State::Doors => Some("space.doors"),
            State::Live => Some("space.live"),
            State::Ended => Some("space.ended"),
            State::Cancelled => Some("space.cancelled"),
        });
    } else if said(before) != said(after) {
        events.push("space.changed");
    }
    if before.chapters != after.chapters {
        events.push(CHAPTERS_CHANGED);
    }
    if before.recording_deleted != after.recording_deleted {
        events.push("recording.deleted");
    }
    events
}

/// What is said of a space and can be changed.
fn said(space: &Space) -> impl PartialEq {
    (
        space.title.clone(),
        space.scheduled_at,
        space.delay_reason.clone(),
        space.keep_recording_days,
        space.expected_listeners,
    )
}

#[cfg(test)]
mod tests {
    use throng_core::space::{Act, Actor};

    use super::*;
    use crate::sample;

    #[test]
    fn each_change_is_told_by_its_own_event() {
        let mut space = sample::announced(sample::MOMENT);
        assert_eq!(happened(None, &space), ["space.announced"]);
        let mut now = sample::MOMENT;
        let mut after = |act: Act| {
            let before = space.clone();
            now = now.plus_ms(60_000);
            space.apply(now, Actor::Host, act).unwrap();
            happened(Some(&before), &space)
        };
        let title = || "Another".to_owned();
        assert_eq!(after(Act::Rename(title())), ["space.changed"]);
        assert_eq!(after(Act::Rename(title())), [""; 0], "nothing has changed");
        assert_eq!(after(Act::OpenDoors), ["space.doors"]);
        let seated = std::collections::BTreeSet::new();
        assert_eq!(
            after(Act::LockStage { seated }),
            [""; 0],
            "a stage is for those on it"
        );
        assert_eq!(after(Act::GoLive), ["space.live"]);
        let (at_ms, title) = (None, title());
        assert_eq!(
            after(Act::MarkChapter { at_ms, title }),
            ["chapters.changed"]
        );
        assert_eq!(after(Act::End), ["space.ended"]);
        assert_eq!(after(Act::DeleteRecording), ["recording.deleted"]);
        let mut cancelled = sample::announced(sample::MOMENT);
        cancelled.apply(now, Actor::Host, Act::Cancel).unwrap();
        let before = sample::announced(sample::MOMENT);
        assert_eq!(happened(Some(&before), &cancelled), ["space.cancelled"]);
    }

    #[test]
    fn chapters_are_told_with_the_event_that_is_theirs_and_with_no_other() {
        let mut space = sample::announced(sample::MOMENT);
        let mark = Act::MarkChapter {
            at_ms: Some(12_500),
            title: "Questions".to_owned(),
        };
        for (ms, act) in [(0, Act::GoLive), (60_000, mark)] {
            let now = sample::MOMENT.plus_ms(ms);
            space.apply(now, Actor::Host, act).unwrap();
        }
        let subject = Subject::new(&space, "https://live.example");
        for event in EVENTS {
            let message = Message::of(event, &subject, sample::MOMENT);
            let chapters = (event == "chapters.changed")
                .then(|| json!([{ "id": 0, "at_seconds": 12.5, "title": "Questions" }]));
            assert_eq!(message.data.get("chapters"), chapters.as_ref(), "{event}");
        }
    }

    #[test]
    fn a_message_names_its_event_its_time_and_the_space() {
        let space = sample::announced(sample::MOMENT);
        let subject = Subject::new(&space, "https://live.example");
        let message = Message::of("space.announced", &subject, sample::MOMENT).to_json();
        let told: Value = serde_json::from_str(&message).unwrap();
        assert_eq!(told["type"], "space.announced");
        assert_eq!(told["timestamp"], sample::MOMENT.to_rfc3339());
        let listen = format!("https://live.example/s/{}", space.slug.as_str());
        assert_eq!(told["data"]["listen_url"], listen);
        assert_eq!(told["data"]["state"], "announced");
        assert!(!message.contains("key"), "{message}");
    }
}
