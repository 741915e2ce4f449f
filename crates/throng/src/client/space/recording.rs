//! The commands about a recording: its chapters, for how long it is kept, and that it goes.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use throng_core::space::KEEP_DAYS_MAX;

use super::Slug;

/// What can be done about a recording.
#[derive(Clone, Debug, Subcommand)]
pub enum RecordingCommand {
    /// Mark a chapter: now, while the space is live, or at a second of the recording.
    Chapter {
        /// The space.
        #[command(flatten)]
        space: Slug,
        /// What begins there.
        #[arg(long)]
        title: String,
        /// Where it begins, in seconds of the recording, such as 754.5.
        #[arg(long, value_name = "SECONDS")]
        at: Option<f64>,
    },
    /// Mark a chapter wherever somebody takes the word for half a minute or more, but where one begins already.
    ChaptersFromTurns(Slug),
    /// List the chapters of a space with their numbers.
    Chapters(Slug),
    /// Move or rename a chapter.
    EditChapter {
        /// The chapter.
        #[command(flatten)]
        chapter: Chapter,
        /// What begins there.
        #[arg(long, required_unless_present = "at")]
        title: Option<String>,
        /// Where it begins, in seconds of the recording.
        #[arg(long, value_name = "SECONDS")]
        at: Option<f64>,
    },
    /// Remove a chapter.
    RemoveChapter(Chapter),
    /// Say for how long the recording is kept after the end. Then it is deleted for good; the space and its link stay.
    KeepRecording {
        /// The space.
        #[command(flatten)]
        space: Slug,
        /// For how many days; without it for ever, as it is where nothing is said.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(KEEP_DAYS_MAX)))]
        days: Option<u32>,
    },
    /// Delete the recording of a space that has ended, for good. The space, its link and its numbers stay, and say so.
    DeleteRecording(Slug),
}

/// The chapter that is meant.
#[derive(Args, Clone, Debug)]
pub struct Chapter {
    /// The space.
    #[command(flatten)]
    pub space: Slug,
    /// Its number, as `chapters` lists it.
    #[arg(value_name = "CHAPTER")]
    pub id: u32,
}

impl Chapter {
    fn path(&self) -> String {
        format!("/{}/chapters/{}", self.space.slug, self.id)
    }
}

fn fields(title: Option<&String>, at: Option<f64>) -> Value {
    let mut fields = Map::new();
    if let Some(title) = title {
        fields.insert("title".to_owned(), json!(title));
    }
    if let Some(at) = at {
        fields.insert("at_seconds".to_owned(), json!(at));
    }
    Value::Object(fields)
}

impl RecordingCommand {
    /// Method, path under `/api/spaces` and body.
    pub(super) fn request(&self) -> (&'static str, String, Option<Value>) {
        match self {
            Self::Chapter { space, title, at } => {
                let path = format!("/{}/chapters", space.slug);
                ("POST", path, Some(fields(Some(title), *at)))
            }
            Self::ChaptersFromTurns(space) => {
                let path = format!("/{}/chapters/from-turns", space.slug);
                ("POST", path, None)
            }
            Self::Chapters(space) => ("GET", format!("/{}", space.slug), None),
            Self::EditChapter { chapter, title, at } => {
                ("PATCH", chapter.path(), Some(fields(title.as_ref(), *at)))
            }
            Self::RemoveChapter(chapter) => ("DELETE", chapter.path(), None),
            Self::KeepRecording { space, days } => {
                let change = json!({ "keep_recording_days": days });
                ("PATCH", format!("/{}", space.slug), Some(change))
            }
            Self::DeleteRecording(space) => ("DELETE", format!("/{}/recording", space.slug), None),
        }
    }

    /// What the answer comes to, as JSON: of a space, its chapters where those were asked for.
    pub(super) fn told(&self, answer: Value) -> Value {
        match self {
            Self::Chapters(_) => json!({ "chapters": answer["chapters"] }),
            _ => answer,
        }
    }

    /// The answer for a person's eyes.
    pub(super) fn in_words(&self, answer: &Value) -> String {
        match self {
            Self::Chapter { .. } | Self::EditChapter { .. } => line_of_chapter(answer),
            Self::Chapters(_) => lines_of_chapters(answer).unwrap_or_else(|| {
                "no chapters yet: throng space chapter SLUG --title …\n".to_owned()
            }),
            Self::ChaptersFromTurns(_) => lines_of_chapters(answer).unwrap_or_else(|| {
                "none is marked: nobody else has had the word for half a minute\n".to_owned()
            }),
            Self::RemoveChapter(chapter) => format!("chapter {} is removed\n", chapter.id),
            Self::KeepRecording { days: None, .. } => "the recording is kept for ever\n".to_owned(),
            Self::KeepRecording { days: Some(1), .. } => {
                "the recording is kept for a day after the end, and then deleted\n".to_owned()
            }
            Self::KeepRecording {
                days: Some(days), ..
            } => {
                format!("the recording is kept for {days} days after the end, and then deleted\n")
            }
            Self::DeleteRecording(_) => {
                "the recording is gone; the space and its link stay, and say so\n".to_owned()
            }
        }
    }
}

/// A line for each; none without any.
fn lines_of_chapters(answer: &Value) -> Option<String> {
    let chapters = answer["chapters"].as_array()?;
    let lines = chapters.iter().map(line_of_chapter);
    (!chapters.is_empty()).then(|| lines.collect())
}

fn line_of_chapter(chapter: &Value) -> String {
    let id = chapter["id"].as_u64().unwrap_or_default();
    let title = chapter["title"].as_str().unwrap_or("-");
    format!("{id:>4}  {}  {title}\n", clock(&chapter["at_seconds"]))
}

/// `1:02:03.5`: hours, minutes and seconds of the recording.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "seconds of a recording are few and not negative"
)]
fn clock(seconds: &Value) -> String {
    let tenths = (seconds.as_f64().unwrap_or_default() * 10.0) as u64;
    let (seconds, tenth) = (tenths / 10, tenths % 10);
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{hours}:{minutes:02}:{seconds:02}.{tenth}")
}
