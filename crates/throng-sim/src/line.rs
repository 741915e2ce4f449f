//! A slow line between a node and somebody who listens: its socket's buffer, and the real cursor that decides what he is
//! sent.

use throng_air::engine::cursor::{Cursor, Format, Step, View};
use throng_core::ladder::Rung;
use throng_core::rendition::Rendition;
use throng_core::timeline::{PART_DURATION_MS, PartIndex};
use throng_rehearsal::chance::Chance;

/// What a socket's buffer holds: ten seconds of the best rendition.
const BUFFER_BITS: u64 = 480_000;
/// The slowest line, and how much faster another is at most: from just above the leanest rendition to just below the best.
const SLOWEST_BITS: u64 = 20_000;
const SLOWEST_MORE_BITS: u64 = 30_000;
/// One of so many lines is fast and stalls instead, as in a tunnel.
const STALLS_ONE_OF: u64 = 3;
/// How fast it is otherwise, after how long it stalls, and for how long.
const FAST_BITS: u64 = 2_000_000;
const STALLS_AFTER_MS: u64 = 120_000;
const STALLED_MS: u64 = 40_000;
/// A connection that takes nothing for so long is closed, as by the engine.
const CLOSED_AFTER_MS: u64 = 90_000;
/// The window holds parts for 96 s.
const WINDOW_PARTS: u64 = 300;

/// What became of a line in the time of one part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    /// The node has closed it.
    Closed,
    /// It goes on; so many parts were left out.
    On { missed: u64 },
}

/// One slow line.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) person: u32,
    cursor: Cursor,
    bits_per_second: u64,
    stalls: Option<(u64, u64)>,
    waiting_bits: u64,
    took_ms: u64,
}

/// The window at this time of the programme.
fn view(now_ms: u64) -> View {
    let next = now_ms / PART_DURATION_MS;
    View {
        oldest: PartIndex(next.saturating_sub(WINDOW_PARTS)),
        next: PartIndex(next),
        finished: false,
    }
}

impl Line {
    /// The line of a newcomer.
    pub(crate) fn new(
        person: u32,
        format: Format,
        now_ms: u64,
        rung: Rung,
        chance: &mut Chance,
    ) -> Self {
        let (mut cursor, burst) = Cursor::join(format, Rendition::O48, view(now_ms), rung);
        cursor.set_group(person as usize);
        let stalls = chance.below(STALLS_ONE_OF) == 0;
        let from_ms = now_ms + chance.below(STALLS_AFTER_MS);
        let for_ms = STALLED_MS / 2 + chance.below(STALLED_MS);
        Self {
            person,
            cursor,
            bits_per_second: if stalls {
                FAST_BITS
            } else {
                SLOWEST_BITS + chance.below(SLOWEST_MORE_BITS)
            },
            stalls: stalls.then_some((from_ms, from_ms + for_ms)),
            waiting_bits: bits(burst.parts, burst.rendition),
            took_ms: now_ms,
        }
    }

    /// Whether what he was sent does not fit into the buffer of his socket.
    pub(crate) fn is_blocked(&self) -> bool {
        self.waiting_bits > BUFFER_BITS
    }

    /// The time of one part has passed.
    pub(crate) fn part(&mut self, now_ms: u64, rung: Rung) -> Passed {
        if !self
            .stalls
            .is_some_and(|(from, to)| (from..to).contains(&now_ms))
        {
            let takes = self.bits_per_second * PART_DURATION_MS / 1_000;
            self.waiting_bits = self.waiting_bits.saturating_sub(takes);
            self.took_ms = now_ms;
        }
        if self.is_blocked() {
            let is_over = now_ms >= self.took_ms + CLOSED_AFTER_MS;
            return if is_over {
                Passed::Closed
            } else {
                Passed::On { missed: 0 }
            };
        }
        match self.cursor.step(view(now_ms), rung) {
            Step::Close => Passed::Closed,
            Step::Wait => Passed::On { missed: 0 },
            Step::Send { span, missed, .. } => {
                self.waiting_bits += bits(span.parts, span.rendition);
                if self.is_blocked() {
                    self.cursor.set_blocked();
                }
                Passed::On { missed }
            }
        }
    }
}

fn bits(parts: u64, rendition: Rendition) -> u64 {
    parts * PART_DURATION_MS * u64::from(rendition.bit_rate()) / 1_000
}
