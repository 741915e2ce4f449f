//! A listener's place in the programme: what he is sent next, and what becomes of one who cannot keep up.
//!
//! Pure: the window's numbers and the rung come in, a step goes out. A part is given at most once, in order; one that
//! is left out is counted in [`Step::Send::missed`]. Who is slow is moved down a rendition, then skipped to the newest
//! sound, then closed; who has been calm for two minutes gets his rendition back.

use throng_core::ladder::Rung;
use throng_core::rendition::Rendition;
use throng_core::timeline::{PART_DURATION_MS, PART_SAMPLES, PARTS_PER_SEGMENT, PartIndex};
use throng_core::window::Window;

use super::seat::GROUPS;
pub use crate::format::Format;

#[cfg(test)]
mod tests;

/// A span is shorter than the cushion by at least this: what a late tick and the line may cost.
const CUSHION_RESERVE_MS: u64 = 500;
/// Spans by length; the longest that rung and cushion allow is taken.
const SPANS_PARTS: [u64; 5] = [24, 12, 6, 3, 1];
/// Into how many alignments the spans of all listeners are cut, so that they are not all due with the same part.
/// Together with the three ticks in the time of one part these are nine phases; each more costs every send a little.
/// A longer span is cut into nine as evenly, so that no phase waits for another to be done.
const ALIGNMENTS: u64 = 3;
/// Phases of a span.
const PHASES: u64 = ALIGNMENTS * GROUPS as u64;
/// The most that somebody is sent at once of what is overdue: as much as the burst of a join.
const OVERDUE_PARTS_MAX: u64 = 13;
/// A blocked listener so far behind, 3.84 s, is moved down a rendition; the kernel holds some ten seconds besides.
const LAG_LOWERED_PARTS: u64 = 12;
/// A blocked listener so far behind, 15.36 s, has long been silent and is moved to the newest sound.
const LAG_SKIPPED_PARTS: u64 = 48;
/// After so many skips without a calm time between them a listener is closed: he hears more gaps than sound.
const SKIPS_MAX: u8 = 3;
/// A listener who was never blocked for so long, two minutes, is calm: his skips are forgotten, and he gets one
/// rendition back.
const CALM_PARTS: u64 = 375;
/// Who was elsewhere goes on where he stopped if that is so long ago at most, 9.6 s: nobody begins with a longer cushion,
/// so that an earlier part would only be played late.
const REACH_PARTS: u64 = 30;
/// What a join gives at least where there is enough, 4.16 s.
const CUSHION_LEAST: u8 = 13;
/// He may be ahead by so much, 3.84 s: whoever served him before may have had parts that are not here yet.
const AHEAD_PARTS_MAX: u64 = 12;
/// A joiner waits until the window holds so much, 1.6 s: with less he would never own the cushion for a span of 0.96 s.
const JOIN_PARTS_MIN: u64 = 5;

/// The numbers of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// The oldest part that is here.
    pub oldest: PartIndex,
    /// The part that comes next.
    pub next: PartIndex,
    /// Whether none will come.
    pub finished: bool,
}

impl View {
    /// The numbers of this window.
    pub fn of(window: &Window) -> Self {
        Self {
            oldest: window.oldest(),
            next: window.next(),
            finished: window.is_finished(),
        }
    }

    /// Whether somebody who begins now gets the cushion that the shortest usual span needs.
    pub fn is_joinable(self) -> bool {
        self.finished || self.next.0 - self.oldest.0 >= JOIN_PARTS_MIN
    }

    /// Where somebody begins who is to have the newest sound, and how much that is.
    fn burst(self, rung: Rung) -> (PartIndex, u64) {
        let parts = rung.burst_samples().div_ceil(PART_SAMPLES);
        let from = self.next.0.saturating_sub(parts).max(self.oldest.0);
        (PartIndex(from), self.next.0 - from)
    }
}

/// What one send carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// The first part.
    pub from: PartIndex,
    /// How many parts; none where only the end is left to say.
    pub parts: u64,
    /// In which rendition.
    pub rendition: Rendition,
    /// Whether the stream ends with it.
    pub last: bool,
}

/// What is to be done for a listener now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// He cannot keep up, in any rendition.
    Close,
    /// Send this.
    Send {
        /// What is sent.
        span: Span,
        /// Parts that are left out before it.
        missed: u64,
        /// Whether it could have been sent a part's time ago, and would have been but for us.
        is_late: bool,
    },
    /// Nothing is due.
    Wait,
}

/// One listener's place.
#[derive(Clone, Copy, Debug)]
pub struct Cursor {
    /// The first part that he was not given.
    next: PartIndex,
    /// Where he last was in trouble, or joined.
    calm_since: PartIndex,
    /// What he asked for.
    asked: Rendition,
    /// What he is sent.
    rendition: Rendition,
    format: Format,
    /// Renditions by which he was moved down.
    lowered: u8,
    skips: u8,
    /// Parts that he was given at once, so that he owns them ahead of what he plays.
    cushion: u8,
    alignment: u8,
    /// The tick, of those in the time of a part, that serves him.
    group: u8,
    /// Whether his last span did not fit into his send buffer.
    blocked: bool,
}

impl Cursor {
    /// A newcomer, and the first that he is sent.
    pub fn join(format: Format, asked: Rendition, view: View, rung: Rung) -> (Self, Span) {
        let mut cursor = Self {
            next: view.next,
            calm_since: view.next,
            asked,
            rendition: rung.cap(asked),
            format,
            lowered: 0,
            skips: 0,
            cushion: 0,
            alignment: 0,
            group: 0,
            blocked: false,
        };
        let span = cursor.burst(view, rung);
        (cursor, span)
    }

    /// Somebody who was elsewhere before waits for this part: what he is sent first instead of a join's burst, whose cushion
    /// he owns already. One who asks for what is out of reach begins as everybody does.
    pub(crate) fn go_on(&mut self, from: PartIndex, burst: Span, view: View) -> Span {
        let reach = view.oldest.0.max(view.next.0.saturating_sub(REACH_PARTS))
            ..=view.next.0 + if view.finished { 0 } else { AHEAD_PARTS_MAX };
        if !reach.contains(&from.0) {
            return burst;
        }
        self.next = from.max(view.next);
        // What he owns is what he was given when he came, on whichever rung that was.
        self.cushion = self.cushion.min(CUSHION_LEAST);
        Span {
            from,
            parts: view.next.0.saturating_sub(from.0),
            ..burst
        }
    }

    /// Says which tick serves him.
    pub fn set_group(&mut self, group: usize) {
        self.group = u8::try_from(group % GROUPS).unwrap_or_default();
    }

    /// The container.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Says that the last span did not fit into the send buffer.
    pub fn set_blocked(&mut self) {
        self.blocked = true;
    }

    /// What is to be done now, everything before having been sent.
    pub fn step(&mut self, view: View, rung: Rung) -> Step {
        let lag = view.next.0.saturating_sub(self.next.0);
        let skipped = self.next < view.oldest || self.blocked && lag >= LAG_SKIPPED_PARTS;
        if skipped && !view.is_joinable() {
            return Step::Wait;
        }
        self.judge(view, rung, lag);
        if skipped && self.skips > SKIPS_MAX {
            return Step::Close;
        }
        let (before, next_end) = (self.next, self.next_end(rung));
        let is_late = !self.blocked && !skipped && view.next.0 > next_end + 1;
        let span = if skipped {
            self.rendition = self.wanted(rung);
            Some(self.burst(view, rung))
        } else {
            self.due(view, rung)
        };
        let Some(span) = span else { return Step::Wait };
        self.next = PartIndex(span.from.0 + span.parts);
        self.blocked = false;
        Step::Send {
            span,
            missed: span.from.0.saturating_sub(before.0),
            is_late,
        }
    }

    /// Notes trouble and calm.
    fn judge(&mut self, view: View, rung: Rung, lag: u64) {
        if self.blocked {
            self.calm_since = view.next;
            let lowest = self.rendition.lowered(1) == self.rendition;
            let changing = self.rendition != self.wanted(rung);
            if lag >= LAG_LOWERED_PARTS && !lowest && !changing {
                self.lowered += 1;
            }
            if lag >= LAG_SKIPPED_PARTS {
                self.skips += 1;
            }
        } else if view.next.0.saturating_sub(self.calm_since.0) >= CALM_PARTS {
            self.calm_since = view.next;
            self.lowered = self.lowered.saturating_sub(1);
            self.skips = 0;
        }
    }

    /// The rendition that he should be sent.
    fn wanted(&self, rung: Rung) -> Rendition {
        rung.cap(self.asked.lowered(self.lowered))
    }

    /// The newest sound at once, as at a join; his cushion is what he gets.
    fn burst(&mut self, view: View, rung: Rung) -> Span {
        let (from, parts) = view.burst(rung);
        self.cushion = u8::try_from(parts).unwrap_or(u8::MAX);
        let grid = self.grid(rung);
        self.alignment = u8::try_from(view.next.0 / grid % ALIGNMENTS).unwrap_or_default();
        Span {
            from,
            parts,
            rendition: self.rendition,
            last: view.finished,
        }
    }

    /// The span whose last part has come, if there is one.
    fn due(&mut self, view: View, rung: Rung) -> Option<Span> {
        let wanted = self.wanted(rung);
        if self.next.part_in_segment() == 0 {
            self.rendition = wanted;
        }
        // A rendition changes where a segment begins.
        let until = if self.rendition == wanted {
            u64::MAX
        } else {
            self.next.0 + PARTS_PER_SEGMENT - self.next.part_in_segment()
        };
        let end = self.end(view, rung, until)?;
        Some(Span {
            from: self.next,
            parts: end - self.next.0,
            rendition: self.rendition,
            last: view.finished && end >= view.next.0,
        })
    }

    /// Where the span that is due ends.
    fn end(&self, view: View, rung: Rung, until: u64) -> Option<u64> {
        let span = self.span_parts(rung);
        let most = OVERDUE_PARTS_MAX.max(span);
        let mut end = self.next_end(rung);
        while end + span <= view.next.0 && end + span - self.next.0 <= most {
            end += span;
        }
        end = end.min(until);
        if end <= view.next.0 {
            return Some(end);
        }
        view.finished.then_some(view.next.max(self.next).0)
    }

    /// The next place where a span of his alignment ends, at most a span from here.
    fn next_end(&self, rung: Rung) -> u64 {
        let span = self.span_parts(rung);
        let phase = u64::from(self.alignment) * GROUPS as u64 + u64::from(self.group);
        let place = phase * span / PHASES % span;
        self.next.0 + span - (self.next.0 + span - place) % span
    }

    /// The longest span that the rung wants and his cushion bears.
    fn span_parts(&self, rung: Rung) -> u64 {
        let cushion_ms = u64::from(self.cushion) * PART_DURATION_MS;
        let bearable = cushion_ms.saturating_sub(CUSHION_RESERVE_MS) / PART_DURATION_MS;
        let most = bearable.min(rung.span_parts());
        let fits = SPANS_PARTS.into_iter().find(|span| *span <= most);
        fits.unwrap_or(1)
    }

    /// Parts between two alignments.
    fn grid(&self, rung: Rung) -> u64 {
        (self.span_parts(rung) / ALIGNMENTS).max(1)
    }
}
