//! Speeches: who has the word, and since when. Where it passes to another, a chapter may begin.

use super::Turns;
use crate::key::SeatNumber;
use crate::timeline::PartIndex;

/// Who talks for so long while nobody else has more to say than an [`INTERJECTION_PARTS_MAX`] has the word: 30.08 s, enough
/// for a thought, and more than most questions take.
pub const SPEECH_PARTS_MIN: u64 = 94;
/// A turn of at most so much, 5.12 s, takes the word from nobody: "yes", a laugh, a short question.
const INTERJECTION_PARTS_MAX: u64 = 16;

/// A seat has the word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speech {
    /// The part in which it begins.
    pub from_part: PartIndex,
    /// Who.
    pub seat: SeatNumber,
    /// For how many parts he talks, his pauses left out.
    pub parts: u64,
}

impl Turns {
    /// Who has the word one after the other: nobody twice in a row. Where those are more than so many, only the long ones.
    pub fn speeches(&self, most: usize) -> Vec<Speech> {
        let mut shortest = SPEECH_PARTS_MIN;
        loop {
            let speeches = self.speeches_of(shortest);
            if speeches.len() <= most {
                return speeches;
            }
            shortest = shortest.saturating_mul(2);
        }
    }

    fn speeches_of(&self, shortest: u64) -> Vec<Speech> {
        let mut speeches: Vec<Speech> = Vec::new();
        let turns = self.heard.iter();
        for turn in turns.filter(|turn| turn.parts() > INTERJECTION_PARTS_MAX) {
            match speeches.last_mut() {
                Some(speech) if speech.seat == turn.seat => speech.parts += turn.parts(),
                _ => speeches.push(Speech {
                    from_part: turn.from_part,
                    seat: turn.seat,
                    parts: turn.parts(),
                }),
            }
        }
        speeches.retain(|speech| speech.parts >= shortest);
        speeches.dedup_by_key(|speech| speech.seat);
        speeches
    }
}

#[cfg(test)]
mod tests {
    use super::super::Turn;
    use super::*;

    /// Turns of these seats, each for so many parts, one after the other with a pause between them.
    fn turns(turns: &[(u32, u64)]) -> Turns {
        let mut from = 0;
        let turns = turns.iter().map(|&(seat, parts)| {
            let turn = Turn {
                from_part: PartIndex(from),
                seat: SeatNumber(seat),
                until_part: PartIndex(from + parts),
            };
            from += parts + 10;
            turn
        });
        Turns::new(turns.collect()).unwrap()
    }

    fn words(turns: &Turns, most: usize) -> Vec<(u64, u32, u64)> {
        let speeches = turns.speeches(most).into_iter();
        let told = speeches.map(|speech| (speech.from_part.0, speech.seat.0, speech.parts));
        told.collect()
    }

    #[test]
    fn whoever_talks_for_half_a_minute_has_the_word_until_another_does() {
        let talk = turns(&[(1, 50), (1, 44), (2, 93), (1, 200), (3, 94), (1, 94)]);
        assert_eq!(
            words(&talk, 9),
            [(0, 1, 94), (427, 3, 94), (531, 1, 94)],
            "the second's was no speech, and the first goes on"
        );
    }

    #[test]
    fn a_word_between_takes_it_from_nobody() {
        let talk = turns(&[(2, 16), (1, 60), (2, 16), (1, 60), (2, 17), (1, 60)]);
        assert_eq!(words(&talk, 9), [(26, 1, 120)]);
    }

    #[test]
    fn where_there_are_too_many_the_long_ones_are_left() {
        let talk = turns(&[(1, 100), (2, 190), (1, 100), (3, 400)]);
        assert_eq!(words(&talk, 4).len(), 4);
        assert_eq!(words(&talk, 3), [(110, 2, 190), (420, 3, 400)]);
        assert_eq!(words(&talk, 1), [(420, 3, 400)]);
        assert_eq!(words(&talk, 0), []);
    }
}
