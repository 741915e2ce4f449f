//! Our own accept loop: every connection must speak, and finish its request heads, in time.
//!
//! `axum::serve` sets no header timer, so that a client that sends one byte and waits holds a connection for ever
//! (slowloris). Here the first byte and each head have a deadline, connections are counted, and an audience too large
//! for the process waits in the backlog instead of failing.

mod body;

use std::convert::Infallible;
use std::future::ready;
use std::io;
use std::net::{self, IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, Version, header};
use axum::response::Response;
use futures_util::future::Either;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

pub use self::body::{Patience, came_late};
pub use crate::guests::Client;

use crate::answer::{self, Reply};
use crate::guests::{Crowded, Guest, Guests, Occupied, Peer};
use crate::hand_over::{Handed, Replay, Stream};
use crate::tls::stream::TlsStream;

/// Time for the first byte after the connection is there; browsers open spare connections and are told by a clean
/// close that this one was not needed.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(10);
/// The same for who came just before the door closed: a round trip or two.
const LAST_WORD: Duration = Duration::from_millis(400);
/// Time for a whole request head, and for the next one on an idle connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// Time for a TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// A peer that takes nothing for so long is gone; without this a vanished listener holds his buffer for 15 minutes.
const STALLED_PEER_TIMEOUT_MS: u32 = 30_000;
/// Largest request head. A join needs less than 1 KB; browsers send up to 8 KB with cookies of neighbours.
const HEAD_MAX_BYTES: usize = 16 * 1024;
/// Who are told at once that their network has enough places; they take none meanwhile. More are closed without a word.
const DOORWAY_PLACES: usize = 16;
/// Pause after `accept` fails for want of descriptors: retrying at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// By which a process of this node says whose request it passes on. Nobody else is believed, nor is it passed on for him.
pub const PASSED_ON_FOR: HeaderName = HeaderName::from_static("throng-passed-on-for");

/// Which connection a request came on; a listener without a number of his own is known by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionId(pub u64);

/// One port: its socket, its bound and its TLS.
pub struct Door {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    connections_max: u32,
    places: Arc<Semaphore>,
    /// For those who get none of the places, and are told why.
    doorway: Arc<Semaphore>,
    guests: Option<Arc<Guests>>,
    aside: Option<Aside>,
}

/// What comes to a port beside HTTP: told by its first byte, and given away with nothing read.
#[derive(Clone)]
pub struct Aside {
    /// Whether a connection that begins so is meant.
    pub begins: fn(u8) -> bool,
    /// Who takes it, from where it comes.
    pub take: Arc<dyn Fn(net::TcpStream, SocketAddr) + Send + Sync>,
}

impl Door {
    /// A door that lets in `connections_max` at once; more wait in the kernel's backlog.
    pub fn new(listener: TcpListener, connections_max: u32, tls: Option<TlsAcceptor>) -> Self {
        Self {
            listener,
            tls,
            connections_max,
            places: Arc::new(Semaphore::new(connections_max as usize)),
            doorway: Arc::new(Semaphore::new(DOORWAY_PLACES)),
            guests: None,
            aside: None,
        }
    }

    /// Gives away what is not HTTP.
    #[must_use]
    pub fn with_aside(self, aside: Aside) -> Self {
        Self {
            aside: Some(aside),
            ..self
        }
    }

    /// Looks from which networks people come.
    #[must_use]
    pub fn with_guests(self, guests: Arc<Guests>) -> Self {
        Self {
            guests: Some(guests),
            ..self
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
                    let caller = Caller::of(self.guests.as_ref(), Some(address.ip()));
                    let Some(place) = self.place_of(&caller, place) else {
                        continue;
                    };
                    let ways = (self.tls.clone(), self.aside.clone());
                    let served = (app.clone(), closing.clone());
                    tokio::spawn(connection((stream, address), ways, caller, served, place));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// The place that somebody keeps who has come in by this one; none for whom there is none.
    fn place_of(
        &self,
        caller: &Caller,
        place: OwnedSemaphorePermit,
    ) -> Option<OwnedSemaphorePermit> {
        match caller {
            // To be told in words he would first need a handshake.
            Caller::Crowded if self.tls.is_some() => None,
            Caller::Crowded => Arc::clone(&self.doorway).try_acquire_owned().ok(),
            Caller::Known(..) | Caller::Ours | Caller::Unknown => Some(place),
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
pub async fn serve_handed(
    mut handed: Handed,
    guests: Arc<Guests>,
    app: Router,
    closing: watch::Receiver<bool>,
) {
    while let Some(connection) = handed.next().await {
        let (app, closing, guests) = (app.clone(), closing.clone(), Arc::clone(&guests));
        tokio::spawn(async move {
            let place = connection.place;
            let read = connection.read;
            let (Stream::Plain(socket) | Stream::Tls(socket, _)) = &connection.stream;
            let address = socket.peer_addr().ok().map(|address| address.ip());
            let caller = Caller::of(Some(&guests), address);
            match connection.stream {
                Stream::Plain(socket) => {
                    if let Ok(stream) = TcpStream::from_std(socket) {
                        serve(Replay { read, stream }, caller, app, closing).await;
                    }
                }
                Stream::Tls(socket, carried) => {
                    if let Ok(socket) = TcpStream::from_std(socket) {
                        let stream = TlsStream::new(socket, *carried);
                        serve(Replay { read, stream }, caller, app, closing).await;
                    }
                }
            }
            drop(place);
        });
    }
    handed.finished().await;
}

/// Who is at the other end, as far as that matters.
enum Caller {
    /// Somebody whose network has enough places already.
    Crowded,
    /// Somebody who is counted, or comes by a proxy.
    Known(Arc<Guests>, Peer),
    /// A process of this node, which says for whom it asks.
    Ours,
    /// Nobody asks.
    Unknown,
}

impl Caller {
    fn of(guests: Option<&Arc<Guests>>, address: Option<IpAddr>) -> Self {
        let Some((guests, address)) = guests.zip(address) else {
            return Self::Unknown;
        };
        match guests.connect(address) {
            Some(peer) => Self::Known(Arc::clone(guests), peer),
            None => Self::Crowded,
        }
    }
}

async fn connection(
    (stream, address): (TcpStream, SocketAddr),
    (tls, aside): (Option<TlsAcceptor>, Option<Aside>),
    caller: Caller,
    (app, mut closing): (Router, watch::Receiver<bool>),
    _place: OwnedSemaphorePermit,
) {
    let first = tokio::select! {
        first = first_byte(&stream) => first,
        () = too_late(&mut closing) => None,
    };
    let Some(first) = first else { return };
    if let Some(aside) = aside.filter(|aside| (aside.begins)(first)) {
        if let Ok(stream) = stream.into_std() {
            (aside.take)(stream, address);
        }
        return;
    }
    if prepare(&stream).is_err() {
        return;
    }
    match tls {
        None => serve(stream, caller, app, closing).await,
        Some(tls) => {
            if let Ok(Ok(stream)) = timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
                serve(stream, caller, app, closing).await;
            }
        }
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    rustix::net::sockopt::set_tcp_user_timeout(stream, STALLED_PEER_TIMEOUT_MS)?;
    Ok(())
}

/// The first byte, if it comes in time; it can be read still.
async fn first_byte(stream: &TcpStream) -> Option<u8> {
    let mut byte = [0];
    let peeked = timeout(FIRST_BYTE_TIMEOUT, stream.peek(&mut byte)).await;
    matches!(peeked, Ok(Ok(1))).then_some(byte[0])
}

/// Serves the requests of one connection that is nobody's in particular, until it ends or `closing` turns true and its
/// request is done.
pub async fn requests(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    app: Router,
    closing: watch::Receiver<bool>,
) {
    serve(stream, Caller::Unknown, app, closing).await;
}

/// The same for a connection of a process of this node: its requests are those of whom it names in [`PASSED_ON_FOR`].
pub async fn requests_passed_on(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    app: Router,
    closing: watch::Receiver<bool>,
) {
    serve(stream, Caller::Ours, app, closing).await;
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    caller: Caller,
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
        let mut request = body::timely(request);
        request.extensions_mut().insert(id);
        let guest = match admitted(&caller, &mut request) {
            Ok(guest) => guest,
            Err(Crowded) => return Either::Left(ready(Ok(crowded()))),
        };
        let answered = app.call(request);
        Either::Right(async move {
            let answer = answered.await?;
            Ok::<_, Infallible>(match guest {
                None => answer,
                Some(guest) => answer.map(|body| Body::new(Occupied { body, guest })),
            })
        })
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

/// Notes on a request whose it is, and finds it a place where the connection has none.
fn admitted(caller: &Caller, request: &mut Request<Body>) -> Result<Option<Guest>, Crowded> {
    match caller {
        Caller::Crowded => Err(Crowded),
        Caller::Known(guests, peer) => {
            let client = guests.client(peer, request);
            request.extensions_mut().insert(Client(client));
            guests.request(peer, client)
        }
        Caller::Ours => {
            let named = request.headers_mut().remove(PASSED_ON_FOR);
            let address = named.and_then(|value| value.to_str().ok()?.parse().ok());
            if let Some(address) = address {
                request.extensions_mut().insert(Client(address));
            }
            Ok(None)
        }
        Caller::Unknown => Ok(None),
    }
}

/// What somebody is told whose network has enough places.
fn crowded() -> Response {
    let sentence =
        "Too many connections of your network are open here. Please come again in ten seconds.\n";
    let mut refusal = Response::from(Reply::come_again(10, sentence));
    let close = HeaderValue::from_static("close");
    refusal.headers_mut().insert(header::CONNECTION, close);
    refusal
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
