//! A connection over TLS with a real client, while what he sends is spoilt on its way or he is no client at all. The
//! application is given what he said, in order, as far as it came unspoilt, and nothing else.
#![no_main]

use std::io::{Read, Write};
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use rcgen::generate_simple_self_signed;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, version};
use throng_air::fuzzing::Tls;
use throng_air::tls::server_config;
use throng_air::tls::tickets::TicketSecret;
use throng_fuzz::Script;

const NAME: &str = "air.test";
const ACTS_MAX: usize = 60;

/// The server, and clients of TLS 1.2 and 1.3 who trust it.
static ENDS: LazyLock<(Arc<ServerConfig>, [Arc<ClientConfig>; 2])> = LazyLock::new(|| {
    let own = generate_simple_self_signed([NAME.to_owned()]).expect("a certificate is made");
    let certificate = own.cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()).into();
    let key = aws_lc_rs::sign::any_supported_type(&key).expect("the key signs");
    let certified = CertifiedKey::new(vec![certificate.clone()], key);
    let certificates = Arc::new(SingleCertAndKey::from(certified));
    let server = server_config(certificates, TicketSecret::drawn()).expect("the settings fit");
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("it is a certificate");
    let clients = [&version::TLS12, &version::TLS13].map(|version| {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .expect("the version is known");
        Arc::new(
            builder
                .with_root_certificates(roots.clone())
                .with_no_client_auth(),
        )
    });
    (server, clients)
});

fuzz_target!(|bytes: &[u8]| {
    let mut script = Script::new(bytes);
    let (server, clients) = &*ENDS;
    let name = ServerName::try_from(NAME).expect("it is a name");
    let config = Arc::clone(&clients[usize::from(script.byte() % 2)]);
    let mut client = ClientConnection::new(config, name).expect("the settings fit");
    let mut tls = Tls::new(server);
    let (mut said, mut given) = (Vec::new(), Vec::new());
    for _ in 0..ACTS_MAX {
        if script.is_over() {
            break;
        }
        let act = script.byte();
        if act & 0x80 != 0 {
            let length = usize::from(script.byte()) << (act & 7);
            let words = vec![act; length];
            // A client that was told of an error says nothing any more.
            let taken = client.writer().write(&words).unwrap_or_default();
            said.extend(&words[..taken]);
        }
        let mut sent = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut sent).expect("memory takes it");
        }
        spoil(&mut script, act, &mut sent);
        let (heard, mut told) = tls.hear(&sent);
        given.extend(heard);
        told.extend(tls.say(b"a part").unwrap_or_default());
        answered(&mut client, &told);
    }
    assert!(said.starts_with(&given), "what nobody said");
});

/// What the server says comes as it was said; a client that has given up reads it no more.
fn answered(client: &mut ClientConnection, mut told: &[u8]) {
    while !told.is_empty() {
        if client.read_tls(&mut told).is_err() || client.process_new_packets().is_err() {
            return;
        }
        let mut heard = Vec::new();
        // An end without a goodbye, or nothing yet.
        let _ = client.reader().read_to_end(&mut heard);
        assert!(heard.chunks(6).all(|part| part == b"a part"));
    }
}

/// What becomes of bytes on their way to the server.
fn spoil(script: &mut Script<'_>, act: u8, sent: &mut Vec<u8>) {
    let at = usize::from(script.short()) % (sent.len() + 1);
    match (act >> 3) % 8 {
        0 => {
            let with = script.byte();
            sent.iter_mut()
                .skip(at)
                .take(1)
                .for_each(|byte| *byte ^= with);
        }
        1 => sent.truncate(at),
        2 => {
            let length = usize::from(script.byte());
            let more = script.bytes(length).to_vec();
            drop(sent.splice(at..at, more));
        }
        3 => sent.extend_from_within(at..),
        _ => {}
    }
}
