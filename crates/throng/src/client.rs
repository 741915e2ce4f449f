//! The blocking clients of the command line: `throng space`, `ladder`, `speak`, `listen`, `rehearse`, `agents`, `plan`,
//! `simulate` and `verify`.
//!
//! Each command is a clap `Args` struct and a `run` that writes its answer to the given output and gives back an
//! [`Error`] that knows its exit status. Non-goals: but for `rehearse` and `agents` these are clients of one space for one
//! person.

pub mod agents;
pub mod backoff;
pub mod doubt;
pub mod http;
pub mod interrupt;
pub mod ladder;
pub mod link;
pub mod listen;
pub mod narrow;
pub mod plan;
pub mod rehearse;
pub mod session;
mod signing_key;
pub mod simulate;
pub mod space;
pub mod speak;
pub mod verify;
mod wav_file;
pub mod webhook;

#[cfg(test)]
mod test_server;
#[cfg(test)]
mod test_stage;

use std::io;
use std::path::PathBuf;

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The stream broke off and could not be taken up again; what was heard until then has been reported.
    #[error("the sound broke off: {0}")]
    BrokeOff(Box<Self>),
    /// The crowd of a rehearsal could not be brought together.
    #[error("the crowd cannot be run: {0}")]
    Crowd(io::Error),
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A signed file does not hold.
    #[error("{path} is not valid: {reason}", path = path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What does not hold.
        reason: String,
    },
    /// What a scenario asks for was not kept.
    #[error("the limits of the scenario do not hold: {0}")]
    Limits(String),
    /// The other side sent what its standard does not allow.
    #[error("{url} sent what cannot be understood: {reason}")]
    Malformed {
        /// What was asked for.
        url: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// No sound came in time.
    #[error("connected, but no sound came within {seconds} s")]
    NoSound {
        /// How long we waited.
        seconds: u64,
    },
    /// Offer and answer were exchanged, but no packets got through.
    #[error("{url} answered, but the sound does not get through: {reason}")]
    NoWay {
        /// What was asked for.
        url: String,
        /// What went wrong on the way.
        reason: String,
    },
    /// Nobody of a crowd can be sent to a place.
    #[error(transparent)]
    NoPlace(#[from] throng_rehearsal::crowd::place::PlaceError),
    /// A certificate does not carry a plan.
    #[error(transparent)]
    NoPlan(#[from] throng_rehearsal::plan::NoPlan),
    /// The output could not be written.
    #[error("cannot write the result: {0}")]
    Output(#[from] io::Error),
    /// The server refused, and said why.
    #[error("{url} answered {status}: {reason}")]
    Refused {
        /// What was asked for.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The problem's `type` (RFC 9457), where the answer has one.
        kind: Option<String>,
        /// The problem's title and detail (RFC 9457), or what else the answer says.
        reason: String,
    },
    /// The house was full for as long as we would wait.
    #[error("the house is full; gave up after {seconds} s in the queue ({standing})")]
    StillQueued {
        /// How long we waited.
        seconds: u64,
        /// Where we stood.
        standing: listen::queueing::Standing,
    },
    /// The host has put us off the stage.
    #[error(
        "the host has taken you off the stage; the link is still good: ask before you speak again"
    )]
    Removed,
    /// Somebody with the same link took the seat.
    #[error(
        "the seat was taken over by a newer connection with the same link; to take it back, speak again"
    )]
    Replaced,
    /// No answer came.
    #[error("cannot reach {url}: {reason}")]
    Unreachable {
        /// What was asked for.
        url: String,
        /// What went wrong on the way.
        reason: String,
    },
    /// The codec refused, which is a bug here.
    #[error("cannot encode: {0}")]
    Encode(#[from] throng_media::codec::CodecError),
    /// The file to be said is no sound that we read.
    #[error(transparent)]
    Sound(#[from] crate::sound_file::SoundFileError),
    /// The command cannot be carried out as it was written.
    #[error("{0}")]
    Usage(String),
}

impl Error {
    /// The exit status of the process: 2 for wrong usage, 1 for everything else.
    pub fn exit_code(&self) -> u8 {
        if matches!(self, Self::Usage(_)) { 2 } else { 1 }
    }

    /// Whether asking again may help: the server is away, busy, or in trouble.
    fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::NoWay { .. }
                | Self::Unreachable { .. }
                | Self::Refused {
                    status: 429 | 500..,
                    ..
                }
        )
    }
}
