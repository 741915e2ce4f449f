//! A summary in words, for the terminal and the report alike. Pure.

use std::collections::BTreeMap;

use crate::verdict::{Evidence, Limit, Percentiles, Second, Summary};

/// What a rehearsal has shown: what gave way first, when and how.
pub fn verdict(evidence: &Evidence) -> String {
    match evidence.limit() {
        Limit::None => format!(
            "Nothing gave way: {} listeners at once, nobody missed anything.",
            grouped(evidence.tally.held_peak)
        ),
        Limit::Server => format!(
            "The server gave way{}. It held {} at once before anybody was left without.",
            evidence.first_trouble().map(trouble).unwrap_or_default(),
            grouped(evidence.slots())
        ),
        Limit::Client => format!(
            "The crowd itself gave way first: {}. This says nothing about the server.",
            want(evidence)
        ),
    }
}

/// When somebody was first left without, and how.
fn trouble(second: &Second) -> String {
    let counts = [
        (second.gaps, "gaps"),
        (second.failed, "failed"),
        (second.refused, "refused"),
        (second.lost, "lost"),
    ];
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let counts = counts.map(|(count, what)| format!("{} {what}", grouped(*count)));
    format!(
        " after {} s, when {} heard: {}",
        second.at_ms.div_ceil(1_000),
        grouped(second.listening),
        counts.collect::<Vec<_>>().join(", ")
    )
}

/// Of what the crowd was short.
fn want(evidence: &Evidence) -> String {
    let tally = &evidence.tally;
    if evidence.agents_lost > 0 {
        return format!("{} of its agents died", evidence.agents_lost);
    }
    match tally.own_limits {
        0 => format!(
            "its loops stood still for up to {} ms",
            tally.longest_lag_us / 1_000
        ),
        short => format!(
            "{} times it had no descriptor or port to connect with",
            grouped(short)
        ),
    }
}

/// A number in groups of three digits.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The figures, by name.
pub fn figures(summary: &Summary) -> Vec<(&'static str, String)> {
    let gaps = summary.gaps;
    let mut rows = vec![
        (
            "listeners",
            format!(
                "{} asked, {} joined, {} at once, {} failed",
                grouped(summary.asked.into()),
                grouped(summary.joined),
                grouped(summary.held_peak),
                grouped(summary.failed)
            ),
        ),
        (
            "joins",
            format!(
                "{}; at most {} per second",
                times(summary.join_ms),
                grouped(summary.joins_per_second_peak)
            ),
        ),
        ("first sound", times(summary.first_sound_ms)),
        (
            "gaps",
            match gaps.count {
                0 => "none".to_owned(),
                count => format!(
                    "{} for {} listeners, the longest {} ms",
                    grouped(count),
                    grouped(gaps.listeners),
                    grouped(gaps.longest_ms)
                ),
            },
        ),
        (
            "longest wait",
            format!(
                "{} ms between two deliveries",
                grouped(summary.longest_wait_ms)
            ),
        ),
        (
            "delivered",
            format!(
                "{} s of sound, {}",
                grouped(summary.delivered_audio_seconds),
                size(summary.delivered_bytes)
            ),
        ),
    ];
    rows.extend(server(summary));
    let used = cpu(
        summary.client_cpu_seconds,
        summary.client_cpu_us_per_audio_second,
    );
    let lag = grouped(summary.client_lag_ms);
    rows.push(("crowd", format!("{used}; longest lag {lag} ms")));
    rows.extend(exceptions(summary));
    let slots = match summary.limit {
        Limit::Client => "none: nothing was shown".to_owned(),
        _ => format!("{}, which a certificate grants", grouped(summary.slots)),
    };
    rows.push(("slots", slots));
    rows
}

/// What is only told where there was any.
fn exceptions(summary: &Summary) -> Vec<(&'static str, String)> {
    let refused = ("refused", listed(&summary.refused_by_reason));
    let troubles = ("troubles", listed(&summary.troubles));
    let mut rows = vec![refused, troubles];
    let shaken = summary.handshakes;
    if shaken.made + shaken.failed > 0 {
        let words = format!(
            "{} done, {} of them resumed, {} failed; {}",
            shaken.made,
            shaken.resumed,
            shaken.failed,
            times(shaken.ms)
        );
        rows.push(("TLS handshakes", words));
    }
    if summary.misbehaved > 0 {
        let words = format!(
            "{} connections, {} shown out",
            summary.misbehaved, summary.shown_out
        );
        rows.push(("misbehaving", words));
    }
    rows.retain(|(_, words)| !words.is_empty());
    rows.extend(places(summary));
    rows
}

/// Where agents ran, when that is not simply here.
fn places(summary: &Summary) -> Vec<(&'static str, String)> {
    let simply_here = summary.places.len() < 2
        && summary.agents_lost == 0
        && summary.places.iter().all(|place| place.at == "here");
    let mut rows = Vec::new();
    for place in summary.places.iter().filter(|_| !simply_here) {
        let lost = match place.lost {
            0 => String::new(),
            lost => format!(" ({lost} LOST)"),
        };
        let words = format!(
            "{}: {} agents{lost}, {} joined, {} failed, {} gaps, {}.{} s of CPU, longest lag {} ms",
            place.at,
            place.agents,
            place.joined,
            place.failed,
            place.gaps,
            place.cpu_ms / 1_000,
            place.cpu_ms % 1_000 / 100,
            place.lag_ms
        );
        rows.push(("agents", words));
    }
    rows
}

/// What the server used, where that can be seen.
fn server(summary: &Summary) -> Vec<(&'static str, String)> {
    let (Some(used), Some(each)) = (
        summary.server_cpu_seconds,
        summary.server_cpu_us_per_audio_second,
    ) else {
        return vec![("server", "not seen from here".to_owned())];
    };
    let memory = size(summary.server_memory_bytes.unwrap_or(0));
    let sockets = summary
        .socket_memory_bytes
        .map_or_else(String::new, |bytes| {
            format!(", TCP sockets of both sides {}", size(bytes))
        });
    vec![
        ("server", cpu(used, each)),
        ("memory", format!("at most {memory}{sockets}")),
    ]
}

fn cpu(seconds: f64, each_us: f64) -> String {
    format!("{seconds:.1} s of CPU, {each_us:.1} µs for a second of sound")
}

fn times(of: Percentiles) -> String {
    format!(
        "p50 {} ms, p99 {} ms, longest {} ms",
        grouped(of.p50),
        grouped(of.p99),
        grouped(of.max)
    )
}

fn size(bytes: u64) -> String {
    match bytes / 1_000_000 {
        0..10 => format!("{} kB", grouped(bytes / 1_000)),
        megabytes => format!("{} MB", grouped(megabytes)),
    }
}

fn listed(counts: &BTreeMap<String, u64>) -> String {
    let each = counts
        .iter()
        .map(|(reason, count)| format!("{} {reason}", grouped(*count)));
    each.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::Tally;

    #[test]
    fn numbers_are_read_in_groups_of_three() {
        let numbers = [0, 12, 999, 1_000, 1_234_567].map(grouped);
        assert_eq!(numbers, ["0", "12", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn a_verdict_says_when_and_how_somebody_was_left_without() {
        let second = |at_ms, listening, gaps, lost| Second {
            at_ms,
            listening,
            lost,
            gaps,
            ..Second::default()
        };
        let mut evidence = Evidence {
            asked: 2_000,
            tally: Tally {
                joined: 2_000,
                gaps: 3,
                ..Tally::default()
            },
            seconds: vec![second(10_500, 1_500, 0, 0), second(11_500, 2_000, 3, 1)],
            ..Evidence::default()
        };
        assert_eq!(
            verdict(&evidence),
            "The server gave way after 12 s, when 2,000 heard: 3 gaps, 1 lost. \
             It held 1,500 at once before anybody was left without."
        );
        evidence.tally.longest_lag_us = 700_000;
        assert_eq!(
            verdict(&evidence),
            "The crowd itself gave way first: its loops stood still for up to 700 ms. \
             This says nothing about the server."
        );
        evidence.agents_lost = 1;
        assert!(verdict(&evidence).contains("1 of its agents died"));
    }
}
