//! TLS at the audience's port: what is offered, and a session that needs no connection object of a library.
//!
//! `rustls` does every handshake ([`handshake`]); then it gives the keys away and is dropped, and what is left of an
//! established connection is a [`record::Session`] of 120 bytes without an object on the heap. The engine seals spans
//! with it, and when it hands a connection to the ordinary server, the session goes along ([`stream`]).
//!
//! Not here: certificates and their files; whoever starts the engine resolves them, and says which protocols ALPN offers.
//! Of HTTP that is `http/1.1` alone.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{NoServerSessionStorage, ResolvesServerCert};
use rustls::{Error, ServerConfig};

use self::tickets::TicketSecret;

pub(crate) mod handshake;
pub(crate) mod record;
pub(crate) mod stream;
pub mod tickets;

/// Tickets given with a full handshake of TLS 1.3: a browser opens a few connections and uses each ticket once.
const TICKETS: usize = 2;

/// What the audience's port and the desk offer, with certificates from `certificates` and these protocols (ALPN).
///
/// Key exchange by X25519 first, which costs least. X25519MLKEM768, which browsers would rather have and which costs a
/// third more, is not offered: nothing is said here that a later quantum computer should not hear.
/// Sessions are resumed from tickets alone, so that nothing is kept per client; each is good for twelve hours at most,
/// at every process that has the same secret.
pub fn server_config(
    certificates: Arc<dyn ResolvesServerCert>,
    protocols: Vec<Vec<u8>>,
    tickets: TicketSecret,
) -> Result<Arc<ServerConfig>, Error> {
    let provider = CryptoProvider {
        kx_groups: vec![
            aws_lc_rs::kx_group::X25519,
            aws_lc_rs::kx_group::SECP256R1,
            aws_lc_rs::kx_group::SECP384R1,
        ],
        ..aws_lc_rs::default_provider()
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = protocols;
    config.ticketer = Arc::new(tickets);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = TICKETS;
    config.enable_secret_extraction = true;
    Ok(Arc::new(config))
}
