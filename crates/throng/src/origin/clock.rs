//! The wall clock, for what people read and what is kept; the mixer runs by the monotonic one.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use throng_core::time::UnixMillis;

/// Now; before 1970 counts as 1970.
pub(crate) fn now() -> UnixMillis {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// The second, since 1970.
pub(crate) fn unix_seconds() -> u64 {
    u64::try_from(now().0 / 1_000).unwrap_or_default()
}

/// The instant of a past wall-clock time; the start of this clock for a time before it.
pub(crate) fn instant_of(time: UnixMillis) -> Instant {
    let instant = Instant::now();
    instant
        .checked_sub(Duration::from_millis(now().ms_since(time)))
        .unwrap_or(instant)
}
