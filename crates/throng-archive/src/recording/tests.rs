//! The recording as one file: the same bytes however it is asked for, and an index that leads to the chunks.

use std::sync::LazyLock;

use proptest::prelude::*;
use tempfile::TempDir;
use throng_core::timeline::PART_DURATION_MS;

use super::*;
use crate::sample::{self, chunk, folder, noise};

const FIRST: u64 = 77;
const NEXT: u64 = FIRST + 230;

static ARCHIVE: LazyLock<(TempDir, Reader)> = LazyLock::new(|| {
    let folder = folder();
    let reader = sample::archive(&folder, FIRST..NEXT).reader();
    (folder, reader)
});

fn recording(parts: Range<u64>, stride: u64) -> Recording {
    Recording::with_stride(ARCHIVE.1.clone(), Rendition::O48, parts, stride).unwrap()
}

/// The chunks of the parts as a file that begins at 0 has them.
fn from_zero(parts: Range<u64>) -> Vec<u8> {
    let chunks = parts.zip(0..).flat_map(|(part, place): (u64, u64)| {
        let sequence = u32::try_from(place + 1).unwrap();
        chunk(sequence, place * PART_SAMPLES, &noise(Rendition::O48, part))
    });
    chunks.collect()
}

fn read_by(recording: &Recording, mut piece: impl FnMut() -> u64) -> Vec<u8> {
    let mut whole = Vec::new();
    while (whole.len() as u64) < recording.len() {
        let at = whole.len() as u64;
        let bytes = recording.read(at..at.saturating_add(piece())).unwrap();
        assert!(!bytes.is_empty() && bytes.len() as u64 <= READ_BYTES_MAX);
        whole.extend_from_slice(&bytes);
    }
    whole
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_split_into_ranges_gives_the_same_file(
        start in 0..200_u64, count in 1..230_u64, strides in 1..4_u64,
        pieces in prop::collection::vec(1..60_000_u64, 1..8),
    ) {
        let parts = FIRST + start..(FIRST + start + count).min(NEXT);
        let recording = recording(parts.clone(), strides * PARTS_PER_SEGMENT);
        let whole = read_by(&recording, || u64::MAX);
        prop_assert_eq!(&whole[recording.head.len()..], &from_zero(parts));
        let mut pieces = pieces.iter().cycle();
        prop_assert_eq!(read_by(&recording, || *pieces.next().unwrap()), whole);
        prop_assert!(recording.read(recording.len()..u64::MAX).unwrap().is_empty());
    }

    /// ISO/IEC 14496-12, 8.16.3: the first reference begins right after the index, and each where the one before ends.
    #[test]
    fn every_reference_leads_to_a_moof_and_the_last_to_the_end(count in 1..230_u64) {
        let recording = recording(FIRST..FIRST + count, stride(count));
        let whole = read_by(&recording, || u64::MAX);
        let sidx = whole.windows(4).position(|kind| kind == b"sidx").unwrap() - 4;
        let field = |at: usize| u32::from_be_bytes(whole[at..at + 4].try_into().unwrap());
        let mut at = sidx + field(sidx) as usize;
        let mut samples = 0;
        let references = u16::from_be_bytes([whole[sidx + 38], whole[sidx + 39]]);
        prop_assert_eq!(u64::from(references), count.div_ceil(PARTS_PER_SEGMENT) + u64::from(count > 1));
        prop_assert_eq!(u64::from(field(sidx + 44)), PART_SAMPLES, "the first is of one part");
        for reference in 0..usize::from(references) {
            prop_assert_eq!(&whole[at + 4..at + 8], b"moof");
            // moof > mfhd, traf > tfhd, tfdt, as the sample lays them out.
            prop_assert_eq!(u64::from(field(at + 64)), samples);
            let entry = sidx + 40 + reference * 12;
            at += field(entry) as usize;
            samples += u64::from(field(entry + 4));
        }
        prop_assert_eq!((at, samples), (whole.len(), recording.samples()));
    }
}

#[test]
fn the_init_says_how_long_the_file_plays() {
    let head = recording(FIRST..FIRST + 100, 12).head;
    let mehd = head.windows(4).position(|kind| kind == b"mehd").unwrap();
    let duration = u64::from_be_bytes(head[mehd + 8..mehd + 16].try_into().unwrap());
    assert_eq!(
        duration,
        100 * PART_DURATION_MS,
        "in the sample's movie time scale of 1,000"
    );
}

#[test]
fn replay_segments_are_the_recording_in_pieces_of_twelve_parts() {
    let recording = recording(FIRST..FIRST + 30, 12);
    let segments: Vec<Bytes> = (0..)
        .map_while(|n| recording.replay_segment(n).unwrap())
        .collect();
    assert_eq!(segments.len(), 3);
    assert_eq!(segments.concat(), from_zero(FIRST..FIRST + 30));
    assert_eq!(recording.replay_segment(u64::MAX).unwrap(), None);
}

#[test]
fn a_recording_without_a_part_is_an_init_and_an_empty_index() {
    let recording = recording(FIRST..FIRST, 12);
    assert_eq!(recording.read(0..u64::MAX).unwrap(), recording.head);
    assert_eq!(recording.replay_segment(0).unwrap(), None);
}

#[test]
fn the_tag_is_the_same_for_the_same_file_and_changes_as_it_grows() {
    let tag = |parts: Range<u64>| recording(parts, 12).etag().to_owned();
    assert_eq!(tag(FIRST..NEXT), tag(FIRST..NEXT));
    assert_ne!(tag(FIRST..NEXT - 1), tag(FIRST..NEXT));
    assert_ne!(tag(FIRST + 1..NEXT), tag(FIRST..NEXT));
}

#[test]
fn parts_that_are_not_held_are_refused_by_name() {
    for (from, to) in [(FIRST - 1, NEXT), (FIRST, NEXT + 1), (FIRST + 2, FIRST + 1)] {
        let refused = Recording::new(
            ARCHIVE.1.clone(),
            Rendition::O48,
            PartIndex(from),
            PartIndex(to),
        );
        assert!(matches!(refused, Err(ArchiveError::NotHeld { .. })));
    }
}

#[test]
fn a_day_long_recording_has_a_bounded_index() {
    let per_day = 24 * 3_600_000 / PART_DURATION_MS;
    for parts in [
        0,
        1,
        REFERENCES_MAX * 12,
        REFERENCES_MAX * 12 + 1,
        per_day,
        365 * per_day,
    ] {
        assert!(parts.div_ceil(stride(parts)) <= REFERENCES_MAX, "{parts}");
        assert!(stride(parts).is_multiple_of(PARTS_PER_SEGMENT));
    }
    assert_eq!(stride(2 * 3_600_000 / PART_DURATION_MS), PARTS_PER_SEGMENT);
}
