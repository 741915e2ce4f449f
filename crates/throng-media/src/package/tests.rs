//! Behaviour of the packaging, read back by parsers that nobody here wrote.

use std::io::Cursor;

use mp4_atom::{Any, ReadFrom, TrunEntry};
use proptest::prelude::*;
use symphonia::core::formats::{FormatOptions, FormatReader};
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions, ReadOnlySource};

use super::*;
use crate::codec::{AacEncode, aac_encoder};

/// A part far from the epoch, where 32 bits no longer suffice for a time.
const LATE: PartIndex = PartIndex(1_000_003);

fn some_packets(codec: Codec) -> Vec<Bytes> {
    (0..packets_per_part(codec))
        .map(|k| Bytes::from(vec![0xF8; 1 + 83 * k % 1_276]))
        .collect()
}

fn boxes<const COUNT: usize>(bytes: &[u8]) -> [Any; COUNT] {
    let mut rest = Cursor::new(bytes);
    let mut found = Vec::new();
    while usize::try_from(rest.position()).unwrap() < bytes.len() {
        found.push(Any::read_from(&mut rest).unwrap());
    }
    found.try_into().unwrap()
}

#[test]
fn a_chunk_says_its_number_its_time_and_its_samples() {
    for rendition in Rendition::ALL {
        let packets = some_packets(rendition.codec());
        let cmaf = package(rendition, LATE, &packets).cmaf;
        let [Any::Moof(moof), Any::Mdat(mdat)] = boxes(&cmaf) else {
            panic!("a chunk is moof and mdat");
        };
        assert_eq!(moof.mfhd.sequence_number, 1_000_004);
        let [traf] = moof.traf.as_slice() else {
            panic!("one track")
        };
        assert!(traf.tfhd.default_base_is_moof && traf.tfhd.base_data_offset.is_none());
        assert_eq!(
            traf.tfhd.default_sample_duration,
            Some(samples_per_packet(rendition.codec()))
        );
        assert_eq!(
            traf.tfdt.as_ref().unwrap().base_media_decode_time,
            LATE.first_sample()
        );
        let [trun] = traf.trun.as_slice() else {
            panic!("one run")
        };
        let data_starts = cmaf.len() - mdat.data.len();
        assert_eq!(
            usize::try_from(trun.data_offset.unwrap()).unwrap(),
            data_starts
        );
        let sizes: Vec<Option<u32>> = trun
            .samples
            .iter()
            .map(|entry: TrunEntry| entry.size)
            .collect();
        let expected: Vec<Option<u32>> = packets
            .iter()
            .map(|packet| u32::try_from(packet.len()).ok())
            .collect();
        assert_eq!(sizes, expected);
        assert_eq!(mdat.data, packets.concat());
    }
}

#[test]
fn the_initialisation_describes_the_track_and_promises_no_delay() {
    let both = Rendition::ALL.map(|rendition| Channels::ALL.map(|channels| (rendition, channels)));
    for (rendition, channels) in both.into_iter().flatten() {
        for duration in [None, Some(345_600_000_000)] {
            let init = init(rendition, channels, duration);
            let [Any::Ftyp(ftyp), Any::Moov(moov)] = boxes(&init) else {
                panic!("an initialisation is ftyp and moov");
            };
            assert!(ftyp.compatible_brands.contains(&b"cmfc".into()));
            let mvex = moov.mvex.unwrap();
            assert_eq!(mvex.mehd.map(|mehd| mehd.fragment_duration), duration);
            assert_eq!(
                mvex.trex[0].default_sample_duration,
                samples_per_packet(rendition.codec())
            );
            let [trak] = moov.trak.as_slice() else {
                panic!("one track")
            };
            assert!(trak.edts.is_none());
            assert_eq!((trak.tkhd.track_id, mvex.trex[0].track_id), (1, 1));
            assert_eq!(
                u64::from(trak.mdia.mdhd.timescale),
                throng_core::timeline::SAMPLE_RATE_HZ
            );
            entry_describes(rendition, channels, &trak.mdia.minf.stbl.stsd.codecs[0]);
        }
    }
}

fn entry_describes(rendition: Rendition, channels: Channels, entry: &mp4_atom::Codec) {
    let audio = match entry {
        mp4_atom::Codec::Opus(opus) => {
            assert_eq!(rendition.codec(), Codec::Opus);
            assert_eq!(
                (
                    opus.dops.pre_skip,
                    opus.dops.output_gain,
                    opus.dops.output_channel_count
                ),
                (0, 0, channels.count())
            );
            assert_eq!(opus.dops.input_sample_rate, 48_000);
            &opus.audio
        }
        mp4_atom::Codec::Mp4a(mp4a) => {
            assert_eq!(rendition.codec(), Codec::Aac);
            let config = &mp4a.esds.es_desc.dec_config;
            assert_eq!(
                (config.object_type_indication, config.avg_bitrate),
                (0x40, rendition.bit_rate())
            );
            let specific = config.dec_specific.as_ref().unwrap();
            assert_eq!(
                (specific.profile, specific.freq_index, specific.chan_conf),
                (2, 3, channels.count())
            );
            &mp4a.audio
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(
        (audio.channel_count, audio.sample_rate.integer()),
        (channels.count().into(), 48_000)
    );
}

#[test]
fn the_described_aac_is_the_encoded_aac() {
    for channels in Channels::ALL {
        assert_eq!(
            aac_encoder(channels, 64_000).audio_specific_config(),
            init::audio_specific_config(channels)
        );
    }
}

#[test]
fn an_index_leads_to_every_segment() {
    let entries = [(25_000, 184_320), (24_990, 184_320), (13, 15_360)];
    let [Any::Sidx(index)] = boxes(&sidx(99, entries.into_iter()).unwrap()) else {
        panic!("one index");
    };
    assert_eq!(
        (
            index.timescale,
            index.earliest_presentation_time,
            index.first_offset
        ),
        (48_000, 0, 99)
    );
    for (reference, (bytes, samples)) in index.references.iter().zip(entries) {
        assert_eq!(
            (
                u64::from(reference.referenced_size),
                u64::from(reference.subsegment_duration)
            ),
            (bytes, samples)
        );
        assert!(!reference.reference_type && reference.starts_with_sap && reference.sap_type == 1);
    }
    assert_eq!(index.references.len(), entries.len());
}

#[test]
fn an_index_that_does_not_fit_its_fields_is_refused() {
    assert!(sidx(0, (0..65_535).map(|_| (1, 1))).is_some());
    assert!(sidx(0, (0..65_536).map(|_| (1, 1))).is_none());
    assert!(sidx(0, [(1 << 31, 1)].into_iter()).is_none());
}

#[test]
fn webm_is_joined_at_any_cluster() {
    let packets = some_packets(Codec::Opus);
    let mut bytes = stream_header(Rendition::O24, Channels::Mono).to_vec();
    for index in [LATE, LATE.next()] {
        bytes.extend(package(Rendition::O24, index, &packets).stream);
    }
    let source = MediaSourceStream::new(
        Box::new(ReadOnlySource::new(Cursor::new(bytes))),
        MediaSourceStreamOptions::default(),
    );
    let mut reader =
        symphonia::default::formats::MkvReader::try_new(source, FormatOptions::default()).unwrap();
    for (k, expected) in packets.iter().cycle().take(2 * packets.len()).enumerate() {
        let packet = reader.next_packet().unwrap().unwrap();
        assert_eq!(
            packet.pts.get(),
            i64::try_from(LATE.start_ms()).unwrap() + 20 * i64::try_from(k).unwrap()
        );
        assert_eq!(*packet.data, **expected);
    }
}

#[test]
fn opus_in_webm_announces_no_delay() {
    for (channels, head) in [
        (Channels::Mono, b"OpusHead\x01\x01\0\0\x80\xBB\0\0\0\0\0"),
        (Channels::Stereo, b"OpusHead\x01\x02\0\0\x80\xBB\0\0\0\0\0"),
    ] {
        let header = stream_header(Rendition::O48, channels);
        let holds = |needle: &[u8]| header.windows(needle.len()).any(|window| window == needle);
        // RFC 7845, section 5.1, and Matroska's CodecDelay 0 and SeekPreRoll 80,000,000 ns.
        assert!(holds(head));
        assert!(holds(&[0x56, 0xAA, 0x81, 0]));
        assert!(holds(&[0x56, 0xBB, 0x84, 0x04, 0xC4, 0xB4, 0x00]));
        assert!(holds(&[0x9F, 0x81, channels.count()]));
    }
}

#[test]
fn adts_frames_follow_each_other_by_their_lengths() {
    let units = some_packets(Codec::Aac);
    let mut rest = package(Rendition::A64, LATE, &units).stream;
    for unit in &units {
        assert_eq!(rest[..3], [0xFF, 0xF1, 0x4C]);
        let length =
            usize::from(rest[3] & 3) << 11 | usize::from(rest[4]) << 3 | usize::from(rest[5]) >> 5;
        assert_eq!(rest.split_to(length)[7..], **unit);
    }
    assert!(rest.is_empty() && stream_header(Rendition::A64, Channels::Mono).is_empty());
}

#[test]
fn a_stored_chunk_restores_the_whole_part_and_only_that_part() {
    for rendition in Rendition::ALL {
        let packaged = package(rendition, LATE, &some_packets(rendition.codec()));
        assert_eq!(
            restore(rendition, LATE, packaged.cmaf.clone()),
            Some(packaged.clone())
        );
        assert_eq!(restore(rendition, LATE.next(), packaged.cmaf.clone()), None);
        let other = if rendition.codec() == Codec::Aac {
            Rendition::O16
        } else {
            Rendition::A32
        };
        assert_eq!(restore(other, LATE, packaged.cmaf.slice(1..)), None);
        assert_eq!(restore(other, LATE, packaged.cmaf), None);
    }
}

#[test]
fn a_chunk_moves_on_the_timeline_by_two_fields() {
    for rendition in Rendition::ALL {
        let packets = some_packets(rendition.codec());
        let mut moved = package(rendition, LATE, &packets).cmaf.to_vec();
        retime(&mut moved, 8, PartIndex(7).first_sample()).unwrap();
        assert_eq!(moved, package(rendition, PartIndex(7), &packets).cmaf);
        assert_eq!(retime(&mut moved[1..], 8, 0), Err(ForeignShape));
        let shorter = moved.len() - 1;
        assert_eq!(retime(&mut moved[..shorter], 8, 0), Err(ForeignShape));
    }
}

#[test]
fn sequence_numbers_wrap_instead_of_ending() {
    let packets = some_packets(Codec::Opus);
    let cmaf = package(Rendition::O48, PartIndex(u64::from(u32::MAX)), &packets).cmaf;
    let [Any::Moof(moof), _] = boxes(&cmaf) else {
        panic!("moof first")
    };
    assert_eq!(moof.mfhd.sequence_number, 0);
}

proptest! {
    #[test]
    fn garbage_is_no_chunk(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut bytes = bytes;
        prop_assert_eq!(retime(&mut bytes, 1, 2), Err(ForeignShape));
        prop_assert_eq!(packets(&bytes.into()), None);
    }

    #[test]
    fn a_damaged_chunk_is_refused_or_whole(at in 0_usize..170, value in 1_u8.., rendition in 0..RENDITIONS) {
        let rendition = Rendition::ALL[rendition];
        let whole = some_packets(rendition.codec());
        let mut bytes = package(rendition, LATE, &whole).cmaf.to_vec();
        bytes[at] ^= value;
        let _ = retime(&mut bytes.clone(), 1, 2);
        if let Some(found) = packets(&bytes.into()) {
            prop_assert_eq!(found.len(), whole.len());
        }
    }
}

const RENDITIONS: usize = RENDITION_COUNT;
