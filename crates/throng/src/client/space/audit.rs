//! What was done to a space, as the desk has noted it.

use clap::Args;
use serde_json::Value;

use super::Slug;

/// Which acts are to be told.
#[derive(Args, Clone, Debug)]
pub struct Audit {
    /// The space.
    #[command(flatten)]
    pub space: Slug,
    /// So many, the newest first.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub limit: u32,
    /// Only those before this number, such as the last one of a list before.
    #[arg(long, value_name = "NUMBER")]
    pub before: Option<u32>,
}

impl Audit {
    pub(super) fn request(&self) -> (&'static str, String, Option<Value>) {
        let (slug, limit) = (&self.space.slug, self.limit);
        let path = match self.before {
            None => format!("/{slug}/audit?limit={limit}"),
            Some(before) => format!("/{slug}/audit?limit={limit}&before={before}"),
        };
        ("GET", path, None)
    }
}

/// A line for each act.
pub(super) fn lines(answer: &Value) -> String {
    let acts = answer["acts"].as_array().map(Vec::as_slice);
    let acts = acts.unwrap_or_default();
    if acts.is_empty() {
        return "nothing has been done yet\n".to_owned();
    }
    acts.iter().map(line).collect()
}

fn line(act: &Value) -> String {
    let text = |name: &str| act[name].as_str().unwrap_or("-");
    let changed = act["changed"].as_array().map(Vec::as_slice);
    let changed = changed.unwrap_or_default().iter().filter_map(Value::as_str);
    let changed: String = changed.flat_map(|change| [" ", change]).collect();
    format!(
        "{:>6} {} {:<8} {} {} {:<6} {}{changed}\n",
        act["number"].to_string(),
        text("at"),
        text("role"),
        text("key"),
        act["status"],
        text("method"),
        text("path"),
    )
}
