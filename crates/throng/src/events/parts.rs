//! Which parts of a space have changed since it was last looked at. Pure.
//!
//! The document of a space falls into parts, each an event of its own: what belongs together is told together, and whoever
//! follows lays it over what he has.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Counts move all the time: they are told at most this often.
const COUNTS_EVERY_MS: u64 = 5_000;

/// A part of a space, and the event by which it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Space,
    Seats,
    Alarms,
    Chapters,
    Counts,
}

impl Part {
    const fn name(self) -> &'static str {
        match self {
            Self::Space => "space",
            Self::Seats => "seats",
            Self::Alarms => "alarms",
            Self::Chapters => "chapters",
            Self::Counts => "counts",
        }
    }

    /// The part to which a field belongs; one that is not named here is of the space itself.
    fn of(field: &str) -> Self {
        match field {
            "speakers" | "seats" | "stage_locked" => Self::Seats,
            "alarms" => Self::Alarms,
            "chapters" => Self::Chapters,
            "listening" | "peak" | "joined" | "queued" | "newest_segment" | "recording" => {
                Self::Counts
            }
            _ => Self::Space,
        }
    }
}

/// What was told last.
#[derive(Default)]
pub(super) struct Told {
    /// Without what moves by itself.
    parts: BTreeMap<Part, Map<String, Value>>,
    counted_ms: u64,
}

impl Told {
    /// The events by which a document differs from what was told.
    pub(super) fn changes(&mut self, document: &Value, now_ms: u64) -> Vec<(&'static str, Value)> {
        let mut changes = Vec::new();
        for (part, fields) in split(document) {
            let is_soon = now_ms < self.counted_ms.saturating_add(COUNTS_EVERY_MS);
            let settled = settled(&fields);
            if self.parts.get(&part) == Some(&settled) || part == Part::Counts && is_soon {
                continue;
            }
            if part == Part::Counts {
                self.counted_ms = now_ms;
            }
            self.parts.insert(part, settled);
            changes.push((part.name(), Value::Object(fields)));
        }
        changes
    }
}

fn split(document: &Value) -> BTreeMap<Part, Map<String, Value>> {
    let mut parts: BTreeMap<Part, Map<String, Value>> = BTreeMap::new();
    for (field, value) in document.as_object().into_iter().flatten() {
        let value = match field.as_str() {
            "speakers" => without_levels(value.clone()),
            _ => value.clone(),
        };
        let part = parts.entry(Part::of(field)).or_default();
        part.insert(field.clone(), value);
    }
    parts
}

/// A part without what is another at every look and tells nothing new: what the node's clock shows, and when those at the
/// desk were seen, who ask all the time. It is told along with what has changed.
fn settled(fields: &Map<String, Value>) -> Map<String, Value> {
    let mut settled = fields.clone();
    settled.remove("now");
    let at_desk = settled.get_mut("at_desk").and_then(Value::as_array_mut);
    for one in at_desk.into_iter().flatten() {
        if let Some(one) = one.as_object_mut() {
            one.remove("seen_at");
        }
    }
    settled
}

/// A level is another at every look: whoever wants a meter asks for it.
fn without_levels(mut seats: Value) -> Value {
    for seat in seats.as_array_mut().into_iter().flatten() {
        if let Some(seat) = seat.as_object_mut() {
            seat.remove("level_dbov");
        }
    }
    seats
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn space(state: &str, listening: u64, level_dbov: f64, talking: bool) -> Value {
        json!({
            "slug": "a", "state": state, "listening": listening, "alarms": [],
            "speakers": [{ "seat": 1, "talking": talking, "level_dbov": level_dbov }],
        })
    }

    /// The same with these at its desk, when the clock shows so much.
    fn at_desk(roles: &[&str], now: u32) -> Value {
        let mut space = space("doors", 1, -30.0, false);
        let seen = |role: &&str| json!({ "role": role, "seen_at": now });
        space["now"] = json!(now);
        space["at_desk"] = roles.iter().map(seen).collect();
        space
    }

    fn names(changes: &[(&'static str, Value)]) -> Vec<&'static str> {
        changes.iter().map(|(name, _)| *name).collect()
    }

    #[test]
    fn only_what_has_changed_is_told_and_a_level_is_no_change() {
        let mut told = Told::default();
        let first = told.changes(&space("doors", 1, -30.0, false), 9_000);
        assert_eq!(names(&first), ["space", "seats", "alarms", "counts"]);
        assert_eq!(told.changes(&space("doors", 1, -20.0, false), 99_000), []);
        let live = told.changes(&space("live", 1, -20.0, false), 99_000);
        assert_eq!(live, [("space", json!({ "slug": "a", "state": "live" }))]);
        let talks = told.changes(&space("live", 1, -20.0, true), 99_000);
        let seat = json!({ "speakers": [{ "seat": 1, "talking": true }] });
        assert_eq!(talks, [("seats", seat)]);
    }

    #[test]
    fn time_that_passes_is_no_change_and_is_told_along_with_one() {
        let mut told = Told::default();
        told.changes(&at_desk(&["host"], 1), 9_000);
        assert_eq!(told.changes(&at_desk(&["host"], 2), 99_000), []);
        let come = told.changes(&at_desk(&["host", "cohost"], 3), 99_000);
        let space = json!({
            "slug": "a", "state": "doors", "now": 3,
            "at_desk": [{ "role": "host", "seen_at": 3 }, { "role": "cohost", "seen_at": 3 }],
        });
        assert_eq!(come, [("space", space)]);
        let gone = told.changes(&at_desk(&[], 4), 99_000);
        assert_eq!(names(&gone), ["space"]);
    }

    #[test]
    fn counts_are_told_every_five_seconds_at_most_and_the_last_is_not_lost() {
        let mut told = Told::default();
        told.changes(&space("live", 1, 0.0, false), 10_000);
        assert_eq!(told.changes(&space("live", 2, 0.0, false), 14_999), []);
        let counted = told.changes(&space("live", 2, 0.0, false), 15_000);
        assert_eq!(counted, [("counts", json!({ "listening": 2 }))]);
    }
}
