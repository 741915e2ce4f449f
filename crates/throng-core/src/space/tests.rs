//! The life of a space, by example and by a seeded simulation against a shadow model.

use proptest::prelude::*;

use super::*;
use crate::timeline::PART_DURATION_MS;
use crate::turns::Speech;

const EPOCH: UnixMillis = UnixMillis(1_796_155_200_000);
const HOUR_MS: u64 = 3_600_000;
const SEATS: u32 = 2;

pub(super) fn space(scheduled_in_ms: Option<u64>) -> Space {
    let announcement = Announcement {
        id: "1".to_owned(),
        slug: Slug::from_title("A talk", 7),
        title: "  A talk ".to_owned(),
        scheduled_at: scheduled_in_ms.map(|ms| EPOCH.plus_ms(ms)),
        speakers: SEATS,
        expected_listeners: None,
    };
    Space::announce(EPOCH, announcement).unwrap()
}

pub(super) fn at(ms: u64) -> UnixMillis {
    EPOCH.plus_ms(ms)
}

#[test]
fn each_step_lands_on_the_first_part_that_can_still_be_cut() {
    let mut space = space(None);
    assert_eq!(space.title, "A talk");
    assert_eq!(
        space.apply(at(60), Actor::Host, Act::OpenDoors),
        Ok(Change::DoorsOpened(PartIndex(4))),
        "1,060 ms"
    );
    assert_eq!(
        space.apply(at(3_140), Actor::Host, Act::GoLive),
        Ok(Change::WentLive(PartIndex(10))),
        "3,200 ms exactly"
    );
    assert_eq!(
        space.apply(at(6_341), Actor::Host, Act::End),
        Ok(Change::Ended(PartIndex(21))),
        "6,401 ms is past part 20"
    );
    assert_eq!(space.started_at, Some(at(3_200)));
    assert_eq!(space.ended_at, Some(at(6_720)));
}

/// Whoever sets the wall clock moves appointments and dates, and nothing on the timeline.
#[test]
fn an_act_lands_by_the_steady_clock_and_is_dated_by_the_wall() {
    let mut space = space(Some(2 * HOUR_MS));
    let hour_later = |ms| Now {
        wall: at(ms + 2 * HOUR_MS),
        steady: at(ms),
    };
    assert!(space.correct_dates(hour_later(1_000)));
    assert!(!space.correct_dates(hour_later(1_000)), "it was told");
    assert_eq!(
        space.apply(hour_later(10_000), Actor::Clock, Act::OpenDoors),
        Ok(Change::DoorsOpened(PartIndex(35))),
        "the appointment has come"
    );
    space
        .apply(hour_later(12_000), Actor::Host, Act::GoLive)
        .unwrap();
    assert_eq!(space.live_part, Some(PartIndex(38)));
    assert_eq!(space.started_at, Some(at(2 * HOUR_MS + 12_160)));
    assert_eq!(space.moment(PartIndex(0)), EPOCH, "what was told stays");
    assert_eq!(space.part_at(at(2 * HOUR_MS + 12_160)), PartIndex(38));
}

/// The part at which a delayed space goes live, or ends, lies segments ahead, and has its date already.
#[test]
fn a_clock_that_is_set_moves_no_date_that_an_act_was_given() {
    let hour_later = |ms| Now {
        wall: at(ms + HOUR_MS),
        steady: at(ms),
    };
    let mut space = space(None);
    let delay = Act::SetDelay(DELAY_SECONDS_MAX);
    space.apply(at(0), Actor::Host, delay).unwrap();
    space.apply(at(0), Actor::Host, Act::GoLive).unwrap();
    let (live, started_at) = (space.live_part.unwrap(), space.started_at);
    assert!(space.correct_dates(hour_later(1_000)));
    assert_eq!(space.check_invariants(), Ok(()));
    assert_eq!(space.started_at, started_at);
    assert_eq!(Some(space.moment(live)), started_at);
    let later = PartIndex::first_of_segment(live.segment() + 2);
    assert_eq!(space.moment(later), at(later.start_ms() + HOUR_MS));

    let end = Act::PlayOut { held_ms: 10_000 };
    space.apply(hour_later(60_000), Actor::Host, end).unwrap();
    assert!(space.correct_dates(at(61_000).into()));
    assert_eq!(space.check_invariants(), Ok(()));
}

#[test]
fn acts_in_haste_never_land_before_what_they_follow() {
    let mut space = space(None);
    space.apply(at(0), Actor::Host, Act::OpenDoors).unwrap();
    space.apply(at(1), Actor::Host, Act::GoLive).unwrap();
    space.apply(at(2), Actor::Host, Act::End).unwrap();
    assert_eq!(
        (space.doors_part, space.live_part, space.end_part),
        (Some(PartIndex(4)), Some(PartIndex(4)), Some(PartIndex(5)))
    );
}

#[test]
fn going_live_without_doors_gives_the_pipeline_time_to_start() {
    let mut space = space(None);
    assert_eq!(
        space.apply(at(60), Actor::Operator, Act::GoLive),
        Ok(Change::WentLive(PartIndex(4)))
    );
    assert_eq!(space.doors_part, Some(PartIndex(4)));
}

#[test]
fn doors_open_by_themselves_and_a_late_host_changes_nothing() {
    let mut space = space(Some(HOUR_MS));
    let due = at(HOUR_MS - DOORS_LEAD_MS);
    assert_eq!(space.next_deadline(), Some(due));
    let too_early = Refusal::NotForTheClock { act: "open doors" };
    assert_eq!(
        space.apply(due.minus_ms(1), Actor::Clock, Act::OpenDoors),
        Err(too_early)
    );
    space.apply(due, Actor::Clock, Act::OpenDoors).unwrap();
    assert_eq!(space.next_deadline(), None);
    assert!(matches!(
        space.apply(at(2 * HOUR_MS), Actor::Clock, Act::GoLive),
        Err(Refusal::NotForTheClock { .. })
    ));
    assert_eq!(space.state, State::Doors);
}

#[test]
fn a_delay_moves_the_doors_and_its_reason_ends_with_the_start() {
    let mut space = space(Some(HOUR_MS));
    let act = Act::Reschedule {
        scheduled_at: at(2 * HOUR_MS),
        reason: Some(" A guest is late\t".to_owned()),
    };
    space.apply(at(0), Actor::Host, act).unwrap();
    assert_eq!(space.next_deadline(), Some(at(2 * HOUR_MS - DOORS_LEAD_MS)));
    assert_eq!(space.delay_reason.as_deref(), Some("A guest is late"));
    space.apply(at(0), Actor::Host, Act::GoLive).unwrap();
    assert_eq!(space.delay_reason, None);
}

#[test]
fn what_a_host_has_set_of_a_seat_stays_until_he_sets_it_otherwise() {
    let mut space = space(None);
    let two = SeatNumber(2);
    let mut set = |seat, muted, gain_db| {
        let act = Act::SetSeat {
            seat: SeatNumber(seat),
            muted,
            gain_db,
        };
        let done = space.apply(at(0), Actor::Host, act);
        (done, space.stage.seat(two))
    };
    let setting = |muted, gain_db| SeatSetting { muted, gain_db };
    let done = Ok(Change::Edited);
    assert_eq!(set(2, Some(true), None), (done, setting(true, 0)));
    assert_eq!(set(2, None, Some(-20)), (done, setting(true, -20)));
    assert_eq!(set(1, Some(true), Some(12)), (done, setting(true, -20)));
    assert_eq!(set(2, Some(false), Some(3)), (done, setting(false, 3)));
    for asked in [-21, 13, i32::MIN, i32::MAX] {
        let refused = Err(Refusal::Gain { asked });
        let after = set(2, Some(true), Some(asked));
        assert_eq!(after, (refused, setting(false, 3)), "all or nothing");
    }
    for asked in [0, 3] {
        let refused = Err(Refusal::Seat { asked, seats: 2 });
        assert_eq!(set(asked, Some(true), None).0, refused);
    }
}

#[test]
fn a_locked_stage_admits_the_seats_that_were_taken_and_not_who_was_put_off() {
    let mut space = space(None);
    let [one, two] = [1, 2].map(SeatNumber);
    let mut after = |act| {
        space.apply(at(0), Actor::Host, act).unwrap();
        [one, two].map(|seat| space.stage.admits(seat))
    };
    let lock = |seats: &[SeatNumber]| Act::LockStage {
        seated: seats.iter().copied().collect(),
    };
    assert_eq!(after(Act::Dismiss(one)), [true, true], "it is open");
    assert_eq!(after(lock(&[one])), [true, false]);
    assert_eq!(
        after(lock(&[one, two])),
        [true, false],
        "locked already: who was refused is not let in by a second press"
    );
    assert_eq!(after(Act::Dismiss(one)), [false, false]);
    assert_eq!(after(Act::UnlockStage), [true, true]);
    assert_eq!(after(lock(&[])), [false, false]);
}

#[test]
fn a_repeat_is_refused_with_the_present_state() {
    let mut space = space(None);
    space.apply(at(0), Actor::Host, Act::GoLive).unwrap();
    let refusal = space.apply(at(5), Actor::Host, Act::GoLive).unwrap_err();
    assert_eq!(
        refusal,
        Refusal::DoesNotFollow {
            state: State::Live,
            act: "go live"
        }
    );
    assert_eq!(refusal.to_string(), "cannot go live: the space is live");
}

#[test]
fn texts_are_one_line_of_at_most_two_hundred_characters() {
    for bad in [
        "",
        " \t ",
        "two\nlines",
        "bell\u{7}",
        &"x".repeat(TEXT_CHARS_MAX + 1),
    ] {
        let mut space = space(None);
        assert_eq!(
            space.apply(at(0), Actor::Host, Act::Rename(bad.to_owned())),
            Err(Refusal::Text { what: "title" })
        );
        let reason = Act::SetDelayReason(Some(bad.to_owned()));
        assert_eq!(
            space.apply(at(0), Actor::Host, reason),
            Err(Refusal::Text { what: "reason" })
        );
    }
    let longest = "ü".repeat(TEXT_CHARS_MAX);
    assert_eq!(
        space(None).apply(at(0), Actor::Host, Act::Rename(longest)),
        Ok(Change::Edited),
        "characters, not bytes"
    );
}

/// What the simulation believes, as a table of who follows whom, written without a look at the code.
fn shadow_next(state: State, act: &Act) -> Option<State> {
    use State::{Announced, Cancelled, Doors, Ended, Live};
    Some(match (state, act) {
        (Announced, Act::OpenDoors) => Doors,
        (Announced | Doors, Act::GoLive) => Live,
        (Live, Act::End) => Ended,
        (Announced | Doors, Act::Cancel) => Cancelled,
        (Announced | Doors, Act::Reschedule { .. } | Act::SetDelayReason(_))
        | (
            Announced | Doors | Live,
            Act::SetSeat { .. }
            | Act::Place { .. }
            | Act::SetGreenRoom { .. }
            | Act::LockStage { .. }
            | Act::UnlockStage
            | Act::Dismiss(_),
        )
        | (
            Live | Ended,
            Act::MarkChapter { .. }
            | Act::MarkSpeeches(_)
            | Act::EditChapter { .. }
            | Act::RemoveChapter(_),
        )
        | (Ended, Act::DeleteRecording)
        | (_, Act::Rename(_) | Act::KeepRecording(_)) => state,
        _ => return None,
    })
}

fn acts() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => Just(Act::OpenDoors),
        3 => Just(Act::GoLive),
        2 => Just(Act::End),
        1 => Just(Act::Cancel),
        1 => (0..HOUR_MS).prop_map(|ms| Act::Reschedule { scheduled_at: at(ms), reason: None }),
        1 => proptest::option::of("[a-z ]{0,4}").prop_map(Act::SetDelayReason),
        1 => "[a-z ]{0,4}".prop_map(Act::Rename),
        3 => acts_on_stage(),
        2 => acts_on_the_recording(),
    ]
}

fn acts_on_the_recording() -> impl Strategy<Value = Act> {
    let place = || proptest::option::of(0..4_000_u64);
    prop_oneof![
        3 => (place(), "[a-z ]{0,4}").prop_map(|(at_ms, title)| Act::MarkChapter { at_ms, title }),
        1 => (0..4_u32, place(), proptest::option::of("[a-z ]{0,4}"))
            .prop_map(|(id, at_ms, title)| Act::EditChapter { id, at_ms, title }),
        1 => (0..4_u32).prop_map(Act::RemoveChapter),
        1 => proptest::collection::vec(0..400_u64, 0..4).prop_map(|parts| Act::MarkSpeeches(
            parts.into_iter().map(|part| Speech { from_part: PartIndex(part), seat: SeatNumber(1), parts: 94 }).collect(),
        )),
        1 => proptest::option::of(1..KEEP_DAYS_MAX + 2)
            .prop_map(|days| Act::KeepRecording(days.and_then(NonZeroU32::new))),
        1 => Just(Act::DeleteRecording),
    ]
}

fn acts_on_stage() -> impl Strategy<Value = Act> {
    let seat = || (1..=SEATS).prop_map(SeatNumber);
    let gain = GAIN_DB_MIN - 1..=GAIN_DB_MAX + 1;
    prop_oneof![
        2 => (seat(), proptest::option::of(any::<bool>()), proptest::option::of(gain))
            .prop_map(|(seat, muted, gain_db)| Act::SetSeat { seat, muted, gain_db }),
        1 => proptest::collection::btree_set(seat(), 0..=2).prop_map(|seated| Act::LockStage { seated }),
        1 => Just(Act::UnlockStage),
        1 => seat().prop_map(Act::Dismiss),
        1 => (seat(), prop_oneof![Just(Place::GreenRoom), Just(Place::Stage)])
            .prop_map(|(seat, place)| Act::Place { seat, place }),
        1 => (any::<bool>(), proptest::collection::btree_set(seat(), 0..=2))
            .prop_map(|(is_open, seated)| Act::SetGreenRoom { is_open, seated }),
    ]
}

proptest! {
    #[test]
    fn a_life_follows_its_table_and_lands_on_parts_in_order(
        steps in proptest::collection::vec((0_u64..3_000, prop_oneof![Just(Actor::Clock), Just(Actor::Host), Just(Actor::Operator)], acts()), 1..40),
    ) {
        let mut space = space(Some(DOORS_LEAD_MS + 10_000));
        let mut now = EPOCH;
        for (wait_ms, actor, act) in steps {
            now = now.plus_ms(wait_ms);
            let before = space.clone();
            let result = space.apply(now, actor, act.clone());
            prop_assert_eq!(space.check_invariants(), Ok(()));
            let Ok(change) = result else {
                prop_assert_eq!(&space, &before, "a refusal changes nothing");
                let is_of_its_step = matches!(result, Err(Refusal::DoesNotFollow { .. }));
                if actor != Actor::Clock && is_of_its_step {
                    prop_assert_eq!(shadow_next(before.state, &act), None);
                }
                continue;
            };
            prop_assert_eq!(Some(space.state), shadow_next(before.state, &act));
            if actor == Actor::Clock {
                let (due, next) = before.next_clock_act().unwrap();
                prop_assert!(act == next && due <= now);
            }
            let (part, lead_ms, floor) = match change {
                Change::DoorsOpened(part) => (part, PIPELINE_START_MS, PartIndex(0)),
                Change::WentLive(part) if before.state == State::Announced => (part, PIPELINE_START_MS, PartIndex(0)),
                Change::WentLive(part) => (part, CUT_LEAD_MS, space.doors_part.unwrap()),
                Change::Ended(part) => (part, CUT_LEAD_MS, space.live_part.unwrap().next()),
                Change::Cancelled | Change::Edited | Change::RecordingDeleted => continue,
            };
            let earliest = now.plus_ms(lead_ms);
            prop_assert!(space.moment(part) >= earliest);
            prop_assert!(part == floor || space.moment(part).ms_since(earliest) < PART_DURATION_MS, "no later than needed");
        }
    }
}

#[test]
fn newcomers_wait_in_an_open_green_room_and_who_is_on_stage_stays_there() {
    use Place::{GreenRoom, Stage};
    let mut space = space(None);
    let [one, two] = [1, 2].map(SeatNumber);
    let mut after = |act| {
        space.apply(at(0), Actor::Cohost, act).unwrap();
        [one, two].map(|seat| space.stage.green_room.place(seat))
    };
    let open = |is_open, seated: &[SeatNumber]| Act::SetGreenRoom {
        is_open,
        seated: seated.iter().copied().collect(),
    };
    let put = |seat, place| Act::Place { seat, place };
    assert_eq!(after(open(true, &[one])), [Stage, GreenRoom]);
    assert_eq!(after(put(one, GreenRoom)), [GreenRoom, GreenRoom]);
    assert_eq!(
        after(open(false, &[one, two])),
        [GreenRoom, GreenRoom],
        "nobody goes on air because the host does without a green room"
    );
    assert_eq!(after(put(two, Stage)), [GreenRoom, Stage]);
    assert_eq!(after(open(true, &[])), [GreenRoom, Stage]);
    assert_eq!(
        after(Act::Dismiss(two)),
        [GreenRoom, GreenRoom],
        "who was put off the stage comes back as a newcomer"
    );
    assert_eq!(
        after(open(false, &[])),
        [GreenRoom, Stage],
        "whoever was moved there by hand stays"
    );
    assert_eq!(after(Act::Dismiss(one)), [GreenRoom, Stage]);
    let unknown = put(SeatNumber(3), Stage);
    let refused = Refusal::Seat { asked: 3, seats: 2 };
    assert_eq!(space.apply(at(0), Actor::Host, unknown), Err(refused));
}

#[test]
fn a_cohost_does_what_the_host_does_but_cancel() {
    let mut space = space(None);
    let refused = Refusal::NotForCohosts { act: "cancel" };
    assert_eq!(space.apply(at(0), Actor::Cohost, Act::Cancel), Err(refused));
    assert_eq!(
        refused.to_string(),
        "a cohost cannot cancel; ask the host to do it"
    );
    for act in [Act::OpenDoors, Act::GoLive, Act::End] {
        space.apply(at(2_000), Actor::Cohost, act).unwrap();
    }
}

#[test]
fn a_countdown_is_over_when_the_stage_is_on_air_with_doors_or_without() {
    for doors_at in [None, Some(100)] {
        let mut space = space(None);
        if let Some(ms) = doors_at {
            space.apply(at(ms), Actor::Host, Act::OpenDoors).unwrap();
        }
        for begun_at in 5_000..5_400 {
            let mut space = space.clone();
            let part = space.cue(at(begun_at), 10).unwrap();
            let moment = space.moment(part);
            let promised = at(begun_at + 10_000);
            assert!(moment >= promised && moment.ms_since(promised) < PART_DURATION_MS);
            let due = space.cue_due(part);
            assert_eq!(
                space.apply(due, Actor::Host, Act::GoLive),
                Ok(Change::WentLive(part)),
                "begun at {begun_at} ms"
            );
        }
    }
}

#[test]
fn a_countdown_is_of_a_space_that_may_go_live_and_neither_a_blink_nor_a_wait() {
    let mut space = space(None);
    for asked in [0, CUE_SECONDS_MIN - 1, CUE_SECONDS_MAX + 1, u32::MAX] {
        assert_eq!(space.cue(at(0), asked), Err(Refusal::Cue { asked }));
    }
    space.apply(at(0), Actor::Host, Act::GoLive).unwrap();
    let told = space.cue(at(0), 10).unwrap_err().to_string();
    assert_eq!(told, "cannot count down to the start: the space is live");
}
