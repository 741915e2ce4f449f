//! Talkback lines in the mixer: sessions of the stage whose seats no speaker has. What they say goes into returns, and
//! nowhere else.

use throng_media::mixer::{Ears, MAX_TALKBACKS, Mixer, SeatId};
use throng_stage::SessionId;

use super::{Input, Ticker};

/// Lines have numbers from here on, far above those of seats.
const FIRST_LINE: u32 = 1_000;

/// The line of that place among those of a space.
pub(crate) fn line(place: usize) -> SeatId {
    SeatId(FIRST_LINE + u32::try_from(place).expect("there are few"))
}

/// All lines that a space can have.
pub(crate) fn lines() -> impl Iterator<Item = SeatId> {
    (0..MAX_TALKBACKS).map(line)
}

/// Whether it is a line, and no seat of a speaker.
pub(super) const fn is_line(seat: SeatId) -> bool {
    seat.0 >= FIRST_LINE
}

impl Ticker {
    /// Does what concerns a line.
    pub(super) fn take_talkback(&mut self, input: Input) {
        match input {
            Input::TalkTo { line, ears } => {
                self.ears.insert(line, ears);
                self.mixer.turn_talkback(line, ears);
            }
            Input::Join { seat, session } => {
                let ears = self.ears.get(&seat).copied().unwrap_or(Ears::All);
                self.sessions.insert(seat, session);
                self.mixer.open_talkback(seat, ears);
            }
            Input::Leave { seat, session } if self.is_of(seat, &session) => {
                self.sessions.remove(&seat);
                self.mixer.close_talkback(seat);
            }
            Input::Packet {
                seat,
                session,
                packet,
                arrived,
            } if self.is_of(seat, &session) => {
                let at = arrived.saturating_duration_since(self.epoch);
                self.mixer.push_talkback(seat, at, &packet);
            }
            _ => {}
        }
    }

    fn is_of(&self, seat: SeatId, session: &SessionId) -> bool {
        self.sessions.get(&seat) == Some(session)
    }
}

/// A line as the desk shows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct TalkbackLevel {
    pub(crate) line: SeatId,
    ears: Ears,
    says: bool,
}

impl TalkbackLevel {
    /// All that are open.
    pub(crate) fn all(mixer: &Mixer) -> Vec<Self> {
        let lines = mixer.talkbacks().map(|state| Self {
            line: state.line,
            ears: state.ears,
            says: state.says,
        });
        lines.collect()
    }

    /// Whether somebody on that seat is talked to now.
    pub(crate) fn reaches(&self, seat: u32) -> bool {
        self.says && self.ears.include(SeatId(seat))
    }
}
