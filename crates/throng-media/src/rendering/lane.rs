//! One rendition on its way: samples in, aligned packets out.

use bytes::Bytes;
use throng_core::rendition::{Codec, Rendition};

use crate::codec::{
    self, AAC_FRAME_LEN, AacEncode, AacEncoder, AacFrame, Content, OpusEncode, OpusEncoder,
    OpusSettings,
};
use crate::package::packets_per_part;
use crate::{FRAME_LEN, Frame};

/// The encoder of one rendition and what waits before and behind it.
pub(super) struct Lane {
    encoder: Encoder,
    codec: Codec,
    /// Samples that do not fill a packet yet; at most one packet and one frame.
    waiting: Vec<f32>,
    /// Packets still to come that lie before the first part and only prime the encoder.
    priming: usize,
    /// Packets of the part being filled; the fastest lane is at most two ahead.
    packets: Vec<Bytes>,
}

enum Encoder {
    Aac(Box<AacEncoder>),
    Opus(Box<OpusEncoder>),
}

impl Lane {
    /// A lane whose first packet will cover the samples right after `preroll_frames` frames.
    pub(super) fn new(rendition: Rendition, preroll_frames: usize) -> Self {
        let codec = rendition.codec();
        let encoder = Encoder::new(rendition);
        // The encoder's input, cut into packets, must be ahead of the programme by the lag. Zeros stand for what
        // was before the preroll, so that the cut falls right.
        let ahead = preroll_frames * FRAME_LEN + encoder.lag_samples();
        let priming = ahead.div_ceil(encoder.packet_samples());
        let waiting = vec![0.0; priming * encoder.packet_samples() - ahead];
        Self {
            encoder,
            codec,
            waiting,
            priming,
            packets: Vec::new(),
        }
    }

    /// Takes a frame and encodes what it completes: at most one packet.
    pub(super) fn push(&mut self, frame: &Frame) -> Option<Bytes> {
        self.waiting.extend_from_slice(frame);
        if self.waiting.len() < self.encoder.packet_samples() {
            return None;
        }
        let packet = self.encoder.encode(&self.waiting);
        self.waiting.drain(..self.encoder.packet_samples());
        if self.priming > 0 {
            self.priming -= 1;
            return None;
        }
        self.packets.push(packet.clone());
        Some(packet)
    }

    /// Whether a whole part is there.
    pub(super) fn has_part(&self) -> bool {
        self.packets.len() >= packets_per_part(self.codec)
    }

    /// Removes the packets of a part.
    pub(super) fn take_part(&mut self) -> Vec<Bytes> {
        self.packets.drain(..packets_per_part(self.codec)).collect()
    }
}

impl Encoder {
    fn new(rendition: Rendition) -> Self {
        let bit_rate = rendition.bit_rate();
        let content = match rendition {
            Rendition::O48 => Content::Mixed,
            _ => Content::Speech,
        };
        match rendition.codec() {
            Codec::Aac => Self::Aac(Box::new(codec::aac_encoder(bit_rate))),
            Codec::Opus => Self::Opus(Box::new(codec::opus_encoder(OpusSettings::programme(
                bit_rate, content, COMPLEXITY,
            )))),
        }
    }

    fn packet_samples(&self) -> usize {
        match self {
            Self::Aac(_) => AAC_FRAME_LEN,
            Self::Opus(_) => FRAME_LEN,
        }
    }

    fn lag_samples(&self) -> usize {
        match self {
            Self::Aac(encoder) => encoder.delay_samples(),
            Self::Opus(encoder) => encoder.lookahead_samples(),
        }
    }

    /// The packet of the first samples. Should the encoder ever refuse them, its place is kept by a packet that
    /// decoders conceal (Opus) or play as silence (AAC), for the timeline has no holes.
    fn encode(&mut self, samples: &[f32]) -> Bytes {
        match self {
            Self::Aac(encoder) => {
                let frame: &AacFrame = samples
                    .first_chunk()
                    .expect("the caller waits for a whole packet");
                encoder
                    .encode(frame)
                    .unwrap_or(Bytes::from_static(&SILENT_UNIT))
            }
            Self::Opus(encoder) => {
                let frame: &Frame = samples
                    .first_chunk()
                    .expect("the caller waits for a whole packet");
                encoder
                    .encode(frame)
                    .unwrap_or(Bytes::from_static(&LOST_PACKET))
            }
        }
    }
}

/// Costs 0.2 ms of each 20 ms at most, and buys 0.2 to 0.4 PESQ over complexity 5.
const COMPLEXITY: u8 = 10;
/// An Opus packet without a frame, full band, 20 ms (RFC 6716, section 3.2.1): concealed like a loss.
pub(super) const LOST_PACKET: [u8; 1] = [31 << 3];
/// A single channel element without a band in it (29 zero bits), then the end (ISO/IEC 14496-3, table 4.4).
pub(super) const SILENT_UNIT: [u8; 4] = [0, 0, 0, 7];
