//! What sealing a span takes, by cipher, and with keys that are kept or expanded each time.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};
use rustls::crypto::aws_lc_rs::kx_group;
use rustls::version::TLS13;

use crate::{Seal, cpu, shake, since};

/// Bytes of a span of 0.96 s at 48 kb/s.
const SPAN_BYTES: usize = 6_100;

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

/// Prints the table; the first case is the basis.
pub(crate) fn print(count: u32) {
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
