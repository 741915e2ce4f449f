//! `throng serve`: everything put together, until it is told to stop.

mod data;
mod doors;
mod error;
mod internal;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use rustls::ServerConfig;
use serde::Serialize;
use throng_air::air::{Air, Headers, Pages};
use throng_archive::DataLock;
use throng_core::key::Key;
use throng_core::rendition::{RENDITION_COUNT, Rendition};
use throng_media::hold::HoldLoop;
use throng_media::package;
use throng_stage::{Stage, StageConfig};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::doors::Listeners;
pub use self::error::ServeError;
use crate::api::Desk;
use crate::config::Config;
use crate::origin::{Mixers, Origin, Parts, Router as StageRouter};
use crate::store::Store;
use crate::tls::{Certificate, TlsError};
use crate::{pages, sound_file};

/// After SIGTERM, what waits is written and connections may finish for so long.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(8);

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
        let metrics = internal::recorder();
        let lock = data::open(&config.data)?;
        let operator = data::operator_key(&config.data.join("operator.key"))?;
        let store = Store::open(&config.data.join("throng.db")).await?;
        let hold = own_hold(config.hold.clone());
        let listeners = Listeners::bind(&config)?;
        let certificate = config
            .tls
            .as_ref()
            .map(|(cert, key)| Certificate::open(cert, key))
            .transpose()?;
        let (stage, mixers) = start_stage(&config)?;
        let links = links(
            &config,
            &listeners,
            &operator,
            &stage,
            certificate.is_some(),
        )?;
        let inits = Rendition::ALL.map(|rendition| package::init(rendition, None));
        let air = empty_air(inits.clone());
        air.set_rung(config.rung);
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
        let tls = certificate.map(|certificate| offer(certificate, &closed));
        let doors = listeners.open(&air, &desk, metrics, tls.transpose()?, &closed)?;
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

/// TLS with a certificate that is kept current.
fn offer(
    certificate: Arc<Certificate>,
    closed: &watch::Receiver<bool>,
) -> Result<Arc<ServerConfig>, ServeError> {
    let asked = signal(SignalKind::hangup())?;
    let offered = throng_air::tls::server_config(Arc::clone(&certificate) as _);
    tokio::spawn(certificate.keep_current(asked, closed.clone()));
    Ok(offered.map_err(TlsError::from)?)
}

fn start_stage(config: &Config) -> Result<(Stage, Mixers), ServeError> {
    let mixers = Mixers::default();
    let stage_config = StageConfig {
        advertise: config.stage_advertise,
        ..StageConfig::at(config.stage_udp)
    };
    let stage = Stage::start(
        &stage_config,
        StageRouter {
            mixers: mixers.subscribe(),
        },
    );
    let stage = stage.map_err(|source| ServeError::Bind {
        flag: "--stage-udp",
        address: config.stage_udp,
        source,
    })?;
    Ok((stage, mixers))
}

/// The audience's side before any space is on air.
fn empty_air(init: [Bytes; RENDITION_COUNT]) -> Arc<Air> {
    let headers = Headers {
        init,
        stream: Rendition::ALL.map(package::stream_header),
    };
    let pages = Pages {
        not_found: pages::not_found(),
    };
    Air::new(headers, pages, pages::index(std::iter::empty()))
}

fn links(
    config: &Config,
    listeners: &Listeners,
    operator: &Key,
    stage: &Stage,
    tls: bool,
) -> io::Result<Links> {
    let scheme = if tls { "https" } else { "http" };
    let (listen_address, desk_address) = (listeners.listen_address()?, listeners.desk_address()?);
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
        internal: format!("http://{}", listeners.internal_address()?),
        stage: stage.local_addr().to_string(),
        data: config.data.clone(),
    })
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

/// The operator's own hold programme, if there is one.
async fn own_hold(file: Option<PathBuf>) -> Result<Option<HoldLoop>, ServeError> {
    let Some(file) = file else { return Ok(None) };
    let made = tokio::task::spawn_blocking(move || {
        Ok::<_, ServeError>(HoldLoop::from_pcm(sound_file::read(&file)?)?)
    });
    made.await
        .expect("reading a sound file does not panic")
        .map(Some)
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
