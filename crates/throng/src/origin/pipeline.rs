//! The programme of one space from doors to end: mixer, encoder and archive threads put together.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use bytes::Bytes;
use throng_air::on_air::OnAir;
use throng_archive::{Archive, ArchiveError, Reader};
use throng_core::rendition::Rendition;
use throng_core::space::{Space, playhead};
use throng_core::timeline::{
    FRAME_SAMPLES, FRAMES_PER_PART, PART_SAMPLES, PartIndex, SAMPLE_RATE_HZ,
};
use throng_core::window::{PARTS_KEPT, Part, Window};
use throng_media::Frame;
use throng_media::delay::DelayLine;
use throng_media::hold::HoldLoop;
use throng_media::package;
use throng_media::programme::Programme;
use throng_media::rendering::{PREROLL_FRAMES, Silence};
use throng_stage::ProgrammeKey;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::clock::now;
use super::encoding::{Encoding, Outputs};
use super::mixing::{self, Input, Mixing};
use super::readable::Readable;
use super::recording::{Keeping, Recording, Standing};
use super::space::{PipelineError, Shared};
use super::space_hold::SpaceHold;

/// A resumed programme begins this long after now: time to start the threads.
const RESUME_LEAD_SAMPLES: u64 = SAMPLE_RATE_HZ / 2;

/// How long the programme waits for what an earlier process recorded: reading takes a moment, but a disk that is stuck
/// must not keep the programme away. Beyond, players find nothing older than the restart.
const OPEN_PATIENCE: Duration = Duration::from_secs(2);

/// What runs while a space is on air with its own programme.
pub(crate) struct Pipeline {
    finished: oneshot::Receiver<()>,
}

impl Pipeline {
    /// Waits until the last part is in the window and on disk.
    pub(crate) async fn finished(self) {
        // A sender that is gone has nothing more to finish.
        let _ = self.finished.await;
    }
}

/// What is told of the recording of a space.
#[derive(Clone, Default)]
pub(crate) struct Recorded {
    /// For the replay, and for parts that have left the window; once the archive is open.
    pub(crate) reader: Readable,
    pub(crate) standing: Arc<Standing>,
}

/// Starts the threads for a space whose doors have opened, now or in an earlier process. The programme does not wait for
/// a disk that takes no recording.
pub(crate) async fn begin(
    space_number: u32,
    space: &Arc<Space>,
    on_air: &Arc<OnAir>,
    shared: &Arc<Shared>,
    recorded: &Recorded,
    mixing: &Mixing,
    hold_now: &Arc<SpaceHold>,
) -> Result<Pipeline, PipelineError> {
    let hold = hold_before_talk(space, hold_now).await;
    let (mut recording, earlier) = record(space, shared, recorded).await?;
    let (first, resumed) = first_part(space, earlier.as_ref());
    let channels = space.sound.channels;
    let silence = Arc::clone(&shared.layouts.of(channels).silence);
    if resumed {
        resume_window(on_air, earlier.as_ref(), first, &silence);
    }
    recording.begin(first);
    let (finished, wait) = oneshot::channel();
    let outputs = OnDiskAndAir {
        space_number,
        on_air: Arc::clone(on_air),
        shared: Arc::clone(shared),
        hold: Arc::clone(hold_now),
        silence,
        recording,
        finished,
    };
    let preroll = match &hold {
        Some(hold) if !resumed => preroll(first, hold),
        _ => Vec::new(),
    };
    let encoding = Encoding::start(channels, first, preroll, outputs)?;
    let (programme, delay) = programme(space, first, hold);
    let beginning = mixing::OnAir::new(first, programme, delay, Arc::clone(hold_now), encoding);
    start(&mixing.inputs(), Input::Begin(Box::new(beginning)));
    Ok(Pipeline { finished: wait })
}

/// What sounded just before the doors, so that the encoders begin warm.
fn preroll(first: PartIndex, sound: &HoldLoop) -> Vec<Frame> {
    let frames_per_loop = sound.len_samples() / FRAME_SAMPLES;
    let first_frame = first.0 * FRAMES_PER_PART + frames_per_loop;
    (1..=(PREROLL_FRAMES as u64).min(frames_per_loop))
        .rev()
        .map(|back| sound.frame(first_frame - back))
        .collect()
}

/// The mixer's queue is drained fifty times a second; waiting for a place delays nobody's sound.
fn start(inputs: &SyncSender<Input>, begin: Input) {
    if inputs.send(begin).is_err() {
        tracing::error!("the mixer has ended before it began");
    }
}

/// The programme from a part on: the stage at once where it was live before, else the hold programme first.
fn programme(space: &Space, first: PartIndex, hold: Option<HoldLoop>) -> (Programme, DelayLine) {
    let (frame, delay_frames) = (first.0 * FRAMES_PER_PART, space.programme.delay_frames());
    let channels = space.sound.channels;
    let Some(hold) = hold else {
        return (
            Programme::resume_live(channels, frame),
            DelayLine::resumed(delay_frames),
        );
    };
    let mut programme = Programme::new(channels, hold.pcm(), frame);
    let mut delay = DelayLine::new(delay_frames);
    if let Some(live) = space.live_part {
        let heard_from = programme.go_live(live.0 * FRAMES_PER_PART);
        delay.go_live(said_from(space, live), heard_from);
    }
    (programme, delay)
}

/// The frame of the stage that is heard first where the programme goes live at a part.
pub(crate) fn said_from(space: &Space, live: PartIndex) -> u64 {
    (live.0 * FRAMES_PER_PART).saturating_sub(space.programme.delay_frames())
}

/// The hold programme, unless the talk is on already: a restart in its midst waits for no music.
async fn hold_before_talk(space: &Space, hold: &SpaceHold) -> Option<HoldLoop> {
    let playhead = playhead(space.created_at, now().steady);
    match space.live_part {
        Some(live) if live.first_sample() < playhead => None,
        _ => Some(hold.sound().await),
    }
}

/// Starts to record, and gives what an earlier process recorded, if it can be read soon.
async fn record(
    space: &Arc<Space>,
    shared: &Arc<Shared>,
    recorded: &Recorded,
) -> Result<(Recording, Option<Reader>), PipelineError> {
    let folder = shared.archives.join(&space.id);
    let (looking, reading) = (folder.clone(), folder.clone());
    let existed = tokio::task::spawn_blocking(move || Archive::exists(&looking)).await;
    let (opening, sharing) = (Arc::clone(space), Arc::clone(shared));
    let (recording, opened) = Recording::start(Keeping {
        open: move || open(&folder, &opening, &sharing),
        reader: recorded.reader.clone(),
        standing: Arc::clone(&recorded.standing),
        silence: Arc::clone(&shared.layouts.of(space.sound.channels).silence),
    })?;
    if !existed.expect("looking does not panic") {
        return Ok((recording, None));
    }
    // Whether it came in time, or could be opened at all, shows in what is there then.
    let _ = timeout(OPEN_PATIENCE, opened).await;
    if let Some(reader) = recorded.reader.get() {
        return Ok((recording, Some(reader)));
    }
    // A disk that takes nothing may still give what it has.
    let reading = tokio::task::spawn_blocking(move || Reader::open_ended(&reading));
    let read = timeout(OPEN_PATIENCE, reading).await;
    let earlier = read
        .ok()
        .and_then(|read| read.expect("reading does not panic").ok());
    Ok((recording, earlier))
}

/// Creates the archive at the doors, or recovers it after whatever end.
fn open(folder: &Path, space: &Space, shared: &Shared) -> Result<Archive, ArchiveError> {
    let inits = &shared.layouts.of(space.sound.channels).inits;
    if !Archive::exists(folder) {
        let doors = space
            .doors_part
            .expect("a pipeline begins at or after doors");
        return Archive::create(folder, doors, inits);
    }
    let (archive, recovery) = Archive::open(folder, inits)?;
    tracing::info!(
        slug = space.slug.as_str(),
        ?recovery,
        "the recording goes on"
    );
    Ok(archive)
}

/// The first part that will be mixed, and whether there was programme before it: in an earlier process, or before this
/// one was ready.
fn first_part(space: &Space, earlier: Option<&Reader>) -> (PartIndex, bool) {
    let doors = space
        .doors_part
        .expect("a pipeline begins at or after doors");
    let present = first_part_after_now(space);
    match earlier {
        None if present <= doors.next() => (doors, false),
        None => (present, true),
        Some(earlier) => (present.max(earlier.next()), true),
    }
}

/// The window as it stood when the last part was recorded, and the silence that the recording will have until `first`.
fn resume_window(on_air: &OnAir, earlier: Option<&Reader>, first: PartIndex, silence: &Silence) {
    if let Some(earlier) = earlier {
        match newest_window(earlier, None) {
            Ok(mut window) => {
                let oldest = PartIndex(first.0.saturating_sub(PARTS_KEPT as u64));
                if window.next() < oldest {
                    window = Window::new(oldest);
                }
                while window.next() < first {
                    let silence = silence.part(window.next());
                    window
                        .push(Arc::new(silence))
                        .expect("the next part is in order");
                }
                on_air.change_window(|present| *present = window);
            }
            Err(error) => {
                tracing::error!(%error, "what was recorded cannot be read; players find nothing older than this start");
            }
        }
    }
    on_air.set_flowing(true);
}

fn first_part_after_now(space: &Space) -> PartIndex {
    PartIndex(
        (playhead(space.created_at, now().steady) + RESUME_LEAD_SAMPLES).div_ceil(PART_SAMPLES),
    )
}

/// The window as it stood when the last part was recorded.
pub(crate) fn newest_window(
    reader: &Reader,
    end: Option<PartIndex>,
) -> Result<Window, ArchiveError> {
    let next = end.map_or(reader.next(), |end| end.min(reader.next()));
    let first = PartIndex(
        next.0
            .saturating_sub(PARTS_KEPT as u64)
            .max(reader.first().0),
    );
    let mut window = Window::new(first);
    for index in (first.0..next.0).map(PartIndex) {
        let Some(part) = read_part(reader, index)? else {
            break;
        };
        window
            .push(Arc::new(part))
            .expect("parts are read in order");
    }
    Ok(window)
}

fn read_part(reader: &Reader, index: PartIndex) -> Result<Option<Part>, ArchiveError> {
    let mut packaged = Vec::with_capacity(Rendition::ALL.len());
    for rendition in Rendition::ALL {
        let chunk = reader.part(rendition, index)?;
        let Some(restored) = chunk.and_then(|cmaf| package::restore(rendition, index, cmaf)) else {
            return Ok(None);
        };
        packaged.push(restored);
    }
    let renditions = packaged.try_into().expect("one for each rendition");
    Ok(Some(Part { index, renditions }))
}

/// What is encoded goes on disk, on air, and to those who listen over WebRTC.
struct OnDiskAndAir {
    space_number: u32,
    on_air: Arc<OnAir>,
    shared: Arc<Shared>,
    hold: Arc<SpaceHold>,
    silence: Arc<Silence>,
    recording: Recording,
    finished: oneshot::Sender<()>,
}

impl Outputs for OnDiskAndAir {
    fn part(&mut self, part: Arc<Part>) {
        self.recording.append(&part);
        publish(&self.on_air, &self.hold, &self.silence, &part);
    }

    fn packet(&mut self, frame: u64, packet: Bytes) {
        let programme = ProgrammeKey(u64::from(self.space_number));
        self.shared.stage.send_programme(programme, frame, packet);
    }

    fn ended(self) {
        self.recording.finish();
        // The owner may have stopped waiting.
        let _ = self.finished.send(());
    }
}

/// Pushes a part into the window; what the hold programme has not yet put before it is put there now.
fn publish(on_air: &OnAir, hold: &SpaceHold, silence: &Silence, part: &Arc<Part>) {
    on_air.change_window(|window| {
        let oldest = PartIndex(part.index.0.saturating_sub(PARTS_KEPT as u64 - 1));
        if window.next() < oldest {
            *window = Window::new(oldest);
        }
        while window.next() < part.index {
            let missing = window.next();
            let filling = hold.part(missing).unwrap_or_else(|| silence.part(missing));
            window
                .push(Arc::new(filling))
                .expect("the next part is in order");
        }
        if window.push(Arc::clone(part)).is_err() {
            tracing::error!(part = part.index.0, "a part came twice into the window");
        }
    });
    on_air.set_flowing(true);
}
