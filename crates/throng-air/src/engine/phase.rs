//! When the next tick begins: in step with the parts, so that none comes just after the tick that waits for it.
//!
//! Parts come every 320 ms, at a phase of the clock that is their space's own; ticks are a fraction of that apart. Whose
//! tick is a moment before his part waits for all of his group's next round, a third more than a span of 0.96 s. So
//! ticks drift until parts come half way between two of them, where neither a part that is late nor a tick that is
//! changes anything.

use std::time::Duration;

/// Of the error, so much is made good with each tick: a part that was late once moves the ticks little.
const GAIN: i64 = 4;

/// From this tick to the next, where ticks are `tick` apart and the leading space's newest part came so long before
/// this one was due.
pub(crate) fn pause(tick: Duration, since_part: Option<Duration>) -> Duration {
    let tick_ns = nanoseconds(tick);
    let error_ns = since_part.map_or(0, |since| nanoseconds(since) % tick_ns - tick_ns / 2);
    Duration::from_nanos((tick_ns - error_ns / GAIN).unsigned_abs())
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).expect("no more than centuries are looked at")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_micros(106_666);
    const PART_US: u64 = 320_000;

    /// Microseconds from the newest part to each of so many ticks, where each part comes so late.
    fn ticks(mut late_us: impl FnMut(u64) -> u64, start_us: u64, count: usize) -> Vec<u64> {
        let mut due_us = start_us;
        let mut came_us = 0;
        let mut part = 0;
        let step = |_| {
            while (part + 1) * PART_US + late_us(part + 1) <= due_us {
                part += 1;
                came_us = part * PART_US + late_us(part);
            }
            let since = due_us - came_us;
            let pause = pause(TICK, Some(Duration::from_micros(since)));
            due_us += u64::try_from(pause.as_micros()).unwrap();
            since
        };
        (0..count).map(step).collect()
    }

    #[test]
    fn wherever_they_began_ticks_come_to_lie_far_from_parts() {
        for start_us in (PART_US..2 * PART_US).step_by(5_000) {
            let since = ticks(|_| 0, start_us, 400);
            for since_us in &since[60..] {
                let from_part_us = since_us % 106_666;
                assert!(
                    (45_000..62_000).contains(&from_part_us),
                    "{start_us}: {from_part_us}"
                );
            }
        }
    }

    #[test]
    fn a_part_that_is_late_by_less_than_half_a_tick_is_served_by_the_same_tick() {
        // A fixed pattern of delays of up to 40 ms, without a period of its own.
        let late_us = |part: u64| part.wrapping_mul(7_919_777) % 40_000;
        let since = ticks(late_us, PART_US, 900);
        // Three ticks look at each part, neither two nor four.
        let first_looks = since[60..].iter().filter(|since| **since < 106_666).count();
        assert_eq!(first_looks, (900 - 60) / 3);
    }

    #[test]
    fn without_parts_ticks_are_as_far_apart_as_they_should_be() {
        assert_eq!(pause(TICK, None), TICK);
    }
}
