//! What chance did to a queue, told afterwards.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use super::*;

#[test]
fn when_a_queue_is_over_anybody_can_tell_from_its_open_seed_who_was_drawn() {
    let (slots, tickets) = (200, 2_000);
    let mut house = House::new(slots, 0, 1);
    let enters = |house: &mut House, ticket| {
        let asking = house.asking(ticket, None);
        match house.board.ask(&asking, &SECRET) {
            Verdict::Enter(Entered { standing, .. }) => Ok(standing),
            Verdict::Wait(wait) => Err(wait.ticket),
        }
    };
    assert!((0..slots).all(|_| enters(&mut house, None) == Ok(Standing::Room)));
    let waiting: Vec<_> = (0..tickets)
        .map(|_| enters(&mut house, None).unwrap_err())
        .collect();
    let [_, committed] = Chances::of(&SECRET, 0).commitments();
    assert_eq!(house.board.last_queue(), None, "nothing is open yet");
    let leave = |house: &House, count| {
        (0..count).for_each(|_| house.board.leave(Lane::new(0), Rendition::O48));
    };
    leave(&house, slots);
    // Nobody is called meanwhile, so that nobody else comes in.
    let mut drawn = BTreeSet::new();
    for ticket in &waiting {
        if enters(&mut house, Some(*ticket)) == Ok(Standing::Sampled) {
            drawn.insert(ticket.arrived);
        }
    }
    leave(&house, drawn.len() as u64);
    while house.board.last_queue().is_none() {
        house.now_ms += STEP_MS;
        house.board.call(house.now_ms, Rung::default(), false);
        assert!(
            house.now_ms < 2_000_000,
            "a minute after the last call it is over"
        );
    }
    let last = house.board.last_queue().unwrap();
    assert_eq!((last.queue, last.of), (0, tickets));
    // As an outsider does it, by the words of the reference.
    let [_, seed] = Chances::of(&SECRET, last.queue).seeds();
    assert_eq!(<[u8; 32]>::from(Sha256::digest(seed)), committed);
    let is_drawn = |arrived: &u64| {
        let hash = Sha256::digest([&seed[..], &arrived.to_be_bytes()].concat());
        let first = hash[..8]
            .iter()
            .fold(0_u64, |all, byte| all << 8 | u64::from(*byte));
        u128::from(first) * 1_000 < u128::from(u64::MAX) * 15
    };
    assert!(!drawn.is_empty());
    assert_eq!(drawn, (0..last.of).filter(is_drawn).collect());
}
