//! What hosts and operators did: appended here, never changed, and bounded by letting the oldest go.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use throng_core::time::UnixMillis;

use super::{Store, StoreError};

/// Acts that are kept of a space: more than a host does in a year of busy evenings. The oldest goes for one more.
pub(crate) const ACTS_MAX: i64 = 10_000;

/// One act of somebody who showed a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    /// When.
    pub(crate) at: UnixMillis,
    /// As what: `cohost`, `host` or `operator`.
    pub(crate) role: String,
    /// With which key: the first digits of its digest.
    pub(crate) print: String,
    /// The request's method.
    pub(crate) method: String,
    /// What of the space it was about.
    pub(crate) path: String,
    /// What was to be changed.
    pub(crate) changed: String,
    /// What came of it, as the API answered.
    pub(crate) status: u16,
}

impl Store {
    /// Appends an act. Nothing that was kept is changed; the oldest goes when there are too many.
    pub(crate) async fn note(&self, space_id: &str, done: &Done) -> Result<(), StoreError> {
        let append = sqlx::query(
            "INSERT INTO audit (space_id, number, done_at, role, print, method, path, changed, status) \
             SELECT $1, COALESCE(MAX(number), 0) + 1, $2, $3, $4, $5, $6, $7, $8 FROM audit WHERE space_id = $1",
        )
        .bind(space_id)
        .bind(done.at.0)
        .bind(&done.role)
        .bind(&done.print)
        .bind(&done.method)
        .bind(&done.path)
        .bind(&done.changed)
        .bind(i64::from(done.status));
        let bound = sqlx::query(
            "DELETE FROM audit WHERE space_id = $1 AND number <= \
             (SELECT MAX(number) FROM audit WHERE space_id = $1) - $2",
        )
        .bind(space_id)
        .bind(ACTS_MAX);
        self.keep(vec![append, bound]).await
    }

    /// The newest acts before a number, newest first, with theirs.
    pub(crate) async fn acts(
        &self,
        space_id: &str,
        before: i64,
        limit: u32,
    ) -> Result<Vec<(i64, Done)>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM audit WHERE space_id = $1 AND number < $2 ORDER BY number DESC LIMIT $3",
        )
        .bind(space_id)
        .bind(before)
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(done).collect()
    }
}

fn done(row: &SqliteRow) -> Result<(i64, Done), StoreError> {
    let status: i64 = row.try_get("status")?;
    let done = Done {
        at: UnixMillis(row.try_get("done_at")?),
        role: row.try_get("role")?,
        print: row.try_get("print")?,
        method: row.try_get("method")?,
        path: row.try_get("path")?,
        changed: row.try_get("changed")?,
        status: u16::try_from(status).unwrap_or_default(),
    };
    Ok((row.try_get("number")?, done))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn act(path: &str) -> Done {
        Done {
            at: UnixMillis(sample::MOMENT.0),
            role: "host".to_owned(),
            print: "0a1b2c3d".to_owned(),
            method: "POST".to_owned(),
            path: path.to_owned(),
            changed: String::new(),
            status: 200,
        }
    }

    async fn store(folder: &tempfile::TempDir) -> (Store, String) {
        let store = Store::open(&folder.path().join("throng.db")).await.unwrap();
        let space = sample::announced(sample::MOMENT);
        store.create(&space, &[]).await.unwrap();
        (store, space.id)
    }

    #[tokio::test]
    async fn acts_are_told_newest_first_page_by_page() {
        let folder = tempfile::tempdir().unwrap();
        let (store, id) = store(&folder).await;
        for path in ["/open-doors", "/go-live", "/end"] {
            store.note(&id, &act(path)).await.unwrap();
        }
        let newest = store.acts(&id, i64::MAX, 2).await.unwrap();
        assert_eq!(newest, [(3, act("/end")), (2, act("/go-live"))]);
        let rest = store.acts(&id, 2, 2).await.unwrap();
        assert_eq!(rest, [(1, act("/open-doors"))]);
        store.delete(&id).await.unwrap();
        assert!(store.acts(&id, i64::MAX, 2).await.unwrap().is_empty());
        assert!(store.note(&id, &act("/late")).await.is_err(), "of no space");
    }

    #[tokio::test]
    async fn one_act_too_many_lets_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let (store, id) = store(&folder).await;
        store.note(&id, &act("/first")).await.unwrap();
        store.note(&id, &act("/second")).await.unwrap();
        let later = sqlx::query("UPDATE audit SET number = $1 WHERE number = 2").bind(ACTS_MAX);
        later.execute(&store.pool).await.unwrap();
        store.note(&id, &act("/one too many")).await.unwrap();
        let kept = store.acts(&id, i64::MAX, 10).await.unwrap();
        let numbers: Vec<_> = kept.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [ACTS_MAX + 1, ACTS_MAX]);
    }
}
