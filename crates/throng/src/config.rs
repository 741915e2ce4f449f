//! Configuration, resolved once: a flag wins over the environment, the environment over the file, the file over the
//! default. Unknown keys of the file are refused.

mod engine;
mod rung;
mod settings;

use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU8, NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::thread;

use axum::http::Uri;
use clap::Args;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use throng_air::room::overflow::EDGES_MAX;
use throng_core::network::{Network, TrustedProxies};

use crate::acme::Acme;
use crate::plane;
use crate::tls::Files;

pub use self::engine::{AirBackend, EngineArgs, EngineConfig};
pub use self::rung::RungChoice;
pub use self::settings::{SETTINGS, Setting, sample};

/// What is wrong with the configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration file {path} could not be read: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file says something that is not configuration.
    #[error("the configuration file {path} is not valid: {source}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Where and what.
        source: Box<toml::de::Error>,
    },
    /// Two settings do not go together.
    #[error("{0}")]
    Conflict(&'static str),
    /// Nobody gives a certificate for it.
    #[error(
        "acme is for a name of the DNS, such as live.example.org, and {0:?} is none (nor are addresses, wildcards and names without a dot)"
    )]
    NoDomain(String),
    /// There would be no memory for listeners.
    #[error(
        "memory_max is {said} bytes, and a node with {workers} workers takes {least} before anybody comes: allow it more, or fewer workers"
    )]
    Memory {
        /// What the operator allows.
        said: u64,
        /// How many workers there are to be.
        workers: u32,
        /// What they take.
        least: u64,
    },
}

/// The settings as flags and environment give them.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServeArgs {
    /// Address of the audience: pages, streams, replays [default: 127.0.0.1:8080]
    #[arg(long, env = "THRONG_LISTEN", value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Address of hosts and speakers; the same as --listen puts both on one port [default: 127.0.0.1:8081]
    #[arg(long, env = "THRONG_DESK", value_name = "ADDR")]
    pub desk: Option<SocketAddr>,
    /// Address of metrics and health; keep it private [default: 127.0.0.1:9464]
    #[arg(long, env = "THRONG_INTERNAL", value_name = "ADDR")]
    pub internal: Option<SocketAddr>,
    /// Folder of database, keys and recordings; created if absent [default: ./throng-data]
    #[arg(long, env = "THRONG_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Address of the speakers' media: UDP, and TCP on the same port number [default: 127.0.0.1:0]
    #[arg(long, env = "THRONG_STAGE_UDP", value_name = "ADDR")]
    pub stage_udp: Option<SocketAddr>,
    /// IP address that speakers are told to send to, where this machine is behind address translation
    #[arg(long, env = "THRONG_STAGE_ADVERTISE", value_name = "IP")]
    pub stage_advertise: Option<IpAddr>,
    /// How listeners reach --listen, for links
    #[arg(long, env = "THRONG_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,
    /// How hosts and speakers reach --desk, for links
    #[arg(long, env = "THRONG_DESK_URL", value_name = "URL")]
    pub desk_url: Option<String>,
    /// Certificate chain (PEM) for --listen and --desk
    #[arg(
        long,
        env = "THRONG_TLS_CERT",
        value_name = "FILE",
        requires = "tls_key"
    )]
    pub tls_cert: Option<PathBuf>,
    /// Private key (PEM) of --tls-cert
    #[arg(
        long,
        env = "THRONG_TLS_KEY",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    pub tls_key: Option<PathBuf>,
    /// Domain whose certificate is got and renewed from Let's Encrypt, to whose terms you agree; its port 443 must lead to --listen or --desk
    #[arg(
        long,
        env = "THRONG_ACME",
        value_name = "DOMAIN",
        conflicts_with_all = ["tls_cert", "tls_key"]
    )]
    pub acme: Option<String>,
    /// Directory of another authority than Let's Encrypt, for --acme (RFC 8555)
    #[arg(long, env = "THRONG_ACME_DIRECTORY", value_name = "URL")]
    pub acme_directory: Option<String>,
    /// Processes that serve listeners beside the origin; 0 keeps everything in one process [default: one per core]
    #[arg(long, env = "THRONG_AIR_WORKERS", value_name = "N", value_parser = clap::value_parser!(u32).range(..=i64::from(AIR_WORKERS_MAX)))]
    pub air_workers: Option<u32>,
    /// Sound file (WAV, FLAC, Ogg, MP3) to play as the hold programme instead of our own music
    #[arg(long, env = "THRONG_HOLD", value_name = "FILE")]
    pub hold: Option<PathBuf>,
    /// Rung of the ladder: `auto`, or 0 to 4 to keep one, with longer spans and, from 3, fewer bits per listener [default: auto]
    #[arg(long, env = "THRONG_RUNG", value_name = "RUNG")]
    pub rung: Option<RungChoice>,
    /// How listeners are served
    #[command(flatten)]
    #[serde(skip)]
    pub engine: EngineArgs,
    // In a file these are settings like all others: a flattened table could not say which there are.
    #[arg(skip)]
    pub(crate) air_backend: Option<AirBackend>,
    #[arg(skip)]
    pub(crate) air_threads: Option<NonZeroU8>,
    #[arg(skip)]
    pub(crate) memory_max: Option<NonZeroU64>,
    /// Capacity certificate of `throng rehearse`: no more listeners at once than it grants
    #[arg(long, env = "THRONG_CERTIFICATE", value_name = "FILE")]
    pub certificate: Option<PathBuf>,
    /// Listeners at once; more are told to come again. With --certificate too, the smaller number counts [default: 25000 per core]
    #[arg(long, env = "THRONG_LISTENERS_MAX", value_name = "N")]
    pub listeners_max: Option<NonZeroU32>,
    /// Bits per second that listeners may take together [default: 70 % of the fastest link's speed, where it tells]
    #[arg(long, env = "THRONG_EGRESS_MAX", value_name = "BITS")]
    pub egress_max: Option<NonZeroU64>,
    /// Edge to which plain players are sent when the house is full, and it has room; up to 16, one flag each
    #[arg(
        long,
        env = "THRONG_OVERFLOW",
        value_name = "URL",
        value_delimiter = ','
    )]
    pub overflow: Option<Vec<String>>,
    /// Network whose private addresses webhooks may call, such as 10.0.0.0/8; one flag each
    #[arg(
        long,
        env = "THRONG_WEBHOOKS_ALLOW",
        value_name = "NETWORK",
        value_delimiter = ','
    )]
    pub webhooks_allow: Option<Vec<Network>>,
    /// Calls of the API that one key may make in a second, and four times as many at once [default: 100]
    #[arg(long, env = "THRONG_CALLS_MAX", value_name = "N")]
    pub calls_max: Option<NonZeroU32>,
    /// Network of proxies in front, which are believed whom they ask for by X-Forwarded-For; one flag each. From anybody else it says nothing
    #[arg(
        long,
        env = "THRONG_TRUSTED_PROXY",
        value_name = "CIDR",
        value_delimiter = ','
    )]
    pub trusted_proxy: Option<Vec<Network>>,
    /// File with these settings
    #[arg(long, env = "THRONG_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
}

/// A studio asks once a second, and a person has a few; a program that does something in every space now and again stays
/// below it as well.
const CALLS_MAX: NonZeroU32 = NonZeroU32::new(100).expect("it is not 0");

/// Most Air workers: more than one for each core of the largest machine serve nobody better.
const AIR_WORKERS_MAX: u32 = 256;

/// Most networks of proxies: content delivery networks publish some tens.
const PROXY_NETWORKS_MAX: usize = 256;

/// The resolved settings.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Config {
    /// Address of the audience.
    pub listen: SocketAddr,
    /// Address of hosts and speakers.
    pub desk: SocketAddr,
    /// Address of metrics and health.
    pub internal: SocketAddr,
    /// Folder of database, keys and recordings.
    pub data: PathBuf,
    /// Address of the speakers' media.
    pub stage_udp: SocketAddr,
    /// Address that speakers are told to send to.
    pub stage_advertise: Option<IpAddr>,
    /// Public URL of `listen`, without a slash at the end; made from the bound address where absent.
    pub public_url: Option<String>,
    /// Public URL of `desk`.
    pub desk_url: Option<String>,
    /// Certificate and key files of the operator.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// The certificate that is kept without him.
    pub acme: Option<Acme>,
    /// Processes that serve listeners beside the origin.
    pub air_workers: u32,
    /// The operator's own hold programme.
    pub hold: Option<PathBuf>,
    /// The rung of the ladder, or that it is chosen by what is measured.
    pub rung: RungChoice,
    /// How listeners are served.
    pub engine: EngineConfig,
    /// The certificate that bounds the listeners.
    pub certificate: Option<PathBuf>,
    /// The operator's own bound of the listeners.
    pub listeners_max: Option<NonZeroU32>,
    /// The operator's own bound of the bits per second.
    pub egress_max: Option<NonZeroU64>,
    /// Edges to which plain players are sent when the house is full, without a slash at the end.
    pub overflow: Vec<String>,
    /// Networks whose private addresses webhooks may call.
    pub webhooks_allow: Vec<Network>,
    /// Calls of the API that one key may make in a second.
    pub calls_max: NonZeroU32,
    /// Networks of proxies that are believed whom they ask for.
    pub trusted_proxy: Vec<Network>,
}

impl Config {
    /// The same, to be asked.
    pub fn trusted_proxies(&self) -> TrustedProxies {
        TrustedProxies::new(self.trusted_proxy.clone())
    }

    /// Whether this node speaks TLS.
    pub const fn is_sealed(&self) -> bool {
        self.tls.is_some() || self.acme.is_some()
    }

    /// Where its certificate lies, or will lie.
    pub fn certificate_files(&self) -> Option<Files> {
        if let Some(acme) = &self.acme {
            let files = acme.files(&self.data);
            return Some(Files {
                cert: files.certificate.clone(),
                key: files.certificate,
                challenge: Some(files.challenge),
            });
        }
        let (cert, key) = self.tls.clone()?;
        Some(Files {
            cert,
            key,
            challenge: None,
        })
    }

    /// Whether hosts and speakers come by the audience's port.
    pub fn shares_desk(&self) -> bool {
        self.desk == self.listen && self.listen.port() != 0
    }

    /// The port by which the world reaches the desk, where that was said.
    pub fn desk_url_port(&self) -> Option<u16> {
        let url: Uri = self.desk_url.as_deref()?.parse().ok()?;
        let usual = match url.scheme_str() {
            Some("https") => Some(443),
            Some("http") => Some(80),
            _ => None,
        };
        url.port_u16().or(usual)
    }

    /// Resolves flags and environment (already merged by clap) with the file that they name.
    pub fn resolve(args: ServeArgs) -> Result<Self, ConfigError> {
        let file = args
            .config
            .as_deref()
            .map(read)
            .transpose()?
            .unwrap_or_default();
        let address = |given: Option<SocketAddr>, filed: Option<SocketAddr>, port| {
            given
                .or(filed)
                .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], port)))
        };
        let tls = certificate_files(
            args.tls_cert.or(file.tls_cert),
            args.tls_key.or(file.tls_key),
        )?;
        let acme_directory = args.acme_directory.or(file.acme_directory);
        let acme = acme(args.acme.or(file.acme), acme_directory)?;
        if acme.is_some() && tls.is_some() {
            return Err(ConfigError::Conflict(
                "acme keeps a certificate of its own: give it, or tls_cert and tls_key",
            ));
        }
        let air_workers = args
            .air_workers
            .or(file.air_workers)
            .unwrap_or_else(one_per_core);
        let engine = args.engine.resolve(EngineArgs {
            air_backend: file.air_backend,
            air_threads: file.air_threads,
            memory_max: file.memory_max,
        });
        has_memory(engine, air_workers)?;
        let overflow = overflow(args.overflow.or(file.overflow))?;
        let webhooks_allow = args.webhooks_allow.or(file.webhooks_allow);
        Ok(Self {
            listen: address(args.listen, file.listen, 8080),
            desk: address(args.desk, file.desk, 8081),
            internal: address(args.internal, file.internal, 9464),
            data: args
                .data
                .or(file.data)
                .unwrap_or_else(|| PathBuf::from("./throng-data")),
            stage_udp: address(args.stage_udp, file.stage_udp, 0),
            stage_advertise: args.stage_advertise.or(file.stage_advertise),
            public_url: args
                .public_url
                .or(file.public_url)
                .as_deref()
                .map(without_slash),
            desk_url: args
                .desk_url
                .or(file.desk_url)
                .as_deref()
                .map(without_slash),
            tls,
            acme,
            air_workers,
            hold: args.hold.or(file.hold),
            rung: args.rung.or(file.rung).unwrap_or_default(),
            engine,
            certificate: args.certificate.or(file.certificate),
            listeners_max: args.listeners_max.or(file.listeners_max),
            egress_max: args.egress_max.or(file.egress_max),
            overflow,
            webhooks_allow: webhooks_allow.unwrap_or_default(),
            calls_max: args.calls_max.or(file.calls_max).unwrap_or(CALLS_MAX),
            trusted_proxy: proxies(args.trusted_proxy.or(file.trusted_proxy))?,
        })
    }
}

/// The files of a certificate and its key, which are nothing without each other.
fn certificate_files(
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
) -> Result<Option<(PathBuf, PathBuf)>, ConfigError> {
    match (cert, key) {
        (None, None) => Ok(None),
        (Some(cert), Some(key)) => Ok(Some((cert, key))),
        _ => Err(ConfigError::Conflict(
            "tls_cert and tls_key go together: give both or neither",
        )),
    }
}

/// The certificate to keep, and by whose grace.
fn acme(domain: Option<String>, directory: Option<String>) -> Result<Option<Acme>, ConfigError> {
    match domain {
        Some(domain) => Acme::new(&domain, directory)
            .map(Some)
            .ok_or(ConfigError::NoDomain(domain)),
        None if directory.is_some() => Err(ConfigError::Conflict(
            "acme_directory says where a certificate comes from, and acme for which domain: give both",
        )),
        None => Ok(None),
    }
}

/// Whether workers have something left for listeners; in one process the ladder alone looks at memory.
fn has_memory(engine: EngineConfig, workers: u32) -> Result<(), ConfigError> {
    let least = plane::memory_min(workers);
    match engine.memory_max.map(NonZeroU64::get) {
        Some(said) if workers > 0 && said < least => Err(ConfigError::Memory {
            said,
            workers,
            least,
        }),
        _ => Ok(()),
    }
}

fn one_per_core() -> u32 {
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    AIR_WORKERS_MAX.min(u32::try_from(cores).unwrap_or(AIR_WORKERS_MAX))
}

/// The edges to which plain players may be sent, as they are asked for.
fn overflow(given: Option<Vec<String>>) -> Result<Vec<String>, ConfigError> {
    let given = given.unwrap_or_default();
    if given.len() > EDGES_MAX {
        return Err(ConfigError::Conflict(
            "overflow names more than 16 edges, and each is asked every few seconds",
        ));
    }
    if !given.iter().all(|url| is_address(url)) {
        return Err(ConfigError::Conflict(
            "overflow takes the URLs of edges; they begin with http:// or https://",
        ));
    }
    Ok(given.iter().map(|url| without_slash(url)).collect())
}

/// The networks of proxies in front.
fn proxies(given: Option<Vec<Network>>) -> Result<Vec<Network>, ConfigError> {
    let given = given.unwrap_or_default();
    if given.len() > PROXY_NETWORKS_MAX {
        return Err(ConfigError::Conflict(
            "trusted_proxy names more than 256 networks, and each is compared with every request that a proxy makes",
        ));
    }
    Ok(given)
}

fn is_address(url: &str) -> bool {
    url.parse::<Uri>()
        .is_ok_and(|uri| uri.host().is_some() && matches!(uri.scheme_str(), Some("http" | "https")))
}

fn without_slash(url: &str) -> String {
    url.trim_end_matches('/').to_owned()
}

fn read(path: &Path) -> Result<ServeArgs, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    toml::from_str(&text).map_err(|source| ConfigError::Invalid {
        path: path.to_owned(),
        source: Box::new(source),
    })
}

#[cfg(test)]
mod tests;
