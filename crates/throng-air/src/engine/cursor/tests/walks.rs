//! Listeners who play in real time while the node walks along the ladder.

use super::*;

/// One who plays from the moment when he joined, while the node goes along the ladder; each rung lasts so many parts.
fn play_along(asked: Rendition, joined: u64, group: usize, rungs: &[u8], parts_each: u64) {
    let at = |place: u64| rung(rungs[usize::try_from(place / parts_each).unwrap()]);
    let (mut cursor, burst) = Cursor::join(Format::Mp4, asked, view(0, joined), at(0));
    cursor.set_group(group);
    let (mut end, mut rendition) = (joined, burst.rendition);
    for passed in 1..parts_each * rungs.len() as u64 {
        let cushion_ms = (end - burst.from.0).saturating_sub(passed) * 320;
        assert!(
            cushion_ms >= 500,
            "{cushion_ms} ms are left to {asked:?} of {joined} in {group}, {passed} parts later"
        );
        if let Step::Send { span, missed, .. } = cursor.step(view(0, joined + passed), at(passed)) {
            assert_eq!((span.from.0, missed), (end, 0), "whole, and once");
            let begins = end.is_multiple_of(12);
            assert!(begins || span.rendition == rendition, "{span:?}");
            (end, rendition) = (end + span.parts, span.rendition);
        }
    }
    let last = rung(*rungs.last().unwrap());
    assert_eq!(rendition, last.cap(asked), "he is where the node is");
}

#[test]
fn a_walk_along_the_ladder_and_back_leaves_every_player_his_reserve() {
    let walks: [&[u8]; 4] = [
        &[0, 1, 2, 3, 4, 3, 2, 1, 0],
        &[4, 3, 2, 1, 0, 1, 2, 3, 4],
        &[0, 4, 0, 4, 0, 4, 0],
        &[2, 4, 2, 0, 2, 4, 2],
    ];
    for asked in Rendition::ALL {
        for joined in 100..124 {
            for group in 0..GROUPS {
                // From shorter than a span to longer than a segment and the longest span.
                for (walk, parts_each) in walks.iter().zip([40, 30, 29, 50]) {
                    play_along(asked, joined, group, walk, parts_each);
                }
                play_along(asked, joined, group, &[0, 2, 4, 1, 3, 0, 0, 0, 0, 0, 0], 5);
            }
        }
    }
}
