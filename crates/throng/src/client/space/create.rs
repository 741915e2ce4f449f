//! The command that announces a space.

use std::num::NonZeroU32;

use clap::Args;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{SoundArgs, Switch, in_rfc3339, parse_time};

/// A space that is to be.
#[derive(Args, Clone, Debug)]
pub struct Create {
    /// What the space is called.
    #[arg(long)]
    pub title: String,
    /// When it is to begin, such as 2026-12-01T20:00:00Z. Doors open by themselves 15 minutes before.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub at: Option<Timestamp>,
    /// How many speaker links to make (the host's own link comes on top).
    #[arg(long, value_name = "N")]
    pub speakers: Option<u32>,
    /// From when on the speaker links open nothing, such as 2026-12-02T00:00:00Z. Without it they never expire.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub links_expire_at: Option<Timestamp>,
    /// How many listeners you reckon with. The studio warns when the node was not rehearsed for so many.
    #[arg(long, value_name = "N")]
    pub expected_listeners: Option<NonZeroU32>,
    /// Let speakers who come wait in the green room until you bring them on stage.
    #[arg(long)]
    pub green_room: bool,
    /// How it sounds.
    #[command(flatten)]
    pub sound: SoundArgs,
    /// Whether listeners hear two channels, left and right: for music and rooms. A new space has one. It cannot be changed
    /// later.
    #[arg(long, value_name = "ON|OFF", hide_possible_values = true)]
    pub stereo: Option<Switch>,
}

impl Create {
    /// The call that makes it.
    pub(super) fn request(&self) -> (&'static str, String, Option<Value>) {
        let mut space = Map::new();
        space.insert("title".to_owned(), json!(self.title));
        let time = |at: Option<Timestamp>| at.map(|at| json!(in_rfc3339(at)));
        for (name, wish) in [
            ("scheduled_at", time(self.at)),
            ("speakers", self.speakers.map(|count| json!(count))),
            ("speaker_links_expire_at", time(self.links_expire_at)),
            (
                "expected_listeners",
                self.expected_listeners.map(|count| json!(count)),
            ),
            ("green_room", self.green_room.then_some(json!(true))),
            ("stereo", self.stereo.map(|switch| json!(switch.is_on()))),
        ] {
            space.extend(wish.map(|wish| (name.to_owned(), wish)));
        }
        self.sound.put(&mut space);
        ("POST", String::new(), Some(Value::Object(space)))
    }
}
