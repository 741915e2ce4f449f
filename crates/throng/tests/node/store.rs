//! Spaces and grants on disk.

use std::num::NonZeroU32;
use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use throng::store::{Store, StoreError};
use throng_core::dates::Now;
use throng_core::key::{Grant, Key, Role, SeatNumber};
use throng_core::rendition::Channels;
use throng_core::slug::Slug;
use throng_core::space::{Act, Actor, Announcement, Space};
use throng_core::time::UnixMillis;

const NOW: UnixMillis = UnixMillis(1_767_225_600_000);

fn space(id: &str) -> Space {
    let announcement = Announcement {
        id: id.to_owned(),
        slug: Slug::from_title(id, 7),
        title: "A talk: \"quoted\", 'so'".to_owned(),
        scheduled_at: Some(NOW.plus_ms(1)),
        speakers: 2,
        expected_listeners: NonZeroU32::new(5_000),
    };
    let mut space = Space::announce(NOW, announcement).unwrap();
    for wall in [NOW.plus_ms(3_600_000), NOW] {
        let set = Now { wall, steady: NOW };
        assert!(space.correct_dates(set));
    }
    for act in [
        Act::SetSeat {
            seat: SeatNumber(1),
            muted: Some(true),
            gain_db: None,
        },
        Act::SetSeat {
            seat: SeatNumber(2),
            muted: None,
            gain_db: Some(-20),
        },
        Act::Level(false),
        Act::KeepTracks(true),
        Act::LockStage {
            seated: [2].map(SeatNumber).into(),
        },
    ] {
        space.apply(NOW, Actor::Host, act).unwrap();
    }
    space
}

fn grants(seed: u8) -> Vec<Grant> {
    [
        Role::Host,
        Role::Speaker(SeatNumber(1)),
        Role::Speaker(SeatNumber(2)),
    ]
    .into_iter()
    .zip(seed..)
    .map(|(role, byte)| Grant {
        role,
        digest: Key::from_random([byte; 32]).digest(),
        expires_at: Some(NOW.plus_ms(5)),
        revoked_at: None,
    })
    .collect()
}

async fn sql(file: &Path, statement: &'static str) {
    let options = SqliteConnectOptions::new().filename(file);
    let pool = SqlitePool::connect_with(options).await.unwrap();
    sqlx::query(statement).execute(&pool).await.unwrap();
    pool.close().await;
}

#[tokio::test]
async fn what_was_kept_is_there_when_the_file_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("throng.db");
    let store = Store::open(&file).await.unwrap();
    assert!(store.load().await.unwrap().is_empty());
    let (mut first, second) = (space("first"), space("second"));
    first.sound.channels = Channels::Stereo;
    store.create(&first, &grants(1)).await.unwrap();
    store.create(&second, &grants(11)).await.unwrap();
    for act in [
        Act::SetDelayReason(Some("A train".to_owned())),
        Act::OpenDoors,
        Act::GoLive,
        Act::End,
    ] {
        first.apply(NOW, Actor::Host, act).unwrap();
        store.update(&first).await.unwrap();
    }
    store
        .count(&first.id, u64::from(u32::MAX), 7)
        .await
        .unwrap();
    let mut seat = grants(21).remove(2);
    seat.expires_at = None;
    let two = SeatNumber(2);
    store
        .replace_seat_grant(&second.id, two, &seat, NOW)
        .await
        .unwrap();
    store.close().await;

    let store = Store::open(&file).await.unwrap();
    let kept = store.load().await.unwrap();
    assert_eq!(kept.len(), 2);
    assert_eq!(kept[0].space, first);
    assert_eq!((kept[0].peak, kept[0].joined), (u64::from(u32::MAX), 7));
    assert_eq!(kept[0].grants, grants(1));
    assert_eq!(kept[1].space, second);
    let mut expected = grants(11);
    expected[2].revoked_at = Some(NOW);
    expected.push(seat);
    assert_eq!(kept[1].grants, expected);
    store.delete(&first.id).await.unwrap();
    let kept = store.load().await.unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].space, second);
}

#[tokio::test]
async fn all_keys_of_a_seat_are_revoked_and_none_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("throng.db")).await.unwrap();
    store.create(&space("first"), &grants(1)).await.unwrap();
    let revoke = async |ms| {
        let now = NOW.plus_ms(ms);
        let done = store.revoke_seat_grants("first", SeatNumber(2), now).await;
        done.unwrap();
        store.load().await.unwrap().remove(0).grants
    };
    let mut expected = grants(1);
    expected[2].revoked_at = Some(NOW.plus_ms(7));
    assert_eq!(revoke(7).await, expected);
    assert_eq!(revoke(8).await, expected, "it was taken back once");
}

#[tokio::test]
async fn a_slug_or_a_key_is_given_out_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("throng.db")).await.unwrap();
    let first = space("first");
    store.create(&first, &grants(1)).await.unwrap();
    let mut twin = space("second");
    twin.slug = first.slug.clone();
    assert!(store.create(&twin, &grants(11)).await.is_err());
    assert!(store.create(&space("third"), &grants(1)).await.is_err());
    assert_eq!(store.load().await.unwrap().len(), 1, "all or nothing");
}

#[tokio::test]
async fn a_row_that_no_version_of_ours_wrote_is_named() {
    for (damage, named) in [
        (
            "UPDATE spaces SET state = 'dancing'",
            "has an unreadable state: dancing",
        ),
        (
            "UPDATE spaces SET slug = 'Not A Slug'",
            "has an unreadable slug",
        ),
        (
            "UPDATE spaces SET speakers = -1",
            "has an unreadable speakers: -1",
        ),
        ("UPDATE spaces SET state = 'live'", "was damaged: the parts"),
        (
            "UPDATE spaces SET seats = '1:2:0'",
            "has an unreadable seats: 1:2:0",
        ),
        (
            "UPDATE spaces SET seats = '1:0:13'",
            "was damaged: a setting of the stage",
        ),
        (
            "UPDATE spaces SET stage_lock = 'two'",
            "has an unreadable stage_lock: two",
        ),
        (
            "UPDATE grants SET role = 'king'",
            "has an unreadable role: king",
        ),
        (
            "UPDATE grants SET digest = 'x' WHERE role = 'host'",
            "has an unreadable digest: (kept secret)",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("throng.db");
        let store = Store::open(&file).await.unwrap();
        store.create(&space("first"), &grants(1)).await.unwrap();
        store.close().await;
        sql(&file, damage).await;
        let store = Store::open(&file).await.unwrap();
        let refused = store.load().await.err().unwrap().to_string();
        assert!(refused.contains(named), "{refused}");
    }
}

#[tokio::test]
async fn a_file_from_a_later_version_is_read_if_it_says_so_and_one_from_elsewhere_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("throng.db");
    Store::open(&file).await.unwrap().close().await;
    // A later version that only added something; and one that says that this one would misread it.
    sql(
        &file,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (99, 'later', TRUE, x'00', 0)",
    )
    .await;
    Store::open(&file).await.unwrap().close().await;
    sql(&file, "PRAGMA user_version = 99").await;
    let refused = Store::open(&file).await.err().unwrap();
    assert!(matches!(refused, StoreError::Newer(99)), "{refused}");
    assert!(
        refused.to_string().contains("use that version"),
        "{refused}"
    );

    let elsewhere = folder.path().join("elsewhere.db");
    std::fs::write(
        &elsewhere,
        "This is not a database, however long it may be. ".repeat(100),
    )
    .unwrap();
    let refused = Store::open(&elsewhere).await.err().unwrap();
    assert!(refused.to_string().contains("not a database"), "{refused}");
    assert!(refused.to_string().contains("elsewhere.db"), "{refused}");
}
