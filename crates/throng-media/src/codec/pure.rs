//! Opus in pure Rust, by the crate `opus-pure`.
//!
//! It has no switch for inter-frame prediction, so segments do not begin with prediction off here.

use bytes::Bytes;
use opus_pure::Application;
use throng_core::rendition::Channels;

use super::{
    CONCEALED_STEP_SAMPLES, CodecError, Content, LongFrame, MAX_ENCODED_BYTES, MAX_PACKET_SAMPLES,
    OpusDecode, OpusEncode, OpusSettings, RateControl, admit,
};
use crate::codec::planes::{Decoded, interleaved};
use crate::{FRAME_LEN, Frame};

const SAMPLE_RATE_HZ: i32 = 48_000;

/// Decodes to one channel or two, whatever a packet has.
#[derive(Debug)]
pub struct Decoder {
    inner: opus_pure::OpusDecoder,
    decoded: Decoded,
}

impl Decoder {
    /// A decoder that has heard nothing yet.
    pub fn new(channels: Channels) -> Self {
        let inner = opus_pure::OpusDecoder::new(SAMPLE_RATE_HZ, channels.count().into())
            .expect("48 kHz of one channel or two is a legal configuration");
        Self {
            inner,
            decoded: Decoded::new(channels),
        }
    }
}

impl OpusDecode for Decoder {
    fn decode(&mut self, packet: &[u8]) -> Result<&[f32], CodecError> {
        admit(packet)?;
        let samples = self
            .inner
            .decode(
                packet,
                MAX_PACKET_SAMPLES,
                self.decoded.room(MAX_PACKET_SAMPLES),
            )
            .map_err(|_| CodecError::Malformed)?;
        Ok(self.decoded.take(samples, samples))
    }

    fn recover(&mut self, following: &[u8]) -> Result<&[f32], CodecError> {
        admit(following)?;
        self.inner
            .decode_fec(following, FRAME_LEN, self.decoded.room(FRAME_LEN))
            .map_err(|_| CodecError::Malformed)?;
        Ok(self.decoded.take(FRAME_LEN, FRAME_LEN))
    }

    fn conceal(&mut self, samples: usize) -> &[f32] {
        let samples = samples.min(MAX_PACKET_SAMPLES);
        // The crate panics on lengths that Opus does not know.
        let whole = samples - samples % CONCEALED_STEP_SAMPLES;
        let done = if whole > 0 {
            let room = self.decoded.room(whole);
            self.inner.decode(&[], whole, room).unwrap_or(0)
        } else {
            0
        };
        self.decoded.take(done, samples)
    }

    fn side(&self) -> Option<&[f32]> {
        self.decoded.side()
    }
}

/// Encodes one channel or two.
pub struct Encoder {
    inner: opus_pure::OpusEncoder,
    channels: Channels,
    packet: [u8; MAX_ENCODED_BYTES],
}

impl Encoder {
    /// An encoder at the beginning of its stream.
    pub fn new(settings: OpusSettings) -> Self {
        let application = match settings.content {
            Content::Mixed => Application::Audio,
            Content::Speech => Application::Voip,
        };
        let channels = settings.channels;
        let count = channels.count().into();
        let mut inner = opus_pure::OpusEncoder::new(SAMPLE_RATE_HZ, count, application)
            .expect("48 kHz of one channel or two is a legal configuration");
        inner.bitrate_bps = settings.bit_rate.min(MAX_BIT_RATE).cast_signed();
        inner.complexity = settings.complexity.min(10).into();
        inner.use_inband_fec = settings.in_band_fec;
        inner.packet_loss_perc = settings.expected_loss_percent.min(100).into();
        inner.use_dtx = settings.dtx;
        inner.rate_control = match settings.rate_control {
            RateControl::Constant => opus_pure::RateControl::Cbr,
            RateControl::Constrained => opus_pure::RateControl::ConstrainedVbr,
            RateControl::Variable => opus_pure::RateControl::Vbr,
        };
        Self {
            inner,
            channels,
            packet: [0; MAX_ENCODED_BYTES],
        }
    }
}

impl Encoder {
    fn encode_planes(&mut self, mid: &[f32], side: Option<&[f32]>) -> Result<Bytes, CodecError> {
        self.encode_samples(&interleaved(self.channels, mid, side), mid.len())
    }

    fn encode_samples(&mut self, pcm: &[f32], samples: usize) -> Result<Bytes, CodecError> {
        let bytes = self
            .inner
            .encode(pcm, samples, &mut self.packet)
            .map_err(|_| CodecError::Encoder)?;
        Ok(Bytes::copy_from_slice(&self.packet[..bytes]))
    }
}

impl OpusEncode for Encoder {
    fn encode(&mut self, frame: &Frame) -> Result<Bytes, CodecError> {
        self.encode_planes(frame, None)
    }

    fn encode_wide(&mut self, mid: &Frame, side: &Frame) -> Result<Bytes, CodecError> {
        self.encode_planes(mid, Some(side))
    }

    fn encode_long(&mut self, frames: &LongFrame) -> Result<Bytes, CodecError> {
        self.encode_planes(frames, None)
    }

    fn lookahead_samples(&self) -> usize {
        self.inner.lookahead()
    }

    fn expect_loss(&mut self, percent: u8) {
        self.inner.packet_loss_perc = percent.min(100).into();
    }
}

/// The highest bit rate that Opus knows (RFC 6716, section 2.1.1).
const MAX_BIT_RATE: u32 = 510_000;
