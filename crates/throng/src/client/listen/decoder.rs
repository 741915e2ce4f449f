//! The decoder of one listener: Opus by our own, AAC by an independent one, so that what we encode is heard as others
//! hear it.

use symphonia::core::codecs::audio::well_known::CODEC_ID_AAC;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::packet::PacketRef;
use symphonia::core::units::{Duration, Timestamp};
use throng_core::rendition::{Channels, Codec};
use throng_media::codec::{OpusDecode, OpusDecoder, opus_decoder};
use throng_media::package;

use crate::client::Error;
use crate::sound_file::mix_down;

/// The decoder.
pub struct Decoder {
    kind: Kind,
    /// What AAC was decoded to.
    samples: Vec<f32>,
    /// The same before its channels were mixed.
    interleaved: Vec<f32>,
}

enum Kind {
    Aac(Channels, Box<dyn AudioDecoder>),
    Opus(Box<OpusDecoder>),
}

impl Decoder {
    /// A decoder at the beginning of a stream, or somewhere in it.
    pub fn new(codec: Codec) -> Self {
        let kind = match codec {
            Codec::Aac => Kind::Aac(Channels::Mono, aac_decoder(Channels::Mono)),
            Codec::Opus => Kind::Opus(Box::new(opus_decoder())),
        };
        Self {
            kind,
            samples: Vec::new(),
            interleaved: Vec::new(),
        }
    }

    /// The samples of a packet, 48 kHz mono; two channels are mixed.
    pub fn decode(&mut self, packet: &[u8]) -> Result<&[f32], Error> {
        match &mut self.kind {
            Kind::Aac(channels, decoder) => {
                let sent = package::channels_of(packet);
                if *channels != sent {
                    (*channels, *decoder) = (sent, aac_decoder(sent));
                }
                let packet = PacketRef::new(0, Timestamp::ZERO, Duration::ZERO, packet);
                let decoded = decoder.decode_ref(&packet);
                let decoded = decoded.map_err(|cause| undecodable(&cause))?;
                decoded.copy_to_vec_interleaved(&mut self.interleaved);
                self.samples.clear();
                mix_down(&self.interleaved, sent.count().into(), &mut self.samples);
                Ok(&self.samples)
            }
            Kind::Opus(decoder) => decoder.decode(packet).map_err(|cause| undecodable(&cause)),
        }
    }
}

fn aac_decoder(channels: Channels) -> Box<dyn AudioDecoder> {
    let mut params = AudioCodecParameters::new();
    params
        .for_codec(CODEC_ID_AAC)
        .with_extra_data(aac_config(channels).into());
    symphonia::default::get_codecs()
        .make_audio_decoder(&params, &AudioDecoderOptions::default())
        .expect("the codec is compiled in, and it takes AAC-LC")
}

fn undecodable(cause: &dyn std::fmt::Display) -> Error {
    Error::Malformed {
        url: "the stream".to_owned(),
        reason: cause.to_string(),
    }
}

/// `AudioSpecificConfig` (ISO/IEC 14496-3, section 1.6.2.1) of what spaces send: object type 2 (LC) in five bits,
/// frequency index 3 (48 kHz) in four, the channels in four, and three bits of no consequence.
const fn aac_config(channels: Channels) -> [u8; 2] {
    [0x11, 0x80 | channels.count() << 3]
}
