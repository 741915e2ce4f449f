//! Webhooks on disk: whom to tell, and what is still to be told.

use std::collections::BTreeMap;

use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use throng_core::space::Space;
use throng_core::time::UnixMillis;

use super::{Statement, Store, StoreError, update_space};

/// Whom the operator wants to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// Names it; opaque.
    pub id: String,
    /// Where it is called.
    pub url: String,
    /// Of what it is told; of everything where none is named.
    pub events: Vec<String>,
    /// When it was made.
    pub created_at: UnixMillis,
}

/// A message to one hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Names it, however often it is sent.
    pub id: String,
    /// To whom.
    pub hook_id: String,
    /// What.
    pub body: String,
    /// Since when it is to be told.
    pub created_at: UnixMillis,
    /// How often it was tried in vain.
    pub failures: u32,
}

impl Store {
    /// Keeps what has changed of a space, and what is to be told of it: both or nothing.
    pub async fn update_and_tell(
        &self,
        space: &Space,
        letters: &[Letter],
    ) -> Result<(), StoreError> {
        let letters = letters.iter().map(insert_letter);
        self.keep(
            std::iter::once(update_space(space))
                .chain(letters)
                .collect(),
        )
        .await
    }

    /// Forgets a space and its grants, and keeps what is to be told of it.
    pub async fn delete_and_tell(
        &self,
        space_id: &str,
        letters: &[Letter],
    ) -> Result<(), StoreError> {
        let deletion = sqlx::query("DELETE FROM spaces WHERE id = $1").bind(space_id);
        let letters = letters.iter().map(insert_letter);
        self.keep(std::iter::once(deletion).chain(letters).collect())
            .await
    }

    /// Keeps what is to be told.
    pub async fn keep_letters(&self, letters: &[Letter]) -> Result<(), StoreError> {
        self.keep(letters.iter().map(insert_letter).collect()).await
    }

    /// All hooks, oldest first.
    pub async fn hooks(&self) -> Result<Vec<Hook>, StoreError> {
        let rows = sqlx::query("SELECT * FROM webhooks ORDER BY created_at, id")
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(hook).collect()
    }

    /// Keeps a new hook.
    pub async fn add_hook(&self, hook: &Hook) -> Result<(), StoreError> {
        let change = sqlx::query(
            "INSERT INTO webhooks (id, url, events, created_at) VALUES ($1, $2, $3, $4)",
        )
        .bind(&hook.id)
        .bind(&hook.url)
        .bind(hook.events.join(" "))
        .bind(hook.created_at.0);
        self.keep(vec![change]).await
    }

    /// Forgets a hook with all its letters.
    pub async fn delete_hook(&self, id: &str) -> Result<(), StoreError> {
        let change = sqlx::query("DELETE FROM webhooks WHERE id = $1").bind(id);
        self.keep(vec![change]).await
    }

    /// Of each hook the letter that is due for longest: one that is away keeps no other waiting.
    pub async fn due_letters(&self, now: UnixMillis) -> Result<Vec<Letter>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY webhook_id ORDER BY next_at, created_at, id) AS place \
             FROM webhook_outbox WHERE next_at <= $1) AS due WHERE place = 1",
        )
        .bind(now.0)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(letter).collect()
    }

    /// When the next letter is due that waits.
    pub async fn next_letter_at(&self) -> Result<Option<UnixMillis>, StoreError> {
        let next: Option<i64> = sqlx::query_scalar("SELECT MIN(next_at) FROM webhook_outbox")
            .fetch_one(&self.pool)
            .await?;
        Ok(next.map(UnixMillis))
    }

    /// A letter was taken.
    pub async fn forget_letter(&self, id: &str) -> Result<(), StoreError> {
        let change = sqlx::query("DELETE FROM webhook_outbox WHERE id = $1").bind(id);
        self.keep(vec![change]).await
    }

    /// A letter is to be tried again at a time.
    pub async fn put_letter_off(
        &self,
        id: &str,
        failures: u32,
        next_at: UnixMillis,
    ) -> Result<(), StoreError> {
        let change =
            sqlx::query("UPDATE webhook_outbox SET failures = $2, next_at = $3 WHERE id = $1")
                .bind(id)
                .bind(i64::from(failures))
                .bind(next_at.0);
        self.keep(vec![change]).await
    }

    /// Drops letters from before a time, and the oldest of a hook that has more than so many, or more bytes than so many;
    /// how many those were.
    pub async fn drop_letters(
        &self,
        before: UnixMillis,
        most: u32,
        bytes_most: u32,
    ) -> Result<u64, StoreError> {
        let beyond = sqlx::query(
            "SELECT id FROM (SELECT id, created_at, ROW_NUMBER() OVER newest_first AS place, \
             SUM(OCTET_LENGTH(body)) OVER newest_first AS bytes FROM webhook_outbox \
             WINDOW newest_first AS (PARTITION BY webhook_id ORDER BY created_at DESC, id DESC)) AS placed \
             WHERE created_at < $1 OR place > $2 OR bytes > $3",
        )
        .bind(before.0)
        .bind(i64::from(most))
        .bind(i64::from(bytes_most))
        .fetch_all(&self.pool)
        .await?;
        let ids: Vec<String> = beyond
            .iter()
            .map(|row| row.try_get("id"))
            .collect::<Result<_, _>>()?;
        if !ids.is_empty() {
            let drops = ids
                .iter()
                .map(|id| sqlx::query("DELETE FROM webhook_outbox WHERE id = $1").bind(id));
            self.keep(drops.collect()).await?;
        }
        Ok(ids.len() as u64)
    }

    /// How many letters wait for each hook.
    pub async fn pending_letters(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        let rows = sqlx::query(
            "SELECT webhook_id, COUNT(*) AS pending FROM webhook_outbox GROUP BY webhook_id",
        )
        .fetch_all(&self.pool)
        .await?;
        let counts = rows.iter().map(|row| {
            let pending: i64 = row.try_get("pending")?;
            let hook: String = row.try_get("webhook_id")?;
            Ok::<_, StoreError>((hook, pending.cast_unsigned()))
        });
        counts.collect()
    }

    /// Whether nothing more is kept.
    pub(crate) fn is_closed(&self) -> bool {
        self.pool.is_closed()
    }
}

/// A letter to a hook that was deleted meanwhile is none; one that is kept already takes the new words.
pub(super) fn insert_letter(letter: &Letter) -> Statement<'_> {
    sqlx::query(
        "INSERT INTO webhook_outbox (id, webhook_id, body, created_at, failures, next_at) \
         SELECT $1, id, $3, $4, $5, $4 FROM webhooks WHERE id = $2 ON CONFLICT (id) DO UPDATE SET body = excluded.body",
    )
    .bind(&letter.id)
    .bind(&letter.hook_id)
    .bind(&letter.body)
    .bind(letter.created_at.0)
    .bind(i64::from(letter.failures))
}

fn hook(row: &SqliteRow) -> Result<Hook, StoreError> {
    let events: String = row.try_get("events")?;
    Ok(Hook {
        id: row.try_get("id")?,
        url: row.try_get("url")?,
        events: events.split_ascii_whitespace().map(str::to_owned).collect(),
        created_at: UnixMillis(row.try_get("created_at")?),
    })
}

fn letter(row: &SqliteRow) -> Result<Letter, StoreError> {
    let failures: i64 = row.try_get("failures")?;
    Ok(Letter {
        id: row.try_get("id")?,
        hook_id: row.try_get("webhook_id")?,
        body: row.try_get("body")?,
        created_at: UnixMillis(row.try_get("created_at")?),
        failures: u32::try_from(failures).unwrap_or(u32::MAX),
    })
}
