//! The programme of one space from doors to end: mixer, encoder and archive threads put together.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use bytes::Bytes;
use throng_air::on_air::OnAir;
use throng_archive::{Archive, ArchiveError, Flags, Reader};
use throng_core::rendition::Rendition;
use throng_core::space::{Space, playhead};
use throng_core::timeline::{
    FRAME_SAMPLES, FRAMES_PER_PART, PART_SAMPLES, PartIndex, SAMPLE_RATE_HZ,
};
use throng_core::window::{PARTS_KEPT, Part, Window};
use throng_media::Frame;
use throng_media::hold::HoldLoop;
use throng_media::package;
use throng_media::programme::Programme;
use throng_media::rendering::PREROLL_FRAMES;
use throng_stage::ProgrammeKey;
use tokio::sync::oneshot;

use super::clock::now;
use super::encoding::{Encoding, Outputs};
use super::hold::Hold;
use super::mixing::{Input, Mixing};
use super::recording::Recording;
use super::space::{PipelineError, Shared};

/// A resumed programme begins this long after now: time to start the threads.
const RESUME_LEAD_SAMPLES: u64 = SAMPLE_RATE_HZ / 2;

/// What runs while a space is on air with its own programme.
pub(crate) struct Pipeline {
    reader: Reader,
    finished: oneshot::Receiver<()>,
}

impl Pipeline {
    /// For the replay, and for parts that have left the window.
    pub(crate) fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// Waits until the last part is in the window and on disk.
    pub(crate) async fn finished(self) {
        // A sender that is gone has nothing more to finish.
        let _ = self.finished.await;
    }
}

/// Starts the threads for a space whose doors have opened, now or in an earlier process.
pub(crate) async fn begin(
    space_number: u32,
    space: &Arc<Space>,
    on_air: &Arc<OnAir>,
    shared: &Arc<Shared>,
    mixing: &Mixing,
) -> Result<Pipeline, PipelineError> {
    let hold = hold_before_talk(space, &shared.hold).await;
    let (opening, sharing) = (Arc::clone(space), Arc::clone(shared));
    let opened = tokio::task::spawn_blocking(move || open(&opening, &sharing)).await;
    let Opened {
        archive,
        first,
        resumed,
    } = opened.expect("opening does not panic")?;
    let reader = archive.reader();
    if resumed {
        let window = newest_window(&reader, None)?;
        on_air.change_window(|present| *present = window);
        on_air.set_flowing(true);
    }
    let recording = Recording::start(archive, Arc::clone(&shared.silence))?;
    let (finished, wait) = oneshot::channel();
    let outputs = OnDiskAndAir {
        space_number,
        on_air: Arc::clone(on_air),
        shared: Arc::clone(shared),
        recording,
        finished,
    };
    let preroll = match &hold {
        Some(hold) if !resumed => preroll(first, hold),
        _ => Vec::new(),
    };
    let encoding = Encoding::start(first, preroll, outputs)?;
    let programme = programme(space, first, hold);
    start(
        &mixing.inputs(),
        Input::Begin {
            first,
            programme: Box::new(programme),
            encoding,
        },
    );
    Ok(Pipeline {
        reader,
        finished: wait,
    })
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
fn programme(space: &Space, first: PartIndex, hold: Option<HoldLoop>) -> Programme {
    let frame = first.0 * FRAMES_PER_PART;
    let Some(hold) = hold else {
        return Programme::resume_live(frame);
    };
    let mut programme = Programme::new(hold.pcm(), frame);
    if let Some(live) = space.live_part {
        programme.go_live(live.0 * FRAMES_PER_PART);
    }
    programme
}

/// The hold programme, unless the talk is on already: a restart in its midst waits for no music.
async fn hold_before_talk(space: &Space, hold: &Hold) -> Option<HoldLoop> {
    let playhead = playhead(space.created_at, now());
    match space.live_part {
        Some(live) if live.first_sample() < playhead => None,
        _ => Some(hold.sound().await),
    }
}

struct Opened {
    archive: Archive,
    /// The first part that will be mixed.
    first: PartIndex,
    /// Whether an earlier process has mixed before.
    resumed: bool,
}

/// Creates the archive at the doors, or recovers it and fills with silence what was lost while nobody mixed.
fn open(space: &Space, shared: &Shared) -> Result<Opened, ArchiveError> {
    let folder = shared.archives.join(&space.id);
    let doors = space
        .doors_part
        .expect("a pipeline begins at or after doors");
    let (mut archive, existed) = if Archive::exists(&folder) {
        let (archive, recovery) = Archive::open(&folder, &shared.inits)?;
        tracing::info!(
            slug = space.slug.as_str(),
            ?recovery,
            "the recording goes on"
        );
        (archive, true)
    } else {
        (Archive::create(&folder, doors, &shared.inits)?, false)
    };
    let present = first_part_after_now(space);
    if !existed && present <= doors.next() {
        return Ok(Opened {
            archive,
            first: doors,
            resumed: false,
        });
    }
    // Filling takes time, too; a second round fills what the first one took.
    loop {
        let present = first_part_after_now(space);
        if archive.next() >= present {
            break;
        }
        while archive.next() < present {
            let silence = shared.silence.part(archive.next());
            archive.append(&silence, now().0, Flags::GAP)?;
        }
        archive.sync()?;
    }
    let first = archive.next();
    Ok(Opened {
        archive,
        first,
        resumed: true,
    })
}

fn first_part_after_now(space: &Space) -> PartIndex {
    PartIndex((playhead(space.created_at, now()) + RESUME_LEAD_SAMPLES).div_ceil(PART_SAMPLES))
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
    recording: Recording,
    finished: oneshot::Sender<()>,
}

impl Outputs for OnDiskAndAir {
    fn part(&mut self, part: Arc<Part>) {
        self.recording.append(&part);
        publish(&self.on_air, &self.shared, &part);
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
fn publish(on_air: &OnAir, shared: &Shared, part: &Arc<Part>) {
    on_air.change_window(|window| {
        let oldest = PartIndex(part.index.0.saturating_sub(PARTS_KEPT as u64 - 1));
        if window.next() < oldest {
            *window = Window::new(oldest);
        }
        while window.next() < part.index {
            let missing = window.next();
            let filling = shared
                .hold
                .part(missing)
                .unwrap_or_else(|| shared.silence.part(missing));
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
