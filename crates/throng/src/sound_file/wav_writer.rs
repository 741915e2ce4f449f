//! 48 kHz mono sound becomes a WAV file while it is heard.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::RATE_HZ;

/// Writes 16-bit WAV. Every second of sound the lengths in the header are brought up to date, so that the file plays
/// even when the writer is killed.
pub struct WavWriter {
    file: File,
    /// Not yet written; at most [`FLUSH_BYTES`] and one push.
    waiting: Vec<u8>,
    written: u32,
}

impl WavWriter {
    /// Creates the file, or empties it.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut file = File::create(path)?;
        file.write_all(&header(0))?;
        Ok(Self {
            file,
            waiting: Vec::new(),
            written: 0,
        })
    }

    /// Adds samples; beyond [-1, 1] they are clipped.
    pub fn push(&mut self, samples: &[f32]) -> io::Result<()> {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "clamped to the range of i16"
        )]
        let sixteen_bits = |sample: f32| (sample.clamp(-1.0, 1.0) * 32_767.0).round() as i16;
        self.waiting.extend(
            samples
                .iter()
                .flat_map(|sample| sixteen_bits(*sample).to_le_bytes()),
        );
        if self.waiting.len() >= FLUSH_BYTES {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Writes what is left.
    pub fn finish(mut self) -> io::Result<()> {
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        let full = || {
            io::Error::new(
                io::ErrorKind::FileTooLarge,
                "a WAV file holds 12 hours; begin another",
            )
        };
        let added = u32::try_from(self.waiting.len()).map_err(|_| full())?;
        let written = self
            .written
            .checked_add(added)
            .filter(|bytes| *bytes <= LARGEST_BYTES)
            .ok_or_else(full)?;
        self.file.write_all(&self.waiting)?;
        self.waiting.clear();
        self.written = written;
        self.file.write_all_at(&header(written), 0)
    }
}

/// RIFF, `fmt ` and the beginning of `data`, for so many bytes of sound.
fn header(sound_bytes: u32) -> [u8; HEADER_BYTES as usize] {
    let mut header = *b"RIFF----WAVEfmt \x10\0\0\0\x01\0\x01\0rate-bps\x02\0\x10\0data----";
    header[4..8].copy_from_slice(&(sound_bytes + HEADER_BYTES - 8).to_le_bytes());
    header[24..28].copy_from_slice(&RATE_HZ.to_le_bytes());
    header[28..32].copy_from_slice(&(RATE_HZ * 2).to_le_bytes());
    header[40..].copy_from_slice(&sound_bytes.to_le_bytes());
    header
}

const HEADER_BYTES: u32 = 44;
/// One second is written at a time: what a kill loses at most.
const FLUSH_BYTES: usize = 2 * RATE_HZ as usize;
/// The fields of a WAV header have 32 bits; more than 12 hours are refused.
const LARGEST_BYTES: u32 = 12 * 3_600 * 2 * RATE_HZ;
