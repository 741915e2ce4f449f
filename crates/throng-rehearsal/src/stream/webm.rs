//! `WebM` (RFC 9559 on RFC 8794): clusters with a time, and in each a block per Opus packet.

use super::{Broken, Field, Stretch, be, skip};

/// Walks the elements of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Webm {
    place: Place,
    field: Field<FIELD_BYTES>,
    cluster_ms: u64,
    /// Where the last block ended, in milliseconds: all that the container says about order.
    end_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Place {
    /// In the head of a block of so many bytes.
    Block { bytes: u32 },
    /// In the block's packet, which starts then and lasts so long.
    Packet { left: u64, at_ms: u64, samples: u16 },
    /// In identifier and size.
    #[default]
    Header,
    /// In what says nothing to us.
    Skip { left: u64 },
    /// In a cluster's time, of so many bytes.
    Time { bytes: u8 },
}

impl Webm {
    pub(super) fn feed(
        &mut self,
        mut bytes: &[u8],
        tell: &mut impl FnMut(Stretch),
    ) -> Result<(), Broken> {
        loop {
            match &mut self.place {
                Place::Header => match self.header(&mut bytes)? {
                    None => return Ok(()),
                    Some(place) => {
                        self.place = place;
                        self.field = Field::default();
                    }
                },
                Place::Time { bytes: wanted } => {
                    if !self.field.gather((*wanted).into(), &mut bytes) {
                        return Ok(());
                    }
                    self.cluster_ms = be(self.field.have()).min(TIME_MAX_MS);
                    self.field = Field::default();
                    self.place = Place::Header;
                }
                Place::Block { bytes: size } => {
                    let head = BLOCK_HEAD_BYTES.min(*size as usize);
                    if !self.field.gather(head, &mut bytes) {
                        return Ok(());
                    }
                    let left = u64::from(*size) - head as u64;
                    let [_, high, low, _, toc, count, ..] = self.field.bytes;
                    let at_ms = self
                        .cluster_ms
                        .saturating_add_signed(i16::from_be_bytes([high, low]).into());
                    let samples = opus_samples(toc, count);
                    self.field = Field::default();
                    self.place = Place::Packet {
                        left,
                        at_ms,
                        samples,
                    };
                }
                Place::Packet {
                    left,
                    at_ms,
                    samples,
                } => {
                    skip(left, &mut bytes);
                    if *left > 0 {
                        return Ok(());
                    }
                    let (at_ms, samples) = (*at_ms, *samples);
                    self.place = Place::Header;
                    tell(self.stretch(at_ms, samples));
                }
                Place::Skip { left } => {
                    skip(left, &mut bytes);
                    if *left > 0 {
                        return Ok(());
                    }
                    self.place = Place::Header;
                }
            }
        }
    }

    fn stretch(&mut self, at_ms: u64, samples: u16) -> Stretch {
        let in_sequence = self.end_ms.is_none_or(|end_ms| end_ms == at_ms);
        self.end_ms = Some(at_ms + u64::from(samples) / SAMPLES_PER_MS);
        Stretch {
            sample: Some(at_ms * SAMPLES_PER_MS),
            samples: samples.into(),
            in_sequence,
        }
    }

    /// Identifier and size of the next element, once both are here.
    fn header(&mut self, bytes: &mut &[u8]) -> Result<Option<Place>, Broken> {
        if !self.field.gather(1, bytes) {
            return Ok(None);
        }
        let id_bytes = vint_bytes(self.field.bytes[0]).filter(|length| *length <= 4);
        let id_bytes = id_bytes.ok_or(BROKEN)?;
        if !self.field.gather(id_bytes + 1, bytes) {
            return Ok(None);
        }
        let size_bytes = vint_bytes(self.field.bytes[id_bytes]).ok_or(BROKEN)?;
        if !self.field.gather(id_bytes + size_bytes, bytes) {
            return Ok(None);
        }
        let id = be(&self.field.bytes[..id_bytes]);
        let marked = be(&self.field.bytes[id_bytes..id_bytes + size_bytes]);
        let size = marked & ((1 << (7 * size_bytes)) - 1);
        Ok(Some(match id {
            // Their children follow; sizes of both may be unknown.
            ID_SEGMENT | ID_CLUSTER => Place::Header,
            ID_TIMESTAMP => Place::Time {
                bytes: u8::try_from(size)
                    .ok()
                    .filter(|size| *size <= 8)
                    .ok_or(BROKEN)?,
            },
            ID_SIMPLE_BLOCK if size < BLOCK_HEAD_BYTES as u64 - 1 => return Err(BROKEN),
            _ if size > ELEMENT_BYTES_MAX => return Err(BROKEN),
            ID_SIMPLE_BLOCK => Place::Block {
                bytes: u32::try_from(size).expect("bounded above"),
            },
            _ => Place::Skip { left: size },
        }))
    }
}

/// How many bytes a number of variable length has, by its first (RFC 8794, section 4).
fn vint_bytes(first: u8) -> Option<usize> {
    (first != 0).then(|| first.leading_zeros() as usize + 1)
}

/// Samples at 48 kHz of an Opus packet, by its first byte and, for its fourth kind, the second (RFC 6716, section 3.1).
fn opus_samples(toc: u8, second: u8) -> u16 {
    let config = toc >> 3;
    let frame = match config {
        0..12 => [480_u32, 960, 1_920, 2_880][usize::from(config % 4)],
        12..16 => [480, 960][usize::from(config % 2)],
        _ => [120, 240, 480, 960][usize::from(config % 4)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(second & 0x3F),
    };
    let samples = (frame * frames).min(PACKET_SAMPLES_MAX);
    u16::try_from(samples).expect("a packet is bounded")
}

const BROKEN: Broken = Broken("webm");
/// Track, relative time, flags, and the first two bytes of the packet, which in silence is a single one.
const BLOCK_HEAD_BYTES: usize = 6;
/// An identifier of four and a size of eight.
const FIELD_BYTES: usize = 12;
const SAMPLES_PER_MS: u64 = 48;
/// 120 ms (RFC 6716, section 2.1.4).
const PACKET_SAMPLES_MAX: u32 = 5_760;
/// Some 30,000 years; products below stay within 64 bits.
const TIME_MAX_MS: u64 = 1 << 50;
/// A packet or a track's description is far shorter; what says more is not `WebM`.
const ELEMENT_BYTES_MAX: u64 = 1 << 20;
const ID_SEGMENT: u64 = 0x1853_8067;
const ID_CLUSTER: u64 = 0x1F43_B675;
const ID_TIMESTAMP: u64 = 0xE7;
const ID_SIMPLE_BLOCK: u64 = 0xA3;
