//! Recordings to test with: chunks as Throng lays them out, filled with noise that their number decides.

use bytes::Bytes;
use tempfile::TempDir;
use throng_core::rendition::{RENDITION_COUNT, Rendition};
use throng_core::timeline::{PART_SAMPLES, PartIndex};
use throng_core::window::{Packaged, Part};

use crate::{Archive, Flags};

/// A folder in memory where there is one: tests flush by the thousand.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

/// A new recording in `folder` with the parts `parts`.
pub(crate) fn archive(folder: &TempDir, parts: std::ops::Range<u64>) -> Archive {
    let mut archive = Archive::create(folder.path(), PartIndex(parts.start), &inits()).unwrap();
    for index in parts {
        append(&mut archive, index);
    }
    archive
}

pub(crate) fn append(archive: &mut Archive, index: u64) {
    archive
        .append(&part(index), wall(index), Flags::NONE)
        .unwrap();
}

pub(crate) fn wall(index: u64) -> i64 {
    1_790_000_000_000 + i64::try_from(index).unwrap() * 320
}

/// The part of a number, as on air.
pub(crate) fn part(index: u64) -> Part {
    let packaged = |rendition| Packaged {
        cmaf: chunk(
            u32::try_from(index + 1).unwrap(),
            index * PART_SAMPLES,
            &noise(rendition, index),
        ),
        stream: Bytes::new(),
    };
    Part {
        index: PartIndex(index),
        renditions: Rendition::ALL.map(packaged),
    }
}

pub(crate) fn chunk(sequence: u32, decode_time: u64, sound: &[u8]) -> Bytes {
    let mfhd = full("mfhd", 0, &sequence.to_be_bytes());
    let tfhd = full("tfhd", 0, &1_u32.to_be_bytes());
    let tfdt = full("tfdt", 1, &decode_time.to_be_bytes());
    let traf = boxed("traf", &[tfhd, tfdt].concat());
    [boxed("moof", &[mfhd, traf].concat()), boxed("mdat", sound)]
        .concat()
        .into()
}

/// Sound of uneven length, about as long as that of a rendition is.
pub(crate) fn noise(rendition: Rendition, index: u64) -> Vec<u8> {
    let mut state = index * 8 + rendition.index() as u64 + 1;
    let len = rendition.bit_rate() / 25 + u32::try_from(index * 37 % 101).unwrap();
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        u8::try_from(state >> 32 & 0xff).unwrap()
    };
    (0..len).map(|_| next()).collect()
}

pub(crate) fn inits() -> [Bytes; RENDITION_COUNT] {
    Rendition::ALL.map(|rendition| {
        let mvhd = full("mvhd", 0, &[0, 0, 1_000, 0].map(u32::to_be_bytes).concat());
        let tkhd = full("tkhd", 0, &[0, 0, 1, 0, 0].map(u32::to_be_bytes).concat());
        let mvex = boxed(
            "mvex",
            &full("trex", 0, &[1, 1, 0, 0, 0].map(u32::to_be_bytes).concat()),
        );
        let trak = boxed(
            "trak",
            &[tkhd, boxed("mdia", rendition.name().as_bytes())].concat(),
        );
        [
            boxed("ftyp", b"iso6\0\0\0\0cmfc"),
            boxed("moov", &[mvhd, trak, mvex].concat()),
        ]
        .concat()
        .into()
    })
}

fn full(kind: &str, version: u8, body: &[u8]) -> Vec<u8> {
    boxed(kind, &[&[version, 0, 0, 0], body].concat())
}

fn boxed(kind: &str, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len() + 8).unwrap();
    [&size.to_be_bytes(), kind.as_bytes(), body].concat()
}
