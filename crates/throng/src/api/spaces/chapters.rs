//! Chapters over the API: marked while live, or afterwards; moved, renamed, removed.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use throng_core::space::{Act, CHAPTER_TITLE_CHARS_MAX};

use super::refusals::act_problem;
use super::{Answer, parse, uncached};
use crate::api::Desk;
use crate::api::problem::Problem;
use crate::chapters::ChapterJson;

/// A chapter that begins.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewChapter")]
pub(crate) struct MarkBody {
    /// One line.
    #[schemars(length(min = 1, max = CHAPTER_TITLE_CHARS_MAX))]
    title: String,
    /// Where it begins, in seconds of the recording; now, while the space is live.
    #[schemars(range(min = 0.0))]
    at_seconds: Option<f64>,
}

/// The chapters that were marked.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MarkedChapters")]
pub(crate) struct MarkedJson {
    /// In their order; none where nobody has had the word for half a minute, or all are marked already.
    chapters: Vec<ChapterJson>,
}

/// What is to be changed of a chapter; an absent field leaves things as they are.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ChapterEdit")]
pub(crate) struct ChapterBody {
    /// One line.
    #[schemars(length(min = 1, max = CHAPTER_TITLE_CHARS_MAX))]
    title: Option<String>,
    /// Where it begins, in seconds of the recording.
    #[schemars(range(min = 0.0))]
    at_seconds: Option<f64>,
}

/// `POST …/chapters`.
pub(in crate::api) async fn mark(
    State(desk): State<Arc<Desk>>,
    Path(slug): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let handle = desk.space(&slug)?;
    let actor = desk.actor(&handle, &headers)?;
    let MarkBody { title, at_seconds } = parse(&body)?;
    let at_ms = at_seconds.map(milliseconds).transpose()?;
    let act = Act::MarkChapter { at_ms, title };
    let space = handle.act(actor, act).await.map_err(act_problem)?;
    let marked = space.chapters.newest().map(ChapterJson::from);
    Ok((StatusCode::CREATED, uncached(Json(marked))).into_response())
}

/// `POST …/chapters/from-turns`.
pub(in crate::api) async fn mark_speeches(
    State(desk): State<Arc<Desk>>,
    Path(slug): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let handle = desk.space(&slug)?;
    let actor = desk.actor(&handle, &headers)?;
    let before = handle.space();
    let speeches = handle.turns().speeches(before.chapters.room());
    let space = handle.act(actor, Act::MarkSpeeches(speeches)).await;
    let space = space.map_err(act_problem)?;
    let marked = space.chapters.iter();
    let marked = marked.filter(|chapter| before.chapters.find(chapter.id).is_none());
    let chapters = marked.map(ChapterJson::from).collect();
    Ok(uncached(Json(MarkedJson { chapters })).into_response())
}

/// `PATCH …/chapters/{chapter}`.
pub(in crate::api) async fn edit(
    State(desk): State<Arc<Desk>>,
    Path((slug, id)): Path<(String, u32)>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let handle = desk.space(&slug)?;
    let actor = desk.actor(&handle, &headers)?;
    let ChapterBody { title, at_seconds } = parse(&body)?;
    let at_ms = at_seconds.map(milliseconds).transpose()?;
    let act = Act::EditChapter { id, at_ms, title };
    let space = handle.act(actor, act).await.map_err(act_problem)?;
    let edited = space.chapters.find(id).map(ChapterJson::from);
    Ok(uncached(Json(edited)).into_response())
}

/// `DELETE …/chapters/{chapter}`.
pub(in crate::api) async fn remove(
    State(desk): State<Arc<Desk>>,
    Path((slug, id)): Path<(String, u32)>,
    headers: HeaderMap,
) -> Answer {
    let handle = desk.space(&slug)?;
    let actor = desk.actor(&handle, &headers)?;
    let removed = handle.act(actor, Act::RemoveChapter(id)).await;
    removed.map_err(act_problem)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A place in the recording; what is beyond its end is refused where that is known.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is not negative, and what is too large stays as large as can be"
)]
fn milliseconds(seconds: f64) -> Result<u64, Problem> {
    if seconds < 0.0 {
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "refused",
            "This is not possible",
            "A chapter begins at a second of the recording, which begins at 0.",
        ));
    }
    Ok((seconds * 1_000.0).round() as u64)
}
