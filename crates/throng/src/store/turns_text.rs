//! Who talked when, as text in a column of a space: `seat:from:parts`, with spaces between. Each `from` counts from the one
//! before, so that a turn takes some ten characters. Pure.

use throng_core::key::SeatNumber;
use throng_core::timeline::PartIndex;
use throng_core::turns::{Turn, Turns};

pub(super) fn of_turns(turns: &Turns) -> String {
    let mut before = 0;
    let texts = turns.all().iter().map(|turn| {
        let from = turn.from_part.0 - before;
        before = turn.from_part.0;
        format!("{}:{from}:{}", turn.seat.0, turn.parts())
    });
    texts.collect::<Vec<_>>().join(" ")
}

pub(super) fn turns(text: &str) -> Option<Turns> {
    let mut before = 0_u64;
    let turns = text.split_ascii_whitespace().map(|one| {
        let (seat, times) = one.split_once(':')?;
        let (from, parts) = times.split_once(':')?;
        before = before.checked_add(from.parse().ok()?)?;
        let until = before.checked_add(parts.parse().ok()?)?;
        Some(Turn {
            from_part: PartIndex(before),
            seat: SeatNumber(seat.parse().ok()?),
            until_part: PartIndex(until),
        })
    });
    Turns::new(turns.collect::<Option<_>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_read_again_and_what_was_damaged_is_not() {
        let mut kept = Turns::default();
        for (part, seat) in [(1_000, 2), (1_002, 1), (1_050, 2), (1_051, 2)] {
            kept.heard(PartIndex(part), SeatNumber(seat), true);
        }
        let text = of_turns(&kept);
        assert_eq!(text, "2:1000:1 1:2:1 2:48:2");
        assert_eq!(turns(&text), Some(kept));
        assert_eq!(turns(""), Some(Turns::default()));
        for damaged in ["2:1000", "x", "2:1:0", "0:1:1", "1:18446744073709551615:2"] {
            assert_eq!(turns(damaged), None, "{damaged}");
        }
    }
}
