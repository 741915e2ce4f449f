//! A whole file, whatever its format. WAV is read by our own parser, which also serves pipes; symphonia takes the other
//! containers apart and decodes all but Opus, for which Throng has a decoder.

use std::io::{self, BufReader, Read, Seek};

use symphonia::core::codecs::audio::well_known::CODEC_ID_OPUS;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;
use throng_core::rendition::Channels;
use throng_media::codec::{OpusDecode, OpusDecoder, opus_decoder_of};

use super::planes::Planes;
use super::wav_stream::WavStream;
use super::{RATE_HZ, SoundFileError, WideSound};

/// Decodes the first sound track of a file to 48 kHz, in one channel or as many as two.
pub(super) fn decode(
    name: &str,
    wanted: Channels,
    mut source: Box<dyn MediaSource>,
    extension: Option<&str>,
    longest: usize,
) -> Result<WideSound, SoundFileError> {
    let broken = |source: io::Error| SoundFileError::Io {
        name: name.to_owned(),
        source,
    };
    let mut head = Vec::new();
    source
        .by_ref()
        .take(4)
        .read_to_end(&mut head)
        .map_err(broken)?;
    source.rewind().map_err(broken)?;
    if head == b"RIFF" {
        return WavStream::new(BufReader::new(source), name, wanted)?.read_to_end(longest);
    }
    let mut format = open(name, source, extension)?;
    let mut track = Track::open(name, wanted, format.as_ref())?;
    let mut sound = Sound {
        name,
        wanted: track.wanted,
        longest,
        planes: None,
        out: WideSound::default(),
    };
    // A packet that cannot be decoded is skipped, as players do: a scratch in an MP3 is no reason to refuse an hour.
    let mut scratch = None;
    loop {
        let packet = match format.next_packet() {
            Ok(Some(packet)) => packet,
            // A second stream chained to the first begins with a reset; the first is what was asked for.
            Ok(None) | Err(Error::ResetRequired) => break,
            Err(Error::IoError(source)) if source.kind() != io::ErrorKind::UnexpectedEof => {
                return Err(SoundFileError::Io {
                    name: name.to_owned(),
                    source,
                });
            }
            // Cut short: what came until here is played.
            Err(error) => {
                scratch = Some(error.to_string());
                break;
            }
        };
        if packet.track_id == track.id
            && let Err(detail) = track.decode(&packet)
        {
            scratch = Some(detail);
            continue;
        }
        sound.push(&track.decoded, track.rate_hz)?;
        track.decoded.clear();
    }
    sound.finish(scratch)
}

fn open(
    name: &str,
    source: Box<dyn MediaSource>,
    extension: Option<&str>,
) -> Result<Box<dyn FormatReader>, SoundFileError> {
    let mut hint = Hint::new();
    if let Some(extension) = extension {
        hint.with_extension(extension);
    }
    let stream = MediaSourceStream::new(source, MediaSourceStreamOptions::default());
    symphonia::default::get_probe()
        .probe(
            &hint,
            stream,
            FormatOptions::default(),
            MetadataOptions::default(),
        )
        .map_err(|error| match error {
            Error::IoError(source) if source.kind() != io::ErrorKind::UnexpectedEof => {
                SoundFileError::Io {
                    name: name.to_owned(),
                    source,
                }
            }
            _ => SoundFileError::Format {
                name: name.to_owned(),
            },
        })
}

/// The track that is decoded.
struct Track {
    id: u32,
    decoder: Decoder,
    rate_hz: u32,
    wanted: Channels,
    /// At the track's rate; taken after every packet.
    decoded: WideSound,
    interleaved: Vec<f32>,
}

enum Decoder {
    /// With the samples of the beginning that are still to be dropped (pre-skip, RFC 7845, section 4.2).
    Opus(Box<OpusDecoder>, usize),
    Other(Box<dyn AudioDecoder>),
}

impl Track {
    fn open(
        name: &str,
        wanted: Channels,
        format: &dyn FormatReader,
    ) -> Result<Self, SoundFileError> {
        let empty = || SoundFileError::Empty {
            name: name.to_owned(),
        };
        let track = format.default_track(TrackType::Audio).ok_or_else(empty)?;
        let params = track
            .codec_params
            .as_ref()
            .and_then(|params| params.audio())
            .ok_or_else(empty)?;
        // A header that says nothing may be of any number.
        let wanted = params
            .channels
            .as_ref()
            .map_or(wanted, |channels| wanted.of_those(channels.count()));
        let decoder = if params.codec == CODEC_ID_OPUS {
            let decoder = Box::new(opus_decoder_of(wanted));
            Decoder::Opus(decoder, track.delay.unwrap_or(0) as usize)
        } else {
            Decoder::Other(open_decoder(name, params)?)
        };
        Ok(Self {
            id: track.id,
            decoder,
            rate_hz: params.sample_rate.unwrap_or(RATE_HZ),
            wanted,
            decoded: WideSound::default(),
            interleaved: Vec::new(),
        })
    }

    fn decode(&mut self, packet: &Packet) -> Result<(), String> {
        match &mut self.decoder {
            Decoder::Opus(decoder, skip) => {
                let heard = decoder
                    .decode(&packet.data)
                    .map_err(|error| error.to_string())?;
                let padding = usize::try_from(packet.trim_end.get()).unwrap_or(usize::MAX);
                let end = heard.len().saturating_sub(padding);
                let skipped = end.min(*skip);
                *skip -= skipped;
                self.decoded.mid.extend_from_slice(&heard[skipped..end]);
                if let Some(side) = decoder.side() {
                    self.decoded.side.extend_from_slice(&side[skipped..end]);
                }
            }
            Decoder::Other(decoder) => {
                let heard = decoder.decode(packet).map_err(|error| error.to_string())?;
                // Some headers say less than the packets: the packets are right.
                self.rate_hz = heard.spec().rate();
                let channels = heard.spec().channels().count().max(1);
                heard.copy_to_vec_interleaved(&mut self.interleaved);
                self.decoded
                    .take_in(self.wanted, &self.interleaved, channels);
            }
        }
        Ok(())
    }
}

fn open_decoder(
    name: &str,
    params: &AudioCodecParameters,
) -> Result<Box<dyn AudioDecoder>, SoundFileError> {
    symphonia::default::get_codecs()
        .make_audio_decoder(params, &AudioDecoderOptions::default())
        .map_err(|error| SoundFileError::Codec {
            name: name.to_owned(),
            detail: error.to_string(),
        })
}

/// What comes out, at 48 kHz.
struct Sound<'a> {
    name: &'a str,
    /// More samples are refused.
    longest: usize,
    wanted: Channels,
    /// Made when the first samples tell their rate.
    planes: Option<Planes>,
    out: WideSound,
}

impl Sound<'_> {
    fn push(&mut self, decoded: &WideSound, rate_hz: u32) -> Result<(), SoundFileError> {
        if decoded.mid.is_empty() {
            return Ok(());
        }
        let planes = match &mut self.planes {
            Some(planes) => planes,
            none => none.insert(Planes::new(self.name, self.wanted, rate_hz)?),
        };
        planes.push(decoded, &mut self.out);
        if self.out.mid.len() > self.longest {
            return Err(SoundFileError::TooLong {
                name: self.name.to_owned(),
            });
        }
        Ok(())
    }

    fn finish(mut self, scratch: Option<String>) -> Result<WideSound, SoundFileError> {
        if let Some(planes) = self.planes {
            planes.finish(&mut self.out);
        }
        match (self.out.mid.is_empty(), scratch) {
            (false, _) => Ok(self.out),
            (true, None) => Err(SoundFileError::Empty {
                name: self.name.to_owned(),
            }),
            (true, Some(detail)) => Err(SoundFileError::Damaged {
                name: self.name.to_owned(),
                detail,
            }),
        }
    }
}
