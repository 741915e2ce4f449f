//! Our own accept loop: every connection must speak, and finish its request heads, in time.
//!
//! `axum::serve` sets no header timer, so that a client that sends one byte and waits holds a connection for ever
//! (slowloris). Here the first byte and each head have a deadline, connections are counted, and an audience too large
//! for the process waits in the backlog instead of failing.

use std::future::ready;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{self, Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{StatusCode, Version, header};
use bytes::Bytes;
use futures_util::future::Either;
use hyper::Request;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::answer;
use crate::hand_over::{Handed, Replay, Stream};
use crate::tls::stream::TlsStream;

/// Time for the first byte after the connection is there; browsers open spare connections and are told by a clean
/// close that this one was not needed.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(10);
/// The same for who came just before the door closed: a round trip or two.
const LAST_WORD: Duration = Duration::from_millis(400);
/// Time for a whole request head, and for the next one on an idle connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// Time for a whole request body. The largest that is taken is some 30 KB.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);
/// Time for a TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// A peer that takes nothing for so long is gone; without this a vanished listener holds his buffer for 15 minutes.
const STALLED_PEER_TIMEOUT_MS: u32 = 30_000;
/// Largest request head. A join needs less than 1 KB; browsers send up to 8 KB with cookies of neighbours.
const HEAD_MAX_BYTES: usize = 16 * 1024;
/// Pause after `accept` fails for want of descriptors: retrying at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Which connection a request came on; a listener without a number of his own is known by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionId(pub u64);

/// The address of who makes a request, as far as it is known: an extension of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client(pub IpAddr);

/// One port: its socket, its bound and its TLS.
pub struct Door {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    connections_max: u32,
    places: Arc<Semaphore>,
}

impl Door {
    /// A door that lets in `connections_max` at once; more wait in the kernel's backlog.
    pub fn new(listener: TcpListener, connections_max: u32, tls: Option<TlsAcceptor>) -> Self {
        Self {
            listener,
            tls,
            connections_max,
            places: Arc::new(Semaphore::new(connections_max as usize)),
        }
    }

    /// Serves `app` until `closing` turns true, then stops accepting. Connections in progress are told to finish
    /// their request and close; this returns when the last one has.
    pub async fn serve(self, app: Router, closing: watch::Receiver<bool>) {
        let (places, connections_max) = (Arc::clone(&self.places), self.connections_max);
        self.accept(app, closing).await;
        let all = places.acquire_many(connections_max).await;
        drop(all.expect("the semaphore is never closed"));
    }

    async fn accept(self, app: Router, mut closing: watch::Receiver<bool>) {
        loop {
            let place = tokio::select! {
                place = Arc::clone(&self.places).acquire_owned() => place.expect("the semaphore is never closed"),
                () = closed(&mut closing) => return,
            };
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = closed(&mut closing) => return,
            };
            match accepted {
                Ok((stream, address)) => {
                    let tls = self.tls.clone();
                    let served = (app.clone(), closing.clone());
                    let client = Client(address.ip());
                    tokio::spawn(connection(stream, tls, client, served, place));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Whoever came before the door closed has had time to say what he wants.
async fn too_late(closing: &mut watch::Receiver<bool>) {
    closed(closing).await;
    sleep(LAST_WORD).await;
}

async fn closed(closing: &mut watch::Receiver<bool>) {
    // A sender that is gone will not open again either.
    let _ = closing.wait_for(|closing| *closing).await;
}

/// Serves `app` to connections that the engine handed on, with the bytes that it read, until the engine has ended and
/// the last of them has finished.
pub async fn serve_handed(mut handed: Handed, app: Router, closing: watch::Receiver<bool>) {
    while let Some(connection) = handed.next().await {
        let (app, closing) = (app.clone(), closing.clone());
        tokio::spawn(async move {
            let place = connection.place;
            let read = connection.read;
            let (Stream::Plain(socket) | Stream::Tls(socket, _)) = &connection.stream;
            let client = socket.peer_addr().ok();
            let client = client.map(|address| Client(address.ip()));
            match connection.stream {
                Stream::Plain(socket) => {
                    if let Ok(stream) = TcpStream::from_std(socket) {
                        serve(Replay { read, stream }, client, app, closing).await;
                    }
                }
                Stream::Tls(socket, carried) => {
                    if let Ok(socket) = TcpStream::from_std(socket) {
                        let stream = TlsStream::new(socket, *carried);
                        serve(Replay { read, stream }, client, app, closing).await;
                    }
                }
            }
            drop(place);
        });
    }
    handed.finished().await;
}

async fn connection(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    client: Client,
    (app, mut closing): (Router, watch::Receiver<bool>),
    _place: OwnedSemaphorePermit,
) {
    let speaks = tokio::select! {
        speaks = speaks(&stream) => speaks,
        () = too_late(&mut closing) => false,
    };
    if !speaks || prepare(&stream).is_err() {
        return;
    }
    match tls {
        None => serve(stream, Some(client), app, closing).await,
        Some(tls) => {
            if let Ok(Ok(stream)) = timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
                serve(stream, Some(client), app, closing).await;
            }
        }
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    rustix::net::sockopt::set_tcp_user_timeout(stream, STALLED_PEER_TIMEOUT_MS)?;
    Ok(())
}

/// Whether a first byte comes in time.
async fn speaks(stream: &TcpStream) -> bool {
    let mut byte = [0];
    matches!(
        timeout(FIRST_BYTE_TIMEOUT, stream.peek(&mut byte)).await,
        Ok(Ok(1))
    )
}

/// Serves the requests of one connection that is nobody's in particular, until it ends or `closing` turns true and its
/// request is done.
pub async fn requests(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    app: Router,
    closing: watch::Receiver<bool>,
) {
    serve(stream, None, app, closing).await;
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    client: Option<Client>,
    app: Router,
    mut closing: watch::Receiver<bool>,
) {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let id = ConnectionId(NEXT.fetch_add(1, Ordering::Relaxed));
    let app = TowerToHyperService::new(app);
    let service = service_fn(move |request: Request<Incoming>| {
        if !names_one_host(&request) {
            let refusal = answer::refuse(StatusCode::BAD_REQUEST, "Name one Host.\n");
            return Either::Left(ready(Ok(refusal)));
        }
        let mut request = request.map(timely);
        request.extensions_mut().insert(id);
        if let Some(client) = client {
            request.extensions_mut().insert(client);
        }
        Either::Right(app.call(request))
    });
    let serving = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_MAX_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    let ended = tokio::select! {
        // What has been said is read before the door closes, and is answered.
        biased;
        ended = serving.as_mut() => ended,
        () = closed(&mut closing) => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message that lacks a Host header
/// field and to any request message that contains more than one Host header field line" (RFC 9112 section 3.2).
fn names_one_host(request: &Request<Incoming>) -> bool {
    match request.headers().get_all(header::HOST).iter().count() {
        0 => request.version() < Version::HTTP_11,
        1 => true,
        _ => false,
    }
}

/// The body of a request, which fails when it does not come in time.
fn timely(body: Incoming) -> Body {
    use hyper::body::Body as _;
    if body.is_end_stream() {
        return Body::empty();
    }
    Body::new(Timely {
        body,
        deadline: Box::pin(sleep(BODY_TIMEOUT)),
    })
}

struct Timely {
    body: Incoming,
    deadline: Pin<Box<Sleep>>,
}

impl hyper::body::Body for Timely {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(axum::Error::new(io::Error::from(
                io::ErrorKind::TimedOut,
            )))));
        }
        let frame = task::ready!(Pin::new(&mut self.body).poll_frame(context));
        Poll::Ready(frame.map(|frame| frame.map_err(axum::Error::new)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
