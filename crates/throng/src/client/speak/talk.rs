//! What is said: a file, a pipe, or silence, cut into frames.

use std::io::{self, Stdin};
use std::path::Path;

use throng_core::rendition::Channels;
use throng_media::{FRAME_LEN, Frame, SILENCE, WideFrame};

use crate::client::Error;
use crate::sound_file::{self, WavStream, WideSound};

/// The talk.
pub(super) enum Talk {
    /// A file, held in memory; `again` begins anew at its end.
    File {
        /// At 48 kHz.
        sound: WideSound,
        /// Samples said so far.
        said: usize,
        /// Whether to begin anew.
        again: bool,
    },
    /// WAV from standard input.
    Pipe(Box<WavStream<Stdin>>),
    /// Nothing to say: only here to listen.
    Silence,
}

impl Talk {
    /// Opens a file; `-` is standard input.
    pub(super) fn open(file: Option<&Path>, again: bool) -> Result<Self, Error> {
        let Some(path) = file else {
            return Ok(Self::Silence);
        };
        if path != Path::new("-") {
            let sound = sound_file::read_wide(path)?;
            return Ok(Self::File {
                sound,
                said: 0,
                again,
            });
        }
        if again {
            return Err(Error::Usage(
                "standard input cannot be said twice: --loop needs a file".to_owned(),
            ));
        }
        let stream = WavStream::new(io::stdin(), "standard input", Channels::Stereo)?;
        Ok(Self::Pipe(Box::new(stream)))
    }

    /// How many channels it has.
    pub(super) fn channels(&self) -> Channels {
        match self {
            Self::File { sound, .. } => Channels::of(!sound.side.is_empty()),
            Self::Pipe(stream) => stream.channels(),
            Self::Silence => Channels::Mono,
        }
    }

    /// The next frame; the last one is filled up with silence, then there is none.
    pub(super) fn next_frame(&mut self) -> Result<Option<WideFrame>, Error> {
        match self {
            Self::Silence => Ok(Some(WideFrame::SILENCE)),
            Self::Pipe(stream) => Ok(stream.next().transpose()?),
            Self::File { sound, said, again } => {
                if *again && *said >= sound.mid.len() {
                    *said = 0;
                }
                let frame = frame_at(&sound.mid, *said).map(|mid| {
                    let side = frame_at(&sound.side, *said).unwrap_or(SILENCE);
                    WideFrame::new(mid, side)
                });
                *said += FRAME_LEN;
                Ok(frame)
            }
        }
    }
}

fn frame_at(samples: &[f32], at: usize) -> Option<Frame> {
    let rest = samples.get(at..).filter(|rest| !rest.is_empty())?;
    let length = rest.len().min(FRAME_LEN);
    let mut frame = SILENCE;
    frame[..length].copy_from_slice(&rest[..length]);
    Some(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_said_to_its_last_sample_and_with_loop_for_ever() {
        let sound = WideSound {
            mid: vec![0.5; FRAME_LEN + 10],
            side: vec![0.25; FRAME_LEN + 10],
        };
        let mut once = Talk::File {
            sound: sound.clone(),
            said: 0,
            again: false,
        };
        let whole = WideFrame::new([0.5; FRAME_LEN], [0.25; FRAME_LEN]);
        assert_eq!(once.next_frame().unwrap(), Some(whole));
        let last = once.next_frame().unwrap().unwrap();
        let side = last.side.unwrap();
        assert_eq!((last.mid[9], last.mid[10]), (0.5, 0.0));
        assert_eq!((side[9], side[10]), (0.25, 0.0));
        assert_eq!(once.next_frame().unwrap(), None);
        let mut again = Talk::File {
            sound,
            said: 0,
            again: true,
        };
        let said = std::iter::from_fn(|| again.next_frame().unwrap())
            .take(5)
            .count();
        assert_eq!(said, 5);
    }

    #[test]
    fn what_is_no_sound_is_told_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("talk.wav");
        std::fs::write(&path, "no sound").unwrap();
        let refused = Talk::open(Some(&path), false).map(|_| ()).unwrap_err();
        assert!(refused.to_string().contains("talk.wav"), "{refused}");
        assert_eq!(
            Talk::open(Some(Path::new("-")), true)
                .map(|_| ())
                .unwrap_err()
                .exit_code(),
            2
        );
    }
}
