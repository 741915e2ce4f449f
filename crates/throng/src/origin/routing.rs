//! From the stage's seats to the mixers: which space a packet is for.

use std::collections::BTreeMap;
use std::sync::mpsc::{SyncSender, TrySendError};

use throng_media::jitter::{PacketKind, SpeakerPacket};
use throng_media::mixer::SeatId;
use throng_stage::{self as stage, Event, EventSink, SeatKey};
use tokio::sync::watch;

use super::mixing::Input;

/// Seats of one space have numbers below this.
const SEATS: u64 = 1 << 32;

/// The stage's name for a seat of a space.
pub(crate) fn seat_key(space_number: u32, seat: SeatId) -> SeatKey {
    SeatKey(u64::from(space_number) * SEATS + u64::from(seat.0))
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "the halves of a u64 are u32"
)]
fn seat_of(key: SeatKey) -> (u32, SeatId) {
    ((key.0 / SEATS) as u32, SeatId((key.0 % SEATS) as u32))
}

/// The mixers by the number of their space.
pub(crate) type Mixers = watch::Sender<BTreeMap<u32, SyncSender<Input>>>;

/// Hands the stage's events to the mixers, on the stage's thread.
pub(crate) struct Router {
    pub(crate) mixers: watch::Receiver<BTreeMap<u32, SyncSender<Input>>>,
}

impl EventSink for Router {
    fn offer(&mut self, event: Event) -> Result<(), Event> {
        let (space_number, input) = input(&event);
        let Some(mixer) = self.mixers.borrow().get(&space_number).cloned() else {
            return Ok(());
        };
        match mixer.try_send(input) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => Ok(()),
            Err(TrySendError::Full(_)) => Err(event),
        }
    }
}

fn input(event: &Event) -> (u32, Input) {
    match event {
        Event::Joined { seat, session } => {
            let (space, seat) = seat_of(*seat);
            (
                space,
                Input::Join {
                    seat,
                    session: session.clone(),
                },
            )
        }
        Event::Left { seat, session, .. } => {
            let (space, seat) = seat_of(*seat);
            (
                space,
                Input::Leave {
                    seat,
                    session: session.clone(),
                },
            )
        }
        Event::Packet {
            seat,
            session,
            packet,
            arrived,
        } => {
            let (space, seat) = seat_of(*seat);
            (
                space,
                Input::Packet {
                    seat,
                    session: session.clone(),
                    packet: speaker_packet(packet),
                    arrived: *arrived,
                },
            )
        }
    }
}

fn speaker_packet(packet: &stage::SpeakerPacket) -> SpeakerPacket {
    SpeakerPacket {
        sequence: packet.sequence,
        timestamp: packet.timestamp,
        kind: match packet.kind {
            stage::PacketKind::Opus => PacketKind::Opus,
            stage::PacketKind::Red => PacketKind::Red,
        },
        bytes: packet.bytes.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_is_found_again_from_its_key() {
        for (space, seat) in [(0, 0), (1, 2), (u32::MAX, u32::MAX)] {
            assert_eq!(
                seat_of(seat_key(space, SeatId(seat))),
                (space, SeatId(seat))
            );
        }
    }
}
