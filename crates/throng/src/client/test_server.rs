//! A canned HTTP server for the clients' tests: one thread, one answer per connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What a test server was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) method: String,
    /// Path and query.
    pub(super) target: String,
    pub(super) bearer: Option<String>,
    pub(super) body: String,
}

impl Asked {
    /// The path without the query.
    pub(super) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

/// A server on a free port of this machine, which serves until the test's process ends.
pub(super) struct TestServer {
    pub(super) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl TestServer {
    /// Answers every request with the bytes that `respond` makes.
    pub(super) fn start(respond: impl Fn(&Asked) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
        let url = format!("http://{}", listener.local_addr().expect("bound above"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Some(request) = read_request(&stream) else {
                    continue;
                };
                let answer = respond(&request);
                log.lock()
                    .expect("no test thread panics while holding it")
                    .push(request);
                // The client may have heard enough and gone.
                let _ = (&stream).write_all(&answer);
            }
        });
        Self { url, asked }
    }

    /// Everything asked so far, in order.
    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked
            .lock()
            .expect("no test thread panics while holding it")
            .clone()
    }

    /// The bytes of an answer.
    pub(super) fn answer(status: &str, media_type: &str, body: &[u8]) -> Vec<u8> {
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: {media_type}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    }
}

fn read_request(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (mut bearer, mut length) = (None, 0);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => bearer = value.strip_prefix("Bearer ").map(str::to_owned),
            "content-length" => length = value.parse().ok()?,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked {
        method,
        target,
        bearer,
        body: String::from_utf8(body).ok()?,
    })
}
