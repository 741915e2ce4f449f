//! The arguments by which a host reaches the programme.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use throng_core::space::DELAY_SECONDS_MAX;

use super::Slug;

/// By how much the programme is later than the stage.
#[derive(Args, Clone, Debug)]
pub struct ProgrammeDelay {
    /// The space.
    #[command(flatten)]
    pub space: Slug,
    /// From 0 to 10.
    #[arg(
        value_name = "SECONDS",
        value_parser = clap::value_parser!(u8).range(0..=i64::from(DELAY_SECONDS_MAX))
    )]
    pub seconds: u8,
}

/// What listeners read.
#[derive(Args, Clone, Debug)]
pub struct Message {
    /// The space.
    #[command(flatten)]
    pub space: Slug,
    /// One line.
    pub text: Option<String>,
}

impl Message {
    /// The call that says it.
    pub(super) fn change(&self) -> (&'static str, String, Option<Value>) {
        let change = json!({ "message": self.text });
        ("PATCH", format!("/{}", self.space.slug), Some(change))
    }
}

impl ProgrammeDelay {
    /// The call that sets it.
    pub(super) fn change(&self) -> (&'static str, String, Option<Value>) {
        let change = json!({ "delay_seconds": self.seconds });
        ("PATCH", format!("/{}", self.space.slug), Some(change))
    }

    /// What it means for listeners.
    pub(super) fn in_words(&self) -> String {
        match self.seconds {
            0 => "listeners hear the stage at once\n".to_owned(),
            seconds => format!("listeners hear the stage {seconds} s later\n"),
        }
    }
}

/// What a dump took back.
pub(super) fn dumped_in_words(answer: &Value) -> String {
    let seconds = answer["dumped_seconds"].as_f64().unwrap_or_default();
    format!("listeners never hear the last {seconds:.1} s\n")
}

/// What is heard before the stage is.
#[derive(Args, Clone, Debug)]
pub struct Hold {
    /// The space.
    #[command(flatten)]
    pub space: Slug,
    /// WAV, FLAC, Ogg (Vorbis, Opus) or MP3: 4 s to 10 minutes, at most 30 MB.
    #[arg(long, value_name = "FILE", required_unless_present = "ours")]
    pub file: Option<PathBuf>,
    /// The server's own again.
    #[arg(long, conflicts_with = "file")]
    pub ours: bool,
}

impl Hold {
    /// The call that goes back to the server's own.
    pub(super) fn forget(&self) -> (&'static str, String, Option<Value>) {
        ("DELETE", format!("/{}/hold", self.space.slug), None)
    }
}

/// What who waits hears now.
pub(super) fn hold_in_words(answer: &Value) -> String {
    let hold = &answer["hold"];
    match (hold["own"].as_bool(), hold["ready"].as_bool()) {
        (Some(true), Some(true)) => "who waits hears your file\n".to_owned(),
        (Some(true), _) => {
            "your file is being encoded; until it is, who waits hears the server's\n".to_owned()
        }
        _ => "who waits hears the server's hold music\n".to_owned(),
    }
}
