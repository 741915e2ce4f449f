//! The certificate of `--listen` and `--desk`: read from files, and again when they change, without dropping anyone.
//!
//! With `--acme` the files are our own ([`crate::acme`]): they may be still to come, and beside them there is at times
//! the answer to a challenge, for whoever asks by the protocol `acme-tls/1` alone (RFC 8737, section 3).

use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use metrics::{counter, gauge};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::signal::unix::Signal;
use tokio::sync::watch;
use tokio::time::interval;
use x509_cert::der::Decode;

/// From look to look whether the files have changed.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// Times that files were read again, by what came of it.
const RELOADS: &str = "throng_tls_reloads_total";
/// Whether the files hold what is served.
const IS_CURRENT: &str = "throng_tls_certificate_is_current";
/// When the certificate that is served ends.
const ENDS: &str = "throng_tls_certificate_ends_seconds";
/// By what an authority asks for the answer to a challenge (RFC 8737, section 6.2).
const CHALLENGE: &[u8] = b"acme-tls/1";
/// What a browser asks by.
const HTTP: &[u8] = b"http/1.1";

/// Why the certificate cannot be used.
#[derive(Debug, thiserror::Error)]
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

/// Where the certificate lies.
#[derive(Clone, Debug)]
pub struct Files {
    /// Chain (PEM).
    pub cert: PathBuf,
    /// Its private key (PEM).
    pub key: PathBuf,
    /// Where the answer to a challenge lies while there is one. Then the others may be still to come.
    pub challenge: Option<PathBuf>,
}

/// The certificate that new connections are shown. Who is connected keeps what he was shown.
#[derive(Debug)]
pub struct Certificate {
    files: Files,
    /// What the files looked like when they were last read.
    read: Mutex<[Option<Look>; 2]>,
    served: RwLock<Option<Arc<CertifiedKey>>>,
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
    pub fn open(files: Files) -> Result<Arc<Self>, TlsError> {
        let read = files.looks();
        let served = if files.challenge.is_some() && !files.cert.exists() {
            None
        } else {
            Some(Arc::new(certified(&files.cert, &files.key)?))
        };
        tell(served.as_deref());
        Ok(Arc::new(Self {
            files,
            read: Mutex::new(read),
            served: RwLock::new(served),
        }))
    }

    /// What new connections are shown now, if there is something to show.
    pub(crate) fn served(&self) -> Option<Arc<CertifiedKey>> {
        let served = self.served.read().unwrap_or_else(PoisonError::into_inner);
        served.clone()
    }

    /// The protocols of this port (ALPN), what is liked best first.
    pub(crate) fn protocols(&self) -> Vec<Vec<u8>> {
        let challenge = self.files.challenge.as_ref().map(|_| CHALLENGE.to_vec());
        [HTTP.to_vec()].into_iter().chain(challenge).collect()
    }

    /// The answer to a challenge. Who asks where there is none has made the system look for a file, no more.
    fn answer(&self) -> Option<Arc<CertifiedKey>> {
        let pem = fs::read(self.files.challenge.as_deref()?).ok()?;
        challenge_answer(&pem).ok().map(Arc::new)
    }

    /// Reads the files again if they have changed, or in any case. What cannot be used changes nothing: chain and key
    /// are replaced one after the other, and the next look finds both.
    fn reload(&self, in_any_case: bool) -> Reload {
        let now = self.files.looks();
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if *read == now && !in_any_case {
            return Reload::Same;
        }
        *read = now;
        match certified(&self.files.cert, &self.files.key) {
            Ok(certified) => {
                tell(Some(&certified));
                let mut served = self.served.write().unwrap_or_else(PoisonError::into_inner);
                *served = Some(Arc::new(certified));
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
                    tracing::info!(cert = %self.files.cert.display(), "the certificate was read again");
                    counter!(RELOADS, "outcome" => "changed").increment(1);
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

impl Files {
    fn looks(&self) -> [Option<Look>; 2] {
        [&self.cert, &self.key].map(|path| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        })
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asks_for_answer = hello.alpn().is_some_and(|mut protocols| {
            protocols.next() == Some(CHALLENGE) && protocols.next().is_none()
        });
        if asks_for_answer {
            return self.answer();
        }
        self.served()
    }
}

/// Tells what is served now: whether it is what the files hold, and when it ends.
fn tell(served: Option<&CertifiedKey>) {
    gauge!(IS_CURRENT).set(u8::from(served.is_some()));
    if let Some([_, ends]) = served.and_then(|served| span(served.cert.first()?)) {
        #[expect(clippy::cast_precision_loss, reason = "seconds are far below 2^53")]
        gauge!(ENDS).set(ends.as_second() as f64);
    }
}

/// From when to when the certificate in a file is good, where there is one.
pub(crate) fn lifetime(path: &Path) -> Option<[Timestamp; 2]> {
    span(&CertificateDer::from_pem_file(path).ok()?)
}

/// From when to when a certificate is good (RFC 5280, section 4.1.2.5).
fn span(certificate: &CertificateDer<'_>) -> Option<[Timestamp; 2]> {
    let parsed = x509_cert::Certificate::from_der(certificate).ok()?;
    let validity = parsed.tbs_certificate().validity();
    let at = |time: x509_cert::time::Time| {
        let seconds = time.to_unix_duration().as_secs();
        Timestamp::from_second(i64::try_from(seconds).ok()?).ok()
    };
    Some([at(validity.not_before)?, at(validity.not_after)?])
}

/// Whether a chain and its key, both in one text, could be served; an error names the file for which they are meant.
pub(crate) fn check(pem: &[u8], path: &Path) -> Result<(), TlsError> {
    let (chain, key) = parsed(pem).map_err(|source| TlsError::File {
        path: path.to_owned(),
        source,
    })?;
    pair(chain, key, path).map(drop)
}

/// The answer to a challenge. Whether its halves go together is not looked at: it has an extension of which who looks
/// must know what it means (RFC 8737, section 3), and of us nobody does.
pub(crate) fn challenge_answer(pem: &[u8]) -> Result<CertifiedKey, Box<dyn Error>> {
    let (chain, key) = parsed(pem)?;
    let key = default_provider().key_provider.load_private_key(key)?;
    Ok(CertifiedKey::new(chain, key))
}

type Halves = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn parsed(pem: &[u8]) -> Result<Halves, pem::Error> {
    let chain = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>()?;
    Ok((chain, PrivateKeyDer::from_pem_slice(pem)?))
}

fn certified(cert: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let wrong = |path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::File { path, source }
    };
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(wrong(cert))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(wrong(key))?;
    pair(chain, key, cert)
}

fn pair(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    path: &Path,
) -> Result<CertifiedKey, TlsError> {
    if chain.is_empty() {
        return Err(TlsError::Empty(path.to_owned()));
    }
    Ok(CertifiedKey::from_der(chain, key, &default_provider())?)
}

/// The one crypto provider of the process.
pub fn install_provider() -> io::Result<()> {
    default_provider()
        .install_default()
        .map_err(|_| io::Error::other("another crypto provider was installed before"))
}
