//! Follows who is heard on a live stage, look by look, beside the mixer and not in its way. A look that is missed is no
//! pause: turns bear with pauses of 2 s.

use std::sync::{Arc, Mutex, PoisonError};

use throng_core::key::SeatNumber;
use throng_core::turns::Turns;
use tokio::sync::watch;

use super::mixing::Levels;

/// Turns that somebody follows and others read.
pub(super) type Shared = Arc<Mutex<Turns>>;

/// Follows a mixer to its end.
pub(super) async fn follow(mut levels: watch::Receiver<Levels>, turns: Shared) {
    while levels.changed().await.is_ok() {
        hear(&levels.borrow_and_update(), &turns);
    }
}

fn hear(levels: &Levels, turns: &Shared) {
    let Some(part) = levels.live_part else {
        return;
    };
    let mut turns = turns.lock().unwrap_or_else(PoisonError::into_inner);
    for seat in &levels.seats {
        turns.heard(part, SeatNumber(seat.seat), seat.talking);
    }
}

/// The turns until now.
pub(super) fn of(turns: &Shared) -> Turns {
    // A panic in another thread left them whole.
    turns.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
