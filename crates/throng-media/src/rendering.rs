//! The programme becomes parts: every rendition is encoded, cut at the same instants and packaged.
//!
//! Encoders lag their input by a lookahead. They are fed ahead by exactly that much, so that packet k of a rendition
//! decodes to programme samples [kN, (k+1)N) and no player needs to know of any delay. A part is therefore complete
//! two frames (40 ms) after its last one.

mod lane;
#[cfg(test)]
mod tests;
mod track;

pub use self::track::{TRACK_RENDITION, Track};

use bytes::Bytes;
use throng_core::rendition::{Channels, RENDITION_COUNT, Rendition};
use throng_core::timeline::{FRAMES_PER_PART, PartIndex};
use throng_core::window::Part;

use crate::package::{package, packets, renumber};
use crate::{Frame, WideFrame};
use lane::Lane;

/// Renders one programme, frame by frame, from a part's first sample on.
pub struct Renderer {
    /// By [`Rendition::index`].
    lanes: [Lane; RENDITION_COUNT],
    /// The part that is being filled.
    next: PartIndex,
    /// Number of the frame whose `o48` packet comes next.
    next_frame: u64,
}

/// What became ready with one frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// The newest packet of [`Rendition::O48`] and the number of its frame since the epoch, for listeners over WebRTC.
    pub o48_packet: Option<(u64, Bytes)>,
    /// A part, when one is complete.
    pub part: Option<Part>,
}

impl Renderer {
    /// Begins with part `first`. `preroll` is what was on air just before it (its end counts, at most
    /// [`PREROLL_FRAMES`]): encoders that know it begin as if they had always been running.
    pub fn new(channels: Channels, first: PartIndex, preroll: &[Frame]) -> Self {
        let preroll = &preroll[preroll.len().saturating_sub(PREROLL_FRAMES)..];
        let mut lanes =
            Rendition::ALL.map(|rendition| Lane::new(rendition, channels, preroll.len()));
        for frame in preroll {
            for lane in &mut lanes {
                lane.push(frame, None);
            }
        }
        Self {
            lanes,
            next: first,
            next_frame: first.0 * FRAMES_PER_PART,
        }
    }

    /// Takes the next frame of the programme.
    pub fn push(&mut self, frame: &WideFrame) -> Rendered {
        let side = frame.side.as_deref();
        let lanes = self.lanes.each_mut();
        let mut packets = lanes.map(|lane| lane.push(&frame.mid, side));
        let o48_packet = packets[Rendition::O48.index()].take().map(|packet| {
            self.next_frame += 1;
            (self.next_frame - 1, packet)
        });
        Rendered {
            o48_packet,
            part: self.take_part(),
        }
    }

    /// Completes the last part whose frames were all pushed, if it is not out yet. Frames of an incomplete part are
    /// dropped: an end falls on a part's boundary.
    pub fn finish(mut self) -> Option<Part> {
        (0..LAG_FRAMES).find_map(|_| self.push(&WideFrame::SILENCE).part)
    }

    fn take_part(&mut self) -> Option<Part> {
        if !self.lanes.iter().all(Lane::has_part) {
            return None;
        }
        let index = self.next;
        self.next = index.next();
        let renditions = Rendition::ALL
            .map(|rendition| package(rendition, index, &self.lanes[rendition.index()].take_part()));
        Some(Part { index, renditions })
    }
}

/// A part of silence, encoded once, for time that was lost.
#[derive(Clone, Debug)]
pub struct Silence {
    part: Part,
}

impl Silence {
    /// Encodes it.
    ///
    /// # Panics
    ///
    /// Never: the frames of two parts make two parts.
    pub fn new(channels: Channels) -> Self {
        let mut renderer = Renderer::new(channels, PartIndex(0), &[]);
        for _ in 0..2 * FRAMES_PER_PART {
            renderer.push(&WideFrame::SILENCE);
        }
        // The second part, by which no encoder remembers that it has just begun.
        Self {
            part: renderer
                .finish()
                .expect("the frames of two parts make two parts"),
        }
    }

    /// The silent part of a number.
    ///
    /// # Panics
    ///
    /// Never: the part was packaged here.
    pub fn part(&self, index: PartIndex) -> Part {
        renumber(&self.part, index).expect("our own part has our own shape")
    }

    /// The silent CMAF chunk of one rendition alone.
    ///
    /// # Panics
    ///
    /// Never: the part was packaged here.
    pub fn chunk(&self, rendition: Rendition, index: PartIndex) -> Bytes {
        let packets = packets(&self.part.packaged(rendition).cmaf);
        let packets = packets.expect("our own part has our own shape");
        package(rendition, index, &packets).cmaf
    }
}

/// Most frames of a preroll: a segment. Opus chooses its mode by what it heard over seconds; one that begins cold codes
/// the same music otherwise for a while, and the change is heard. Costs about 130 ms at a start.
pub const PREROLL_FRAMES: usize = 192;

/// Frames by which the slowest lane lags: AAC's 1,024 samples are within two of them.
const LAG_FRAMES: usize = 2;
