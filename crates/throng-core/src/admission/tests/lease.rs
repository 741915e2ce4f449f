//! Those who listen by playlist, on the board: whoever is in stays in, and what runs out is free.

use super::super::lease::LEASE_S;
use super::*;

/// By which names somebody is known: the number of his player, and his connection.
#[derive(Clone, Copy, Default)]
struct Caller {
    player: Option<u64>,
    connection: Option<u64>,
}

impl House {
    fn of(slots: u64) -> Self {
        Self::new(slots, 0, 1)
    }

    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds * 1_000 / STEP_MS {
            self.now_ms += STEP_MS;
            self.board.call(self.now_ms, Rung::default(), true);
        }
    }

    fn follow(&mut self, caller: Caller, playlist: Playlist, ticket: Option<Ticket>) -> Followed {
        self.follow_on(Rung::default(), caller, playlist, ticket)
    }

    fn follow_on(
        &mut self,
        rung: Rung,
        caller: Caller,
        playlist: Playlist,
        ticket: Option<Ticket>,
    ) -> Followed {
        let asking = Asking {
            rendition: Rendition::A64,
            rung,
            ..self.asking(ticket, caller.player)
        };
        let connection = caller.connection;
        self.board.follow(&asking, connection, playlist, &SECRET)
    }

    fn held(&self) -> u64 {
        self.board.room(Rung::default()).held
    }
}

fn player(person: usize) -> Caller {
    Caller {
        player: Some(number(person)),
        connection: None,
    }
}

fn connection(person: usize) -> Caller {
    Caller {
        player: None,
        connection: Some(number(!person)),
    }
}

fn is_in(followed: Followed) -> bool {
    !matches!(followed, Followed::Waits(_))
}

#[test]
fn whoever_goes_on_asking_stays_in_and_the_house_is_never_overfull() {
    let mut house = House::of(60);
    let mut asked: BTreeMap<usize, u64> = BTreeMap::new();
    for step in 0..4_000 {
        let who = usize::try_from(house.dice.below(150)).unwrap();
        let is_inside = asked
            .get(&who)
            .is_some_and(|at| house.now_ms / 1_000 - at <= LEASE_S);
        let followed = house.follow(player(who), Playlist::Media, None);
        if is_inside {
            assert_eq!(followed, Followed::Goes, "step {step}");
        }
        if is_in(followed) {
            asked.insert(who, house.now_ms / 1_000);
        }
        // Those who were in come again: a few places are kept for them.
        assert!(house.held() <= 60 + 60 / 16, "step {step}");
        if step % 5 == 0 {
            house.pass(1);
        }
    }
    house.pass(LEASE_S + 5);
    assert_eq!(house.held(), 0, "all of it ran out");
}

#[test]
fn one_who_finds_the_house_full_is_queued_and_comes_in_when_a_place_runs_out() {
    let mut house = House::of(2);
    let progressive = house.asking(None, Some(number(1_000)));
    assert!(matches!(
        house.board.ask(&progressive, &SECRET),
        Verdict::Enter(_)
    ));
    let first = house.follow(player(1), Playlist::Main, None);
    assert_eq!(first, Followed::Enters(Standing::Room));
    let Followed::Waits(wait) = house.follow(player(2), Playlist::Media, None) else {
        panic!("the house is full");
    };
    let again = house.follow(player(2), Playlist::Media, Some(wait.ticket));
    assert!(matches!(again, Followed::Waits(same) if same.ticket == wait.ticket));
    for _ in 0..10 {
        house.pass(4);
        assert_eq!(
            house.follow(player(1), Playlist::Media, None),
            Followed::Goes
        );
    }
    house.pass(LEASE_S + 6);
    let served = house.follow(player(2), Playlist::Main, Some(wait.ticket));
    assert_eq!(served, Followed::Enters(Standing::Served));
    assert_eq!(house.held(), 2);
}

#[test]
fn a_place_goes_with_its_owner_from_his_connection_to_his_number_and_between_renditions() {
    let mut house = House::of(1);
    let both = Caller {
        connection: connection(1).connection,
        ..player(1)
    };
    assert!(is_in(house.follow(both, Playlist::Main, None)));
    assert_eq!(house.follow(both, Playlist::Media, None), Followed::Goes);
    for again in [both, player(1)] {
        assert_eq!(house.follow(again, Playlist::Main, None), Followed::Goes);
    }
    assert_eq!(house.held(), 1, "he is one");
    let bits = house.board.room(Rung::default()).bits;
    let asking = Asking {
        rendition: Rendition::A32,
        ..house.asking(None, player(1).player)
    };
    let moved = house.board.follow(&asking, None, Playlist::Media, &SECRET);
    assert_eq!(moved, Followed::Goes);
    let room = house.board.room(Rung::DEEPEST);
    assert_eq!((room.held, room.bits), (1, wire_bits(Rendition::A32)));
    assert!(room.bits < bits);
}

#[test]
fn who_has_no_number_is_refused_at_the_multivariant_playlist_alone_and_a_cache_nowhere() {
    let mut house = House::of(1);
    assert!(is_in(house.follow(connection(1), Playlist::Main, None)));
    assert!(!is_in(house.follow(connection(2), Playlist::Main, None)));
    // A second connection of one who is in looks like this.
    assert!(is_in(house.follow(connection(2), Playlist::Media, None)));
    assert_eq!(house.held(), 2, "he is counted");
    for playlist in [Playlist::Main, Playlist::Media] {
        let cache = house.follow(Caller::default(), playlist, None);
        assert_eq!(cache, Followed::Goes);
    }
    assert_eq!(house.held(), 2);
}

#[test]
fn places_of_playlists_outlive_a_process() {
    let mut house = House::of(5);
    assert!(is_in(house.follow(player(1), Playlist::Media, None)));
    house.board.mourn(Lane::new(0), house.now_ms);
    assert_eq!(house.board.held_by(Lane::PLAYLISTS), 1);
    assert_eq!(
        house.follow(player(1), Playlist::Media, None),
        Followed::Goes
    );
    assert_eq!(house.held(), 1);
}

#[test]
fn on_rung_3_nobody_begins_to_start_over_and_who_does_goes_on() {
    let mut house = House::of(5);
    let ask = |house: &mut House, caller, rung| {
        let rung = Rung::new(rung).unwrap();
        house.follow_on(rung, caller, Playlist::FromTheStart, None)
    };
    assert!(is_in(ask(&mut house, player(1), 2)));
    assert!(is_in(house.follow(player(2), Playlist::Media, None)));
    for _ in 0..3 {
        assert_eq!(ask(&mut house, player(1), 3), Followed::Goes);
        for newcomer in [player(2), player(3), connection(4)] {
            assert_eq!(ask(&mut house, newcomer, 3), Followed::Pauses);
        }
        house.pass(10);
    }
    assert_eq!(
        ask(&mut house, Caller::default(), 3),
        Followed::Goes,
        "a cache"
    );
    assert_eq!(
        ask(&mut house, player(3), 2),
        Followed::Enters(Standing::Room)
    );
}
