//! The keys of cohosts on disk: a table of their own, with the rules of the other grants.

use sqlx::Row;
use sqlx::sqlite::{SqlitePool, SqliteRow};
use throng_core::key::{Grant, KeyDigest, REVOKED_KEPT, Role};
use throng_core::time::UnixMillis;

use super::{Statement, Store, StoreError};

impl Store {
    /// Grants a new key to a cohost and revokes those that had his number before, of which the newest [`REVOKED_KEPT`] are
    /// remembered.
    pub async fn grant_cohost(
        &self,
        space_id: &str,
        number: u32,
        grant: &Grant,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let forget = sqlx::query(
            "DELETE FROM cohosts WHERE space_id = $1 AND number = $2 AND digest NOT IN \
             (SELECT digest FROM cohosts WHERE space_id = $1 AND number = $2 ORDER BY revoked_at DESC LIMIT $3)",
        )
        .bind(space_id)
        .bind(i64::from(number))
        .bind(i64::try_from(REVOKED_KEPT).expect("a small number"));
        let insert =
            sqlx::query("INSERT INTO cohosts (digest, space_id, number) VALUES ($1, $2, $3)")
                .bind(grant.digest.to_hex())
                .bind(space_id)
                .bind(i64::from(number));
        let change = vec![revoke(space_id, number, now), forget, insert];
        self.keep(change).await
    }

    /// Revokes a cohost's key.
    pub async fn revoke_cohost(
        &self,
        space_id: &str,
        number: u32,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.keep(vec![revoke(space_id, number, now)]).await
    }
}

fn revoke(space_id: &str, number: u32, now: UnixMillis) -> Statement<'_> {
    sqlx::query("UPDATE cohosts SET revoked_at = $3 WHERE space_id = $1 AND number = $2 AND revoked_at IS NULL")
        .bind(space_id)
        .bind(i64::from(number))
        .bind(now.0)
}

/// The grants of a space's cohosts.
pub(super) async fn grants(
    pool: &SqlitePool,
    slug: &str,
    space_id: &str,
) -> Result<Vec<Grant>, StoreError> {
    let rows =
        sqlx::query("SELECT * FROM cohosts WHERE space_id = $1 ORDER BY number, revoked_at DESC")
            .bind(space_id)
            .fetch_all(pool)
            .await?;
    rows.iter().map(|row| grant(slug, row)).collect()
}

fn grant(slug: &str, row: &SqliteRow) -> Result<Grant, StoreError> {
    let unreadable = |field, value: String| StoreError::Unreadable {
        slug: slug.to_owned(),
        field,
        value,
    };
    let number: i64 = row.try_get("number")?;
    let digest: String = row.try_get("digest")?;
    Ok(Grant {
        role: Role::Cohost(
            u32::try_from(number).map_err(|_| unreadable("number", number.to_string()))?,
        ),
        digest: KeyDigest::from_hex(&digest)
            .map_err(|_| unreadable("digest", "(kept secret)".to_owned()))?,
        expires_at: None,
        revoked_at: row.try_get::<Option<i64>, _>("revoked_at")?.map(UnixMillis),
    })
}
