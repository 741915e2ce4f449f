//! Why a node could not start, in words that say what to do.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;
use throng_archive::LockError;
use throng_media::hold::HoldError;

use crate::client;
use crate::origin::OriginError;
use crate::sound_file::SoundFileError;
use crate::store::StoreError;
use crate::supervisor::SuccessionError;
use crate::tls::TlsError;
use crate::worker::UpstreamError;

/// Why the node could not start.
#[derive(Debug, Error)]
pub enum ServeError {
    /// An address is taken or not ours.
    #[error(
        "{flag} {address} cannot be used: {source}. Is another program (or another throng) listening there? Choose another with {flag}"
    )]
    Bind {
        /// The flag that chooses it.
        flag: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The data folder cannot be used.
    #[error(
        "the data folder {path} cannot be used: {source}. Check that it is a folder that this user may write"
    )]
    Data {
        /// The folder or the file in it.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A key file holds none.
    #[error("{0} does not hold a key; move it away, and a new one is made")]
    Key(PathBuf),
    /// The key of the feed is not one.
    #[error("this is not the key of a feed; it lies in feed.key in the origin's data folder")]
    FeedKey,
    /// The upstream of an edge cannot be one.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// A process of the node ended before it could serve; it said why.
    #[error("the {0} did not start; what it said stands above")]
    Child(String),
    /// The order of the supervisor did not come.
    #[error("this command is for the supervisor of a node alone: use `throng serve`")]
    Order,
    /// The place of another program cannot be taken.
    #[error(transparent)]
    Succession(#[from] SuccessionError),
    /// Another process has the data folder.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The origin cannot start.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// The hold file cannot be read.
    #[error(transparent)]
    HoldFile(#[from] SoundFileError),
    /// The hold file cannot be a hold programme.
    #[error(transparent)]
    Hold(#[from] HoldError),
    /// The capacity certificate cannot be used.
    #[error("the capacity certificate cannot be used: {0}")]
    Capacity(#[source] client::Error),
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Something of the operating system.
    #[error("{0}")]
    System(#[from] io::Error),
}

impl ServeError {
    /// Whether what was to be taken still belongs to another process, which may be about to end.
    pub(super) fn is_taken(&self) -> bool {
        match self {
            Self::Bind { source, .. } => source.kind() == io::ErrorKind::AddrInUse,
            Self::Lock(LockError::Held { .. }) => true,
            _ => false,
        }
    }
}
