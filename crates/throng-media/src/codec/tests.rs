//! Behaviour of the codecs: what real senders send, what gets lost, what is hostile, and both Opus codecs compared.

use proptest::collection::vec;
use proptest::prelude::*;

use super::signal::{frames, lag, snr_db, speech, vowels};
use super::*;
use crate::FRAME_LEN;

/// Packets as a browser sends them, through the crate's own encoder: any channel count and duration.
fn foreign_packets(channels: usize, samples: usize, bit_rate: i32, sound: &[f32]) -> Vec<Vec<u8>> {
    let mut encoder =
        opus_pure::OpusEncoder::new(48_000, channels, opus_pure::Application::Voip).unwrap();
    encoder.bitrate_bps = bit_rate;
    encoder.use_inband_fec = true;
    encoder.packet_loss_perc = 10;
    let mut packet = [0; MAX_PACKET_BYTES];
    sound
        .chunks_exact(samples * channels)
        .map(|pcm| {
            let bytes = encoder.encode(pcm, samples, &mut packet).unwrap();
            packet[..bytes].to_vec()
        })
        .collect()
}

#[test]
fn every_packet_duration_of_rfc_6716_decodes_to_its_length() {
    let sound = speech(1, 48_000);
    for samples in [120, 240, 480, 960, 1_920, 2_880, 3_840, 4_800, 5_760] {
        for bit_rate in [12_000, 32_000, 64_000] {
            let mut decoder = opus_decoder();
            for packet in foreign_packets(1, samples, bit_rate, &sound) {
                assert_eq!(
                    decoder.decode(&packet).unwrap().len(),
                    samples,
                    "{samples} at {bit_rate}"
                );
            }
        }
    }
}

#[test]
fn three_frames_in_one_packet_are_heard_as_said() {
    let mut encoder = opus_encoder(OpusSettings::lean());
    let lag = encoder.lookahead_samples();
    let (said, mut heard) = (vowels(1, 96_000), Vec::new());
    let mut decoder = opus_decoder();
    for frames in said.chunks_exact(3 * FRAME_LEN) {
        let packet = encoder.encode_long(frames.try_into().unwrap()).unwrap();
        let decoded = decoder.decode(&packet).unwrap();
        assert_eq!(decoded.len(), 3 * FRAME_LEN);
        heard.extend(decoded);
    }
    let second = &heard[48_000 + lag..];
    let snr = snr_db(&said[48_000..48_000 + second.len()], second);
    assert!(snr > 3.0, "{snr} dB");
}

#[test]
fn a_stereo_packet_decodes_to_the_mean_of_its_channels() {
    let (left, right) = (speech(2, 96_000), speech(3, 96_000));
    let stereo: Vec<f32> = left
        .iter()
        .zip(&right)
        .flat_map(|(l, r)| [*l, *r])
        .collect();
    let mean: Vec<f32> = left
        .iter()
        .zip(&right)
        .map(|(l, r)| (l + r) / 2.0)
        .collect();
    let mut decoder = opus_decoder();
    let mut heard = Vec::new();
    for packet in foreign_packets(2, 960, 96_000, &stereo) {
        heard.extend_from_slice(decoder.decode(&packet).unwrap());
    }
    assert!(snr_db(&mean[4_800..90_000], &heard[4_800 + 312..]) > 6.0);
}

#[test]
fn in_band_fec_brings_a_lost_frame_back_better_than_concealment() {
    let sound = vowels(4, 480_000);
    let mut encoder = opus_encoder(OpusSettings::conversation());
    let packets: Vec<Bytes> = frames(&sound)
        .iter()
        .map(|frame| encoder.encode(frame).unwrap())
        .collect();
    let (mut whole, mut repaired, mut guessed) = (Vec::new(), Vec::new(), Vec::new());
    let (mut decoder, mut repairer, mut guesser) = (opus_decoder(), opus_decoder(), opus_decoder());
    for (k, pair) in packets.windows(2).enumerate() {
        if k % 5 == 4 {
            whole.extend_from_slice(decoder.decode(&pair[0]).unwrap());
            repaired.extend_from_slice(repairer.recover(&pair[1]).unwrap());
            guessed.extend_from_slice(guesser.conceal(FRAME_LEN));
        } else {
            for decoder in [&mut decoder, &mut repairer, &mut guesser] {
                decoder.decode(&pair[0]).unwrap();
            }
        }
    }
    let (repaired, guessed) = (snr_db(&whole, &repaired), snr_db(&whole, &guessed));
    assert!(
        repaired > guessed + 3.0,
        "recovered {repaired:.1} dB, concealed {guessed:.1} dB"
    );
}

#[test]
fn what_no_decoder_needs_to_see_is_refused() {
    let mut decoder = opus_decoder();
    assert_eq!(decoder.decode(&[]), Err(CodecError::Malformed));
    let oversize = [0; MAX_PACKET_BYTES + 1];
    assert_eq!(
        decoder.decode(&oversize),
        Err(CodecError::Oversize {
            bytes: oversize.len()
        })
    );
    // RFC 6716, section 3.2.5: a code 3 packet of more than 120 ms.
    assert_eq!(decoder.decode(&[0xFB, 0x07, 0]), Err(CodecError::Malformed));
    assert_eq!(decoder.conceal(usize::MAX).len(), MAX_PACKET_SAMPLES);
}

#[test]
fn aac_decodes_after_its_stated_delay() {
    let sound = speech(5, 96_000);
    let mut encoder = aac_encoder(Channels::Mono, 64_000);
    let mut adts = Vec::new();
    for samples in sound.as_chunks().0 {
        adts.extend(syom::wrap_adts_au(&encoder.encode(samples).unwrap(), 48_000, 1).unwrap());
    }
    let heard = syom::decode_with(&adts, &syom::DecodeOptions::unbounded())
        .unwrap()
        .channels
        .remove(0);
    assert_eq!(lag(&sound, &heard[encoder.delay_samples()..], 16), 0);
}

/// Feeds everything that a packet can be used for, and checks the contract of the answers.
fn survives(decoder: &mut impl OpusDecode, packet: &[u8]) {
    if let Ok(samples) = decoder.decode(packet) {
        assert!((120..=MAX_PACKET_SAMPLES).contains(&samples.len()) && samples.len() % 120 == 0);
        assert!(samples.iter().all(|sample| sample.abs() <= 1.0));
    }
    if let Ok(samples) = decoder.recover(packet) {
        assert!(samples.len() == FRAME_LEN && samples.iter().all(|sample| sample.abs() <= 1.0));
    }
    assert!(
        decoder
            .conceal(FRAME_LEN)
            .iter()
            .all(|sample| sample.abs() <= 1.0)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn hostile_packets_are_survived(packets in vec(vec(any::<u8>(), 0..200), 1..8)) {
        let mut decoder = opus_decoder();
        for packet in &packets {
            survives(&mut decoder, packet);
        }
    }

    #[test]
    fn damaged_packets_are_survived(
        seed in any::<u64>(),
        bit_rate in 8_000..96_000,
        samples in prop::sample::select(vec![120_usize, 480, 960, 2_880]),
        damage in vec((any::<u16>(), any::<u8>()), 1..12),
        keep in 1_usize..400,
    ) {
        let mut decoder = opus_decoder();
        for mut packet in foreign_packets(1, samples, bit_rate, &speech(seed, 5_760)) {
            for (at, value) in &damage {
                let at = usize::from(*at) % packet.len();
                packet[at] ^= value;
            }
            packet.truncate(keep);
            survives(&mut decoder, &packet);
        }
    }

    #[test]
    fn concealment_has_any_length_that_is_asked_for(lengths in vec(0..2 * MAX_PACKET_SAMPLES, 1..6), seed in any::<u64>()) {
        let mut decoder = opus_decoder();
        for (length, packet) in lengths.into_iter().zip(foreign_packets(1, 960, 24_000, &speech(seed, 5_760))) {
            decoder.decode(&packet).unwrap();
            prop_assert_eq!(decoder.conceal(length).len(), length.min(MAX_PACKET_SAMPLES));
        }
    }

    #[test]
    fn encoders_survive_any_sample(bits in vec(any::<u32>(), FRAME_LEN)) {
        let mut frame = crate::SILENCE;
        for (sample, bits) in frame.iter_mut().zip(bits) {
            *sample = f32::from_bits(bits);
        }
        let mut opus = opus_encoder(OpusSettings::conversation());
        let mut aac = aac_encoder(Channels::Mono, 32_000);
        let mut samples = [0.0; AAC_FRAME_LEN];
        samples[..FRAME_LEN].copy_from_slice(&frame);
        for _ in 0..3 {
            let _ = opus.encode(&frame);
            prop_assert!(!aac.encode(&samples).unwrap().is_empty());
        }
        prop_assert!(opus.encode(&crate::SILENCE).is_ok());
    }
}

#[cfg(feature = "libopus")]
mod against_libopus {
    use super::*;

    fn packets(encoder: &mut impl OpusEncode, sound: &[f32]) -> Vec<Bytes> {
        frames(sound)
            .iter()
            .map(|frame| encoder.encode(frame).unwrap())
            .collect()
    }

    fn decoded(decoder: &mut impl OpusDecode, packets: &[Bytes]) -> Vec<f32> {
        packets
            .iter()
            .flat_map(|packet| decoder.decode(packet).unwrap().to_vec())
            .collect()
    }

    fn settings() -> impl Iterator<Item = OpusSettings> {
        [
            (16_000, Content::Speech),
            (24_000, Content::Speech),
            (48_000, Content::Mixed),
            (96_000, Content::Mixed),
        ]
        .into_iter()
        .flat_map(|(bit_rate, content)| {
            [
                OpusSettings::programme(bit_rate, content, 10),
                OpusSettings {
                    bit_rate,
                    content,
                    ..OpusSettings::conversation()
                },
            ]
        })
    }

    #[test]
    fn each_decodes_the_packets_of_either_alike() {
        let sound = speech(6, 240_000);
        for settings in settings() {
            let ours = packets(&mut pure::Encoder::new(settings), &sound);
            let theirs = packets(&mut libopus::Encoder::new(settings), &sound);
            for packets in [ours, theirs] {
                let a = decoded(&mut pure::Decoder::new(Channels::Mono), &packets);
                let b = decoded(&mut libopus::Decoder::new(Channels::Mono), &packets);
                let snr = snr_db(&b, &a);
                assert!(snr > 80.0, "{snr:.1} dB at {settings:?}");
            }
        }
    }

    #[test]
    fn both_encoders_lag_alike_and_keep_the_same_rate() {
        let sound = speech(7, 480_000);
        for settings in settings() {
            let (mut ours, mut theirs) = (
                pure::Encoder::new(settings),
                libopus::Encoder::new(settings),
            );
            assert_eq!(ours.lookahead_samples(), theirs.lookahead_samples());
            let mut bytes = [packets(&mut ours, &sound), packets(&mut theirs, &sound)]
                .map(|packets| packets.iter().map(Bytes::len).sum::<usize>());
            bytes.sort_unstable();
            assert!(
                bytes[1] * 100 < bytes[0] * 107,
                "{bytes:?} bytes at {settings:?}"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        /// Which packets are Opus at all is settled by their framing (RFC 6716, section 3.4), not by their sound.
        #[test]
        fn both_refuse_and_accept_the_same_packets(packet in vec(any::<u8>(), 0..120)) {
            let ours = pure::Decoder::new(Channels::Mono).decode(&packet).map(<[f32]>::len);
            let theirs = libopus::Decoder::new(Channels::Mono).decode(&packet).map(<[f32]>::len);
            prop_assert_eq!(ours, theirs);
        }
    }
}
