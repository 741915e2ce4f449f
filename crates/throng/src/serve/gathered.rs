//! The metrics of a node of several processes, as one text: workers tell theirs, with their place as a label.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::routing::post;

/// Where workers tell their metrics, before their place.
pub(crate) const METRICS_PATH: &str = "/feed/metrics";
/// Longest text of one worker: 256 threads with 40 lines each. What is longer is refused.
const TEXT_MAX_BYTES: usize = 1 << 20;
/// What the doors counted comes with the reports, second by second.
const COMES_BY_REPORTS: &str = "_door_";

/// What the workers told last, by their places; a worker that is started again takes the place of its forerunner.
#[derive(Debug, Default)]
pub(crate) struct Gathered(Mutex<BTreeMap<u32, String>>);

impl Gathered {
    /// The route for workers; only for those of this node.
    pub(super) fn routes(self: &Arc<Self>) -> Router {
        Router::new()
            .route(&format!("{METRICS_PATH}/{{place}}"), post(keep))
            .layer(DefaultBodyLimit::max(TEXT_MAX_BYTES))
            .with_state(Arc::clone(self))
    }

    /// Our own text with those of the workers.
    pub(super) fn with(&self, own: &str) -> String {
        // A panic in another thread left each text whole.
        let texts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if texts.is_empty() {
            return own.to_owned();
        }
        let own = families(own);
        let others = texts.values().flat_map(|text| families(text));
        let others = others.filter(|(name, _)| !name.contains(COMES_BY_REPORTS));
        merged(own.into_iter().chain(others))
    }
}

async fn keep(
    State(gathered): State<Arc<Gathered>>,
    Path(place): Path<u32>,
    text: String,
) -> StatusCode {
    let mut texts = gathered.0.lock().unwrap_or_else(PoisonError::into_inner);
    texts.insert(place, text);
    StatusCode::NO_CONTENT
}

/// The lines about one metric: what it is, and its values.
#[derive(Default)]
struct Family<'t> {
    kind: &'t str,
    values: Vec<&'t str>,
}

/// The metrics of a text, which names each before its values (the Prometheus text format).
fn families(text: &str) -> BTreeMap<&str, Family<'_>> {
    let mut families: BTreeMap<&str, Family<'_>> = BTreeMap::new();
    let mut name = "";
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            name = kind.split(' ').next().unwrap_or_default();
            families.entry(name).or_default().kind = line;
        } else if !line.starts_with('#') {
            families.entry(name).or_default().values.push(line);
        }
    }
    families
}

/// One text of all of them, which says of each metric once what it is.
fn merged<'t>(all: impl Iterator<Item = (&'t str, Family<'t>)>) -> String {
    let mut merged: BTreeMap<&str, Family<'_>> = BTreeMap::new();
    for (name, family) in all {
        let known = merged.entry(name).or_default();
        known.kind = family.kind;
        known.values.extend(family.values);
    }
    let mut text = String::new();
    for family in merged.values() {
        let values = family.values.join("\n");
        writeln!(text, "{}\n{values}", family.kind).expect("writing to memory does not fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_metric_is_named_once_with_the_values_of_all() {
        let gathered = Gathered::default();
        let own = "# TYPE b gauge\nb 1\n\n# TYPE a_door_total counter\na_door_total 7\n";
        assert_eq!(gathered.with(own), own, "a node without workers");
        for (place, text) in [
            (
                1,
                "# TYPE a counter\na{worker=\"1\"} 2\n# TYPE b gauge\nb{worker=\"1\"} 3\n",
            ),
            (
                2,
                "# TYPE b gauge\nb{worker=\"2\"} 4\n# TYPE a_door_total counter\na_door_total 7\n",
            ),
        ] {
            gathered.0.lock().unwrap().insert(place, text.to_owned());
        }
        let expected = "# TYPE a counter\na{worker=\"1\"} 2\n# TYPE a_door_total counter\na_door_total 7\n\
            # TYPE b gauge\nb 1\nb{worker=\"1\"} 3\nb{worker=\"2\"} 4\n";
        assert_eq!(gathered.with(own), expected);
    }
}
