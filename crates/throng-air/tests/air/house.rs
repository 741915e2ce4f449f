//! A house with one space and hand-made parts, behind a real door on loopback.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use axum::Router;
use axum::routing::post;
use bytes::Bytes;
use throng_air::accept::{self, Door};
use throng_air::air::{Air, Headers, Pages};
use throng_air::document::Document;
use throng_air::engine::{Backend, Connections, Engine};
use throng_air::guests::Guests;
use throng_air::hand_over::hand_over;
use throng_air::on_air::{Facts, OnAir};
use throng_air::past::{Past, Recorded, Recording};
use throng_air::presence::Presence;
use throng_air::space_file::PageFile;
use throng_core::network::TrustedProxies;
use throng_core::rendition::{Codec, Rendition};
use throng_core::slug::Slug;
use throng_core::space::{Announcement, Space, State};
use throng_core::time::UnixMillis;
use throng_core::timeline::PartIndex;
use throng_core::window::{Packaged, Part, Window};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::rustls::ServerConfig;

use crate::seal::Seal;
use crate::wire::{Answer, Wire};

/// 2026-01-01T00:00:00Z: the epoch of the space.
pub(crate) const EPOCH: UnixMillis = UnixMillis(1_767_225_600_000);
/// Doors of a space that has opened them.
pub(crate) const DOORS: PartIndex = PartIndex(12);
/// Go-live of a space that is or was live.
pub(crate) const LIVE: PartIndex = PartIndex(24);
/// The end of a space that has ended.
pub(crate) const END: PartIndex = PartIndex(40);
/// What the recording holds.
pub(crate) const RECORDING: &[u8] = b"0123456789abcdefghij";
/// Connections at once.
pub(crate) const CONNECTIONS_MAX: u32 = 8;

/// A running house.
pub(crate) struct House {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// What it serves.
    pub(crate) air: Arc<Air>,
    /// Its one space.
    pub(crate) on_air: Arc<OnAir>,
    /// The prefix of its paths.
    pub(crate) path: String,
    seal: Option<Seal>,
    closing: watch::Sender<bool>,
    serving: JoinHandle<()>,
    padding: usize,
}

/// Who owns the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Front {
    /// The ordinary server.
    Door,
    /// The engine on epoll.
    Epoll,
    /// The engine on `io_uring`.
    IoUring,
    /// The engine on epoll, over TLS.
    TlsEpoll,
    /// The engine on `io_uring`, over TLS.
    TlsIoUring,
}

impl Front {
    /// All that this system has.
    pub(crate) fn all() -> Vec<Self> {
        let mut fronts = vec![Self::Door];
        fronts.extend(Self::engines());
        fronts
    }

    /// The engine in all ways that this system has.
    pub(crate) fn engines() -> Vec<Self> {
        let mut engines = vec![Self::Epoll, Self::TlsEpoll];
        if Backend::IoUring.choose().is_ok() {
            engines.extend([Self::IoUring, Self::TlsIoUring]);
        }
        engines
    }

    /// The engine without TLS.
    pub(crate) fn plain() -> Vec<Self> {
        let mut engines = Self::engines();
        engines.retain(|front| !front.is_sealed());
        engines
    }

    /// The engine over TLS.
    pub(crate) fn sealed() -> Vec<Self> {
        let mut engines = Self::engines();
        engines.retain(|front| front.is_sealed());
        engines
    }

    fn is_sealed(self) -> bool {
        matches!(self, Self::TlsEpoll | Self::TlsIoUring)
    }
}

impl House {
    /// A house whose space is in a state, with the parts `[0, next)` in its window.
    pub(crate) async fn start(state: State, next: u64) -> Self {
        Self::start_on(Front::Door, state, next).await
    }

    /// The same behind somebody who owns the port.
    pub(crate) async fn start_on(front: Front, state: State, next: u64) -> Self {
        Self::start_padded(front, state, next, 0).await
    }

    /// The same with parts that are longer by so many spaces.
    pub(crate) async fn start_padded(
        front: Front,
        state: State,
        next: u64,
        padding: usize,
    ) -> Self {
        let mut window = Window::new(PartIndex(0));
        for index in 0..next {
            window.push(part(index, padding)).unwrap();
        }
        let space = Arc::new(space(state));
        let path = format!("/s/{}", space.slug.as_str());
        let facts = Facts {
            space: Arc::clone(&space),
            page: Arc::new(page("the page")),
            chapters: Arc::new(page("the chapters")),
        };
        let on_air = Arc::new(OnAir::new(
            facts.clone(),
            window,
            Presence::default(),
            Box::new(Shelf),
        ));
        on_air.declare(facts);
        on_air.set_flowing(true);
        if state.is_over() {
            on_air.change_window(Window::finish);
        }
        let headers = Headers {
            init: Rendition::ALL.map(|rendition| format!("init {rendition};").into()),
            stream: Rendition::ALL.map(|rendition| match rendition.codec() {
                Codec::Opus => format!("webm {rendition};").into(),
                Codec::Aac => Bytes::new(),
            }),
        };
        let pages = Pages {
            not_found: page("not here"),
            files: PageFile::ALL.map(|file| page(&format!("{file:?}"))),
        };
        let air = Air::new([headers.clone(), headers], pages, page("the list"));
        air.add(space.slug.as_str(), Arc::clone(&on_air));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (closing, closed) = watch::channel(false);
        let routes = air.routes().route("/echo", post(async |body: String| body));
        let seal = front.is_sealed().then(Seal::new);
        let tls = seal.as_ref().map(Seal::server);
        let backend = match front {
            Front::Door | Front::Epoll | Front::TlsEpoll => Backend::Epoll,
            Front::IoUring | Front::TlsIoUring => Backend::IoUring,
        };
        let serving = if front == Front::Door {
            let door = Door::new(listener, CONNECTIONS_MAX, None);
            tokio::spawn(door.serve(routes, closed))
        } else {
            engine(backend, listener, Arc::clone(&air), tls, routes, closed)
        };
        Self {
            address,
            air,
            on_air,
            path,
            seal,
            closing,
            serving,
            padding,
        }
    }

    /// A new connection.
    pub(crate) async fn connect(&self) -> Wire {
        let socket = TcpSocket::new_v4().unwrap();
        self.talk(socket.connect(self.address).await.unwrap()).await
    }

    /// A new connection with so small a buffer that little is on the way while nothing is read.
    pub(crate) async fn connect_narrow(&self) -> Wire {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        self.talk(socket.connect(self.address).await.unwrap()).await
    }

    /// A new connection from another address of this machine.
    pub(crate) async fn connect_from(&self, source: &str) -> Wire {
        let socket = TcpSocket::new_v4().unwrap();
        let source = SocketAddr::new(source.parse().unwrap(), 0);
        socket.bind(source).unwrap();
        self.talk(socket.connect(self.address).await.unwrap()).await
    }

    async fn talk(&self, stream: TcpStream) -> Wire {
        match &self.seal {
            None => Wire::over(stream),
            Some(seal) => Wire::over(seal.talk(stream).await.unwrap()),
        }
    }

    /// What a house over TLS is sealed with.
    pub(crate) fn seal(&self) -> &Seal {
        self.seal.as_ref().unwrap()
    }

    /// One answer on a connection of its own.
    pub(crate) async fn get(&self, file: &str) -> Answer {
        self.fetch("GET", file, "").await
    }

    /// One answer on a connection of its own.
    pub(crate) async fn fetch(&self, method: &str, file: &str, headers: &str) -> Answer {
        let target = format!("{}/{file}", self.path);
        self.connect().await.fetch(method, &target, headers).await
    }

    /// A request that is not answered yet; the server has read it.
    pub(crate) async fn waiting(&self, file: &str) -> Wire {
        let mut wire = self.connect().await;
        wire.ask("GET", &format!("{}/{file}", self.path), "").await;
        self.get("hls/main.m3u8").await;
        wire
    }

    /// Pushes the next parts of the programme.
    pub(crate) fn push(&self, parts: Range<u64>) {
        self.on_air.change_window(|window| {
            for index in parts {
                window.push(part(index, self.padding)).unwrap();
            }
        });
    }

    /// Lets others stand in for the next parts, which say so.
    pub(crate) fn stand_in(&self, parts: Range<u64>) {
        self.on_air.change_window(|window| {
            for index in parts {
                let Part {
                    index,
                    mut renditions,
                } = (*part(index, self.padding)).clone();
                for packaged in &mut renditions {
                    let text = str::from_utf8(&packaged.cmaf).unwrap();
                    packaged.cmaf = text.replace('<', "<hold ").into();
                }
                let part = Arc::new(Part { index, renditions });
                window.push_stand_in(part).unwrap();
            }
        });
    }

    /// Tells every connection to finish.
    pub(crate) fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Waits until the last connection has finished.
    pub(crate) async fn closed(self) {
        self.serving.await.unwrap();
    }
}

/// The bytes of parts of a rendition in CMAF.
pub(crate) fn cmaf(rendition: Rendition, parts: Range<u64>) -> String {
    let chunks: Vec<_> = parts.map(|part| format!("<{rendition} {part}>")).collect();
    chunks.concat()
}

/// The bytes of parts of a rendition for plain players.
pub(crate) fn plain(rendition: Rendition, parts: Range<u64>) -> String {
    let chunks: Vec<_> = parts.map(|part| format!("({rendition} {part})")).collect();
    chunks.concat()
}

/// A part by its number, longer by so many spaces.
pub(crate) fn part(index: u64, padding: usize) -> Arc<Part> {
    let spaces = " ".repeat(padding);
    Arc::new(Part {
        index: PartIndex(index),
        renditions: Rendition::ALL.map(|rendition| Packaged {
            cmaf: (cmaf(rendition, index..index + 1) + &spaces).into(),
            stream: (plain(rendition, index..index + 1) + &spaces).into(),
        }),
    })
}

/// The engine with one loop, and the ordinary server behind it.
fn engine(
    backend: Backend,
    listener: TcpListener,
    air: Arc<Air>,
    tls: Option<Arc<ServerConfig>>,
    routes: Router,
    closed: watch::Receiver<bool>,
) -> JoinHandle<()> {
    let (hand_over, handed) = hand_over(CONNECTIONS_MAX, air.budget());
    let connections = Connections {
        air,
        hand_over,
        connections_max: 400,
        backend,
        tls,
    };
    let listeners = vec![listener.into_std().unwrap()];
    let engine = Engine::start(listeners, &connections, &closed).unwrap();
    drop(connections);
    tokio::spawn(async move {
        let guests = Guests::at("audience", 1_000, TrustedProxies::default());
        accept::serve_handed(handed, guests, routes, closed).await;
        engine.ended().await;
    })
}

fn page(text: &str) -> Document {
    Document::new(
        text.to_owned(),
        "text/html; charset=utf-8",
        "public, max-age=1",
    )
}

fn space(state: State) -> Space {
    let announcement = Announcement {
        id: "1".to_owned(),
        slug: Slug::from_title("A talk", 7),
        title: "A talk".to_owned(),
        scheduled_at: None,
        speakers: 2,
        expected_listeners: None,
    };
    let mut space = Space::announce(EPOCH, announcement).unwrap();
    space.state = state;
    let reached = |states: &[State], part| states.contains(&state).then_some(part);
    space.doors_part = reached(&[State::Doors, State::Live, State::Ended], DOORS);
    space.live_part = reached(&[State::Live, State::Ended], LIVE);
    space.end_part = reached(&[State::Ended], END);
    space.started_at = space.live_part.map(|part| space.moment(part));
    space.ended_at = space.end_part.map(|part| space.moment(part));
    space.check_invariants().unwrap();
    space
}

/// A past in which everything before the end is kept.
struct Shelf;

impl Past for Shelf {
    fn parts(
        &self,
        rendition: Rendition,
        from: PartIndex,
        to: PartIndex,
    ) -> io::Result<Option<Bytes>> {
        Ok(Some(
            format!("kept {}", cmaf(rendition, from.0..to.0)).into(),
        ))
    }

    fn replay_segment(&self, rendition: Rendition, number: u64) -> io::Result<Option<Bytes>> {
        Ok((number < 2).then(|| format!("replay {rendition} {number}").into()))
    }

    fn recording(&self, rendition: Rendition) -> io::Result<Option<Box<dyn Recording>>> {
        Ok((rendition.codec() == Codec::Opus).then(|| Box::new(File) as Box<dyn Recording>))
    }

    fn recorded(&self) -> Recorded {
        Recorded {
            parts: END.0 - LIVE.0,
            bytes: 30_720,
        }
    }
}

struct File;

impl Recording for File {
    fn len(&self) -> u64 {
        RECORDING.len() as u64
    }

    fn etag(&self) -> String {
        "\"tag\"".to_owned()
    }

    fn read(&self, range: Range<u64>) -> io::Result<Bytes> {
        let place = |byte| usize::try_from(byte).unwrap();
        Ok(RECORDING[place(range.start)..place(range.end)].into())
    }
}
