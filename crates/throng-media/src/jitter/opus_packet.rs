//! What the first bytes of an Opus packet say (RFC 6716, section 3), without decoding it.

/// The longest packet that RFC 6716 allows (requirement R5), 120 ms.
const SAMPLES_MAX: i64 = 5_760;

/// Largest packet that says "nothing to hear" (discontinuous transmission): a TOC byte and at most a frame count.
const DTX_LEN_MAX: usize = 2;

/// The samples at 48 kHz that a packet lasts; `None` if it is not Opus.
pub(super) fn duration_samples(packet: &[u8]) -> Option<i64> {
    let toc = *packet.first()?;
    // Section 3.1, table 2.
    let frame = match toc >> 3 {
        config @ 0..12 => [480, 960, 1_920, 2_880][usize::from(config & 3)],
        config @ 12..16 => [480, 960][usize::from(config & 1)],
        config => [120, 240, 480, 960][usize::from(config & 3)],
    };
    // Section 3.2: code 0 is one frame, codes 1 and 2 are two, code 3 counts them in the second byte.
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => i64::from(*packet.get(1)? & 0x3f),
    };
    (1..=SAMPLES_MAX)
        .contains(&(frame * frames))
        .then_some(frame * frames)
}

/// Whether the packet stands for silence.
pub(super) fn is_dtx(packet: &[u8]) -> bool {
    packet.len() <= DTX_LEN_MAX
}

/// Whether a packet of one 20 ms frame carries a copy of the frame before it (in-band FEC, called LBRR in SILK).
/// Other packets answer no: browsers send these, and elsewhere concealment has to do.
pub(super) fn carries_fec(packet: &[u8]) -> bool {
    let [toc, flags, ..] = *packet else {
        return false;
    };
    let speech = toc >> 3 < 16;
    let one_frame = toc.trailing_zeros() >= 2;
    let stereo = toc & 4 != 0;
    // Section 4.2.3: the SILK header is one voice flag and one LBRR flag for each channel, coded as plain bits.
    let copies = if stereo { 0b0101_0000 } else { 0b0100_0000 };
    speech && one_frame && duration_samples(packet) == Some(960) && flags & copies != 0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::cast_precision_loss, reason = "small numbers")]

    use super::*;
    use crate::codec::{OpusEncode, OpusSettings, opus_encoder};

    #[test]
    fn lengths_follow_table_2_of_rfc_6716() {
        assert_eq!(duration_samples(&[0b0000_1000]), Some(960), "SILK, 20 ms");
        assert_eq!(duration_samples(&[0b0001_1000]), Some(2_880), "SILK, 60 ms");
        assert_eq!(
            duration_samples(&[0b0111_1001, 0]),
            Some(1_920),
            "hybrid, two frames of 20 ms"
        );
        assert_eq!(
            duration_samples(&[0b1000_0011, 48]),
            Some(5_760),
            "CELT, 48 frames of 2.5 ms"
        );
        assert_eq!(duration_samples(&[0b0001_1011, 3]), None, "180 ms");
        assert_eq!(duration_samples(&[0b0001_1011, 0]), None, "no frame");
        assert_eq!(duration_samples(&[0b0001_1011]), None, "no frame count");
        assert_eq!(duration_samples(&[]), None, "nothing");
    }

    #[test]
    fn the_copy_is_seen_where_an_encoder_was_told_to_send_it() {
        let count = |in_band_fec| {
            let settings = OpusSettings {
                in_band_fec,
                expected_loss_percent: 20,
                ..OpusSettings::conversation()
            };
            let mut encoder = opus_encoder(settings);
            let voice = |frame: usize| {
                std::array::from_fn(|i| {
                    let t = (frame * 960 + i) as f32 / 48_000.0;
                    (t * 150.0 * std::f32::consts::TAU).sin().powi(7) * 0.4 * (t * 20.0).sin()
                })
            };
            (0..50)
                .filter(|&frame| carries_fec(&encoder.encode(&voice(frame)).unwrap()))
                .count()
        };
        assert_eq!(count(false), 0);
        assert!(count(true) > 20, "{}", count(true));
    }
}
