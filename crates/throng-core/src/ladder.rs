//! The ladder: how a node under pressure takes extras, then bit rate, then latency away, and never a listener.
//!
//! A rung says how long spans may be, how much a newcomer is given at once, and which rendition is the best that is
//! still sent. Whether a listener can take a longer span is his cursor's to decide. [`climber`] moves along the ladder by
//! what [`signals`] tell.

pub mod climber;
pub mod reason;
pub mod signals;

use serde::{Deserialize, Serialize};

use crate::rendition::Rendition;
use crate::timeline::SAMPLE_RATE_HZ;

/// One step of the ladder; 0 is normal.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize,
)]
#[serde(try_from = "u8", into = "u8")]
pub struct Rung(u8);

impl Rung {
    /// The deepest rung.
    pub const DEEPEST: Self = Self(4);

    /// The rung of a number, if there is one.
    pub const fn new(number: u8) -> Option<Self> {
        if number <= Self::DEEPEST.0 {
            Some(Self(number))
        } else {
            None
        }
    }

    /// So many steps deeper, as far as the ladder goes.
    #[must_use]
    pub fn deeper(self, steps: u8) -> Self {
        Self(self.0.saturating_add(steps)).min(Self::DEEPEST)
    }

    /// One step nearer to normal.
    #[must_use]
    pub const fn back(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// Its number.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// What it means, in words for everybody.
    pub const fn words(self) -> &'static str {
        match self.0 {
            0 => "everything is as usual",
            1 => "counts are told less often",
            2 => "sound is sent in pieces of 2 s",
            3 => "sound has fewer bits and is sent in pieces of 4 s",
            _ => "sound has a third of its bits and is sent in pieces of 8 s",
        }
    }

    /// Parts of one span: 0.96, 0.96, 1.92, 3.84 and 7.68 s. A send costs far more than its bytes.
    pub const fn span_parts(self) -> u64 {
        match self.0 {
            0 | 1 => 3,
            2 => 6,
            3 => 12,
            _ => 24,
        }
    }

    /// What a newcomer is given at once: 4 s, and 9 s where spans are about to become long.
    pub const fn burst_samples(self) -> u64 {
        let seconds = if self.0 < 2 { 4 } else { 9 };
        seconds * SAMPLE_RATE_HZ
    }

    /// Whether nobody new may start over from the beginning of the talk: that takes a disk, and bytes that no two share.
    pub const fn pauses_start_over(self) -> bool {
        self.0 >= 3
    }

    /// The best rendition that is sent to somebody who asked for this one.
    #[must_use]
    pub fn cap(self, asked: Rendition) -> Rendition {
        let steps = self.0.saturating_sub(2);
        asked.max(best_of_codec(asked).lowered(steps))
    }
}

impl From<Rung> for u8 {
    fn from(rung: Rung) -> Self {
        rung.0
    }
}

impl TryFrom<u8> for Rung {
    type Error = &'static str;

    fn try_from(number: u8) -> Result<Self, Self::Error> {
        Self::new(number).ok_or("there is no such rung")
    }
}

fn best_of_codec(rendition: Rendition) -> Rendition {
    match rendition {
        Rendition::O48 | Rendition::O24 | Rendition::O16 => Rendition::O48,
        Rendition::A64 | Rendition::A32 => Rendition::A64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deeper_rungs_send_less_often_and_fewer_bits_and_never_more_than_was_asked() {
        let mut before = Rung::default();
        for number in 0..=Rung::DEEPEST.number() {
            let rung = Rung::new(number).unwrap();
            assert!(rung.span_parts() >= before.span_parts());
            assert!(rung.burst_samples() >= before.burst_samples());
            for asked in Rendition::ALL {
                let (sent, sent_before) = (rung.cap(asked), before.cap(asked));
                assert_eq!(sent.codec(), asked.codec());
                assert!(sent.bit_rate() <= asked.bit_rate().min(sent_before.bit_rate()));
            }
            before = rung;
        }
        assert_eq!(Rung::new(5), None);
        let capped = |number| {
            let rung = Rung::new(number).unwrap();
            [Rendition::O48, Rendition::A64, Rendition::O16].map(|asked| rung.cap(asked))
        };
        let normal = [Rendition::O48, Rendition::A64, Rendition::O16];
        assert_eq!(capped(2), normal);
        assert_eq!(capped(3), [Rendition::O24, Rendition::A32, Rendition::O16]);
        assert_eq!(capped(4), [Rendition::O16, Rendition::A32, Rendition::O16]);
    }
}
