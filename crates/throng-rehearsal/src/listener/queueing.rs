//! A listener who found the house full: he keeps his ticket, looks how far the queue has come when he was told to, and
//! goes in when it is his turn. He obeys, so that a crowd of him costs a server no more than it asked for.

use serde::Deserialize;

use super::{Act, Listener, Scene, Step};
use crate::SECOND_US;
use crate::chance::Chance;

/// Who is so close to his turn looks this often: a cache keeps the counter for a second.
const NEAR_US: u64 = 2 * SECOND_US;
/// Close is what takes no longer than so many seconds, at the pace of the last.
const NEAR_S: u64 = 20;

/// What somebody who waits has in his hand.
#[derive(Debug)]
pub(super) struct Waiting {
    ticket: String,
    place: u64,
    drawn: bool,
    again_us: u64,
}

/// What a refusal says to him who may wait.
#[derive(Deserialize)]
struct Told {
    ticket: String,
    place: u64,
    #[serde(default)]
    serving: u64,
    #[serde(default = "always")]
    drawn: bool,
    ask_again_seconds: u32,
}

/// How far the queue has come.
#[derive(Deserialize)]
struct Progress {
    serving: u64,
    #[serde(default)]
    per_minute: u64,
    #[serde(default = "always")]
    drawn: bool,
}

/// Servers that draw no lots say nothing of it.
const fn always() -> bool {
    true
}

impl Listener {
    /// A refusal that is a place in a queue: when to look again.
    pub(super) fn wait_in_queue(&mut self, scene: &mut Scene<'_>, text: &[u8]) -> Option<Act> {
        let told: Told = serde_json::from_slice(text).ok()?;
        if !std::mem::replace(&mut self.was_queued, true) {
            scene.tally.queued += 1;
        }
        let again_us = u64::from(told.ask_again_seconds) * SECOND_US;
        self.step = if told.place <= told.serving {
            self.first_of_sound()
        } else {
            Step::Queue
        };
        self.waiting = Some(Box::new(Waiting {
            ticket: told.ticket,
            place: told.place,
            drawn: told.drawn,
            again_us,
        }));
        Some(come_back(scene.now_us, again_us, scene.chance))
    }

    /// How far the queue has come is known: in, if it is his turn.
    pub(super) fn read_progress(&mut self, scene: &mut Scene<'_>, text: &[u8]) -> Act {
        let (Some(waiting), Ok(progress)) =
            (&self.waiting, serde_json::from_slice::<Progress>(text))
        else {
            return self.lose(scene, "broken counter");
        };
        // When the order has been drawn, the ticket tells which place it is now.
        if waiting.place <= progress.serving || waiting.drawn != progress.drawn {
            self.step = self.first_of_sound();
            return self.ask(scene);
        }
        let before = waiting.place - progress.serving;
        let is_near = before * 60 <= progress.per_minute * NEAR_S;
        let again_us = if is_near { NEAR_US } else { waiting.again_us };
        come_back(scene.now_us, again_us, scene.chance)
    }

    /// A path with the ticket that he holds.
    pub(super) fn with_ticket(&self, path: String) -> String {
        match &self.waiting {
            None => path,
            Some(waiting) => {
                let mark = if path.contains('?') { '&' } else { '?' };
                format!("{path}{mark}ticket={}", waiting.ticket)
            }
        }
    }
}

/// Not earlier than he was told, and not with all others who were told the same.
fn come_back(now_us: u64, again_us: u64, chance: &mut Chance) -> Act {
    let jitter_us = chance.below(SECOND_US.min(again_us / 4).max(1));
    Act::ComeBack {
        at_us: now_us + again_us + jitter_us,
    }
}

/// Where the counter lies, beside a stream.
pub(super) fn counter_beside(stream: &str) -> Option<String> {
    let path = stream.split('?').next()?;
    let (folder, _) = path.rsplit_once('/')?;
    Some(format!("{folder}/now-serving.json"))
}
