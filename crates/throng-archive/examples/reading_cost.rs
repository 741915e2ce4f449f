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
use throng_core::rendition::{Channels, Codec, Rendition};
use throng_core::timeline::{PARTS_PER_SEGMENT, PartIndex};
use throng_core::window::Part;
use throng_media::package;

/// A packet of `o48`: 20 ms at 48 kb/s.
const PACKET_BYTES: usize = 120;
/// Ten minutes.
const SEGMENTS: u64 = 156;
const ROUNDS: u64 = 20;

fn main() -> Result<(), Box<dyn Error>> {
    let asked = std::env::args().nth(1);
    let segments = asked.map_or(Ok(SEGMENTS), |number| number.parse())?;
    let folder = tempfile::tempdir()?;
    let inits = Rendition::ALL.map(|rendition| package::init(rendition, Channels::Mono, None));
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
    let bytes = reader.bytes(Rendition::O48, PartIndex(0), archive.next())?;
    let segment_bytes = bytes / segments;
    let alone = per_segment_us(segments, |segment| {
        let mut bytes = vec![0; usize::try_from(segment_bytes)?];
        file.read_exact_at(&mut bytes, segment * segment_bytes)?;
        black_box(bytes);
        Ok(())
    })?;
    println!("bytes of a segment\t{segment_bytes}\t-");
    println!("a segment of the replay, read and hashed\t{replay:.1} us\t-");
    println!("the same bytes from the file alone\t{alone:.1} us\t-");
    Ok(())
}

fn part(index: u64) -> Part {
    let packaged = |rendition: Rendition| {
        let packets = match rendition.codec() {
            Codec::Opus => 16,
            Codec::Aac => 15,
        };
        let noise = |packet: u64| {
            let seed = (index * 16 + packet).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            Bytes::from(seed.to_le_bytes().repeat(PACKET_BYTES / 8))
        };
        let packets: Vec<_> = (0..packets).map(noise).collect();
        package::package(rendition, PartIndex(index), &packets)
    };
    Part {
        index: PartIndex(index),
        renditions: Rendition::ALL.map(packaged),
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
