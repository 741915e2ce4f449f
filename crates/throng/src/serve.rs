//! `throng serve`: everything put together, until it is told to stop.

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, thread};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Redirect;
use axum::routing::get;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde::Serialize;
use thiserror::Error;
use throng_air::accept::Door;
use throng_air::air::{Air, Headers, Pages};
use throng_archive::{DataLock, LockError};
use throng_core::key::Key;
use throng_core::rendition::Rendition;
use throng_media::hold::{HoldError, HoldLoop};
use throng_media::package;
use throng_stage::{Stage, StageConfig};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::api::{self, Desk};
use crate::config::Config;
use crate::origin::{Origin, OriginError, Parts, Router as StageRouter};
use crate::sound_file::{self, SoundFileError};
use crate::store::{Store, StoreError};
use crate::{chance, pages, tls};

/// Connections at the audience's address, below the usual limit of 20,000 open files, so that the desk, the archive
/// and the database never want for a descriptor. More wait in the backlog.
const LISTENERS_MAX: usize = 16_000;
/// Connections at the desk: tens of people with a few each.
const DESK_CONNECTIONS_MAX: usize = 1_000;
/// Connections at the internal address: a scraper and a person.
const INTERNAL_CONNECTIONS_MAX: usize = 64;
/// Connections that wait to be accepted; the kernel cuts it to `somaxconn`.
const BACKLOG: u32 = 65_535;
/// After SIGTERM, what waits is written and connections may finish for so long.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(8);

/// Why the node could not start.
#[derive(Debug, Error)]
pub enum ServeError {
    /// An address is taken or not ours.
    #[error(
        "{flag} {address} cannot be used: {source}. Is another program (or another throng) listening there? Choose another with {flag}"
    )]
    Bind {
        /// The flag that chooses it.
        flag: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The data folder cannot be used.
    #[error(
        "the data folder {path} cannot be used: {source}. Check that it is a folder that this user may write"
    )]
    Data {
        /// The folder or the file in it.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The operator's key is not one.
    #[error("{0} does not hold an operator key; move it away, and a new one is made")]
    OperatorKey(PathBuf),
    /// Another process has the data folder.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The origin cannot start.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// The hold file cannot be read.
    #[error(transparent)]
    HoldFile(#[from] SoundFileError),
    /// The hold file cannot be a hold programme.
    #[error(transparent)]
    Hold(#[from] HoldError),
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    /// Something of the operating system.
    #[error("{0}")]
    System(#[from] io::Error),
}

/// Where a running node is reached.
#[derive(Clone, Debug, Serialize)]
pub struct Links {
    /// The audience's address as a URL.
    pub listen: String,
    /// The desk's address as a URL.
    pub desk: String,
    /// The studio, with the operator's key in its fragment.
    pub studio: String,
    /// The internal address as a URL.
    pub internal: String,
    /// Where the stage receives media.
    pub stage: String,
    /// The data folder.
    pub data: PathBuf,
}

/// A running node.
pub struct Node {
    /// Where it is reached.
    pub links: Links,
    origin: Arc<Origin>,
    closing: watch::Sender<bool>,
    doors: JoinSet<()>,
    _lock: DataLock,
}

/// Runs a node until SIGTERM or Ctrl-C; a second signal ends it at once.
pub async fn run(config: Config, json: bool) -> Result<(), ServeError> {
    let node = Node::start(config).await?;
    announce(&node.links, json)?;
    wait_for_signal().await?;
    tracing::info!("stopping; a second signal stops at once");
    tokio::select! {
        () = node.stop() => Ok(()),
        stopped = wait_for_signal() => Ok(stopped?),
    }
}

/// The first line a stranger sees.
fn announce(links: &Links, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer(&mut out, links)?;
        writeln!(out)?;
    } else {
        writeln!(out, "listening on {}", links.listen)?;
        writeln!(out, "studio       {}", links.studio)?;
        writeln!(out, "data         {}", links.data.display())?;
    }
    out.flush()
}

/// Waits for SIGTERM or Ctrl-C.
pub async fn wait_for_signal() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

impl Node {
    /// Starts everything; the links work when it returns.
    pub async fn start(config: Config) -> Result<Self, ServeError> {
        raise_file_limit();
        let metrics = metrics();
        let lock = open_data(&config.data)?;
        let operator = operator_key(&config.data.join("operator.key"))?;
        let store = Store::open(&config.data.join("throng.db")).await?;
        let hold = hold(config.hold.clone());
        let listeners = Listeners::bind(&config)?;
        let tls = config
            .tls
            .as_ref()
            .map(|(cert, key)| tls::acceptor(cert, key))
            .transpose()?;
        let links = links(&config, &listeners, &operator, tls.is_some())?;

        let mixers = watch::Sender::default();
        let stage_config = StageConfig {
            advertise: config.stage_advertise,
            ..StageConfig::at(config.stage_udp)
        };
        let stage = Stage::start(
            &stage_config,
            StageRouter {
                mixers: mixers.subscribe(),
            },
        )
        .map_err(|source| ServeError::Bind {
            flag: "--stage-udp",
            address: config.stage_udp,
            source,
        })?;
        let links = Links {
            stage: stage.local_addr().to_string(),
            ..links
        };

        let inits = Rendition::ALL.map(|rendition| package::init(rendition, None));
        let headers = Headers {
            init: inits.clone(),
            stream: Rendition::ALL.map(package::stream_header),
        };
        let air = Air::new(
            headers,
            Pages {
                not_found: pages::not_found(),
            },
            pages::index(std::iter::empty()),
        );
        let parts = Parts {
            store,
            stage,
            mixers,
            air: Arc::clone(&air),
            hold: hold.await?,
            inits,
        };
        let origin = Origin::start(parts, &config.data).await?;

        let desk = Arc::new(Desk {
            origin: Arc::clone(&origin),
            operator: operator.digest(),
            public_url: links.listen.clone(),
            url: links.desk.clone(),
            studio: pages::studio(),
            space: pages::space(),
            speak: pages::speak(),
        });
        let (closing, closed) = watch::channel(false);
        let doors = listeners.open(&air, &desk, metrics, tls, &closed);
        Ok(Self {
            links,
            origin,
            closing,
            doors,
            _lock: lock,
        })
    }

    /// Stops accepting, ends the threads, writes what waits.
    pub async fn stop(mut self) {
        self.closing.send_replace(true);
        self.origin.close().await;
        let finish = async { while self.doors.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN_TIMEOUT, finish).await.is_err() {
            tracing::warn!("some connections did not finish in time");
        }
    }
}

struct Listeners {
    listen: std::net::TcpListener,
    /// Absent where the desk shares the audience's address.
    desk: Option<std::net::TcpListener>,
    internal: std::net::TcpListener,
}

impl Listeners {
    fn bind(config: &Config) -> Result<Self, ServeError> {
        let shared = config.desk == config.listen && config.listen.port() != 0;
        Ok(Self {
            listen: bind("--listen", config.listen)?,
            desk: if shared {
                None
            } else {
                Some(bind("--desk", config.desk)?)
            },
            internal: bind("--internal", config.internal)?,
        })
    }

    /// Serves at each address.
    fn open(
        self,
        air: &Arc<Air>,
        desk: &Arc<Desk>,
        metrics: PrometheusHandle,
        tls: Option<tokio_rustls::TlsAcceptor>,
        closed: &watch::Receiver<bool>,
    ) -> JoinSet<()> {
        let audience = air.routes().merge(api::audience_routes(Arc::clone(desk)));
        let mut doors = JoinSet::new();
        let mut open = |listener, connections_max, tls, routes| {
            let listener =
                TcpListener::from_std(listener).expect("a bound socket that does not block");
            doors.spawn(Door::new(listener, connections_max, tls).serve(routes, closed.clone()));
        };
        match self.desk {
            None => open(
                self.listen,
                LISTENERS_MAX,
                tls,
                audience.merge(api::routes(Arc::clone(desk))),
            ),
            Some(listener) => {
                open(self.listen, LISTENERS_MAX, tls.clone(), audience);
                let routes = api::routes(Arc::clone(desk))
                    .route("/", get(|| async { Redirect::to("/studio") }))
                    .fallback(|headers: HeaderMap| async move {
                        pages::not_found().respond(StatusCode::NOT_FOUND, &headers)
                    });
                open(listener, DESK_CONNECTIONS_MAX, tls, routes);
            }
        }
        open(
            self.internal,
            INTERNAL_CONNECTIONS_MAX,
            None,
            internal_routes(metrics, Arc::clone(desk)),
        );
        doors
    }
}

fn bind(flag: &'static str, address: SocketAddr) -> Result<std::net::TcpListener, ServeError> {
    listen(address).map_err(|source| ServeError::Bind {
        flag,
        address,
        source,
    })
}

fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4()?,
        SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6()?,
    };
    // A restart must not wait for the connections of the process before.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

fn links(config: &Config, listeners: &Listeners, operator: &Key, tls: bool) -> io::Result<Links> {
    let scheme = if tls { "https" } else { "http" };
    let listen_address = listeners.listen.local_addr()?;
    let desk_address = listeners
        .desk
        .as_ref()
        .map_or(Ok(listen_address), std::net::TcpListener::local_addr)?;
    let listen = config
        .public_url
        .clone()
        .unwrap_or_else(|| format!("{scheme}://{listen_address}"));
    let desk = config
        .desk_url
        .clone()
        .unwrap_or_else(|| format!("{scheme}://{desk_address}"));
    Ok(Links {
        studio: format!("{desk}/studio#key={}", operator.expose()),
        listen,
        desk,
        internal: format!("http://{}", listeners.internal.local_addr()?),
        stage: String::new(),
        data: config.data.clone(),
    })
}

fn internal_routes(metrics: PrometheusHandle, desk: Arc<Desk>) -> Router {
    Router::new()
        .route(
            "/metrics",
            get(move |State(desk): State<Arc<Desk>>| async move { render(&metrics, &desk) }),
        )
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(desk)
}

/// Counters of the stage and counts of listeners are read when somebody asks.
fn render(metrics: &PrometheusHandle, desk: &Desk) -> String {
    for (name, value) in desk.origin.stage_counters().entries() {
        metrics::counter!(format!("throng_stage_{name}_total")).absolute(value);
    }
    let spaces = desk.origin.list();
    let listening: u64 = spaces
        .iter()
        .map(|handle| handle.on_air.counts().listening)
        .sum();
    metrics::gauge!("throng_air_listening").set(u32::try_from(listening).unwrap_or(u32::MAX));
    metrics::gauge!("throng_spaces").set(u32::try_from(spaces.len()).unwrap_or(u32::MAX));
    metrics.run_upkeep();
    metrics.render()
}

/// Ready is who can answer from the database.
async fn ready(State(desk): State<Arc<Desk>>) -> (StatusCode, &'static str) {
    if desk.origin.is_ready().await {
        (StatusCode::OK, "ready\n")
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "the database does not answer\n",
        )
    }
}

/// One recorder for the process; a second node in it (tests) shares it.
fn metrics() -> PrometheusHandle {
    static HANDLE: std::sync::OnceLock<PrometheusHandle> = std::sync::OnceLock::new();
    HANDLE
        .get_or_init(|| {
            PrometheusBuilder::new()
                .install_recorder()
                .expect("nothing else installs a recorder in this process")
        })
        .clone()
}

/// Open files up to what the system allows: every listener is one.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    )
    .is_err()
    {
        tracing::warn!("the limit of open files could not be raised; it bounds the listeners");
    }
}

fn open_data(data: &Path) -> Result<DataLock, ServeError> {
    fs::create_dir_all(data).map_err(|source| ServeError::Data {
        path: data.to_owned(),
        source,
    })?;
    Ok(DataLock::acquire(data)?)
}

/// The operator's key; made where there is none.
fn operator_key(path: &Path) -> Result<Key, ServeError> {
    use std::os::unix::fs::OpenOptionsExt;
    let wrong = |source| ServeError::Data {
        path: path.to_owned(),
        source,
    };
    match fs::read_to_string(path) {
        Ok(text) => Key::parse(text.trim()).map_err(|_| ServeError::OperatorKey(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = chance::key();
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)
                .map_err(wrong)?;
            writeln!(file, "{}", key.expose()).map_err(wrong)?;
            file.sync_all().map_err(wrong)?;
            Ok(key)
        }
        Err(error) => Err(wrong(error)),
    }
}

/// The hold programme: the operator's file, or our own music.
async fn hold(file: Option<PathBuf>) -> Result<HoldLoop, ServeError> {
    let made = tokio::task::spawn_blocking(move || match file {
        Some(file) => Ok::<_, ServeError>(HoldLoop::from_pcm(sound_file::read(&file)?)?),
        None => Ok(HoldLoop::render()),
    });
    made.await
        .expect("making the hold programme does not panic")
}

/// Logs go to standard error, in words for a terminal; `RUST_LOG` chooses.
pub fn start_logging() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,str0m=warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .init();
}

/// Worker threads of the ordinary server: one core is left to mixers and encoders where there are two.
pub fn worker_threads() -> usize {
    thread::available_parallelism().map_or(1, |cores| cores.get().max(2))
}
