//! `throng speak`: takes a seat on the stage over WebRTC, says what a file says at real time, and hears the others.
//!
//! A microphone does not wait: while a connection is lost and taken up again, time and file go on.

mod talk;

use std::io::Write;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::ProgressBar;
use serde::Serialize;
use throng_core::timeline::{FRAME_SAMPLES, SAMPLE_RATE_HZ};
use throng_media::codec::{OpusEncode, OpusEncoder, OpusSettings, opus_encoder};
use throng_media::jitter::{JitterBuffer, PacketKind, SpeakerPacket};
use throng_media::{Frame, SILENCE, WideFrame};
use throng_stage::client::{ClientKind, LinkReport};

use self::talk::Talk;
use super::Error;
use super::http::Client;
use super::interrupt::Interrupt;
use super::link::SpeakerLink;
use super::narrow::Narrow;
use super::session::{Door, Session};
use super::wav_file::WavFile;

/// Join the stage as a speaker and say what a file says.
#[derive(Args, Clone, Debug)]
pub struct SpeakArgs {
    /// The speaker link, {desk}/s/{slug}/speak#key=KEY; quote it, as # begins a comment in a shell.
    #[arg(value_name = "SPEAKER_URL")]
    pub url: String,
    /// What to say: WAV, FLAC, Ogg (Vorbis, Opus) or MP3; `-` reads WAV from standard input. Without it we only listen.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Say it again and again.
    #[arg(long = "loop", requires = "file")]
    pub again: bool,
    /// Keep what is heard from the stage as a WAV file.
    #[arg(long, value_name = "FILE.wav")]
    pub out: Option<PathBuf>,
    /// Talk to the stage off air, as a host by the host's link: to `all`, or to one seat by its number. Listeners never hear
    /// it.
    #[arg(long, value_name = "SEAT", value_parser = parse_ears)]
    pub talkback: Option<String>,
    /// Print the report as JSON.
    #[arg(long)]
    pub json: bool,
}

/// What a speaker reports at the end.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Report {
    /// From the start of the connect until packets could flow.
    pub connected_ms: u64,
    /// Sound that was sent.
    pub spoke_seconds: f64,
    /// Time on the stage, in which the others could be heard.
    pub heard_seconds: f64,
    /// Packets of the others that came.
    pub heard_packets: u64,
    /// Packets of the others that were missing at their turn.
    pub lost_packets: u64,
    /// How often the connection was lost and taken up again.
    pub reconnects: u32,
}

/// Speaks as the arguments say, and prints a report at the end.
pub fn run(args: &SpeakArgs, interrupt: &Interrupt, output: &mut dyn Write) -> Result<(), Error> {
    let mut talk = Talk::open(args.file.as_deref(), args.again)?;
    let mut file = WavFile::create(args.out.as_deref())?;
    let spoken = speak(args, interrupt, &mut talk, &mut |frame| file.push(frame));
    file.finish()?;
    let report = spoken?;
    if args.json {
        writeln!(
            output,
            "{}",
            serde_json::to_string(&report).map_err(std::io::Error::from)?
        )?;
    } else {
        let Report {
            spoke_seconds,
            heard_seconds,
            reconnects,
            ..
        } = report;
        writeln!(
            output,
            "spoke {spoke_seconds:.1} s, heard {heard_seconds:.1} s, {reconnects} reconnections"
        )?;
    }
    Ok(output.flush()?)
}

fn parse_ears(text: &str) -> Result<String, String> {
    if text == "all" || text.parse::<u32>().is_ok() {
        Ok(text.to_owned())
    } else {
        Err("say all, or the number of a seat".to_owned())
    }
}

/// Takes what is heard.
pub type Keep<'a> = dyn FnMut(&Frame) -> Result<(), Error> + 'a;

/// A speaker on the way through their talk.
struct Speaker<'a> {
    encoder: OpusEncoder,
    /// Whether two channels are said and heard.
    is_stereo: bool,
    narrow: Narrow,
    is_lean: bool,
    /// Until then nothing is sent.
    hushed: Instant,
    /// What a lean line's next packet waits for: less than three frames.
    waiting: Vec<f32>,
    ears: JitterBuffer,
    talk: &'a mut Talk,
    keep: &'a mut Keep<'a>,
    report: Report,
    /// Frames that were sent, and that were heard.
    spoken: u64,
    heard: u64,
    /// Frames of 20 ms since we first came on stage.
    frames: u64,
    began: Instant,
}

/// Speaks until the talk is over, or without one until Ctrl-C.
fn speak<'a>(
    args: &SpeakArgs,
    interrupt: &Interrupt,
    talk: &'a mut Talk,
    keep: &'a mut Keep<'a>,
) -> Result<Report, Error> {
    let (link, door) = match &args.talkback {
        Some(ears) => (
            SpeakerLink::parse_host(&args.url)?,
            format!("talkback?to={ears}"),
        ),
        None => (SpeakerLink::parse(&args.url)?, "whip".to_owned()),
    };
    let door = Door {
        client: Client::towards(&link.space_url),
        url: format!("{}/{door}", link.space_url),
        bearer: Some(link.key),
        kind: ClientKind::Speaker,
    };
    let bar = if args.json {
        ProgressBar::hidden()
    } else {
        ProgressBar::new_spinner()
    };
    bar.set_message("joining the stage");
    let asked = Instant::now();
    let mut session = door.enter()?;
    let is_stereo = session.is_stereo && talk.channels().is_stereo();
    let mut speaker = Speaker {
        encoder: encoder(is_stereo, false),
        is_stereo,
        narrow: Narrow::default(),
        is_lean: false,
        hushed: Instant::now(),
        waiting: Vec::new(),
        ears: JitterBuffer::new(),
        talk,
        keep,
        report: Report {
            connected_ms: whole_ms(asked.elapsed()),
            ..Report::default()
        },
        spoken: 0,
        heard: 0,
        frames: 0,
        began: Instant::now(),
    };
    while !interrupt.is_raised() && speaker.tick(&mut session)? {
        if session.is_lost() {
            match speaker.come_back(session, interrupt)? {
                Some(resumed) => session = resumed,
                None => return Ok(speaker.into_report()),
            }
        }
        bar.set_message(format!(
            "on stage for {} s",
            speaker.frames * FRAME_SAMPLES / SAMPLE_RATE_HZ
        ));
        bar.tick();
    }
    // What was said last is on its way: it may still be asked for again.
    thread::sleep(LAST_WORDS);
    session.close();
    bar.finish_and_clear();
    Ok(speaker.into_report())
}

impl Speaker<'_> {
    /// One frame: say it, hear one, wait for the next. False when the talk is over.
    fn tick(&mut self, session: &mut Session) -> Result<bool, Error> {
        let Some(frame) = self.talk.next_frame()? else {
            return Ok(false);
        };
        self.pause_if_late()?;
        self.suit_the_link(session);
        self.say(session, &frame)?;
        while let Some(heard) = session.line.try_recv() {
            let packet = SpeakerPacket {
                sequence: heard.sequence,
                timestamp: heard.timestamp,
                kind: PacketKind::Opus,
                bytes: heard.payload,
            };
            self.ears
                .push(heard.arrived.saturating_duration_since(self.began), &packet);
        }
        let heard = self.ears.pull(frame_time(self.frames));
        (self.keep)(&heard)?;
        self.heard += 1;
        self.frames += 1;
        thread::sleep(frame_time(self.frames).saturating_sub(self.began.elapsed()));
        Ok(true)
    }

    /// Sends a frame; on a lean line, three together once the third is there.
    fn say(&mut self, session: &mut Session, frame: &WideFrame) -> Result<(), Error> {
        if Instant::now() < self.hushed {
            return Ok(());
        }
        let (packet, frames) = if self.is_lean {
            self.waiting.extend_from_slice(&frame.mid);
            let Ok(three) = self.waiting.as_slice().try_into() else {
                return Ok(());
            };
            let packet = self.encoder.encode_long(three)?;
            self.waiting.clear();
            (packet, 3)
        } else {
            let side = frame.side.as_deref().unwrap_or(&SILENCE);
            (self.encoder.encode_wide(&frame.mid, side)?, 1)
        };
        #[expect(
            clippy::cast_possible_truncation,
            reason = "RTP timestamps are the low 32 bits"
        )]
        let timestamp = (self.frames + 1 - frames).wrapping_mul(FRAME_SAMPLES) as u32;
        // A full outbox is a loss like any on the network.
        if session.line.send(&packet, timestamp) {
            self.spoken += frames;
        }
        Ok(())
    }

    /// Sends less where the link does not bear more.
    fn suit_the_link(&mut self, session: &mut Session) {
        let Some(LinkReport { lost, round_trip }) = session.line.news() else {
            return;
        };
        let is_lean = self.narrow.report(Instant::now(), lost, round_trip);
        if is_lean != self.is_lean {
            self.is_lean = is_lean;
            if is_lean {
                self.hushed = Instant::now() + self.narrow.queue();
            }
            self.waiting.clear();
            self.encoder = encoder(self.is_stereo, is_lean);
        }
    }

    /// A pipe that brought nothing for a while, or a machine that slept: that was a pause, not a burst to be sent now.
    fn pause_if_late(&mut self) -> Result<(), Error> {
        if self.began.elapsed().saturating_sub(frame_time(self.frames)) < LATE_MAX {
            return Ok(());
        }
        while frame_time(self.frames) < self.began.elapsed() {
            (self.keep)(&SILENCE)?;
            self.ears.skip(1);
            self.frames += 1;
        }
        Ok(())
    }

    /// Takes the seat again after the connection was lost; none when the space is over.
    fn come_back(
        &mut self,
        lost: Session,
        interrupt: &Interrupt,
    ) -> Result<Option<Session>, Error> {
        let resumed = lost.resume(|| interrupt.is_raised())?;
        if resumed.is_some() {
            self.report.reconnects += 1;
            self.miss_what_passed()?;
        }
        Ok(resumed)
    }

    /// Lets the frames pass that were due while nobody could hear them.
    fn miss_what_passed(&mut self) -> Result<(), Error> {
        while frame_time(self.frames) < self.began.elapsed() && self.talk.next_frame()?.is_some() {
            (self.keep)(&SILENCE)?;
            self.frames += 1;
        }
        self.count_packets();
        self.ears = JitterBuffer::new();
        Ok(())
    }

    fn count_packets(&mut self) {
        let counters = self.ears.counters();
        self.report.heard_packets += counters.received;
        self.report.lost_packets += counters.lost;
    }

    fn into_report(mut self) -> Report {
        self.count_packets();
        let (spoke_seconds, heard_seconds) = (seconds(self.spoken), seconds(self.heard));
        Report {
            spoke_seconds,
            heard_seconds,
            ..self.report
        }
    }
}

/// The encoder for a stage that hears two channels or one, on a line that is lean or not.
fn encoder(is_stereo: bool, is_lean: bool) -> OpusEncoder {
    opus_encoder(match (is_stereo, is_lean) {
        (_, true) => OpusSettings::lean(),
        (false, false) => OpusSettings::conversation(),
        (true, false) => OpusSettings::wide_conversation(),
    })
}

/// How long so many frames last; exact to the millisecond.
fn seconds(frames: u64) -> f64 {
    Duration::from_millis(frames * FRAME_MS).as_secs_f64()
}

/// When a frame is due, counted from the first.
fn frame_time(frame: u64) -> Duration {
    Duration::from_millis(frame * FRAME_MS)
}

fn whole_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

const FRAME_MS: u64 = 1_000 * FRAME_SAMPLES / SAMPLE_RATE_HZ;
/// As much lateness as a jitter buffer takes; more is a pause.
const LATE_MAX: Duration = Duration::from_millis(200);
/// A round trip and the jitter buffer at the other end.
const LAST_WORDS: Duration = Duration::from_millis(300);

#[cfg(test)]
mod tests;
