//! What a host has set of the sound: its channels, whether voices are levelled, and whether each speaker's own is kept.

use crate::rendition::Channels;

/// How a space sounds, and what is kept of it beside the programme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SoundSetting {
    /// One channel or two. Said when the space is made, and for good: its link is on air from then on.
    pub channels: Channels,
    /// Voices are brought gently to the same loudness. A host who levels at a desk of his own switches it off.
    pub levelling: bool,
    /// Each speaker's own sound is kept as a track, from go-live to the end. Said before go-live, so that all tracks are of
    /// one length.
    pub tracks: bool,
}

impl Default for SoundSetting {
    fn default() -> Self {
        Self {
            channels: Channels::Mono,
            levelling: true,
            tracks: false,
        }
    }
}
