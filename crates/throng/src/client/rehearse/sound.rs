//! The ears of a rehearsal: streams that some listeners kept whole are decoded, and what they sound like is told.

use std::fs;
use std::path::Path;

use serde::Serialize;
use throng_core::rendition::Codec;

use crate::client::listen::cmaf::Reader;
use crate::client::listen::decoder::Decoder;

/// What nobody hears, as a share of full scale: -60 dB.
const SILENT: f64 = 1e-3;
/// A frame of 20 ms.
const FRAME_SAMPLES: usize = 960;

/// What one listener heard.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Heard {
    /// His number.
    listener: u32,
    /// Sound that was decoded.
    decoded_seconds: f64,
    /// Its power, in dB below full scale; null for digital silence.
    level_db: Option<f64>,
    /// Frames below -60 dB.
    silent_percent: f64,
    /// Places where a packet does not follow the one before it.
    breaks: u32,
    /// Packets that could not be decoded, or why the stream could not be read.
    errors: u32,
}

impl Heard {
    /// In words.
    pub(super) fn in_words(&self) -> String {
        let level = match self.level_db {
            Some(level_db) => format!("{level_db:.0} dB"),
            None => "digital silence".to_owned(),
        };
        format!(
            "listener {}: {:.1} s at {level}, {:.0} % silent, {} breaks, {} errors",
            self.listener, self.decoded_seconds, self.silent_percent, self.breaks, self.errors
        )
    }
}

/// Listens to every stream in a folder.
pub(super) fn listen_to(folder: &Path, codec: Option<Codec>) -> Vec<Heard> {
    let Some(codec) = codec else {
        return Vec::new();
    };
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut heard: Vec<Heard> = files
        .filter_map(|file| {
            let name = file.file_name();
            let listener = name.to_str()?.strip_suffix(".mp4")?.parse().ok()?;
            let bytes = fs::read(file.path()).ok()?;
            Some(listen(listener, codec, &bytes))
        })
        .collect();
    heard.sort_by_key(|heard| heard.listener);
    heard
}

fn listen(listener: u32, codec: Codec, bytes: &[u8]) -> Heard {
    let mut packets = Vec::new();
    let read = Reader::new(codec).push(bytes, &mut packets);
    let mut errors = u32::from(read.is_err());
    let (mut decoder, mut breaks, mut next) = (Decoder::new(codec), 0, None);
    let (mut power, mut samples, mut silent, mut frames) = (0.0, 0_u32, 0_u32, 0_u32);
    for packet in &packets {
        // After a reconnection the burst repeats what was heard: behind is no break.
        breaks += u32::from(next.is_some_and(|next| packet.sample > next));
        next = Some(
            next.unwrap_or(0)
                .max(packet.sample + u64::from(packet.samples)),
        );
        let Ok(decoded) = decoder.decode(&packet.bytes) else {
            errors += 1;
            continue;
        };
        for frame in decoded.chunks(FRAME_SAMPLES) {
            let of_frame: f64 = frame.iter().map(|sample| f64::from(*sample).powi(2)).sum();
            let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
            silent += u32::from(of_frame / f64::from(length) < SILENT * SILENT);
            frames += 1;
            samples = samples.saturating_add(length);
            power += of_frame;
        }
    }
    let mean = power / f64::from(samples.max(1));
    Heard {
        listener,
        decoded_seconds: tenths(f64::from(samples) / 48_000.0),
        level_db: (mean > 0.0).then(|| tenths(10.0 * mean.log10())),
        silent_percent: tenths(f64::from(silent) * 100.0 / f64::from(frames.max(1))),
        breaks,
        errors,
    }
}

fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use throng_core::rendition::{Channels, Rendition};
    use throng_core::timeline::PartIndex;
    use throng_media::FRAME_LEN;
    use throng_media::codec::{Content, OpusEncode, OpusSettings, opus_encoder};
    use throng_media::package::{init, package};

    use super::*;

    /// A tone of -9 dB in parts of these numbers.
    fn stream(parts: &[u64]) -> Vec<u8> {
        let mut encoder = opus_encoder(OpusSettings::programme(48_000, Content::Mixed, 0));
        let mut frame = [0.0_f32; FRAME_LEN];
        for (place, sample) in (0_u16..).zip(&mut frame) {
            // 250 Hz: whole periods in a frame.
            *sample = (f32::from(place) / 192.0 * std::f32::consts::TAU).sin() * 0.5;
        }
        let mut bytes = init(Rendition::O48, Channels::Mono, None).to_vec();
        for part in parts {
            let packets: Vec<Bytes> = (0..16).map(|_| encoder.encode(&frame).unwrap()).collect();
            bytes.extend(package(Rendition::O48, PartIndex(*part), &packets).cmaf);
        }
        bytes
    }

    #[test]
    fn level_length_and_breaks_are_heard() {
        let heard = listen(3, Codec::Opus, &stream(&[5, 6, 8, 7, 8, 9]));
        assert_eq!((heard.listener, heard.breaks, heard.errors), (3, 1, 0));
        assert!((heard.decoded_seconds - 6.0 * 0.32).abs() < 0.1);
        assert!((heard.level_db.unwrap() + 9.0).abs() < 1.5, "{heard:?}");
        assert!(heard.silent_percent < 5.0, "{heard:?}");
    }

    #[test]
    fn what_is_no_stream_is_an_error_and_no_end_of_the_command() {
        let heard = listen(0, Codec::Opus, b"\0\0\0\x08mdat and nothing else");
        assert_eq!((heard.errors, heard.level_db), (1, None));
    }
}
