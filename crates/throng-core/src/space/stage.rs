//! What a host has set of the stage: who is muted, how much louder or softer each seat is, who waits in the green
//! room, and who may sit there while it is locked.
//!
//! A locked stage is locked by seat: the seats that were taken then can be taken again, by the same links, for as long as
//! it is locked. So who sat there comes back after a blip, a reload or a restart, however late, and nobody else comes in.

use std::collections::{BTreeMap, BTreeSet};

use super::green_room::GreenRoom;
use crate::key::SeatNumber;

/// Least gain of a seat: a tenth of the amplitude, from which somebody who shouts is as soft as the others. Who is to be
/// softer still is to be muted.
pub const GAIN_DB_MIN: i32 = -20;
/// Most gain of a seat: four times the amplitude, beyond which the noise of a room comes up with the voice.
pub const GAIN_DB_MAX: i32 = 12;

/// What a host has set of one seat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeatSetting {
    /// Nobody hears who sits there, whatever he does.
    pub muted: bool,
    /// How much louder or softer he is in the mix, in dB.
    pub gain_db: i32,
}

impl SeatSetting {
    /// Whether it is within its bounds.
    pub const fn is_sound(self) -> bool {
        GAIN_DB_MIN <= self.gain_db && self.gain_db <= GAIN_DB_MAX
    }
}

/// What a host has set of the whole stage. At most as large as the stage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StageSetting {
    /// Those that were touched.
    seats: BTreeMap<SeatNumber, SeatSetting>,
    /// The seats that may be taken while it is locked.
    lock: Option<BTreeSet<SeatNumber>>,
    /// Who is on it, and who waits.
    pub green_room: GreenRoom,
}

impl StageSetting {
    /// As it was kept.
    pub const fn new(
        seats: BTreeMap<SeatNumber, SeatSetting>,
        lock: Option<BTreeSet<SeatNumber>>,
        green_room: GreenRoom,
    ) -> Self {
        Self {
            seats,
            lock,
            green_room,
        }
    }

    /// The setting of a seat.
    pub fn seat(&self, seat: SeatNumber) -> SeatSetting {
        self.seats.get(&seat).copied().unwrap_or_default()
    }

    /// All seats that were touched.
    pub fn seats(&self) -> impl Iterator<Item = (SeatNumber, SeatSetting)> + '_ {
        self.seats.iter().map(|(&seat, &setting)| (seat, setting))
    }

    /// The seats that may be taken while it is locked; none where it is open.
    pub const fn lock(&self) -> Option<&BTreeSet<SeatNumber>> {
        self.lock.as_ref()
    }

    /// Whether somebody may take a seat now.
    pub fn admits(&self, seat: SeatNumber) -> bool {
        self.lock.as_ref().is_none_or(|kept| kept.contains(&seat))
    }

    pub(super) fn set(&mut self, seat: SeatNumber, setting: SeatSetting) {
        self.seats.insert(seat, setting);
    }

    /// Locks it; where it is locked already nobody is added.
    pub(super) fn lock_with(&mut self, seated: BTreeSet<SeatNumber>) {
        self.lock.get_or_insert(seated);
    }

    pub(super) fn unlock(&mut self) {
        self.lock = None;
    }

    /// Who sat there does not come back while it is locked, and not to where he was.
    pub(super) fn dismiss(&mut self, seat: SeatNumber) {
        self.green_room.dismiss(seat);
        if let Some(kept) = &mut self.lock {
            kept.remove(&seat);
        }
    }

    /// Whether it is one of a stage of so many seats.
    pub(super) fn fits(&self, speakers: u32) -> bool {
        let is_seat = |seat: &SeatNumber| (1..=speakers).contains(&seat.0);
        self.seats.keys().all(is_seat)
            && self.seats.values().all(|setting| setting.is_sound())
            && self.lock.iter().flatten().all(is_seat)
            && self.green_room.placed().all(|(seat, _)| is_seat(&seat))
    }
}
