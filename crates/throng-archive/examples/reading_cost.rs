//! What a replay costs to read in thread CPU time, and how much of it is that every part is hashed:
//! `cargo run --release -p throng-archive --example reading_cost [SEGMENTS]`.
//!
//! Segments of a recording are read as a replay asks for them, and the same bytes again from the file alone. Both lie
//! in the page cache, as they do while many listen. Prints `figure<TAB>value<TAB>limit`.
#![allow(
    clippy::cast_precision_loss,
    clippy::print_stdout,
    reason = "a measurement prints; small numbers"
)]

use std::error::Error;
use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;

use bytes::Bytes;
use rustix::time::{ClockId, clock_gettime};
use throng_archive::{Archive, Flags};
use throng_core::rendition::Rendition;
use throng_core::timeline::{PARTS_PER_SEGMENT, PartIndex};
use throng_core::window::{Packaged, Part};
use throng_media::package;

/// A part of `o48`: 320 ms at 48 kb/s, and its boxes.
const PART_BYTES: usize = 2_150;
/// Ten minutes.
const SEGMENTS: u64 = 156;
const ROUNDS: u64 = 20;

fn main() -> Result<(), Box<dyn Error>> {
    let asked = std::env::args().nth(1);
    let segments = asked.map_or(Ok(SEGMENTS), |number| number.parse())?;
    let folder = tempfile::tempdir()?;
    let inits = Rendition::ALL.map(|rendition| package::init(rendition, None));
    let mut archive = Archive::create(folder.path(), PartIndex(0), &inits)?;
    for index in 0..segments * PARTS_PER_SEGMENT {
        archive.append(&part(index), 0, Flags::NONE)?;
    }
    let reader = archive.reader();
    let replay = per_segment_us(segments, |segment| {
        let from = segment * PARTS_PER_SEGMENT;
        let (from, to) = (PartIndex(from), PartIndex(from + PARTS_PER_SEGMENT));
        black_box(reader.parts(Rendition::O48, from, to)?);
        Ok(())
    })?;
    let file = File::open(folder.path().join("o48.mp4"))?;
    let segment_bytes = PART_BYTES * usize::try_from(PARTS_PER_SEGMENT)?;
    let alone = per_segment_us(segments, |segment| {
        let mut bytes = vec![0; segment_bytes];
        file.read_exact_at(&mut bytes, segment * segment_bytes as u64)?;
        black_box(bytes);
        Ok(())
    })?;
    println!("a segment of the replay, read and hashed\t{replay:.1} us\t-");
    println!("the same bytes from the file alone\t{alone:.1} us\t-");
    Ok(())
}

fn part(index: u64) -> Part {
    let noise: Vec<u8> = (0..PART_BYTES as u64)
        .map(|at| (at.wrapping_mul(index + 7) >> 3).to_le_bytes()[0])
        .collect();
    let packaged = Packaged {
        cmaf: noise.into(),
        stream: Bytes::new(),
    };
    Part {
        index: PartIndex(index),
        renditions: Rendition::ALL.map(|_| packaged.clone()),
    }
}

fn per_segment_us(
    segments: u64,
    mut read: impl FnMut(u64) -> Result<(), Box<dyn Error>>,
) -> Result<f64, Box<dyn Error>> {
    let began = cpu_us();
    for segment in (0..ROUNDS).flat_map(|_| 0..segments) {
        read(segment)?;
    }
    Ok((cpu_us() - began) / (ROUNDS * segments) as f64)
}

fn cpu_us() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 * 1e6 + now.tv_nsec as f64 / 1e3
}
