//! The commands about who is where and who runs the space: green room, cohosts, cue, turns.

use std::fmt::Write;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use throng_core::space::{CUE_SECONDS_MAX, CUE_SECONDS_MIN};

use super::{Seat, Slug, lines_of_space};

/// Who is where, and who runs the space.
#[derive(Clone, Debug, Subcommand)]
pub enum RolesCommand {
    /// Let newcomers wait in the green room, where they hear the stage and nobody hears them; or no longer. Who is there
    /// stays where they are.
    GreenRoom {
        /// The space.
        #[command(flatten)]
        space: Slug,
        /// Whether newcomers wait there.
        wait: OnOff,
    },
    /// Bring a speaker on stage.
    ToStage(Seat),
    /// Take a speaker into the green room: they go on hearing the stage, and nobody hears them.
    ToGreenRoom(Seat),
    /// Count down to the start: every speaker sees it, and at the end the space goes live.
    Cue {
        /// The space.
        #[command(flatten)]
        space: Slug,
        /// How long the countdown takes.
        #[arg(
            long,
            value_name = "N",
            default_value_t = 10,
            value_parser = clap::value_parser!(u32).range(i64::from(CUE_SECONDS_MIN)..=i64::from(CUE_SECONDS_MAX))
        )]
        seconds: u32,
    },
    /// Stop the countdown.
    StopCue(Slug),
    /// Make a link for a cohost, who runs the space as the host does, but neither cancels nor deletes it, nor makes
    /// cohosts. It is shown once.
    AddCohost(Slug),
    /// List the cohosts.
    Cohosts(Slug),
    /// Take a cohost's link back: it opens nothing any more.
    RevokeCohost(Cohost),
    /// Show who talked when, and each one's share of the talk.
    Turns(Slug),
}

/// A switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnOff {
    /// They do.
    On,
    /// They do not.
    Off,
}

/// The cohost that is meant.
#[derive(Args, Clone, Debug)]
pub struct Cohost {
    /// The space.
    #[command(flatten)]
    pub space: Slug,
    /// The number of the cohost, from 1.
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub cohost: u32,
}

/// Method, path under `/api/spaces` and body of a command.
pub(super) fn request(command: &RolesCommand) -> (&'static str, String, Option<Value>) {
    let at = |slug: &Slug, what: &str| format!("/{}/{what}", slug.slug);
    match command {
        RolesCommand::GreenRoom { space, wait } => {
            let change = json!({ "green_room": *wait == OnOff::On });
            ("PATCH", format!("/{}", space.slug), Some(change))
        }
        RolesCommand::ToStage(seat) => seat.change(json!({ "place": "stage" })),
        RolesCommand::ToGreenRoom(seat) => seat.change(json!({ "place": "green_room" })),
        RolesCommand::Cue { space, seconds } => {
            let cue = json!({ "in_seconds": seconds });
            ("PUT", at(space, "cue"), Some(cue))
        }
        RolesCommand::StopCue(slug) => ("DELETE", at(slug, "cue"), None),
        RolesCommand::AddCohost(slug) => ("POST", at(slug, "cohosts"), None),
        RolesCommand::Cohosts(slug) => ("GET", at(slug, "cohosts"), None),
        RolesCommand::RevokeCohost(Cohost { space, cohost }) => {
            ("DELETE", at(space, &format!("cohosts/{cohost}")), None)
        }
        RolesCommand::Turns(slug) => ("GET", at(slug, "turns"), None),
    }
}

/// The answer for a person's eyes.
pub(super) fn in_words(command: &RolesCommand, answer: &Value) -> String {
    match command {
        RolesCommand::GreenRoom { wait, .. } => match wait {
            OnOff::On => "newcomers wait in the green room\n".to_owned(),
            OnOff::Off => "newcomers are on stage at once\n".to_owned(),
        },
        RolesCommand::ToStage(Seat { seat, .. }) => format!("speaker {seat} is on stage\n"),
        RolesCommand::ToGreenRoom(Seat { seat, .. }) => {
            format!("speaker {seat} is in the green room\n")
        }
        RolesCommand::Cue { .. } => format!(
            "on air at {}\n",
            answer["cue"]["at"].as_str().unwrap_or_default()
        ),
        RolesCommand::StopCue(_) => "the countdown is stopped\n".to_owned(),
        RolesCommand::AddCohost(_) => lines_of_space(answer),
        RolesCommand::Cohosts(_) => cohosts(answer),
        RolesCommand::RevokeCohost(Cohost { cohost, .. }) => {
            format!("the link of cohost {cohost} opens nothing any more\n")
        }
        RolesCommand::Turns(_) => turns(answer),
    }
}

fn list<'v>(answer: &'v Value, name: &str) -> &'v [Value] {
    answer[name]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
}

fn cohosts(answer: &Value) -> String {
    let cohosts = list(answer, "cohosts");
    if cohosts.is_empty() {
        return "no cohosts: throng space add-cohost SLUG\n".to_owned();
    }
    let lines = cohosts.iter().map(|cohost| {
        let there = if cohost["at_desk"] == true {
            "at the desk"
        } else {
            "not at the desk"
        };
        format!("cohost {}    {there}\n", cohost["cohost"])
    });
    lines.collect()
}

/// Turns, then shares, in seconds since the start.
fn turns(answer: &Value) -> String {
    let seconds = |value: &Value| value.as_f64().unwrap_or_default();
    let mut text = String::new();
    for turn in list(answer, "turns") {
        let (from, until) = (
            seconds(&turn["from_seconds"]),
            seconds(&turn["until_seconds"]),
        );
        let seat = &turn["seat"];
        writeln!(text, "{from:>10.2} {until:>10.2}  speaker {seat}").expect("text takes it");
    }
    for share in list(answer, "shares") {
        let (of_all, talked) = (seconds(&share["share"]) * 100.0, seconds(&share["seconds"]));
        let seat = &share["seat"];
        writeln!(text, "speaker {seat}: {talked:.0} s, {of_all:.0} %").expect("text takes it");
    }
    if text.is_empty() {
        return "nobody has talked yet\n".to_owned();
    }
    text
}
