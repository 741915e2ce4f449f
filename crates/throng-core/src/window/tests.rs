//! The window, by cases and against a shadow; and windows for the tests of others.

use super::*;
use proptest::prelude::*;

/// A part without sound.
pub(crate) fn part(index: PartIndex) -> Arc<Part> {
    let packaged = Packaged {
        cmaf: Bytes::new(),
        stream: Bytes::new(),
    };
    Arc::new(Part {
        index,
        renditions: std::array::from_fn(|_| packaged.clone()),
    })
}

/// A window that waited for `first` and got parts until it waits for `next`.
pub(crate) fn window(first: u64, next: u64) -> Window {
    let mut window = Window::new(PartIndex(first));
    for index in first..next {
        window.push(part(PartIndex(index))).unwrap();
    }
    window
}

fn numbers(found: &Found) -> Vec<u64> {
    match found {
        Found::Ready(parts) => parts.iter().map(|part| part.index.0).collect(),
        other => panic!("{other:?} is not ready"),
    }
}

const fn whole(segment: u64) -> Wanted {
    Wanted {
        segment,
        part: None,
    }
}

#[test]
fn only_the_part_that_follows_is_taken() {
    let mut window = window(24, 30);
    for index in [0, 29, 31] {
        let refused = window.push(part(PartIndex(index))).unwrap_err();
        assert_eq!(
            (refused.pushed, refused.expected),
            (PartIndex(index), PartIndex(30))
        );
    }
    window.finish();
    assert!(window.push(part(PartIndex(30))).unwrap_err().finished);
}

#[test]
fn what_is_in_progress_or_next_is_due_and_what_lies_beyond_is_too_far() {
    let window = window(24, 40);
    assert_eq!(
        numbers(&window.find(whole(2))),
        (24..36).collect::<Vec<_>>()
    );
    assert_eq!(
        numbers(&window.find(Wanted {
            segment: 3,
            part: Some(3)
        })),
        [39]
    );
    assert_eq!(
        window.find(Wanted {
            segment: 3,
            part: Some(4)
        }),
        Found::Due
    );
    assert_eq!(window.find(whole(3)), Found::Due);
    assert_eq!(
        window.find(Wanted {
            segment: 4,
            part: Some(11)
        }),
        Found::Due
    );
    assert_eq!(window.find(whole(5)), Found::TooFar);
    assert_eq!(window.find(whole(u64::MAX)), Found::TooFar);
    assert_eq!(
        window.find(Wanted {
            segment: 3,
            part: Some(12)
        }),
        Found::Gone
    );
    assert_eq!(window.find(whole(1)), Found::Gone);
}

#[test]
fn a_stand_in_is_served_until_the_true_part_takes_its_place() {
    let silent = part(PartIndex(0)).renditions.clone();
    let mut window = window(24, 34);
    for index in 34..40 {
        window.push_stand_in(part(PartIndex(index))).unwrap();
    }
    assert_eq!(
        (window.next(), window.true_next()),
        (PartIndex(40), PartIndex(34))
    );
    assert!(matches!(window.find(whole(2)), Found::StandIn(parts) if parts.len() == 12));
    let place = |part| Wanted {
        segment: 2,
        part: Some(part),
    };
    assert!(matches!(window.find(place(9)), Found::Ready(_)));
    assert!(matches!(window.find(place(10)), Found::StandIn(_)));
    assert!(
        window.push(part(PartIndex(40))).is_err(),
        "the true ones follow one another"
    );
    for index in 34..36 {
        let index = PartIndex(index);
        let mut renditions = silent.clone();
        renditions[0].cmaf = Bytes::from_static(b"true");
        window.push(Arc::new(Part { index, renditions })).unwrap();
        assert_eq!(window.part(index).unwrap().renditions[0].cmaf, "true");
    }
    assert_eq!(
        (window.next(), window.true_next()),
        (PartIndex(40), PartIndex(36))
    );
    assert!(matches!(window.find(whole(2)), Found::Ready(_)));
    for index in 36..42 {
        window.push(part(PartIndex(index))).unwrap();
    }
    assert_eq!(
        (window.next(), window.true_next()),
        (PartIndex(42), PartIndex(42))
    );
}

#[test]
fn what_truly_comes_after_its_stand_in_has_left_changes_no_number() {
    let mut window = window(0, 1);
    for index in 1..=PARTS_KEPT as u64 + 5 {
        window.push_stand_in(part(PartIndex(index))).unwrap();
    }
    let oldest = window.oldest();
    window.push(part(PartIndex(1))).unwrap();
    assert_eq!(
        (window.oldest(), window.true_next()),
        (oldest, PartIndex(2))
    );
}

#[test]
fn a_finished_programme_has_a_short_last_segment_and_nothing_after_it() {
    let mut window = window(24, 40);
    window.finish();
    assert_eq!(numbers(&window.find(whole(3))), [36, 37, 38, 39]);
    assert_eq!(
        window.find(Wanted {
            segment: 3,
            part: Some(4)
        }),
        Found::Gone
    );
    assert_eq!(window.find(whole(4)), Found::Gone);
    assert_eq!(window.find(whole(9)), Found::Gone);
}

#[test]
fn a_file_has_one_name() {
    for name in ["0.m4s", "17.m4s", "17.0.m4s", "3.11.m4s"] {
        assert_eq!(Wanted::parse(name).unwrap().to_string(), name);
    }
    for name in [
        "",
        ".m4s",
        "01.m4s",
        "+1.m4s",
        "1",
        "1.2.3.m4s",
        "1..m4s",
        "-1.m4s",
        "1.m4s.m4s",
        "9999999999999999.m4s",
    ] {
        assert_eq!(Wanted::parse(name), None, "{name:?}");
    }
}

#[test]
fn a_joiner_gets_the_newest_sound_that_is_here() {
    let window = window(24, 40);
    assert_eq!(
        window.burst(4 * 48_000),
        PartIndex(27),
        "4 s need 12.5 parts, so 13"
    );
    assert_eq!(window.burst(u64::MAX), PartIndex(24));
    assert_eq!(window.burst(0), PartIndex(40));
    assert_eq!(Window::new(PartIndex(7)).burst(48_000), PartIndex(7));
}

proptest! {
    /// The shadow is the plain arithmetic over "which numbers are held", without the window's own code.
    #[test]
    fn the_window_holds_exactly_the_newest_parts(first in 0_u64..50, count in 0_u64..700, segment in 0_u64..70) {
        let window = window(first, first + count);
        let (next, oldest) = (first + count, first + count.saturating_sub(PARTS_KEPT as u64));
        prop_assert_eq!(window.oldest(), PartIndex(oldest));
        prop_assert_eq!(window.since(PartIndex(0)).map(|part| part.index.0).collect::<Vec<_>>(), (oldest..next).collect::<Vec<_>>());
        prop_assert!((oldest..next).all(|index| window.part(PartIndex(index)).is_some_and(|part| part.index.0 == index)));
        prop_assert!(window.part(PartIndex(next)).is_none());
        let range = segment * 12..segment * 12 + 12;
        let held = range.clone().all(|index| (oldest..next).contains(&index));
        let found = window.find(whole(segment));
        prop_assert_eq!(matches!(found, Found::Ready(_)), held);
        prop_assert_eq!(found == Found::Gone, range.start < oldest);
    }
}
