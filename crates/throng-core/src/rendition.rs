//! The encodings of the programme, in the order in which they are listed everywhere.

use std::fmt;

/// One encoding of the programme. All of a space have its channels, 48 kHz, and are cut at the same instants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rendition {
    /// Opus, 48 kb/s: the default.
    O48,
    /// Opus, 24 kb/s.
    O24,
    /// Opus, 16 kb/s.
    O16,
    /// AAC-LC, 64 kb/s: for players without Opus.
    A64,
    /// AAC-LC, 32 kb/s.
    A32,
}

/// How many renditions there are.
pub const RENDITION_COUNT: usize = 5;

/// The codec of a rendition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Codec {
    /// MPEG-4 AAC, low complexity.
    Aac,
    /// Opus (RFC 6716).
    Opus,
}

/// How many channels the programme of a space has, from its announcement to its replay: what a player has set itself up for
/// does not change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channels {
    /// One: speech.
    #[default]
    Mono,
    /// Two, left and right: music, and a room.
    Stereo,
}

impl Channels {
    /// Both, the usual one first; `ALL[c.index()] == c`.
    pub const ALL: [Self; 2] = [Self::Mono, Self::Stereo];

    /// Place in [`Channels::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// 1 or 2.
    pub const fn count(self) -> u8 {
        match self {
            Self::Mono => 1,
            Self::Stereo => 2,
        }
    }

    /// Those of a space that is stereo, or is not.
    pub const fn of(stereo: bool) -> Self {
        if stereo { Self::Stereo } else { Self::Mono }
    }

    /// As many of so many: one has no second.
    #[must_use]
    pub const fn of_those(self, count: usize) -> Self {
        if count < 2 { Self::Mono } else { self }
    }

    /// Whether there are two.
    pub const fn is_stereo(self) -> bool {
        matches!(self, Self::Stereo)
    }
}

impl Rendition {
    /// Every rendition, in listing order; `ALL[r.index()] == r`.
    pub const ALL: [Self; RENDITION_COUNT] =
        [Self::O48, Self::O24, Self::O16, Self::A64, Self::A32];

    /// Place in [`Rendition::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name in paths, files and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::O48 => "o48",
            Self::O24 => "o24",
            Self::O16 => "o16",
            Self::A64 => "a64",
            Self::A32 => "a32",
        }
    }

    /// The rendition of a name, if there is one.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|rendition| rendition.name() == name)
    }

    /// Whether it carries left and right in a space that is stereo. Below 48 kb/s two channels are worse than a good one:
    /// the others carry the middle, framed for two.
    pub const fn carries_side(self) -> bool {
        matches!(self, Self::O48 | Self::A64)
    }

    /// The rendition so many steps below in the same codec; the lowest where there are no more.
    #[must_use]
    pub const fn lowered(self, steps: u8) -> Self {
        match (self, steps) {
            (_, 0) => self,
            (Self::O48, 1) => Self::O24,
            (Self::O48 | Self::O24 | Self::O16, _) => Self::O16,
            (Self::A64 | Self::A32, _) => Self::A32,
        }
    }

    /// The codec.
    pub const fn codec(self) -> Codec {
        match self {
            Self::O48 | Self::O24 | Self::O16 => Codec::Opus,
            Self::A64 | Self::A32 => Codec::Aac,
        }
    }

    /// The codec as RFC 6381 writes it in `CODECS`.
    pub const fn codecs(self) -> &'static str {
        match self.codec() {
            Codec::Opus => "opus",
            Codec::Aac => "mp4a.40.2",
        }
    }

    /// The nominal bit rate of the audio alone, bits per second.
    pub const fn bit_rate(self) -> u32 {
        match self {
            Self::O48 => 48_000,
            Self::O24 => 24_000,
            Self::O16 => 16_000,
            Self::A64 => 64_000,
            Self::A32 => 32_000,
        }
    }
}

impl fmt::Display for Rendition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rendition_is_found_by_its_place_and_its_name() {
        for (place, rendition) in Rendition::ALL.into_iter().enumerate() {
            assert_eq!(rendition.index(), place);
            assert_eq!(Rendition::parse(rendition.name()), Some(rendition));
        }
        assert_eq!(Rendition::parse("o47"), None);
    }
}
