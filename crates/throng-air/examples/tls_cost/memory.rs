//! What an established connection keeps, by what is kept of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustls::crypto::aws_lc_rs::kx_group;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, UnbufferedStatus};
use rustls::version::TLS13;
use rustls::{ClientConfig, ClientConnection, ServerConfig};

use crate::{ALLOCATED, Seal, shake};

/// Established connections of which the memory is counted.
const HELD: usize = 200;

/// Prints the table.
pub(crate) fn print() {
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
