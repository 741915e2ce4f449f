//! A crowd's TLS against a server of rustls, over either port below.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::{self, JoinHandle};

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::super::port;
use super::super::sources::Sources;
use super::*;

const WAIT_US: u64 = 10_000;
/// More than one record (RFC 8446, section 5.1: at most 2^14 bytes each).
const LONG: usize = 100_000;

fn server_config() -> Arc<ServerConfig> {
    let made = rcgen::generate_simple_self_signed(["throng.test".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.ticketer = aws_lc_rs::Ticketer::new().unwrap();
    Arc::new(config)
}

/// Answers so many connections, each with `LONG` bytes to whatever is asked in `asked` bytes.
fn serve(listener: &TcpListener, connections: usize, asked: usize) -> JoinHandle<()> {
    let (listener, config) = (listener.try_clone().unwrap(), server_config());
    thread::spawn(move || {
        for _ in 0..connections {
            let (socket, _) = listener.accept().unwrap();
            let connection = ServerConnection::new(config.clone()).unwrap();
            let mut stream = StreamOwned::new(connection, socket);
            let mut request = vec![0; asked];
            stream.read_exact(&mut request).unwrap();
            assert!(request.iter().all(|byte| *byte == b'?'));
            assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
            stream.write_all(&vec![b'x'; LONG]).unwrap();
            stream.conn.send_close_notify();
            stream.flush().unwrap();
        }
    })
}

fn tls_port(listener: &TcpListener, sessions: Sessions) -> TlsPort {
    let sources = Sources::new(listener.local_addr().unwrap(), &[]);
    let under = port::open(sources, 8).unwrap();
    let name = "throng.test".to_owned();
    TlsPort::new(under, &Tls { name, sessions }, 8).unwrap()
}

/// Connects, asks and reads to the end; how it ended.
fn visit(port: &mut TlsPort, place: Place, request: &[u8]) -> Result<usize, &'static str> {
    port.connect(place).unwrap();
    let mut heard = 0;
    loop {
        port.wait(WAIT_US).unwrap();
        while let Some(event) = port.next() {
            match event {
                Event::Made(_) => assert!(port.send(place, request)),
                Event::Missed(_, trouble) => return Err(trouble.reason()),
                Event::Unsent(_) => return Err("unsent"),
                Event::Readable(_) => loop {
                    match port.take(place) {
                        Taken::Bytes(bytes) => {
                            assert!(bytes.iter().all(|byte| *byte == b'x'));
                            heard += bytes.len();
                        }
                        Taken::Nothing => break,
                        Taken::Broken => return Err("broken"),
                        Taken::End => {
                            port.close(place);
                            return Ok(heard);
                        }
                    }
                },
            }
        }
    }
}

#[test]
fn requests_and_answers_of_many_records_pass_and_hands_are_counted() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let request = vec![b'?'; 2 * LONG];
    let server = serve(&listener, 1, request.len());
    let mut port = tls_port(&listener, Sessions::Returning);
    assert_eq!(visit(&mut port, 3, &request), Ok(LONG));
    server.join().unwrap();
    let counts = port.handshakes().unwrap();
    assert_eq!((counts.made, counts.resumed, counts.failed), (1, 0, 0));
    assert_eq!(counts.us.count(), 1);
}

#[test]
fn who_comes_back_resumes_unless_told_otherwise() {
    // Two visits of one, then one of another who was never here.
    for (sessions, resumed) in [
        (Sessions::New, 0),
        (Sessions::Returning, 1),
        (Sessions::Resumed, 2),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = serve(&listener, 3, 1);
        let mut port = tls_port(&listener, sessions);
        for place in [0, 0, 1] {
            assert_eq!(visit(&mut port, place, b"?"), Ok(LONG));
        }
        server.join().unwrap();
        let counts = port.handshakes().unwrap();
        assert_eq!((counts.made, counts.resumed), (3, resumed), "{sessions:?}");
    }
}

#[test]
fn a_server_without_tls_and_one_that_hangs_up_are_failed_handshakes() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let serving = listener.try_clone().unwrap();
    let server = thread::spawn(move || {
        let (mut plain, _) = serving.accept().unwrap();
        plain
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .unwrap();
        drop(serving.accept().unwrap());
        plain
    });
    let mut port = tls_port(&listener, Sessions::Returning);
    for place in [0, 1] {
        assert_eq!(visit(&mut port, place, b"?"), Err("TLS handshake failed"));
        port.close(place);
    }
    server.join().unwrap();
    assert_eq!(port.handshakes().unwrap().failed, 2);
}

#[test]
fn a_session_is_small() {
    // Its keys and schedules besides: what rustls keeps on the heap.
    assert!(size_of::<Session>() <= 1_536, "{}", size_of::<Session>());
    assert!(size_of::<Line>() <= 24, "{}", size_of::<Line>());
}
