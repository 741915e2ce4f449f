//! One speaker's own sound, rendered beside the programme and in step with it to the sample: from place 0 (the first part of
//! the recording) on, every part once.
//!
//! A speaker is silent most of the time. Silence costs no encoder: as long as whole parts of it come, each is the same few
//! bytes, and the encoder begins anew at his next word.

use bytes::Bytes;
use throng_core::rendition::{Channels, Rendition};
use throng_core::timeline::{FRAMES_PER_PART, PartIndex};

use super::lane::Lane;
use super::{LAG_FRAMES, Silence};
use crate::limiter::LATENCY_SAMPLES;
use crate::package::package;
use crate::{FRAME_LEN, Frame, SILENCE, WideFrame};

/// The best there is for listeners is good enough for an editor's ear.
pub const TRACK_RENDITION: Rendition = Rendition::O48;

/// Frames of silence before an encoder that begins.
const PRIMING_FRAMES: usize = 1;

type Late = [f32; LATENCY_SAMPLES];

/// Renders one speaker's track.
pub struct Track {
    /// What is heard with the next frame: the programme's limiter is later by this than the stage, and so is a track.
    late: Late,
    /// The same of the side.
    late_side: Late,
    channels: Channels,
    /// While there is more than silence to be encoded.
    lane: Option<Lane>,
    /// Frames of the part that is being filled, 0 to 15.
    frames: u64,
    /// Frames of silence since the last sound.
    silent: u64,
    /// The place of the part that comes out next.
    next: PartIndex,
}

impl Track {
    /// A track from a place on; what was before was silence.
    pub fn new(channels: Channels, first: PartIndex) -> Self {
        Self {
            late: [0.0; LATENCY_SAMPLES],
            late_side: [0.0; LATENCY_SAMPLES],
            channels,
            lane: None,
            frames: 0,
            silent: 0,
            next: first,
        }
    }

    /// The place of the part that comes out next.
    pub fn next(&self) -> PartIndex {
        self.next
    }

    /// Takes the next frame of the speaker; gives the CMAF chunk of a part that is complete.
    pub fn push(&mut self, sent: &WideFrame, silence: &Silence) -> Option<Bytes> {
        let frame = self.delay(sent);
        let is_silent = frame.is_silent();
        self.silent = if is_silent { self.silent + 1 } else { 0 };
        if self.lane.is_none() && !is_silent {
            self.lane = Some(self.begin());
        }
        self.frames = (self.frames + 1) % FRAMES_PER_PART;
        let Some(lane) = &mut self.lane else {
            let is_whole = self.frames == 0;
            return is_whole.then(|| silence.chunk(TRACK_RENDITION, self.take_place()));
        };
        lane.push(&frame.mid, frame.side.as_deref());
        if !lane.has_part() {
            return None;
        }
        let packets = lane.take_part();
        // The encoder is a frame behind: a whole part of silence has come since its last sound, and it holds no more.
        if self.silent > FRAMES_PER_PART {
            self.lane = None;
        }
        Some(package(TRACK_RENDITION, self.take_place(), &packets).cmaf)
    }

    /// Completes the last part whose frames were all pushed, if it is not out yet.
    pub fn finish(mut self, silence: &Silence) -> Option<Bytes> {
        self.lane.as_ref()?;
        (0..LAG_FRAMES).find_map(|_| self.push(&WideFrame::SILENCE, silence))
    }

    fn begin(&self) -> Lane {
        let mut lane = Lane::new(TRACK_RENDITION, self.channels, PRIMING_FRAMES);
        for _ in 0..PRIMING_FRAMES as u64 + self.frames {
            lane.push(&SILENCE, None);
        }
        lane
    }

    fn take_place(&mut self) -> PartIndex {
        let place = self.next;
        self.next = place.next();
        place
    }

    fn delay(&mut self, sent: &WideFrame) -> WideFrame {
        let side = sent.side.as_deref().unwrap_or(&SILENCE);
        WideFrame::new(
            delayed(&mut self.late, &sent.mid),
            delayed(&mut self.late_side, side),
        )
    }
}

fn delayed(late: &mut Late, sent: &Frame) -> Frame {
    let mut frame = SILENCE;
    let (now, next) = sent.split_at(FRAME_LEN - LATENCY_SAMPLES);
    frame[..LATENCY_SAMPLES].copy_from_slice(late);
    frame[LATENCY_SAMPLES..].copy_from_slice(now);
    late.copy_from_slice(next);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::signal::{frames, lag, snr_db, speech};
    use crate::codec::{OpusDecode, opus_decoder};
    use crate::package::packets;

    const PART_LEN: usize = 16 * FRAME_LEN;

    /// The places of the parts, and what a player makes of them.
    fn rendered(sent: &[Frame]) -> (Vec<u64>, Vec<f32>, usize) {
        let silence = Silence::new(Channels::Mono);
        let mut track = Track::new(Channels::Mono, PartIndex(0));
        let mut chunks: Vec<_> = sent
            .iter()
            .filter_map(|&frame| track.push(&frame.into(), &silence))
            .collect();
        chunks.extend(track.finish(&silence));
        let mut decoder = opus_decoder();
        let heard = chunks
            .iter()
            .flat_map(|chunk| packets(chunk).unwrap())
            .flat_map(|packet| decoder.decode(&packet).unwrap().to_vec());
        let heard = heard.collect();
        let silent = (0..chunks.len() as u64)
            .zip(&chunks)
            .filter(|(place, chunk)| **chunk == silence.chunk(TRACK_RENDITION, PartIndex(*place)));
        let silent = silent.count();
        let places = chunks
            .iter()
            .map(|chunk| decode_time(chunk) / PART_LEN as u64);
        (places.collect(), heard, silent)
    }

    /// `tfdt` of version 1: eight bytes after its name and version (ISO/IEC 14496-12, 8.8.12).
    fn decode_time(chunk: &[u8]) -> u64 {
        let at = chunk.windows(4).position(|name| name == b"tfdt").unwrap() + 8;
        u64::from_be_bytes(chunk[at..at + 8].try_into().unwrap())
    }

    #[test]
    fn a_track_is_in_step_with_the_programme_to_the_sample_and_silence_costs_no_encoder() {
        let mut sound = vec![0.0; 40 * PART_LEN];
        // Begins and ends in the midst of parts, twice.
        for (from, to) in [
            (5 * PART_LEN + 3_000, 11 * PART_LEN + 777),
            (25 * PART_LEN, 31 * PART_LEN + 1),
        ] {
            sound[from..to].copy_from_slice(&speech(3, to - from));
        }
        let (places, heard, silent) = rendered(&frames(&sound));
        assert_eq!(
            places,
            (0..40).collect::<Vec<_>>(),
            "every part once, in order"
        );
        assert_eq!(heard.len(), sound.len());
        for talk in [5 * PART_LEN..12 * PART_LEN, 25 * PART_LEN..32 * PART_LEN] {
            let programme = &sound[talk.start - LATENCY_SAMPLES..talk.end - LATENCY_SAMPLES];
            let lag = lag(programme, &heard[talk.clone()], 400);
            assert!((-3..=0).contains(&lag), "lags {lag}");
            assert!(snr_db(programme, &heard[talk]) > 3.0);
        }
        assert!((20..=26).contains(&silent), "{silent} of 40");
        assert!(
            heard[20 * PART_LEN..24 * PART_LEN]
                .iter()
                .all(|x| x.abs() < 1e-3)
        );
    }

    #[test]
    fn a_track_that_ends_with_sound_has_its_last_part() {
        let sound = speech(5, 3 * PART_LEN);
        let (places, heard, _) = rendered(&frames(&sound));
        assert_eq!((places.len(), heard.len()), (3, sound.len()));
    }
}
