//! What speakers hear: the shared encoding of the whole mix, and own encodings of the mix without oneself.
//!
//! A speaker's decoder gets one stream of packets from two encoders in turn. A decoder predicts from what it heard, so
//! an encoder that takes over has to have heard the same. An own encoder is primed with the last frames of the shared
//! one; and before the shared one takes over again both have encoded the same mix for a while. A lean line has an encoder
//! of its own all the time, which is not primed: what is heard is rough anyhow when a link has proved too narrow.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::Frame;
use crate::codec::{OpusEncode, OpusEncoder, OpusSettings, opus_encoder};

/// Frames with which an own encoder is primed, 100 ms: what an Opus decoder needs to settle (RFC 6716, section 2.1.4
/// asks for 80 ms of pre-roll).
const PRIMING_FRAMES: usize = 5;
/// Own encoders that are primed in one tick, 2 ms each. If more speakers begin within the same 20 ms the others begin
/// unprimed: heard, if at all, as a roughness while several people start to talk.
const PRIMINGS_MAX: usize = 2;
/// For so many frames the own encoder goes on after its speaker has left the mix, 300 ms.
const OWN_AFTER_FRAMES: u32 = 15;
/// Up to here a return is not bent.
const KNEE: f32 = 0.8;

/// The encoding of the whole mix, for all who are not in it.
pub(super) struct SharedReturn {
    encoder: OpusEncoder,
    /// The frames encoded last, oldest first.
    last: VecDeque<Frame>,
    primings_left: usize,
}

impl SharedReturn {
    pub(super) fn new() -> Self {
        Self {
            encoder: opus_encoder(OpusSettings::conversation()),
            last: VecDeque::with_capacity(PRIMING_FRAMES),
            primings_left: PRIMINGS_MAX,
        }
    }

    pub(super) fn begin_tick(&mut self) {
        self.primings_left = PRIMINGS_MAX;
    }

    /// The packet of the mix; `None` if the encoder gave up on the frame, which its hearers conceal.
    pub(super) fn encode(&mut self, mix: &Frame) -> Option<Bytes> {
        let frame = mix.map(bend);
        if self.last.len() == PRIMING_FRAMES {
            self.last.pop_front();
        }
        self.last.push_back(frame);
        self.encoder.encode(&frame).ok()
    }
}

/// The encoding for a speaker who is in the mix.
pub(super) struct OwnReturn {
    encoder: OpusEncoder,
    frames_left: u32,
    /// On a lean line: what the next packet waits for, less than three frames.
    waiting: Option<Vec<f32>>,
}

impl OwnReturn {
    /// Begins, keeps or ends a speaker's own encoding.
    pub(super) fn keep_while_needed(
        own: &mut Option<Self>,
        in_mix: bool,
        shared: &mut SharedReturn,
    ) {
        own.take_if(|own| own.waiting.is_some());
        match own {
            _ if in_mix => {
                let own = own.get_or_insert_with(|| Self::primed(shared));
                own.frames_left = OWN_AFTER_FRAMES;
            }
            Some(Self { frames_left: 0, .. }) => *own = None,
            Some(own) => own.frames_left -= 1,
            None => {}
        }
    }

    /// Sees to it that there is a lean one.
    pub(super) fn keep_lean(own: &mut Option<Self>) {
        if own.as_ref().is_none_or(|own| own.waiting.is_none()) {
            *own = Some(Self {
                encoder: opus_encoder(OpusSettings::lean()),
                frames_left: 0,
                waiting: Some(Vec::new()),
            });
        }
    }

    /// The packet of the mix without the speaker's part, and the frames in it; none on a lean line until the third frame.
    pub(super) fn encode(&mut self, mix: &Frame, part: &Frame) -> Option<(Bytes, u64)> {
        let frame = core::array::from_fn(|i| bend(mix[i] - part[i]));
        let Some(waiting) = &mut self.waiting else {
            return Some((self.encoder.encode(&frame).ok()?, 1));
        };
        waiting.extend_from_slice(&frame);
        let packet = self
            .encoder
            .encode_long(waiting.as_slice().try_into().ok()?);
        waiting.clear();
        Some((packet.ok()?, 3))
    }

    fn primed(shared: &mut SharedReturn) -> Self {
        let mut encoder = opus_encoder(OpusSettings::conversation());
        if shared.primings_left > 0 {
            shared.primings_left -= 1;
            for frame in &shared.last {
                // A frame that the encoder refuses primes nothing.
                let _ = encoder.encode(frame);
            }
        }
        Self {
            encoder,
            frames_left: OWN_AFTER_FRAMES,
            waiting: None,
        }
    }
}

/// Leaves a sample alone up to the knee and bends what is above it into full scale.
fn bend(sample: f32) -> f32 {
    let over = sample.abs() - KNEE;
    if over <= 0.0 {
        return sample;
    }
    (KNEE + (1.0 - KNEE) * (over / (1.0 - KNEE)).tanh()).copysign(sample)
}
