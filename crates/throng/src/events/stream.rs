//! One who follows a space: server-sent events (WHATWG HTML section 9.2), one task each.
//!
//! He is told what he has missed, then what happens. Who takes nothing for [`SLOW_MAX`] is cut off, and whose key is good
//! no more as well.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use throng_core::key::Key;
use throng_core::ring::Missed;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{Event, Places, Topic};
use crate::api::Desk;
use crate::origin::SpaceHandle;

/// Frames that wait for a line, beside what the kernel holds; when they are full, it is slow.
const QUEUE_FRAMES: usize = 16;
/// A line that takes nothing for so long is cut. Its owner comes back, and is told what he has missed.
const SLOW_MAX: Duration = Duration::from_secs(10);
/// Proxies close what is silent for a minute; and whether the key is still good is asked as often.
const BEAT_EVERY: Duration = Duration::from_secs(10);
/// After how many milliseconds a browser comes back to a stream that was cut.
const COME_BACK_MS: u32 = 2_000;

/// Begins to tell somebody; it ends when nobody receives any more.
pub(super) fn frames(
    desk: &Arc<Desk>,
    handle: &Arc<SpaceHandle>,
    (topic, places): (Arc<Topic>, Places),
    key: Key,
    last: Option<u64>,
) -> mpsc::Receiver<String> {
    let (line, frames) = mpsc::channel(QUEUE_FRAMES);
    let follower = Follower {
        desk: Arc::clone(desk),
        handle: Arc::clone(handle),
        topic,
        key,
        line,
        last,
    };
    tokio::spawn(async move {
        metrics::gauge!("throng_event_streams").increment(1.0);
        // Whoever is gone, or too slow, needs no more words.
        let _ = follower.run().await;
        metrics::gauge!("throng_event_streams").decrement(1.0);
        drop(places);
    });
    frames
}

/// Nobody is there any more, or he takes nothing.
struct Cut;

struct Follower {
    desk: Arc<Desk>,
    handle: Arc<SpaceHandle>,
    topic: Arc<Topic>,
    key: Key,
    line: mpsc::Sender<String>,
    /// The number of the event that he was told last.
    last: Option<u64>,
}

impl Follower {
    async fn run(mut self) -> Result<(), Cut> {
        let mut row = self.topic.row.subscribe();
        let mut beat = interval(BEAT_EVERY);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.send(format!("retry: {COME_BACK_MS}\n\n")).await?;
        loop {
            let (frames, is_over) = {
                let row = row.borrow_and_update();
                let missed = row.events.since(self.last.unwrap_or_default());
                (self.frames_of(missed), row.is_over)
            };
            if let Some(frames) = frames {
                self.send(frames).await?;
            }
            if is_over {
                return Ok(());
            }
            tokio::select! {
                changed = row.changed() => changed.map_err(|_| Cut)?,
                () = self.line.closed() => return Err(Cut),
                _ = beat.tick() => {
                    self.desk.runs(&self.handle, &self.key).map_err(|_| Cut)?;
                    self.send(": beat\n\n".to_owned()).await?;
                }
            }
        }
    }

    /// What he has missed, in one piece.
    fn frames_of(&mut self, missed: Missed<'_, Event>) -> Option<String> {
        match missed {
            Missed::These(events) if events.is_empty() => None,
            Missed::These(events) => {
                let mut frames = String::new();
                for (number, event) in events {
                    self.last = Some(number);
                    put_frame(&mut frames, number, event.name, &event.data);
                }
                Some(frames)
            }
            Missed::Unknown(newest) => {
                self.last = Some(newest);
                let mut frame = String::new();
                put_frame(&mut frame, newest, "reset", &self.desk.whole(&self.handle));
                Some(frame)
            }
        }
    }

    async fn send(&self, frames: String) -> Result<(), Cut> {
        match timeout(SLOW_MAX, self.line.send(frames)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Cut),
        }
    }
}

/// JSON has no line breaks of its own, so that it is one line of data.
fn put_frame(frames: &mut String, number: u64, name: &str, data: &str) {
    write!(frames, "id: {number}\nevent: {name}\ndata: {data}\n\n")
        .expect("writing to a string does not fail");
}
