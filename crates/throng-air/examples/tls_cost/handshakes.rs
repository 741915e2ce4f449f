//! What a handshake takes the server, by certificate, key exchange, tickets and version.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{KeyPair, RsaKeySize};
use rustls::client::Resumption;
use rustls::crypto::SupportedKxGroup;
use rustls::crypto::aws_lc_rs::kx_group::{SECP256R1, X25519, X25519MLKEM768};
use rustls::server::{ProducesTickets, ServerSessionMemoryCache};
use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, ServerConfig, SupportedProtocolVersion};

use crate::{Seal, shake};

#[derive(Clone)]
struct Case<'a> {
    name: &'static str,
    seal: &'a Seal,
    server: Arc<ServerConfig>,
    version: &'static SupportedProtocolVersion,
    group: &'static dyn SupportedKxGroup,
    kind: HandshakeKind,
}

impl Case<'_> {
    fn is(&self, name: &'static str) -> Self {
        let changed = self.clone();
        Self { name, ..changed }
    }

    fn by(mut self, group: &'static dyn SupportedKxGroup) -> Self {
        self.group = group;
        self
    }

    fn of(mut self, version: &'static SupportedProtocolVersion) -> Self {
        self.version = version;
        self
    }

    fn with(mut self, change: impl FnOnce(&mut ServerConfig)) -> Self {
        let mut server = self.seal.server();
        change(&mut server);
        self.server = Arc::new(server);
        self
    }

    /// CPU time of the server for one, in microseconds.
    fn cost(&self, rounds: u32) -> f64 {
        let mut client = self.seal.client(self.version, self.group);
        if self.kind == HandshakeKind::Full {
            client.resumption = Resumption::disabled();
        }
        let client = Arc::new(client);
        let warm = rounds / 10 + 1;
        let mut spent = Duration::ZERO;
        for round in 0..warm + rounds {
            let (took, server, _) = shake(&self.server, &client);
            if round >= warm {
                assert_eq!(server.handshake_kind(), Some(self.kind), "{}", self.name);
                spent += took;
            }
        }
        spent.as_secs_f64() * 1e6 / f64::from(rounds)
    }
}

/// Prints the table; the first case is the basis.
pub(crate) fn print(rounds: u32) {
    let p256 = Seal::of(&rcgen::PKCS_ECDSA_P256_SHA256);
    let p384 = Seal::of(&rcgen::PKCS_ECDSA_P384_SHA384);
    let rsa = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048);
    let rsa = Seal::new(&rsa.unwrap());
    let full = full(&p256);
    let others = [
        ("certificate P-384", &p384),
        ("certificate RSA, 2048 bits", &rsa),
    ];
    let others = others.map(|(name, seal)| {
        Case {
            seal,
            ..full[0].is(name)
        }
        .with(|_| {})
    });
    let resumed = resumed(&full[0]);
    println!("| Handshake | CPU of the server | us |\n|---|---|---|");
    let mut basis = None;
    for case in full.iter().chain(&others).chain(&resumed) {
        let micros = case.cost(rounds);
        let basis = *basis.get_or_insert(micros);
        println!("| {} | {:.2} | {micros:.0} |", case.name, micros / basis);
    }
}

fn full(p256: &Seal) -> Vec<Case<'_>> {
    let chosen = Case {
        name: "TLS 1.3, certificate P-256, key exchange X25519, two tickets (chosen)",
        seal: p256,
        server: Arc::new(p256.server()),
        version: &TLS13,
        group: X25519,
        kind: HandshakeKind::Full,
    };
    let tickets = |name, count| chosen.is(name).with(|tls| tls.send_tls13_tickets = count);
    vec![
        chosen.clone(),
        chosen.is("key exchange P-256").by(SECP256R1),
        chosen.is("key exchange X25519MLKEM768").by(X25519MLKEM768),
        tickets("no ticket", 0),
        tickets("1 ticket", 1),
        tickets("4 tickets", 4),
        chosen.is("TLS 1.2").of(&TLS12),
    ]
}

fn resumed<'a>(full: &Case<'a>) -> Vec<Case<'a>> {
    let chosen = Case {
        kind: HandshakeKind::Resumed,
        ..full.is("resumed from a ticket (chosen)")
    };
    vec![
        chosen.clone(),
        chosen.is("resumed, key exchange P-256").by(SECP256R1),
        chosen.is("resumed, TLS 1.2").of(&TLS12),
        chosen
            .is("resumed from the server's own store")
            .with(|tls| {
                tls.ticketer = Arc::new(NoTickets);
                tls.session_storage = ServerSessionMemoryCache::new(100_000);
            }),
    ]
}

/// A server that gives no tickets.
#[derive(Debug)]
struct NoTickets;

impl ProducesTickets for NoTickets {
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
