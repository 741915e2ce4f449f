//! Why the stage said no, and the HTTP status that says so (RFC 9725 section 4).

use thiserror::Error;

/// A refused request.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StageError {
    /// The stage's thread has ended.
    #[error("the stage is closed")]
    Closed,
    /// More requests wait than the stage takes at once.
    #[error("the stage is busy, try again shortly")]
    Busy,
    /// No place is left.
    #[error("all {limit} places are taken")]
    Full {
        /// How many there are.
        limit: usize,
    },
    /// The offer cannot be answered.
    #[error("offer refused: {0}")]
    Offer(#[from] OfferRefusal),
    /// The stage's owner has put the speaker off it.
    #[error("the host has taken this speaker off the stage")]
    Removed,
    /// A newer session has taken the seat.
    #[error("the seat was taken over by a newer connection with the same key")]
    Replaced,
    /// No such session, or it has ended.
    #[error("no such session")]
    UnknownSession,
    /// A change of the session came without `If-Match`.
    #[error("If-Match is required")]
    EtagRequired,
    /// `If-Match` names an ICE session that is no longer current.
    #[error("If-Match does not name the current ICE session")]
    EtagMismatch,
    /// The `trickle-ice-sdpfrag` (RFC 8840) cannot be read.
    #[error("bad trickle-ice-sdpfrag: {0}")]
    Fragment(&'static str),
}

impl StageError {
    /// The HTTP status for this refusal.
    pub fn status(&self) -> u16 {
        match self {
            Self::Closed | Self::Busy | Self::Full { .. } => 503,
            Self::Offer(OfferRefusal::TooLarge { .. }) => 413,
            Self::Offer(OfferRefusal::Unreadable(_)) | Self::Fragment(_) => 400,
            Self::Offer(_) => 422,
            Self::UnknownSession => 404,
            Self::Removed | Self::Replaced => 410,
            Self::EtagRequired => 428,
            Self::EtagMismatch => 412,
        }
    }
}

/// What is wrong with an offer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OfferRefusal {
    /// Longer than any honest offer.
    #[error("it is longer than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// More m-lines than an honest client sends.
    #[error("it has more than {limit} m-lines")]
    TooManyMedia {
        /// The limit.
        limit: usize,
    },
    /// More `a=ssrc` lines than an honest client sends.
    #[error("it has more than {limit} a=ssrc lines")]
    TooManySources {
        /// The limit.
        limit: usize,
    },
    /// Not exactly one audio m-line.
    #[error("it must have exactly one audio m-line, it has {0}")]
    AudioLines(usize),
    /// A data channel, or something else that is neither audio nor video.
    #[error("only audio is spoken here, not m={0}")]
    Medium(String),
    /// No ICE credentials.
    #[error("a=ice-ufrag or a=ice-pwd is missing or malformed")]
    NoIce,
    /// No fingerprint of the DTLS certificate.
    #[error("a=fingerprint is missing")]
    NoFingerprint,
    /// Opus at 48 kHz is not offered.
    #[error("opus/48000/2 is not offered")]
    NoOpus,
    /// The direction does not fit the purpose.
    #[error("the direction is {found}, it must be {wanted}")]
    Direction {
        /// What would do.
        wanted: &'static str,
        /// What the offer says.
        found: &'static str,
    },
    /// It is not SDP that can be understood.
    #[error("it cannot be understood: {0}")]
    Unreadable(String),
}
