//! The two clocks of a node: the wall clock, which people read and somebody may set, and a steady one, by which
//! programmes run.
//!
//! The steady clock is the machine's monotonic one (the mixer's, too), and a distance from it that is kept in the data
//! folder: whoever starts on the same boot of the machine goes on by the same clock, whatever the wall says. After a
//! boot only the wall can tell how long the machine was off; but the steady clock never runs backwards.

mod watch;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use throng_core::dates::Now;
use throng_core::time::UnixMillis;

pub(crate) use self::watch::ClockWatch;

/// What the steady clock shows is kept this often, for the next boot.
pub(crate) const KEEP_EVERY: Duration = Duration::from_secs(5);
/// After a boot the steady clock goes on no earlier than so long after it was last kept: what was made since is not to be
/// made again.
const BOOT_LEAD_MS: u64 = 6_000;

/// How far the steady clock is ahead of the monotonic one, in milliseconds; once for the process.
static AHEAD_MS: OnceLock<i64> = OnceLock::new();

/// What lies in the data folder.
#[derive(Debug, Deserialize, Serialize)]
struct Kept {
    /// The boot of the machine that the monotonic clock counts from.
    boot: String,
    ahead_ms: i64,
    wall: i64,
    steady: i64,
}

/// Now, by both clocks.
pub(crate) fn now() -> Now {
    let (wall, monotonic_ms) = (wall(), monotonic_ms());
    let ahead_ms = *AHEAD_MS.get_or_init(|| wall.0.saturating_sub(monotonic_ms));
    Now {
        wall,
        steady: UnixMillis(monotonic_ms.saturating_add(ahead_ms)),
    }
}

/// Now, as a clock on the wall shows it; before 1970 counts as 1970.
pub(crate) fn wall() -> UnixMillis {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// The second, since 1970.
pub(crate) fn unix_seconds() -> u64 {
    u64::try_from(wall().0 / 1_000).unwrap_or_default()
}

/// The instant of a past steady time; the start of this clock for a time before it.
pub(crate) fn instant_of(time: UnixMillis) -> Instant {
    let instant = Instant::now();
    instant
        .checked_sub(Duration::from_millis(now().steady.ms_since(time)))
        .unwrap_or(instant)
}

/// Goes on by the steady clock of a data folder.
pub(crate) fn resume(data: &Path) -> Keeper {
    let (file, boot) = (data.join("clock.json"), boot());
    let text = fs::read(&file).ok();
    let kept: Option<Kept> = text.and_then(|text| serde_json::from_slice(&text).ok());
    let (wall, monotonic_ms) = (wall(), monotonic_ms());
    // A second node in one process (tests) goes by the clock of the first.
    AHEAD_MS.get_or_init(|| ahead_ms(kept.as_ref(), &boot, wall, monotonic_ms));
    let keeper = Keeper { file, boot };
    keeper.keep();
    keeper
}

/// Keeps the steady clock in the data folder.
#[derive(Clone)]
pub(crate) struct Keeper {
    file: PathBuf,
    boot: String,
}

impl Keeper {
    /// Writes what the clocks show now; a disk that does not take it is asked again the next time.
    pub(crate) fn keep(&self) {
        let Now { wall, steady } = now();
        let kept = Kept {
            boot: self.boot.clone(),
            ahead_ms: *AHEAD_MS.get().expect("now() has set it"),
            wall: wall.0,
            steady: steady.0,
        };
        if let Err(error) = write(&self.file, &kept) {
            tracing::debug!(%error, "the clock was not kept");
        }
    }
}

/// How far the steady clock is to be ahead of the monotonic one.
fn ahead_ms(kept: Option<&Kept>, boot: &str, wall: UnixMillis, monotonic_ms: i64) -> i64 {
    let Some(kept) = kept else {
        return wall.0.saturating_sub(monotonic_ms);
    };
    if kept.boot == boot {
        return kept.ahead_ms;
    }
    let by_wall = kept.steady.saturating_add(wall.0.saturating_sub(kept.wall));
    let earliest = UnixMillis(kept.steady).plus_ms(BOOT_LEAD_MS).0;
    by_wall.max(earliest).saturating_sub(monotonic_ms)
}

/// Whole or not at all, also where the power goes.
fn write(file: &Path, kept: &Kept) -> io::Result<()> {
    let unfinished = file.with_extension("new");
    let mut new = fs::File::create(&unfinished)?;
    new.write_all(&serde_json::to_vec(kept)?)?;
    new.sync_data()?;
    fs::rename(unfinished, file)
}

/// Since the machine was started, in milliseconds; what it slept does not count.
fn monotonic_ms() -> i64 {
    let since = clock_gettime(ClockId::Monotonic);
    since.tv_sec * 1_000 + since.tv_nsec / 1_000_000
}

/// What tells this boot of the machine from others; empty where the kernel does not say.
fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;
    const WALL: i64 = 1_796_155_200_000;

    /// Kept after an hour of a boot in which the wall clock was set forward by five seconds.
    fn kept() -> Kept {
        Kept {
            boot: "first".to_owned(),
            ahead_ms: WALL,
            wall: WALL + HOUR_MS + 5_000,
            steady: WALL + HOUR_MS,
        }
    }

    #[test]
    fn on_the_same_boot_the_clock_goes_on_whatever_the_wall_says() {
        for wall in [0, WALL - HOUR_MS, WALL + 9 * HOUR_MS] {
            assert_eq!(
                ahead_ms(Some(&kept()), "first", UnixMillis(wall), 2 * HOUR_MS),
                WALL
            );
        }
        assert_eq!(
            ahead_ms(None, "first", UnixMillis(WALL), 1_000),
            WALL - 1_000
        );
    }

    #[test]
    fn after_a_boot_the_wall_tells_how_long_the_machine_was_off() {
        let off_for_an_hour = UnixMillis(kept().wall + HOUR_MS);
        let ahead = ahead_ms(Some(&kept()), "second", off_for_an_hour, 10);
        assert_eq!(ahead + 10, kept().steady + HOUR_MS);
    }

    #[test]
    fn after_a_boot_with_a_dead_battery_the_clock_does_not_run_backwards() {
        let ahead = ahead_ms(Some(&kept()), "second", UnixMillis(0), 10);
        assert_eq!(ahead + 10, kept().steady + 6_000);
    }
}
