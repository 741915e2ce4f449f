//! What the fuzz targets share: a way to read choices from a fuzzer's bytes, and parts of a programme to spoil.

use std::sync::LazyLock;

use bytes::Bytes;
use throng_core::rendition::{Channels, RENDITION_COUNT, Rendition};
use throng_core::timeline::PartIndex;
use throng_core::window::{Packaged, Part};
use throng_media::FRAME_LEN;
use throng_media::codec::{OpusEncode, OpusSettings, opus_encoder};
use throng_media::package::{init, package};

/// A fuzzer's bytes as a row of choices. What is missing is 0, so every input is a whole script.
pub struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    /// Begins at the first byte.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether nothing is left.
    pub const fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// A number of 8 bits.
    pub fn byte(&mut self) -> u8 {
        let [byte] = self.array();
        byte
    }

    /// A number of 16 bits.
    pub fn short(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }

    /// A number of 32 bits.
    pub fn long(&mut self) -> u32 {
        u32::from_be_bytes(self.array())
    }

    /// So many bytes, or what is left.
    pub fn bytes(&mut self, length: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        self.bytes(usize::MAX)
    }

    fn array<const LENGTH: usize>(&mut self) -> [u8; LENGTH] {
        let mut array = [0; LENGTH];
        let bytes = self.bytes(LENGTH);
        array[..bytes.len()].copy_from_slice(bytes);
        array
    }
}

/// Opus packets of a voice, with in-band FEC, one after the other.
pub static VOICE: LazyLock<Vec<Bytes>> = LazyLock::new(|| {
    let mut encoder = opus_encoder(OpusSettings::conversation());
    let mut phase = 0.0_f32;
    let packets = (0..32_u8).map(|frame| {
        let frequency_hz = 110.0 + f32::from(frame % 8) * 13.0;
        let sound: [f32; FRAME_LEN] = std::array::from_fn(|_| {
            phase = (phase + frequency_hz / 48_000.0).fract();
            (phase * std::f32::consts::TAU).sin().powi(7) * 0.4
        });
        encoder.encode(&sound).expect("a frame of sound encodes")
    });
    packets.collect()
});

/// A part with packets of some bytes each: as small as one may be, so that what is around them is what gets spoilt.
pub fn small_part(index: PartIndex) -> Part {
    let renditions = Rendition::ALL.map(|rendition| -> Packaged {
        let count = match rendition.codec() {
            throng_core::rendition::Codec::Aac => 15,
            throng_core::rendition::Codec::Opus => 16,
        };
        let packets: Vec<Bytes> = (0..count)
            .map(|n: u8| vec![n; 1 + usize::from(n % 3)].into())
            .collect();
        package(rendition, index, &packets)
    });
    Part { index, renditions }
}

/// What precedes the first part in each rendition.
pub fn inits() -> [Bytes; RENDITION_COUNT] {
    Rendition::ALL.map(|rendition| init(rendition, Channels::Mono, None))
}

/// A form of the journal with the right CRC at its end.
pub fn sealed(mut form: Vec<u8>) -> Vec<u8> {
    if let Some(end) = form.len().checked_sub(4) {
        let crc = crc32fast::hash(&form[..end]);
        form[end..].copy_from_slice(&crc.to_le_bytes());
    }
    form
}
