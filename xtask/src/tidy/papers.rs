//! Documents that must agree with the tree.

use std::collections::BTreeSet;

use super::{Finding, Source};
use crate::shell::root;

const METRICS_REFERENCE: &str = "docs/reference/metrics.md";

/// Links of every document lead to a file or a folder.
pub(super) fn links(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| source.is_markdown()) {
        for (index, line) in source.text.lines().enumerate() {
            for target in targets(line) {
                let place = target.split('#').next().unwrap_or(target);
                let elsewhere =
                    place.is_empty() || place.contains("://") || place.starts_with("mailto:");
                if !elsewhere && !exists(sources, &resolve(&source.path, place)) {
                    findings.push(Finding::new(
                        source,
                        index + 1,
                        format!("the link to `{target}` leads nowhere"),
                    ));
                }
            }
        }
    }
    findings
}

fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("](")
        .filter_map(|(at, _)| line[at + 2..].split(')').next())
}

fn resolve(from: &str, place: &str) -> String {
    let mut folders: Vec<&str> = from.split('/').collect();
    folders.pop();
    for step in place.split('/') {
        match step {
            "" | "." => {}
            ".." => drop(folders.pop()),
            name => folders.push(name),
        }
    }
    folders.join("/")
}

fn exists(sources: &[Source], path: &str) -> bool {
    let folder = format!("{path}/");
    let is_it = |source: &Source| source.path == path || source.path.starts_with(&folder);
    // A picture is no source.
    sources.iter().any(is_it) || root().join(path).is_file()
}

/// Every metric in the source is in the reference, and the other way round.
pub(super) fn metrics(sources: &[Source]) -> Vec<Finding> {
    let written = |source: &&Source| source.is_rust() && source.path.starts_with("crates/");
    let in_source = named(sources.iter().filter(written), '"');
    let in_reference = named(
        sources
            .iter()
            .filter(|source| source.path == METRICS_REFERENCE),
        '`',
    );
    let say = |name: &String, words: &str| Finding {
        path: METRICS_REFERENCE.to_owned(),
        line: 0,
        words: format!("`{name}` {words}"),
    };
    let silent = in_source
        .iter()
        .filter(|name| !in_reference.iter().any(|other| covers(name, other)));
    let dead = in_reference
        .iter()
        .filter(|name| !in_source.iter().any(|other| covers(other, name)));
    let silent = silent.map(|name| say(name, "is counted and not described"));
    silent
        .chain(dead.map(|name| say(name, "is described and not counted")))
        .collect()
}

/// Names of metrics between these quotes; `{…}` in a name is made while the program runs. A crate's name is not a
/// metric's.
fn named<'a>(sources: impl Iterator<Item = &'a Source>, quote: char) -> BTreeSet<String> {
    const CRATES: &[&str] = &[
        "throng_air",
        "throng_archive",
        "throng_core",
        "throng_media",
        "throng_stage",
    ];
    let opening = format!("{quote}throng_");
    let mut names = BTreeSet::new();
    for source in sources {
        for (at, _) in source.text.match_indices(&opening) {
            let tail = &source.text[at + quote.len_utf8()..];
            let end = tail.find(|c: char| !(c.is_ascii_alphanumeric() || "_{}".contains(c)));
            let name = &tail[..end.unwrap_or(tail.len())];
            if !CRATES.contains(&name) {
                names.insert(name.to_owned());
            }
        }
    }
    names
}

/// Whether a name in the source, perhaps with one `{…}` in it, is this one.
fn covers(pattern: &str, name: &str) -> bool {
    match (pattern.split_once('{'), pattern.split_once('}')) {
        (Some((before, _)), Some((_, after))) => name.starts_with(before) && name.ends_with(after),
        _ => pattern == name,
    }
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    #[test]
    fn a_link_that_leads_nowhere_is_found() {
        let tree = |text: &str| {
            [
                source("docs/a.md", text),
                source("docs/b/c.md", ""),
                source("README.md", ""),
            ]
        };
        for good in [
            "[x](b/c.md#part)",
            "[x](../README.md)",
            "[x](b)",
            "[x](https://example.org/q)",
            "[x](#here)",
        ] {
            assert_eq!(links(&tree(good)).len(), 0, "{good}");
        }
        assert_eq!(links(&tree("[x](README.md)")).len(), 1);
    }

    #[test]
    fn a_metric_on_one_side_only_is_found() {
        let code = source(
            "crates/throng-air/src/metric.rs",
            "const A: &str = \"throng_a_total\"; // \"throng_air=debug\"",
        );
        let reference = source(METRICS_REFERENCE, "| `throng_b_total` | b |");
        let found: Vec<String> = metrics(&[code, reference])
            .into_iter()
            .map(|finding| finding.words)
            .collect();
        assert_eq!(
            found,
            [
                "`throng_a_total` is counted and not described",
                "`throng_b_total` is described and not counted"
            ]
        );
    }

    #[test]
    fn a_family_of_metrics_is_described_by_its_members() {
        let code = source(
            "crates/throng/src/serve.rs",
            "format!(\"throng_stage_{name}_total\")",
        );
        let reference = |text: &str| source(METRICS_REFERENCE, text);
        assert_eq!(
            metrics(&[code, reference("`throng_stage_audio_in_total`")]).len(),
            0
        );
        let code = source(
            "crates/throng/src/serve.rs",
            "format!(\"throng_stage_{name}_total\")",
        );
        assert_eq!(metrics(&[code, reference("")]).len(), 1);
    }
}
