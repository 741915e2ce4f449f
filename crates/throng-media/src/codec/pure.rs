//! Opus in pure Rust, by the crate `opus-pure`.
//!
//! It has no switch for inter-frame prediction, so segments do not begin with prediction off here.

use bytes::Bytes;
use opus_pure::Application;

use super::{
    CONCEALED_STEP_SAMPLES, CodecError, Content, LongFrame, MAX_ENCODED_BYTES, MAX_PACKET_SAMPLES,
    OpusDecode, OpusEncode, OpusSettings, RateControl, admit, tame,
};
use crate::{FRAME_LEN, Frame};

const SAMPLE_RATE_HZ: i32 = 48_000;

/// Decodes to mono.
#[derive(Debug)]
pub struct Decoder {
    inner: opus_pure::OpusDecoder,
    pcm: Box<[f32]>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder that has heard nothing yet.
    pub fn new() -> Self {
        let inner = opus_pure::OpusDecoder::new(SAMPLE_RATE_HZ, 1)
            .expect("48 kHz mono is a legal configuration");
        Self {
            inner,
            pcm: vec![0.0; MAX_PACKET_SAMPLES].into_boxed_slice(),
        }
    }
}

impl OpusDecode for Decoder {
    fn decode(&mut self, packet: &[u8]) -> Result<&[f32], CodecError> {
        admit(packet)?;
        let samples = self
            .inner
            .decode(packet, MAX_PACKET_SAMPLES, &mut self.pcm)
            .map_err(|_| CodecError::Malformed)?;
        tame(&mut self.pcm[..samples]);
        Ok(&self.pcm[..samples])
    }

    fn recover(&mut self, following: &[u8]) -> Result<&[f32], CodecError> {
        admit(following)?;
        self.inner
            .decode_fec(following, FRAME_LEN, &mut self.pcm[..FRAME_LEN])
            .map_err(|_| CodecError::Malformed)?;
        tame(&mut self.pcm[..FRAME_LEN]);
        Ok(&self.pcm[..FRAME_LEN])
    }

    fn conceal(&mut self, samples: usize) -> &[f32] {
        let pcm = &mut self.pcm[..samples.min(MAX_PACKET_SAMPLES)];
        // The crate panics on lengths that Opus does not know.
        let whole = pcm.len() - pcm.len() % CONCEALED_STEP_SAMPLES;
        let done = if whole > 0 {
            self.inner.decode(&[], whole, pcm).unwrap_or(0)
        } else {
            0
        };
        pcm[done..].fill(0.0);
        tame(pcm);
        pcm
    }
}

/// Encodes mono.
pub struct Encoder {
    inner: opus_pure::OpusEncoder,
    packet: [u8; MAX_ENCODED_BYTES],
}

impl Encoder {
    /// An encoder at the beginning of its stream.
    pub fn new(settings: OpusSettings) -> Self {
        let application = match settings.content {
            Content::Mixed => Application::Audio,
            Content::Speech => Application::Voip,
        };
        let mut inner = opus_pure::OpusEncoder::new(SAMPLE_RATE_HZ, 1, application)
            .expect("48 kHz mono is a legal configuration");
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
            packet: [0; MAX_ENCODED_BYTES],
        }
    }
}

impl Encoder {
    fn encode_samples(&mut self, samples: &[f32]) -> Result<Bytes, CodecError> {
        let bytes = self
            .inner
            .encode(samples, samples.len(), &mut self.packet)
            .map_err(|_| CodecError::Encoder)?;
        Ok(Bytes::copy_from_slice(&self.packet[..bytes]))
    }
}

impl OpusEncode for Encoder {
    fn encode(&mut self, frame: &Frame) -> Result<Bytes, CodecError> {
        self.encode_samples(frame)
    }

    fn encode_long(&mut self, frames: &LongFrame) -> Result<Bytes, CodecError> {
        self.encode_samples(frames)
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
