//! What our own packaging makes, read back by readers that share no code with it.

use bytes::Bytes;
use proptest::prelude::*;
use throng_core::rendition::{Channels, Codec, Rendition};
use throng_core::timeline::{PART_SAMPLES, PartIndex};
use throng_media::package::{init, package, stream_header};

use super::*;

/// Packets of any bytes; Opus ones begin as 20 ms of speech do.
fn packets(codec: Codec, salt: u8) -> Vec<Bytes> {
    let count = if codec == Codec::Opus { 16 } else { 15 };
    let packet = |place: u8| {
        let mut bytes: Vec<u8> = (0..60 + place)
            .map(|at| at.wrapping_mul(31) ^ salt)
            .collect();
        if codec == Codec::Opus {
            bytes[0] = 0x08;
        }
        Bytes::from(bytes)
    };
    (0..count).map(packet).collect()
}

/// A stream of some parts in a container.
fn stream(media: Media, rendition: Rendition, parts: &[u64]) -> Vec<u8> {
    let mut bytes = match media {
        Media::Mp4 => init(rendition, Channels::Mono, None).to_vec(),
        _ => stream_header(rendition, Channels::Mono).to_vec(),
    };
    for part in parts {
        let salt = u8::try_from(part % 251).unwrap();
        let packed = package(
            rendition,
            PartIndex(*part),
            &packets(rendition.codec(), salt),
        );
        bytes.extend(if media == Media::Mp4 {
            packed.cmaf
        } else {
            packed.stream
        });
    }
    bytes
}

fn read(media: Media, bytes: &[u8], pieces: &[usize]) -> Result<Vec<Stretch>, Broken> {
    let (mut reader, mut told, mut rest) = (Reader::of(media), Vec::new(), bytes);
    for piece in pieces.iter().copied().chain([usize::MAX]) {
        let (here, after) = rest.split_at(piece.min(rest.len()));
        reader.feed(here, &mut |stretch| told.push(stretch))?;
        rest = after;
    }
    Ok(told)
}

const WAYS: [(Media, Rendition); 4] = [
    (Media::Mp4, Rendition::O48),
    (Media::Mp4, Rendition::A64),
    (Media::Webm, Rendition::O48),
    (Media::Adts, Rendition::A64),
];

proptest! {
    /// However the bytes are cut: every part is told once, at its place, when its last byte is there.
    #[test]
    fn parts_are_told_whole_and_at_their_place(
        way in 0_usize..4,
        first in 0_u64..1_000_000_000,
        count in 1_u64..5,
        pieces in proptest::collection::vec(1_usize..700, 0..40),
    ) {
        let (media, rendition) = WAYS[way];
        let parts: Vec<u64> = (first..first + count).collect();
        let bytes = stream(media, rendition, &parts);
        let told = read(media, &bytes, &pieces).unwrap();
        let samples: u64 = told.iter().map(|stretch| stretch.samples).sum();
        prop_assert_eq!(samples, count * PART_SAMPLES);
        prop_assert!(told.iter().all(|stretch| stretch.in_sequence));
        if media != Media::Adts {
            let mut next = first * PART_SAMPLES;
            for stretch in &told {
                prop_assert_eq!(stretch.sample, Some(next));
                next += stretch.samples;
            }
        }
        let short = read(media, &bytes[..bytes.len() - 1], &pieces).unwrap();
        prop_assert_eq!(short.len() + 1, told.len(), "what is not whole is not told");
    }

    /// No bytes make a reader panic.
    #[test]
    fn any_bytes_are_read_or_refused(way in 0_usize..4, bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = read(WAYS[way].0, &bytes, &[1, 7, 100]);
    }

    /// Nor do a stream's own bytes when some are changed.
    #[test]
    fn a_damaged_stream_is_read_or_refused(
        way in 0_usize..4,
        hits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let (media, rendition) = WAYS[way];
        let mut bytes = stream(media, rendition, &[7, 8]);
        for (place, value) in hits {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        let _ = read(media, &bytes, &[50]);
    }
}

#[test]
fn a_part_left_out_is_seen_in_numbers_and_in_time() {
    for media in [Media::Mp4, Media::Webm] {
        let told = read(media, &stream(media, Rendition::O48, &[5, 6, 8]), &[]).unwrap();
        let breaks: Vec<_> = told.iter().filter(|stretch| !stretch.in_sequence).collect();
        assert_eq!(breaks.len(), 1);
        assert_eq!(breaks[0].sample, Some(8 * PART_SAMPLES));
    }
}

#[test]
fn aac_is_found_from_within_a_frame_and_lost_step_is_broken() {
    let bytes = stream(Media::Adts, Rendition::A64, &[1, 2]);
    let told = read(Media::Adts, &bytes[20..], &[]).unwrap();
    let samples: u64 = told.iter().map(|stretch| stretch.samples).sum();
    assert_eq!(samples, 2 * PART_SAMPLES - 1_024);
    let mut damaged = bytes;
    damaged.splice(400..401, []);
    assert_eq!(read(Media::Adts, &damaged, &[]), Err(Broken("aac")));
}

#[test]
fn a_track_goes_on_over_several_answers() {
    // As over HLS: the initialisation segment, then a part each.
    let mut reader = Reader::of(Media::Mp4);
    let mut told = Vec::new();
    let mut feed = |bytes: &[u8]| {
        reader.begin_fragment();
        reader
            .feed(bytes, &mut |stretch| told.push(stretch))
            .unwrap();
    };
    let header = init(Rendition::O48, Channels::Mono, None).len();
    feed(&stream(Media::Mp4, Rendition::O48, &[]));
    for part in [3, 4, 6] {
        feed(&stream(Media::Mp4, Rendition::O48, &[part])[header..]);
    }
    let facts: Vec<_> = told
        .iter()
        .map(|stretch| (stretch.sample, stretch.in_sequence))
        .collect();
    let at = |part: u64| Some(part * PART_SAMPLES);
    assert_eq!(facts, [(at(3), true), (at(4), true), (at(6), false)]);
}
