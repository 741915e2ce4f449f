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

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};
use rcgen::{CertificateParams, KeyPair, RsaKeySize, SignatureAlgorithm};
use rustix::time::{ClockId, clock_gettime};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ServerSessionMemoryCache, UnbufferedServerConnection};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::unbuffered::{ConnectionState, EncodeError, UnbufferedStatus};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, ServerConfig, ServerConnection,
    SupportedProtocolVersion,
};

/// Bytes of a span of 0.96 s at 48 kb/s.
const SPAN_BYTES: usize = 6_100;
/// Established connections of which the memory is counted.
const HELD: usize = 200;

fn main() {
    let rounds = std::env::args().nth(1);
    let rounds = rounds.map_or(1_000, |rounds| rounds.parse().unwrap());
    handshakes(rounds);
    spans(rounds * 20);
    memory();
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
        let offered = throng_air::tls::server_config(Arc::clone(&self.certified) as _);
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

fn handshakes(rounds: u32) {
    let p256 = Seal::of(&rcgen::PKCS_ECDSA_P256_SHA256);
    let p384 = Seal::of(&rcgen::PKCS_ECDSA_P384_SHA384);
    let rsa = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048);
    let rsa = Seal::new(&rsa.unwrap());
    let of = |seal: &Seal, change: &dyn Fn(&mut ServerConfig)| {
        let mut server = seal.server();
        change(&mut server);
        Arc::new(server)
    };
    let tickets = |count| {
        of(&p256, &|server: &mut ServerConfig| {
            server.send_tls13_tickets = count;
        })
    };
    let caching = |tls: &mut ServerConfig| {
        tls.ticketer = Arc::new(NoTickets);
        tls.session_storage = ServerSessionMemoryCache::new(100_000);
    };
    let chosen = of(&p256, &|_| {});
    let full = Some(HandshakeKind::Full);
    let resumed = Some(HandshakeKind::Resumed);
    let cases = [
        (
            "1.3, P-256, X25519, 2 tickets (chosen)",
            &p256,
            chosen.clone(),
            &TLS13,
            kx_group::X25519,
            full,
        ),
        (
            "certificate: P-384",
            &p384,
            of(&p384, &|_| {}),
            &TLS13,
            kx_group::X25519,
            full,
        ),
        (
            "certificate: RSA of 2048 bits",
            &rsa,
            of(&rsa, &|_| {}),
            &TLS13,
            kx_group::X25519,
            full,
        ),
        (
            "key exchange: P-256",
            &p256,
            chosen.clone(),
            &TLS13,
            kx_group::SECP256R1,
            full,
        ),
        (
            "key exchange: X25519MLKEM768",
            &p256,
            chosen.clone(),
            &TLS13,
            kx_group::X25519MLKEM768,
            full,
        ),
        (
            "tickets: none",
            &p256,
            tickets(0),
            &TLS13,
            kx_group::X25519,
            full,
        ),
        (
            "tickets: 1",
            &p256,
            tickets(1),
            &TLS13,
            kx_group::X25519,
            full,
        ),
        (
            "tickets: 4",
            &p256,
            tickets(4),
            &TLS13,
            kx_group::X25519,
            full,
        ),
        (
            "TLS 1.2",
            &p256,
            chosen.clone(),
            &TLS12,
            kx_group::X25519,
            full,
        ),
        (
            "resumed from a ticket (chosen)",
            &p256,
            chosen.clone(),
            &TLS13,
            kx_group::X25519,
            resumed,
        ),
        (
            "resumed from a ticket, P-256",
            &p256,
            chosen.clone(),
            &TLS13,
            kx_group::SECP256R1,
            resumed,
        ),
        (
            "resumed from a ticket, TLS 1.2",
            &p256,
            chosen,
            &TLS12,
            kx_group::X25519,
            resumed,
        ),
        (
            "resumed from a store of the server's",
            &p256,
            of(&p256, &caching),
            &TLS13,
            kx_group::X25519,
            resumed,
        ),
    ];
    println!("| handshake | CPU of the server | us |\n|---|---|---|");
    let mut basis = None;
    for (name, seal, server, version, group, kind) in cases {
        let mut client = seal.client(version, group);
        if kind == full {
            client.resumption = Resumption::disabled();
        }
        let client = Arc::new(client);
        let warm = rounds / 10 + 1;
        let mut spent = Duration::ZERO;
        for round in 0..warm + rounds {
            let (took, server, _) = shake(&server, &client);
            if round >= warm {
                assert_eq!(server.handshake_kind(), kind, "{name}");
                spent += took;
            }
        }
        let micros = spent.as_secs_f64() * 1e6 / f64::from(rounds);
        let basis = *basis.get_or_insert(micros);
        println!("| {name} | {:.2} | {micros:.0} |", micros / basis);
    }
}

/// A server that gives no tickets.
#[derive(Debug)]
struct NoTickets;

impl rustls::server::ProducesTickets for NoTickets {
    fn enabled(&self) -> bool {
        false
    }

    fn lifetime(&self) -> u32 {
        0
    }

    fn encrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn decrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

/// Seals a span in records of so many bytes with a key that is there, or with one that is expanded for each span.
fn seal(algorithm: &'static Algorithm, spans: u32, record_bytes: usize, is_kept: bool) -> Duration {
    let bytes = [7; 32];
    let key = || {
        let key = UnboundKey::new(algorithm, &bytes[..algorithm.key_len()]);
        LessSafeKey::new(key.unwrap())
    };
    let kept = key();
    let plain = vec![1; SPAN_BYTES];
    let begin = cpu();
    let mut number: u64 = 0;
    for _ in 0..spans {
        let mut out = Vec::with_capacity(SPAN_BYTES * 2);
        let fresh = (!is_kept).then(key);
        let key = fresh.as_ref().unwrap_or(&kept);
        for record in plain.chunks(record_bytes) {
            number += 1;
            let mut nonce = [0; 12];
            nonce[4..].copy_from_slice(&number.to_be_bytes());
            let nonce = Nonce::assume_unique_for_key(nonce);
            let begin = out.len();
            out.resize(begin + record.len() + 17, 0);
            let (sealed, rest) = out[begin..].split_at_mut(record.len());
            let aad = Aad::from([23, 3, 3, 0, 0]);
            key.seal_out_of_place_scatter(nonce, aad, record, sealed, &[23], rest)
                .unwrap();
        }
        std::hint::black_box(out);
    }
    since(begin)
}

fn spans(count: u32) {
    let p256 = Seal::of(&rcgen::PKCS_ECDSA_P256_SHA256);
    let of_rustls = |span: &[u8]| {
        let server = Arc::new(p256.server());
        let client = Arc::new(p256.client(&TLS13, kx_group::X25519));
        let (_, mut server, _) = shake(&server, &client);
        let begin = cpu();
        for _ in 0..count {
            server.writer().write_all(span).unwrap();
            let mut out = Vec::with_capacity(SPAN_BYTES * 2);
            while server.wants_write() {
                server.write_tls(&mut out).unwrap();
            }
            std::hint::black_box(out);
        }
        since(begin)
    };
    let whole = SPAN_BYTES;
    let cases = [
        (
            "AES-128-GCM, key expanded for each span (chosen)",
            seal(&AES_128_GCM, count, whole, false),
        ),
        (
            "AES-128-GCM, key kept",
            seal(&AES_128_GCM, count, whole, true),
        ),
        (
            "AES-256-GCM, key expanded",
            seal(&AES_256_GCM, count, whole, false),
        ),
        (
            "AES-256-GCM, key kept",
            seal(&AES_256_GCM, count, whole, true),
        ),
        (
            "ChaCha20-Poly1305, key expanded",
            seal(&CHACHA20_POLY1305, count, whole, false),
        ),
        (
            "AES-128-GCM in records of 1,400 bytes",
            seal(&AES_128_GCM, count, 1_400, false),
        ),
        (
            "a connection of rustls (AES-256-GCM)",
            of_rustls(&vec![1; SPAN_BYTES]),
        ),
    ];
    println!("\n| sealing a span of {SPAN_BYTES} bytes | CPU | us |\n|---|---|---|");
    let basis = cases[0].1;
    for (name, spent) in cases {
        let micros = spent.as_secs_f64() * 1e6 / f64::from(count);
        println!(
            "| {name} | {:.2} | {micros:.2} |",
            spent.as_secs_f64() / basis.as_secs_f64()
        );
    }
}

fn memory() {
    let seal = Seal::of(&rcgen::PKCS_ECDSA_P256_SHA256);
    let server = Arc::new(seal.server());
    let client = Arc::new(seal.client(&TLS13, kx_group::X25519));
    let buffered = held(|| shake(&server, &client).1);
    let unbuffered = held(|| unbuffered(&server, &client));
    let kernel = held(|| {
        let (secrets, connection) = unbuffered_parts(&server, &client);
        Box::new((secrets, connection))
    });
    println!("\n| an established connection | bytes |\n|---|---|");
    println!("| `ServerConnection` of rustls | {buffered} |");
    println!("| `UnbufferedServerConnection` | {unbuffered} |");
    println!("| secrets and `KernelConnection` | {kernel} |");
    println!("| keys as bytes (chosen) | 120 |");
}

/// Bytes that each of many values keeps, itself among them.
fn held<T>(mut make: impl FnMut() -> T) -> usize {
    drop(make());
    let before = ALLOCATED.load(Ordering::Relaxed);
    let values: Vec<Box<T>> = (0..HELD).map(|_| Box::new(make())).collect();
    let after = ALLOCATED.load(Ordering::Relaxed);
    drop(values);
    (after - before) / HELD
}

fn unbuffered_parts(
    server: &Arc<ServerConfig>,
    client: &Arc<ClientConfig>,
) -> (
    rustls::ExtractedSecrets,
    rustls::kernel::KernelConnection<rustls::server::ServerConnectionData>,
) {
    unbuffered(server, client)
        .dangerous_into_kernel_connection()
        .unwrap()
}

/// A server's end without buffers, after the handshake.
fn unbuffered(
    server: &Arc<ServerConfig>,
    client: &Arc<ClientConfig>,
) -> UnbufferedServerConnection {
    let name = ServerName::try_from("throng.test").unwrap();
    let mut client = ClientConnection::new(Arc::clone(client), name).unwrap();
    let mut server = UnbufferedServerConnection::new(Arc::clone(server)).unwrap();
    let mut came = Vec::new();
    loop {
        while client.wants_write() {
            client.write_tls(&mut came).unwrap();
        }
        let mut told = Vec::new();
        loop {
            let UnbufferedStatus { discard, state, .. } = server.process_tls_records(&mut came);
            let (is_waiting, is_done) = match state.unwrap() {
                ConnectionState::EncodeTlsData(mut message) => {
                    let Err(EncodeError::InsufficientSize(needed)) = message.encode(&mut []) else {
                        panic!("no message is empty");
                    };
                    let begin = told.len();
                    told.resize(begin + needed.required_size, 0);
                    message.encode(&mut told[begin..]).unwrap();
                    (false, false)
                }
                ConnectionState::TransmitTlsData(sent) => {
                    sent.done();
                    (false, false)
                }
                ConnectionState::WriteTraffic(_) => (true, true),
                _ => (true, false),
            };
            came.drain(..discard);
            if is_done {
                return server;
            }
            if is_waiting {
                break;
            }
        }
        let mut told = &told[..];
        while !told.is_empty() {
            client.read_tls(&mut told).unwrap();
            client.process_new_packets().unwrap();
        }
    }
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
