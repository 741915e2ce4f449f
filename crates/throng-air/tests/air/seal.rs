//! A certificate of our own making, and clients that trust it.

use std::io;
use std::sync::Arc;

use rcgen::generate_simple_self_signed;
use throng_air::tls::server_config;
use throng_air::tls::tickets::TicketSecret;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};

/// Whom the certificate is for.
const NAME: &str = "throng.test";

/// A certificate with its key.
pub(crate) struct Seal {
    certificate: CertificateDer<'static>,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl Seal {
    /// A fresh one.
    pub(crate) fn new() -> Self {
        let made = generate_simple_self_signed([NAME.to_owned()]).unwrap();
        let certificate = made.cert.der().clone();
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let provider = aws_lc_rs::default_provider();
        let certified = CertifiedKey::from_der(vec![certificate.clone()], key, &provider).unwrap();
        let resolver = Arc::new(SingleCertAndKey::from(certified));
        let client = client(&certificate, provider, &[&TLS13]);
        Self {
            certificate,
            server: server_config(resolver, vec![b"http/1.1".to_vec()], TicketSecret::drawn())
                .unwrap(),
            client: Arc::new(client),
        }
    }

    /// What the server offers.
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }

    /// A client that knows only this.
    pub(crate) fn client(
        &self,
        provider: CryptoProvider,
        versions: &[&'static SupportedProtocolVersion],
    ) -> ClientConfig {
        client(&self.certificate, provider, versions)
    }

    /// Shakes hands.
    pub(crate) async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> io::Result<TlsStream<S>> {
        talk(Arc::clone(&self.client), stream).await
    }
}

/// Shakes hands as some client.
pub(crate) async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    client: Arc<ClientConfig>,
    stream: S,
) -> io::Result<TlsStream<S>> {
    let name = ServerName::try_from(NAME).unwrap();
    TlsConnector::from(client).connect(name, stream).await
}

fn client(
    certificate: &CertificateDer<'static>,
    provider: CryptoProvider,
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}
