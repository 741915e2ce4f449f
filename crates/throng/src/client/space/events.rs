//! `throng space events`: what happens in a space, a line for each event, without an end.
//!
//! A stream that is cut is taken up again after the event that was read last; nothing is missed that the server still has.

use std::io::{BufRead, BufReader, Read, Write};
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use super::DeskArgs;
use crate::client::Error;

/// Pause before a stream that was cut is taken up again.
const COME_BACK: Duration = Duration::from_secs(2);
/// Longest line that is read: a space with all its chapters and seats has some 100 KB.
const LINE_MAX: u64 = 1 << 20;

/// One event.
#[derive(Debug, Default, PartialEq)]
struct Event {
    id: String,
    name: String,
    data: String,
}

/// Prints events until the space is gone or nobody reads any more.
pub(super) fn run(desk: &DeskArgs, slug: &str, output: &mut dyn Write) -> Result<(), Error> {
    let path = format!("/api/spaces/{slug}/events");
    let mut last = None;
    loop {
        let answer = match desk.follow(&path, last.as_deref()) {
            Ok(answer) => answer,
            // What was followed once may be back in a moment.
            Err(Error::Unreachable { .. }) if last.is_some() => {
                sleep(COME_BACK);
                continue;
            }
            Err(error) => return Err(error),
        };
        let mut lines = BufReader::new(answer);
        while let Some(event) = next(&mut lines) {
            print(desk.json, &event, output)?;
            last = Some(event.id);
        }
        sleep(COME_BACK);
    }
}

/// The next event of a stream (WHATWG HTML section 9.2.6), as far as ours uses it; `None` where the stream has ended.
fn next(lines: &mut impl BufRead) -> Option<Event> {
    let mut event = Event::default();
    loop {
        let mut line = String::new();
        let read = lines.by_ref().take(LINE_MAX).read_line(&mut line).ok()?;
        if read == 0 {
            return None;
        }
        let line = line.trim_end_matches(['\r', '\n']);
        if line.is_empty() {
            if !event.name.is_empty() {
                return Some(event);
            }
            continue;
        }
        match line.split_once(": ") {
            Some(("id", id)) => id.clone_into(&mut event.id),
            Some(("event", name)) => name.clone_into(&mut event.name),
            Some(("data", data)) => data.clone_into(&mut event.data),
            _ => {}
        }
    }
}

fn print(as_json: bool, event: &Event, output: &mut dyn Write) -> Result<(), Error> {
    let data: Value = serde_json::from_str(&event.data).unwrap_or_default();
    if as_json {
        let id: u64 = event.id.parse().unwrap_or_default();
        let line = json!({ "id": id, "event": event.name, "data": data });
        writeln!(output, "{line}")?;
    } else {
        writeln!(output, "{:<10}{}", event.name, in_words(&event.name, &data))?;
    }
    Ok(output.flush()?)
}

fn in_words(name: &str, data: &Value) -> String {
    let text = |field: &str| data[field].as_str().unwrap_or("-").to_owned();
    let list = |field: &str| data[field].as_array().cloned().unwrap_or_default();
    match name {
        "reset" | "space" => format!("{}: {}", text("state"), text("title")),
        "counts" => format!("{} listening, {} at most", data["listening"], data["peak"]),
        "alarms" => {
            let alarms = list("alarms");
            let titles: Vec<_> = alarms
                .iter()
                .filter_map(|alarm| alarm["title"].as_str())
                .collect();
            if titles.is_empty() {
                "none".to_owned()
            } else {
                titles.join("; ")
            }
        }
        "chapters" => format!("{} chapters", list("chapters").len()),
        "seats" => {
            let seats = list("speakers");
            let talking = |seat: &&Value| seat["talking"].as_bool() == Some(true);
            let here = |seat: &&Value| seat["connected"].as_bool() == Some(true);
            let (here, talk) = (
                seats.iter().filter(here).count(),
                seats.iter().filter(talking).count(),
            );
            format!("{here} of {} on stage, {talk} talk", seats.len())
        }
        _ => data.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_as_they_stand_and_remarks_are_passed_over() {
        let stream = "retry: 2000\n\nid: 7\nevent: space\ndata: {\"state\":\"live\"}\n\n: beat\n\nid: 8\r\nevent: counts\r\ndata: {}\r\n\r\nid: 9\n";
        let mut lines = stream.as_bytes();
        let event = |id: &str, name: &str, data: &str| {
            Some(Event {
                id: id.to_owned(),
                name: name.to_owned(),
                data: data.to_owned(),
            })
        };
        assert_eq!(
            next(&mut lines),
            event("7", "space", "{\"state\":\"live\"}")
        );
        assert_eq!(next(&mut lines), event("8", "counts", "{}"));
        assert_eq!(next(&mut lines), None, "what was cut is no event");
    }

    #[test]
    fn an_event_is_a_line_of_json_or_of_words() {
        let event = Event {
            id: "7".to_owned(),
            name: "space".to_owned(),
            data: "{\"state\":\"live\",\"title\":\"A\"}".to_owned(),
        };
        let printed = |as_json| {
            let mut output = Vec::new();
            print(as_json, &event, &mut output).unwrap();
            String::from_utf8(output).unwrap()
        };
        assert_eq!(printed(false), "space     live: A\n");
        let told: Value = serde_json::from_str(&printed(true)).unwrap();
        assert_eq!((&told["id"], &told["event"]), (&json!(7), &json!("space")));
        assert_eq!(told["data"]["state"], "live");
    }
}
