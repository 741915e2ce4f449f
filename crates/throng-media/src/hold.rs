//! The hold programme: what is on air before and between. A loop of whole segments, ours or the host's own file.
//!
//! Ours is a calm piece of three minutes, played by our own code from a written score ([`score`]) without any sampled
//! sound, so that it may be heard anywhere. It is mono, of moderate bandwidth and free of noise, and stays whole at
//! 16 kb/s. Not here: the crossfade to the live stage, which the programme does.

mod closing;
mod encoded;
mod instruments;
mod level;
mod piece;
mod room;
mod score;

use std::sync::Arc;

use throng_core::timeline::FRAME_SAMPLES;

use crate::{FRAME_LEN, Frame};

pub use encoded::{EncodedLoop, EncodedLoopError, LoopEncoder, LoopPart};

/// The programme's sample rate.
const RATE_HZ: f32 = 48_000.0;
/// The shortest file that can be closed into a loop: 4 s, one segment and the shortest crossfade.
pub const SHORTEST_FILE_SAMPLES: usize = 4 * 48_000;
/// The longest file: 15 minutes, 170 MB while it is prepared. People wait less, and a longer one is refused.
pub const LONGEST_FILE_SAMPLES: usize = 15 * 60 * 48_000;

/// The sound of the hold programme. Cheap to clone.
#[derive(Clone, Debug)]
pub struct HoldLoop {
    pcm: Arc<[f32]>,
}

impl HoldLoop {
    /// Plays our own piece, the same on every run. Takes about a second of one core.
    ///
    /// # Panics
    ///
    /// Never: the piece is known to sound.
    pub fn render() -> Self {
        let mut pcm = piece::play();
        assert!(level::level(&mut pcm), "our own piece sounds");
        Self { pcm: pcm.into() }
    }

    /// Makes a loop of the host's own sound (48 kHz mono): closed by a crossfade, levelled, limited.
    pub fn from_pcm(pcm: Vec<f32>) -> Result<Self, HoldError> {
        if pcm.len() < SHORTEST_FILE_SAMPLES {
            return Err(HoldError::TooShort { samples: pcm.len() });
        }
        if pcm.len() > LONGEST_FILE_SAMPLES {
            return Err(HoldError::TooLong { samples: pcm.len() });
        }
        if !pcm.iter().all(|sample| sample.is_finite()) {
            return Err(HoldError::NotFinite);
        }
        let mut closed = closing::close(&pcm);
        drop(pcm);
        if level::level(&mut closed) {
            Ok(Self { pcm: closed.into() })
        } else {
            Err(HoldError::Silent)
        }
    }

    /// The samples of one round.
    pub fn pcm(&self) -> Arc<[f32]> {
        Arc::clone(&self.pcm)
    }

    /// Its length: a multiple of a segment, so that segment n of the programme is segment n mod L of the loop.
    pub fn len_samples(&self) -> u64 {
        self.pcm.len() as u64
    }

    /// A number that changes with any sample (FNV-1a): tells whether an encoding is the encoding of this sound.
    pub fn fingerprint(&self) -> u64 {
        self.pcm.iter().fold(0xcbf2_9ce4_8422_2325, |hash, sample| {
            (hash ^ u64::from(sample.to_bits())).wrapping_mul(0x0100_0000_01b3)
        })
    }

    /// The frame that is on air as frame `number` of the programme.
    ///
    /// # Panics
    ///
    /// Never: a loop is a whole number of frames.
    pub fn frame(&self, number: u64) -> Frame {
        let frames = self.len_samples() / FRAME_SAMPLES;
        let first = usize::try_from(number % frames).expect("a place in memory") * FRAME_LEN;
        self.pcm[first..first + FRAME_LEN]
            .try_into()
            .expect("a frame's length was cut")
    }
}

/// Why a file cannot be the hold programme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HoldError {
    /// Samples that are not numbers.
    #[error("the hold file contains samples that are not numbers; export it again")]
    NotFinite,
    /// Nothing to be heard.
    #[error("the hold file is silent; choose one with sound")]
    Silent,
    /// Too long.
    #[error("the hold file is {} s long; at most 15 minutes can be looped: cut it", samples / 48_000)]
    TooLong {
        /// Its length.
        samples: usize,
    },
    /// Too short.
    #[error("the hold file is {} ms long; at least 4 s are needed to make a loop", samples / 48)]
    TooShort {
        /// Its length.
        samples: usize,
    },
}

#[cfg(test)]
mod tests;
