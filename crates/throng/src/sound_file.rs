//! Sound files in and out: any common format becomes 48 kHz of one channel or two, and 48 kHz mono becomes WAV.
//!
//! [`read`] and [`read_wide`] take a whole file (WAV, FLAC, Ogg with Vorbis or Opus, MP3); [`WavStream`] takes WAV as it
//! comes, such as from standard input; [`WavWriter`] writes what is heard while it is heard. Not here: levelling, looping,
//! real time.

mod decode;
mod planes;
mod resample;
mod wav_stream;
mod wav_writer;

use std::fs::File;
use std::io::{self, Cursor};
use std::path::Path;

use throng_core::rendition::Channels;

pub use planes::WideSound;
pub(crate) use planes::mix_down;
pub use wav_stream::WavStream;
pub use wav_writer::WavWriter;

/// Sample rate of everything in Throng.
const RATE_HZ: u32 = 48_000;
/// The longest sound that [`read`] holds in memory: 4 hours, 2.8 GB, and of two channels twice that. Longer ones are
/// refused: cut them, or pipe them as WAV, which [`WavStream`] takes at any length.
const LONGEST_SAMPLES: usize = 4 * 3_600 * RATE_HZ as usize;
/// Sample rates that can be converted; beyond them a header is wrong rather than unusual.
const RATES_HZ: std::ops::RangeInclusive<u32> = 4_000..=384_000;

/// Reads a sound file as 48 kHz mono.
pub fn read(path: &Path) -> Result<Vec<f32>, SoundFileError> {
    Ok(read_as(path, Channels::Mono)?.mid)
}

/// Reads a sound file at 48 kHz, in two channels if it has two.
pub fn read_wide(path: &Path) -> Result<WideSound, SoundFileError> {
    read_as(path, Channels::Stereo)
}

fn read_as(path: &Path, wanted: Channels) -> Result<WideSound, SoundFileError> {
    let name = path.display().to_string();
    let broken = |source| SoundFileError::Io {
        name: name.clone(),
        source,
    };
    let file = File::open(path).map_err(broken)?;
    // Opening a folder succeeds; reading it would fail with words that help nobody.
    if file.metadata().map_err(broken)?.is_dir() {
        return Err(broken(io::Error::new(
            io::ErrorKind::IsADirectory,
            "it is a folder",
        )));
    }
    decode::decode(
        &name,
        wanted,
        Box::new(file),
        path.extension().and_then(|extension| extension.to_str()),
        LONGEST_SAMPLES,
    )
}

/// Reads a sound file that is in memory, such as one that is built into the program. `name` is for errors.
pub fn from_bytes(name: &str, bytes: &'static [u8]) -> Result<Vec<f32>, SoundFileError> {
    let source = Box::new(Cursor::new(bytes));
    Ok(decode::decode(name, Channels::Mono, source, None, LONGEST_SAMPLES)?.mid)
}

/// Reads a sound file that somebody has sent, of at most so many samples. `name` is for errors.
pub(crate) fn from_upload(
    name: &str,
    bytes: Vec<u8>,
    longest: usize,
) -> Result<Vec<f32>, SoundFileError> {
    let source = Box::new(Cursor::new(bytes));
    Ok(decode::decode(name, Channels::Mono, source, None, longest)?.mid)
}

/// Why a sound cannot be used: which file, what is wrong, what to do.
#[derive(Debug, thiserror::Error)]
pub enum SoundFileError {
    /// The container is known, what it contains is not.
    #[error(
        "{name} holds sound that Throng cannot decode ({detail}); convert it, e.g. ffmpeg -i {name} talk.wav"
    )]
    Codec {
        /// The file.
        name: String,
        /// What the decoder said.
        detail: String,
    },
    /// It began well and then made no sense.
    #[error(
        "{name} is damaged ({detail}); export it again or convert it, e.g. ffmpeg -i {name} talk.wav"
    )]
    Damaged {
        /// The file.
        name: String,
        /// What the decoder said.
        detail: String,
    },
    /// No sound in it.
    #[error("{name} contains no sound")]
    Empty {
        /// The file.
        name: String,
    },
    /// None of the formats.
    #[error(
        "{name} is not a sound file that Throng reads; give WAV, FLAC, Ogg (Vorbis, Opus) or MP3"
    )]
    Format {
        /// The file.
        name: String,
    },
    /// The system cannot read it.
    #[error("cannot read {name}: {source}")]
    Io {
        /// The file.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// A sample rate that no sound has.
    #[error("{name} claims {rate_hz} samples a second; 4,000 to 384,000 can be converted")]
    Rate {
        /// The file.
        name: String,
        /// What it claims.
        rate_hz: u32,
    },
    /// More than fits.
    #[error(
        "{name} is longer than 4 hours; cut it, or pipe it: ffmpeg -i {name} -f wav - | throng speak … --file -"
    )]
    TooLong {
        /// The file.
        name: String,
    },
}

#[cfg(test)]
mod tests;
