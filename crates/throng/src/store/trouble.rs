//! Whether the database takes changes, and what is told when it does not.
//!
//! A change that fails raises the alarm. From then on the database is asked now and again to write something of no
//! meaning, until it does: a lock that is released or a disk that is well again ends the alarm by itself.
//!
//! A node starts on a database that can be read: all that was on air is on air again. One that another program keeps
//! for itself alone is waited for.

use std::path::Path;
use std::sync::PoisonError;
use std::time::Duration;

use sqlx::migrate::MigrateError;

use super::{Store, StoreError};
use crate::alarm::Alarm;
use crate::origin::wall;

/// Pause between two looks at a database that took no change.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A change as any other to the database: to a number in its first page that Throng does not use.
const CHANGE_NOTHING: &str = "PRAGMA user_version = 0";

impl Store {
    /// Opens the file, however long another program keeps it for itself.
    pub(crate) async fn open_when_free(file: &Path) -> Result<Self, StoreError> {
        let mut is_told = false;
        loop {
            match Self::open(file).await {
                Err(error) if error.is_locked() => {
                    if !is_told {
                        tracing::error!(
                            file = %file.display(),
                            "another program holds the database locked; nothing can be on air before it lets go (`fuser` \
                             tells which it is)"
                        );
                        is_told = true;
                    }
                    tokio::time::sleep(LOOK_EVERY).await;
                }
                opened => return opened,
            }
        }
    }

    /// Why no change is taken, if that is so.
    pub(crate) fn alarm(&self) -> Option<Alarm> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.clone()
    }

    /// Passes the outcome of a change on, and remembers what it says about the database.
    pub(super) fn noted<T>(&self, change: Result<T, sqlx::Error>) -> Result<T, StoreError> {
        let reason = change.as_ref().err().map(reason);
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match reason {
            None => *trouble = None,
            Some(None) => {}
            Some(Some(reason)) => {
                metrics::counter!("throng_store_errors_total").increment(1);
                if trouble.is_none() {
                    tokio::spawn(self.clone().look_until_well());
                    *trouble = Some(alarm(reason));
                }
            }
        }
        drop(trouble);
        Ok(change?)
    }

    async fn look_until_well(self) {
        while self.alarm().is_some() && !self.pool.is_closed() {
            tokio::time::sleep(LOOK_EVERY).await;
            let change = sqlx::query(CHANGE_NOTHING).execute(&self.pool).await;
            if self.noted(change).is_ok() {
                tracing::info!("the database takes changes again");
            }
        }
    }
}

impl StoreError {
    /// Why the change was not made, for who asked for it.
    pub(crate) fn reason(&self) -> &'static str {
        let known = match self {
            Self::Database(error) => reason(error),
            _ => None,
        };
        known.unwrap_or("The database failed.")
    }

    /// Whether the file is as it should be, and another program's for now.
    fn is_locked(&self) -> bool {
        let (Self::Database(source)
        | Self::Open { source, .. }
        | Self::Version(
            MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _),
        )) = self
        else {
            return false;
        };
        reason(source) == Some(LOCKED)
    }
}

fn alarm(reason: &str) -> Alarm {
    Alarm {
        kind: "store",
        title: "Changes cannot be kept.",
        detail: format!(
            "{reason} Listeners hear everything, and whoever is on stage stays there. Until it is well again, steps and \
             changes are refused; try them again then."
        ),
        since: wall(),
    }
}

/// What an error says about the database, in plain words; nothing where it is the change that was wrong.
fn reason(error: &sqlx::Error) -> Option<&'static str> {
    let code = match error {
        sqlx::Error::Database(error) => error.code()?.parse::<u32>().ok()?,
        sqlx::Error::PoolTimedOut => SQLITE_BUSY,
        sqlx::Error::Io(_) => SQLITE_IOERR,
        _ => return None,
    };
    // The low byte is the primary result code (sqlite.org/rescode.html).
    match code & 0xff {
        SQLITE_BUSY | SQLITE_LOCKED => Some(LOCKED),
        SQLITE_READONLY | SQLITE_CANTOPEN => Some("The disk under the database takes no writes."),
        SQLITE_IOERR => Some("The disk under the database fails."),
        SQLITE_FULL => Some("The disk under the database is full."),
        _ => None,
    }
}

const LOCKED: &str = "Something else holds the database locked.";

const SQLITE_BUSY: u32 = 5;
const SQLITE_LOCKED: u32 = 6;
const SQLITE_READONLY: u32 = 8;
const SQLITE_IOERR: u32 = 10;
const SQLITE_FULL: u32 = 13;
const SQLITE_CANTOPEN: u32 = 14;

#[cfg(test)]
mod tests {
    use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
    use sqlx::{ConnectOptions, Executor};

    use super::*;
    use crate::sample;

    #[tokio::test]
    async fn a_locked_database_refuses_with_a_reason_and_the_alarm_ends_with_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("throng.db");
        let space = sample::announced(sample::MOMENT);
        let store = Store::open(&file).await.unwrap();
        let other = Store::open(&file).await.unwrap();
        let lock = other.pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
        let error = store.create(&space, &[]).await.unwrap_err();
        assert!(error.reason().contains("locked"), "{error}");
        assert!(store.alarm().unwrap().detail.contains("locked"));
        lock.rollback().await.unwrap();
        store.create(&space, &[]).await.unwrap();
        assert_eq!(store.alarm(), None);
        assert_eq!(other.load().await.unwrap().len(), 1);

        let again = store.create(&space, &[]).await.unwrap_err();
        assert_eq!(
            (again.reason(), store.alarm()),
            ("The database failed.", None)
        );
    }

    #[tokio::test]
    async fn a_node_starts_on_a_database_that_takes_no_changes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("throng.db");
        let space = sample::announced(sample::MOMENT);
        let before = Store::open(&file).await.unwrap();
        before.create(&space, &[]).await.unwrap();
        let lock = before.pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
        let store = Store::open(&file).await.unwrap();
        assert_eq!(store.load().await.unwrap()[0].space, space);
        lock.rollback().await.unwrap();
    }

    #[tokio::test]
    async fn a_locked_database_is_told_from_one_of_another_version() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("throng.db");
        let other = SqliteConnectOptions::new()
            .filename(&file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal);
        let mut other = other.connect().await.unwrap();
        // The schema cannot be made.
        other.execute("BEGIN IMMEDIATE").await.unwrap();
        let error = Store::open(&file).await.err().unwrap();
        assert!(error.is_locked(), "{error}");
        other.execute("ROLLBACK").await.unwrap();
        Store::open_when_free(&file).await.unwrap().close().await;
    }
}
