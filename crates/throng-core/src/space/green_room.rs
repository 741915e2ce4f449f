//! The green room: where speakers hear the stage before they are on it, and nobody hears them.
//!
//! A place belongs to a seat, as a mute does: whoever sits there has it, over reconnects and restarts, until the host moves
//! the seat. Who was never moved is where newcomers are, which is on stage unless the host has opened the green room.

use std::collections::{BTreeMap, BTreeSet};

use crate::key::SeatNumber;

/// Where who sits on a seat is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// He hears the stage; nobody hears him.
    GreenRoom,
    /// He is heard.
    Stage,
}

impl Place {
    /// The name in JSON and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::GreenRoom => "green_room",
            Self::Stage => "stage",
        }
    }

    /// The place of a name, if there is one.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::GreenRoom, Self::Stage]
            .into_iter()
            .find(|place| place.name() == name)
    }
}

/// Where the seats of a stage are. At most as large as the stage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GreenRoom {
    is_open: bool,
    /// Seats that were moved, and those that were taken when it was opened or closed.
    placed: BTreeMap<SeatNumber, Place>,
}

impl GreenRoom {
    /// As it was kept.
    pub const fn new(is_open: bool, placed: BTreeMap<SeatNumber, Place>) -> Self {
        Self { is_open, placed }
    }

    /// Whether newcomers wait here.
    pub const fn is_open(&self) -> bool {
        self.is_open
    }

    /// The seats whose place does not hang on where newcomers are.
    pub fn placed(&self) -> impl Iterator<Item = (SeatNumber, Place)> + '_ {
        self.placed.iter().map(|(&seat, &place)| (seat, place))
    }

    /// Where who sits on a seat is.
    pub fn place(&self, seat: SeatNumber) -> Place {
        let of_newcomers = if self.is_open {
            Place::GreenRoom
        } else {
            Place::Stage
        };
        self.placed.get(&seat).copied().unwrap_or(of_newcomers)
    }

    pub(super) fn put(&mut self, seat: SeatNumber, place: Place) {
        self.placed.insert(seat, place);
    }

    /// Opens or closes it. Who is there stays where he is: nobody goes on air, or off it, by that.
    pub(super) fn set_open(&mut self, is_open: bool, seated: &BTreeSet<SeatNumber>) {
        for &seat in seated {
            let place = self.place(seat);
            self.placed.insert(seat, place);
        }
        self.is_open = is_open;
    }

    /// Who was put off the stage comes back as a newcomer does; who was kept from it is kept from it.
    pub(super) fn dismiss(&mut self, seat: SeatNumber) {
        if self.placed.get(&seat) == Some(&Place::Stage) {
            self.placed.remove(&seat);
        }
    }
}
