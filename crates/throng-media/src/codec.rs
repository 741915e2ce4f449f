//! Opus and AAC behind traits of our own, so that no other file knows whose codec is at work.
//!
//! Sound is 48 kHz, of one channel or two. A decoder takes whatever a speaker sends (RFC 6716: 2.5 to 120 ms, mono or
//! stereo) and answers with samples in [-1, 1] or an error, never a panic. An encoder takes one frame and answers with one packet.
//! Both Opus codecs run here: `opus-pure` by default, libopus with the feature `libopus`, and each is tested against the
//! other.
#![allow(
    clippy::missing_panics_doc,
    reason = "constructors state why their configuration is always legal; no input reaches a panic"
)]

mod aac;
#[cfg(feature = "libopus")]
pub mod libopus;
mod planes;
pub mod pure;
#[cfg(test)]
pub(crate) mod signal;
#[cfg(test)]
mod tests;

// The Opus in use: naming `libopus` here (with its feature on) is the way back to the C library.
use pure as opus;

use bytes::Bytes;
use thiserror::Error;
use throng_core::rendition::Channels;
use throng_core::timeline::AAC_FRAME_SAMPLES;

use crate::{FRAME_LEN, Frame};

pub use aac::AacEncoder;

/// The default Opus decoder.
pub type OpusDecoder = opus::Decoder;
/// The default Opus encoder.
pub type OpusEncoder = opus::Encoder;

/// A decoder of one channel, for one speaker.
pub fn opus_decoder() -> OpusDecoder {
    opus_decoder_of(Channels::Mono)
}

/// A decoder of one channel or two.
pub fn opus_decoder_of(channels: Channels) -> OpusDecoder {
    OpusDecoder::new(channels)
}

/// An encoder for one listener or rendition.
pub fn opus_encoder(settings: OpusSettings) -> OpusEncoder {
    OpusEncoder::new(settings)
}

/// An AAC-LC encoder of the given bit rate, bits per second.
pub fn aac_encoder(channels: Channels, bit_rate: u32) -> AacEncoder {
    AacEncoder::new(channels, bit_rate)
}

/// Decodes one stream of Opus packets: answers with the middle, and beside it the [side](OpusDecode::side). Every answer
/// borrows the decoder's own buffer: nothing is allocated.
pub trait OpusDecode {
    /// The samples of a packet: 120 to 5,760 of them. After an error the decoder goes on as if the packet were lost.
    fn decode(&mut self, packet: &[u8]) -> Result<&[f32], CodecError>;

    /// The lost frame (20 ms) before `following`, from the copy that in-band FEC put into that packet (RFC 6716,
    /// section 2.1.7), or concealed where it carries none. Decode `following` itself afterwards.
    fn recover(&mut self, following: &[u8]) -> Result<&[f32], CodecError>;

    /// A guess at `samples` lost samples, continuing what was heard: at most [`MAX_PACKET_SAMPLES`], and silence in
    /// what is beyond a whole number of 2.5 ms.
    fn conceal(&mut self, samples: usize) -> &[f32];

    /// The side of the last answer, as long as that; `None` where the decoder has one channel.
    fn side(&self) -> Option<&[f32]> {
        None
    }
}

/// Encodes one stream of frames, a packet for each.
pub trait OpusEncode {
    /// The packet of the next frame, the same in both ears.
    fn encode(&mut self, frame: &Frame) -> Result<Bytes, CodecError>;

    /// The packet of the next frame by its middle and side. An encoder of one channel leaves the side out.
    fn encode_wide(&mut self, mid: &Frame, side: &Frame) -> Result<Bytes, CodecError>;

    /// One packet of three frames, for a link on which headers weigh more than sound.
    fn encode_long(&mut self, frames: &LongFrame) -> Result<Bytes, CodecError>;

    /// By how many samples the decoded sound lags the frames.
    fn lookahead_samples(&self) -> usize;

    /// Packet loss to defend against from the next frame on.
    fn expect_loss(&mut self, percent: u8);
}

/// Encodes one stream of AAC-LC access units.
pub trait AacEncode {
    /// The access unit that is ready after these samples, the same in both ears: raw, without a header.
    fn encode(&mut self, samples: &AacFrame) -> Result<Bytes, CodecError>;

    /// The same by middle and side. An encoder of one channel leaves the side out.
    fn encode_wide(&mut self, mid: &AacFrame, side: &AacFrame) -> Result<Bytes, CodecError>;

    /// By how many samples the decoded sound lags the input.
    fn delay_samples(&self) -> usize;

    /// The `AudioSpecificConfig` (ISO/IEC 14496-3) that a decoder needs.
    fn audio_specific_config(&self) -> &[u8];
}

/// The samples of three frames: 60 ms, the longest that Opus codes as one piece (RFC 6716, section 2.1.4).
pub type LongFrame = [f32; 3 * FRAME_LEN];

/// The samples of one AAC access unit.
pub type AacFrame = [f32; AAC_FRAME_LEN];

/// How an Opus encoder works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpusSettings {
    /// One channel or two.
    pub channels: Channels,
    /// Bits per second on average.
    pub bit_rate: u32,
    /// What is mostly encoded.
    pub content: Content,
    /// 0 (cheap) to 10 (best).
    pub complexity: u8,
    /// Whether each packet carries a coarse copy of the frame before it.
    pub in_band_fec: bool,
    /// Packet loss to defend against, 0 to 100.
    pub expected_loss_percent: u8,
    /// Whether silence is sent as next to nothing.
    pub dtx: bool,
    /// How far a packet may stray from the average size.
    pub rate_control: RateControl,
}

impl OpusSettings {
    /// For listeners: over TCP nothing is lost, so every bit goes into the sound.
    pub const fn programme(bit_rate: u32, content: Content, complexity: u8) -> Self {
        Self {
            channels: Channels::Mono,
            bit_rate,
            content,
            complexity,
            in_band_fec: false,
            expected_loss_percent: 0,
            dtx: false,
            rate_control: RateControl::Constrained,
        }
    }

    /// For speakers and WHEP: over UDP, where packets get lost and one that is late is worth nothing.
    pub const fn conversation() -> Self {
        Self {
            channels: Channels::Mono,
            bit_rate: 32_000,
            content: Content::Speech,
            complexity: 5,
            in_band_fec: true,
            expected_loss_percent: 10,
            dtx: false,
            rate_control: RateControl::Constrained,
        }
    }

    /// For a speaker whose sound has two channels: music, most of the time.
    pub const fn wide_conversation() -> Self {
        Self {
            channels: Channels::Stereo,
            bit_rate: 96_000,
            content: Content::Mixed,
            ..Self::conversation()
        }
    }

    /// The same for so many channels.
    #[must_use]
    pub const fn of(self, channels: Channels) -> Self {
        Self { channels, ..self }
    }

    /// For speakers on a link that bears no more: intelligible, and nothing beside it. As long frames, with all headers,
    /// 24 kbit/s.
    pub const fn lean() -> Self {
        Self {
            bit_rate: 16_000,
            in_band_fec: false,
            expected_loss_percent: 0,
            ..Self::conversation()
        }
    }
}

/// What an encoder mostly hears. From complexity 7 on it still listens, and codes music as music.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Speech and music alike.
    Mixed,
    /// Speech: rumble is filtered out and borderline sound is coded as speech.
    Speech,
}

/// How far a packet may stray from the average size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateControl {
    /// Every packet is of one size.
    Constant,
    /// Packets differ, any short stretch keeps to the rate.
    Constrained,
    /// Packets differ, the rate is kept in the long run only.
    Variable,
}

/// Why a codec refused. Nothing here is a reason to stop: the next packet or frame may be fine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CodecError {
    /// The packet is longer than [`MAX_PACKET_BYTES`].
    #[error("packet of {bytes} bytes exceeds {MAX_PACKET_BYTES}")]
    Oversize {
        /// Its length.
        bytes: usize,
    },
    /// The packet is not Opus: the sender's fault.
    #[error("malformed Opus packet")]
    Malformed,
    /// The encoder gave up on a frame: the samples or the codec are at fault.
    #[error("encoder refused a frame")]
    Encoder,
}

/// Longest packet that is decoded. A packet comes in one datagram, which a network hardly carries above 1,500 bytes;
/// longer ones are refused unread.
pub const MAX_PACKET_BYTES: usize = 1_500;

/// Most samples of one packet: 120 ms (RFC 6716, section 3.2.5).
pub const MAX_PACKET_SAMPLES: usize = 5_760;

/// Opus conceals in steps of 2.5 ms.
const CONCEALED_STEP_SAMPLES: usize = 120;

/// Longest packet that an encoder writes: one frame of the largest size (RFC 6716, section 3.2.1) and its header.
const MAX_ENCODED_BYTES: usize = 1_276;

/// Samples of one [`AacFrame`].
pub const AAC_FRAME_LEN: usize = 1_024;
const _: () = assert!(AAC_FRAME_LEN as u64 == AAC_FRAME_SAMPLES);

/// Refuses what no decoder needs to see.
fn admit(packet: &[u8]) -> Result<(), CodecError> {
    match packet.len() {
        0 => Err(CodecError::Malformed),
        1..=MAX_PACKET_BYTES => Ok(()),
        bytes => Err(CodecError::Oversize { bytes }),
    }
}
