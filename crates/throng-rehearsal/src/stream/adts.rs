//! ADTS (ISO/IEC 14496-3, section 1.A.2): frames that say their length, without time. A stream may be joined within one.

use super::{Broken, Field, Stretch, skip};

/// Walks the frames of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Adts {
    header: Field<HEADER_BYTES>,
    /// Of the present frame: bytes that are still to come, and its samples at 48 kHz.
    left: u64,
    samples: u64,
    /// Headers that were found where the one before said; a chance likeness is told from a frame by the second.
    in_step: u8,
}

impl Adts {
    pub(super) fn feed(
        &mut self,
        mut bytes: &[u8],
        tell: &mut impl FnMut(Stretch),
    ) -> Result<(), Broken> {
        loop {
            skip(&mut self.left, &mut bytes);
            if self.left > 0 {
                return Ok(());
            }
            if self.samples > 0 {
                let samples = std::mem::take(&mut self.samples);
                tell(Stretch {
                    sample: None,
                    samples,
                    in_sequence: true,
                });
            }
            if !self.header.gather(HEADER_BYTES, &mut bytes) {
                return Ok(());
            }
            match Frame::read(self.header.bytes) {
                Some(frame) => {
                    self.in_step = self.in_step.saturating_add(1);
                    self.left = frame.bytes - HEADER_BYTES as u64;
                    self.samples = frame.samples;
                    self.header = Field::default();
                }
                None if self.in_step >= IN_STEP => return Err(Broken("aac")),
                // Joined within a frame: on to the next byte.
                None => {
                    self.in_step = 0;
                    self.header.bytes.rotate_left(1);
                    self.header.have -= 1;
                }
            }
        }
    }
}

struct Frame {
    bytes: u64,
    samples: u64,
}

impl Frame {
    fn read(header: [u8; HEADER_BYTES]) -> Option<Self> {
        // Twelve bits of sync, and layer 0.
        if header[0] != 0xFF || header[1] & 0xF6 != 0xF0 {
            return None;
        }
        let rate_hz = *RATES_HZ.get(usize::from(header[2] >> 2 & 0xF))?;
        let bytes =
            u64::from(header[3] & 3) << 11 | u64::from(header[4]) << 3 | u64::from(header[5]) >> 5;
        let blocks = u64::from(header[6] & 3) + 1;
        (bytes > HEADER_BYTES as u64).then_some(Self {
            bytes,
            samples: blocks * 1_024 * 48_000 / rate_hz,
        })
    }
}

const HEADER_BYTES: usize = 7;
/// Two headers in step: the chance that bytes look so is below one in a million.
const IN_STEP: u8 = 2;
/// ISO/IEC 14496-3, table 1.18.
const RATES_HZ: [u64; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];
