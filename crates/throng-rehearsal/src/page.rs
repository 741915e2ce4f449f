//! The report of a rehearsal as one HTML page: figures, plots, what went wrong. No script, nothing from elsewhere. Pure.

mod plot;

use std::fmt::Write;

use crate::verdict::{Evidence, Second, Summary};
use crate::words;
use plot::{Line, Plot, Times};

/// What the page says above its figures.
#[derive(Clone, Debug)]
pub struct Heading {
    /// The address that was rehearsed.
    pub target: String,
    /// When, RFC 3339.
    pub at: String,
    /// How the crowd came, stayed and left.
    pub crowd: String,
    /// The machine that led it.
    pub machine: String,
}

/// The page.
pub fn html(heading: &Heading, evidence: &Evidence) -> String {
    let summary = evidence.summary();
    let mut page = String::new();
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Rehearsal of {target}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <header>\n<h1>Rehearsal <span>of {target}</span></h1>\n<p>{crowd}.</p>\n\
         <p><time datetime=\"{at}\">{day}</time> · crowd led from {machine}</p>\n</header>\n<main>\n\
         <section class=\"verdict {limit}\">\n<h2>What gave way first</h2>\n<p>{verdict}</p>\n</section>\n",
        target = escaped(&heading.target),
        crowd = escaped(&heading.crowd),
        at = escaped(&heading.at),
        day = escaped(&day(&heading.at)),
        machine = escaped(&heading.machine),
        limit = summary.limit.name(),
        verdict = escaped(&words::verdict(evidence)),
    );
    write_figures(&summary, &mut page);
    write_plots(evidence, &mut page);
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

fn write_figures(summary: &Summary, page: &mut String) {
    page.push_str("<section>\n<h2>Figures</h2>\n<table>\n");
    for (name, value) in words::figures(summary) {
        let value = escaped(&value);
        let _ = writeln!(
            page,
            "<tr><th scope=\"row\">{name}</th><td>{value}</td></tr>"
        );
    }
    page.push_str("</table>\n</section>\n");
}

fn write_plots(evidence: &Evidence, page: &mut String) {
    let trouble_ms = evidence.first_trouble().map(|second| second.at_ms);
    let mark = match trouble_ms {
        Some(_) => " The upright line stands where somebody was first left without.",
        None => "",
    };
    let _ = writeln!(
        page,
        "<section>\n<h2>Second by second</h2>\n<p>Time runs from the first arrival.{mark}</p>\n<div class=\"plots\">"
    );
    let last = evidence.seconds.last();
    let times = Times {
        end_ms: last.map_or(1, |second| second.at_ms.max(1)),
        trouble_ms,
    };
    for plot in plots(&evidence.seconds) {
        plot.write(&times, page);
    }
    page.push_str("</div>\n</section>\n");
}

fn plots(seconds: &[Second]) -> [Plot; 6] {
    let line = |name: &'static str, of: fn(&Second) -> Option<u64>| Line {
        name,
        points: seconds
            .iter()
            .filter_map(|second| Some((second.at_ms, of(second)?)))
            .collect(),
    };
    [
        Plot {
            title: "Listeners",
            unit: "at once",
            decimals: 0,
            lines: vec![
                line("set out", |second| Some(second.begun)),
                line("hear", |second| Some(second.listening)),
            ],
        },
        Plot {
            title: "Joins",
            unit: "per second",
            decimals: 0,
            lines: vec![line("joins", |second| Some(second.joins))],
        },
        Plot {
            title: "CPU",
            unit: "cores",
            decimals: 3,
            lines: vec![
                line("server", |second| second.server_cpu_millicores),
                line("crowd", |second| Some(second.client_cpu_millicores)),
            ],
        },
        Plot {
            title: "Memory",
            unit: "MB",
            decimals: 6,
            lines: vec![
                line("server", |second| second.server_memory_bytes),
                line("TCP sockets of both sides", |second| {
                    second.socket_memory_bytes
                }),
            ],
        },
        Plot {
            title: "Longest waits",
            unit: "ms",
            decimals: 0,
            lines: vec![
                line("between two deliveries", |second| Some(second.wait_ms)),
                line("lag of the crowd itself", |second| {
                    Some(second.client_lag_ms)
                }),
            ],
        },
        Plot {
            title: "Left without",
            unit: "so far",
            decimals: 0,
            lines: vec![
                line("gaps", |second| Some(second.gaps)),
                line("failed", |second| Some(second.failed)),
                line("refused", |second| Some(second.refused)),
                line("lost", |second| Some(second.lost)),
            ],
        },
    ]
}

/// A moment as people read it, from RFC 3339 in UTC.
fn day(at: &str) -> String {
    match (at.get(..10), at.get(11..19)) {
        (Some(day), Some(time)) => format!("{day}, {time} UTC"),
        _ => at.to_owned(),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}

/// Colours are those of the other pages. Lines differ by their dashes, too.
const STYLE: &str = "
:root { color-scheme: light dark; --ink: #23152f; --soft: #63537a; --line: #d6cce0; --house: #f5f2f8; --box: #fff;
  --none: #1b7f5c; --server: #c02a1d; --client: #9c4f00;
  --c0: #6a3fb5; --c1: #b85600; --c2: #c02a1d; --c3: #1b7f5c }
@media (prefers-color-scheme: dark) { :root { --ink: #f4eef8; --soft: #b9a9c6; --line: #43354f; --house: #150f1c; --box: #21182b;
  --none: #6fd6ae; --server: #ff7a66; --client: #ffb454;
  --c0: #c4a5ff; --c1: #ffb454; --c2: #ff7a66; --c3: #6fd6ae } }
* { box-sizing: border-box }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 76rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; color: var(--ink); background: var(--house) }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 } h1 span { display: block; font-size: 1.05rem; line-height: 1.4; font-weight: 400; color: var(--soft); overflow-wrap: anywhere }
h2 { font-size: 1.2rem; margin: 0 } h3 { display: inline; font-size: 1rem }
header p { margin: .5rem 0 0 } header p + p { color: var(--soft); margin: 0 }
section { margin-top: 2rem }
.verdict { background: var(--box); border-left: .4rem solid var(--soft); border-radius: .5rem; padding: 1rem 1.25rem }
.verdict h2 { font-size: .9rem; font-weight: 500; color: var(--soft) } .verdict p { font-size: 1.3rem; line-height: 1.35; font-weight: 650; margin: .25rem 0 0 }
.verdict.none { border-color: var(--none) } .verdict.server { border-color: var(--server) } .verdict.client { border-color: var(--client) }
table { border-collapse: collapse; width: 100%; margin-top: .5rem; font-variant-numeric: tabular-nums } tr { border-top: 1px solid var(--line) }
th { text-align: left; font-weight: 400; color: var(--soft); white-space: nowrap; vertical-align: top; width: 10rem } th, td { padding: .35rem 1rem .35rem 0 }
.plots { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 28rem), 1fr)) }
figure { margin: 0; background: var(--box); border-radius: .5rem; padding: 1rem }
figcaption > span, figure p { color: var(--soft) } figure p { margin: .25rem 0 0 } figure ul { display: flex; flex-wrap: wrap; gap: 0 1.25rem; list-style: none; margin: 0; padding: 0 }
.key { width: 28px; height: 8px; margin-right: .5rem; vertical-align: middle }
.plot { display: grid; grid-template: 11rem 1.5rem / 3.75rem 1fr; margin: .75rem 1rem 0 0; font-size: .8rem; color: var(--soft); font-variant-numeric: tabular-nums }
.plot svg { grid-area: 1 / 2; width: 100%; height: 100%; display: block; overflow: visible }
.values { grid-area: 1 / 1; position: relative } .values span { position: absolute; right: .6rem; transform: translateY(50%) }
.times { grid-area: 2 / 2; position: relative } .times span { position: absolute; top: .3rem; transform: translateX(-50%); white-space: nowrap }
.plot path, .line { vector-effect: non-scaling-stroke } .grid { stroke: var(--line) } .mark { stroke: var(--server); stroke-width: 2; stroke-dasharray: 2 4 }
.line { fill: none; stroke-width: 2; stroke-linejoin: round } .l0 { stroke: var(--c0) } .l1 { stroke: var(--c1); stroke-dasharray: 8 3 }
.l2 { stroke: var(--c2); stroke-dasharray: 3 3 } .l3 { stroke: var(--c3); stroke-dasharray: 9 3 2 3 }
@media (max-width: 36rem) { th, td { display: block; width: auto; padding: 0 } th { padding-top: .35rem } td { padding-bottom: .35rem } }
@media print { body { max-width: none } figure, .verdict { break-inside: avoid } }
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
            crowd: "3 listeners".to_owned(),
            machine: "a machine".to_owned(),
        };
        let page = html(&heading, &evidence);
        assert!(!page.contains("<script") && !page.contains("<b>"));
        assert!(!page.contains("src=") && !page.contains("href=") && !page.contains("url("));
        assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
        assert_eq!(page.matches("<figure>").count(), 6);
        // Memory was not seen, and nothing happened besides.
        assert_eq!(page.matches("role=\"img\" aria-label=").count(), 1);
        assert_eq!(page.matches("Not seen from here").count(), 1);
        assert_eq!(page.matches("<p>None.</p>").count(), 4);
        assert!(!page.contains(">server</li>"));
        assert!(
            page.contains("<title>") && page.contains("<main>") && page.contains(" lang=\"en\"")
        );
        assert!(page.contains(">2026-12-01, 20:00:00 UTC</time>"));
    }
}
