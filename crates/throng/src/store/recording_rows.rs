//! What is said of a recording, in the columns of its space.

use std::num::NonZeroU32;

use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use throng_core::space::{Chapters, DeletedBy, Deletion};
use throng_core::time::UnixMillis;

/// JSON; nothing where no chapter was ever made.
pub(super) fn of_chapters(chapters: &Chapters) -> String {
    if chapters.is_untouched() {
        return String::new();
    }
    serde_json::to_string(chapters).expect("plain fields always serialise")
}

/// `None` where the text is no chapters of ours.
pub(super) fn chapters(row: &SqliteRow) -> Result<Option<Chapters>, sqlx::Error> {
    let text: String = row.try_get("chapters")?;
    if text.is_empty() {
        return Ok(Some(Chapters::default()));
    }
    Ok(serde_json::from_str(&text).ok())
}

/// What is no number of days is for ever: nothing is deleted by mistake.
pub(super) fn days(row: &SqliteRow) -> Result<Option<NonZeroU32>, sqlx::Error> {
    let days: Option<i64> = row.try_get("keep_recording_days")?;
    Ok(days
        .and_then(|days| u32::try_from(days).ok())
        .and_then(NonZeroU32::new))
}

pub(super) fn deletion(row: &SqliteRow) -> Result<Option<Deletion>, sqlx::Error> {
    let at: Option<i64> = row.try_get("recording_deleted_at")?;
    let by: Option<String> = row.try_get("recording_deleted_by")?;
    Ok(at.map(|at| Deletion {
        at: UnixMillis(at),
        by: by
            .and_then(|by| DeletedBy::parse(&by))
            .unwrap_or(DeletedBy::Host),
    }))
}
