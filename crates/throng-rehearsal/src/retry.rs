//! Coming back after a loss: exponential waits with full jitter, within a budget, so that a crowd that lost a server
//! does not become the next overload. Who has never heard anything gives up ([`Retries`]); who was inside comes back as our
//! page does, for as long as he stays ([`Comeback`]). Pure.

use crate::SECOND_US;
use crate::chance::Chance;

/// The first wait is below this.
const FIRST_WAIT_MAX_US: u64 = SECOND_US;
/// Later waits double up to this.
const WAIT_MAX_US: u64 = 30 * SECOND_US;
/// Tries before any sound; then a person gives up.
const BUDGET: u8 = 8;

/// The budget of one listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retries {
    spent: u8,
}

impl Retries {
    /// The wait before the next try, not shorter than the server asked for; `None` when the budget is spent.
    pub fn next_wait_us(&mut self, asked_us: u64, chance: &mut Chance) -> Option<u64> {
        if self.spent == BUDGET {
            return None;
        }
        let longest = WAIT_MAX_US.min(FIRST_WAIT_MAX_US << self.spent);
        self.spent += 1;
        Some(asked_us + chance.below(longest))
    }
}

/// Tries that may be spent at once, each of which counts for this long: both as in our page.
const SPENT_MAX_US: u64 = 6 * TRY_COUNTS_US;
const TRY_COUNTS_US: u64 = 10 * SECOND_US;
/// A stream that was cut is asked for again at once, so often: a server or a way may have failed for him alone.
const AT_ONCE_US: u64 = 2 * TRY_COUNTS_US;
/// The longest wait is this for no try, and doubles with each that is spent, up to some ten seconds.
const COMEBACK_MAX_US: u64 = 150_000;

/// The budget of one who was inside: what he spent of it lately bounds a wait that is drawn at random.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Comeback {
    spent_us: u64,
    at_us: u64,
}

impl Comeback {
    /// The wait before the next try. `cut`: sound was coming until now.
    pub fn next_wait_us(&mut self, now_us: u64, cut: bool, chance: &mut Chance) -> u64 {
        let regained_us = now_us.saturating_sub(self.at_us);
        let left_us = self.spent_us.saturating_sub(regained_us);
        self.spent_us = (left_us + TRY_COUNTS_US).min(SPENT_MAX_US);
        self.at_us = now_us;
        if cut && self.spent_us <= AT_ONCE_US {
            return 0;
        }
        let whole = COMEBACK_MAX_US << (self.spent_us / TRY_COUNTS_US);
        // Between two powers of two a straight line is near enough.
        let longest_us = whole + whole * (self.spent_us % TRY_COUNTS_US) / TRY_COUNTS_US;
        chance.below(longest_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `backOff` in `web/listen.html`.
    #[test]
    fn who_was_inside_comes_back_at_once_then_within_ten_seconds_again_and_again() {
        let mut chance = Chance::new(7);
        let mut longest = [0_u64; 20];
        for _ in 0..2_000 {
            let mut comeback = Comeback::default();
            assert_eq!(comeback.next_wait_us(0, true, &mut chance), 0);
            for place in &mut longest {
                *place = (*place).max(comeback.next_wait_us(0, false, &mut chance));
            }
        }
        for (place, longest) in longest.into_iter().enumerate() {
            let bound = COMEBACK_MAX_US << (place + 2).min(6);
            assert!(
                longest < bound && longest > bound * 9 / 10,
                "try {place}: {longest}"
            );
        }
    }

    #[test]
    fn a_stream_that_is_cut_again_and_again_is_not_asked_for_at_once_for_ever() {
        let mut chance = Chance::new(1);
        let mut comeback = Comeback::default();
        let waits = [0; 4].map(|_| comeback.next_wait_us(SECOND_US, true, &mut chance));
        assert!(
            waits[..2] == [0, 0] && waits[2] > 0 && waits[3] > 0,
            "{waits:?}"
        );
        let later_us = SECOND_US + SPENT_MAX_US;
        assert_eq!(comeback.next_wait_us(later_us, true, &mut chance), 0);
    }

    #[test]
    fn waits_grow_spread_over_their_whole_length_and_end() {
        let mut chance = Chance::new(7);
        let mut longest = [0_u64; BUDGET as usize];
        let mut shortest = [u64::MAX; BUDGET as usize];
        for _ in 0..2_000 {
            let mut retries = Retries::default();
            for place in 0..BUDGET as usize {
                let wait = retries.next_wait_us(0, &mut chance).unwrap();
                longest[place] = longest[place].max(wait);
                shortest[place] = shortest[place].min(wait);
            }
            assert_eq!(retries.next_wait_us(0, &mut chance), None);
        }
        for (place, bound) in [1, 2, 4, 8, 16, 30, 30, 30].into_iter().enumerate() {
            assert!(longest[place] < bound * SECOND_US);
            assert!(longest[place] > bound * SECOND_US * 9 / 10, "full jitter");
            assert!(shortest[place] < bound * SECOND_US / 10, "full jitter");
        }
    }

    #[test]
    fn a_dictated_wait_is_kept() {
        let mut chance = Chance::new(1);
        let mut retries = Retries::default();
        for _ in 0..BUDGET {
            assert!(retries.next_wait_us(SECOND_US, &mut chance).unwrap() >= SECOND_US);
        }
    }
}
