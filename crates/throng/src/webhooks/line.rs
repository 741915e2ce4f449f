//! The way to a receiver: its name is looked up once, each address is held against what may be called, and what is
//! connected to is an address that was. So no name that is looked up again can lead elsewhere.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use axum::http::Uri;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::ConfigVerifierExt;
use throng_core::address::is_public;
use throng_core::network::Network;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;

use super::delivery::Failure;

/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 4;

/// A connection, over TLS or not.
pub(super) trait Line: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Line for T {}

/// Makes connections to where it may.
pub(super) struct Lines {
    allowed: Vec<Network>,
    /// What the system trusts, once somebody was called over TLS.
    tls: OnceLock<Arc<ClientConfig>>,
}

/// A host of a URL, without the brackets of IPv6.
fn host(url: &Uri) -> Option<&str> {
    let host = url.host()?;
    Some(host.trim_start_matches('[').trim_end_matches(']'))
}

impl Lines {
    /// Public addresses, and those of these networks.
    pub(super) const fn new(allowed: Vec<Network>) -> Self {
        Self {
            allowed,
            tls: OnceLock::new(),
        }
    }

    fn permits(&self, address: IpAddr) -> bool {
        is_public(address) || self.allowed.iter().any(|network| network.holds(address))
    }

    /// Whether a URL names an address outright that may not be called.
    pub(super) fn is_forbidden(&self, url: &Uri) -> bool {
        let address = host(url).and_then(|host| host.parse().ok());
        address.is_some_and(|address| !self.permits(address))
    }

    /// Connects to the host of a URL.
    pub(super) async fn connect(&self, url: &Uri) -> Result<Box<dyn Line>, Failure> {
        let host = host(url).ok_or(Failure::Url)?;
        let is_tls = url.scheme_str() == Some("https");
        let port = url.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let found = lookup_host((host, port)).await;
        let found: Vec<_> = found.map_err(|_| Failure::Name)?.collect();
        let stream = self.reach(&found).await?;
        if !is_tls {
            return Ok(Box::new(stream));
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|_| Failure::Url)?;
        let sealed = TlsConnector::from(self.tls()?).connect(name, stream).await;
        Ok(Box::new(sealed.map_err(|_| Failure::Tls)?))
    }

    async fn reach(&self, found: &[SocketAddr]) -> Result<TcpStream, Failure> {
        let permitted = found.iter().filter(|address| self.permits(address.ip()));
        let mut failure = Failure::Private;
        for address in permitted.take(ADDRESSES_MAX) {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    failure = Failure::Refused;
                }
                Err(_) => failure = Failure::Unreachable,
            }
        }
        Err(failure)
    }

    fn tls(&self) -> Result<Arc<ClientConfig>, Failure> {
        if let Some(config) = self.tls.get() {
            return Ok(Arc::clone(config));
        }
        let config = ClientConfig::with_platform_verifier().map_err(|_| Failure::Tls)?;
        Ok(Arc::clone(self.tls.get_or_init(|| Arc::new(config))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forbids(allowed: &[&str], url: &str) -> bool {
        let allowed = allowed.iter().map(|text| text.parse().unwrap()).collect();
        Lines::new(allowed).is_forbidden(&url.parse().unwrap())
    }

    #[test]
    fn a_private_address_is_forbidden_in_every_guise_unless_its_network_is_allowed() {
        for url in [
            "http://127.0.0.1/hook",
            "http://10.0.0.7:8080/",
            "https://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[64:ff9b::a9fe:a9fe]/",
            "http://169.254.169.254/latest/meta-data",
        ] {
            assert!(forbids(&[], url), "{url}");
        }
        assert!(!forbids(&["127.0.0.0/8"], "http://127.0.0.1/hook"));
        assert!(!forbids(&["127.0.0.0/8"], "http://[::ffff:127.0.0.1]/"));
        assert!(forbids(&["127.0.0.0/8"], "http://10.0.0.7/"));
        assert!(!forbids(&[], "https://1.1.1.1/"));
        assert!(
            !forbids(&[], "https://hooks.example/"),
            "its address is not known yet"
        );
    }

    /// However a name is written, what counts is the address that it leads to.
    #[tokio::test]
    async fn a_name_that_leads_to_a_private_address_is_not_called() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["localhost", "127.1", "0x7f000001", "2130706433", "[::1]"] {
            let url = format!("http://{host}:{port}/").parse().unwrap();
            let connected = Lines::new(Vec::new()).connect(&url).await;
            let failure = connected.err().expect("nobody is called");
            assert!(
                matches!(failure, Failure::Private | Failure::Name),
                "{host}: {failure}"
            );
        }
        let allowed = Lines::new(vec!["127.0.0.1".parse().unwrap()]);
        let url = format!("http://localhost:{port}/").parse().unwrap();
        assert!(allowed.connect(&url).await.is_ok());
    }
}
