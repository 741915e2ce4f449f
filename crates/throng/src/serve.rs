//! `throng serve`: everything put together, until it is told to stop.

mod audience;
mod data;
mod doors;
mod error;
mod feed;
mod gathered;
mod internal;
mod links;
mod ports;

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use rustls::ServerConfig;
use throng_air::accept::Aside;
use throng_air::air::{Air, Headers, Pages};
use throng_air::document::Document;
use throng_air::drain::Successor;
use throng_air::ladder;
use throng_air::room::{Room, shared};
use throng_air::space_file::PageFile;
use throng_air::tls::tickets::TicketSecret;
use throng_archive::DataLock;
use throng_core::admission::Lane;
use throng_core::rendition::{Channels, Rendition};
use throng_media::hold::HoldLoop;
use throng_media::package;
use throng_stage::{Stage, StageConfig, TcpDoor};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

pub(crate) use self::audience::{Audience, Doors, Plan};
use self::doors::Listeners;
pub use self::error::ServeError;
pub(crate) use self::feed::feed_behind_key;
use self::gathered::Gathered;
pub(crate) use self::gathered::METRICS_PATH;
pub(crate) use self::internal::{
    ledger, readiness, recorder, recorder_of_worker, render_edge, render_worker,
};
pub use self::links::Links;
pub(crate) use self::links::announce;
use self::links::links;
pub(crate) use self::ports::{bind_plain, keep};
use crate::api::limits::Limits;
use crate::api::{Desk, DeskPages};
use crate::capacity::Capacity;
use crate::config::{Config, EngineConfig, RungChoice};
use crate::events::Events;
use crate::origin::{Mixers, Origin, OriginError, Parts, Router as StageRouter, unix_seconds};
use crate::store::Store;
use crate::supervisor;
pub use crate::supervisor::SuccessionError;
use crate::supervisor::child::{self, OriginOrder, OriginReady, RESTARTS};
use crate::tls::{Certificate, TlsError};
use crate::webhooks::{Making, Webhooks};
use crate::worker::socket;
use crate::{acme, overflow, pages, sound_file};

/// After SIGTERM, what waits is written and connections may finish for so long.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_secs(8);
/// Who was due is gone so long after: every listener is visited within the time of a part, and who takes nothing is not
/// waited for.
const LAST_MOVES: Duration = Duration::from_secs(1);
/// What an earlier process still holds is free within this time, where it was killed just now: its rings are torn down a
/// moment after it is gone. A port that is taken for longer belongs to somebody who lives.
pub(crate) const HAND_OVER_MAX: Duration = Duration::from_secs(3);
/// The origin of a program before lets the data folder go within this time: it writes what waits, to a disk that may be
/// slow.
const FOLDER_FREE_MAX: Duration = Duration::from_secs(15);
/// Pause between two looks at what an earlier process still holds.
const HAND_OVER_PAUSE: Duration = Duration::from_millis(20);

/// A running node.
pub struct Node {
    /// Where it is reached.
    pub links: Links,
    addresses: Addresses,
    origin: Arc<Origin>,
    air: Arc<Air>,
    closing: watch::Sender<bool>,
    doors: Doors,
    lock: DataLock,
}

/// The addresses that were bound.
struct Addresses {
    /// Absent where the desk shares the audience's address.
    desk: Option<SocketAddr>,
    internal: SocketAddr,
    stage: SocketAddr,
}

impl Addresses {
    fn of(listeners: &Listeners, stage: &Stage) -> io::Result<Self> {
        Ok(Self {
            desk: listeners.desk_address().transpose()?,
            internal: listeners.internal_address()?,
            stage: stage.local_addr(),
        })
    }
}

/// Runs a node until SIGTERM or Ctrl-C; a second signal ends it at once. Must be awaited on the main thread, which
/// outlives every child.
pub async fn run(config: Config, json: bool) -> Result<(), ServeError> {
    if config.air_workers > 0 {
        return supervisor::run(config, json).await;
    }
    let node = Node::start(config).await?;
    announce(&node.links, json)?;
    node.until_stopped().await
}

/// The origin of a node whose audience is served by workers; its order comes over standard input.
pub async fn run_origin() -> Result<(), ServeError> {
    let (order, sockets) = child::take_order(c"throng-origin")?;
    let OriginOrder {
        config,
        supervisor,
        restarts,
        capacity,
        board,
        queue,
    } = order;
    let listeners = Listeners::given(sockets).ok_or(ServeError::Order)?;
    // It lets nobody in itself; what its desk says of the queue is the board's.
    let room = Room::shared(shared::open(&board)?, Lane::new(0), queue);
    let node = Node::assemble(config, capacity, room, Some((supervisor, listeners))).await?;
    metrics::counter!(RESTARTS).absolute(restarts);
    child::say(&OriginReady {
        links: node.links.clone(),
        stage: node.addresses.stage,
    })?;
    node.until_stopped().await
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
    /// Starts everything in this process; the links work when it returns.
    pub async fn start(config: Config) -> Result<Self, ServeError> {
        let capacity = Capacity::of(&config).map_err(ServeError::Capacity)?;
        let room = Room::alone();
        room.limit(capacity.limits());
        Self::assemble(config, capacity, room, None).await
    }

    /// Starts everything, or under a supervisor everything but the audience's port.
    async fn assemble(
        config: Config,
        capacity: Capacity,
        room: Arc<Room>,
        supervisor: Option<(u32, Listeners)>,
    ) -> Result<Self, ServeError> {
        raise_file_limit();
        let metrics = internal::recorder_of_node();
        // That another node has the folder is told at once; only what a supervisor starts again waits for its forerunner.
        let (supervisor, given) = supervisor.unzip();
        let lock = folder(&config, supervisor).await?;
        let operator = data::key(&config.data.join("operator.key"))?;
        let feed_key = data::key(&config.data.join("feed.key"))?;
        let store = Store::open_when_free(&config.data.join("throng.db")).await?;
        let listeners = Listeners::of(given, &config).await?;
        let certificate = certificate(&config)?;
        let (stage, mixers) = stage_at(&config, &listeners).await?;
        let addresses = Addresses::of(&listeners, &stage)?;
        let speakers = speakers_at_the_desk(&stage);
        let listen = listeners.listen_address().unwrap_or(Ok(config.listen))?;
        let links = links(&config, listen, &addresses, &operator);
        let air = own_air(&config, room);
        let webhooks = own_webhooks(&config, &store, &links).await?;
        let parts = Parts {
            store,
            stage,
            mixers,
            air: Arc::clone(&air),
            webhooks,
            hold: own_hold(config.hold.clone()).await?,
        };
        let desk = Arc::new(Desk {
            origin: Origin::start(parts, &config.data).await?,
            operator: operator.digest(),
            limits: Limits::new(config.calls_max.get()),
            events: Events::default(),
            capacity,
            feed: feed_key.digest(),
            public_url: links.listen.clone(),
            url: links.desk.clone(),
            pages: DeskPages::new(&links.listen, &links.desk),
        });
        let (closing, closed) = watch::channel(false);
        keep_a_certificate(&config, &closed);
        let tls = certificate.map(|certificate| offer(certificate, TicketSecret::drawn(), &closed));
        let offered = (tls.transpose()?, speakers);
        let mut doors = Doors::new(config.trusted_proxies(), closed.clone());
        let gathered = Arc::new(Gathered::default());
        let metrics = (metrics, Arc::clone(&gathered));
        listeners.open(&air, &desk, metrics, offered, &mut doors)?;
        if supervisor.is_some() {
            let fed = feed::routes(&air, feed::house_of_workers(&air, &desk, &config));
            let routes = fed.merge(gathered.routes());
            doors.add(socket::serve(socket::bind(&config.data)?, routes, closed));
        } else {
            tokio::spawn(count_seconds(Arc::downgrade(&air)));
            overflow::keep(&air, &config.overflow, 1)?;
        }
        Ok(Self {
            links,
            addresses,
            origin: Arc::clone(&desk.origin),
            air,
            closing,
            doors,
            lock,
        })
    }

    async fn until_stopped(self) -> Result<(), ServeError> {
        wait_for_signal().await?;
        tracing::info!("stopping; a second signal stops at once");
        tokio::select! {
            () = self.stop() => Ok(()),
            stopped = wait_for_signal() => Ok(stopped?),
        }
    }

    /// Lets its listeners go, stops accepting, ends the threads, writes what waits.
    pub async fn stop(mut self) {
        let_listeners_go(&self.air, Successor::Elsewhere).await;
        self.closing.send_replace(true);
        self.air.close();
        self.origin.close().await;
        // A successor goes on from here, while the last answers are still read.
        drop(self.lock);
        let finish = self.doors.ended();
        if tokio::time::timeout(DRAIN_TIMEOUT, finish).await.is_err() {
            tracing::warn!("some connections did not finish in time");
        }
    }
}

/// Sends everybody away who listens, each at his time, and waits until they have gone or were to have.
pub(crate) async fn let_listeners_go(air: &Air, successor: Successor) {
    if air.listeners() == 0 && successor == Successor::Elsewhere {
        return;
    }
    let last_at = tokio::time::Instant::now() + air.drain(successor) + LAST_MOVES;
    while air.listeners() > 0 && tokio::time::Instant::now() < last_at {
        tokio::time::sleep(HAND_OVER_PAUSE).await;
    }
}

/// What an earlier process may still hold for a moment, where it was killed just now.
pub(crate) async fn taken_over<T>(
    patience: Duration,
    mut take: impl FnMut() -> Result<T, ServeError>,
) -> Result<T, ServeError> {
    let deadline = tokio::time::Instant::now() + patience;
    loop {
        match take() {
            Err(error) if error.is_taken() && tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(HAND_OVER_PAUSE).await;
            }
            taken => return taken,
        }
    }
}

/// The ledger of a node without workers is closed every second.
async fn count_seconds(air: Weak<Air>) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    loop {
        seconds.tick().await;
        let Some(air) = air.upgrade() else { return };
        air.reports().end_second(air.ledger(), 0, unix_seconds());
    }
}

/// The certificate of this node, if it speaks TLS.
fn certificate(config: &Config) -> Result<Option<Arc<Certificate>>, ServeError> {
    let opened = config.certificate_files().map(Certificate::open);
    Ok(opened.transpose()?)
}

/// The audience's side of this node, before any space is on air.
fn own_air(config: &Config, room: Arc<Room>) -> Arc<Air> {
    let air = empty_air(room, Some(pages::index(std::iter::empty())));
    if let RungChoice::Fixed(rung) = config.rung {
        air.ladder().lock(rung);
    }
    keep_ladder(&air, config.engine);
    air
}

/// Measures each second how pressed this process is.
pub(crate) fn keep_ladder(air: &Arc<Air>, engine: EngineConfig) {
    if let Some(bytes) = engine.memory_max {
        air.ladder().set_memory_max(bytes.get());
    }
    tokio::spawn(ladder::keep(Arc::downgrade(air)));
}

/// TLS with a certificate that is kept current.
pub(crate) fn offer(
    certificate: Arc<Certificate>,
    tickets: TicketSecret,
    closed: &watch::Receiver<bool>,
) -> Result<Arc<ServerConfig>, ServeError> {
    let asked = signal(SignalKind::hangup())?;
    let offered = throng_air::tls::server_config(
        Arc::clone(&certificate) as _,
        certificate.protocols(),
        tickets,
    );
    tokio::spawn(certificate.keep_current(asked, closed.clone()));
    Ok(offered.map_err(TlsError::from)?)
}

/// The stage, as soon as its port is free.
async fn stage_at(config: &Config, listeners: &Listeners) -> Result<(Stage, Mixers), ServeError> {
    let desk = listeners.desk_address().transpose()?;
    taken_over(HAND_OVER_MAX, || start_stage(config, desk)).await
}

/// Speakers' sound that comes to the desk's port, where nothing else gets through to us.
fn speakers_at_the_desk(stage: &Stage) -> Aside {
    let stage = stage.clone();
    Aside {
        begins: throng_stage::begins_frame,
        take: Arc::new(move |stream, source| stage.adopt(stream, source)),
    }
}

/// The stage, which is met at the desk's address, too, where the desk has one of its own.
fn start_stage(config: &Config, desk: Option<SocketAddr>) -> Result<(Stage, Mixers), ServeError> {
    let mixers = Mixers::default();
    let stage_config = StageConfig {
        advertise: config.stage_advertise,
        door: desk.map(|bound| TcpDoor {
            bound,
            port: config.desk_url_port().unwrap_or(bound.port()),
        }),
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

/// The audience's side before any space is on air; without a list where that is told from elsewhere.
pub(crate) fn empty_air(room: Arc<Room>, index: Option<Document>) -> Arc<Air> {
    let headers = Channels::ALL.map(|channels| Headers {
        init: package::inits(channels),
        stream: Rendition::ALL.map(|rendition| package::stream_header(rendition, channels)),
    });
    let pages = Pages {
        not_found: pages::not_found(),
        files: PageFile::ALL.map(pages::file),
    };
    Air::behind(room, headers, pages, index)
}

/// Open files up to what the system allows: every listener is one.
pub(crate) fn raise_file_limit() {
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

/// The data folder, held in the name of a supervisor if there is one.
async fn folder(config: &Config, supervisor: Option<u32>) -> Result<DataLock, ServeError> {
    let patience = supervisor.map_or(Duration::ZERO, |_| FOLDER_FREE_MAX);
    let holder = supervisor.unwrap_or_else(std::process::id);
    taken_over(patience, || data::open(&config.data, holder)).await
}

/// Where a certificate is to come by itself, it does from now on.
fn keep_a_certificate(config: &Config, closed: &watch::Receiver<bool>) {
    if let Some(acme) = config.acme.clone() {
        tokio::spawn(acme::keep(acme, config.data.clone(), closed.clone()));
    }
}

/// Whom the operator wants to be told.
async fn own_webhooks(
    config: &Config,
    store: &Store,
    links: &Links,
) -> Result<Arc<Webhooks>, ServeError> {
    let webhooks = Webhooks::start(Making {
        store: store.clone(),
        key: data::key(&config.data.join("webhooks.key"))?,
        allowed: config.webhooks_allow.clone(),
        public_url: links.listen.clone(),
    });
    Ok(webhooks.await.map_err(OriginError::from)?)
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
        // It would be told on the same standard error, with a panic where that cannot be written: on a full disk.
        .log_internal_errors(false)
        .init();
}

/// Worker threads of the ordinary server: one core is left to mixers and encoders where there are two.
pub fn worker_threads() -> usize {
    thread::available_parallelism().map_or(1, |cores| cores.get().max(2))
}
