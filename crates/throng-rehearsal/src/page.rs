//! The report of a rehearsal as one HTML page: figures, plots, what went wrong. No script, nothing from elsewhere. Pure.

mod plot;

use std::fmt::Write;

use crate::verdict::{Evidence, Second, Summary};
use crate::words;
use plot::{Line, Plot};

/// What the page says above its figures.
#[derive(Clone, Debug)]
pub struct Heading {
    /// The address that was rehearsed.
    pub target: String,
    /// When, RFC 3339.
    pub at: String,
    /// How the crowd came, stayed and left.
    pub shape: String,
    /// The machine.
    pub machine: String,
}

/// The page.
pub fn html(heading: &Heading, evidence: &Evidence) -> String {
    let summary = evidence.summary();
    let mut page = String::new();
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Rehearsal of {target}</title>\n<style>{STYLE}</style>\n\
         <h1>Rehearsal of {target}</h1>\n<p>{at} · {shape} · {machine}</p>\n<p class=\"verdict\">{verdict}</p>\n",
        target = escaped(&heading.target),
        at = escaped(&heading.at),
        shape = escaped(&heading.shape),
        machine = escaped(&heading.machine),
        verdict = escaped(&words::verdict(&summary)),
    );
    figures(&summary, &mut page);
    for plot in plots(&evidence.seconds) {
        plot.write(&mut page);
    }
    page.push_str("</html>\n");
    page
}

fn figures(summary: &Summary, page: &mut String) {
    page.push_str("<table>\n");
    for (name, value) in words::figures(summary) {
        let value = escaped(&value);
        let _ = writeln!(
            page,
            "<tr><th scope=\"row\">{name}</th><td>{value}</td></tr>"
        );
    }
    page.push_str("</table>\n");
}

fn plots(seconds: &[Second]) -> Vec<Plot> {
    let line = |name: &'static str, of: fn(&Second) -> Option<u64>| Line {
        name,
        points: seconds
            .iter()
            .filter_map(|second| Some((second.at_ms, of(second)?)))
            .collect(),
    };
    vec![
        Plot {
            title: "Listeners",
            unit: "",
            lines: vec![
                line("set out", |second| Some(second.begun)),
                line("sound comes", |second| Some(second.listening)),
            ],
        },
        Plot {
            title: "Joins per second",
            unit: "",
            lines: vec![line("joins", |second| Some(second.joins))],
        },
        Plot {
            title: "CPU, thousandths of a core",
            unit: "",
            lines: vec![
                line("server", |second| second.server_cpu_millicores),
                line("crowd", |second| Some(second.client_cpu_millicores)),
            ],
        },
        Plot {
            title: "Memory",
            unit: " MB",
            lines: vec![
                line("server", |second| {
                    second.server_memory_bytes.map(|bytes| bytes / 1_000_000)
                }),
                line("TCP sockets", |second| {
                    second.socket_memory_bytes.map(|bytes| bytes / 1_000_000)
                }),
            ],
        },
        Plot {
            title: "Longest wait between two deliveries, and lag of the crowd's own loops",
            unit: " ms",
            lines: vec![
                line("wait", |second| Some(second.wait_ms)),
                line("lag", |second| Some(second.client_lag_ms)),
            ],
        },
        Plot {
            title: "Left without: gaps, failures, refusals, losses so far",
            unit: "",
            lines: vec![
                line("gaps", |second| Some(second.gaps)),
                line("failed", |second| Some(second.failed)),
                line("refused", |second| Some(second.refused)),
                line("lost", |second| Some(second.lost)),
            ],
        },
    ]
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #23152f; --soft: #63537a; --line: #d6cce0; --house: #fff;
  --c0: #6a3fb5; --c1: #c25c00; --c2: #c02a1d; --c3: #1b7f5c }
@media (prefers-color-scheme: dark) { :root { --ink: #f4eef8; --soft: #b9a9c6; --line: #43354f; --house: #150f1c;
  --c0: #c4a5ff; --c1: #ffb454; --c2: #ff7a66; --c3: #6fd6ae } }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: var(--ink); background: var(--house) }
h1 { font-size: 1.6rem; overflow-wrap: anywhere } h2 { font-size: 1.1rem; margin: 2rem 0 .25rem }
.verdict { font-size: 1.15rem; font-weight: 600 }
table { border-collapse: collapse } th { text-align: left; font-weight: 400; color: var(--soft); padding-right: 1.5rem }
td { font-variant-numeric: tabular-nums }
svg { width: 100%; height: auto; display: block } svg text { fill: var(--soft); font-size: 12px }
svg .axis { stroke: var(--line) } svg polyline { fill: none; stroke-width: 2; stroke-linejoin: round }
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::Tally;

    #[test]
    fn the_page_stands_alone_and_lets_nothing_in() {
        let mut tally = Tally::default();
        tally.note_refused("<script>alert(1)</script>");
        let evidence = Evidence {
            asked: 3,
            tally,
            seconds: vec![
                Second::default(),
                Second {
                    at_ms: 1_000,
                    begun: 3,
                    ..Second::default()
                },
            ],
            ..Evidence::default()
        };
        let heading = Heading {
            target: "http://a/s/<b>".to_owned(),
            at: "2026-12-01T20:00:00Z".to_owned(),
            shape: "vertical".to_owned(),
            machine: "a machine".to_owned(),
        };
        let page = html(&heading, &evidence);
        assert!(!page.contains("<script") && !page.contains("<b>"));
        assert!(!page.contains("src=") && !page.contains("href=") && !page.contains("url("));
        assert_eq!(page.matches("<svg").count(), 6);
        assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    }
}
