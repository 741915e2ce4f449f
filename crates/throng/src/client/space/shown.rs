//! What the host has set, in words: the stage seat by seat, the channels, and how long the recording is kept.

use std::fmt::Write;

use serde_json::Value;

/// The lines that `show` adds; nothing of what the answer does not tell.
pub(super) fn lines(space: &Value) -> String {
    let mut lines = String::new();
    let mut line = |label: &str, words: &str| {
        writeln!(lines, "{label:<12}{words}").expect("writing to a string does not fail");
    };
    if let Some(locked) = space["stage_locked"].as_bool() {
        let words = if locked {
            "locked: nobody new takes a seat"
        } else {
            "open"
        };
        line("stage", words);
    }
    for seat in space["speakers"].as_array().into_iter().flatten() {
        let label = format!("seat {}", seat["seat"].as_u64().unwrap_or_default());
        line(&label, &words_of_seat(seat));
    }
    if let Some(stereo) = space["stereo"].as_bool() {
        line("sound", if stereo { "stereo" } else { "mono" });
    }
    if let Some(kept) = kept(space) {
        line("recording", &kept);
    }
    let chapters = space["chapters"].as_array().map_or(0, Vec::len);
    if chapters > 0 {
        line("chapters", &chapters.to_string());
    }
    lines
}

fn words_of_seat(seat: &Value) -> String {
    let is = |name: &str| seat[name].as_bool().unwrap_or_default();
    let here = match (is("connected"), is("talking"), is("has_link")) {
        (true, true, _) => "talks",
        (true, false, _) => "here",
        (false, _, true) => "not here",
        (false, _, false) => "not here, and its link opens nothing any more",
    };
    let mut words = vec![here.to_owned()];
    if is("muted_by_host") {
        words.push("muted by the host".to_owned());
    }
    if is("muted_by_self") {
        words.push("muted by themselves".to_owned());
    }
    match seat["gain_db"].as_i64() {
        Some(0) | None => {}
        Some(gain_db) => words.push(format!("{gain_db:+} dB")),
    }
    if seat["admitted"].as_bool() == Some(false) {
        words.push("not let in while the stage is locked".to_owned());
    }
    words.join(", ")
}

fn kept(space: &Value) -> Option<String> {
    let text = |name: &str| space[name].as_str();
    if let Some(at) = text("recording_deleted_at") {
        let by = match text("recording_deleted_by") {
            Some("time") => "as long as it was to be kept",
            _ => "then it was deleted",
        };
        return Some(format!("was here until {at}: {by}"));
    }
    match (
        text("recording_until"),
        space["keep_recording_days"].as_u64(),
    ) {
        (Some(until), _) => Some(format!("kept until {until}")),
        (None, Some(1)) => Some("kept for a day after the end".to_owned()),
        (None, Some(days)) => Some(format!("kept for {days} days after the end")),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn mutes_gains_the_lock_and_the_channels_are_told_in_words() {
        let space = json!({
            "stage_locked": true,
            "speakers": [
                { "seat": 1, "connected": true, "talking": true, "has_link": true, "gain_db": 3, "admitted": true },
                { "seat": 2, "connected": true, "talking": false, "has_link": true, "gain_db": -6, "admitted": true,
                  "muted_by_host": true, "muted_by_self": true },
                { "seat": 3, "connected": false, "has_link": false, "gain_db": 0, "admitted": false },
            ],
            "stereo": true, "keep_recording_days": 30, "chapters": [{}, {}],
        });
        assert_eq!(
            lines(&space),
            "stage       locked: nobody new takes a seat\n\
             seat 1      talks, +3 dB\n\
             seat 2      here, muted by the host, muted by themselves, -6 dB\n\
             seat 3      not here, and its link opens nothing any more, not let in while the stage is locked\n\
             sound       stereo\n\
             recording   kept for 30 days after the end\n\
             chapters    2\n"
        );
        let gone = json!({ "recording_deleted_at": "T", "recording_deleted_by": "host" });
        assert_eq!(
            lines(&gone),
            "recording   was here until T: then it was deleted\n"
        );
    }
}
