//! The arguments by which a host sets the sound of a space, and fetches what each speaker said.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use super::{Error, Seat, Slug};
use crate::client::http::Answer;

/// A setting that is on or off.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Switch {
    /// It is.
    On,
    /// It is not.
    Off,
}

/// How a space sounds, and what is kept of it.
#[derive(Args, Clone, Debug, Default)]
pub struct SoundArgs {
    /// Whether voices are brought gently to the same loudness, -16 LUFS. A new space does.
    #[arg(long, value_name = "ON|OFF", hide_possible_values = true)]
    pub levelling: Option<Switch>,
    /// Whether each speaker's own sound is kept as a track beside the recording. A new space does not. Only before go-live.
    #[arg(long, value_name = "ON|OFF", hide_possible_values = true)]
    pub tracks: Option<Switch>,
}

/// A space and what is to be changed of its sound.
#[derive(Args, Clone, Debug)]
#[group(id = "change", required = true, multiple = true, args = ["levelling", "tracks"])]
pub struct Sound {
    /// The space.
    #[command(flatten)]
    pub space: Slug,
    /// What is changed.
    #[command(flatten)]
    pub sound: SoundArgs,
}

/// A seat whose track is fetched.
#[derive(Args, Clone, Debug)]
pub struct Track {
    /// The seat.
    #[command(flatten)]
    pub seat: Seat,
    /// The file that it is written to: MP4 with Opus.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

impl Switch {
    pub(super) fn is_on(self) -> bool {
        matches!(self, Self::On)
    }
}

impl SoundArgs {
    /// Puts what is said into a body.
    pub(super) fn put(&self, body: &mut Map<String, Value>) {
        for (name, switch) in [("levelling", self.levelling), ("tracks", self.tracks)] {
            if let Some(switch) = switch {
                body.insert(name.to_owned(), json!(switch.is_on()));
            }
        }
    }
}

impl Sound {
    /// The call that changes it.
    pub(super) fn change(&self) -> (&'static str, String, Option<Value>) {
        let mut body = Map::new();
        self.sound.put(&mut body);
        let path = format!("/{}", self.space.slug);
        ("PATCH", path, Some(Value::Object(body)))
    }
}

impl Track {
    /// Its path under `/api/spaces`.
    pub(super) fn path(&self) -> String {
        format!("/{}/tracks/{}", self.seat.space.slug, self.seat.seat)
    }

    /// Writes what the server sends into the file, and tells how much it was.
    pub(super) fn keep(&self, answer: Answer) -> Result<Value, Error> {
        let kept =
            File::create(&self.out).and_then(|mut file| io::copy(&mut answer.stream(), &mut file));
        let bytes = kept.map_err(|source| Error::File {
            path: self.out.clone(),
            source,
        })?;
        Ok(json!({ "seat": self.seat.seat, "file": self.out, "bytes": bytes }))
    }
}
