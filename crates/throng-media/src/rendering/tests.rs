//! Behaviour of the rendering: every rendition carries the programme, to the sample, at its rate.

#![allow(clippy::cast_precision_loss, reason = "yardsticks need no last digit")]

use std::io::Cursor;
use std::ops::RangeInclusive;

use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::formats::FormatOptions;
use symphonia::core::formats::probe::Hint;
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions, ReadOnlySource};
use symphonia::core::meta::MetadataOptions;
use throng_core::rendition::Codec;

use super::*;
use crate::FRAME_LEN;
use crate::codec::signal::{frames, hisses, lag, snr_db, speech, vowels};
use crate::codec::{OpusDecode, opus_decoder, opus_decoder_of};
use crate::package::packets;

const FRAMES: usize = 16;
const PART_LEN: usize = FRAMES * FRAME_LEN;

fn rendered(first: PartIndex, preroll: &[Frame], programme: &[Frame]) -> Vec<Part> {
    let mut renderer = Renderer::new(Channels::Mono, first, preroll);
    let mut parts: Vec<Part> = programme
        .iter()
        .filter_map(|&frame| renderer.push(&frame.into()).part)
        .collect();
    parts.extend(renderer.finish());
    parts
}

/// What a listener of a rendition hears, from its first part on: Opus by our decoder, AAC by an independent one.
fn heard(rendition: Rendition, parts: &[Part]) -> Vec<f32> {
    match rendition.codec() {
        Codec::Opus => {
            let mut decoder = opus_decoder();
            parts
                .iter()
                .flat_map(|part| packets(&part.packaged(rendition).cmaf).unwrap())
                .flat_map(|packet| decoder.decode(&packet).unwrap().to_vec())
                .collect()
        }
        Codec::Aac => decoded_adts(
            parts
                .iter()
                .flat_map(|part| part.packaged(rendition).stream.clone())
                .collect(),
        ),
    }
}

fn decoded_adts(adts: Vec<u8>) -> Vec<f32> {
    let source = MediaSourceStream::new(
        Box::new(ReadOnlySource::new(Cursor::new(adts))),
        MediaSourceStreamOptions::default(),
    );
    let mut reader = symphonia::default::get_probe()
        .probe(
            Hint::new().with_extension("aac"),
            source,
            FormatOptions::default(),
            MetadataOptions::default(),
        )
        .unwrap();
    let parameters = reader.tracks()[0]
        .codec_params
        .as_ref()
        .unwrap()
        .audio()
        .unwrap()
        .clone();
    let mut decoder = symphonia::default::get_codecs()
        .make_audio_decoder(&parameters, &AudioDecoderOptions::default())
        .unwrap();
    let mut sound = Vec::new();
    while let Some(packet) = reader.next_packet().unwrap() {
        let mut samples: Vec<f32> = Vec::new();
        decoder
            .decode(&packet)
            .unwrap()
            .copy_to_vec_interleaved(&mut samples);
        sound.extend(samples);
    }
    sound
}

/// Lags within the codec itself. Below 8 kHz Opus codes speech by its SILK layer, which runs two to three samples (60 us)
/// ahead of the stated lookahead, in libopus as here; sound that its CELT layer carries is exact.
fn inherent_lag(rendition: Rendition, spoken: bool) -> RangeInclusive<isize> {
    match (rendition, spoken) {
        (Rendition::A64 | Rendition::A32, _) | (Rendition::O48 | Rendition::O24, false) => 0..=0,
        (Rendition::O16, false) => -1..=0,
        (Rendition::O48 | Rendition::O24 | Rendition::O16, true) => -3..=0,
    }
}

#[test]
fn every_rendition_is_aligned_with_the_programme_to_the_sample() {
    for (first, preroll, spoken) in [
        (0, 0, true),
        (0, 0, false),
        (7, 5, true),
        (1_000_000_007, 40, false),
    ] {
        let samples = (preroll + 10 * FRAMES) * FRAME_LEN;
        let sound = if spoken {
            speech(first, samples)
        } else {
            hisses(first, samples)
        };
        let frames = frames(&sound);
        let parts = rendered(PartIndex(first), &frames[..preroll], &frames[preroll..]);
        let numbers: Vec<u64> = parts.iter().map(|part| part.index.0 - first).collect();
        assert_eq!(
            numbers,
            (0..10).collect::<Vec<_>>(),
            "every part once, the last one by finishing"
        );
        let programme = &sound[preroll * FRAME_LEN..];
        for rendition in Rendition::ALL {
            let heard = heard(rendition, &parts);
            assert_eq!(heard.len(), programme.len(), "{rendition}");
            let lag = lag(programme, &heard, 64);
            assert!(
                inherent_lag(rendition, spoken).contains(&lag),
                "{rendition} from part {first} lags {lag}"
            );
        }
    }
}

#[test]
fn a_preroll_makes_a_fresh_start_seamless() {
    let sound = vowels(4, 5 * PART_LEN);
    let frames = frames(&sound);
    let whole = rendered(PartIndex(0), &[], &frames);
    let cut = 2 * FRAMES;
    let later = rendered(PartIndex(2), &frames[..cut], &frames[cut..]);
    for rendition in Rendition::ALL {
        let beginning = |parts: &[Part]| {
            let heard = heard(rendition, &[&whole[..2], parts].concat());
            let start = 2 * PART_LEN;
            snr_db(&sound[start..start + 4_800], &heard[start..start + 4_800])
        };
        let (always, fresh) = (beginning(&whole[2..]), beginning(&later));
        assert!(
            fresh > always - 0.5,
            "{rendition}: {fresh:.1} dB after a fresh start, {always:.1} dB without one"
        );
    }
}

#[test]
fn every_rendition_keeps_its_bit_rate() {
    let parts = rendered(PartIndex(0), &[], &frames(&speech(5, 94 * PART_LEN)));
    for rendition in Rendition::ALL {
        let of = |part: &Part| {
            packets(&part.packaged(rendition).cmaf)
                .unwrap()
                .iter()
                .map(Bytes::len)
                .sum::<usize>()
        };
        let bytes: usize = parts.iter().map(of).sum();
        let bit_rate = (bytes * 8 * 48_000) as f64 / (parts.len() * PART_LEN) as f64;
        let nominal = f64::from(rendition.bit_rate());
        assert!(
            (0.88..1.08).contains(&(bit_rate / nominal)),
            "{rendition} runs at {bit_rate:.0} bits per second"
        );
        // 25 bits per second for each byte of a part.
        let peak = (parts.iter().map(of).max().unwrap() * 25) as f64;
        assert!(
            peak < 1.3 * nominal,
            "{rendition} peaks at {peak:.0} bits per second"
        );
    }
}

#[test]
fn o48_packets_come_singly_before_their_part() {
    let frames = frames(&speech(6, 2 * PART_LEN));
    let mut renderer = Renderer::new(Channels::Mono, PartIndex(3), &[]);
    let rendered = frames.iter().map(|&frame| renderer.push(&frame.into()));
    let rendered: Vec<Rendered> = rendered.collect();
    let singly: Vec<(u64, Bytes)> = rendered
        .iter()
        .filter_map(|each| each.o48_packet.clone())
        .collect();
    let part = rendered.iter().find_map(|each| each.part.clone()).unwrap();
    let packaged = packets(&part.packaged(Rendition::O48).cmaf).unwrap();
    assert_eq!(
        rendered[0].o48_packet, None,
        "a packet waits for the lookahead within the next frame"
    );
    assert_eq!(singly.len(), frames.len() - 1);
    for (k, packet) in packaged.into_iter().enumerate() {
        assert_eq!(singly[k], (3 * FRAMES_PER_PART + k as u64, packet));
    }
}

#[test]
fn silence_is_silent_wherever_it_is_put() {
    let silence = Silence::new(Channels::Mono);
    let before = rendered(PartIndex(40), &[], &frames(&speech(7, 2 * PART_LEN)));
    let lost: Vec<Part> = (42..45)
        .map(|number| silence.part(PartIndex(number)))
        .collect();
    for rendition in Rendition::ALL {
        let heard = heard(rendition, &[before.clone(), lost.clone()].concat());
        let settled = &heard[2 * PART_LEN + 2 * FRAME_LEN..];
        let loudest = settled
            .iter()
            .fold(0.0_f32, |loudest, sample| loudest.max(sample.abs()));
        assert!(loudest < 1e-3);
    }
    assert_eq!(lost[0].index, PartIndex(42));
}

#[test]
fn what_stands_in_for_a_refused_frame_is_decodable() {
    assert_eq!(
        opus_decoder().decode(&lane::LOST_PACKET).unwrap().len(),
        FRAME_LEN
    );
    for channels in Channels::ALL {
        let units = vec![Bytes::from_static(lane::silent_unit(channels)); 15];
        let adts = package(Rendition::A32, PartIndex(0), &units).stream;
        let samples = PART_LEN * usize::from(channels.count());
        assert_eq!(decoded_adts(adts.to_vec()), vec![0.0; samples]);
    }
}

/// Left and right of a rendition, from its first part on.
fn heard_wide(rendition: Rendition, parts: &[Part]) -> (Vec<f32>, Vec<f32>) {
    let interleaved: Vec<f32> = match rendition.codec() {
        Codec::Aac => heard(rendition, parts),
        Codec::Opus => {
            let mut decoder = opus_decoder_of(Channels::Stereo);
            let packets = parts
                .iter()
                .flat_map(|part| packets(&part.packaged(rendition).cmaf).unwrap());
            let decoded = packets.flat_map(|packet| {
                let mid = decoder.decode(&packet).unwrap().to_vec();
                let side = decoder.side().unwrap().to_vec();
                mid.into_iter().zip(side)
            });
            decoded
                .flat_map(|(mid, side)| [mid + side, mid - side])
                .collect()
        }
    };
    interleaved
        .chunks_exact(2)
        .map(|pair| (pair[0], pair[1]))
        .unzip()
}

#[test]
fn in_stereo_the_best_renditions_carry_left_and_right_and_the_others_the_middle_in_both_ears() {
    let (left, right) = (speech(11, 5 * PART_LEN), vowels(12, 5 * PART_LEN));
    let pairs = || left.iter().zip(&right);
    let mid: Vec<f32> = pairs().map(|(l, r)| f32::midpoint(*l, *r)).collect();
    let side: Vec<f32> = pairs().map(|(l, r)| (l - r) / 2.0).collect();
    let mut renderer = Renderer::new(Channels::Stereo, PartIndex(7), &[]);
    let sound = frames(&mid).into_iter().zip(frames(&side));
    let mut parts: Vec<Part> = sound
        .filter_map(|(mid, side)| renderer.push(&WideFrame::new(mid, side)).part)
        .collect();
    parts.extend(renderer.finish());
    assert_eq!(parts.len(), 5);
    for rendition in Rendition::ALL {
        let (heard_left, heard_right) = heard_wide(rendition, &parts);
        assert_eq!(heard_left.len(), left.len(), "{rendition}");
        let settled = PART_LEN..5 * PART_LEN;
        let likeness =
            |said: &[f32], heard: &[f32]| snr_db(&said[settled.clone()], &heard[settled.clone()]);
        if rendition.carries_side() {
            for (said, heard) in [(&left, &heard_left), (&right, &heard_right)] {
                assert!(likeness(said, heard) > 3.0, "{rendition}");
            }
            assert!(likeness(&left, &heard_right) < 0.5, "{rendition}");
        } else {
            assert!(likeness(&heard_left, &heard_right) > 60.0, "{rendition}");
            assert!(likeness(&mid, &heard_left) > 1.0, "{rendition}");
        }
    }
}

#[test]
fn silence_in_stereo_is_silent_in_both_ears() {
    let silence = Silence::new(Channels::Stereo);
    let parts: Vec<Part> = (4..7).map(|part| silence.part(PartIndex(part))).collect();
    for rendition in Rendition::ALL {
        let (left, right) = heard_wide(rendition, &parts);
        assert_eq!(left.len(), 3 * PART_LEN, "{rendition}");
        assert!(left.iter().chain(&right).all(|sample| sample.abs() < 1e-3));
    }
}
