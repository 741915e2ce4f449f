//! A node with a short hold programme, and the calls that tests make of it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;
use throng::config::{Config, EngineConfig, RungChoice};
use throng::serve::Node;
use throng::sound_file::WavWriter;

use crate::wire::{Answer, Wire};

/// A running node.
pub(crate) struct House {
    /// The audience's address.
    pub(crate) listen: SocketAddr,
    /// The desk's address.
    pub(crate) desk: SocketAddr,
    /// The operator's key.
    pub(crate) operator: String,
    /// Where it runs: the same after a restart, except for the stage, which says goodbye while the next one begins.
    pub(crate) config: Config,
    node: Node,
    folder: TempDir,
}

/// A space with its keys.
pub(crate) struct Created {
    pub(crate) slug: String,
    pub(crate) host: String,
    pub(crate) speakers: Vec<String>,
}

impl House {
    /// A node on free ports and an empty folder.
    pub(crate) async fn start() -> Self {
        Self::start_speaking(None).await
    }

    /// The same with a certificate and its key.
    pub(crate) async fn start_sealed(cert: PathBuf, key: PathBuf) -> Self {
        Self::start_speaking(Some((cert, key))).await
    }

    async fn start_speaking(tls: Option<(PathBuf, PathBuf)>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let config = Config {
            listen: free,
            desk: free,
            internal: free,
            data: folder.path().join("data"),
            stage_udp: free,
            stage_advertise: None,
            public_url: None,
            desk_url: None,
            tls,
            acme: None,
            air_workers: 0,
            hold: Some(hold(folder.path())),
            rung: RungChoice::default(),
            engine: EngineConfig::default(),
            certificate: None,
            listeners_max: None,
            egress_max: None,
            overflow: Vec::new(),
            webhooks_allow: vec!["127.0.0.0/8".parse().unwrap()],
            calls_max: 100_000.try_into().unwrap(),
            trusted_proxy: Vec::new(),
        };
        Self::start_with(config, folder).await
    }

    async fn start_with(mut config: Config, folder: TempDir) -> Self {
        let node = Node::start(config.clone()).await.unwrap();
        let listen = address(&node.links.listen);
        let desk = address(&node.links.desk);
        config.listen = listen;
        config.desk = desk;
        Self {
            listen,
            desk,
            operator: key_of(&node.links.studio),
            config,
            node,
            folder,
        }
    }

    /// Stops in order, and starts again in the same place.
    pub(crate) async fn restart(self) -> Self {
        let config = self.config.clone();
        self.restart_with(config).await
    }

    /// Stops in order, and starts again with other settings.
    pub(crate) async fn restart_with(self, config: Config) -> Self {
        self.node.stop().await;
        Self::start_with(config, self.folder).await
    }

    /// One call of the desk.
    pub(crate) async fn call(&self, method: &str, path: &str, key: &str, body: &str) -> Answer {
        let headers = format!("authorization: Bearer {key}\r\n");
        send(self.desk, method, path, &headers, body).await
    }

    /// One page or file of the audience.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        Wire::connect(self.listen).await.get(path).await
    }

    /// What it tells whoever watches it.
    pub(crate) async fn metrics(&self) -> String {
        let internal = address(&self.node.links.internal);
        let answer = Wire::connect(internal).await.get("/metrics").await;
        answer.text().to_owned()
    }

    /// Announces a space with two seats.
    pub(crate) async fn announce(&self, title: &str) -> Created {
        let body = serde_json::json!({ "title": title }).to_string();
        let answer = self
            .call("POST", "/api/spaces", &self.operator, &body)
            .await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let document = json(&answer);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let speakers = document["speaker_urls"].as_array().unwrap();
        Created {
            slug: text(&document["slug"]),
            host: key_of(&text(&document["host_url"])),
            speakers: speakers.iter().map(|url| key_of(&text(url))).collect(),
        }
    }

    /// Takes a step as the host.
    pub(crate) async fn step(&self, space: &Created, step: &str) -> Answer {
        let path = format!("/api/spaces/{}/{step}", space.slug);
        self.call("POST", &path, &space.host, "").await
    }
}

/// One request on a connection of its own; each header ends with CRLF.
pub(crate) async fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> Answer {
    let mut wire = Wire::connect(address).await;
    let headers = format!("{headers}content-length: {}\r\n", body.len());
    wire.ask(method, path, &headers).await;
    wire.send(body).await;
    wire.answer(method).await
}

/// The body as JSON.
pub(crate) fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

/// Checks that an answer is a problem of a kind (RFC 9457), and gives its document.
pub(crate) fn problem(answer: &Answer, status: u16, kind: &str) -> Value {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.header("cache-control"), "no-store");
    let document = json(answer);
    assert_eq!(document["type"], format!("urn:throng:problem:{kind}"));
    assert_eq!(document["status"], status);
    assert!(
        document["title"]
            .as_str()
            .is_some_and(|text| !text.is_empty())
    );
    assert!(
        document["detail"]
            .as_str()
            .is_some_and(|text| text.ends_with('.'))
    );
    document
}

pub(crate) fn key_of(link: &str) -> String {
    link.split_once("#key=").unwrap().1.to_owned()
}

fn address(url: &str) -> SocketAddr {
    url.split_once("://").unwrap().1.parse().unwrap()
}

/// Four seconds of a tone: the shortest hold programme, so that it is encoded at once.
fn hold(folder: &Path) -> PathBuf {
    let path = folder.join("hold.wav");
    let mut file = WavWriter::create(&path).unwrap();
    // A period of 220 Hz has 218 samples.
    let period: Vec<f32> = (0..218_u8)
        .map(|sample| (f32::from(sample) / 218.0 * std::f32::consts::TAU).sin() * 0.2)
        .collect();
    let tone = period.repeat(4 * 48_000 / period.len() + 1);
    file.push(&tone).unwrap();
    file.finish().unwrap();
    path
}
