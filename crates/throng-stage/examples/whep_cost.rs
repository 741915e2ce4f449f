//! What listeners by WHEP cost the stage: `cargo run --release -p throng-stage --example whep_cost [LISTENERS] [SECONDS]`.
//!
//! Connects so many listeners over loopback, sends them a programme in real time, and prints the CPU time of the stage's
//! thread for each listener and second. Linux only: it reads `/proc`. The listeners' own threads are not counted.

#![allow(clippy::print_stdout, reason = "the result is what it is for")]
#![allow(
    clippy::unwrap_used,
    reason = "a measurement that cannot go on has failed"
)]

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use throng_stage::client::{Client, ClientKind, ClientState, Transport};
use throng_stage::{Event, ProgrammeKey, Stage, StageConfig};
use tokio::sync::mpsc;
use tokio::time::interval;

const PROGRAMME: ProgrammeKey = ProgrammeKey(1);
/// 48 kb/s in frames of 20 ms.
const PACKET: [u8; 120] = [7; 120];
/// The scheduler's clock as `/proc` shows it (`USER_HZ`).
const TICK_MS: u64 = 10;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut words = std::env::args().skip(1);
    let mut number = |default| words.next().map_or(default, |word| word.parse().unwrap());
    let (listeners, seconds) = (number(200), number(10));

    let (events, _inbox) = mpsc::channel::<Event>(16);
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let config = StageConfig {
        listeners_max: usize::try_from(listeners).unwrap(),
        ..StageConfig::at(at)
    };
    let stage = Stage::start(&config, events).unwrap();
    // From the beginning: who hears nothing for two seconds leaves.
    tokio::spawn(programme(stage.clone()));
    let mut clients = Vec::new();
    for _ in 0..listeners {
        clients.push(join(&stage).await);
    }
    let (before, sent_before) = (cpu_ms(), stage.counters().audio_out);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let cpu_ms = cpu_ms() - before;
    let alive = clients
        .iter()
        .filter(|client| client.state() == ClientState::Connected)
        .count();
    let counted = stage.counters();
    println!(
        "{alive} heard {seconds} s: {} us of CPU a listener-second, {}.{} % of a core; {} packets out, {} dropped",
        cpu_ms * 1_000 / (listeners * seconds),
        cpu_ms / (seconds * 10),
        cpu_ms / seconds % 10,
        counted.audio_out - sent_before,
        counted.dropped_send + counted.dropped_outbound,
    );
}

async fn programme(stage: Stage) {
    let mut tick = interval(Duration::from_millis(20));
    for frame in 0.. {
        tick.tick().await;
        stage.send_programme(PROGRAMME, frame, PACKET.to_vec().into());
    }
}

async fn join(stage: &Stage) -> Client {
    let (pending, offer) = Client::offer(ClientKind::Listener, Transport::Udp);
    let answer = stage.subscribe(offer, PROGRAMME).await.unwrap();
    // Opening the socket blocks on a runtime of its own, which this one does not allow on its thread.
    let connecting = tokio::task::spawn_blocking(move || pending.connect(&answer.sdp));
    let mut client = connecting.await.unwrap().unwrap();
    client.connected().await.unwrap();
    client
}

/// CPU time that the stage's thread has taken.
fn cpu_ms() -> u64 {
    let threads = fs::read_dir("/proc/self/task").unwrap().flatten();
    let stat = threads
        .filter_map(|thread| fs::read_to_string(thread.path().join("stat")).ok())
        .find(|stat| stat.contains("(stage)"))
        .unwrap();
    // The 14th and 15th fields, user and system time; the name is the second.
    let fields = stat.rsplit(") ").next().unwrap().split(' ');
    let ticks: u64 = fields
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u64>().unwrap())
        .sum();
    ticks * TICK_MS
}
