//! Chapters in JSON: for players (Podcasting 2.0, JSON chapters 1.2.0), the same text for everyone, and for the desk.

use schemars::JsonSchema;
use serde::Serialize;
use throng_air::document::Document;
use throng_core::caching::BRIEF;
use throng_core::space::{Chapter, Space};

/// What players know the file by.
pub(crate) const CONTENT_TYPE: &str = "application/json+chapters";

/// What begins where in the recording.
#[derive(Serialize)]
struct ChaptersJson<'a> {
    version: &'static str,
    chapters: Vec<StartJson<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StartJson<'a> {
    /// Seconds of the recording.
    start_time: f64,
    title: &'a str,
}

/// A chapter as the desk shows it.
#[derive(Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Chapter")]
pub(crate) struct ChapterJson {
    /// Names it in paths.
    id: u32,
    /// Where it begins, in seconds of the recording.
    at_seconds: f64,
    title: String,
}

impl From<&Chapter> for ChapterJson {
    fn from(chapter: &Chapter) -> Self {
        Self {
            id: chapter.id,
            at_seconds: seconds(chapter.at_ms),
            title: chapter.title.clone(),
        }
    }
}

/// `chapters.json` of a space.
pub(crate) fn document(space: &Space) -> Document {
    let chapters = space.chapters.iter().map(|chapter| StartJson {
        start_time: seconds(chapter.at_ms),
        title: &chapter.title,
    });
    let told = ChaptersJson {
        version: "1.2.0",
        chapters: chapters.collect(),
    };
    let text = serde_json::to_string(&told).expect("plain fields always serialise");
    Document::new(text, CONTENT_TYPE, BRIEF)
}

#[allow(
    clippy::cast_precision_loss,
    reason = "seconds of a recording stay far below 2^52 ms"
)]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use throng_core::space::{Act, Actor};

    use super::*;
    use crate::sample;

    #[test]
    fn players_read_where_each_chapter_begins() {
        let mut space = sample::announced(sample::MOMENT);
        let told = |space: &Space| String::from_utf8(document(space).plain().to_vec()).unwrap();
        assert_eq!(told(&space), r#"{"version":"1.2.0","chapters":[]}"#);
        let mut act = |ms, act| {
            let now = sample::MOMENT.plus_ms(ms);
            space.apply(now, Actor::Host, act).unwrap();
        };
        act(0, Act::GoLive);
        for (at_ms, title) in [(12_500, "Questions \"and\" answers"), (0, "Welcome")] {
            let (at_ms, title) = (Some(at_ms), title.to_owned());
            act(20_000, Act::MarkChapter { at_ms, title });
        }
        assert_eq!(
            told(&space),
            r#"{"version":"1.2.0","chapters":[{"startTime":0.0,"title":"Welcome"},{"startTime":12.5,"title":"Questions \"and\" answers"}]}"#
        );
    }
}
