//! The engine over TLS, against a client that is not ours.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use throng_core::rendition::Rendition;
use throng_core::space::State;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, HandshakeKind, SupportedCipherSuite};

use crate::house::{Front, House, cmaf};
use crate::seal;
use crate::wire::Wire;

/// Clients that know one cipher of one version each.
fn clients(house: &House) -> Vec<(String, ClientConfig)> {
    let suites = aws_lc_rs::ALL_CIPHER_SUITES.iter().filter(|suite| {
        // The certificate has an elliptic key.
        !format!("{suite:?}").contains("RSA")
    });
    let with = |suite: &SupportedCipherSuite| {
        let provider = CryptoProvider {
            cipher_suites: vec![*suite],
            ..aws_lc_rs::default_provider()
        };
        let client = house.seal().client(provider, &[suite.version()]);
        (format!("{suite:?}"), client)
    };
    suites.map(with).collect()
}

#[tokio::test]
async fn every_cipher_carries_the_programme_and_what_the_ordinary_server_has() {
    for front in Front::sealed() {
        let house = House::start_on(front, State::Live, 40).await;
        let clients = clients(&house);
        assert_eq!(clients.len(), 6);
        for (name, client) in clients {
            let client = Arc::new(client);
            let stream = TcpStream::connect(house.address).await.unwrap();
            let mut wire = Wire::over(seal::talk(Arc::clone(&client), stream).await.unwrap());
            assert_eq!(wire.get("/").await.text(), "the list", "{name}");
            wire.ask("GET", &format!("{}/live.mp4", house.path), "")
                .await;
            assert_eq!(wire.head().await.unwrap().status, 200, "{name}");
            let first = format!("init o48;{}", cmaf(Rendition::O48, 27..40));
            assert_eq!(wire.body(first.len()).await, first, "{name}");
            // Longer than a record, there and back.
            let stream = TcpStream::connect(house.address).await.unwrap();
            let mut wire = Wire::over(seal::talk(client, stream).await.unwrap());
            assert_eq!(wire.get("/").await.text(), "the list", "{name}");
            let body = "0123456789".repeat(10_000);
            wire.send(format!(
                "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            ))
            .await;
            assert_eq!(wire.answer("POST").await.text(), body, "{name}");
            assert_eq!(wire.get("/").await.text(), "the list", "{name}");
        }
    }
}

#[tokio::test]
async fn who_comes_again_resumes_his_session() {
    // RFC 8446 section 2.2, RFC 5077.
    for front in Front::sealed() {
        let house = House::start_on(front, State::Live, 40).await;
        for version in [&TLS13, &TLS12] {
            let provider = aws_lc_rs::default_provider();
            let client = Arc::new(house.seal().client(provider, &[version]));
            let mut kinds = Vec::new();
            for _ in 0..2 {
                let stream = TcpStream::connect(house.address).await.unwrap();
                let mut stream = seal::talk(Arc::clone(&client), stream).await.unwrap();
                let request = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
                stream.write_all(request.as_bytes()).await.unwrap();
                let mut answer = Vec::new();
                // Without the alert that ends it in order this would fail (RFC 8446 section 6.1).
                stream.read_to_end(&mut answer).await.unwrap();
                assert!(answer.ends_with(b"the list"));
                kinds.push(stream.get_ref().1.handshake_kind().unwrap());
            }
            assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed]);
        }
    }
}

#[tokio::test]
async fn records_may_come_byte_by_byte() {
    for front in Front::sealed() {
        let house = House::start_on(front, State::Live, 40).await;
        let stream = TcpStream::connect(house.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let stream = house.seal().talk(Dribble(stream)).await.unwrap();
        let mut wire = Wire::over(stream);
        assert_eq!(wire.get("/").await.text(), "the list");
        assert_eq!(wire.get(&house.path).await.text(), "the page");
    }
}

/// A stream that takes one byte at a time.
struct Dribble(TcpStream);

impl AsyncRead for Dribble {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, into)
    }
}

impl AsyncWrite for Dribble {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, &bytes[..bytes.len().min(1)])
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[tokio::test]
async fn who_speaks_no_tls_is_turned_away_and_nobody_else_notices() {
    for front in Front::sealed() {
        let house = House::start_on(front, State::Live, 40).await;
        let mut listener = house.connect().await;
        listener
            .ask("GET", &format!("{}/live.mp4", house.path), "")
            .await;
        listener.head().await.unwrap();
        let mut silent = Vec::new();
        for nonsense in [
            &b"\x16\x03\x01\x02\x00\x01\x00 TLS?\r\n\r\n"[..],
            b"\x16\x03\x01\xff\xff",
            b"\x17\x03\x03\x00\x01x",
            b"\0",
            b"ssh",
        ] {
            let mut stream = TcpStream::connect(house.address).await.unwrap();
            stream.write_all(nonsense).await.unwrap();
            silent.push(stream);
        }
        // It cannot be told from a hello whose rest is on the way.
        let half = silent.remove(0);
        for mut stream in silent {
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
            // Nothing, or an alert (RFC 8446 section 6).
            assert!(answer.first().is_none_or(|kind| *kind == 21), "{answer:?}");
        }
        drop(half);
        let mut plain = Wire::connect(house.address).await;
        let answer = plain.get("/").await;
        assert_eq!(answer.status, 400);
        assert!(answer.text().contains("https://"));
        assert!(plain.is_closed().await);
        let first = format!("init o48;{}", cmaf(Rendition::O48, 27..40));
        assert_eq!(listener.body(first.len()).await, first);
        house.push(40..43);
        let next = cmaf(Rendition::O48, 40..43);
        assert_eq!(listener.body(next.len()).await, next);
    }
}

#[tokio::test]
async fn a_hello_that_goes_wrong_halfway_costs_nobody_else_his_handshake() {
    /// More than there are threads for handshakes.
    const WRONG: usize = 40;
    // A record with the first half of a hello, and then what is no record.
    let mut hello = vec![0x16, 3, 1, 0, 232, 1, 0, 1, 244];
    hello.extend([0; 228]);
    hello.extend([0x58; 32]);
    for front in Front::sealed() {
        let house = House::start_on(front, State::Live, 40).await;
        for _ in 0..WRONG {
            let mut stream = TcpStream::connect(house.address).await.unwrap();
            stream.write_all(&hello).await.unwrap();
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
            assert_eq!(answer.first(), Some(&21), "an alert (RFC 8446 section 6)");
        }
        let mut listener = house.connect().await;
        listener
            .ask("GET", &format!("{}/live.mp4", house.path), "")
            .await;
        listener.head().await.unwrap();
    }
}

#[tokio::test]
async fn http_1_1_is_all_that_is_spoken() {
    // RFC 7301 section 3.2.
    for front in Front::sealed() {
        let house = House::start_on(front, State::Live, 40).await;
        let mut offers = Vec::new();
        for protocols in [&["h2"][..], &["h2", "http/1.1"], &[]] {
            let provider = aws_lc_rs::default_provider();
            let mut client = house.seal().client(provider, &[&TLS13]);
            client.alpn_protocols = protocols
                .iter()
                .map(|name| name.as_bytes().into())
                .collect();
            let stream = TcpStream::connect(house.address).await.unwrap();
            let stream = seal::talk(Arc::new(client), stream).await;
            offers
                .push(stream.map(|stream| stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec)));
        }
        assert!(offers.remove(0).is_err());
        assert_eq!(offers.remove(0).unwrap(), Some(b"http/1.1".to_vec()));
        assert_eq!(offers.remove(0).unwrap(), None);
    }
}

#[tokio::test]
async fn who_wants_new_keys_is_parted_with() {
    for front in Front::sealed() {
        let house = House::start_on(front, State::Live, 40).await;
        let stream = TcpStream::connect(house.address).await.unwrap();
        let mut stream = house.seal().talk(stream).await.unwrap();
        stream.get_mut().1.refresh_traffic_keys().unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(answer.is_empty());
        assert_eq!(house.connect().await.get("/").await.text(), "the list");
    }
}
