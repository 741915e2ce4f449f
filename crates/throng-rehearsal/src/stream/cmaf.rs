//! CMAF (ISO/IEC 14496-12, 23000-19): `moov` once, then `moof` and `mdat` for ever, of one track.

use super::{Broken, Field, Stretch, be, skip};

/// Walks the boxes of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Cmaf {
    place: Place,
    field: Field<LEAF_BYTES>,
    timescale: u32,
    sample_duration: u32,
    /// Of the fragment that comes in.
    fragment: Fragment,
    /// The sequence number of the one before.
    last: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    /// In the header of a box.
    Header,
    /// In a leaf of which `read` bytes are read and `rest` are not.
    Leaf { leaf: Leaf, read: u8, rest: u32 },
    /// In the sound of a fragment.
    Mdat { left: u64 },
    /// In what says nothing to us.
    Skip { left: u64 },
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Leaf {
    Mdhd,
    Mfhd,
    Tfdt,
    Tfhd,
    Trex,
    Trun,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Fragment {
    sequence: u32,
    decode_time: u64,
    sample_duration: u32,
    sample_count: u32,
}

impl Default for Cmaf {
    fn default() -> Self {
        Self {
            place: Place::Header,
            field: Field::default(),
            timescale: RATE_HZ,
            sample_duration: 0,
            fragment: Fragment::default(),
            last: None,
        }
    }
}

impl Cmaf {
    pub(super) fn feed(
        &mut self,
        mut bytes: &[u8],
        tell: &mut impl FnMut(Stretch),
    ) -> Result<(), Broken> {
        loop {
            match &mut self.place {
                Place::Header => {
                    if !self.field.gather(HEADER_BYTES, &mut bytes) {
                        return Ok(());
                    }
                    self.place = place_of(&self.field.bytes[..HEADER_BYTES])?;
                    self.field.have = 0;
                }
                Place::Leaf { leaf, read, rest } => {
                    if !self.field.gather((*read).into(), &mut bytes) {
                        return Ok(());
                    }
                    let (leaf, left) = (*leaf, u64::from(*rest));
                    self.read(leaf)?;
                    self.field = Field::default();
                    self.place = Place::Skip { left };
                }
                Place::Mdat { left } => {
                    skip(left, &mut bytes);
                    if *left > 0 {
                        return Ok(());
                    }
                    self.place = Place::Header;
                    tell(self.stretch()?);
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

    /// The track goes on in another answer.
    pub(super) fn begin_fragment(&mut self) {
        self.place = Place::Header;
        self.field = Field::default();
    }

    /// A leaf's bytes are in the field; what a short leaf lacks is 0 there.
    fn read(&mut self, leaf: Leaf) -> Result<(), Broken> {
        let bytes = &self.field.bytes;
        let at = |from: usize| be32(&bytes[from..from + 4]);
        let version = bytes[0];
        let flags = at(0) & 0x00FF_FFFF;
        match leaf {
            Leaf::Mdhd => self.timescale = if version == 1 { at(20) } else { at(12) },
            Leaf::Mfhd => self.fragment.sequence = at(4),
            Leaf::Tfdt if version == 1 => self.fragment.decode_time = be(&bytes[4..12]),
            Leaf::Tfdt => self.fragment.decode_time = at(4).into(),
            Leaf::Trex => self.sample_duration = at(12),
            Leaf::Tfhd => {
                // ISO/IEC 14496-12, section 8.8.7: base data offset and description index come before the duration.
                let before = 8 * usize::from(flags & 1 != 0) + 4 * usize::from(flags & 2 != 0);
                self.fragment.sample_duration = if flags & 8 == 0 {
                    self.sample_duration
                } else {
                    at(8 + before)
                };
            }
            Leaf::Trun => {
                self.fragment.sample_count = at(4);
                // Section 8.8.8: data offset and first sample's flags come before the samples.
                let before = 4 * usize::from(flags & 1 != 0) + 4 * usize::from(flags & 4 != 0);
                if flags & 0x100 != 0 {
                    self.fragment.sample_duration = at(8 + before);
                }
            }
        }
        if self.timescale == 0 {
            return Err(Broken("mp4"));
        }
        Ok(())
    }

    /// The fragment that has just come in.
    fn stretch(&mut self) -> Result<Stretch, Broken> {
        let fragment = std::mem::take(&mut self.fragment);
        let in_sequence = self
            .last
            .is_none_or(|last| fragment.sequence == last.wrapping_add(1));
        self.last = Some(fragment.sequence);
        let samples = u64::from(fragment.sample_duration) * u64::from(fragment.sample_count);
        let (sample, samples) = (
            self.at_48_khz(fragment.decode_time),
            self.at_48_khz(samples),
        );
        if sample > SAMPLE_MAX || samples > FRAGMENT_SAMPLES_MAX {
            return Err(Broken("mp4"));
        }
        Ok(Stretch {
            sample: Some(sample),
            samples,
            in_sequence,
        })
    }

    fn at_48_khz(&self, units: u64) -> u64 {
        if self.timescale == RATE_HZ {
            return units;
        }
        let samples = u128::from(units) * u128::from(RATE_HZ) / u128::from(self.timescale);
        u64::try_from(samples).unwrap_or(u64::MAX)
    }
}

/// What begins with a header.
fn place_of(header: &[u8]) -> Result<Place, Broken> {
    let content = be(&header[..4])
        .checked_sub(HEADER_BYTES as u64)
        .filter(|content| *content <= BOX_BYTES_MAX)
        .ok_or(Broken("mp4"))?;
    let leaf = match &header[4..] {
        // Their children follow, and each says its own length.
        b"moov" | b"trak" | b"mdia" | b"mvex" | b"moof" | b"traf" => return Ok(Place::Header),
        b"mdat" => return Ok(Place::Mdat { left: content }),
        b"mdhd" => Leaf::Mdhd,
        b"mfhd" => Leaf::Mfhd,
        b"tfdt" => Leaf::Tfdt,
        b"tfhd" => Leaf::Tfhd,
        b"trex" => Leaf::Trex,
        b"trun" => Leaf::Trun,
        kind if kind.iter().all(|letter| (0x20..0x7F).contains(letter)) => {
            return Ok(Place::Skip { left: content });
        }
        _ => return Err(Broken("mp4")),
    };
    let read = content.min(LEAF_BYTES as u64);
    Ok(Place::Leaf {
        leaf,
        read: u8::try_from(read).expect("no more than the field holds"),
        rest: u32::try_from(content - read).expect("a box is bounded"),
    })
}

fn be32(bytes: &[u8]) -> u32 {
    u32::try_from(be(bytes)).expect("four bytes")
}

const RATE_HZ: u32 = 48_000;
const HEADER_BYTES: usize = 8;
/// The furthest field that we read ends there (`mdhd` of version 1, `trex`).
const LEAF_BYTES: usize = 24;
/// A segment of a foreign server has some 100 KB; what says more is not MP4.
const BOX_BYTES_MAX: u64 = 16 << 20;
/// Some 5,900 years after the epoch: sums of times stay within 64 bits.
const SAMPLE_MAX: u64 = 1 << 53;
/// Five minutes; segments are some seconds long.
const FRAGMENT_SAMPLES_MAX: u64 = 300 * 48_000;
