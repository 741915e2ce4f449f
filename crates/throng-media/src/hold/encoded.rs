//! The loop, encoded once in every rendition; its parts are packaged when they are asked for, at the place of the
//! timeline that asks.
//!
//! Encoders are primed with the end of the loop before they encode its beginning, so that the last part is followed by the first
//! as by any other. Encoding takes a tenth of the time that it plays: a caller goes on air with the first parts while
//! the rest follow, and keeps [`EncodedLoop::to_bytes`] for the next start.

use std::array;

use bytes::{Buf, BufMut, Bytes};
use throng_core::rendition::{Channels, RENDITION_COUNT, Rendition};
use throng_core::timeline::{FRAMES_PER_PART, PART_SAMPLES, PARTS_PER_SEGMENT, PartIndex};
use throng_core::window::Part;

use super::{HoldLoop, LONGEST_FILE_SAMPLES};
use crate::package::{MAX_PACKET_BYTES, package, packets, packets_per_part};
use crate::rendering::Renderer;

/// Encodes a loop, part by part.
pub struct LoopEncoder {
    sound: HoldLoop,
    renderer: Renderer,
    /// Number of the frame that is pushed next; it runs on beyond the end, into the beginning.
    next_frame: u64,
    parts_left: u64,
}

impl LoopEncoder {
    /// Begins with the first part of the loop.
    pub fn new(channels: Channels, sound: &HoldLoop) -> Self {
        let parts = parts_of(sound);
        let mut encoder = Self {
            sound: sound.clone(),
            renderer: Renderer::new(channels, PartIndex(0), &[]),
            next_frame: (parts - LEAD_IN_PARTS) * FRAMES_PER_PART,
            parts_left: parts,
        };
        for _ in 0..LEAD_IN_PARTS {
            encoder.encode_part();
        }
        encoder
    }

    /// The next part, about 30 ms of work; `None` when the loop is complete.
    pub fn next_part(&mut self) -> Option<LoopPart> {
        self.parts_left = self.parts_left.checked_sub(1)?;
        Some(self.encode_part())
    }

    fn encode_part(&mut self) -> LoopPart {
        loop {
            let frame = self.sound.frame(self.next_frame);
            let rendered = self.renderer.push(&frame.into());
            self.next_frame += 1;
            if let Some(part) = rendered.part {
                return LoopPart::of(&part);
            }
        }
    }
}

/// One part of the loop: its packets in every rendition, not yet placed on a timeline. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoopPart {
    /// By [`Rendition::index`].
    packets: [Vec<Bytes>; RENDITION_COUNT],
}

impl LoopPart {
    /// The part as number `index` of a programme.
    pub fn at(&self, index: PartIndex) -> Part {
        let renditions = Rendition::ALL
            .map(|rendition| package(rendition, index, &self.packets[rendition.index()]));
        Part { index, renditions }
    }

    fn of(part: &Part) -> Self {
        let packets = Rendition::ALL.map(|rendition| {
            packets(&part.packaged(rendition).cmaf).expect("the part was packaged by us just now")
        });
        Self { packets }
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        for packet in self.packets.iter().flatten() {
            bytes.put_u16(
                u16::try_from(packet.len()).expect("a packet is at most MAX_PACKET_BYTES long"),
            );
            bytes.extend_from_slice(packet);
        }
    }

    fn read(bytes: &mut Bytes) -> Result<Self, EncodedLoopError> {
        let mut packets = array::from_fn(|_| Vec::new());
        for rendition in Rendition::ALL {
            for _ in 0..packets_per_part(rendition.codec()) {
                packets[rendition.index()].push(read_packet(bytes)?);
            }
        }
        Ok(Self { packets })
    }
}

/// The whole loop, in memory: 4 MB for three minutes. Part n of a programme is part n mod L of the loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedLoop {
    parts: Vec<LoopPart>,
}

impl EncodedLoop {
    /// The loop of all parts that a [`LoopEncoder`] gave, in their order.
    ///
    /// # Panics
    ///
    /// When there are none: a loop has at least one segment, so that is a bug.
    pub fn new(parts: Vec<LoopPart>) -> Self {
        assert!(!parts.is_empty(), "a loop has parts");
        Self { parts }
    }

    /// Part `index` of a programme on which the loop is on air.
    ///
    /// # Panics
    ///
    /// Never: a place in the loop is a place in memory.
    pub fn part(&self, index: PartIndex) -> Part {
        let place = usize::try_from(index.0 % self.parts.len() as u64).expect("a place in memory");
        self.parts[place].at(index)
    }

    /// Its parts, in their order.
    pub fn into_parts(self) -> Vec<LoopPart> {
        self.parts
    }

    /// How many parts it has.
    pub fn len_parts(&self) -> u64 {
        self.parts.len() as u64
    }

    /// The loop as a file, to be read back by [`EncodedLoop::from_bytes`] for the same channels and sound.
    pub fn to_bytes(&self, channels: Channels, sound: &HoldLoop) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(magic(channels));
        bytes.put_u64(sound.fingerprint());
        for part in &self.parts {
            part.write(&mut bytes);
        }
        bytes
    }

    /// Reads what [`EncodedLoop::to_bytes`] wrote, if it is the encoding of this very sound. Whoever keeps the file
    /// guards it against rot (the packets themselves carry no checksum); anything that does not read is refused.
    pub fn from_bytes(
        channels: Channels,
        mut bytes: Bytes,
        sound: &HoldLoop,
    ) -> Result<Self, EncodedLoopError> {
        let magic = magic(channels);
        if bytes.len() < magic.len() + 8 || bytes.split_to(magic.len()) != magic[..] {
            return Err(EncodedLoopError::ForeignFormat);
        }
        if bytes.get_u64() != sound.fingerprint() {
            return Err(EncodedLoopError::OtherSound);
        }
        let parts = (0..parts_of(sound))
            .map(|_| LoopPart::read(&mut bytes))
            .collect::<Result<_, _>>()?;
        if bytes.has_remaining() {
            Err(EncodedLoopError::Damaged)
        } else {
            Ok(Self { parts })
        }
    }
}

/// Why a file is not the encoding that is needed. In every case: encode again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodedLoopError {
    /// It ends early, goes on too long, or holds a packet that no encoder makes.
    #[error("the encoded hold loop is damaged")]
    Damaged,
    /// It is something else, or from another version.
    #[error("not an encoded hold loop of this version")]
    ForeignFormat,
    /// The hold sound has changed since.
    #[error("the encoding of another hold sound")]
    OtherSound,
}

fn parts_of(sound: &HoldLoop) -> u64 {
    sound.len_samples() / PART_SAMPLES
}

fn read_packet(bytes: &mut Bytes) -> Result<Bytes, EncodedLoopError> {
    let len = usize::from(bytes.try_get_u16().map_err(|_| EncodedLoopError::Damaged)?);
    if len == 0 || len > MAX_PACKET_BYTES || len > bytes.len() {
        return Err(EncodedLoopError::Damaged);
    }
    Ok(bytes.split_to(len))
}

/// Parts of the loop's end that are encoded before its beginning and not used: the shortest loop, 3.84 s. By then an
/// Opus encoder has made up its mind about music and speech; with less it begins in another mode than that in which
/// the loop ends, and the seam is heard.
const LEAD_IN_PARTS: u64 = PARTS_PER_SEGMENT;

/// Name and version of the file format, renditions and encoder settings included: change it with any of them.
const fn magic(channels: Channels) -> &'static [u8; 8] {
    match channels {
        Channels::Mono => b"THRHOLD1",
        Channels::Stereo => b"THRHOLW1",
    }
}

const _: () = assert!(
    LONGEST_FILE_SAMPLES as u64 / PART_SAMPLES / PARTS_PER_SEGMENT < 256,
    "the longest loop has fewer than 256 segments, about 20 MB encoded"
);

#[cfg(test)]
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "places in a short loop are small"
)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;
    use crate::FRAME_LEN;
    use crate::codec::{OpusDecode, opus_decoder};
    use crate::package::restore;

    /// One segment of a swelling chord, and its encoding.
    static SHORT: LazyLock<(HoldLoop, EncodedLoop)> = LazyLock::new(|| {
        let chord = |at: usize| {
            let tone = |hz: f32| (std::f32::consts::TAU * hz * at as f32 / 48_000.0).sin();
            (tone(220.0) + tone(277.2) + tone(329.6)) * (1.2 + tone(0.7))
        };
        let sound = HoldLoop::from_pcm((0..200_000).map(chord).collect()).unwrap();
        let mut encoder = LoopEncoder::new(Channels::Mono, &sound);
        let parts = std::iter::from_fn(|| encoder.next_part()).collect();
        (sound, EncodedLoop::new(parts))
    });

    #[test]
    fn a_decoder_passes_the_seam_as_it_passes_any_place() {
        let (sound, encoded) = &*SHORT;
        assert_eq!(encoded.len_parts() * PART_SAMPLES, sound.len_samples());
        let mut decoder = opus_decoder();
        let mut ratios_db = Vec::new();
        for frame in 0..3 * encoded.len_parts() * FRAMES_PER_PART {
            let part = &encoded.parts[(frame / FRAMES_PER_PART % encoded.len_parts()) as usize];
            let packet = &part.packets[Rendition::O48.index()][(frame % FRAMES_PER_PART) as usize];
            let heard = decoder.decode(packet).unwrap();
            let meant = sound.frame(frame);
            let noise: f32 = heard
                .iter()
                .zip(&meant)
                .map(|(heard, meant)| (heard - meant).powi(2))
                .sum();
            let signal: f32 = meant.iter().map(|meant| meant * meant).sum();
            assert_eq!(heard.len(), FRAME_LEN);
            ratios_db.push(10.0 * (signal / noise).log10());
        }
        // The first turn lets the decoder settle; the second and third meet at the seam.
        let turn = ratios_db.len() / 3;
        let worst = ratios_db[turn..].iter().copied().fold(f32::MAX, f32::min);
        assert!(
            worst > 20.0,
            "{worst} dB; at the seam {:?}",
            &ratios_db[2 * turn - 2..2 * turn + 3]
        );
    }

    #[test]
    fn a_part_is_packaged_for_the_place_that_asks() {
        let encoded = &SHORT.1;
        for number in [0, 11, 12, 1_000_003, u64::from(u32::MAX) + 5] {
            let part = encoded.part(PartIndex(number));
            assert_eq!(part.index, PartIndex(number));
            for rendition in Rendition::ALL {
                let packaged = part.packaged(rendition);
                let restored = restore(rendition, part.index, packaged.cmaf.clone());
                assert_eq!(
                    restored.as_ref(),
                    Some(packaged),
                    "{rendition}: tfdt and sequence are those of the place"
                );
                let first = encoded.parts[(number % encoded.len_parts()) as usize].at(PartIndex(0));
                assert_eq!(
                    packets(&packaged.cmaf),
                    packets(&first.packaged(rendition).cmaf)
                );
            }
        }
    }

    #[test]
    fn an_encoded_loop_is_read_back_for_its_own_sound_only() {
        let (sound, encoded) = &*SHORT;
        let bytes = Bytes::from(encoded.to_bytes(Channels::Mono, sound));
        assert_eq!(
            EncodedLoop::from_bytes(Channels::Mono, bytes.clone(), sound).as_ref(),
            Ok(encoded)
        );
        let other =
            HoldLoop::from_pcm((0..200_000).map(|at| (at % 100) as f32 / 100.0).collect()).unwrap();
        assert_eq!(
            EncodedLoop::from_bytes(Channels::Mono, bytes.clone(), &other),
            Err(EncodedLoopError::OtherSound)
        );
        for len in (0..bytes.len()).step_by(1_009) {
            assert!(
                EncodedLoop::from_bytes(Channels::Mono, bytes.slice(..len), sound).is_err(),
                "cut to {len} bytes"
            );
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(
            EncodedLoop::from_bytes(Channels::Mono, longer.into(), sound),
            Err(EncodedLoopError::Damaged)
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn bytes_from_anywhere_never_panic(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20)) {
            let (sound, encoded) = &*SHORT;
            let mut bytes = encoded.to_bytes(Channels::Mono, sound);
            for (place, value) in flips {
                let place = place.index(bytes.len());
                bytes[place] = value;
            }
            if let Ok(read) = EncodedLoop::from_bytes(Channels::Mono, bytes.into(), sound) {
                prop_assert_eq!(read.part(PartIndex(7)).index, PartIndex(7));
            }
        }
    }
}
