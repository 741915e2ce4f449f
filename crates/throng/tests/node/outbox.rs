//! What is kept of recordings and webhooks: together with the change that they belong to, or not at all.

use std::num::NonZeroU32;

use throng::store::{Hook, Letter, Store};
use throng_core::slug::Slug;
use throng_core::space::{Act, Actor, Announcement, Space};
use throng_core::time::UnixMillis;

const NOW: UnixMillis = UnixMillis(1_767_225_600_000);
const MANY: u32 = 1_000;

async fn store() -> (Store, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("throng.db")).await.unwrap();
    (store, folder)
}

fn space() -> Space {
    let announcement = Announcement {
        id: "1".to_owned(),
        slug: Slug::from_title("A talk", 7),
        title: "A talk".to_owned(),
        scheduled_at: None,
        speakers: 2,
        expected_listeners: None,
    };
    Space::announce(NOW, announcement).unwrap()
}

fn hook(id: &str) -> Hook {
    Hook {
        id: id.to_owned(),
        url: "https://hooks.example/".to_owned(),
        events: vec!["space.live".to_owned(), "space.ended".to_owned()],
        created_at: NOW,
    }
}

fn letter(id: &str, hook_id: &str, ms: u64) -> Letter {
    Letter {
        id: id.to_owned(),
        hook_id: hook_id.to_owned(),
        body: "{}".to_owned(),
        created_at: NOW.plus_ms(ms),
        failures: 0,
    }
}

async fn due(store: &Store, ms: u64) -> Vec<String> {
    let due = store.due_letters(NOW.plus_ms(ms)).await.unwrap();
    let mut ids: Vec<_> = due.into_iter().map(|letter| letter.id).collect();
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn chapters_and_what_became_of_the_recording_are_kept() {
    let (store, _folder) = store().await;
    let mut space = space();
    store.create(&space, &[]).await.unwrap();
    let mark = |title: &str| Act::MarkChapter {
        at_ms: Some(320),
        title: title.to_owned(),
    };
    for act in [
        Act::GoLive,
        Act::End,
        mark("\"Quoted\", 'so', and \u{fc}"),
        mark("Gone"),
        Act::RemoveChapter(1),
        Act::KeepRecording(NonZeroU32::new(7)),
    ] {
        space.apply(NOW, Actor::Host, act).unwrap();
    }
    store.update(&space).await.unwrap();
    assert_eq!(store.load().await.unwrap()[0].space, space);
    space
        .apply(NOW, Actor::Operator, Act::DeleteRecording)
        .unwrap();
    space.apply(NOW, Actor::Host, mark("Later")).unwrap();
    assert_eq!(space.chapters.newest().unwrap().id, 2, "no number twice");
    store.update(&space).await.unwrap();
    assert_eq!(store.load().await.unwrap()[0].space, space);
}

#[tokio::test]
async fn a_change_is_kept_with_what_is_to_be_told_of_it_or_not_at_all() {
    let (store, folder) = store().await;
    let mut space = space();
    store.add_hook(&hook("a")).await.unwrap();
    let first = [letter("1", "a", 0)];
    store.create_and_tell(&space, &[], &first).await.unwrap();
    let again = store
        .create_and_tell(&space, &[], &[letter("2", "a", 0)])
        .await;
    again.unwrap_err();
    assert_eq!(due(&store, 0).await, ["1"]);

    // Whoever is not there any more keeps no step from being taken.
    space.apply(NOW, Actor::Host, Act::GoLive).unwrap();
    let letters = [letter("3", "a", 0), letter("4", "nobody", 0)];
    store.update_and_tell(&space, &letters).await.unwrap();
    store.close().await;

    let store = Store::open(&folder.path().join("throng.db")).await.unwrap();
    assert_eq!(store.load().await.unwrap()[0].space, space);
    assert_eq!(store.hooks().await.unwrap(), [hook("a")]);
    assert_eq!(store.pending_letters().await.unwrap()["a"], 2);
    store.delete_hook("a").await.unwrap();
    assert!(store.pending_letters().await.unwrap().is_empty());
    assert_eq!(store.next_letter_at().await.unwrap(), None);
}

#[tokio::test]
async fn of_each_hook_the_letter_that_waits_for_longest_is_due() {
    let (store, _folder) = store().await;
    for id in ["a", "b"] {
        store.add_hook(&hook(id)).await.unwrap();
    }
    let letters = [
        letter("a1", "a", 0),
        letter("a2", "a", 10),
        letter("b1", "b", 20),
    ];
    store.keep_letters(&letters).await.unwrap();
    assert_eq!(due(&store, 10).await, ["a1"]);
    assert_eq!(due(&store, 20).await, ["a1", "b1"]);
    let later = NOW.plus_ms(5_000);
    store.put_letter_off("a1", 1, later).await.unwrap();
    assert_eq!(due(&store, 20).await, ["a2", "b1"], "the others go ahead");
    for id in ["a2", "b1"] {
        store.forget_letter(id).await.unwrap();
    }
    assert_eq!(store.next_letter_at().await.unwrap(), Some(later));
    let again = store.due_letters(later).await.unwrap();
    assert_eq!((again[0].id.as_str(), again[0].failures), ("a1", 1));
}

#[tokio::test]
async fn what_is_too_old_or_too_much_is_dropped_from_the_oldest_on() {
    let (store, _folder) = store().await;
    for id in ["a", "b"] {
        store.add_hook(&hook(id)).await.unwrap();
    }
    let of = |hook: &'static str| {
        (0..5).map(move |place| letter(&format!("{hook}{place}"), hook, place * 1_000))
    };
    let letters: Vec<_> = of("a").chain(of("b").take(2)).collect();
    store.keep_letters(&letters).await.unwrap();
    assert_eq!(store.drop_letters(NOW, 3, MANY).await.unwrap(), 2);
    assert_eq!(store.pending_letters().await.unwrap()["a"], 3);
    assert_eq!(due(&store, 9_000).await, ["a2", "b0"]);
    let dropped = store.drop_letters(NOW.plus_ms(1_000), MANY, MANY).await;
    assert_eq!(dropped.unwrap(), 1, "b0 is too old");
    assert_eq!(store.drop_letters(NOW, MANY, MANY).await.unwrap(), 0);
}

#[tokio::test]
async fn the_letters_of_a_hook_are_bounded_in_bytes() {
    let (store, _folder) = store().await;
    for id in ["a", "b"] {
        store.add_hook(&hook(id)).await.unwrap();
    }
    // Three characters, and six bytes.
    let long = |id: &str, hook: &str, ms: u64| Letter {
        body: "\u{fc}".repeat(3),
        ..letter(id, hook, ms)
    };
    let letters = [
        long("a0", "a", 0),
        long("a1", "a", 10),
        long("a2", "a", 20),
        long("b0", "b", 0),
    ];
    store.keep_letters(&letters).await.unwrap();
    assert_eq!(store.drop_letters(NOW, MANY, 18).await.unwrap(), 0);
    assert_eq!(store.drop_letters(NOW, MANY, 17).await.unwrap(), 1);
    assert_eq!(due(&store, 20).await, ["a1", "b0"], "the oldest went");
}

#[tokio::test]
async fn a_letter_that_is_kept_already_takes_the_new_words() {
    let (store, _folder) = store().await;
    store.add_hook(&hook("a")).await.unwrap();
    store.keep_letters(&[letter("1", "a", 0)]).await.unwrap();
    let anew = Letter {
        body: "[]".to_owned(),
        ..letter("1", "a", 10)
    };
    store.keep_letters(&[anew]).await.unwrap();
    let due = store.due_letters(NOW).await.unwrap();
    assert_eq!((due.len(), due[0].body.as_str()), (1, "[]"));
    assert_eq!(store.pending_letters().await.unwrap()["a"], 1);
}
