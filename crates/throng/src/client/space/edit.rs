//! The command that changes what is said of a space.

use std::num::NonZeroU32;

use clap::Args;
use serde_json::{Map, Value, json};

use super::Slug;

/// What is to be changed.
#[derive(Args, Clone, Debug)]
pub struct Edit {
    /// The space.
    #[command(flatten)]
    pub space: Slug,
    /// What the space is called.
    #[arg(long, required_unless_present = "expected_listeners")]
    pub title: Option<String>,
    /// How many listeners you reckon with; 0 for no number.
    #[arg(long, value_name = "N")]
    pub expected_listeners: Option<u32>,
}

impl Edit {
    /// The call that changes it.
    pub(super) fn request(&self) -> (&'static str, String, Option<Value>) {
        let mut change = Map::new();
        if let Some(title) = &self.title {
            change.insert("title".to_owned(), json!(title));
        }
        if let Some(count) = self.expected_listeners {
            let count = NonZeroU32::new(count);
            change.insert("expected_listeners".to_owned(), json!(count));
        }
        let path = format!("/{}", self.space.slug);
        ("PATCH", path, Some(Value::Object(change)))
    }
}
