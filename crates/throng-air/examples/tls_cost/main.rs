//! What TLS costs a server, lever by lever: `cargo run --release -p throng-air --example tls_cost [ROUNDS]`.
//!
//! Handshakes, spans and memory, in one thread without sockets, each as CPU time of the server's side beside a basis of
//! the same run: on a machine that others use, ratios say more than times. What is basis and what was chosen stands in
//! `docs/internals/engine.md`.

#![allow(clippy::print_stdout, reason = "the result is what it is for")]
#![allow(
    clippy::unwrap_used,
    reason = "a measurement that cannot go on has failed"
)]
#![allow(
    clippy::cast_precision_loss,
    reason = "figures are shown to three digits"
)]
#![allow(
    unsafe_code,
    reason = "an allocator that counts hands on what it is asked for"
)]

mod handshakes;
mod memory;
mod spans;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use throng_air::tls::tickets::TicketSecret;

use rcgen::{CertificateParams, KeyPair, SignatureAlgorithm};
use rustix::time::{ClockId, clock_gettime};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection,
    SupportedProtocolVersion,
};

fn main() {
    let rounds = std::env::args().nth(1);
    let rounds = rounds.map_or(1_000, |rounds| rounds.parse().unwrap());
    handshakes::print(rounds);
    spans::print(rounds * 20);
    memory::print();
}

/// A certificate, and who trusts it.
struct Seal {
    certificate: CertificateDer<'static>,
    certified: Arc<SingleCertAndKey>,
}

impl Seal {
    fn new(key: &KeyPair) -> Self {
        let params = CertificateParams::new(["throng.test".to_owned()]).unwrap();
        let certificate = params.self_signed(key).unwrap().der().clone();
        let bytes = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let chain = vec![certificate.clone()];
        let certified = CertifiedKey::from_der(chain, bytes, &default_provider()).unwrap();
        Self {
            certificate,
            certified: Arc::new(SingleCertAndKey::from(certified)),
        }
    }

    fn of(algorithm: &'static SignatureAlgorithm) -> Self {
        Self::new(&KeyPair::generate_for(algorithm).unwrap())
    }

    fn server(&self) -> ServerConfig {
        let offered = throng_air::tls::server_config(
            Arc::clone(&self.certified) as _,
            vec![b"http/1.1".to_vec()],
            TicketSecret::drawn(),
        );
        Arc::unwrap_or_clone(offered.unwrap())
    }

    fn client(
        &self,
        version: &'static SupportedProtocolVersion,
        group: &'static dyn SupportedKxGroup,
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let provider = CryptoProvider {
            kx_groups: vec![group],
            ..default_provider()
        };
        ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }
}

/// CPU time of this thread.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.try_into().unwrap(),
        time.tv_nsec.try_into().unwrap(),
    )
}

/// CPU time of this thread since then.
fn since(begin: Duration) -> Duration {
    cpu().saturating_sub(begin)
}

/// One handshake in memory; what it took the server.
fn shake(
    server: &Arc<ServerConfig>,
    client: &Arc<ClientConfig>,
) -> (Duration, ServerConnection, ClientConnection) {
    let name = ServerName::try_from("throng.test").unwrap();
    let mut client = ClientConnection::new(Arc::clone(client), name).unwrap();
    let mut wire = Vec::new();
    let begin = cpu();
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    let mut spent = since(begin);
    while client.is_handshaking() || server.is_handshaking() || server.wants_write() {
        wire.clear();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let begin = cpu();
        let mut came = &wire[..];
        while !came.is_empty() {
            server.read_tls(&mut came).unwrap();
            server.process_new_packets().unwrap();
        }
        let mut told = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut told).unwrap();
        }
        spent += since(begin);
        let mut told = &told[..];
        while !told.is_empty() {
            client.read_tls(&mut told).unwrap();
            client.process_new_packets().unwrap();
        }
    }
    (spent, server, client)
}

/// What is allocated now.
static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static COUNTING: Counting = Counting;

struct Counting;

// SAFETY: everything is handed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}
