//! The packets that have come and are not decoded yet, in the order of their sound.
//!
//! RTP numbers are extended beyond their wrap (RFC 3550, section 5.1: sequence 16 bits, timestamp 32 bits) by their
//! distance from the newest packet. Sound is kept by timestamp, because a copy (RED) brings none of its own sequence.
//! A packet that cannot belong to the stream is put on probation: if the next one follows it, the sender began anew
//! (RFC 3550, appendix A.1); if not, it was a stray.

use std::collections::BTreeMap;

use bytes::Bytes;

/// Most sound that is kept, 1 s: a burst after an outage that brings more is skipped up to its newest end.
pub(super) const SPAN_MAX_SAMPLES: i64 = 48_000;
/// Most packets kept: 1 s of the shortest (2.5 ms). If full, it is treated as the span is.
pub(super) const PACKETS_MAX: usize = 400;
/// How far a sequence may jump ahead and behind within one stream (RFC 3550, appendix A.1: `MAX_DROPOUT`; behind it
/// is more generous, as a network that holds packets back for a second is real).
const AHEAD_MAX: i64 = 3_000;
const BEHIND_MAX: i64 = 500;
/// By how much a timestamp may differ from what the clock says, 10 s: longer than any network holds a packet.
const CLOCK_SLACK_SAMPLES: i64 = 480_000;
/// Packets remembered to tell a duplicate from a late packet.
const REMEMBERED: i64 = 128;

/// A packet's sound and where it belongs.
#[derive(Clone, Debug)]
pub(super) struct Sound {
    pub(super) bytes: Bytes,
    pub(super) sequence: i64,
    pub(super) samples: i64,
    /// Whether it came as a copy in a later packet.
    pub(super) copy: bool,
}

/// Where a packet stands in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It came before.
    Duplicate,
    /// Part of the stream, at its extended sequence and timestamp.
    Member { sequence: i64, timestamp: i64 },
    /// The sender began anew; everything that is kept belongs to the past.
    Restart { sequence: i64, timestamp: i64 },
    /// It fits nowhere.
    Stray,
}

#[derive(Clone, Copy)]
struct Newest {
    sequence: i64,
    timestamp: i64,
    arrival: i64,
}

/// The arrivals of one speaker.
#[derive(Default)]
pub(super) struct Arrivals {
    sounds: BTreeMap<i64, Sound>,
    newest: Option<Newest>,
    /// Bit n: the packet n before the newest came.
    came: u128,
    /// Bit n: a copy of the packet n before the newest came, and not it before.
    copied: u128,
    probation: Option<u16>,
}

impl Arrivals {
    /// Finds the place of a packet and remembers that it came.
    pub(super) fn place(&mut self, arrival: i64, sequence: u16, timestamp: u32) -> Place {
        let Some(newest) = self.newest else {
            return self.begin(arrival, sequence, timestamp);
        };
        let ahead = i64::from(sequence.wrapping_sub(low_16(newest.sequence)).cast_signed());
        let later = i64::from(
            timestamp
                .wrapping_sub(low_32(newest.timestamp))
                .cast_signed(),
        );
        if !newest.may_be_followed(arrival, ahead, later) {
            if self.probation.replace(sequence) != Some(sequence.wrapping_sub(1)) {
                return Place::Stray;
            }
            self.sounds.clear();
            return match self.begin(arrival, sequence, timestamp) {
                Place::Member {
                    sequence,
                    timestamp,
                } => Place::Restart {
                    sequence,
                    timestamp,
                },
                other => other,
            };
        }
        self.probation = None;
        let (sequence, timestamp) = (newest.sequence + ahead, newest.timestamp + later);
        if ahead > 0 {
            let moved = |bits: u128| if ahead < REMEMBERED { bits << ahead } else { 0 };
            (self.came, self.copied) = (moved(self.came) | 1, moved(self.copied));
            self.newest = Some(Newest {
                sequence,
                timestamp,
                arrival,
            });
        } else if self.has_come(sequence) {
            return Place::Duplicate;
        } else {
            self.came |= self.bit(sequence);
        }
        Place::Member {
            sequence,
            timestamp,
        }
    }

    /// Whether it is the packet that was sent last of all that have come.
    pub(super) fn is_newest(&self, sequence: i64) -> bool {
        self.newest
            .is_some_and(|newest| newest.sequence == sequence)
    }

    /// Notes that a copy of a packet came; whether nothing of the packet had come before.
    pub(super) fn note_copy(&mut self, sequence: i64) -> bool {
        let is_first = !self.has_come(sequence) && !self.has_copy(sequence);
        if is_first {
            self.copied |= self.bit(sequence);
        }
        is_first
    }

    /// Whether a packet came itself.
    pub(super) fn has_come(&self, sequence: i64) -> bool {
        self.came & self.bit(sequence) != 0
    }

    /// Whether a copy of a packet came, and not it before.
    pub(super) fn has_copy(&self, sequence: i64) -> bool {
        self.copied & self.bit(sequence) != 0
    }

    /// Where a packet is remembered; nowhere, if it is too long ago.
    fn bit(&self, sequence: i64) -> u128 {
        let before = self.newest.map_or(-1, |newest| newest.sequence - sequence);
        if (0..REMEMBERED).contains(&before) {
            1 << before
        } else {
            0
        }
    }

    /// Keeps a sound; a packet's own takes the place of a copy.
    pub(super) fn keep(&mut self, timestamp: i64, sound: Sound) {
        let kept = self.sounds.get(&timestamp);
        if kept.is_none_or(|kept| kept.copy && !sound.copy) {
            self.sounds.insert(timestamp, sound);
        }
    }

    /// Whether more is kept than the bounds allow.
    pub(super) fn overflows(&self) -> bool {
        let span = self
            .first()
            .zip(self.end())
            .map_or(0, |((first, _), end)| end - first);
        span > SPAN_MAX_SAMPLES || self.sounds.len() > PACKETS_MAX
    }

    /// The earliest sound kept.
    pub(super) fn first(&self) -> Option<(i64, &Sound)> {
        self.sounds
            .first_key_value()
            .map(|(&timestamp, sound)| (timestamp, sound))
    }

    /// Takes the sound that begins at a timestamp.
    pub(super) fn take(&mut self, timestamp: i64) -> Option<Sound> {
        self.sounds.remove(&timestamp)
    }

    /// Drops what begins before a timestamp, and says how many packets that were.
    pub(super) fn drop_before(&mut self, timestamp: i64) -> u64 {
        let mut dropped = 0;
        while self.first().is_some_and(|(first, _)| first < timestamp) {
            self.sounds.pop_first();
            dropped += 1;
        }
        dropped
    }

    /// Where the newest sound ends.
    pub(super) fn end(&self) -> Option<i64> {
        self.sounds
            .last_key_value()
            .map(|(timestamp, sound)| timestamp + sound.samples)
    }

    fn begin(&mut self, arrival: i64, sequence: u16, timestamp: u32) -> Place {
        let (sequence, timestamp) = (i64::from(sequence), i64::from(timestamp));
        self.newest = Some(Newest {
            sequence,
            timestamp,
            arrival,
        });
        // What was sent before the stream began is not missing.
        (self.came, self.copied) = (1, !1);
        self.probation = None;
        Place::Member {
            sequence,
            timestamp,
        }
    }
}

impl Newest {
    /// Whether a packet so far ahead (in packets) and later (in samples) can belong to the same stream. A sender in
    /// silence sends nothing while its timestamps go on, so ahead of us it is the clock that decides.
    fn may_be_followed(self, arrival: i64, ahead: i64, later: i64) -> bool {
        match ahead {
            0 => later == 0,
            1..=AHEAD_MAX => {
                later > 0 && (later - (arrival - self.arrival)).abs() < CLOCK_SLACK_SAMPLES
            }
            _ => -ahead <= BEHIND_MAX && ahead < 0 && later < 0 && -later < CLOCK_SLACK_SAMPLES,
        }
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the wire carries the low bits"
)]
const fn low_16(extended: i64) -> u16 {
    extended as u16
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the wire carries the low bits"
)]
const fn low_32(extended: i64) -> u32 {
    extended as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_on_through_their_wraps() {
        let mut arrivals = Arrivals::default();
        let (sequence, timestamp) = (u16::MAX - 1, u32::MAX - 959);
        for n in 0..4_u16 {
            let place = arrivals.place(
                i64::from(n) * 960,
                sequence.wrapping_add(n),
                timestamp.wrapping_add(u32::from(n) * 960),
            );
            let n = i64::from(n);
            let expected = Place::Member {
                sequence: i64::from(sequence) + n,
                timestamp: i64::from(timestamp) + n * 960,
            };
            assert_eq!(place, expected);
        }
    }

    #[test]
    fn a_stray_is_dropped_and_two_in_a_row_are_a_new_beginning() {
        let mut arrivals = Arrivals::default();
        arrivals.place(0, 10, 960);
        assert_eq!(arrivals.place(960, 40_000, 7), Place::Stray);
        assert_eq!(
            arrivals.place(960, 11, 1_920),
            Place::Member {
                sequence: 11,
                timestamp: 1_920
            }
        );
        assert_eq!(arrivals.place(1_920, 40_000, 1 << 30), Place::Stray);
        let restart = Place::Restart {
            sequence: 40_001,
            timestamp: (1 << 30) + 960,
        };
        assert_eq!(arrivals.place(2_880, 40_001, (1 << 30) + 960), restart);
    }

    #[test]
    fn a_late_packet_is_not_a_duplicate_until_it_comes_twice() {
        let mut arrivals = Arrivals::default();
        arrivals.place(0, 10, 9_600);
        arrivals.place(1_920, 12, 11_520);
        assert_eq!(
            arrivals.place(2_000, 11, 10_560),
            Place::Member {
                sequence: 11,
                timestamp: 10_560
            }
        );
        assert_eq!(arrivals.place(2_001, 11, 10_560), Place::Duplicate);
        assert_eq!(arrivals.place(2_002, 10, 9_600), Place::Duplicate);
    }
}
