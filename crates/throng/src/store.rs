//! Spaces and grants on disk: SQLite here, the same statements on Postgres when one machine is outgrown.
//!
//! A change is durable when the call returns. Audio never waits for it.

pub(crate) mod audit;
mod cohosts;
mod recording_rows;
mod stage_text;
mod trouble;
mod turns_text;
mod webhooks;

use std::iter;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteRow, SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, Connection, Row, SqlSafeStr};
use thiserror::Error;
use throng_core::dates::{Correction, Corrections};
use throng_core::key::{Grant, KeyDigest, REVOKED_KEPT, Role, SeatNumber};
use throng_core::rendition::Channels;
use throng_core::slug::Slug;
use throng_core::space::{GreenRoom, ProgrammeSetting, SoundSetting, Space, StageSetting, State};
use throng_core::time::UnixMillis;
use throng_core::timeline::PartIndex;
use throng_core::turns::Turns;

use self::webhooks::insert_letter;
pub use self::webhooks::{Hook, Letter};
use crate::alarm::Alarm;

/// The schema, oldest first. A step that has shipped is never edited.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "spaces", include_str!("../migrations/0001_spaces.sql")),
    (
        2,
        "expected listeners",
        include_str!("../migrations/0002_expected_listeners.sql"),
    ),
    (
        3,
        "corrections",
        include_str!("../migrations/0003_corrections.sql"),
    ),
    (
        4,
        "stage settings",
        include_str!("../migrations/0004_stage.sql"),
    ),
    (5, "roles", include_str!("../migrations/0005_roles.sql")),
    (6, "sound", include_str!("../migrations/0006_sound.sql")),
    (
        7,
        "programme settings",
        include_str!("../migrations/0007_craft.sql"),
    ),
    (8, "api", include_str!("../migrations/0008_api.sql")),
    (10, "audit", include_str!("../migrations/0010_audit.sql")),
    (11, "stereo", include_str!("../migrations/0011_stereo.sql")),
];
/// A newer version that only added to the schema leaves what we read; one that did more notes in the file who may read it
/// (`PRAGMA user_version`): the newest of these steps that a reader has to know.
const NEWEST_KNOWN: i64 = MIGRATIONS[MIGRATIONS.len() - 1].0;
/// Connections to SQLite: readers beside the one writer.
const CONNECTIONS_MAX: u32 = 4;
/// A writer that waits longer for its turn, or for a connection, gets an error that says so.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the store did not do it.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The database refused or failed.
    #[error("the database could not do it: {0}")]
    Database(#[from] sqlx::Error),
    /// The file cannot be opened as a database.
    #[error(
        "{path} cannot be used as the database: {source}. Restore it from a copy, or choose another data folder"
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: sqlx::Error,
    },
    /// The file is from another version that this one cannot read.
    #[error(
        "the database cannot be used by this version: {0}; use the version that wrote it, or another data folder"
    )]
    Version(#[from] sqlx::migrate::MigrateError),
    /// The file was changed by a newer version in a way that this one does not understand.
    #[error(
        "the database was changed by a newer version (schema {0}, and this one knows {NEWEST_KNOWN}); use that version, or another data folder"
    )]
    Newer(i64),
    /// A row says what no version of ours writes.
    #[error("space {slug} has an unreadable {field}: {value}")]
    Unreadable {
        /// The space.
        slug: String,
        /// The column.
        field: &'static str,
        /// What stands there.
        value: String,
    },
    /// A row contradicts itself.
    #[error("space {slug} was damaged: {broken}; restore throng.db from a copy")]
    Damaged {
        /// The space.
        slug: String,
        /// What does not hold.
        broken: &'static str,
    },
}

/// The open database.
#[derive(Clone)]
pub struct Store {
    pool: SqlitePool,
    /// Since the last change, if that was not taken.
    trouble: Arc<Mutex<Option<Alarm>>>,
}

/// A space as it was kept, with its counts.
pub struct Kept {
    /// The space.
    pub space: Space,
    /// Who may do what in it.
    pub grants: Vec<Grant>,
    /// The most listeners at once since doors.
    pub peak: u64,
    /// Admissions since doors.
    pub joined: u64,
    /// Who talked when, since it went live.
    pub turns: Turns,
}

impl Store {
    /// Opens the file, creates it where it is absent, and brings it to the present schema.
    pub async fn open(file: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(BUSY_TIMEOUT)
            .connect_with(options)
            .await
            .map_err(|source| StoreError::Open {
                path: file.to_owned(),
                source,
            })?;
        let oldest_reader: i64 = sqlx::query_scalar("PRAGMA user_version")
            .fetch_one(&pool)
            .await?;
        if oldest_reader > NEWEST_KNOWN {
            return Err(StoreError::Newer(oldest_reader));
        }
        let steps = MIGRATIONS.iter().map(|&(version, description, sql)| {
            Migration::new(
                version,
                description.into(),
                MigrationType::Simple,
                AssertSqlSafe(sql).into_sql_str(),
                false,
            )
        });
        let mut migrator = Migrator::with_migrations(steps.collect());
        // After a rollback: what a newer version added is left alone.
        migrator.set_ignore_missing(true);
        migrator.run(&pool).await?;
        Ok(Self {
            pool,
            trouble: Arc::default(),
        })
    }

    /// Keeps a new space with its grants: all or nothing.
    pub async fn create(&self, space: &Space, grants: &[Grant]) -> Result<(), StoreError> {
        self.create_and_tell(space, grants, &[]).await
    }

    /// The same, with what is to be told of it.
    pub async fn create_and_tell(
        &self,
        space: &Space,
        grants: &[Grant],
        letters: &[Letter],
    ) -> Result<(), StoreError> {
        let row = sqlx::query("INSERT INTO spaces (id, slug, title, state, speakers, created_at, stereo) VALUES ($1, $2, $3, $4, $5, $6, $7)")
            .bind(&space.id)
            .bind(space.slug.as_str())
            .bind(&space.title)
            .bind(space.state.name())
            .bind(i64::from(space.speakers))
            .bind(space.created_at.0)
            .bind(i64::from(space.sound.channels.is_stereo()));
        let grants = grants.iter().map(|grant| insert_grant(&space.id, grant));
        let rows = iter::once(row).chain(grants).chain([update_space(space)]);
        let change = rows.chain(letters.iter().map(insert_letter));
        self.keep(change.collect()).await
    }

    /// Keeps what has changed of a space.
    pub async fn update(&self, space: &Space) -> Result<(), StoreError> {
        self.keep(vec![update_space(space)]).await
    }

    /// Keeps the counts of a space.
    pub async fn count(&self, space_id: &str, peak: u64, joined: u64) -> Result<(), StoreError> {
        let change = sqlx::query("UPDATE spaces SET peak = $2, joined = $3 WHERE id = $1")
            .bind(space_id)
            .bind(peak.cast_signed())
            .bind(joined.cast_signed());
        self.keep(vec![change]).await
    }

    /// Keeps who talked when.
    pub async fn keep_turns(&self, space_id: &str, turns: &Turns) -> Result<(), StoreError> {
        let change = sqlx::query("UPDATE spaces SET turns = $2 WHERE id = $1")
            .bind(space_id)
            .bind(turns_text::of_turns(turns));
        self.keep(vec![change]).await
    }

    /// Grants a new key of a seat and revokes all others, of which the newest [`REVOKED_KEPT`] are remembered.
    pub async fn replace_seat_grant(
        &self,
        space_id: &str,
        seat: SeatNumber,
        grant: &Grant,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let revoke = revoke_seat(space_id, seat, now);
        let forget = sqlx::query(
            "DELETE FROM grants WHERE space_id = $1 AND seat = $2 AND digest NOT IN \
             (SELECT digest FROM grants WHERE space_id = $1 AND seat = $2 ORDER BY revoked_at DESC LIMIT $3)",
        )
        .bind(space_id)
        .bind(i64::from(seat.0))
        .bind(i64::try_from(REVOKED_KEPT).expect("a small number"));
        self.keep(vec![revoke, forget, insert_grant(space_id, grant)])
            .await
    }

    /// Revokes all keys of a seat.
    pub async fn revoke_seat_grants(
        &self,
        space_id: &str,
        seat: SeatNumber,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.keep(vec![revoke_seat(space_id, seat, now)]).await
    }

    /// Forgets a space and its grants.
    pub async fn delete(&self, space_id: &str) -> Result<(), StoreError> {
        self.delete_and_tell(space_id, &[]).await
    }

    /// Makes a change of several statements: all of them are durable when it returns, or none.
    async fn keep(&self, change: Vec<Statement<'_>>) -> Result<(), StoreError> {
        self.noted(self.try_keep(change).await)
    }

    /// A connection on which a change failed is not used again: where the disk failed in a commit, SQLite has rolled
    /// back and sqlx believes that it has not, and what came after would be taken and never committed.
    async fn try_keep(&self, change: Vec<Statement<'_>>) -> Result<(), sqlx::Error> {
        let mut line = self.pool.acquire().await?;
        let kept = all_or_nothing(&mut line, change).await;
        if kept.is_err() {
            line.close_on_drop();
        }
        kept
    }

    /// Every space, oldest first.
    pub async fn load(&self) -> Result<Vec<Kept>, StoreError> {
        let rows = sqlx::query("SELECT * FROM spaces ORDER BY created_at, id")
            .fetch_all(&self.pool)
            .await?;
        let mut spaces = Vec::with_capacity(rows.len());
        for row in rows {
            let space = space(&row)?;
            space
                .check_invariants()
                .map_err(|broken| StoreError::Damaged {
                    slug: space.slug.as_str().to_owned(),
                    broken,
                })?;
            let grants =
                sqlx::query("SELECT * FROM grants WHERE space_id = $1 ORDER BY role, seat")
                    .bind(&space.id)
                    .fetch_all(&self.pool)
                    .await?;
            let mut grants = grants
                .iter()
                .map(|row| grant(&space, row))
                .collect::<Result<Vec<_>, _>>()?;
            let slug = space.slug.as_str();
            grants.extend(cohosts::grants(&self.pool, slug, &space.id).await?);
            let turns: String = row.try_get("turns")?;
            spaces.push(Kept {
                grants,
                turns: turns_text::turns(&turns).unwrap_or_else(|| {
                    tracing::warn!(slug, "who talked when cannot be read, and is begun anew");
                    Turns::default()
                }),
                peak: row.try_get::<i64, _>("peak")?.cast_unsigned(),
                joined: row.try_get::<i64, _>("joined")?.cast_unsigned(),
                space,
            });
        }
        Ok(spaces)
    }

    /// Whether the database answers.
    pub async fn answers(&self) -> bool {
        sqlx::query("SELECT 1").execute(&self.pool).await.is_ok()
    }

    /// Closes the file in order.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

type Statement<'q> =
    sqlx::query::Query<'q, sqlx::Sqlite, <sqlx::Sqlite as sqlx::Database>::Arguments>;

async fn all_or_nothing(
    line: &mut SqliteConnection,
    change: Vec<Statement<'_>>,
) -> Result<(), sqlx::Error> {
    let mut transaction = line.begin().await?;
    for statement in change {
        statement.execute(&mut *transaction).await?;
    }
    transaction.commit().await
}

fn update_space(space: &Space) -> Statement<'_> {
    let part = |part: Option<PartIndex>| part.map(|part| part.0.cast_signed());
    let time = |time: Option<UnixMillis>| time.map(|time| time.0);
    sqlx::query(
        "UPDATE spaces SET title = $2, state = $3, scheduled_at = $4, delay_reason = $5, doors_part = $6, \
         live_part = $7, end_part = $8, started_at = $9, ended_at = $10, expected_listeners = $11, corrections = $12, \
         seats = $13, stage_lock = $14, chapters = $15, keep_recording_days = $16, recording_deleted_at = $17, \
         recording_deleted_by = $18, green_room = $19, places = $20, levelling = $21, tracks = $22, delay_seconds = $23, \
         message = $24 WHERE id = $1",
    )
    .bind(&space.id)
    .bind(&space.title)
    .bind(space.state.name())
    .bind(time(space.scheduled_at))
    .bind(space.delay_reason.as_deref())
    .bind(part(space.doors_part))
    .bind(part(space.live_part))
    .bind(part(space.end_part))
    .bind(time(space.started_at))
    .bind(time(space.ended_at))
    .bind(space.expected_listeners.map(|count| i64::from(count.get())))
    .bind(corrections_text(&space.corrections))
    .bind(stage_text::of_seats(&space.stage))
    .bind(stage_text::of_lock(&space.stage))
    .bind(recording_rows::of_chapters(&space.chapters))
    .bind(space.keep_recording_days.map(|days| i64::from(days.get())))
    .bind(space.recording_deleted.map(|gone| gone.at.0))
    .bind(space.recording_deleted.map(|gone| gone.by.name()))
    .bind(i64::from(space.stage.green_room.is_open()))
    .bind(stage_text::of_places(&space.stage))
    .bind(i64::from(space.sound.levelling))
    .bind(i64::from(space.sound.tracks))
    .bind(i64::from(space.programme.delay_seconds))
    .bind(space.programme.message.as_deref())
}

/// `segment:milliseconds`, with spaces between.
fn corrections_text(corrections: &Corrections) -> String {
    let texts: Vec<_> = corrections
        .iter()
        .map(|one| format!("{}:{}", one.segment, one.by_ms))
        .collect();
    texts.join(" ")
}

fn corrections(text: &str) -> Option<Corrections> {
    let corrections = text.split_ascii_whitespace().map(|one| {
        let (segment, by_ms) = one.split_once(':')?;
        Some(Correction {
            segment: segment.parse().ok()?,
            by_ms: by_ms.parse().ok()?,
        })
    });
    Corrections::new(corrections.collect::<Option<_>>()?)
}

fn revoke_seat(space_id: &str, seat: SeatNumber, now: UnixMillis) -> Statement<'_> {
    sqlx::query("UPDATE grants SET revoked_at = $3 WHERE space_id = $1 AND seat = $2 AND revoked_at IS NULL")
        .bind(space_id)
        .bind(i64::from(seat.0))
        .bind(now.0)
}

fn insert_grant<'q>(space_id: &'q str, grant: &Grant) -> Statement<'q> {
    let (role, seat) = match grant.role {
        Role::Operator => ("operator", None),
        Role::Host => ("host", None),
        Role::Cohost(_) => unreachable!("cohosts have a table of their own"),
        Role::Speaker(seat) => ("speaker", Some(i64::from(seat.0))),
    };
    sqlx::query(
        "INSERT INTO grants (digest, space_id, role, seat, expires_at, revoked_at) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(grant.digest.to_hex())
    .bind(space_id)
    .bind(role)
    .bind(seat)
    .bind(grant.expires_at.map(|time| time.0))
    .bind(grant.revoked_at.map(|time| time.0))
}

fn space(row: &SqliteRow) -> Result<Space, StoreError> {
    let slug: String = row.try_get("slug")?;
    let state: String = row.try_get("state")?;
    let unreadable = |field, value: &str| StoreError::Unreadable {
        slug: slug.clone(),
        field,
        value: value.to_owned(),
    };
    let time = |name| {
        row.try_get::<Option<i64>, _>(name)
            .map(|time| time.map(UnixMillis))
    };
    let part = |name| {
        row.try_get::<Option<i64>, _>(name)
            .map(|part| part.map(|part| PartIndex(part.cast_unsigned())))
    };
    let speakers: i64 = row.try_get("speakers")?;
    let corrected: String = row.try_get("corrections")?;
    let seats: String = row.try_get("seats")?;
    let lock: Option<String> = row.try_get("stage_lock")?;
    let is_open: i64 = row.try_get("green_room")?;
    let places: String = row.try_get("places")?;
    let expected: Option<i64> = row.try_get("expected_listeners")?;
    let expected_listeners = expected
        .map(|count| {
            let count = u32::try_from(count).ok().and_then(NonZeroU32::new);
            count.ok_or_else(|| unreadable("expected_listeners", &format!("{expected:?}")))
        })
        .transpose()?;
    Ok(Space {
        id: row.try_get("id")?,
        slug: Slug::parse(&slug).map_err(|_| unreadable("slug", &slug))?,
        title: row.try_get("title")?,
        state: State::parse(&state).ok_or_else(|| unreadable("state", &state))?,
        speakers: u32::try_from(speakers)
            .map_err(|_| unreadable("speakers", &speakers.to_string()))?,
        created_at: UnixMillis(row.try_get("created_at")?),
        corrections: corrections(&corrected)
            .ok_or_else(|| unreadable("corrections", &corrected))?,
        scheduled_at: time("scheduled_at")?,
        delay_reason: row.try_get("delay_reason")?,
        doors_part: part("doors_part")?,
        live_part: part("live_part")?,
        end_part: part("end_part")?,
        started_at: time("started_at")?,
        ended_at: time("ended_at")?,
        expected_listeners,
        stage: StageSetting::new(
            stage_text::seats(&seats).ok_or_else(|| unreadable("seats", &seats))?,
            lock.map(|lock| stage_text::lock(&lock).ok_or_else(|| unreadable("stage_lock", &lock)))
                .transpose()?,
            GreenRoom::new(
                is_open != 0,
                stage_text::places(&places).ok_or_else(|| unreadable("places", &places))?,
            ),
        ),
        chapters: recording_rows::chapters(row)?.ok_or_else(|| unreadable("chapters", "(JSON)"))?,
        keep_recording_days: recording_rows::days(row)?,
        recording_deleted: recording_rows::deletion(row)?,
        sound: SoundSetting {
            channels: Channels::of(row.try_get::<i64, _>("stereo")? != 0),
            levelling: row.try_get::<i64, _>("levelling")? != 0,
            tracks: row.try_get::<i64, _>("tracks")? != 0,
        },
        programme: programme(row)?.ok_or_else(|| unreadable("delay_seconds", "(a number)"))?,
    })
}

/// What is set of the programme, unless the delay is none that there can be.
fn programme(row: &SqliteRow) -> Result<Option<ProgrammeSetting>, sqlx::Error> {
    let (seconds, message) = (
        row.try_get::<i64, _>("delay_seconds")?,
        row.try_get("message")?,
    );
    let delay = u8::try_from(seconds).ok();
    Ok(delay.map(|delay_seconds| ProgrammeSetting {
        delay_seconds,
        message,
    }))
}

fn grant(space: &Space, row: &SqliteRow) -> Result<Grant, StoreError> {
    let unreadable = |field, value: String| StoreError::Unreadable {
        slug: space.slug.as_str().to_owned(),
        field,
        value,
    };
    let role: String = row.try_get("role")?;
    let seat = row
        .try_get::<Option<i64>, _>("seat")?
        .and_then(|seat| u32::try_from(seat).ok());
    let digest: String = row.try_get("digest")?;
    Ok(Grant {
        role: match (role.as_str(), seat) {
            ("host", _) => Role::Host,
            ("speaker", Some(seat)) => Role::Speaker(SeatNumber(seat)),
            _ => return Err(unreadable("role", role)),
        },
        digest: KeyDigest::from_hex(&digest)
            .map_err(|_| unreadable("digest", "(kept secret)".to_owned()))?,
        expires_at: row.try_get::<Option<i64>, _>("expires_at")?.map(UnixMillis),
        revoked_at: row.try_get::<Option<i64>, _>("revoked_at")?.map(UnixMillis),
    })
}
