//! What is made once for all spaces of one channel layout: what precedes their parts, a part of silence, and the hold
//! programme.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use throng_air::air::Air;
use throng_core::rendition::{Channels, RENDITION_COUNT};
use throng_media::hold::HoldLoop;
use throng_media::package;
use throng_media::rendering::Silence;
use tokio::runtime::Handle;

use super::hold::{self, Hold};

/// All of one layout.
pub(crate) struct Layout {
    pub(crate) inits: [Bytes; RENDITION_COUNT],
    pub(crate) silence: Arc<Silence>,
    pub(crate) hold: Arc<Hold>,
}

/// Both layouts: mono from the start, stereo once a space has it, for encoding another hold programme takes a core some
/// twenty seconds.
pub(crate) struct Layouts {
    mono: Layout,
    stereo: OnceLock<Layout>,
    air: Arc<Air>,
    folder: PathBuf,
    /// Whoever asks first may be a thread of its own.
    runtime: Handle,
}

impl Layouts {
    /// Makes the hold programme of the operator's sound, or else of ours.
    pub(crate) fn start(sound: Option<HoldLoop>, air: Arc<Air>, data: &Path) -> io::Result<Self> {
        let folder = data.join("hold");
        let make = move || sound.unwrap_or_else(HoldLoop::render);
        let hold = Hold::start(make, Channels::Mono, folder.join("loop.bin"), None)?;
        let runtime = Handle::current();
        Ok(Self {
            mono: Layout::new(Channels::Mono, hold, &air, &runtime),
            stereo: OnceLock::new(),
            air,
            folder,
            runtime,
        })
    }

    /// What spaces of so many channels share.
    pub(crate) fn of(&self, channels: Channels) -> &Layout {
        match channels {
            Channels::Mono => &self.mono,
            Channels::Stereo => self.stereo.get_or_init(|| self.begin_stereo()),
        }
    }

    fn begin_stereo(&self) -> Layout {
        let (ours, runtime) = (Arc::clone(&self.mono.hold), self.runtime.clone());
        let make = move || runtime.block_on(ours.sound());
        let cache = self.folder.join("loop-stereo.bin");
        let hold = Hold::start(make, Channels::Stereo, cache, None).unwrap_or_else(|error| {
            tracing::error!(%error, "no thread for the hold programme in stereo; that of one channel is played");
            Arc::clone(&self.mono.hold)
        });
        Layout::new(Channels::Stereo, hold, &self.air, &self.runtime)
    }
}

impl Layout {
    fn new(channels: Channels, hold: Arc<Hold>, air: &Arc<Air>, runtime: &Handle) -> Self {
        runtime.spawn(hold::keep_for_feed(
            channels,
            Arc::clone(&hold),
            Arc::clone(air),
        ));
        Self {
            inits: package::inits(channels),
            silence: Arc::new(Silence::new(channels)),
            hold,
        }
    }
}
