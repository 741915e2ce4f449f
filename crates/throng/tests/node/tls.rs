//! A node with a certificate: who is shown which, and that nobody is dropped for a new one.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rcgen::generate_simple_self_signed;
use rustix::process::{Signal, getpid, kill_process};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::house::House;
use crate::wire::Wire;

/// Whom every certificate here is for.
const NAME: &str = "throng.test";

/// A certificate that was written where a node reads it.
struct Written(CertificateDer<'static>);

impl Written {
    fn to(cert: &Path, key: &Path) -> Self {
        let made = generate_simple_self_signed([NAME.to_owned()]).unwrap();
        fs::write(cert, made.cert.pem()).unwrap();
        fs::write(key, made.signing_key.serialize_pem()).unwrap();
        Self(made.cert.der().clone())
    }

    /// Connects, trusting only this one.
    async fn connect(&self, address: SocketAddr) -> Option<Wire> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.clone()).unwrap();
        let client = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from(NAME).unwrap();
        let stream = TlsConnector::from(Arc::new(client))
            .connect(name, stream)
            .await;
        stream.ok().map(Wire::over)
    }

    /// Waits until the node shows this one.
    async fn shown(&self, address: SocketAddr) -> Wire {
        loop {
            if let Some(wire) = self.connect(address).await {
                return wire;
            }
        }
    }
}

fn ask_to_reload() {
    kill_process(getpid(), Signal::HUP).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_shown_at_both_addresses_and_drops_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    let first = Written::to(&cert, &key);
    let house = House::start_sealed(cert.clone(), key.clone()).await;
    let mut before = first.connect(house.listen).await.unwrap();
    assert_eq!(before.get("/").await.status, 200);
    let mut at_desk = first.connect(house.desk).await.unwrap();
    assert_eq!(at_desk.get("/studio").await.status, 200);

    // What cannot be used changes nothing.
    fs::write(&cert, "-----BEGIN CERTIFICATE-----\nnothing\n").unwrap();
    ask_to_reload();
    while !house
        .metrics()
        .await
        .contains("throng_tls_certificate_is_current 0")
    {}
    assert!(first.connect(house.listen).await.is_some());

    let second = Written::to(&cert, &key);
    ask_to_reload();
    let mut after = second.shown(house.listen).await;
    assert_eq!(after.get("/").await.status, 200);
    assert!(second.connect(house.desk).await.is_some());
    assert!(first.connect(house.listen).await.is_none());
    assert!(
        house
            .metrics()
            .await
            .contains("throng_tls_certificate_is_current 1")
    );

    // Who was there before is served as before, by the engine and by the ordinary server.
    assert_eq!(before.get("/").await.status, 200);
    assert_eq!(before.get("/nowhere").await.status, 404);
    assert_eq!(at_desk.get("/studio").await.status, 200);
}
