//! Sequence numbers of speech alone. Pure.
//!
//! Browsers probe the network with packets of nothing but padding, on the line of the speech: they carry sequence
//! numbers and no sound. Left out, each would look like a loss, so the numbers behind them close up.

use std::collections::VecDeque;

/// Padding remembered one by one, more than a probe has: late speech from before it is still numbered right.
const RECENT_MAX: usize = 64;

/// Counts the padding before each packet.
#[derive(Debug, Default)]
pub(crate) struct Numbering {
    /// Extended sequence numbers, as they came.
    recent: VecDeque<u64>,
    /// How many are no longer remembered: they lie before everything that still comes.
    forgotten: u64,
}

impl Numbering {
    /// A packet of padding came with this extended sequence number.
    pub(crate) fn skip(&mut self, sequence: u64) {
        self.recent.push_back(sequence);
        if self.recent.len() > RECENT_MAX {
            self.recent.pop_front();
            self.forgotten += 1;
        }
    }

    /// The number of a packet of speech.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "RTP sequence numbers are the low 16 bits"
    )]
    pub(crate) fn number(&self, sequence: u64) -> u16 {
        let before = self
            .recent
            .iter()
            .filter(|&&skipped| skipped < sequence)
            .count() as u64;
        sequence.wrapping_sub(self.forgotten + before) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_close_up_behind_padding() {
        let mut numbering = Numbering::default();
        let mut numbers = Vec::new();
        // Every third packet is padding, over a wrap of the 16 bits and beyond what is remembered.
        for sequence in 65_000..66_000_u64 {
            if sequence % 3 == 0 {
                numbering.skip(sequence);
            } else {
                numbers.push(numbering.number(sequence));
            }
        }
        assert!(
            numbers
                .windows(2)
                .all(|pair| pair[1] == pair[0].wrapping_add(1))
        );
    }

    #[test]
    fn speech_that_comes_after_later_padding_keeps_its_number() {
        let mut numbering = Numbering::default();
        numbering.skip(11);
        assert_eq!((numbering.number(10), numbering.number(12)), (10, 11));
    }
}
