//! `throng rehearse`: brings a synthetic crowd to a listen link, shows what happens, and issues the capacity certificate.
//!
//! The crowd is `throng-rehearsal`'s; its agents are this program, started again, here or elsewhere. Here are the link taken apart, the
//! terminal, the files, the node's key, and the ears for the streams that are kept.

mod places;
mod shape;
mod sound;
mod target;
mod view;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde_json::json;
use throng_rehearsal::agent;
use throng_rehearsal::certificate::{Certificate, Run};
use throng_rehearsal::crowd;
use throng_rehearsal::crowd::Crowd;
use throng_rehearsal::crowd::place::agents_each;
use throng_rehearsal::host::{Host, Server, Usage};
use throng_rehearsal::mix::Mix;
use throng_rehearsal::orders::{Orders, Sessions, Tls};
use throng_rehearsal::page::{self, Heading};
use throng_rehearsal::verdict::Evidence;

use self::places::Places;
use self::shape::Shape;
use self::target::Target;
use self::view::View;
use super::Error;
use super::agents;
use super::http::Client;
use super::interrupt::Interrupt;
use super::listen::parse_duration;
use super::signing_key;
use crate::chance;

/// The word by which this program becomes an agent.
pub const AGENT: &str = "rehearse-agent";
/// Metrics of a node are some 10 KB.
const METRICS_MAX_BYTES: u64 = 1 << 20;

/// Bring a synthetic crowd to a space: the whole way from the page to the sound, checked by every listener.
///
/// The crowd arrives, the house stays full for --stay, then it leaves. Rehearse from another machine where you can: on
/// one machine the crowd takes CPU from the server. The last line of --json is the summary. See docs/rehearsal.md.
#[derive(Args, Clone, Debug)]
pub struct RehearseArgs {
    /// The listen link, {listen}/s/{slug}; or the address of any stream or HLS playlist, which is then asked for alone.
    #[arg(value_name = "LISTEN_URL")]
    pub url: String,
    /// How many listeners.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub listeners: u32,
    /// How they arrive: vertical (all at once), ramp:60s, or curve:FILE.csv with lines `seconds,people`.
    #[arg(long, value_name = "SHAPE", default_value = "vertical")]
    pub arrive: Shape,
    /// How long the house stays full after the last was due.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "60s")]
    pub stay: Duration,
    /// How they leave: vertical, ramp:60s, or curve:FILE.csv.
    #[arg(long, value_name = "SHAPE", default_value = "vertical")]
    pub leave: Shape,
    /// Over TLS, who takes up an earlier session: whoever comes back (returning, as browsers do), nobody (new), or everybody
    /// from when the first tickets have come (resumed).
    #[arg(long, value_name = "WHO", default_value = "returning")]
    pub tls_sessions: TlsSessions,
    /// Take any certificate. Else the leader looks at it once, as any player does; the crowd itself never does.
    #[arg(long)]
    pub insecure: bool,
    /// Which ways they listen: progressive, hls or plain (live.webm and live.aac), or shares such as
    /// progressive=80,hls=15,plain=5.
    #[arg(long, value_name = "MIX", default_value = "progressive")]
    pub via: Mix,
    /// Badly behaved clients besides: a sixth each never speaks, sends half a request, sends a byte per second, hardly
    /// reads, sends garbage, or hangs up and comes again at once.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub misbehaving: u32,
    /// Processes of the crowd at each place; as many as are of use when left away.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub agents: Option<u32>,
    /// Machines that lend agents (`throng agents`), in place of this one; `here` among them is this one besides.
    #[arg(long, value_name = "HOST:PORT,...", value_delimiter = ',')]
    pub agents_at: Vec<String>,
    /// The file with their key; else it is in the environment variable `THRONG_AGENTS_KEY`.
    #[arg(long, value_name = "FILE", requires = "agents_at")]
    pub agents_key: Option<PathBuf>,
    /// Run the agents of this machine inside these network namespaces (`ip netns`), in turn; takes root.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub netns: Vec<String>,
    /// The internal address of a server on another machine, as a URL: its metrics tell CPU and memory.
    #[arg(long, value_name = "URL")]
    pub internal: Option<String>,
    /// Seed of all chance; drawn when left away.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Write the signed capacity certificate.
    #[arg(long, value_name = "FILE.json")]
    pub certificate: Option<PathBuf>,
    /// The node's data folder, whose key in keys/ signs the certificate; made where there is none.
    #[arg(long, value_name = "DIR", default_value = "./throng-data")]
    pub data: PathBuf,
    /// Write a report with plots as one HTML page.
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
    /// Print a line of JSON each second, and the summary as the last one.
    #[arg(long)]
    pub json: bool,
}

/// Who takes up an earlier TLS session.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum TlsSessions {
    /// Nobody.
    New,
    /// Everybody.
    Resumed,
    /// Whoever was here before.
    Returning,
}

impl From<TlsSessions> for Sessions {
    fn from(written: TlsSessions) -> Self {
        match written {
            TlsSessions::New => Self::New,
            TlsSessions::Resumed => Self::Resumed,
            TlsSessions::Returning => Self::Returning,
        }
    }
}

/// Runs the crowd and writes what was asked for.
pub fn run(
    args: &RehearseArgs,
    interrupt: &Interrupt,
    output: &mut dyn Write,
) -> Result<(), Error> {
    let target = Target::find(&args.url, args.insecure)?;
    let server = Server::at(target.address);
    let kept = tempfile::tempdir().map_err(Error::Crowd)?;
    let places = Places::find(args, target.address)?;
    let crowd = crowd(args, &target, &places, kept.path())?;
    // Looked up before the crowd: afterwards the server may be gone.
    let identity = server.as_ref().map(Server::identity).unwrap_or_default();
    let mut view = View::new(args.json, &crowd.orders, output);
    let metrics = args.internal.as_deref().map(Metrics::of);
    let look = || match (&server, &metrics) {
        (Some(server), _) => Some(server.usage()),
        (None, metrics) => metrics.as_ref()?.read(),
    };
    let evidence = crowd::run(&crowd, &look, &|| interrupt.is_raised(), &mut |second| {
        view.second(second);
    });
    view.finish()?;
    let evidence = evidence.map_err(Error::Crowd)?;
    let samples = sound::listen_to(kept.path(), target.codec);
    let issued_at = Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%S%.3fZ")
        .to_string();
    if let Some(path) = &args.report {
        let heading = heading(args, &issued_at);
        write_file(path, &page::html(&heading, &evidence))?;
    }
    if let Some(path) = &args.certificate {
        let certificate = Certificate::of(
            &evidence,
            what_was_run(args, &target, &places, server.is_some()),
            server.map(|_| Host::here()).unwrap_or_default(),
            identity,
            issued_at,
        );
        let secret = signing_key::of_node(&args.data)?;
        write_file(path, &certificate.sign(&secret))?;
    }
    conclude(args, &evidence, &samples, output)
}

/// The metrics of a server elsewhere.
struct Metrics {
    client: Client,
    url: String,
}

impl Metrics {
    fn of(internal: &str) -> Self {
        Self {
            client: Client::towards(internal),
            url: format!("{}/metrics", internal.trim_end_matches('/')),
        }
    }

    /// What they tell; a second in which they do not answer has no figures.
    fn read(&self) -> Option<Usage> {
        let answer = self.client.get(&self.url).ok()?;
        Usage::from_metrics(&answer.text(METRICS_MAX_BYTES).ok()?)
    }
}

/// Runs one agent of a crowd; orders come on standard input.
pub fn run_agent() -> io::Result<()> {
    agent::run(io::stdin().lock(), &mut io::stdout().lock())
}

fn crowd(
    args: &RehearseArgs,
    target: &Target,
    places: &Places,
    keep: &Path,
) -> Result<Crowd, Error> {
    let connections = args.listeners.saturating_add(args.misbehaving);
    let agents_each = args
        .agents
        .unwrap_or_else(|| agents_each(connections, &places.rooms));
    let microseconds = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX >> 2);
    Ok(Crowd {
        program: agents::agent_program()?,
        orders: Orders {
            address: target.address,
            funnel: target.funnel.clone(),
            listeners: args.listeners,
            agents: 1,
            agent: 0,
            misbehaving: 0,
            arrive: args.arrive.curve.clone(),
            stay_us: microseconds(args.stay),
            leave: args.leave.curve.clone(),
            mix: args.via.clone(),
            tls: target.tls_name.clone().map(|name| Tls {
                name,
                sessions: args.tls_sessions.into(),
            }),
            sources: Vec::new(),
            netns: None,
            begin_us: 0,
            seed: args.seed.unwrap_or_else(chance::number),
            keep: false,
        },
        places: places.places.clone(),
        agents_each,
        misbehaving: args.misbehaving,
        keep: target.codec.map(|_| keep.to_owned()),
    })
}

fn what_was_run(
    args: &RehearseArgs,
    target: &Target,
    places: &Places,
    server_is_here: bool,
) -> Run {
    Run {
        target: target.address.to_string(),
        same_machine: server_is_here && places.any_here(),
        listeners: args.listeners.into(),
        arrive: args.arrive.to_string(),
        stay_seconds: args.stay.as_secs(),
        leave: args.leave.to_string(),
        via: args.via.to_string(),
        misbehaving: args.misbehaving.into(),
        tls: target.tls_name.is_some(),
        places: places.places.iter().map(ToString::to_string).collect(),
    }
}

fn heading(args: &RehearseArgs, at: &str) -> Heading {
    let host = Host::here();
    Heading {
        target: args.url.clone(),
        at: at.to_owned(),
        crowd: format!(
            "{} listeners ({}): they come {}, all stay for {}s, they leave {}",
            args.listeners,
            args.via,
            args.arrive.in_words(),
            args.stay.as_secs(),
            args.leave.in_words()
        ),
        machine: format!("{}, {} cores, Linux {}", host.cpu, host.cores, host.kernel),
    }
}

/// The last line: the summary, with what was heard in the streams that were kept.
fn conclude(
    args: &RehearseArgs,
    evidence: &Evidence,
    samples: &[sound::Heard],
    output: &mut dyn Write,
) -> Result<(), Error> {
    let summary = evidence.summary();
    if args.json {
        let mut line = serde_json::to_value(&summary).map_err(io::Error::from)?;
        line["sample"] = json!(samples);
        writeln!(output, "{line}")?;
    } else {
        view::write_words((evidence, &summary), samples, output)?;
        for (what, path) in [("certificate", &args.certificate), ("report", &args.report)] {
            if let Some(path) = path {
                writeln!(output, "{what:<16}{}", path.display())?;
            }
        }
    }
    output.flush()?;
    Ok(())
}

fn write_file(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(|source| Error::File {
        path: path.to_owned(),
        source,
    })
}
