//! The certificate of `--listen` and `--desk`: read from files, and again when they change, without dropping anyone.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use metrics::{counter, gauge};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use thiserror::Error;
use tokio::signal::unix::Signal;
use tokio::sync::watch;
use tokio::time::interval;

/// From look to look whether the files have changed.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// Times that files were read again, by what came of it.
const RELOADS: &str = "throng_tls_reloads_total";
/// Whether the files hold what is served.
const IS_CURRENT: &str = "throng_tls_certificate_is_current";

/// Why the certificate cannot be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file is not readable PEM.
    #[error("{path} could not be read as PEM: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// No certificate in the file.
    #[error("{0} holds no certificate")]
    Empty(PathBuf),
    /// Certificate and key do not go together, or are of a kind that cannot be used.
    #[error("the certificate and its key cannot be used: {0}")]
    Pair(#[from] rustls::Error),
}

/// The certificate that new connections are shown. Who is connected keeps what he was shown.
#[derive(Debug)]
pub struct Certificate {
    cert: PathBuf,
    key: PathBuf,
    /// What the files looked like when they were last read.
    read: Mutex<[Option<Look>; 2]>,
    served: RwLock<Arc<CertifiedKey>>,
}

/// What changes when a file is written or replaced.
type Look = (SystemTime, u64);

/// What came of a look at the files.
#[derive(Debug)]
enum Reload {
    Changed,
    Refused(TlsError),
    Same,
}

impl Certificate {
    /// Reads a chain and its key.
    pub fn open(cert: &Path, key: &Path) -> Result<Arc<Self>, TlsError> {
        let read = looks(cert, key);
        let served = certified(cert, key)?;
        gauge!(IS_CURRENT).set(1);
        Ok(Arc::new(Self {
            cert: cert.to_owned(),
            key: key.to_owned(),
            read: Mutex::new(read),
            served: RwLock::new(Arc::new(served)),
        }))
    }

    /// What new connections are shown now.
    pub(crate) fn served(&self) -> Arc<CertifiedKey> {
        let served = self.served.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&served)
    }

    /// Reads the files again if they have changed, or in any case. What cannot be used changes nothing: chain and key
    /// are replaced one after the other, and the next look finds both.
    fn reload(&self, in_any_case: bool) -> Reload {
        let now = looks(&self.cert, &self.key);
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if *read == now && !in_any_case {
            return Reload::Same;
        }
        *read = now;
        match certified(&self.cert, &self.key) {
            Ok(certified) => {
                let mut served = self.served.write().unwrap_or_else(PoisonError::into_inner);
                *served = Arc::new(certified);
                Reload::Changed
            }
            Err(error) => Reload::Refused(error),
        }
    }

    /// Looks at the files every few seconds and whenever `asked` says so, until `closing` turns true.
    pub(crate) async fn keep_current(
        self: Arc<Self>,
        mut asked: Signal,
        mut closing: watch::Receiver<bool>,
    ) {
        let mut looks = interval(LOOK_INTERVAL);
        loop {
            let in_any_case = tokio::select! {
                _ = looks.tick() => false,
                Some(()) = asked.recv() => true,
                _ = closing.wait_for(|closing| *closing) => return,
            };
            match self.reload(in_any_case) {
                Reload::Same => {}
                Reload::Changed => {
                    tracing::info!(cert = %self.cert.display(), "the certificate was read again");
                    counter!(RELOADS, "outcome" => "changed").increment(1);
                    gauge!(IS_CURRENT).set(1);
                }
                Reload::Refused(error) => {
                    tracing::warn!(%error, "the certificate was changed and cannot be used; the one before stays");
                    counter!(RELOADS, "outcome" => "refused").increment(1);
                    gauge!(IS_CURRENT).set(0);
                }
            }
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.served())
    }
}

fn certified(cert: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let wrong = |path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::File { path, source }
    };
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(wrong(cert))?;
    if chain.is_empty() {
        return Err(TlsError::Empty(cert.to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(key).map_err(wrong(key))?;
    Ok(CertifiedKey::from_der(chain, key, &default_provider())?)
}

fn looks(cert: &Path, key: &Path) -> [Option<Look>; 2] {
    [cert, key].map(|path| {
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    })
}

/// The one crypto provider of the process.
pub fn install_provider() -> io::Result<()> {
    default_provider()
        .install_default()
        .map_err(|_| io::Error::other("another crypto provider was installed before"))
}
