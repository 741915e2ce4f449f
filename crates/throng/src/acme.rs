//! `--acme`: a certificate that is got and renewed without anybody's doing (ACME, RFC 8555).
//!
//! That the name is ours is shown on the port itself (TLS-ALPN, RFC 8737), so that no second one need be open. Several
//! processes serve that port; hence the answer to a challenge is a file, as the certificate is, and whoever is asked
//! reads it ([`crate::tls`]). One process talks with the authority: the one that has the data folder.
//!
//! Until the first certificate has come, connections are refused in the handshake: a certificate of our own making
//! would teach people to click warnings away.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, ChallengeType, Identifier, NewAccount,
    NewOrder, Order, OrderStatus, RetryPolicy,
};
use jiff::Timestamp;
use metrics::counter;
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::pki_types::DnsName;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use self::authority::Authority;
use self::schedule::{Asking, Lifetime};
use crate::{chance, secret_file, tls};

mod authority;
mod schedule;

/// Where certificates are asked for unless an operator names another authority.
pub(crate) const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// Orders of a certificate, by what came of them.
const ORDERS: &str = "throng_acme_orders_total";
/// How often, and for how long, it is asked whether the name has been seen to be ours, and whether the certificate is made.
const POLLS: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(500))
    .backoff(1.5)
    .timeout(Duration::from_mins(2));
/// What an authority asks for fits many times; a whole order takes a few seconds.
const ORDER_MAX: Duration = Duration::from_mins(5);

/// For which name a certificate is kept, by whose grace.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Acme {
    /// The name.
    pub domain: String,
    /// The authority's directory (RFC 8555, section 7.1.1).
    pub directory: String,
}

/// Where everything lies that belongs to a name.
#[derive(Debug)]
pub(crate) struct Files {
    folder: PathBuf,
    /// Chain and key, in one file: they change together.
    pub(crate) certificate: PathBuf,
    /// Chain and key that answer a challenge, while there is one.
    pub(crate) challenge: PathBuf,
    account: PathBuf,
}

/// Why there is no new certificate.
#[derive(Debug, Error)]
enum AcmeError {
    #[error("{0}")]
    Authority(#[from] instant_acme::Error),
    #[error("a key or certificate could not be made: {0}")]
    Crypto(#[from] rcgen::Error),
    #[error("{path} could not be written: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("the authority does not offer to look at the port itself (tls-alpn-01)")]
    NoChallenge,
    #[error(
        "the authority did not find our answer at {0}: port 443 of that name must lead to --listen or --desk"
    )]
    NotFound(String),
    #[error("the authority did not answer in time")]
    Slow,
    #[error("the certificate that came cannot be used: {0}")]
    Unusable(#[from] tls::TlsError),
}

/// An account, and where it was opened.
#[derive(Deserialize, Serialize)]
struct Kept {
    directory: String,
    credentials: AccountCredentials,
}

/// Gets the certificate and renews it, until `closing` turns true.
pub(crate) async fn keep(acme: Acme, data: PathBuf, mut closing: watch::Receiver<bool>) {
    let files = acme.files(&data);
    let mut asking = Asking::new(chance::fraction());
    let started = Instant::now();
    loop {
        let lifetime = Lifetime::of(&files.certificate);
        match asking.wait(lifetime, Timestamp::now(), started.elapsed()) {
            Duration::ZERO => {
                let is_done = acme.try_to_renew(&files).await;
                asking.asked(is_done, started.elapsed(), chance::fraction());
            }
            wait => tokio::select! {
                () = sleep(wait) => {}
                _ = closing.wait_for(|closing| *closing) => return,
            },
        }
    }
}

impl Acme {
    /// For a name that is one of the DNS: it names files, too.
    pub(crate) fn new(domain: &str, directory: Option<String>) -> Option<Self> {
        let name = DnsName::try_from(domain).ok()?;
        let is_ours = name.as_ref().contains('.') && !name.as_ref().ends_with('.');
        is_ours.then(|| Self {
            domain: name.as_ref().to_ascii_lowercase(),
            directory: directory.unwrap_or_else(|| LETS_ENCRYPT.to_owned()),
        })
    }

    /// Where everything of this name lies.
    pub(crate) fn files(&self, data: &Path) -> Files {
        let folder = data.join("acme");
        Files {
            certificate: folder.join(format!("{}.pem", self.domain)),
            challenge: folder.join(format!("{}.challenge.pem", self.domain)),
            account: folder.join("account.json"),
            folder,
        }
    }

    /// Asks once; whether there is a new certificate.
    async fn try_to_renew(&self, files: &Files) -> bool {
        let outcome = timeout(ORDER_MAX, self.renew(files)).await;
        match outcome.unwrap_or(Err(AcmeError::Slow)) {
            Ok(()) => {
                counter!(ORDERS, "outcome" => "done").increment(1);
                tracing::info!(domain = self.domain, "there is a new certificate");
                true
            }
            Err(error) => {
                counter!(ORDERS, "outcome" => "failed").increment(1);
                tracing::warn!(domain = self.domain, %error, "there is no new certificate");
                false
            }
        }
    }

    async fn renew(&self, files: &Files) -> Result<(), AcmeError> {
        fs::create_dir_all(&files.folder).map_err(unwritable(&files.folder))?;
        let account = self.account(files).await?;
        let names = [Identifier::Dns(self.domain.clone())];
        let mut order = account.new_order(&NewOrder::new(&names)).await?;
        self.prove(&mut order, files).await?;
        let key = order.finalize().await?;
        let chain = order.poll_certificate(&POLLS).await?;
        // A file that could not be served must not take the place of one that is.
        let pem = format!("{chain}\n{key}");
        tls::check(pem.as_bytes(), &files.certificate)?;
        write(&files.certificate, pem.as_bytes())
    }

    /// The account at this authority; opened where there is none. Who asks for one agrees to the authority's terms.
    async fn account(&self, files: &Files) -> Result<Account, AcmeError> {
        let http = || Box::new(Authority::new(&self.directory));
        let kept = fs::read(&files.account).ok();
        let kept = kept.and_then(|json| serde_json::from_slice::<Kept>(&json).ok());
        if let Some(kept) = kept.filter(|kept| kept.directory == self.directory) {
            let builder = Account::builder_with_http(http());
            return Ok(builder.from_credentials(kept.credentials).await?);
        }
        let new = NewAccount {
            contact: &[],
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let builder = Account::builder_with_http(http());
        let (account, credentials) = builder.create(&new, self.directory.clone(), None).await?;
        let kept = Kept {
            directory: self.directory.clone(),
            credentials,
        };
        let json = serde_json::to_vec(&kept).expect("credentials are JSON");
        write(&files.account, &json)?;
        Ok(account)
    }

    /// Shows that the name is ours, unless the authority remembers.
    async fn prove(&self, order: &mut Order, files: &Files) -> Result<(), AcmeError> {
        let _answer = Answer(&files.challenge);
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            if authorization.status == AuthorizationStatus::Valid {
                continue;
            }
            let challenge = authorization.challenge(ChallengeType::TlsAlpn01);
            let mut challenge = challenge.ok_or(AcmeError::NoChallenge)?;
            let digest = challenge.key_authorization().digest();
            let answer = answer(&self.domain, digest.as_ref())?;
            write(&files.challenge, answer.as_bytes())?;
            challenge.set_ready().await?;
        }
        match order.poll_ready(&POLLS).await? {
            OrderStatus::Invalid => Err(AcmeError::NotFound(self.domain.clone())),
            _ => Ok(()),
        }
    }
}

/// The file that answers a challenge; it goes when nobody asks any more.
struct Answer<'a>(&'a Path);

impl Drop for Answer<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.0);
    }
}

/// Chain and key that answer a challenge: signed by nobody, with the digest in an extension (RFC 8737, section 3).
fn answer(domain: &str, digest: &[u8]) -> Result<String, rcgen::Error> {
    let mut params = CertificateParams::new([domain.to_owned()])?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok(format!("{}\n{}", certificate.pem(), key.serialize_pem()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), AcmeError> {
    secret_file::replace(path, bytes).map_err(unwritable(path))
}

fn unwritable(path: &Path) -> impl FnOnce(io::Error) -> AcmeError {
    let path = path.to_owned();
    move |source| AcmeError::File { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_the_dns_is_taken_and_nothing_that_leads_out_of_the_folder() {
        let taken = |name| Acme::new(name, None).map(|acme| acme.domain);
        assert_eq!(
            taken("Live.Example.org").as_deref(),
            Some("live.example.org")
        );
        for wrong in [
            "",
            "..",
            "../etc",
            "localhost",
            "live.example.org.",
            "*.example.org",
            "203.0.113.7",
            "a/b.org",
        ] {
            assert_eq!(taken(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_answer_to_a_challenge_is_a_certificate_that_can_be_served() {
        let pem = answer("live.example.org", &[7; 32]).unwrap();
        let served = tls::challenge_answer(pem.as_bytes()).unwrap();
        assert_eq!(served.cert.len(), 1);
    }
}
