//! One rendition on its way: samples in, aligned packets out.

use bytes::Bytes;
use throng_core::rendition::{Channels, Codec, Rendition};

use crate::codec::{
    self, AAC_FRAME_LEN, AacEncode, AacEncoder, AacFrame, Content, OpusEncode, OpusEncoder,
    OpusSettings,
};
use crate::package::packets_per_part;
use crate::{FRAME_LEN, Frame, SILENCE};

/// The encoder of one rendition and what waits before and behind it.
pub(super) struct Lane {
    encoder: Encoder,
    codec: Codec,
    /// Samples that do not fill a packet yet; at most one packet and one frame.
    waiting: Vec<f32>,
    /// Their side, as many, in a rendition that carries one; else empty.
    waiting_side: Vec<f32>,
    carries_side: bool,
    /// Packets still to come that lie before the first part and only prime the encoder.
    priming: usize,
    /// Packets of the part being filled; the fastest lane is at most two ahead.
    packets: Vec<Bytes>,
}

enum Encoder {
    Aac(Box<AacEncoder>, Channels),
    Opus(Box<OpusEncoder>),
}

impl Lane {
    /// A lane whose first packet will cover the samples right after `preroll_frames` frames.
    pub(super) fn new(rendition: Rendition, channels: Channels, preroll_frames: usize) -> Self {
        let codec = rendition.codec();
        let encoder = Encoder::new(rendition, channels);
        // The encoder's input, cut into packets, must be ahead of the programme by the lag. Zeros stand for what
        // was before the preroll, so that the cut falls right.
        let ahead = preroll_frames * FRAME_LEN + encoder.lag_samples();
        let priming = ahead.div_ceil(encoder.packet_samples());
        let waiting = vec![0.0; priming * encoder.packet_samples() - ahead];
        let carries_side = channels.is_stereo() && rendition.carries_side();
        Self {
            waiting_side: if carries_side {
                waiting.clone()
            } else {
                Vec::new()
            },
            carries_side,
            encoder,
            codec,
            waiting,
            priming,
            packets: Vec::new(),
        }
    }

    /// Takes a frame by its middle and side, and encodes what it completes: at most one packet.
    pub(super) fn push(&mut self, mid: &Frame, side: Option<&Frame>) -> Option<Bytes> {
        self.waiting.extend_from_slice(mid);
        if self.carries_side {
            self.waiting_side
                .extend_from_slice(side.unwrap_or(&SILENCE));
        }
        let samples = self.encoder.packet_samples();
        if self.waiting.len() < samples {
            return None;
        }
        let packet = self.encoder.encode(&self.waiting, &self.waiting_side);
        self.waiting.drain(..samples);
        self.waiting_side
            .drain(..samples.min(self.waiting_side.len()));
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
    fn new(rendition: Rendition, channels: Channels) -> Self {
        let bit_rate = rendition.bit_rate();
        let content = match rendition {
            Rendition::O48 => Content::Mixed,
            _ => Content::Speech,
        };
        match rendition.codec() {
            Codec::Aac => Self::Aac(Box::new(codec::aac_encoder(channels, bit_rate)), channels),
            Codec::Opus => {
                let settings = OpusSettings::programme(bit_rate, content, COMPLEXITY);
                // A decoder of two channels takes packets of one (RFC 7845, section 5.1.1).
                let coded = if rendition.carries_side() {
                    channels
                } else {
                    Channels::Mono
                };
                Self::Opus(Box::new(codec::opus_encoder(settings.of(coded))))
            }
        }
    }

    fn packet_samples(&self) -> usize {
        match self {
            Self::Aac(..) => AAC_FRAME_LEN,
            Self::Opus(_) => FRAME_LEN,
        }
    }

    fn lag_samples(&self) -> usize {
        match self {
            Self::Aac(encoder, _) => encoder.delay_samples(),
            Self::Opus(encoder) => encoder.lookahead_samples(),
        }
    }

    /// The packet of the first samples, with the side if there is one. Should the encoder ever refuse them, its place is
    /// kept by a packet that decoders conceal (Opus) or play as silence (AAC), for the timeline has no holes.
    fn encode(&mut self, samples: &[f32], side: &[f32]) -> Bytes {
        const WHOLE: &str = "the caller waits for a whole packet";
        match self {
            Self::Aac(encoder, channels) => {
                let mid: &AacFrame = samples.first_chunk().expect(WHOLE);
                let unit = match side.first_chunk() {
                    Some(side) => encoder.encode_wide(mid, side),
                    None => encoder.encode(mid),
                };
                unit.unwrap_or(Bytes::from_static(silent_unit(*channels)))
            }
            Self::Opus(encoder) => {
                let mid: &Frame = samples.first_chunk().expect(WHOLE);
                let packet = match side.first_chunk() {
                    Some(side) => encoder.encode_wide(mid, side),
                    None => encoder.encode(mid),
                };
                packet.unwrap_or(Bytes::from_static(&LOST_PACKET))
            }
        }
    }
}

/// An access unit without a band in it.
pub(super) const fn silent_unit(channels: Channels) -> &'static [u8] {
    match channels {
        Channels::Mono => &SILENT_UNIT,
        Channels::Stereo => &SILENT_PAIR,
    }
}

/// Costs 0.2 ms of each 20 ms at most, and buys 0.2 to 0.4 PESQ over complexity 5.
const COMPLEXITY: u8 = 10;
/// An Opus packet without a frame, full band, 20 ms (RFC 6716, section 3.2.1): concealed like a loss.
pub(super) const LOST_PACKET: [u8; 1] = [31 << 3];
/// A single channel element without a band in it (29 zero bits), then the end (ISO/IEC 14496-3, table 4.4).
pub(super) const SILENT_UNIT: [u8; 4] = [0, 0, 0, 7];
/// A channel pair element without a common window and without a band (its number 1, then 49 zero bits), then the end.
const SILENT_PAIR: [u8; 7] = [0x20, 0, 0, 0, 0, 0, 0x0E];
