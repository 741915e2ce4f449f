//! Left and right become middle and side, and back.

use std::borrow::Cow;

use throng_core::rendition::Channels;

use super::MAX_PACKET_SAMPLES;

/// The sound that a decoder puts out, of one channel or two.
#[derive(Debug)]
pub(super) struct Decoded {
    /// What the codec writes: two channels interleave. Afterwards its beginning is the middle.
    pcm: Box<[f32]>,
    /// The side; empty in mono.
    side: Box<[f32]>,
    /// Samples of the last answer.
    samples: usize,
    channels: usize,
}

impl Decoded {
    pub(super) fn new(channels: Channels) -> Self {
        let side = if channels.is_stereo() {
            MAX_PACKET_SAMPLES
        } else {
            0
        };
        let count = usize::from(channels.count());
        Self {
            pcm: vec![0.0; MAX_PACKET_SAMPLES * count].into(),
            side: vec![0.0; side].into(),
            samples: 0,
            channels: count,
        }
    }

    /// Room for so many samples of each channel, for the codec to write in.
    pub(super) fn room(&mut self, samples: usize) -> &mut [f32] {
        &mut self.pcm[..samples * self.channels]
    }

    /// What the codec has written, brought into [-1, 1]: codecs ring above it, and a hostile packet may decode to
    /// anything. Beyond what is `written`, up to `samples`, is silence.
    pub(super) fn take(&mut self, written: usize, samples: usize) -> &[f32] {
        self.samples = samples;
        self.pcm[written * self.channels..samples * self.channels].fill(0.0);
        tame(&mut self.pcm[..written * self.channels]);
        if self.channels == 2 {
            for at in 0..samples {
                let (left, right) = (self.pcm[2 * at], self.pcm[2 * at + 1]);
                self.pcm[at] = f32::midpoint(left, right);
                self.side[at] = (left - right) / 2.0;
            }
        }
        &self.pcm[..samples]
    }

    /// The side of what was taken last.
    pub(super) fn side(&self) -> Option<&[f32]> {
        (self.channels == 2).then(|| &self.side[..self.samples])
    }
}

/// Left and right of a middle and a side.
pub(super) fn left_right(mid: &[f32], side: &[f32]) -> impl Iterator<Item = (f32, f32)> {
    mid.iter()
        .zip(side)
        .map(|(mid, side)| (mid + side, mid - side))
}

/// What an encoder of so many channels is given: the middle alone, or left and right that interleave.
pub(super) fn interleaved<'m>(
    channels: Channels,
    mid: &'m [f32],
    side: Option<&[f32]>,
) -> Cow<'m, [f32]> {
    match (channels, side) {
        (Channels::Mono, _) => Cow::Borrowed(mid),
        (Channels::Stereo, None) => mid.iter().flat_map(|&sample| [sample, sample]).collect(),
        (Channels::Stereo, Some(side)) => left_right(mid, side)
            .flat_map(|(left, right)| [left, right])
            .collect(),
    }
}

fn tame(samples: &mut [f32]) {
    for sample in samples {
        *sample = if sample.is_finite() {
            sample.clamp(-1.0, 1.0)
        } else {
            0.0
        };
    }
}
