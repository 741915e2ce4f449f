//! `throng demo`: a node on a temporary folder with one space that is live at once, where two voices talk in turn.
//!
//! The voices come in as any speaker does, through WHIP and WebRTC; nothing here reaches past the desk.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{io, thread};

use clap::Args;
use serde_json::{Value, json};
use tempfile::TempDir;
use throng_media::SILENCE;

use crate::client::http::Client;
use crate::client::interrupt::Interrupt;
use crate::client::listen::parse_duration;
use crate::client::speak::{self, SpeakArgs};
use crate::config::{Config, ServeArgs};
use crate::serve::{Links, Node, wait_for_signal};
use crate::sound_file::{self, WavWriter};

/// What the two say, in turn (`assets/voices`).
const TURNS: &[(Voice, &[u8])] = &[
    (
        Voice::Ada,
        include_bytes!("../../../assets/voices/01-ada.flac"),
    ),
    (
        Voice::Ben,
        include_bytes!("../../../assets/voices/02-ben.flac"),
    ),
    (
        Voice::Ada,
        include_bytes!("../../../assets/voices/03-ada.flac"),
    ),
    (
        Voice::Ben,
        include_bytes!("../../../assets/voices/04-ben.flac"),
    ),
    (
        Voice::Ada,
        include_bytes!("../../../assets/voices/05-ada.flac"),
    ),
    (
        Voice::Ben,
        include_bytes!("../../../assets/voices/06-ben.flac"),
    ),
    (
        Voice::Ada,
        include_bytes!("../../../assets/voices/07-ada.flac"),
    ),
    (
        Voice::Ben,
        include_bytes!("../../../assets/voices/08-ben.flac"),
    ),
    (
        Voice::Ada,
        include_bytes!("../../../assets/voices/09-ada.flac"),
    ),
    (
        Voice::Ben,
        include_bytes!("../../../assets/voices/10-ben.flac"),
    ),
    (
        Voice::Ada,
        include_bytes!("../../../assets/voices/11-ada.flac"),
    ),
    (
        Voice::Ben,
        include_bytes!("../../../assets/voices/12-ben.flac"),
    ),
    (
        Voice::Ada,
        include_bytes!("../../../assets/voices/13-ada.flac"),
    ),
];
/// Silence between two turns, as people leave it: 400 ms.
const PAUSE_FRAMES: usize = 20;

/// Show what this is: a node with one live space in which two voices talk.
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// Address of the audience
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Address of hosts and speakers
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8081")]
    pub desk: SocketAddr,
    /// End by itself after this time, such as 60s
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    pub duration: Option<Duration>,
    /// Print the links as one line of JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Voice {
    Ada,
    Ben,
}

/// Runs until it is told to stop, or its time is over.
pub async fn run(args: DemoArgs) -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let node = start(&args, folder.path()).await?;
    let links = node.links.clone();
    let talks = [
        record(Voice::Ada, folder.path())?,
        record(Voice::Ben, folder.path())?,
    ];
    let (space, links) = tokio::task::spawn_blocking(move || {
        let space = create(&links)?;
        Ok::<_, anyhow::Error>((space, links))
    })
    .await??;
    announce(&space, &links, args.json)?;
    let quiet = Interrupt::default();
    let voices: Vec<_> = talks
        .into_iter()
        .zip(&space.speaker_urls)
        .map(|(talk, url)| speak(url, talk, &quiet))
        .collect();
    match args.duration {
        None => wait_for_signal().await?,
        Some(duration) => tokio::select! {
            stopped = wait_for_signal() => stopped?,
            () = tokio::time::sleep(duration) => {}
        },
    }
    quiet.raise();
    tokio::task::spawn_blocking(move || voices.into_iter().for_each(|voice| drop(voice.join())))
        .await?;
    node.stop().await;
    Ok(())
}

async fn start(args: &DemoArgs, folder: &Path) -> anyhow::Result<Node> {
    let settings = ServeArgs {
        listen: Some(args.listen),
        desk: Some(args.desk),
        internal: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        data: Some(folder.join("data")),
        air_workers: Some(0),
        ..ServeArgs::default()
    };
    Ok(Node::start(Config::resolve(settings)?).await?)
}

/// The space as its creation tells it.
struct DemoSpace {
    slug: String,
    listen_url: String,
    host_url: String,
    speaker_urls: Vec<String>,
}

/// Creates the space over the API and goes live.
fn create(links: &Links) -> anyhow::Result<DemoSpace> {
    let operator = links.studio.rsplit("#key=").next().unwrap_or_default();
    let client = Client::towards(&links.desk);
    let wish = json!({ "title": "A conversation about starting on time", "speakers": 3 });
    let created = client.call(
        "POST",
        &format!("{}/api/spaces", links.desk),
        operator,
        Some(&wish),
    )?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let space = DemoSpace {
        slug: text(&created["slug"]),
        listen_url: text(&created["listen_url"]),
        host_url: text(&created["host_url"]),
        speaker_urls: created["speaker_urls"]
            .as_array()
            .into_iter()
            .flatten()
            .map(text)
            .collect(),
    };
    client.call(
        "POST",
        &format!("{}/api/spaces/{}/go-live", links.desk, space.slug),
        operator,
        None,
    )?;
    Ok(space)
}

fn announce(space: &DemoSpace, links: &Links, json: bool) -> io::Result<()> {
    use std::io::Write;
    let mut out = io::stdout().lock();
    let own = space.speaker_urls.last().map_or("", String::as_str);
    if json {
        let document = json!({
            "listen": links.listen, "desk": links.desk, "studio": links.studio, "slug": space.slug,
            "listen_url": space.listen_url, "host_url": space.host_url, "speaker_urls": space.speaker_urls,
        });
        writeln!(out, "{document}")?;
    } else {
        writeln!(out, "listen  {}", space.listen_url)?;
        writeln!(out, "host    {}", space.host_url)?;
        writeln!(out, "speak   {own}")?;
    }
    out.flush()
}

/// One voice's side of the conversation, silent while the other talks, as a file.
fn record(voice: Voice, folder: &Path) -> anyhow::Result<PathBuf> {
    let (name, path) = match voice {
        Voice::Ada => ("Ada", folder.join("ada.wav")),
        Voice::Ben => ("Ben", folder.join("ben.wav")),
    };
    let mut file = WavWriter::create(&path)?;
    for (turn, flac) in TURNS {
        let mut said = sound_file::from_bytes(name, flac)?;
        if *turn != voice {
            said.fill(0.0);
        }
        file.push(&said)?;
        for _ in 0..PAUSE_FRAMES {
            file.push(&SILENCE)?;
        }
    }
    file.finish()?;
    Ok(path)
}

/// Lets a voice talk on a thread of its own until it is told to be quiet.
fn speak(url: &str, talk: PathBuf, quiet: &Interrupt) -> thread::JoinHandle<()> {
    let args = SpeakArgs {
        url: url.to_owned(),
        file: Some(talk),
        again: true,
        out: None,
        talkback: None,
        json: true,
    };
    let quiet = quiet.clone();
    let url = Arc::<str>::from(url.split('#').next().unwrap_or_default());
    thread::spawn(move || {
        if let Err(error) = speak::run(&args, &quiet, &mut io::sink()) {
            tracing::error!(%url, %error, "a voice of the demo has fallen silent");
        }
    })
}
