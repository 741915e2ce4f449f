//! What things cost a node, in microseconds of one core, as our benchmarks saw them on one machine, and how long they
//! take on the way.

use throng_core::timeline::{PART_DURATION_MS, PARTS_PER_SEGMENT};

/// A listener's way in: accept, request, head and burst.
pub const JOIN_US: u64 = 45;
/// A handshake of TLS, where connections come over it.
pub const HANDSHAKE_US: u64 = 140;
/// A `503` with a ticket.
pub const REFUSAL_US: u64 = 36;
/// A page, `state.json` or the counter of the queue.
pub const PAGE_US: u64 = 15;
/// What is asked for before the sound: the page and `state.json`.
pub const PAGES_BEFORE: u64 = 2;
/// Somebody who has gone before his turn.
pub const GONE_US: u64 = 10;

/// What a listener costs in a second who is sent spans of so many parts, in nanoseconds.
pub const fn listener_ns(span_parts: u64) -> u64 {
    match span_parts {
        0..=3 => 6_000,
        4..=6 => 3_350,
        7..=PARTS_PER_SEGMENT => 2_500,
        _ => 2_000,
    }
}

/// The longest span that a burst of so many samples bears, of those that a cursor knows; as the cursor decides.
pub fn bearable_parts(burst_samples: u64) -> u64 {
    let burst_ms = burst_samples / 48;
    let spans = [24, 12, 6, 3].into_iter();
    let mut bearable = spans.filter(|parts| parts * PART_DURATION_MS + 500 <= burst_ms);
    bearable.next().unwrap_or(1)
}

/// What a join takes on the way before the first sound: so many round trips, one more over TLS, and the decoder.
pub const ROUND_TRIPS: u64 = 3;
/// A round trip at home, and over the air.
pub const ROUND_TRIP_MS: [u64; 2] = [30, 80];
/// From the first bytes to the sound.
pub const DECODE_MS: u64 = 100;

/// Sound that a listener has in hand; who is served later than that hears a gap.
pub const CUSHION_MS: u64 = 3_500;
/// A stall after which people press play again.
pub const STALL_MS: u64 = 10_000;

/// Connections that wait in the kernel, for each core: `listen` asks for so many.
pub const BACKLOG_PER_CORE: u32 = 4_096;
/// When a kernel sends its first packet again that was not answered, after the one before (RFC 6298 section 2).
pub const DIAL_AGAIN_MS: [u64; 3] = [1_000, 2_000, 4_000];
/// A request that gets no answer is given up after this by a player; the engine's own deadline is later.
pub const ANSWER_MS: u64 = 20_000;
/// A machine that is gone does not even refuse; a player finds that out after this.
pub const UNREACHABLE_MS: u64 = 3_000;
/// A machine that does not answer is no longer named to newcomers after this.
pub const UNLISTED_MS: u64 = 5_000;

/// Players that know no tickets try so often in a row,
pub const PLAIN_TRIES: u8 = 3;
/// so long after the last time where no answer said when,
pub const PLAIN_AGAIN_MS: u64 = 5_000;
/// Whoever's player has given up presses play again after this, and up to as much more.
pub const PRESS_AGAIN_MS: u64 = 30_000;

/// Near the front of the queue a page looks at the counter after this, and never more often: a cache keeps it for a second.
pub const LOOK_MIN_S: u64 = 2;

/// The service without a plan: so many calls, one after the other, before the sound.
pub const NAIVE_CALLS: u8 = 7;
/// What each of them costs at least, and at most so much more.
pub const NAIVE_CALL_US: u64 = 1_000;
/// The rest of it.
pub const NAIVE_CALL_MORE_US: u64 = 1_000;
/// Calls that it takes on before it has answered those before, for each core: it says yes to everybody.
pub const NAIVE_PENDING_PER_CORE: u32 = 32_768;
/// Its people wait so long for an answer.
pub const NAIVE_ANSWER_MS: u64 = 10_000;
/// And try again after this.
pub const NAIVE_AGAIN_MS: u64 = 2_000;
