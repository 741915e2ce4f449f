//! Any sample rate becomes 48 kHz, as it streams by.

use rubato::audioadapter_buffers::owned::InterleavedOwned;
use rubato::{Fft, FixedSync, Resampler as _};

use super::{RATE_HZ, RATES_HZ, SoundFileError};

/// Samples that are converted at once, about 20 ms: more would delay a stream, fewer cost time.
const CHUNK_SAMPLES: usize = 1_024;

/// Converts one mono stream; its output is aligned with its input and as long.
pub(super) struct Resampler {
    /// None when the rate is 48 kHz already.
    converter: Option<Fft<f32>>,
    rate_hz: u32,
    waiting: Vec<f32>,
    /// Samples of the converter's own delay that are still to be dropped.
    delay: usize,
    taken: u64,
    given: u64,
}

impl Resampler {
    /// For a stream of the given rate. `name` is for errors.
    pub(super) fn new(name: &str, rate_hz: u32) -> Result<Self, SoundFileError> {
        if !RATES_HZ.contains(&rate_hz) {
            return Err(SoundFileError::Rate {
                name: name.to_owned(),
                rate_hz,
            });
        }
        let converter = (rate_hz != RATE_HZ).then(|| {
            Fft::new(
                rate_hz as usize,
                RATE_HZ as usize,
                CHUNK_SAMPLES,
                1,
                FixedSync::Input,
            )
            .expect("both rates are positive and the chunk is not empty")
        });
        let delay = converter
            .as_ref()
            .map_or(0, rubato::Resampler::output_delay);
        Ok(Self {
            converter,
            rate_hz,
            waiting: Vec::new(),
            delay,
            taken: 0,
            given: 0,
        })
    }

    /// Takes samples, adds those that are ready.
    pub(super) fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) {
        self.taken += samples.len() as u64;
        if self.converter.is_none() {
            out.extend_from_slice(samples);
            return;
        }
        self.waiting.extend_from_slice(samples);
        while let Some(rest) = self.waiting.len().checked_sub(self.chunk_len()) {
            let later = self.waiting.split_off(self.waiting.len() - rest);
            let chunk = std::mem::replace(&mut self.waiting, later);
            self.convert(chunk, out);
        }
    }

    /// Adds what is left.
    pub(super) fn finish(mut self, out: &mut Vec<f32>) {
        if self.converter.is_none() {
            return;
        }
        let due = (self.taken * u64::from(RATE_HZ)).div_ceil(u64::from(self.rate_hz));
        let before = out.len();
        let missing =
            usize::try_from(due - self.given.min(due)).expect("a chunk and a delay at most");
        while out.len() < before + missing {
            let mut chunk = std::mem::take(&mut self.waiting);
            chunk.resize(self.chunk_len(), 0.0);
            self.convert(chunk, out);
        }
        out.truncate(before + missing);
    }

    fn chunk_len(&self) -> usize {
        self.converter
            .as_ref()
            .map_or(CHUNK_SAMPLES, rubato::Resampler::input_frames_next)
    }

    fn convert(&mut self, chunk: Vec<f32>, out: &mut Vec<f32>) {
        let Some(converter) = &mut self.converter else {
            return;
        };
        let len = chunk.len();
        let input =
            InterleavedOwned::new_from(chunk, 1, len).expect("one channel of its own length");
        let converted = converter
            .process(&input, None)
            .expect("the chunk is as long as the converter asked")
            .take_data();
        let dropped = converted.len().min(self.delay);
        self.delay -= dropped;
        self.given += (converted.len() - dropped) as u64;
        out.extend_from_slice(&converted[dropped..]);
    }
}
