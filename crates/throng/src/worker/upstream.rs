//! The way to an upstream: HTTP/1.1 over the local socket of the origin, or over the network with or without TLS.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::uri::{InvalidUri, Uri};
use axum::http::{HeaderValue, Method, Request, Response, Version, header};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::ConfigVerifierExt;
use thiserror::Error;
use throng_air::accept::{Client as Caller, PASSED_ON_FOR, Patience};
use throng_air::feed::decoder::Message;
use throng_air::feed::message::Up;
use throng_air::feed::{FEED_PATH, GREETING, HOUSE_PATH, REPORT_PATH};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::socket;
use crate::api::spaces::hold;
use crate::serve::METRICS_PATH;

/// Time to reach the upstream, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for the head of an answer: HLS requests are held for 12 s.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// Idle connections that are kept.
const IDLE_MAX: usize = 32;

/// Longest wait before the origin in the same data folder is tried again.
const LOCAL_WAIT_MAX: Duration = Duration::from_millis(200);
/// The name of that origin, which no network has.
const LOCAL: &str = "http://origin";

/// Why the upstream did not answer.
#[derive(Debug, Error)]
pub enum UpstreamError {
    /// The address is no URL.
    #[error("{0:?} is not the URL of an upstream; it begins with http:// or https://")]
    NotAnAddress(String),
    /// The system's certificates cannot be used.
    #[error("TLS towards the upstream cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The key is no header.
    #[error("the key of the feed holds characters that no key has")]
    Key,
    /// It cannot be reached, or broke off.
    #[error("{0}")]
    Away(#[from] hyper_util::client::legacy::Error),
    /// It was reached and did not answer in time.
    #[error("it did not answer in time")]
    Slow,
    /// A message is longer than the upstream takes.
    #[error("the report is too long for the feed")]
    TooLong,
}

/// An upstream that can be asked.
#[derive(Clone)]
pub(crate) struct Upstream {
    client: Client<Connector, Body>,
    base: String,
    key: Option<HeaderValue>,
}

impl Upstream {
    /// The origin in the same data folder.
    pub(super) fn local(data: PathBuf) -> Self {
        Self::through(Address::Socket(data), LOCAL.to_owned(), None)
    }

    /// An origin or edge from afar, with the key of its feed where it asks for one.
    pub(crate) fn remote(url: &str, key: Option<&str>) -> Result<Self, UpstreamError> {
        let not_one = || UpstreamError::NotAnAddress(url.to_owned());
        let base = url.trim_end_matches('/').to_owned();
        let uri: Uri = base.parse().map_err(|_: InvalidUri| not_one())?;
        let host = uri.host().ok_or_else(not_one)?;
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let (tls, port) = match uri.scheme_str() {
            Some("http") => (None, 80),
            Some("https") => {
                let config = Arc::new(ClientConfig::with_platform_verifier()?);
                let name = ServerName::try_from(host.clone()).map_err(|_| not_one())?;
                (Some((TlsConnector::from(config), name)), 443)
            }
            _ => return Err(not_one()),
        };
        let port = uri.port_u16().unwrap_or(port);
        let key = key
            .map(|key| HeaderValue::from_str(&format!("Bearer {key}")))
            .transpose()
            .map_err(|_| UpstreamError::Key)?;
        Ok(Self::through(
            Address::Network { host, port, tls },
            base,
            key,
        ))
    }

    /// Longest wait before it is tried again: an origin beside us has one worker for each core, not a thousand edges.
    pub(super) fn wait_max(&self) -> Duration {
        if self.base == LOCAL {
            LOCAL_WAIT_MAX
        } else {
            Duration::MAX
        }
    }

    fn through(address: Address, base: String, key: Option<HeaderValue>) -> Self {
        let connector = Connector {
            address: Arc::new(address),
        };
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(IDLE_MAX)
            .build(connector);
        Self { client, base, key }
    }

    /// Opens the feed.
    pub(super) async fn feed(&self, hello: &Up) -> Result<Response<Incoming>, UpstreamError> {
        self.tell(FEED_PATH, hello).await
    }

    /// Tells what a second brought.
    pub(super) async fn report(&self, report: &Up) -> Result<Response<Incoming>, UpstreamError> {
        self.tell(REPORT_PATH, report).await
    }

    /// Tells the metrics of the worker at this place.
    pub(super) async fn metrics(&self, place: u32, text: String) -> Result<(), UpstreamError> {
        let request = Request::post(format!("{}{METRICS_PATH}/{place}", self.base));
        let request = request.body(Body::from(text));
        self.ask(request.expect("paths of ours are valid")).await?;
        Ok(())
    }

    async fn tell(&self, path: &str, message: &Up) -> Result<Response<Incoming>, UpstreamError> {
        let frame = message.to_frame().ok_or(UpstreamError::TooLong)?;
        let body = [&GREETING[..], &frame].concat();
        let mut request = Request::post(format!("{}{path}", self.base));
        if let Some(key) = &self.key {
            request = request.header(header::AUTHORIZATION, key);
        }
        let request = request.body(Body::from(body));
        self.ask(request.expect("paths of ours are valid")).await
    }

    /// Fetches what the audience asked for and is not here; the request keeps its path and its head. The key of the feed
    /// takes the place of a key of the audience, which only a desk on the same port would read: that is local.
    pub(super) async fn fetch(
        &self,
        mut request: Request<Body>,
    ) -> Result<Response<Incoming>, UpstreamError> {
        let path = request
            .uri()
            .path_and_query()
            .map_or("/", |path| path.as_str());
        let answer_timeout = answer_timeout(&request);
        let uri = format!("{}{HOUSE_PATH}{path}", self.base);
        *request.uri_mut() = uri
            .parse()
            .map_err(|_: InvalidUri| UpstreamError::NotAnAddress(uri))?;
        // What the audience speaks ends here.
        *request.version_mut() = Version::HTTP_11;
        self.name_caller(&mut request);
        if let Some(key) = &self.key {
            request
                .headers_mut()
                .insert(header::AUTHORIZATION, key.clone());
        }
        // The answer may come before all of the body was read: then its connection ends, and is not for the next.
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let close = HeaderValue::from_static("close");
            request.headers_mut().insert(header::CONNECTION, close);
        }
        self.ask_within(answer_timeout, request).await
    }

    /// Says to the origin beside us, which sees only us, from where somebody asks; what he says of it himself counts for
    /// nothing. It is nobody else's business.
    fn name_caller(&self, request: &mut Request<Body>) {
        request.headers_mut().remove(PASSED_ON_FOR);
        let caller = request.extensions().get::<Caller>();
        if let Some(Caller(address)) = caller.filter(|_| self.base == LOCAL) {
            let named = HeaderValue::from_str(&address.to_string());
            let named = named.expect("an address is visible ASCII");
            request.headers_mut().insert(PASSED_ON_FOR, named);
        }
    }

    /// Asks for what everybody may read.
    pub(crate) async fn get(&self, path: &str) -> Result<Response<Incoming>, UpstreamError> {
        let request = Request::get(format!("{}{path}", self.base)).body(Body::empty());
        self.ask(request.expect("paths of spaces are valid")).await
    }

    async fn ask(&self, request: Request<Body>) -> Result<Response<Incoming>, UpstreamError> {
        self.ask_within(ANSWER_TIMEOUT, request).await
    }

    async fn ask_within(
        &self,
        answer_timeout: Duration,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, UpstreamError> {
        match timeout(answer_timeout, self.client.request(request)).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(UpstreamError::Slow),
        }
    }
}

/// How long an answer is waited for. Who sends a file is given that time, too: the desk, which knows his key, says sooner
/// when it is over.
fn answer_timeout(request: &Request<Body>) -> Duration {
    if !hold::is_upload(request.method(), request.uri().path()) {
        return ANSWER_TIMEOUT;
    }
    if let Some(patience) = request.extensions().get::<Patience>() {
        patience.extend(hold::ANSWER_MAX);
    }
    hold::ANSWER_MAX
}

/// Where the upstream is.
enum Address {
    Network {
        host: String,
        port: u16,
        tls: Option<(TlsConnector, ServerName<'static>)>,
    },
    /// The data folder with its socket.
    Socket(PathBuf),
}

impl Address {
    async fn connect(&self) -> io::Result<Line> {
        match self {
            Self::Socket(data) => Ok(Line(Box::new(socket::connect(data).await?))),
            Self::Network { host, port, tls } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                match tls {
                    None => Ok(Line(Box::new(stream))),
                    Some((tls, name)) => {
                        let stream = tls.connect(name.clone(), stream).await?;
                        Ok(Line(Box::new(stream)))
                    }
                }
            }
        }
    }
}

/// Makes connections for the client.
#[derive(Clone)]
struct Connector {
    address: Arc<Address>,
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Line>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<Line>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let address = Arc::clone(&self.address);
        Box::pin(async move {
            let line = timeout(CONNECT_TIMEOUT, address.connect())
                .await
                .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?;
            line.map(TokioIo::new)
        })
    }
}

/// A connection of any kind.
struct Line(Box<dyn Stream>);

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl Stream for TcpStream {}
impl Stream for UnixStream {}
impl Stream for tokio_rustls::client::TlsStream<TcpStream> {}

impl Connection for Line {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use axum::body::to_bytes;
    use axum::http::HeaderMap;
    use axum::routing::any;
    use axum::{Extension, Router};
    use tokio::sync::watch;

    use super::*;

    /// What the origin makes of a request that a worker passes on.
    async fn passed_on(request: Request<Body>) -> String {
        let folder = tempfile::tempdir().unwrap();
        let seen = |caller: Option<Extension<Caller>>, headers: HeaderMap| async move {
            let named = caller.map_or("nobody".to_owned(), |caller| caller.0.0.to_string());
            format!("{named}, {}", headers.contains_key(PASSED_ON_FOR))
        };
        let house = Router::new().route("/api/spaces/{slug}", any(seen));
        let routes = Router::new().nest(HOUSE_PATH, house);
        let (open, closing) = watch::channel(false);
        let listener = socket::bind(folder.path()).unwrap();
        let serving = tokio::spawn(socket::serve(listener, routes, closing));
        let upstream = Upstream::local(folder.path().to_owned());
        let answer = upstream.fetch(request).await.unwrap();
        let body = to_bytes(Body::new(answer.into_body()), 1_024).await;
        open.send_replace(true);
        serving.await.unwrap();
        String::from_utf8(body.unwrap().into()).unwrap()
    }

    #[tokio::test]
    async fn the_origin_beside_us_is_told_who_asks_and_believes_nobody_else() {
        let forged = || {
            let request = Request::get("/api/spaces/a").header(header::HOST, "test");
            let request = request.header(PASSED_ON_FOR, "203.0.113.9");
            request.body(Body::empty()).unwrap()
        };
        let mut request = forged();
        let caller: IpAddr = "192.0.2.7".parse().unwrap();
        request.extensions_mut().insert(Caller(caller));
        assert_eq!(passed_on(request).await, "192.0.2.7, false");
        assert_eq!(passed_on(forged()).await, "nobody, false");
    }

    #[tokio::test]
    async fn an_origin_from_afar_is_not_told_who_asks() {
        let upstream = Upstream::remote("http://192.0.2.1", None).unwrap();
        let mut request = Request::get("/").body(Body::empty()).unwrap();
        let caller: IpAddr = "192.0.2.7".parse().unwrap();
        request.extensions_mut().insert(Caller(caller));
        upstream.name_caller(&mut request);
        assert!(request.headers().is_empty());
    }

    #[test]
    fn a_file_has_longer_than_anything_else() {
        let asked = |method: Method, path: &str| {
            let request = Request::builder().method(method).uri(path);
            answer_timeout(&request.body(Body::empty()).unwrap())
        };
        assert_eq!(asked(Method::PUT, "/api/spaces/a/cue"), ANSWER_TIMEOUT);
        assert_eq!(asked(Method::PUT, "/api/spaces/a/hold"), hold::ANSWER_MAX);
    }
}
