//! The hold programme: one loop, encoded once for the whole node and kept on disk, its timestamps patched as it is
//! served. Nothing is produced for a space that nobody listens to.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io, thread};

use throng_air::air::Air;
use throng_air::feed::hold::HoldParts;
use throng_air::on_air::OnAir;
use throng_core::rendition::Channels;
use throng_core::space::{Space, playhead};
use throng_core::time::UnixMillis;
use throng_core::timeline::{PART_SAMPLES, PARTS_PER_SEGMENT, PartIndex};
use throng_core::window::{PARTS_KEPT, Part, Window};
use throng_media::hold::{EncodedLoop, HoldLoop, LoopEncoder, LoopPart};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::sleep;

use super::clock::now;
use super::space_hold::SpaceHold;
use crate::secret_file;

/// The hold programme goes on for so long after the last listener asked for it: longer than any player's buffer.
const IDLE_AFTER: Duration = Duration::from_mins(1);

/// The loop as sound, and encoded as far as that has come. A node starts before either is there.
#[derive(Default)]
pub(crate) struct Hold {
    sound: watch::Sender<Option<HoldLoop>>,
    parts: watch::Sender<Vec<Arc<LoopPart>>>,
    /// Of a host's own: its place among those of the node, for as long as it is in memory.
    _place: Option<OwnedSemaphorePermit>,
}

impl Hold {
    /// Makes the loop on a thread of its own: the sound that is made there, encoded for so many channels as kept in `cache`
    /// or else anew (ten times faster than it plays), and kept there.
    pub(crate) fn start(
        sound: impl FnOnce() -> HoldLoop + Send + 'static,
        channels: Channels,
        cache: PathBuf,
        place: Option<OwnedSemaphorePermit>,
    ) -> io::Result<Arc<Self>> {
        let hold = Arc::new(Self {
            _place: place,
            ..Self::default()
        });
        if let Some(folder) = cache.parent()
            && let Err(error) = fs::create_dir_all(folder)
        {
            tracing::warn!(%error, "the encoded hold programme has no folder; it is encoded again at the next start");
        }
        let making = Arc::clone(&hold);
        thread::Builder::new()
            .name("hold".to_owned())
            .spawn(move || making.make(&sound(), channels, &cache))?;
        Ok(hold)
    }

    /// The loop as sound, once it is there.
    pub(crate) async fn sound(&self) -> HoldLoop {
        let mut sound = self.sound.subscribe();
        let made = sound.wait_for(Option::is_some).await;
        made.expect("the sender is in self")
            .clone()
            .expect("it was waited for")
    }

    /// The loop as sound, if it is there.
    pub(crate) fn sound_as_it_stands(&self) -> Option<HoldLoop> {
        self.sound.borrow().clone()
    }

    /// A part of the programme of any space, if its place in the loop is encoded yet.
    pub(crate) fn part(&self, index: PartIndex) -> Option<Part> {
        let parts_per_loop = self.sound.borrow().as_ref()?.len_samples() / PART_SAMPLES;
        let place = usize::try_from(index.0 % parts_per_loop)
            .expect("a loop has fewer parts than a usize counts");
        let part = self.parts.borrow().get(place).cloned()?;
        Some(part.at(index))
    }

    /// The same, waited for.
    pub(super) async fn part_when_encoded(&self, index: PartIndex) -> Part {
        let mut parts = self.parts.subscribe();
        loop {
            if let Some(part) = self.part(index) {
                return part;
            }
            parts.changed().await.expect("the sender is in self");
        }
    }

    /// How many parts are encoded.
    pub(super) fn encoded_parts(&self) -> usize {
        self.parts.borrow().len()
    }

    fn make(&self, sound: &HoldLoop, channels: Channels, cache: &Path) {
        self.sound.send_replace(Some(sound.clone()));
        if let Some(parts) = kept(cache, channels, sound) {
            self.parts.send_replace(parts);
        } else {
            self.encode(sound, channels, cache);
        }
    }

    fn encode(&self, sound: &HoldLoop, channels: Channels, cache: &Path) {
        let mut encoder = LoopEncoder::new(channels, sound);
        while let Some(part) = encoder.next_part() {
            self.parts.send_modify(|parts| parts.push(Arc::new(part)));
        }
        let parts = self
            .parts
            .borrow()
            .iter()
            .map(|part| LoopPart::clone(part))
            .collect();
        let bytes = EncodedLoop::new(parts).to_bytes(channels, sound);
        if let Err(error) = keep(cache, &bytes) {
            tracing::warn!(%error, "the encoded hold programme could not be kept; it is encoded again at the next start");
        }
    }
}

/// How many parts a loop has.
pub(super) fn parts_of(sound: &HoldLoop) -> usize {
    usize::try_from(sound.len_samples() / PART_SAMPLES).expect("a loop fits in memory")
}

/// Hands the whole loop to Air once it is encoded: workers and edges play it when parts stop.
pub(crate) async fn keep_for_feed(channels: Channels, hold: Arc<Hold>, air: Arc<Air>) {
    let length = hold.sound().await.len_samples() / PART_SAMPLES;
    let mut parts = Vec::new();
    for index in (0..length).map(PartIndex) {
        parts.push(hold.part_when_encoded(index).await);
    }
    air.set_hold(channels, HoldParts::new(parts));
}

fn kept(cache: &Path, channels: Channels, sound: &HoldLoop) -> Option<Vec<Arc<LoopPart>>> {
    let bytes = fs::read(cache).ok()?.into();
    let encoded = EncodedLoop::from_bytes(channels, bytes, sound).ok()?;
    Some(encoded.into_parts().into_iter().map(Arc::new).collect())
}

/// Keeps it whole or not at all. A folder that is gone by now was that of a deleted space, or of a file that was taken away,
/// and does not come back.
fn keep(cache: &Path, bytes: &[u8]) -> io::Result<()> {
    match secret_file::replace(cache, bytes) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        kept => kept,
    }
}

/// Fills the window of one space with the hold programme while somebody listens, until its doors.
pub(crate) async fn produce(hold: Arc<SpaceHold>, on_air: Arc<OnAir>) {
    loop {
        on_air.wait_for_demand().await;
        refill(&hold, &on_air).await;
        on_air.set_flowing(true);
        if follow(&hold, &on_air).await == Follow::DoorsReached {
            return;
        }
        on_air.set_flowing(false);
        // Who asked between the last look and this line is served by the next round.
        if on_air.demanded_at().elapsed() < IDLE_AFTER {
            on_air.ask();
        }
    }
}

/// Starts the window anew with all that a listener may ask for now.
async fn refill(hold: &SpaceHold, on_air: &OnAir) {
    let newest = next_to_play(&on_air.facts().space);
    let oldest = newest
        .0
        .saturating_sub(PARTS_KEPT as u64)
        .next_multiple_of(PARTS_PER_SEGMENT)
        .min(newest.0);
    let mut window = Window::new(PartIndex(oldest));
    // What is played while this waits for the encoder belongs to it: who joins now starts at the playhead.
    while window.next() < next_to_play(&on_air.facts().space) {
        let part = hold.part_when_encoded(window.next()).await;
        window
            .push(Arc::new(part))
            .expect("the next part is in order");
    }
    on_air.change_window(|present| {
        // The mixed programme may have begun meanwhile, or the space may be over.
        if present.next() < window.next() && !present.is_finished() {
            *present = window;
        }
    });
}

/// Why the hold programme stopped.
#[derive(PartialEq, Eq)]
enum Follow {
    DoorsReached,
    NobodyListens,
}

/// Pushes each part when it has been played, until nobody listens or doors take over.
async fn follow(hold: &SpaceHold, on_air: &OnAir) -> Follow {
    loop {
        let space = on_air.facts().space;
        let next = on_air.window_as_it_stands().next();
        if space.state.is_over() || space.doors_part.is_some_and(|doors| next >= doors) {
            return Follow::DoorsReached;
        }
        if space.doors_part.is_none() && on_air.demanded_at().elapsed() > IDLE_AFTER {
            return Follow::NobodyListens;
        }
        sleep(Duration::from_millis(
            played_at(&space, next).ms_since(now().steady),
        ))
        .await;
        let part = Arc::new(hold.part_when_encoded(next).await);
        on_air.change_window(|window| {
            // The mixed programme may have begun meanwhile, and filled the window up to itself.
            let _ = window.push(part);
        });
    }
}

/// The first part that is not yet played; never behind the doors.
fn next_to_play(space: &Space) -> PartIndex {
    let playing = PartIndex::holding(playhead(space.created_at, now().steady));
    space.doors_part.map_or(playing, |doors| playing.min(doors))
}

/// When a part has been played, by the steady clock.
fn played_at(space: &Space, part: PartIndex) -> UnixMillis {
    space.created_at.plus_ms(part.next().start_ms())
}

#[cfg(test)]
mod tests {
    use throng_air::document::Document;
    use throng_air::on_air::Facts;
    use throng_air::presence::Presence;

    use super::*;
    use crate::origin::past::SpacePast;
    use crate::origin::readable::Readable;
    use crate::sample;

    /// A loop of one segment, encoded to its end.
    async fn hold() -> (Arc<Hold>, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let period: Vec<f32> = (0..218_u8)
            .map(|sample| (f32::from(sample) / 218.0 * std::f32::consts::TAU).sin() * 0.2)
            .collect();
        let sound = HoldLoop::from_pcm(period.repeat(900)).unwrap();
        let parts_per_loop = sound.len_samples() / PART_SAMPLES;
        let cache = folder.path().join("loop.bin");
        let hold = Hold::start(|| sound, Channels::Mono, cache, None).unwrap();
        hold.part_when_encoded(PartIndex(parts_per_loop - 1)).await;
        (hold, folder)
    }

    /// A space that was announced a minute ago.
    fn on_air(hold: &Arc<Hold>) -> Arc<OnAir> {
        let space = Arc::new(sample::announced(now().steady.minus_ms(60_000)));
        let past = SpacePast {
            hold: SpaceHold::new(Arc::clone(hold)),
            space: watch::Sender::new(Arc::clone(&space)).subscribe(),
            archive: Readable::default(),
        };
        let facts = Facts {
            space,
            page: Arc::new(Document::new(String::new(), "text/html", "no-store")),
            chapters: Arc::new(Document::new(String::new(), "application/json", "no-store")),
        };
        let window = Window::new(PartIndex(0));
        Arc::new(OnAir::new(
            facts,
            window,
            Presence::default(),
            Box::new(past),
        ))
    }

    #[test]
    fn what_is_encoded_when_its_space_is_deleted_brings_no_folder_back() {
        let folder = tempfile::tempdir().unwrap();
        let deleted = folder.path().join("space");
        keep(&deleted.join("loop.bin"), b"encoded").unwrap();
        assert!(!deleted.exists());
        fs::create_dir(&deleted).unwrap();
        keep(&deleted.join("loop.bin"), b"encoded").unwrap();
        assert_eq!(fs::read(deleted.join("loop.bin")).unwrap(), b"encoded");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_produced_but_on_demand_and_only_while_it_lasts() {
        let (hold, _folder) = hold().await;
        let on_air = on_air(&hold);
        let producing = tokio::spawn(produce(SpaceHold::new(hold), Arc::clone(&on_air)));
        let hour = Duration::from_hours(1);
        sleep(hour).await;
        assert_eq!(on_air.window_as_it_stands().next(), PartIndex(0));

        let window = on_air.window().await.unwrap();
        let joined = window.borrow().next();
        // 187 parts are a minute.
        assert!(joined >= PartIndex(187) && joined < PartIndex(400));
        assert_eq!(window.borrow().oldest(), PartIndex(0));
        sleep(hour).await;
        let left = window.borrow().next();
        assert!(left > joined, "it went on for who listened");
        sleep(hour).await;
        assert_eq!(window.borrow().next(), left, "nobody asks any more");

        let mut window = on_air.window().await.unwrap();
        window.mark_unchanged();
        window.changed().await.unwrap();
        assert!(window.borrow().next() > left);
        producing.abort();
    }

    #[tokio::test]
    async fn who_waited_for_the_encoder_joins_at_the_playhead() {
        let (encoded, _folder) = hold().await;
        let late = Arc::new(Hold {
            sound: watch::Sender::new(Some(encoded.sound().await)),
            ..Hold::default()
        });
        let on_air = on_air(&late);
        let (hold, listened) = (SpaceHold::new(Arc::clone(&late)), Arc::clone(&on_air));
        let refilling = tokio::spawn(async move { refill(&hold, &listened).await });
        tokio::task::yield_now().await;
        // A minute passes before the first part is encoded.
        let facts = on_air.facts();
        let mut space = Space::clone(&facts.space);
        space.created_at = space.created_at.minus_ms(60_000);
        on_air.declare(Facts {
            space: Arc::new(space),
            ..facts
        });
        late.parts.send_replace(encoded.parts.borrow().clone());
        refilling.await.unwrap();
        assert!(on_air.window_as_it_stands().next() >= PartIndex(2 * 187));
    }

    #[tokio::test]
    async fn the_hold_programme_does_not_overwrite_what_came_after_it() {
        let (hold, _folder) = hold().await;
        let on_air = on_air(&hold);
        let hold = SpaceHold::new(hold);
        let mixed = PartIndex(1_000);
        on_air.change_window(|window| *window = Window::new(mixed));
        refill(&hold, &on_air).await;
        assert_eq!(on_air.window_as_it_stands().next(), mixed);
        on_air.change_window(|window| {
            *window = Window::new(PartIndex(0));
            window.finish();
        });
        refill(&hold, &on_air).await;
        assert!(on_air.window_as_it_stands().is_finished());
    }
}
