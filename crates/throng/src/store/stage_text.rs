//! What a host has set of the stage, as text in columns of a space. Pure.

use std::collections::{BTreeMap, BTreeSet};

use throng_core::key::SeatNumber;
use throng_core::space::{Place, SeatSetting, StageSetting};

/// `seat:muted:gain`, with spaces between.
pub(super) fn of_seats(stage: &StageSetting) -> String {
    let texts = stage.seats().map(|(seat, setting)| {
        let muted = u8::from(setting.muted);
        format!("{}:{muted}:{}", seat.0, setting.gain_db)
    });
    texts.collect::<Vec<_>>().join(" ")
}

pub(super) fn seats(text: &str) -> Option<BTreeMap<SeatNumber, SeatSetting>> {
    let seats = text.split_ascii_whitespace().map(|one| {
        let (seat, setting) = one.split_once(':')?;
        let (muted, gain_db) = setting.split_once(':')?;
        let setting = SeatSetting {
            muted: match muted {
                "0" => false,
                "1" => true,
                _ => return None,
            },
            gain_db: gain_db.parse().ok()?,
        };
        Some((SeatNumber(seat.parse().ok()?), setting))
    });
    seats.collect()
}

/// `seat:place`, with spaces between.
pub(super) fn of_places(stage: &StageSetting) -> String {
    let texts = stage.green_room.placed();
    let texts = texts.map(|(seat, place)| format!("{}:{}", seat.0, place.name()));
    texts.collect::<Vec<_>>().join(" ")
}

pub(super) fn places(text: &str) -> Option<BTreeMap<SeatNumber, Place>> {
    let places = text.split_ascii_whitespace().map(|one| {
        let (seat, place) = one.split_once(':')?;
        Some((SeatNumber(seat.parse().ok()?), Place::parse(place)?))
    });
    places.collect()
}

/// The seats that may be taken, with spaces between; none while it is open.
pub(super) fn of_lock(stage: &StageSetting) -> Option<String> {
    let seats = stage.lock()?.iter().map(|seat| seat.0.to_string());
    Some(seats.collect::<Vec<_>>().join(" "))
}

pub(super) fn lock(text: &str) -> Option<BTreeSet<SeatNumber>> {
    let seats = text.split_ascii_whitespace();
    seats
        .map(|seat| seat.parse().ok().map(SeatNumber))
        .collect()
}
