//! What progressive listeners cost the engine:
//! `cargo run --release -p throng-air --example fan_out_cost [LISTENERS] [SECONDS] [epoll|io_uring] [RUNG] [plain|tls|resumed]`.
//!
//! Connects so many listeners over loopback, sends them a programme of 48 kb/s in real time, and prints the CPU time of
//! the engine's threads for each listener and second, and for each join. Over TLS
//! joins are full handshakes or resumed sessions, several at once, and what comes is not opened. Linux only: it reads `/proc`. On loopback the
//! receiving side's work in the kernel is mostly billed to the sender, so that this is more than a network card costs.

#![allow(clippy::print_stdout, reason = "the result is what it is for")]
#![allow(
    clippy::unwrap_used,
    reason = "a measurement that cannot go on has failed"
)]
#![allow(
    clippy::cast_precision_loss,
    reason = "figures are shown to three digits"
)]

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig};
use throng_air::air::{Air, Headers, Pages};
use throng_air::document::Document;
use throng_air::engine::{Backend, Connections, Engine};
use throng_air::hand_over::hand_over;
use throng_air::on_air::{Facts, OnAir};
use throng_air::past::KeptElsewhere;
use throng_air::presence::Presence;
use throng_air::space_file::PageFile;
use throng_air::tls::server_config;
use throng_air::tls::tickets::TicketSecret;
use throng_core::ladder::Rung;
use throng_core::rendition::Rendition;
use throng_core::slug::Slug;
use throng_core::space::{Announcement, Space};
use throng_core::time::UnixMillis;
use throng_core::timeline::{PART_DURATION_MS, PartIndex};
use throng_core::window::{Packaged, Part, Window};
use tokio::sync::watch;

/// Listeners of one loop.
const SHARD_LISTENERS_MAX: usize = 15_000;

/// Joins at once over TLS, so that the engine need not wait for a client's own arithmetic.
const JOINERS: usize = 16;

/// Connections that wait to be accepted; the kernel cuts it to `somaxconn`.
const BACKLOG: i32 = 65_535;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let word =
        |place: usize, default: &'static str| words.get(place).map_or(default, String::as_str);
    let listeners: usize = word(0, "5000").parse().unwrap();
    let seconds: u64 = word(1, "10").parse().unwrap();
    let backend = match word(2, "io_uring") {
        "epoll" => Backend::Epoll,
        _ => Backend::IoUring,
    };
    let rung = Rung::new(word(3, "0").parse().unwrap()).unwrap();

    let seal = (word(4, "plain") != "plain").then(|| seal(word(4, "") == "resumed"));

    raise_file_limit();
    let (air, on_air, path) = house();
    air.ladder().lock(rung);
    let (_closing, closed) = watch::channel(false);
    let (hand_over, _handed) = hand_over(1, air.budget());
    let connections = Connections {
        air,
        hand_over,
        connections_max: u32::try_from(SHARD_LISTENERS_MAX).unwrap(),
        backend,
        tls: seal.as_ref().map(|(server, _)| Arc::clone(server)),
    };
    let shards = listeners.div_ceil(SHARD_LISTENERS_MAX);
    let sockets: Vec<_> = (0..shards)
        .map(|_| {
            let socket = TcpListener::bind("127.0.0.1:0").unwrap();
            // Of 128, as the standard library has it, a rush is retried in seconds.
            rustix::net::listen(&socket, BACKLOG).unwrap();
            socket
        })
        .collect();
    let addresses: Vec<_> = sockets.iter().map(|s| s.local_addr().unwrap()).collect();
    let _engine = Engine::start(sockets, &connections, &closed).unwrap();
    let speaking = Arc::clone(&on_air);
    thread::spawn(move || programme(&speaking));

    let (before, since) = (cpu(), Instant::now());
    let mut crowd = Crowd::join(
        &addresses,
        listeners,
        &path,
        seal.as_ref().map(|(_, client)| client),
    );
    let (joining, joined_in) = (cpu().saturating_sub(before), since.elapsed());
    crowd.listen(Duration::from_secs(5));
    let before = cpu();
    let heard = crowd.listen(Duration::from_secs(seconds));
    let spent = cpu().saturating_sub(before);
    let per_listener = |spent: Duration| spent.as_secs_f64() * 1e6 / listeners as f64;
    println!(
        "{listeners} listeners, {backend:?}{}, rung {}: {:.2} us of CPU a listener-second, {:.1} us a join \
         ({:.0} joins/s); {:.0} B a listener-second heard, {} lost; {} counted",
        seal.as_ref().map_or("", |_| ", TLS"),
        rung.number(),
        per_listener(spent) / seconds as f64,
        per_listener(joining),
        listeners as f64 / joined_in.as_secs_f64(),
        heard as f64 / listeners as f64 / seconds as f64,
        crowd.lost,
        on_air.counts().listening,
    );
}

/// The listeners, who read whatever comes.
struct Crowd {
    epoll: std::os::fd::OwnedFd,
    streams: Vec<TcpStream>,
    lost: u64,
}

impl Crowd {
    fn join(
        addresses: &[SocketAddr],
        count: usize,
        path: &str,
        client: Option<&Arc<ClientConfig>>,
    ) -> Self {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
        let request = format!("GET {path}/live.mp4 HTTP/1.1\r\nhost: a\r\n\r\n");
        let joiners = if client.is_some() { JOINERS } else { 1 };
        let join = |number: usize| connect(addresses[number % addresses.len()], &request, client);
        let streams: Vec<TcpStream> = thread::scope(|scope| {
            let share = |joiner| (joiner..count).step_by(joiners).map(join).collect();
            let joining =
                (0..joiners).map(|joiner| scope.spawn(move || -> Vec<_> { share(joiner) }));
            let joining: Vec<_> = joining.collect();
            joining
                .into_iter()
                .flat_map(|joined| joined.join().unwrap())
                .collect()
        });
        for (number, stream) in streams.iter().enumerate() {
            let data = EventData::new_u64(number as u64);
            epoll::add(&epoll, stream, data, EventFlags::IN).unwrap();
        }
        Self {
            epoll,
            streams,
            lost: 0,
        }
    }

    /// Reads for so long; how many bytes came.
    fn listen(&mut self, how_long: Duration) -> u64 {
        let until = Instant::now() + how_long;
        let mut ready = Vec::with_capacity(1_024);
        let (mut heard, mut scratch) = (0, vec![0; 256 * 1024]);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return heard;
            }
            let left = left.try_into().unwrap();
            ready.clear();
            epoll::wait(&self.epoll, spare_capacity(&mut ready), Some(&left)).unwrap();
            for event in &ready {
                let data = event.data;
                let stream = &mut self.streams[usize::try_from(data.u64()).unwrap()];
                match stream.read(&mut scratch) {
                    Ok(0) | Err(_) => {
                        epoll::delete(&self.epoll, &*stream).unwrap();
                        self.lost += 1;
                    }
                    Ok(length) => heard += length as u64,
                }
            }
        }
    }
}

/// Asks for the stream on a connection of its own.
fn connect(address: SocketAddr, request: &str, client: Option<&Arc<ClientConfig>>) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    match client {
        None => stream.write_all(request.as_bytes()).unwrap(),
        Some(client) => {
            let name = ServerName::try_from("throng.test").unwrap();
            let mut client = ClientConnection::new(Arc::clone(client), name).unwrap();
            client.complete_io(&mut stream).unwrap();
            client.writer().write_all(request.as_bytes()).unwrap();
            client.complete_io(&mut stream).unwrap();
            // Tickets come before the first answer.
            client.read_tls(&mut stream).unwrap();
            client.process_new_packets().unwrap();
        }
    }
    stream.set_nonblocking(true).unwrap();
    stream
}

/// What the engine offers and a client that takes it.
fn seal(is_resumed: bool) -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let made = rcgen::generate_simple_self_signed(["throng.test".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = default_provider();
    let certified = CertifiedKey::from_der(vec![certificate.clone()], key, &provider).unwrap();
    let server = server_config(
        Arc::new(SingleCertAndKey::from(certified)),
        vec![b"http/1.1".to_vec()],
        TicketSecret::drawn(),
    )
    .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let mut client = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.resumption = if is_resumed {
        Resumption::in_memory_sessions(JOINERS * 16)
    } else {
        Resumption::disabled()
    };
    (server, Arc::new(client))
}

/// Pushes parts as time passes.
fn programme(on_air: &OnAir) {
    let began = Instant::now();
    for index in 40_u32.. {
        let due = Duration::from_millis(PART_DURATION_MS) * (index - 39);
        thread::sleep(due.saturating_sub(began.elapsed()));
        on_air.change_window(|window| window.push(part(index.into())).unwrap());
    }
}

/// 48 kb/s and some framing, and the same share of the other renditions.
fn part(index: u64) -> Arc<Part> {
    Arc::new(Part {
        index: PartIndex(index),
        renditions: Rendition::ALL.map(|rendition| {
            let bits = u64::from(rendition.bit_rate()) * PART_DURATION_MS / 1_000;
            let bytes = Bytes::from(vec![7; usize::try_from(bits / 8).unwrap() + 100]);
            Packaged {
                cmaf: bytes.clone(),
                stream: bytes,
            }
        }),
    })
}

fn house() -> (Arc<Air>, Arc<OnAir>, String) {
    let mut window = Window::new(PartIndex(0));
    (0..40).for_each(|index| window.push(part(index)).unwrap());
    let announcement = Announcement {
        id: "1".to_owned(),
        slug: Slug::from_title("A talk", 7),
        title: "A talk".to_owned(),
        scheduled_at: None,
        speakers: 2,
        expected_listeners: None,
    };
    let space = Arc::new(Space::announce(UnixMillis(0), announcement).unwrap());
    let page = || Document::new(String::new(), "text/html", "no-store");
    let facts = Facts {
        space: Arc::clone(&space),
        page: Arc::new(page()),
        chapters: Arc::new(page()),
    };
    let on_air = OnAir::new(
        facts,
        window,
        Presence::default(),
        Box::new(KeptElsewhere::nothing()),
    );
    on_air.set_flowing(true);
    let headers = Headers {
        init: Rendition::ALL.map(|_| Bytes::from_static(&[0; 700])),
        stream: Rendition::ALL.map(|_| Bytes::new()),
    };
    let air = Air::new(
        [headers.clone(), headers],
        Pages {
            not_found: page(),
            files: PageFile::ALL.map(|_| page()),
        },
        page(),
    );
    let on_air = Arc::new(on_air);
    air.add(space.slug.as_str(), Arc::clone(&on_air));
    (air, on_air, format!("/s/{}", space.slug))
}

/// CPU time that the engine's threads have taken.
fn cpu() -> Duration {
    let threads = fs::read_dir("/proc/self/task").unwrap().flatten();
    let of_engine = threads.map(|thread| thread.path()).filter(|path| {
        fs::read_to_string(path.join("comm")).is_ok_and(|name| name.starts_with("air"))
    });
    let nanoseconds = of_engine.map(|path| {
        let stat = fs::read_to_string(path.join("schedstat")).unwrap();
        let running = stat.split(' ').next().unwrap();
        running.parse::<u64>().unwrap()
    });
    Duration::from_nanos(nanoseconds.sum())
}

fn raise_file_limit() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let all = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, all).unwrap();
}
