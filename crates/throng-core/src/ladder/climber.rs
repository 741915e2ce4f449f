//! Who moves along the ladder: pure, a second's signals in, a move out.
//!
//! Down quickly, up slowly. What presses for three seconds moves a node one rung deeper, what presses hard two, and then
//! it waits for the effect. Only a calm that lasts takes it back, one rung at a time; each time that coming back turns
//! out to have been too early, the next calm has to last twice as long. So a signal that hovers costs nobody a see-saw.

use crate::ladder::Rung;
use crate::ladder::reason::Reasons;
use crate::ladder::signals::{Decision, Level, Signals};

#[cfg(test)]
mod tests;

/// Trouble has to last so long: one bad second is nothing that a cushion does not bear.
const TROUBLE_S: u32 = 3;
/// Critical trouble.
const CRITICAL_S: u32 = 2;
/// After a move so long before the next one deeper: spans of 3.84 s have changed by then, and the signals with them.
const EFFECT_S: u32 = 5;
/// Calm has to last at least so long: longer than the longest span and a wave of joins.
const CALM_MIN_S: u32 = 30;
/// And at most so long, however often coming back was too early.
const CALM_MAX_S: u32 = 480;
/// After so long without a move it is forgotten how often that was.
const PEACE_S: u32 = 1_200;

/// A move along the ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// The rung before.
    pub from: Rung,
    /// The rung now.
    pub to: Rung,
    /// What pressed; nothing where calm or the operator moved it.
    pub reasons: Reasons,
}

/// Where a node is on the ladder.
#[derive(Clone, Copy, Debug)]
pub struct Climber {
    decision: Decision,
    /// Seconds of trouble, one less for each without.
    trouble_s: u32,
    /// Seconds of calm without a break.
    calm_s: u32,
    since_move_s: u32,
    /// How long calm has to last.
    calm_needed_s: u32,
    /// Whether its last move took it back.
    came_back: bool,
}

impl Default for Climber {
    fn default() -> Self {
        Self {
            decision: Decision::default(),
            trouble_s: 0,
            calm_s: 0,
            since_move_s: EFFECT_S,
            calm_needed_s: CALM_MIN_S,
            came_back: false,
        }
    }
}

impl Climber {
    /// Where it is, and why.
    pub const fn decision(&self) -> Decision {
        self.decision
    }

    /// A second is over, and this is what it brought.
    pub fn second(&mut self, signals: &Signals) -> Option<Move> {
        self.since_move_s = self.since_move_s.saturating_add(1);
        if self.since_move_s >= PEACE_S {
            self.calm_needed_s = CALM_MIN_S;
        }
        let level = signals.level();
        self.note(level);
        if self.decision.locked {
            return None;
        }
        match level {
            Level::Trouble(reasons) => self.go_deeper(1, TROUBLE_S, reasons),
            Level::Critical(reasons) => self.go_deeper(2, CRITICAL_S, reasons),
            Level::Calm => self.come_back(),
            Level::Bearable => None,
        }
    }

    /// The rung to which the last second would have it go.
    pub fn wanted(&self) -> Rung {
        let rung = self.decision.rung;
        if self.trouble_s > 0 {
            rung.deeper(1)
        } else if self.calm_s > 0 {
            rung.back()
        } else {
            rung
        }
    }

    /// The operator sets a rung, which stays.
    pub fn lock(&mut self, rung: Rung) -> Option<Move> {
        self.take(Decision {
            rung,
            locked: true,
            reasons: Reasons::default(),
        })
    }

    /// The operator lets it move by itself again, from where it is.
    pub fn unlock(&mut self) {
        self.decision.locked = false;
    }

    /// Takes over what somebody else has decided.
    pub fn take(&mut self, decision: Decision) -> Option<Move> {
        let from = std::mem::replace(&mut self.decision, decision).rung;
        self.moved(from)
    }

    fn note(&mut self, level: Level) {
        match level {
            Level::Trouble(_) | Level::Critical(_) => self.trouble_s += 1,
            Level::Bearable | Level::Calm => self.trouble_s = self.trouble_s.saturating_sub(1),
        }
        self.calm_s = if level == Level::Calm {
            self.calm_s.saturating_add(1)
        } else {
            0
        };
    }

    fn go_deeper(&mut self, steps: u8, held_s: u32, reasons: Reasons) -> Option<Move> {
        // Counted no further, so that what is over is soon forgotten.
        self.trouble_s = self.trouble_s.min(TROUBLE_S);
        if self.trouble_s < held_s || self.since_move_s < EFFECT_S {
            return None;
        }
        if std::mem::take(&mut self.came_back) {
            self.calm_needed_s = (self.calm_needed_s * 2).min(CALM_MAX_S);
        }
        let from = self.decision.rung;
        self.decision.rung = from.deeper(steps);
        self.decision.reasons = reasons;
        self.moved(from)
    }

    fn come_back(&mut self) -> Option<Move> {
        if self.calm_s < self.calm_needed_s {
            return None;
        }
        let from = self.decision.rung;
        self.decision.rung = from.back();
        if self.decision.rung == Rung::default() {
            self.decision.reasons = Reasons::default();
        }
        let moved = self.moved(from);
        self.came_back |= moved.is_some();
        moved
    }

    fn moved(&mut self, from: Rung) -> Option<Move> {
        let to = self.decision.rung;
        if from == to {
            return None;
        }
        (self.trouble_s, self.calm_s, self.since_move_s) = (0, 0, 0);
        let reasons = if from < to {
            self.decision.reasons
        } else {
            Reasons::default()
        };
        Some(Move { from, to, reasons })
    }
}
