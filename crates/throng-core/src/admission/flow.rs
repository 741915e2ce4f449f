//! Joins in flight: how many newcomers a loop takes on, by how long what came last had to wait (queue delay, as in
//! DAGOR, Zhou et al., `SoCC` 2018, whose windows, cut of 5 % and raise of 1 % these are).
//!
//! Who is kept out is decided by a number of his own, so that one who is let in once stays on that side while the share
//! does not fall further.

/// Waiting longer than this on average is overload: a fifth of the time in which somebody who is let in is to hear the
/// first sound. (DAGOR takes 20 ms, for calls of which a page needs many.)
const DELAY_MAX_US: u64 = 100_000;
/// A window of judging: so much time, or so many asked.
const WINDOW_MS: u64 = 1_000;
const WINDOW_ASKED: u32 = 2_000;
/// What is given up after a window of overload, and regained after one without; parts of a thousand of what is or was.
const CUT: u32 = 50;
const RAISE: u32 = 10;
/// Everybody.
const WHOLE: u32 = 1_000;
/// So many of a thousand are let in at the worst: without them nobody would know that it is over.
const LEAST: u32 = 10;

/// The part of newcomers that is taken on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(u32);

impl Share {
    /// Everybody.
    pub const ALL: Self = Self(WHOLE);

    /// Whether whoever has this number is among them.
    pub const fn takes(self, number: u64) -> bool {
        number % (WHOLE as u64) < self.0 as u64
    }
}

/// The judge of one loop.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    share: u32,
    since_ms: u64,
    asked: u32,
    waited_us: u64,
    /// How long they waited in the window before.
    mean_us: u64,
}

impl Flow {
    /// Everybody is welcome.
    pub const fn new() -> Self {
        Self {
            share: WHOLE,
            since_ms: 0,
            asked: 0,
            waited_us: 0,
            mean_us: 0,
        }
    }

    /// How long newcomers wait, in thousandths of what is overload; that is the most it says.
    pub fn strain_per_mille(&self) -> u32 {
        let strain = self.mean_us * u64::from(WHOLE) / DELAY_MAX_US;
        u32::try_from(strain).map_or(WHOLE, |strain| strain.min(WHOLE))
    }

    /// Somebody asked who had waited so long for his turn.
    pub fn note(&mut self, waited_us: u64, now_ms: u64) {
        if self.asked == 0 && self.waited_us == 0 {
            self.since_ms = self.since_ms.max(now_ms);
        }
        self.asked += 1;
        self.waited_us += waited_us;
        if self.asked >= WINDOW_ASKED || now_ms >= self.since_ms + WINDOW_MS {
            self.judge(now_ms);
        }
    }

    /// Who is taken on now. After a window in which nobody asked, everybody.
    pub fn share(&mut self, now_ms: u64) -> Share {
        if now_ms >= self.since_ms + 2 * WINDOW_MS {
            *self = Self {
                since_ms: now_ms,
                ..Self::new()
            };
        }
        Share(self.share)
    }

    fn judge(&mut self, now_ms: u64) {
        let mean_us = self.waited_us / u64::from(self.asked);
        self.share = if mean_us > DELAY_MAX_US {
            (self.share - self.share * CUT / WHOLE).max(LEAST)
        } else {
            (self.share + RAISE).min(WHOLE)
        };
        *self = Self {
            share: self.share,
            since_ms: now_ms,
            asked: 0,
            waited_us: 0,
            mean_us,
        };
    }
}

impl Default for Flow {
    fn default() -> Self {
        Self::new()
    }
}
