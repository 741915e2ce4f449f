//! Coming back after a loss: exponential waits with full jitter, within a budget, so that a crowd that lost a server
//! does not become the next overload. Pure.

use crate::SECOND_US;
use crate::chance::Chance;

/// The first wait is below this.
const FIRST_WAIT_MAX_US: u64 = SECOND_US;
/// Later waits double up to this.
const WAIT_MAX_US: u64 = 30 * SECOND_US;
/// Tries in a row without any sound; then a person gives up.
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

    /// Sound came: the budget is whole again.
    pub fn heard(&mut self) {
        self.spent = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_dictated_wait_is_kept_and_sound_restores_the_budget() {
        let mut chance = Chance::new(1);
        let mut retries = Retries::default();
        for _ in 0..BUDGET {
            assert!(retries.next_wait_us(SECOND_US, &mut chance).unwrap() >= SECOND_US);
        }
        retries.heard();
        assert!(retries.next_wait_us(0, &mut chance).unwrap() < SECOND_US);
    }
}
