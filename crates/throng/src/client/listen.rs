//! `throng listen`: joins a space as one listener, plays in real time as a player would, and reports what was heard.
//!
//! A source ([`progressive`], [`hls`]) delivers packets on its own thread; the [`player`] gives each its moment on the
//! media clock ([`playout`]), decodes it then, and notes every hole. Sound is not sent to a loudspeaker.

pub mod cmaf;
pub mod decoder;
pub mod hls;
pub mod player;
pub mod playlist;
pub mod playout;
pub mod progressive;
pub mod queueing;
pub mod source;
pub mod state;
mod turn;
pub mod whep;

use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use jiff::SignedDuration;
use serde::Serialize;
use throng_core::rendition::{Codec, Rendition};
use throng_core::timeline::SAMPLE_RATE_HZ;

use self::player::{Going, Heard, Keep, Player};
use self::source::Arrivals;
use self::state::SpaceState;
use super::Error;
use super::http::Client;
use super::interrupt::Interrupt;
use super::link::ListenLink;
use super::wav_file::WavFile;

/// Join a space as one listener and report what was heard: delay, gaps, first sound.
#[derive(Args, Clone, Debug)]
pub struct ListenArgs {
    /// The listen link, {listen}/s/{slug}; `?rendition=o24` asks for another rendition than o48.
    #[arg(value_name = "LISTEN_URL")]
    pub url: String,
    /// How to listen.
    #[arg(long, value_enum, default_value_t = Via::Progressive)]
    pub via: Via,
    /// How long to listen from the first sound on, such as 30s or 5m, and to wait where the house is full; without it
    /// until the space ends or Ctrl-C.
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    pub duration: Option<Duration>,
    /// Keep what was heard, silence in gaps included, as a WAV file.
    #[arg(long, value_name = "FILE.wav")]
    pub out: Option<PathBuf>,
    /// Print the report as JSON.
    #[arg(long)]
    pub json: bool,
}

/// A way to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// One endless answer, live.mp4: sound at once, a cushion of some seconds.
    Progressive,
    /// Low-latency HLS; the replay once the space has ended.
    Hls,
    /// WebRTC, the programme under a second behind; places are limited.
    Whep,
}

impl Via {
    /// How long the first sound waits: what comes over TCP in bursts brings its own cushion; single packets over UDP
    /// need one, against jitter and for what comes again after a loss.
    fn cushion(self) -> Duration {
        match self {
            Self::Hls | Self::Progressive => Duration::ZERO,
            Self::Whep => Duration::from_millis(80),
        }
    }
}

/// What a listener reports.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// How it listened.
    pub via: Via,
    /// From the start of the connect to the first answer (for HLS, the multivariant playlist).
    pub connected_ms: Option<u64>,
    /// From the start of the connect to the first decoded sound.
    pub first_sound_ms: Option<u64>,
    /// How much of that was spent in the queue of a full house; absent where there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queued_ms: Option<u64>,
    /// Decoded sound that was played.
    pub heard_seconds: f64,
    /// The holes.
    pub gaps: Vec<ReportedGap>,
    /// What the mixer puts out less what is heard, at the end; null for a replay.
    pub behind_playhead_ms: Option<f64>,
    /// Bytes of sound, as they came over HTTP.
    pub bytes: u64,
    /// The rendition.
    pub rendition: &'static str,
}

/// A hole in what was heard.
#[derive(Clone, Debug, Serialize)]
pub struct ReportedGap {
    /// How long after the first sound it began.
    pub at_seconds: f64,
    /// How long it lasted.
    pub missing_ms: f64,
}

/// How it went, and how the stream finished.
type Listened = (Report, Result<(), Error>);

/// Listens as the arguments say, and prints the report.
pub fn run(args: &ListenArgs, interrupt: &Interrupt, output: &mut dyn Write) -> Result<(), Error> {
    let mut file = WavFile::create(args.out.as_deref())?;
    let (report, finished) = listen(args, interrupt, &mut |sound| file.push(sound))?;
    file.finish()?;
    if args.json {
        writeln!(
            output,
            "{}",
            serde_json::to_string(&report).map_err(std::io::Error::from)?
        )?;
    } else {
        writeln!(output, "{}", report.in_words())?;
    }
    output.flush()?;
    finished
}

fn listen(
    args: &ListenArgs,
    interrupt: &Interrupt,
    keep: &mut Keep<'_>,
) -> Result<Listened, Error> {
    let link = ListenLink::parse(&args.url)?;
    let rendition = link.rendition.unwrap_or(Rendition::O48);
    if args.via == Via::Whep && rendition.codec() != Codec::Opus {
        let reason = "WebRTC carries Opus: leave the rendition away";
        return Err(Error::Usage(format!("{rendition} is AAC; {reason}")));
    }
    let client = Client::towards(&link.space_url);
    let arrivals = join(args.via, &client, &link.space_url, rendition)?;
    let bar = if args.json {
        ProgressBar::hidden()
    } else {
        ProgressBar::new_spinner()
    };
    let mut told = None;
    let mut progress = |going: Going<'_>| {
        match going {
            Going::Heard { samples, gaps } => {
                bar.set_message(format!("{} s heard, {gaps} gaps", samples / SAMPLE_RATE_HZ));
            }
            Going::Queued(standing) if told.as_ref() != Some(standing) => {
                let line = format!("The house is full: {standing}.");
                // Where nobody looks at a terminal, too; who cannot be told goes on.
                let _ = bar.suspend(|| args.json || writeln!(std::io::stderr(), "{line}").is_ok());
                told = Some(standing.clone());
            }
            Going::Queued(_) => {}
        }
        bar.tick();
    };
    let heard = Player::new(rendition.codec(), args.via.cushion(), keep).play(
        &arrivals,
        args.duration,
        interrupt,
        &mut progress,
    )?;
    bar.finish_and_clear();
    if heard.samples == 0 {
        heard.finished?;
        return Err(Error::NoSound {
            seconds: arrivals.since.elapsed().as_secs(),
        });
    }
    let state = SpaceState::fetch(&client, &link.space_url)
        .ok()
        .filter(|state| !state.is_over());
    let listened = Report::of(args.via, rendition, heard, arrivals.bytes(), state.as_ref());
    if args.via == Via::Whep {
        arrivals.leave();
    }
    Ok(listened)
}

fn join(
    via: Via,
    client: &Client,
    space_url: &str,
    rendition: Rendition,
) -> Result<Arrivals, Error> {
    let (client, space_url) = (client.clone(), space_url.to_owned());
    // Random, but no secret: it only tells one listener from another.
    let listener = format!("{:016x}", RandomState::new().hash_one(std::process::id()));
    match via {
        Via::Progressive => {
            let source = progressive::Progressive {
                client,
                space_url,
                rendition,
                listener,
            };
            source::start(move |delivery| source.run(delivery))
        }
        Via::Hls => {
            let source = hls::Hls {
                client,
                space_url,
                rendition,
                listener,
            };
            source::start(move |delivery| source.run(delivery))
        }
        Via::Whep => {
            let source = whep::Whep { client, space_url };
            source::start(move |delivery| source.run(delivery))
        }
    }
}

impl Report {
    fn of(
        via: Via,
        rendition: Rendition,
        heard: Heard,
        bytes: u64,
        state: Option<&SpaceState>,
    ) -> Listened {
        let whole_ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let gaps = heard.gaps.iter().map(|gap| ReportedGap {
            at_seconds: thousandths(gap.at.as_secs_f64()),
            missing_ms: thousandths(gap.missing.as_secs_f64() * 1_000.0),
        });
        let behind = heard.last.and_then(|(sample, at)| match via {
            Via::Hls | Via::Progressive => state?.behind_playhead_ms(sample, at),
            Via::Whep => state?.behind_playhead_ms_rtp(sample, at),
        });
        #[expect(
            clippy::cast_precision_loss,
            reason = "2^53 samples are some 5,900 years"
        )]
        let heard_seconds = heard.samples as f64 / SAMPLE_RATE_HZ as f64;
        let report = Self {
            via,
            connected_ms: heard.connected.map(whole_ms),
            first_sound_ms: heard.first_sound.map(whole_ms),
            queued_ms: heard.queued.map(whole_ms),
            heard_seconds: thousandths(heard_seconds),
            gaps: gaps.collect(),
            behind_playhead_ms: behind.map(f64::round),
            bytes,
            rendition: rendition.name(),
        };
        (report, heard.finished)
    }

    fn in_words(&self) -> String {
        let behind = match self.behind_playhead_ms {
            Some(behind_ms) => format!("{:.1} s behind the playhead", behind_ms / 1_000.0),
            None => "not live".to_owned(),
        };
        let gaps = match self.gaps.len() {
            0 => "no gaps".to_owned(),
            1 => "one gap".to_owned(),
            many => format!("{many} gaps"),
        };
        let holes = self.gaps.iter().map(|gap| {
            format!(
                "\n  {:.0} ms missing at {:.1} s",
                gap.missing_ms, gap.at_seconds
            )
        });
        format!(
            "heard {:.1} s of {} ({} KB): first sound after {} ms, {behind}, {gaps}{}",
            self.heard_seconds,
            self.rendition,
            self.bytes / 1_000,
            self.first_sound_ms.unwrap_or_default(),
            holes.collect::<Vec<_>>().concat(),
        )
    }
}

fn thousandths(number: f64) -> f64 {
    (number * 1_000.0).round() / 1_000.0
}

pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let parsed: Option<SignedDuration> = text.parse().ok();
    let duration = parsed
        .and_then(|duration| Duration::try_from(duration).ok())
        .filter(|length| !length.is_zero());
    duration
        .filter(|length| *length <= DURATION_MAX)
        .ok_or_else(|| "not a time as in 30s, 5m or 1h30m".to_owned())
}

/// A year: sums of times below it cannot overflow.
const DURATION_MAX: Duration = Duration::from_hours(365 * 24);

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;
