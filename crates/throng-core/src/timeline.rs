//! The programme clock: 48 kHz samples since the space's epoch (its creation), cut into frames, parts and segments.
//!
//! A part is 320 ms because 16 Opus frames (960 samples) and 15 AAC frames (1024 samples) end at the same instant
//! there, so that every rendition is cut alike. Numbers count from 0 at the epoch and are the same on every node.

use std::fmt;

/// Samples per second of the programme clock.
pub const SAMPLE_RATE_HZ: u64 = 48_000;
/// Samples of one frame, 20 ms: the mixer's tick and one Opus packet.
pub const FRAME_SAMPLES: u64 = 960;
/// Samples of one AAC-LC access unit.
pub const AAC_FRAME_SAMPLES: u64 = 1_024;
/// Samples of one part, 320 ms.
pub const PART_SAMPLES: u64 = 15_360;
/// Frames of one part.
pub const FRAMES_PER_PART: u64 = PART_SAMPLES / FRAME_SAMPLES;
/// AAC access units of one part.
pub const AAC_FRAMES_PER_PART: u64 = PART_SAMPLES / AAC_FRAME_SAMPLES;
/// Length of a part.
pub const PART_DURATION_MS: u64 = PART_SAMPLES * 1_000 / SAMPLE_RATE_HZ;
/// Parts of one segment.
pub const PARTS_PER_SEGMENT: u64 = 12;
/// Samples of one segment, 3.84 s.
pub const SEGMENT_SAMPLES: u64 = PART_SAMPLES * PARTS_PER_SEGMENT;

/// The number of a part, counted from 0 at the epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartIndex(pub u64);

impl PartIndex {
    /// The part that holds a sample.
    pub const fn holding(sample: u64) -> Self {
        Self(sample / PART_SAMPLES)
    }

    /// The first part of a segment.
    pub const fn first_of_segment(segment: u64) -> Self {
        Self(segment * PARTS_PER_SEGMENT)
    }

    /// The sample at which the part begins.
    pub const fn first_sample(self) -> u64 {
        self.0 * PART_SAMPLES
    }

    /// The sample at which the part has ended, which is the first of the next.
    pub const fn end_sample(self) -> u64 {
        (self.0 + 1) * PART_SAMPLES
    }

    /// The segment that holds the part.
    pub const fn segment(self) -> u64 {
        self.0 / PARTS_PER_SEGMENT
    }

    /// The place of the part in its segment, 0 to 11.
    pub const fn part_in_segment(self) -> u64 {
        self.0 % PARTS_PER_SEGMENT
    }

    /// The part that follows.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// Milliseconds from the epoch to the beginning of the part; exact, as a part is 320 ms.
    pub const fn start_ms(self) -> u64 {
        self.0 * PART_DURATION_MS
    }
}

impl fmt::Display for PartIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opus_and_aac_frames_both_fill_a_part_exactly() {
        assert_eq!(FRAMES_PER_PART * FRAME_SAMPLES, PART_SAMPLES);
        assert_eq!(AAC_FRAMES_PER_PART * AAC_FRAME_SAMPLES, PART_SAMPLES);
        assert_eq!(PART_DURATION_MS * SAMPLE_RATE_HZ, PART_SAMPLES * 1_000);
    }

    #[test]
    fn a_sample_belongs_to_the_part_that_begins_at_or_before_it() {
        assert_eq!(PartIndex::holding(PART_SAMPLES - 1), PartIndex(0));
        assert_eq!(PartIndex::holding(PART_SAMPLES), PartIndex(1));
        assert_eq!(PartIndex(25).segment(), 2);
        assert_eq!(PartIndex(25).part_in_segment(), 1);
    }
}
