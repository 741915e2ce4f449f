//! `throng space …`: the life of a space, from the command line, over the desk's API.

mod audit;
mod create;
mod edit;
mod events;
mod programme;
mod recording;
mod roles;
mod shown;
mod sound;
mod stage;

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Value, json};

pub use self::audit::Audit;
pub use self::create::Create;
pub use self::edit::Edit;
pub use self::programme::{Hold, Message, ProgrammeDelay};
pub use self::recording::{Chapter, RecordingCommand};
pub use self::roles::{Cohost, OnOff, RolesCommand};
pub use self::sound::{Sound, SoundArgs, Switch, Track};
pub use self::stage::{Gain, Link, Seat};
use super::Error;
use super::http::{Answer, Client};

/// Make spaces and lead them through their life.
#[derive(Args, Clone, Debug)]
pub struct SpaceArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: SpaceCommand,
    /// Which desk, and with which key.
    #[command(flatten)]
    pub desk: DeskArgs,
}

/// Where the desk is, how we prove that we may, and how the answer is printed.
#[derive(Args, Clone, Debug)]
pub struct DeskArgs {
    /// The desk of the server (`throng serve --desk`).
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:8081",
        global = true
    )]
    pub server: String,
    /// The data folder of the server, for its operator.key. Without it the key is taken from the environment
    /// variable `THRONG_OPERATOR_KEY`, or else from ./throng-data.
    #[arg(long, value_name = "DIR", global = true)]
    pub data: Option<PathBuf>,
    /// Print the server's answer as JSON.
    #[arg(long, global = true)]
    pub json: bool,
}

impl DeskArgs {
    /// Asks the desk, as its operator.
    pub(super) fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Error> {
        let (url, key) = self.door(path)?;
        Client::towards(&url).call(method, &url, &key, body)
    }

    /// Follows an endless answer of the desk, from after what was read last.
    fn follow(&self, path: &str, last: Option<&str>) -> Result<impl Read + use<>, Error> {
        let (url, key) = self.door(path)?;
        let answer = Client::towards(&url).follow(&url, &key, last)?;
        Ok(answer.stream())
    }

    /// Fetches a file from the desk, as its operator.
    fn fetch(&self, path: &str) -> Result<Answer, Error> {
        let (url, key) = self.door(path)?;
        Client::towards(&url).fetch(&url, &key)
    }

    fn door(&self, path: &str) -> Result<(String, String), Error> {
        let key = operator_key(self.data.as_deref(), std::env::var(KEY_VARIABLE).ok())?;
        Ok((format!("{}{path}", self.server.trim_end_matches('/')), key))
    }

    /// Sends a file to the desk, as its operator.
    fn upload(&self, path: &str, file: &Path) -> Result<Value, Error> {
        let (url, key) = self.door(path)?;
        let bytes = fs::read(file).map_err(|source| Error::File {
            path: file.to_owned(),
            source,
        })?;
        Client::towards(&url).put(&url, &key, &bytes)
    }
}

/// A step in the life of a space.
#[derive(Clone, Debug, Subcommand)]
pub enum SpaceCommand {
    /// Announce a space; prints its links. Whoever opens the listen link hears the hold programme at once.
    Create(Create),
    /// List all spaces of the server.
    List,
    /// Show one space.
    Show(Slug),
    /// Open the doors: from now on the programme is mixed live and archived.
    OpenDoors(Slug),
    /// Go live: cut from the hold programme to the stage. Here the recording begins.
    GoLive(Slug),
    /// End the space; the same link plays the replay.
    End(Slug),
    /// Move the scheduled time and tell listeners why.
    Delay {
        /// The space.
        #[command(flatten)]
        space: Slug,
        /// The new time, such as 2026-12-01T20:30:00Z.
        #[arg(long, value_name = "TIME", value_parser = parse_time)]
        until: Timestamp,
        /// The reason that listeners see.
        #[arg(long)]
        reason: String,
    },
    /// Call a space off before it has gone live.
    Cancel(Slug),
    /// Delete a space with its recording, for ever.
    Delete(Slug),
    /// Mute a speaker: nobody hears them, whatever they do, until they are unmuted.
    Mute(Seat),
    /// Let a speaker be heard again whom the host has muted.
    Unmute(Seat),
    /// Make a speaker louder or softer for everybody, such as -6 or 3; 0 is as they come.
    Gain(Gain),
    /// Put whoever sits on a seat off the stage. Their link stays good.
    Remove(Seat),
    /// Take the link of a seat back: it opens nothing any more, and whoever sits there by it has to leave.
    RevokeLink(Seat),
    /// Make a new link for a seat; the old one opens nothing any more, and whoever sits there by it has to leave.
    RenewLink(Link),
    /// Tell listeners another title, or say how many of them you expect.
    Edit(Edit),
    /// Chapters, and how long the recording is kept.
    #[command(flatten)]
    Recording(RecordingCommand),
    /// Print what happens in a space, as it happens; with --json, a line of JSON for each event.
    Events(Slug),
    /// Tell what was done to a space with the keys of its host and operator: when, with which key, and what came of it.
    Audit(Audit),
    /// Lock the stage: nobody new takes a seat. Whoever sits there can come back.
    Lock(Slug),
    /// Unlock the stage: everybody with a link may take their seat.
    Unlock(Slug),
    /// Who is where, and who runs the space.
    #[command(flatten)]
    Roles(RolesCommand),
    /// Change whether voices are levelled, and whether each speaker's own sound is kept.
    Sound(Sound),
    /// Fetch what one speaker said, from go-live on, in step with the recording.
    Track(Track),
    /// Let listeners hear the stage some seconds later, so that what is said can be taken back.
    SetDelay(ProgrammeDelay),
    /// Tell all who listen something, in plain text of up to 280 characters; without a text, nothing any more.
    Message(Message),
    /// Play a sound file of yours to who waits, instead of the server's hold music; or the server's again.
    Hold(Hold),
    /// Take back what was said and listeners have not heard yet. It cannot be undone.
    Dump(Slug),
}

/// The space that is meant.
#[derive(Args, Clone, Debug)]
pub struct Slug {
    /// The last word of the listen link: {listen}/s/SLUG.
    #[arg(value_parser = parse_slug)]
    pub slug: String,
}

/// Does what the command says and prints the answer.
pub fn run(args: &SpaceArgs, output: &mut dyn Write) -> Result<(), Error> {
    if let SpaceCommand::Events(space) = &args.command {
        return events::run(&args.desk, &space.slug, output);
    }
    let (method, path, body) = request(&args.command);
    let path = format!("/api/spaces{path}");
    let answer = match &args.command {
        SpaceCommand::Track(track) => track.keep(args.desk.fetch(&path)?)?,
        SpaceCommand::Hold(Hold {
            file: Some(file), ..
        }) => args.desk.upload(&path, file)?,
        command => {
            let answer = args.desk.call(method, &path, body.as_ref())?;
            match command {
                SpaceCommand::Recording(command) => command.told(answer),
                _ => answer,
            }
        }
    };
    if args.desk.json {
        let answer = if answer.is_null() { json!({}) } else { answer };
        writeln!(output, "{answer}")?;
    } else {
        write!(output, "{}", in_words(&args.command, &answer))?;
    }
    Ok(output.flush()?)
}

/// Method, path under `/api/spaces` and body of a command.
fn request(command: &SpaceCommand) -> (&'static str, String, Option<Value>) {
    let step = |slug: &Slug, step: &str| ("POST", format!("/{}/{step}", slug.slug), None);
    let lock = |slug: &Slug, locked: bool| {
        let change = json!({ "stage_locked": locked });
        ("PATCH", format!("/{}", slug.slug), Some(change))
    };
    match command {
        SpaceCommand::Create(create) => create.request(),
        SpaceCommand::List => ("GET", String::new(), None),
        SpaceCommand::Show(slug) => ("GET", format!("/{}", slug.slug), None),
        SpaceCommand::OpenDoors(slug) => step(slug, "open-doors"),
        SpaceCommand::GoLive(slug) => step(slug, "go-live"),
        SpaceCommand::End(slug) => step(slug, "end"),
        SpaceCommand::Delay {
            space,
            until,
            reason,
        } => {
            let change = json!({ "scheduled_at": in_rfc3339(*until), "delay_reason": reason });
            ("PATCH", format!("/{}", space.slug), Some(change))
        }
        SpaceCommand::Cancel(slug) => step(slug, "cancel"),
        SpaceCommand::Delete(slug) => ("DELETE", format!("/{}", slug.slug), None),
        SpaceCommand::Mute(seat) => seat.change(json!({ "muted": true })),
        SpaceCommand::Unmute(seat) => seat.change(json!({ "muted": false })),
        SpaceCommand::Gain(gain) => gain.seat.change(json!({ "gain_db": gain.gain_db })),
        SpaceCommand::Remove(seat) => seat.end("session"),
        SpaceCommand::RevokeLink(seat) => seat.end("link"),
        SpaceCommand::RenewLink(link) => link.renew(),
        SpaceCommand::Edit(edit) => edit.request(),
        SpaceCommand::Recording(command) => command.request(),
        SpaceCommand::Events(slug) => ("GET", format!("/{}/events", slug.slug), None),
        SpaceCommand::Audit(audit) => audit.request(),
        SpaceCommand::Lock(slug) => lock(slug, true),
        SpaceCommand::Unlock(slug) => lock(slug, false),
        SpaceCommand::Roles(command) => roles::request(command),
        SpaceCommand::Sound(sound) => sound.change(),
        SpaceCommand::Track(track) => ("GET", track.path(), None),
        SpaceCommand::SetDelay(delay) => delay.change(),
        SpaceCommand::Message(message) => message.change(),
        SpaceCommand::Dump(slug) => step(slug, "dump"),
        SpaceCommand::Hold(hold) => hold.forget(),
    }
}

/// The answer for a person's eyes.
fn in_words(command: &SpaceCommand, answer: &Value) -> String {
    match command {
        SpaceCommand::Delete(slug) => format!("deleted {}\n", slug.slug),
        SpaceCommand::Mute(Seat { seat, .. }) => format!("speaker {seat} is muted\n"),
        SpaceCommand::Unmute(Seat { seat, .. }) => format!("speaker {seat} is not muted by you\n"),
        SpaceCommand::Gain(Gain { seat, gain_db }) => {
            format!("speaker {} is heard at {gain_db:+} dB\n", seat.seat)
        }
        SpaceCommand::Remove(Seat { seat, .. }) => format!("speaker {seat} is off the stage\n"),
        SpaceCommand::RevokeLink(Seat { seat, .. }) => {
            format!("the link of speaker {seat} opens nothing any more\n")
        }
        SpaceCommand::Recording(command) => command.in_words(answer),
        SpaceCommand::Show(_) => lines_of_space(answer) + &shown::lines(answer),
        SpaceCommand::Audit(_) => audit::lines(answer),
        SpaceCommand::Lock(_) => "the stage is locked: nobody new takes a seat\n".to_owned(),
        SpaceCommand::Unlock(_) => "the stage is open\n".to_owned(),
        SpaceCommand::Roles(command) => roles::in_words(command, answer),
        SpaceCommand::Sound(_) => format!(
            "levelling is {}, tracks are {}\n",
            if answer["levelling"] == true {
                "on"
            } else {
                "off"
            },
            if answer["tracks"] == true {
                "kept"
            } else {
                "not kept"
            },
        ),
        SpaceCommand::Track(track) => {
            format!("{} bytes in {}\n", answer["bytes"], track.out.display())
        }
        SpaceCommand::SetDelay(delay) => delay.in_words(),
        SpaceCommand::Dump(_) => programme::dumped_in_words(answer),
        SpaceCommand::Hold(_) => programme::hold_in_words(answer),
        SpaceCommand::List => {
            let spaces = answer["spaces"]
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default();
            if spaces.is_empty() {
                return "no spaces yet: throng space create --title …\n".to_owned();
            }
            spaces
                .iter()
                .map(line_of_space)
                .collect::<Vec<_>>()
                .concat()
        }
        _ => lines_of_space(answer),
    }
}

fn line_of_space(space: &Value) -> String {
    let text = |name: &str| space[name].as_str().unwrap_or("-");
    format!(
        "{:<10} {:<24} {:<24} {}\n",
        text("state"),
        text("slug"),
        text("scheduled_at"),
        text("title")
    )
}

fn lines_of_space(space: &Value) -> String {
    let texts = |name| match &space[name] {
        Value::Array(links) => links.as_slice(),
        one => std::slice::from_ref(one),
    };
    let lines = LABELS.iter().flat_map(|(name, label)| {
        let texts = texts(name).iter().filter_map(Value::as_str);
        texts.map(move |text| {
            format!(
                "{label:<12}{text}
"
            )
        })
    });
    lines.collect::<Vec<_>>().concat()
}

/// The operator's key: the named data folder first, then the environment, then the default data folder.
fn operator_key(data: Option<&Path>, from_environment: Option<String>) -> Result<String, Error> {
    let key = match (data, from_environment) {
        (None, Some(key)) => key,
        (data, _) => key_in(data.unwrap_or_else(|| Path::new(DEFAULT_DATA)))?,
    };
    let key = key.trim();
    if key.is_empty()
        || key
            .chars()
            .any(|letter| letter.is_whitespace() || letter.is_control())
    {
        return Err(Error::Usage(
            "the operator key is empty or not one word".to_owned(),
        ));
    }
    Ok(key.to_owned())
}

fn key_in(data: &Path) -> Result<String, Error> {
    let path = data.join("operator.key");
    fs::read_to_string(&path).map_err(|source| {
        let hint = "name the server's data folder with --data, or set THRONG_OPERATOR_KEY";
        let source = std::io::Error::new(source.kind(), format!("{source}; {hint}"));
        Error::File { path, source }
    })
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| {
        "not a time with its zone as in 2026-12-01T20:00:00Z or …T21:00:00+01:00 (RFC 3339)"
            .to_owned()
    })
}

fn parse_slug(text: &str) -> Result<String, String> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    if text.is_empty() || !text.chars().all(plain) {
        return Err(
            "a slug is letters, digits and hyphens: the last word of the listen link".to_owned(),
        );
    }
    Ok(text.to_owned())
}

/// UTC with milliseconds, as all times on the wire.
fn in_rfc3339(time: Timestamp) -> String {
    format!("{time:.3}")
}

/// What a person sees of a space, in this order.
const LABELS: [(&str, &str); 13] = [
    ("title", "title"),
    ("slug", "slug"),
    ("state", "state"),
    ("scheduled_at", "scheduled"),
    ("delay_reason", "delayed"),
    ("message", "message"),
    ("started_at", "started"),
    ("ended_at", "ended"),
    ("listen_url", "listen"),
    ("host_url", "host"),
    ("cohost_url", "cohost"),
    ("speaker_urls", "speaker"),
    ("speaker_url", "speaker"),
];
const KEY_VARIABLE: &str = "THRONG_OPERATOR_KEY";
/// Where `throng serve` keeps its data unless told otherwise.
const DEFAULT_DATA: &str = "throng-data";

#[cfg(test)]
mod tests;
