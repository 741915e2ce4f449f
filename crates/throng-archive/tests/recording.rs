//! The recording of real renditions, read by a parser that nobody here wrote, and compared with our own packager.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Cursor;

use bytes::Bytes;
use mp4_atom::{Any, Moof, ReadFrom, Sidx};
use throng_archive::{Archive, Flags, Recording};
use throng_core::rendition::{Channels, RENDITION_COUNT, Rendition};
use throng_core::timeline::{PART_SAMPLES, PartIndex, SAMPLE_RATE_HZ};
use throng_core::window::Part;
use throng_media::Frame;
use throng_media::package::{init, renumber, sidx};
use throng_media::rendering::Renderer;

/// Parts of a segment.
const SEGMENT: usize = 12;

const FIRST: u64 = 1_000;
const GO_LIVE: u64 = FIRST + 7;
const END: u64 = FIRST + 60;

/// Three parts of a tone, which then repeat.
fn rendered() -> Vec<Part> {
    let mut renderer = Renderer::new(Channels::Mono, PartIndex(0), &[]);
    let mut parts = Vec::new();
    let mut phase = 0.0_f32;
    while parts.len() < 3 {
        let frame: Frame = std::array::from_fn(|_: usize| {
            phase += 440.0 / 48_000.0;
            0.3 * (phase * std::f32::consts::TAU).sin()
        });
        parts.extend(renderer.push(&frame.into()).part);
    }
    parts
}

fn inits() -> [Bytes; RENDITION_COUNT] {
    Rendition::ALL.map(|rendition| init(rendition, Channels::Mono, None))
}

fn programme() -> impl Iterator<Item = Part> {
    let rendered = rendered();
    (FIRST..END).map(move |index| {
        let part = &rendered[usize::try_from(index % 3).unwrap()];
        renumber(part, PartIndex(index)).unwrap()
    })
}

fn recordings() -> (tempfile::TempDir, Vec<Recording>) {
    let folder = tempfile::tempdir().unwrap();
    let mut archive = Archive::create(folder.path(), PartIndex(FIRST), &inits()).unwrap();
    for part in programme() {
        archive.append(&part, 0, Flags::NONE).unwrap();
    }
    let view = |rendition| {
        Recording::new(
            archive.reader(),
            rendition,
            PartIndex(GO_LIVE),
            PartIndex(END),
        )
        .unwrap()
    };
    (folder, Rendition::ALL.map(view).into())
}

/// Our packager, asked for the same sound at time 0, writes the same bytes: head, index and chunks.
#[test]
fn the_recording_is_what_the_packager_would_have_written_at_time_zero() {
    let (_folder, recordings) = recordings();
    let parts: Vec<Part> = programme()
        .skip(usize::try_from(GO_LIVE - FIRST).unwrap())
        .collect();
    let parts: Vec<Part> = parts
        .iter()
        .zip(0..)
        .map(|(part, at)| renumber(part, PartIndex(at)).unwrap())
        .collect();
    for (rendition, recording) in Rendition::ALL.into_iter().zip(recordings) {
        let chunks: Vec<&Bytes> = parts
            .iter()
            .map(|part| &part.packaged(rendition).cmaf)
            .collect();
        let segments = referenced(&chunks).map(|segment| {
            let bytes = segment.iter().map(|chunk| chunk.len() as u64).sum();
            (bytes, segment.len() as u64 * PART_SAMPLES)
        });
        let mut expected = init(rendition, Channels::Mono, Some(recording.samples())).to_vec();
        expected.extend(sidx(0, segments).unwrap());
        expected.extend(chunks.into_iter().flatten());
        assert_eq!(
            recording.read(0..u64::MAX).unwrap(),
            expected,
            "{rendition}"
        );
    }
}

/// ISO/IEC 14496-12: sequence numbers from 1 (8.8.5), decode times from 0 without a gap (8.8.12), the duration in
/// `mehd` (8.8.2), and an index whose references land on `moof` boxes and cover the file (8.16.3).
#[test]
fn another_parser_finds_a_file_from_time_zero_with_duration_and_index() {
    let (_folder, recordings) = recordings();
    for recording in recordings {
        let file = recording.read(0..u64::MAX).unwrap();
        assert_eq!(file.len() as u64, recording.len());
        let (mut moofs, mut index, mut duration) = (Vec::new(), None, None);
        let mut from = Cursor::new(file.as_ref());
        while from.position() < recording.len() {
            let at = from.position();
            match Any::read_from(&mut from).unwrap() {
                Any::Moov(moov) => duration = moov.mvex.unwrap().mehd,
                Any::Sidx(sidx) => index = Some((sidx, from.position())),
                Any::Moof(moof) => moofs.push((at, moof)),
                Any::Ftyp(_) | Any::Mdat(_) => {}
                other => panic!("{other:?}"),
            }
        }
        for (place, (_, moof)) in (0..).zip(&moofs) {
            assert_eq!(moof.mfhd.sequence_number, place + 1);
            let decode_time = moof.traf[0].tfdt.as_ref().unwrap().base_media_decode_time;
            assert_eq!(decode_time, u64::from(place) * PART_SAMPLES);
        }
        assert_eq!(moofs.len() as u64, END - GO_LIVE);
        assert_eq!(duration.unwrap().fragment_duration, recording.samples());
        assert_lands_on_moofs(&index.unwrap(), &moofs, recording.len());
    }
}

fn assert_lands_on_moofs((index, end): &(Sidx, u64), moofs: &[(u64, Moof)], len: u64) {
    assert_eq!(u64::from(index.timescale), SAMPLE_RATE_HZ);
    let segments: Vec<_> = referenced(moofs).collect();
    assert_eq!(index.references.len(), segments.len());
    let mut at = end + index.first_offset;
    for (reference, segment) in index.references.iter().zip(segments) {
        assert_eq!(at, segment[0].0);
        assert_eq!(
            u64::from(reference.subsegment_duration),
            segment.len() as u64 * PART_SAMPLES
        );
        at += u64::from(reference.referenced_size);
    }
    assert_eq!(at, len);
}

/// The chunks under each reference: one, the rest of the first segment, and then a segment each.
fn referenced<T>(chunks: &[T]) -> impl Iterator<Item = &[T]> {
    let (first_segment, rest) = chunks.split_at(SEGMENT.min(chunks.len()));
    let (first, others) = first_segment.split_at(1.min(first_segment.len()));
    [first, others]
        .into_iter()
        .filter(|chunks| !chunks.is_empty())
        .chain(rest.chunks(SEGMENT))
}
