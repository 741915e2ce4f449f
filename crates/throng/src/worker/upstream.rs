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
use throng_air::feed::decoder::Message;
use throng_air::feed::message::Up;
use throng_air::feed::{FEED_PATH, GREETING, HOUSE_PATH, REPORT_PATH};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::socket;
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
    #[error("it did not answer within 15 s")]
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
        let uri = format!("{}{HOUSE_PATH}{path}", self.base);
        *request.uri_mut() = uri
            .parse()
            .map_err(|_: InvalidUri| UpstreamError::NotAnAddress(uri))?;
        // What the audience speaks ends here.
        *request.version_mut() = Version::HTTP_11;
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
        self.ask(request).await
    }

    /// Asks for what everybody may read.
    pub(crate) async fn get(&self, path: &str) -> Result<Response<Incoming>, UpstreamError> {
        let request = Request::get(format!("{}{path}", self.base)).body(Body::empty());
        self.ask(request.expect("paths of spaces are valid")).await
    }

    async fn ask(&self, request: Request<Body>) -> Result<Response<Incoming>, UpstreamError> {
        match timeout(ANSWER_TIMEOUT, self.client.request(request)).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(UpstreamError::Slow),
        }
    }
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
