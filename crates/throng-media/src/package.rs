//! What listeners get: the packets of one part, framed as a CMAF chunk and as a piece of an endless plain stream.
//!
//! Everything here is written by hand, byte for byte, because the programme is joined in its middle and shared by all:
//! timestamps are the programme's (samples since the epoch), nothing precedes the first sample (no edit list,
//! pre-skip and codec delay 0, as the packets are already aligned by [`crate::rendering`]), and a chunk can be moved to
//! another place of the timeline by patching two fields.

mod adts;
mod cmaf;
mod init;
mod isobmff;
mod sidx;
mod webm;

#[cfg(test)]
mod tests;

use bytes::Bytes;
use throng_core::rendition::{Channels, Codec, RENDITION_COUNT, Rendition};
use throng_core::timeline::{
    AAC_FRAME_SAMPLES, AAC_FRAMES_PER_PART, FRAME_SAMPLES, FRAMES_PER_PART, PartIndex,
};
use throng_core::window::{Packaged, Part};

pub use adts::channels_of;
pub use cmaf::{ForeignShape, packets, retime};
pub use init::init;
pub use sidx::sidx;

/// Frames the packets of one part: 16 Opus packets or 15 AAC access units, none above [`MAX_PACKET_BYTES`].
///
/// # Panics
///
/// When the packets are not one part: they come from our own encoder or from [`packets`], so that is a bug.
pub fn package(rendition: Rendition, index: PartIndex, packets: &[Bytes]) -> Packaged {
    let codec = rendition.codec();
    assert_eq!(
        packets.len(),
        packets_per_part(codec),
        "a part has its fixed number of packets"
    );
    assert!(
        packets
            .iter()
            .all(|packet| packet.len() <= MAX_PACKET_BYTES),
        "an encoder keeps to its largest packet"
    );
    Packaged {
        cmaf: cmaf::chunk(codec, index, packets),
        stream: stream(codec, index, packets),
    }
}

/// The initialisation segments of what still grows, by [`Rendition::index`].
pub fn inits(channels: Channels) -> [Bytes; RENDITION_COUNT] {
    Rendition::ALL.map(|rendition| init(rendition, channels, None))
}

/// What precedes the first part of a rendition in its plain stream: the `WebM` header; nothing for ADTS.
pub fn stream_header(rendition: Rendition, channels: Channels) -> Bytes {
    match rendition.codec() {
        Codec::Aac => Bytes::new(),
        Codec::Opus => webm::header(channels),
    }
}

/// Rebuilds a part from a CMAF chunk that was stored, or `None` when the bytes are not that part as we write it.
pub fn restore(rendition: Rendition, index: PartIndex, cmaf: Bytes) -> Option<Packaged> {
    let packets = packets(&cmaf)?;
    if cmaf::chunk(rendition.codec(), index, &packets) != cmaf
        || packets.len() != packets_per_part(rendition.codec())
    {
        return None;
    }
    let stream = stream(rendition.codec(), index, &packets);
    Some(Packaged { cmaf, stream })
}

/// The same sound at another place of the timeline; `None` when the part is not as we write it.
pub fn renumber(part: &Part, index: PartIndex) -> Option<Part> {
    let mut moved = part.clone();
    moved.index = index;
    for rendition in Rendition::ALL {
        let packaged = &mut moved.renditions[rendition.index()];
        let packets = packets(&packaged.cmaf)
            .filter(|found| found.len() == packets_per_part(rendition.codec()))?;
        *packaged = package(rendition, index, &packets);
    }
    Some(moved)
}

/// The framing for plain players.
fn stream(codec: Codec, index: PartIndex, packets: &[Bytes]) -> Bytes {
    match codec {
        Codec::Aac => adts::frames(packets),
        Codec::Opus => webm::cluster(index, packets),
    }
}

/// How many packets make a part.
pub(crate) const fn packets_per_part(codec: Codec) -> usize {
    match codec {
        Codec::Aac => 15,
        Codec::Opus => 16,
    }
}

/// How many samples a packet decodes to.
const fn samples_per_packet(codec: Codec) -> u32 {
    match codec {
        Codec::Aac => 1_024,
        Codec::Opus => 960,
    }
}

const _: () = {
    assert!(packets_per_part(Codec::Aac) as u64 == AAC_FRAMES_PER_PART);
    assert!(packets_per_part(Codec::Opus) as u64 == FRAMES_PER_PART);
    assert!(samples_per_packet(Codec::Aac) as u64 == AAC_FRAME_SAMPLES);
    assert!(samples_per_packet(Codec::Opus) as u64 == FRAME_SAMPLES);
};

/// Longest packet of a part: the largest Opus frame has 1,275 bytes, an AAC access unit 768 for each channel; more is
/// refused.
pub const MAX_PACKET_BYTES: usize = 1_536;
