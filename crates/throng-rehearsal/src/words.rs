//! A summary in words, for the terminal and the report alike. Pure.

use std::collections::BTreeMap;

use crate::verdict::{Limit, Percentiles, Summary};

/// What a rehearsal has shown, in a sentence.
pub fn verdict(summary: &Summary) -> String {
    match summary.limit {
        Limit::None => format!(
            "Nothing gave way: {} listeners at once, nobody missed anything.",
            summary.held_peak
        ),
        Limit::Server => format!(
            "The server gave way. It held {} at once before anybody was left without.",
            summary.slots
        ),
        Limit::Client => {
            "The crowd itself gave way first: this says nothing about the server.".to_owned()
        }
    }
}

/// The figures, by name.
pub fn figures(summary: &Summary) -> Vec<(&'static str, String)> {
    let Summary {
        asked,
        joined,
        failed,
        held_peak,
        ..
    } = summary;
    let gaps = summary.gaps;
    let mut rows = vec![
        (
            "listeners",
            format!("{asked} asked, {joined} joined, {held_peak} at once, {failed} failed"),
        ),
        (
            "joins",
            format!(
                "{}; {} /s at most",
                times(summary.join_ms),
                summary.joins_per_second_peak
            ),
        ),
        ("first sound", times(summary.first_sound_ms)),
        (
            "gaps",
            format!(
                "{} for {} listeners, the longest {} ms",
                gaps.count, gaps.listeners, gaps.longest_ms
            ),
        ),
        (
            "longest wait",
            format!("{} ms between two deliveries", summary.longest_wait_ms),
        ),
        (
            "delivered",
            format!(
                "{} s of sound, {}",
                summary.delivered_audio_seconds,
                megabytes(summary.delivered_bytes)
            ),
        ),
        ("server", server(summary)),
        (
            "crowd",
            format!(
                "{:.1} s of CPU, {:.1} us for a second of sound; longest lag {} ms",
                summary.client_cpu_seconds,
                summary.client_cpu_us_per_audio_second,
                summary.client_lag_ms
            ),
        ),
    ];
    rows.extend(exceptions(summary));
    rows.push(("slots", summary.slots.to_string()));
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

fn server(summary: &Summary) -> String {
    let (Some(used), Some(each)) = (
        summary.server_cpu_seconds,
        summary.server_cpu_us_per_audio_second,
    ) else {
        return "not seen".to_owned();
    };
    let memory = megabytes(summary.server_memory_bytes.unwrap_or(0));
    let sockets = summary
        .socket_memory_bytes
        .map_or_else(String::new, |bytes| {
            format!(", TCP sockets of both sides {}", megabytes(bytes))
        });
    format!("{used:.1} s of CPU, {each:.1} us for a second of sound; memory {memory}{sockets}")
}

fn times(of: Percentiles) -> String {
    format!(
        "p50 {} ms, p99 {} ms, longest {} ms",
        of.p50, of.p99, of.max
    )
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", bytes / 1_000_000)
}

fn listed(counts: &BTreeMap<String, u64>) -> String {
    let each = counts
        .iter()
        .map(|(reason, count)| format!("{count} {reason}"));
    each.collect::<Vec<_>>().join(", ")
}
