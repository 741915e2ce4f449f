//! Streams of sound as they come in, in pieces of any size: what is in them and when, without keeping any of it. Pure.
//!
//! Each reader walks its container's structure, gathers the few bytes of a field, counts the rest off, and tells each
//! stretch of sound once all of it is there. What breaks the container is [`Broken`].

mod adts;
mod cmaf;
#[cfg(test)]
mod tests;
mod webm;

use adts::Adts;
use cmaf::Cmaf;
use webm::Webm;

use crate::answer::Media;

/// Sound that is there as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Its first sample at 48 kHz, where the container has timestamps.
    pub sample: Option<u64>,
    /// How many samples.
    pub samples: u64,
    /// Whether it follows the one before it, by the numbers of the container.
    pub in_sequence: bool,
}

impl Stretch {
    /// Whether it goes on where another ends, so that both are one.
    pub(crate) fn follows(&self, before: &Self) -> bool {
        let end = before.sample.map(|sample| sample + before.samples);
        self.in_sequence && self.sample == end
    }
}

/// The bytes are not what the answer says they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a broken {0} stream")]
pub struct Broken(pub &'static str);

/// Reads one stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Reader {
    /// ADTS.
    Adts(Adts),
    /// CMAF.
    Cmaf(Cmaf),
    /// `WebM`.
    Webm(Webm),
    /// What is not sound.
    #[default]
    None,
}

impl Reader {
    /// A reader for what an answer says that it is.
    pub fn of(media: Media) -> Self {
        match media {
            Media::Adts => Self::Adts(Adts::default()),
            Media::Mp4 => Self::Cmaf(Cmaf::default()),
            Media::Other => Self::None,
            Media::Webm => Self::Webm(Webm::default()),
        }
    }

    /// Takes the next bytes and tells each stretch of sound that they complete.
    pub fn feed(&mut self, bytes: &[u8], tell: &mut impl FnMut(Stretch)) -> Result<(), Broken> {
        match self {
            Self::Adts(reader) => reader.feed(bytes, tell),
            Self::Cmaf(reader) => reader.feed(bytes, tell),
            Self::Webm(reader) => reader.feed(bytes, tell),
            Self::None => Ok(()),
        }
    }

    /// The same stream goes on in another answer, from a fragment's beginning.
    pub fn begin_fragment(&mut self) {
        if let Self::Cmaf(reader) = self {
            reader.begin_fragment();
        }
    }
}

/// A field whose bytes may come in pieces.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Field<const N: usize> {
    bytes: [u8; N],
    have: u8,
}

impl<const N: usize> Default for Field<N> {
    fn default() -> Self {
        Self {
            bytes: [0; N],
            have: 0,
        }
    }
}

impl<const N: usize> Field<N> {
    /// Moves bytes over until the field has so many (at most N); whether it has them.
    fn gather(&mut self, wanted: usize, from: &mut &[u8]) -> bool {
        let have = usize::from(self.have);
        let more = wanted.min(N).saturating_sub(have).min(from.len());
        self.bytes[have..have + more].copy_from_slice(&from[..more]);
        *from = &from[more..];
        self.have = u8::try_from(have + more).expect("a field is shorter than 256 bytes");
        have + more >= wanted.min(N)
    }

    fn have(&self) -> &[u8] {
        &self.bytes[..usize::from(self.have)]
    }
}

/// Counts bytes off; what is left of them.
fn skip(left: &mut u64, from: &mut &[u8]) {
    let here = usize::try_from(*left).unwrap_or(usize::MAX).min(from.len());
    *left -= here as u64;
    *from = &from[here..];
}

fn be(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}
