//! Streams as Throng packages them, in pieces of any size, and streams that lie.

use proptest::prelude::*;

use throng_core::rendition::{Channels, Rendition};
use throng_core::timeline::{FRAMES_PER_PART, PartIndex};
use throng_media::package;

use super::super::fixture::{boxed, chunk, init, tone_packets};
use super::*;

/// What a reader makes of a stream in pieces of these lengths (the last one for the rest, again and again).
fn read(stream: &[u8], pieces: &[usize]) -> (Vec<Packet>, Option<Malformed>) {
    let (mut reader, mut packets, mut rest) = (Reader::new(Codec::Opus), Vec::new(), stream);
    let mut lengths = pieces
        .iter()
        .copied()
        .chain(std::iter::repeat(pieces.last().copied().unwrap_or(1)));
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(lengths.next().unwrap().clamp(1, rest.len()));
        if let Err(malformed) = reader.push(piece, &mut packets) {
            return (packets, Some(malformed));
        }
        rest = after;
    }
    (packets, None)
}

fn stream() -> Vec<u8> {
    let free = boxed("free", &[&[0; 300]]);
    let chunks = [
        chunk(96_000, &[&[1; 40], &[2; 30]]),
        free,
        chunk(97_920, &[&[3; 1]]),
    ];
    [init("Opus", 48_000), chunks.concat()].concat()
}

#[test]
fn packets_carry_their_place_on_the_programme_clock() {
    let (packets, malformed) = read(&stream(), &[usize::MAX]);
    assert_eq!(malformed, None);
    let places: Vec<_> = packets
        .iter()
        .map(|packet| (packet.sample, packet.samples, packet.bytes.len()))
        .collect();
    assert_eq!(
        places,
        [(96_000, 960, 40), (96_960, 960, 30), (97_920, 960, 1)]
    );
}

#[test]
fn what_throng_packages_is_read_packet_by_packet() {
    let coded = tone_packets(2 * FRAMES_PER_PART);
    let (first, second) = coded.split_at(coded.len() / 2);
    let mut stream = package::init(Rendition::O48, Channels::Mono, None).to_vec();
    for (index, packets) in [(PartIndex(1_000), first), (PartIndex(1_001), second)] {
        stream.extend_from_slice(&package::package(Rendition::O48, index, packets).cmaf);
    }
    let (packets, malformed) = read(&stream, &[1_000]);
    assert_eq!(malformed, None);
    let places = (PartIndex(1_000).first_sample()..).step_by(960);
    let expected = coded.iter().zip(places).map(|(coded, sample)| Packet {
        sample,
        samples: 960,
        bytes: coded.to_vec(),
    });
    assert!(packets.into_iter().eq(expected));
}

#[test]
fn a_box_of_64_bit_length_is_read_like_any_other() {
    // ISO/IEC 14496-12, section 4.2: size 1 announces a largesize.
    let mut long = vec![0, 0, 0, 1];
    long.extend_from_slice(b"skip");
    long.extend_from_slice(&316_u64.to_be_bytes());
    long.extend_from_slice(&[0; 300]);
    let (packets, malformed) = read(&[long, stream()].concat(), &[7]);
    assert_eq!((packets.len(), malformed), (3, None));
}

#[test]
fn other_tracks_are_named_and_refused() {
    let told = |stream: &[u8]| read(stream, &[100]).1.unwrap().to_string();
    assert_eq!(
        told(&init("mp4a", 48_000)),
        "a track of mp4a at 48000 Hz instead of Opus at 48 kHz"
    );
    assert_eq!(
        told(&init("Opus", 44_100)),
        "a track of Opus at 44100 Hz instead of Opus at 48 kHz"
    );
}

#[test]
fn sound_before_its_header_and_lies_about_lengths_are_refused() {
    assert_eq!(
        read(&chunk(0, &[&[1]]), &[9]).1,
        Some(Malformed::Missing("moov"))
    );
    let lone = [init("Opus", 48_000), boxed("mdat", &[&[1]])].concat();
    assert_eq!(read(&lone, &[9]).1, Some(Malformed::Missing("moof")));
    let mut short = chunk(0, &[&[1; 40]]);
    let mdat = short.len() - 48;
    short.truncate(mdat);
    short.extend_from_slice(&boxed("mdat", &[&[1; 39]]));
    assert_eq!(
        read(&[init("Opus", 48_000), short].concat(), &[9]).1,
        Some(Malformed::Outside)
    );
    let huge = [&[0x7f, 0, 0, 0][..], b"mdat"].concat();
    assert!(matches!(read(&huge, &[1]).1, Some(Malformed::Long { .. })));
    assert!(matches!(
        read(&[&[0, 0, 0, 0][..], b"mdat"].concat(), &[1]).1,
        Some(Malformed::Long { .. })
    ));
}

proptest! {
    #[test]
    fn the_same_packets_come_out_however_the_stream_is_cut(
        pieces in proptest::collection::vec(1_usize..200, 1..40),
    ) {
        prop_assert_eq!(read(&stream(), &pieces), read(&stream(), &[usize::MAX]));
    }

    #[test]
    fn a_damaged_stream_ends_alike_however_it_is_cut(
        damage in proptest::collection::vec((0_usize..900, any::<u8>()), 1..8),
        pieces in proptest::collection::vec(1_usize..200, 1..40),
    ) {
        let mut damaged = stream();
        for (at, byte) in damage {
            let length = damaged.len();
            damaged[at % length] = byte;
        }
        prop_assert_eq!(read(&damaged, &pieces), read(&damaged, &[usize::MAX]));
    }

    #[test]
    fn no_bytes_break_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..2_000), piece in 1_usize..64) {
        read(&bytes, &[piece]);
        read(&[init("Opus", 48_000), boxed("moof", &[&bytes])].concat(), &[piece]);
        read(&boxed("moov", &[&bytes]), &[piece]);
    }
}
