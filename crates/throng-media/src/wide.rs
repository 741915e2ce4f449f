//! A frame in one channel or in two.
//!
//! Two channels are kept as their *middle* and their *side*: the middle is what everybody hears who hears one channel, and
//! whatever has no side costs nothing more than in mono.

use crate::{Frame, SILENCE};

/// 20 ms of sound for both ears. Left is the middle and the side, right the middle less the side.
#[derive(Clone, Debug, PartialEq)]
pub struct WideFrame {
    /// Half of left and right together: all there is in mono.
    pub mid: Frame,
    /// Half of left less right. `None` where both are alike.
    pub side: Option<Box<Frame>>,
}

impl WideFrame {
    /// A frame of silence.
    pub const SILENCE: Self = Self {
        mid: SILENCE,
        side: None,
    };

    /// A frame of a middle and a side; a silent side is none.
    pub fn new(mid: Frame, side: Frame) -> Self {
        let is_wide = side.iter().any(|&sample| sample != 0.0);
        Self {
            mid,
            side: is_wide.then(|| Box::new(side)),
        }
    }

    /// Whether every sample is zero.
    pub fn is_silent(&self) -> bool {
        let side = self.side.iter().flat_map(|side| side.iter());
        self.mid.iter().chain(side).all(|&sample| sample == 0.0)
    }

    /// Multiplies each sample, in both ears alike, with what `gain` gives next.
    pub fn scale(&mut self, mut gain: impl FnMut() -> f32) {
        match &mut self.side {
            None => self.mid.iter_mut().for_each(|sample| *sample *= gain()),
            Some(side) => {
                for (mid, side) in self.mid.iter_mut().zip(side.iter_mut()) {
                    let gain = gain();
                    *mid *= gain;
                    *side *= gain;
                }
            }
        }
    }

    /// Mixes another in.
    pub fn add(&mut self, other: &Self) {
        for (sum, sample) in self.mid.iter_mut().zip(&other.mid) {
            *sum += sample;
        }
        if let Some(other) = &other.side {
            let side = self.side.get_or_insert_with(|| Box::new(SILENCE));
            for (sum, sample) in side.iter_mut().zip(other.iter()) {
                *sum += sample;
            }
        }
    }

    /// Its samples in reverse.
    pub(crate) fn reverse(&mut self) {
        self.mid.reverse();
        if let Some(side) = &mut self.side {
            side.reverse();
        }
    }
}

impl From<Frame> for WideFrame {
    /// Both ears hear the same.
    fn from(mid: Frame) -> Self {
        Self { mid, side: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FRAME_LEN;

    #[test]
    fn sums_and_gains_are_those_of_left_and_right() {
        let mut sum = WideFrame::from([0.25; FRAME_LEN]);
        sum.add(&WideFrame::new([0.25; FRAME_LEN], [0.125; FRAME_LEN]));
        sum.scale(|| 0.5);
        let side = sum.side.as_deref().unwrap();
        assert_eq!(
            (sum.mid[7] + side[7], sum.mid[7] - side[7]),
            (0.3125, 0.1875)
        );
        assert!(!sum.is_silent());
        sum.scale(|| 0.0);
        assert!(sum.is_silent());
    }

    #[test]
    fn a_silent_side_is_none() {
        assert_eq!(WideFrame::new(SILENCE, SILENCE), WideFrame::SILENCE);
    }
}
