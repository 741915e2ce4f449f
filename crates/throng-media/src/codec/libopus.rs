//! libopus behind the same traits: the oracle of the differential tests, and the way back should `opus-pure` fail us.
#![allow(
    unsafe_code,
    reason = "libopus is C; every call is bounded by the lengths given with it"
)]

use std::ptr::NonNull;

use bytes::Bytes;
use opusic_sys as sys;
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
    inner: NonNull<sys::OpusDecoder>,
    decoded: Decoded,
}

// SAFETY: the C state is owned by this value alone and holds no reference to the thread that made it.
unsafe impl Send for Decoder {}

impl Decoder {
    /// A decoder that has heard nothing yet.
    pub fn new(channels: Channels) -> Self {
        let (mut error, count) = (0, channels.count().into());
        // SAFETY: `error` outlives the call.
        let inner = unsafe { sys::opus_decoder_create(SAMPLE_RATE_HZ, count, &raw mut error) };
        let inner = NonNull::new(inner)
            .expect("48 kHz of one channel or two is legal and memory does not run out");
        Self {
            inner,
            decoded: Decoded::new(channels),
        }
    }

    /// Runs the decoder over a packet (none: conceal) for at most `capacity` samples.
    fn run(&mut self, packet: &[u8], capacity: usize, fec: bool) -> Result<usize, CodecError> {
        let data = if packet.is_empty() {
            std::ptr::null()
        } else {
            packet.as_ptr()
        };
        let capacity = capacity.min(MAX_PACKET_SAMPLES);
        let room = self.decoded.room(capacity);
        // SAFETY: `data` is null or points to as many bytes as stated; `room` holds `capacity` samples of each channel.
        let samples = unsafe {
            sys::opus_decode_float(
                self.inner.as_ptr(),
                data,
                c_len(packet.len()),
                room.as_mut_ptr(),
                c_len(capacity),
                fec.into(),
            )
        };
        usize::try_from(samples).map_err(|_| CodecError::Malformed)
    }
}

impl OpusDecode for Decoder {
    fn decode(&mut self, packet: &[u8]) -> Result<&[f32], CodecError> {
        admit(packet)?;
        let samples = self.run(packet, MAX_PACKET_SAMPLES, false)?;
        Ok(self.decoded.take(samples, samples))
    }

    fn recover(&mut self, following: &[u8]) -> Result<&[f32], CodecError> {
        admit(following)?;
        let samples = self.run(following, FRAME_LEN, true)?;
        Ok(self.decoded.take(samples, samples))
    }

    fn conceal(&mut self, samples: usize) -> &[f32] {
        let samples = samples.min(MAX_PACKET_SAMPLES);
        let whole = samples - samples % CONCEALED_STEP_SAMPLES;
        let done = self.run(&[], whole, false).unwrap_or(0);
        self.decoded.take(done, samples)
    }

    fn side(&self) -> Option<&[f32]> {
        self.decoded.side()
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: created by `opus_decoder_create`, destroyed once.
        unsafe { sys::opus_decoder_destroy(self.inner.as_ptr()) };
    }
}

/// Encodes one channel or two.
#[derive(Debug)]
pub struct Encoder {
    inner: NonNull<sys::OpusEncoder>,
    channels: Channels,
    packet: [u8; MAX_ENCODED_BYTES],
}

// SAFETY: the C state is owned by this value alone and holds no reference to the thread that made it.
unsafe impl Send for Encoder {}

impl Encoder {
    /// An encoder at the beginning of its stream.
    pub fn new(settings: OpusSettings) -> Self {
        let application = match settings.content {
            Content::Mixed => sys::OPUS_APPLICATION_AUDIO,
            Content::Speech => sys::OPUS_APPLICATION_VOIP,
        };
        let (mut error, channels) = (0, settings.channels);
        let count = channels.count().into();
        // SAFETY: `error` outlives the call.
        let inner =
            unsafe { sys::opus_encoder_create(SAMPLE_RATE_HZ, count, application, &raw mut error) };
        let inner = NonNull::new(inner)
            .expect("48 kHz of one channel or two is legal and memory does not run out");
        let mut encoder = Self {
            inner,
            channels,
            packet: [0; MAX_ENCODED_BYTES],
        };
        encoder.set(
            sys::OPUS_SET_BITRATE_REQUEST,
            settings.bit_rate.cast_signed(),
        );
        encoder.set(
            sys::OPUS_SET_COMPLEXITY_REQUEST,
            settings.complexity.min(10).into(),
        );
        encoder.set(
            sys::OPUS_SET_INBAND_FEC_REQUEST,
            settings.in_band_fec.into(),
        );
        encoder.set(
            sys::OPUS_SET_PACKET_LOSS_PERC_REQUEST,
            settings.expected_loss_percent.min(100).into(),
        );
        encoder.set(sys::OPUS_SET_DTX_REQUEST, settings.dtx.into());
        encoder.set(
            sys::OPUS_SET_VBR_REQUEST,
            (settings.rate_control != RateControl::Constant).into(),
        );
        encoder.set(
            sys::OPUS_SET_VBR_CONSTRAINT_REQUEST,
            (settings.rate_control == RateControl::Constrained).into(),
        );
        encoder
    }

    fn set(&mut self, request: i32, value: i32) {
        // SAFETY: every request used here takes one `opus_int32` by value.
        unsafe { sys::opus_encoder_ctl(self.inner.as_ptr(), request, value) };
    }
}

impl Encoder {
    fn encode_planes(&mut self, mid: &[f32], side: Option<&[f32]>) -> Result<Bytes, CodecError> {
        self.encode_samples(&interleaved(self.channels, mid, side), mid.len())
    }

    fn encode_samples(&mut self, pcm: &[f32], samples: usize) -> Result<Bytes, CodecError> {
        assert_eq!(pcm.len(), samples * usize::from(self.channels.count()));
        // SAFETY: as many samples of each channel, and bytes, are there as stated.
        let bytes = unsafe {
            sys::opus_encode_float(
                self.inner.as_ptr(),
                pcm.as_ptr(),
                c_len(samples),
                self.packet.as_mut_ptr(),
                c_len(MAX_ENCODED_BYTES),
            )
        };
        let bytes = usize::try_from(bytes).map_err(|_| CodecError::Encoder)?;
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
        let mut samples: i32 = 0;
        // SAFETY: the request writes one `opus_int32` through the pointer, which outlives the call.
        unsafe {
            sys::opus_encoder_ctl(
                self.inner.as_ptr(),
                sys::OPUS_GET_LOOKAHEAD_REQUEST,
                &raw mut samples,
            )
        };
        samples.unsigned_abs() as usize
    }

    fn expect_loss(&mut self, percent: u8) {
        self.set(
            sys::OPUS_SET_PACKET_LOSS_PERC_REQUEST,
            percent.min(100).into(),
        );
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // SAFETY: created by `opus_encoder_create`, destroyed once.
        unsafe { sys::opus_encoder_destroy(self.inner.as_ptr()) };
    }
}

/// A length as C takes it; every length here is bounded far below.
fn c_len(len: usize) -> i32 {
    i32::try_from(len).expect("lengths are bounded by the constants of this module")
}
