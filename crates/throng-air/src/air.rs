//! The audience's address: which path is answered by what.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::{Extension, Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{from_fn_with_state, map_response, map_response_with_state};
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use throng_core::admission::Share;
use throng_core::caching::{BRIEF, NEVER};
use throng_core::network::TrustedProxies;
use throng_core::rendition::{Channels, RENDITION_COUNT};
use throng_core::space;
use throng_core::time::UnixMillis;
use tokio::sync::{Semaphore, watch};

use crate::accept::ConnectionId;
use crate::answer;
use crate::budget::Budget;
use crate::counting::count;
use crate::document::Document;
use crate::drain::{Drain, Successor};
use crate::engine::head::FORWARDED;
use crate::feed::hold::HoldParts;
use crate::feed::reports::Reports;
use crate::format::Format;
use crate::hls::{self, Name};
use crate::hold_file::{self, HoldFile};
use crate::ladder::Ladder;
use crate::ledger::Ledger;
use crate::on_air::OnAir;
use crate::presence::Player;
use crate::progressive;
use crate::recording;
use crate::room::{Follower, Room};
use crate::space_file::{PAGE_FILE_COUNT, PageFile, SpaceFile};
use crate::state::{Told, state_json};

/// What precedes the parts of each rendition, in spaces of one channel or of two; Air links no codec, so it is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// CMAF initialisation segments by [`Rendition::index`](throng_core::rendition::Rendition::index).
    pub init: [Bytes; RENDITION_COUNT],
    /// What begins a plain stream: a WebM header, or nothing for ADTS.
    pub stream: [Bytes; RENDITION_COUNT],
}

/// Pages that belong to no space.
pub struct Pages {
    /// The page for an unknown path or slug.
    pub not_found: Document,
    /// What the page of a space loads besides itself, in the order of [`PageFile::ALL`].
    pub files: [Document; PAGE_FILE_COUNT],
}

/// What a script of another origin may read of an answer.
pub(crate) const EXPOSED_HEADERS: &str = "content-length, content-range, date, retry-after";

/// All spaces that are on air, and the pages around them.
pub struct Air {
    spaces: watch::Sender<BTreeMap<String, Arc<OnAir>>>,
    /// Absent where nobody has told it yet.
    index: watch::Sender<Option<Arc<Document>>>,
    /// By [`Channels::index`].
    headers: [Headers; 2],
    pages: Pages,
    held: Semaphore,
    room: Arc<Room>,
    ladder: Ladder,
    budget: Arc<Budget>,
    /// By [`Channels::index`].
    hold: [watch::Sender<Option<Arc<HoldParts>>>; 2],
    hold_file: watch::Sender<Option<Arc<HoldFile>>>,
    ledger: Arc<Ledger>,
    reports: Reports,
    proxies: OnceLock<TrustedProxies>,
    drain: OnceLock<(Instant, Drain)>,
    closed: watch::Sender<bool>,
}

impl Air {
    /// An empty house; who does not know yet what there is has no index either.
    pub fn new(
        headers: [Headers; 2],
        pages: Pages,
        index: impl Into<Option<Document>>,
    ) -> Arc<Self> {
        Self::behind(Room::alone(), headers, pages, index)
    }

    /// The same behind a door that other processes of the node share.
    pub fn behind(
        room: Arc<Room>,
        headers: [Headers; 2],
        pages: Pages,
        index: impl Into<Option<Document>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            spaces: watch::Sender::new(BTreeMap::new()),
            index: watch::Sender::new(index.into().map(Arc::new)),
            headers,
            pages,
            held: hls::ordinary::held_places(),
            room,
            ladder: Ladder::default(),
            budget: Arc::default(),
            hold: Default::default(),
            hold_file: watch::Sender::new(None),
            ledger: Arc::default(),
            reports: Reports::default(),
            proxies: OnceLock::new(),
            drain: OnceLock::new(),
            closed: watch::Sender::new(false),
        })
    }

    /// Puts a space on air under its slug.
    pub fn add(&self, slug: &str, on_air: Arc<OnAir>) {
        self.spaces.send_modify(|spaces| {
            spaces.insert(slug.to_owned(), on_air);
        });
    }

    /// Takes a space off, for good.
    pub fn remove(&self, slug: &str) {
        self.spaces.send_modify(|spaces| {
            spaces.remove(slug);
        });
    }

    /// Replaces the public list of spaces.
    pub fn set_index(&self, index: Document) {
        self.index.send_replace(Some(Arc::new(index)));
    }

    /// Every space that is on air, by its slug, and a watch on them.
    pub fn spaces(&self) -> watch::Receiver<BTreeMap<String, Arc<OnAir>>> {
        self.spaces.subscribe()
    }

    /// A watch on the public list.
    pub(crate) fn watch_index(&self) -> watch::Receiver<Option<Arc<Document>>> {
        self.index.subscribe()
    }

    /// The memory that this process may take.
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Believes these proxies from now on what they say of whom they ask for. A second order changes nothing.
    pub fn trust(&self, proxies: TrustedProxies) {
        self.proxies.get_or_init(|| proxies);
    }

    /// The proxies that are believed, where the operator has named any.
    pub(crate) fn proxies(&self) -> Option<&TrustedProxies> {
        self.proxies.get().filter(|proxies| !proxies.is_empty())
    }

    /// What precedes the parts, by [`Channels::index`].
    pub fn headers(&self) -> &[Headers; 2] {
        &self.headers
    }

    /// What precedes the parts of a space.
    pub(crate) fn headers_of(&self, on_air: &OnAir) -> &Headers {
        &self.headers[on_air.channels().index()]
    }

    /// Keeps the hold loop of spaces with so many channels, to stand in for parts that do not come; the loop of one channel
    /// also for those who wait.
    pub fn set_hold(&self, channels: Channels, hold: HoldParts) {
        if !channels.is_stereo() {
            let file = HoldFile::new(&self.headers[channels.index()], &hold);
            self.hold_file.send_replace(Some(Arc::new(file)));
        }
        self.hold[channels.index()].send_replace(Some(Arc::new(hold)));
    }

    /// The hold loop of spaces with so many channels, once it is there.
    pub fn hold(&self, channels: Channels) -> watch::Receiver<Option<Arc<HoldParts>>> {
        self.hold[channels.index()].subscribe()
    }

    /// The hold loop as a file, once it is there.
    pub(crate) fn hold_file(&self) -> Option<Arc<HoldFile>> {
        self.hold_file.borrow().clone()
    }

    /// Begins to let everybody go who listens here; how long that takes. A second order changes nothing.
    pub fn drain(&self, successor: Successor) -> Duration {
        let order = || (Instant::now(), Drain::new(successor, self.room.inside()));
        self.drain.get_or_init(order).1.duration()
    }

    /// The order to let everybody go, and when it came.
    pub(crate) fn drained(&self) -> Option<(Instant, Drain)> {
        self.drain.get().copied()
    }

    /// Who listens here by an endless answer.
    pub fn listeners(&self) -> u64 {
        self.room.inside()
    }

    /// This process is about to end: who follows its feed is let go.
    pub fn close(&self) {
        self.closed.send_replace(true);
    }

    /// Whether this process is about to end.
    pub(crate) fn closed(&self) -> watch::Receiver<bool> {
        self.closed.subscribe()
    }

    /// What the doors of this process count into.
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// What workers and edges have reported.
    pub fn reports(&self) -> &Reports {
        &self.reports
    }

    /// The space of a slug.
    pub fn find(&self, slug: &str) -> Option<Arc<OnAir>> {
        self.spaces.borrow().get(slug).cloned()
    }

    /// The slug of a space that is on air, whichever.
    pub fn any_space(&self) -> Option<String> {
        self.spaces.borrow().keys().next().cloned()
    }

    /// The public list of spaces, once it is known.
    pub(crate) fn index(&self) -> Option<Arc<Document>> {
        self.index.borrow().clone()
    }

    /// The ladder, on a rung of which listeners are served.
    pub fn ladder(&self) -> &Ladder {
        &self.ladder
    }

    /// What `state.json` says of this node.
    pub fn told(&self) -> Told {
        Told {
            decision: self.ladder.decision(),
            queued: self.room.queued(),
        }
    }

    /// Calls those who wait and whose turn it is.
    pub(crate) fn call(&self) {
        self.room.call(self.ladder.rung(), || {
            let spaces = self.spaces.borrow();
            spaces
                .values()
                .any(|on_air| on_air.facts().space.state == space::State::Live)
        });
    }

    /// The door.
    pub fn room(&self) -> &Arc<Room> {
        &self.room
    }

    /// The routes of the audience, whose requests are counted.
    pub fn routes(self: &Arc<Self>) -> Router {
        self.counted(self.uncounted_routes())
    }

    /// Counts every request to these routes in the ledger.
    pub fn counted(&self, routes: Router) -> Router {
        routes.layer(from_fn_with_state(Arc::clone(&self.ledger), count))
    }

    /// The routes of the audience, for who adds to them before they are counted.
    pub fn uncounted_routes(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/", get(index))
            .route("/s/{slug}", get(page))
            .route("/s/{slug}/{file}", get(file))
            .route("/s/{slug}/hls/{*name}", get(hls_file))
            .fallback(not_found)
            .with_state(Arc::clone(self))
            .layer(map_response_with_state(Arc::clone(self), explained))
            .layer(map_response(readable_cross_origin))
    }

    /// The page for what is not here.
    pub(crate) fn not_found(&self) -> &Document {
        &self.pages.not_found
    }

    /// What the page of a space loads besides itself.
    pub(crate) fn of_page(&self, file: PageFile) -> &Document {
        &self.pages.files[file.index()]
    }

    fn unknown(&self, headers: &HeaderMap) -> Response {
        self.not_found().respond(StatusCode::NOT_FOUND, headers)
    }
}

/// What is refused before our own code reads it is told in words, too, and briefly cached like every refusal.
async fn explained(State(air): State<Arc<Air>>, response: Response) -> Response {
    if response.headers().contains_key(header::CACHE_CONTROL) {
        return response;
    }
    match response.status() {
        // A path that is no text names nothing.
        StatusCode::BAD_REQUEST => air.unknown(&HeaderMap::new()),
        status @ StatusCode::METHOD_NOT_ALLOWED => {
            let mut told = answer::refuse(status, "Listening is done with GET.\n");
            if let Some(allow) = response.headers().get(header::ALLOW) {
                told.headers_mut().insert(header::ALLOW, allow.clone());
            }
            told
        }
        _ => response,
    }
}

/// Anyone may read the audience's address from any page, without credentials.
async fn readable_cross_origin(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    );
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static(EXPOSED_HEADERS),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

async fn index(State(air): State<Arc<Air>>, headers: HeaderMap) -> Response {
    match air.index() {
        Some(index) => index.respond(StatusCode::OK, &headers),
        None => answer::come_again(
            1,
            "This node is being told what is on air. Please come again in a second.\n",
        ),
    }
}

async fn not_found(State(air): State<Arc<Air>>, headers: HeaderMap) -> Response {
    air.unknown(&headers)
}

async fn page(
    State(air): State<Arc<Air>>,
    Path(slug): Path<String>,
    headers: HeaderMap,
) -> Response {
    match air.find(&slug) {
        Some(on_air) => on_air.facts().page.respond(StatusCode::OK, &headers),
        None => air.unknown(&headers),
    }
}

async fn file(
    State(air): State<Arc<Air>>,
    method: Method,
    Path((slug, file)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    Extension(connection): Extension<ConnectionId>,
    headers: HeaderMap,
) -> Response {
    let Some(on_air) = air.find(&slug) else {
        return air.unknown(&headers);
    };
    let query = query.unwrap_or_default();
    let Some(file) = SpaceFile::named(&file) else {
        return air.unknown(&headers);
    };
    match file {
        SpaceFile::Chapters => on_air.facts().chapters.respond(StatusCode::OK, &headers),
        SpaceFile::State => answer::ok(
            state_json(&on_air, &on_air.facts().space, air.told(), now()),
            "application/json",
            BRIEF,
        ),
        SpaceFile::NowServing => answer::ok(
            air.room.now_serving(air.ladder.rung()),
            "application/json",
            BRIEF,
        ),
        SpaceFile::HoldMusic => match air.hold_file() {
            Some(file) => recording::file(file, &headers, hold_file::KEPT),
            None => answer::come_again(2, "The hold music is still being made.\n"),
        },
        SpaceFile::OfPage(file) => air.of_page(file).respond(StatusCode::OK, &headers),
        SpaceFile::Recording(usual) => {
            recording::recording(on_air, recording::asked(usual, &query), headers).await
        }
        SpaceFile::Live(format) => {
            live(&air, (on_air, &slug), &method, format, &query, connection).await
        }
    }
}

async fn live(
    air: &Air,
    (on_air, slug): (Arc<OnAir>, &str),
    method: &Method,
    format: Format,
    query: &str,
    connection: ConnectionId,
) -> Response {
    let Some(rendition) = format.asked(query) else {
        return answer::refuse(
            StatusCode::BAD_REQUEST,
            "rendition: live.mp4 carries o48, o24, o16, a64 and a32; live.webm o48, o24, o16; live.aac a64 and a32. \
             from: the number of a part. Each at most once.\n",
        );
    };
    match on_air.facts().space.state {
        space::State::Ended => return moved_to_recording(format),
        space::State::Cancelled => {
            return answer::refuse(StatusCode::GONE, "This space was cancelled.\n");
        }
        space::State::Announced | space::State::Doors | space::State::Live => {}
    }
    if *method == Method::HEAD {
        return progressive::head(format);
    }
    let entered = air.room.enter(
        air.room.papers(query),
        rendition,
        air.ladder.rung(),
        Share::ALL,
    );
    let inside = match entered {
        Ok(taken) => air.room.seat(taken),
        Err(reply) => {
            let path = format!("/s/{slug}/live.{}", format.name());
            return air.room.send_on(reply, &path, query).into();
        }
    };
    let player = Player::Connection(connection.0);
    progressive::live(
        Arc::clone(&on_air),
        air.headers_of(&on_air),
        format,
        rendition,
        (player, inside),
        &air.ledger,
    )
    .await
}

/// After the end the stream's name leads to the recording in the same codec.
fn moved_to_recording(format: Format) -> Response {
    let mut response = answer::refuse(
        StatusCode::FOUND,
        "The space has ended; this is its recording.\n",
    );
    let location = if format == Format::Aac {
        "recording.m4a"
    } else {
        "recording.mp4"
    };
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, HeaderValue::from_static(location));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(NEVER));
    response
}

async fn hls_file(
    State(air): State<Arc<Air>>,
    method: Method,
    Path((slug, name)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    Extension(connection): Extension<ConnectionId>,
    headers: HeaderMap,
) -> Response {
    let (Some(on_air), Some(name)) = (air.find(&slug), Name::parse(&name)) else {
        return air.unknown(&headers);
    };
    let query = query.unwrap_or_default();
    let rung = air.ladder.rung();
    match name.ask(&query, rung) {
        Err(error) => hls::misunderstood(error).into(),
        Ok(ask) => {
            let follower = Follower {
                ask,
                slug: &slug,
                query: &query,
                connection: connection.0,
                is_forwarded: FORWARDED.into_iter().any(|name| headers.contains_key(name)),
            };
            if method == Method::GET
                && !on_air.facts().space.state.is_over()
                && let Err(reply) = air.room.follow(&follower, rung, Share::ALL)
            {
                return reply.into();
            }
            let player = Player::of(&query, connection.0);
            let headers = air.headers_of(&on_air);
            hls::ordinary::answer(Arc::clone(&on_air), headers, &air.held, ask, player).await
        }
    }
}

/// The wall clock; before 1970 counts as 1970.
pub(crate) fn now() -> UnixMillis {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
