//! Talkback: what a host says to the stage, off air. It is mixed into the returns of those whom it is for, over a mix that is
//! turned down meanwhile, and never into the stage: the mixer's sum is made without it.

use core::time::Duration;
use std::collections::BTreeMap;

use super::{GATE, SeatId};
use crate::jitter::{JitterBuffer, SpeakerPacket};
use crate::level::Talk;
use crate::{FRAME_LEN, Frame, SILENCE};

/// Most hosts who talk to a stage at once. Bounds the decoding; a further line is not opened.
pub const MAX_TALKBACKS: usize = 4;
/// How loud the others are while a host talks: 12 dB down, so that he is understood and they can go on.
const DUCKED: f32 = 0.25;
/// Samples in which the others are turned down, and up again, 50 ms.
const DUCK_SAMPLES: f32 = 2_400.0;

/// Whom a host talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ears {
    /// Everybody on stage.
    All,
    /// One of them.
    Seat(SeatId),
}

impl Ears {
    /// Whether somebody on that seat hears it.
    pub fn include(self, seat: SeatId) -> bool {
        match self {
            Self::All => true,
            Self::Seat(only) => only == seat,
        }
    }
}

/// A talkback line as the desk sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TalkbackState {
    /// The line.
    pub line: SeatId,
    /// Whom it is for.
    pub ears: Ears,
    /// Whether the host talks.
    pub says: bool,
}

/// All lines of a stage.
pub(super) struct Talkbacks {
    lines: BTreeMap<SeatId, Line>,
    /// Those that were closed in mid-word and are faded out, 50 ms. At most as many as may be open; beyond, they are cut.
    closed: Vec<Line>,
}

struct Line {
    /// Who hears it.
    ears: Ears,
    /// Who is to hear it as soon as the others are as loud as ever for whoever does; nobody where it is closed.
    wanted: Option<Ears>,
    jitter: JitterBuffer,
    talk: Talk,
    says: bool,
    /// What is said in this frame.
    said: Frame,
    /// What the others are brought in with, sample by sample.
    others: Frame,
    duck: f32,
}

/// What is done to the mix of one who is talked to.
pub(super) struct Whisper {
    said: Frame,
    others: Frame,
}

impl Default for Talkbacks {
    fn default() -> Self {
        Self {
            lines: BTreeMap::new(),
            closed: Vec::with_capacity(MAX_TALKBACKS),
        }
    }
}

impl Talkbacks {
    /// Opens a line, or begins it anew. One beyond the bound is not opened.
    pub(super) fn open(&mut self, line: SeatId, ears: Ears) {
        self.close(line);
        if self.lines.len() < MAX_TALKBACKS {
            self.lines.insert(line, Line::new(ears));
        }
    }

    /// The line is for others from now on.
    pub(super) fn turn_to(&mut self, line: SeatId, ears: Ears) {
        if let Some(line) = self.lines.get_mut(&line) {
            line.wanted = Some(ears);
        }
    }

    pub(super) fn close(&mut self, line: SeatId) {
        if let Some(mut line) = self.lines.remove(&line)
            && line.is_heard()
            && self.closed.len() < MAX_TALKBACKS
        {
            line.wanted = None;
            self.closed.push(line);
        }
    }

    pub(super) fn push(&mut self, line: SeatId, now: Duration, packet: &SpeakerPacket) {
        if let Some(line) = self.lines.get_mut(&line) {
            line.jitter.push(now, packet);
        }
    }

    pub(super) fn skip(&mut self, frames: u32) {
        for line in self.lines.values_mut().chain(&mut self.closed) {
            line.jitter.skip(frames);
        }
    }

    /// The lines that are open.
    pub(super) fn lines(&self) -> impl Iterator<Item = TalkbackState> + '_ {
        self.lines.iter().map(|(&id, line)| TalkbackState {
            line: id,
            ears: line.wanted.unwrap_or(line.ears),
            says: line.says,
        })
    }

    /// Decodes the next frame of all.
    pub(super) fn hear(&mut self, now: Duration) {
        self.closed.retain(Line::is_heard);
        for line in self.lines.values_mut().chain(&mut self.closed) {
            line.hear(now);
        }
    }

    /// What is said to all who are on stage.
    pub(super) fn to_all(&self) -> Option<Whisper> {
        self.whisper(|ears| ears == Ears::All)
    }

    /// What is said to one seat, if anything is said to it that is not said to all.
    pub(super) fn to_seat(&self, seat: SeatId) -> Option<Whisper> {
        self.active()
            .any(|line| line.ears == Ears::Seat(seat))
            .then(|| self.whisper(|ears| ears.include(seat)))?
    }

    /// The lines on which something is heard in this frame.
    fn active(&self) -> impl Iterator<Item = &Line> {
        let lines = self.lines.values().chain(&self.closed);
        lines.filter(|line| line.is_active())
    }

    fn whisper(&self, is_meant: impl Fn(Ears) -> bool) -> Option<Whisper> {
        let mut active = self.active().filter(|line| is_meant(line.ears));
        let first = active.next()?;
        let mut whisper = Whisper {
            said: first.said,
            others: first.others,
        };
        for line in active {
            for (sum, said) in whisper.said.iter_mut().zip(&line.said) {
                *sum += said;
            }
            for (least, others) in whisper.others.iter_mut().zip(&line.others) {
                *least = least.min(*others);
            }
        }
        Some(whisper)
    }
}

impl Whisper {
    /// The mix as he hears it who is talked to.
    pub(super) fn over(&self, mix: &Frame) -> Frame {
        core::array::from_fn(|at| mix[at] * self.others[at] + self.said[at])
    }

    /// His own part of the mix, as much of it as is left there.
    pub(super) fn of_part(&self, part: &Frame) -> Frame {
        core::array::from_fn(|at| part[at] * self.others[at])
    }
}

impl Line {
    fn new(ears: Ears) -> Self {
        Self {
            ears,
            wanted: Some(ears),
            jitter: JitterBuffer::new(),
            talk: Talk::new(GATE),
            says: false,
            said: SILENCE,
            others: [1.0; FRAME_LEN],
            duck: 1.0,
        }
    }

    fn hear(&mut self, now: Duration) {
        let heard = self.jitter.pull(now);
        self.says = self.talk.hear(&heard);
        if !self.is_heard() {
            self.ears = self.wanted.unwrap_or(self.ears);
        }
        let is_theirs = self.wanted == Some(self.ears);
        let goal = if self.says && is_theirs { DUCKED } else { 1.0 };
        let step = (1.0 - DUCKED) / DUCK_SAMPLES;
        for ((said, others), heard) in self.said.iter_mut().zip(&mut self.others).zip(heard) {
            self.duck += (goal - self.duck).clamp(-step, step);
            *others = self.duck;
            // It comes in as fast as the others go out: no click.
            *said = heard * (1.0 - self.duck) / (1.0 - DUCKED);
        }
    }

    /// Whether the others are turned down for it still.
    fn is_heard(&self) -> bool {
        self.duck < 1.0
    }

    /// Whether this frame holds anything of it.
    fn is_active(&self) -> bool {
        self.is_heard() || self.others[0] < 1.0
    }
}

#[cfg(test)]
mod tests;
