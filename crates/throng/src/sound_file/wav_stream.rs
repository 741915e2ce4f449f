//! WAV as it comes: frames of 20 ms from a pipe, at any length, before the end is known.

use std::io::{self, Read};

use throng_core::rendition::Channels;
use throng_media::{FRAME_LEN, Frame, WideFrame};

use super::planes::Planes;
use super::{SoundFileError, WideSound};

/// A WAV stream (RIFF: PCM of 8 to 32 bits, or 32-bit float) as frames at 48 kHz of one channel or two. The last frame is
/// filled up with silence. After an error it has ended.
pub struct WavStream<R> {
    reader: R,
    name: String,
    layout: Layout,
    /// Bytes of sound still announced; a pipe announces as many as the field holds, or none, and goes on to its end.
    left: u64,
    wanted: Channels,
    /// None once all is read.
    planes: Option<Planes>,
    ready: WideSound,
}

/// How samples lie in the bytes.
#[derive(Clone, Copy)]
struct Layout {
    sample: Sample,
    channels: usize,
    rate_hz: u32,
}

#[derive(Clone, Copy)]
enum Sample {
    F32,
    I16,
    I24,
    I32,
    U8,
}

impl<R: Read> WavStream<R> {
    /// Reads the header. `name` is for errors.
    pub fn new(mut reader: R, name: &str, wanted: Channels) -> Result<Self, SoundFileError> {
        let broken = |source: io::Error| match source.kind() {
            io::ErrorKind::UnexpectedEof => SoundFileError::Format {
                name: name.to_owned(),
            },
            _ => SoundFileError::Io {
                name: name.to_owned(),
                source,
            },
        };
        let riff: [u8; 12] = read_array(&mut reader).map_err(broken)?;
        if &riff[..4] != b"RIFF" || &riff[8..] != b"WAVE" {
            return Err(SoundFileError::Format {
                name: name.to_owned(),
            });
        }
        let mut layout = None;
        loop {
            let [a, b, c, d, size @ ..]: [u8; 8] = read_array(&mut reader).map_err(broken)?;
            let size = u32::from_le_bytes(size);
            match &[a, b, c, d] {
                b"data" => {
                    let layout: Layout =
                        layout.ok_or_else(|| damaged(name, "sound before its format"))?;
                    let wanted = wanted.of_those(layout.channels);
                    let left = if size == 0 || size >= OPEN_END {
                        u64::MAX
                    } else {
                        u64::from(size)
                    };
                    let planes = Some(Planes::new(name, wanted, layout.rate_hz)?);
                    return Ok(Self {
                        reader,
                        name: name.to_owned(),
                        layout,
                        left,
                        wanted,
                        planes,
                        ready: WideSound::default(),
                    });
                }
                b"fmt " => layout = Some(read_layout(&mut reader, name, size)?),
                _ => skip(&mut reader, size).map_err(broken)?,
            }
        }
    }

    /// How many channels its frames have.
    pub fn channels(&self) -> Channels {
        self.wanted
    }

    /// The rest as one sound, refused when it is longer than `longest` samples.
    pub(super) fn read_to_end(mut self, longest: usize) -> Result<WideSound, SoundFileError> {
        while self.planes.is_some() {
            self.fill()?;
            if self.ready.mid.len() > longest {
                return Err(SoundFileError::TooLong { name: self.name });
            }
        }
        if self.ready.mid.is_empty() {
            Err(SoundFileError::Empty { name: self.name })
        } else {
            Ok(self.ready)
        }
    }

    /// Reads about 20 ms; at the end, or after an error, nothing is converted any more.
    fn fill(&mut self) -> Result<(), SoundFileError> {
        let Some(mut planes) = self.planes.take() else {
            return Ok(());
        };
        let sample = self.layout.sample;
        let width = sample.bytes() * self.layout.channels;
        let due = self
            .left
            .min(((self.layout.rate_hz as usize).div_ceil(50) * width) as u64);
        let mut bytes = Vec::new();
        self.reader
            .by_ref()
            .take(due)
            .read_to_end(&mut bytes)
            .map_err(|source| {
                self.ready.clear();
                SoundFileError::Io {
                    name: self.name.clone(),
                    source,
                }
            })?;
        let got = bytes.len() as u64;
        self.left -= got;
        // A frame that is cut short by the end of the file is left out.
        let samples: Vec<f32> = bytes
            .chunks_exact(sample.bytes())
            .map(|bytes| sample.read(bytes))
            .collect();
        let mut sound = WideSound::default();
        sound.take_in(self.wanted, &samples, self.layout.channels);
        planes.push(&sound, &mut self.ready);
        if got < due || self.left == 0 {
            planes.finish(&mut self.ready);
        } else {
            self.planes = Some(planes);
        }
        Ok(())
    }
}

impl<R: Read> Iterator for WavStream<R> {
    type Item = Result<WideFrame, SoundFileError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.ready.mid.len() < FRAME_LEN && self.planes.is_some() {
            if let Err(error) = self.fill() {
                return Some(Err(error));
            }
        }
        if self.ready.mid.is_empty() {
            return None;
        }
        let [mid, side] = [&mut self.ready.mid, &mut self.ready.side].map(take_frame);
        Some(Ok(WideFrame::new(mid, side)))
    }
}

/// Removes a frame; what is missing is silence.
fn take_frame(plane: &mut Vec<f32>) -> Frame {
    let mut frame = throng_media::SILENCE;
    let len = plane.len().min(FRAME_LEN);
    frame[..len].copy_from_slice(&plane[..len]);
    plane.drain(..len);
    frame
}

impl Sample {
    const fn bytes(self) -> usize {
        match self {
            Self::F32 | Self::I32 => 4,
            Self::I16 => 2,
            Self::I24 => 3,
            Self::U8 => 1,
        }
    }

    /// One sample from exactly as many bytes, in [-1, 1).
    fn read(self, bytes: &[u8]) -> f32 {
        // The sample's bytes at the top of 32 bits: whatever the width, full scale is 2^31.
        let mut top = [0; 4];
        top[4 - bytes.len()..].copy_from_slice(bytes);
        let integer = i32::from_le_bytes(top);
        match self {
            Self::F32 => f32::from_bits(integer.cast_unsigned()),
            Self::U8 => scaled(integer ^ i32::MIN),
            Self::I16 | Self::I24 | Self::I32 => scaled(integer),
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "24 bits of sound are all that f32 and ears hold"
)]
fn scaled(integer: i32) -> f32 {
    integer as f32 / 2_147_483_648.0
}

/// The `fmt ` chunk: `WAVEFORMAT`, or `WAVEFORMATEXTENSIBLE` with the true tag at the head of its GUID.
fn read_layout(reader: &mut impl Read, name: &str, size: u32) -> Result<Layout, SoundFileError> {
    if !(16..=LARGEST_FORMAT_BYTES).contains(&size) {
        return Err(damaged(name, "a format of impossible length"));
    }
    let mut format = vec![0; (size + size % 2) as usize];
    reader
        .read_exact(&mut format)
        .map_err(|_| damaged(name, "it ends within its header"))?;
    let word = |at: usize| u16::from_le_bytes([format[at], format[at + 1]]);
    let tag = if word(0) == 0xFFFE && format.len() >= 26 {
        word(24)
    } else {
        word(0)
    };
    let sample = match (tag, word(14)) {
        (1, 8) => Sample::U8,
        (1, 16) => Sample::I16,
        (1, 24) => Sample::I24,
        (1, 32) => Sample::I32,
        (3, 32) => Sample::F32,
        (tag, bits) => {
            let detail = format!("WAV format {tag}, {bits} bits");
            return Err(SoundFileError::Codec {
                name: name.to_owned(),
                detail,
            });
        }
    };
    let channels = usize::from(word(2));
    if !(1..=MOST_CHANNELS).contains(&channels) {
        return Err(damaged(name, "an impossible number of channels"));
    }
    let rate_hz = u32::from_le_bytes([format[4], format[5], format[6], format[7]]);
    Ok(Layout {
        sample,
        channels,
        rate_hz,
    })
}

fn damaged(name: &str, detail: &str) -> SoundFileError {
    SoundFileError::Damaged {
        name: name.to_owned(),
        detail: detail.to_owned(),
    }
}

fn read_array<const N: usize>(reader: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Passes over a chunk; chunks begin at even places.
fn skip(reader: &mut impl Read, size: u32) -> io::Result<()> {
    let padded = u64::from(size) + u64::from(size % 2);
    let passed = io::copy(&mut reader.take(padded), &mut io::sink())?;
    if passed == padded {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// A length of sound that means "until the end": programs that write to a pipe put the largest number there, or one
/// a header below it.
const OPEN_END: u32 = 0x7FFF_F000;
/// The longest format that is read; the longest that exists has 40 bytes.
const LARGEST_FORMAT_BYTES: u32 = 256;
/// Most channels that are mixed down; more is a wrong header.
const MOST_CHANNELS: usize = 32;
