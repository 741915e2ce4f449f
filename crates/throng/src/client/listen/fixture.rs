//! CMAF for the listener's tests, written box by box (ISO/IEC 14496-12) so that reader and packager are no kin to it.

use bytes::Bytes;
use throng_core::timeline::{FRAMES_PER_PART, PART_SAMPLES};
use throng_media::FRAME_LEN;
use throng_media::codec::{Content, OpusEncode, OpusSettings, opus_encoder};

/// A box around its children.
pub(super) fn boxed(kind: &str, children: &[&[u8]]) -> Vec<u8> {
    let body = children.concat();
    let length = u32::try_from(body.len() + 8).expect("a test's box is short");
    [&length.to_be_bytes(), kind.as_bytes(), &body].concat()
}

/// An initialisation segment, as far as a reader needs it: one track of a kind.
pub(super) fn init(sample_entry: &str, timescale: u32) -> Vec<u8> {
    let mdhd = boxed(
        "mdhd",
        &[
            &[0; 12],
            &timescale.to_be_bytes(),
            &[0; 4],
            &[0x55, 0xc4, 0, 0],
        ],
    );
    let entry = boxed(sample_entry, &[&[0; 28]]);
    let stsd = boxed("stsd", &[&[0; 4], &1_u32.to_be_bytes(), &entry]);
    let minf = boxed("minf", &[&boxed("stbl", &[&stsd])]);
    let trak = boxed("trak", &[&boxed("mdia", &[&mdhd, &minf])]);
    let trex = boxed("trex", &[&[0; 4], &words(&[1, 1, 960, 0, 0])]);
    boxed("moov", &[&trak, &boxed("mvex", &[&trex])])
}

/// A chunk of packets of 20 ms, the first at a sample.
pub(super) fn chunk(first_sample: u64, packets: &[&[u8]]) -> Vec<u8> {
    let sizes: Vec<u32> = packets
        .iter()
        .map(|packet| u32::try_from(packet.len()).expect("short"))
        .collect();
    let count = u32::try_from(packets.len()).expect("few");
    let tfhd = boxed("tfhd", &[&words(&[0x02_0000, 1])]);
    let tfdt = boxed("tfdt", &[&[1, 0, 0, 0], &first_sample.to_be_bytes()]);
    // moof, mfhd, traf and trun headers, mfhd's and trun's fields, then the mdat header.
    let moof_length = 8 + 16 + 8 + tfhd.len() + tfdt.len() + 20 + 4 * packets.len();
    let offset = u32::try_from(moof_length + 8).expect("short");
    let trun = boxed("trun", &[&words(&[0x0201, count, offset]), &words(&sizes)]);
    let traf = boxed("traf", &[&tfhd, &tfdt, &trun]);
    let moof = boxed("moof", &[&boxed("mfhd", &[&words(&[0, 1])]), &traf]);
    assert_eq!(moof.len(), moof_length);
    [moof, boxed("mdat", packets)].concat()
}

/// A soft tone of 440 Hz, 20 ms in each packet.
pub(super) fn tone_packets(packets: u64) -> Vec<Bytes> {
    let mut encoder = opus_encoder(OpusSettings::programme(48_000, Content::Mixed, 0));
    let mut phase = 0.0_f32;
    let tone = (0..packets).map(|_| {
        let mut frame = [0.0; FRAME_LEN];
        for sample in &mut frame {
            phase = (phase + 440.0 / 48_000.0).fract();
            *sample = 0.2 * (phase * std::f32::consts::TAU).sin();
        }
        encoder.encode(&frame).expect("a tone can be encoded")
    });
    tone.collect()
}

/// Parts of the tone as packaged chunks, the first at a sample.
pub(super) fn tone_parts(first_sample: u64, parts: u64) -> Vec<Vec<u8>> {
    let packets = tone_packets(parts * FRAMES_PER_PART);
    let part = |part: u64| {
        let packets = packets.iter().skip(as_count(part * FRAMES_PER_PART));
        let packets: Vec<&[u8]> = packets
            .take(as_count(FRAMES_PER_PART))
            .map(AsRef::as_ref)
            .collect();
        chunk(first_sample + part * PART_SAMPLES, &packets)
    };
    (0..parts).map(part).collect()
}

fn as_count(number: u64) -> usize {
    usize::try_from(number).expect("a test is short")
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}
