//! Wall time as the outside reads it: milliseconds since 1970 in UTC, written and parsed as RFC 3339.
//!
//! Years 0000 to 9999, proleptic Gregorian, no leap seconds (POSIX time has no place for them, so `:60` is refused).
//! Nothing here reads a clock.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub i64);

/// The text is not a date and time of RFC 3339 that we can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a time: write it like 2026-12-01T20:00:00Z or 2026-12-01T21:00:00+01:00")]
pub struct NotATime;

impl UnixMillis {
    /// The first moment that RFC 3339 can write.
    pub const MIN: Self = Self(-62_167_219_200_000);
    /// The last moment that RFC 3339 can write.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// The moment so many milliseconds later; stays at [`UnixMillis::MAX`] rather than run past it.
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Self {
        let ms = i64::try_from(ms).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(ms)).min(Self::MAX)
    }

    /// The moment so many milliseconds earlier; stays at [`UnixMillis::MIN`] rather than run past it.
    #[must_use]
    pub fn minus_ms(self, ms: u64) -> Self {
        let ms = i64::try_from(ms).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(ms)).max(Self::MIN)
    }

    /// The moment so many milliseconds later, or earlier where they are negative; stays within what RFC 3339 can write.
    #[must_use]
    pub fn shifted_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms)).clamp(Self::MIN, Self::MAX)
    }

    /// Milliseconds from an earlier moment to this one; 0 when the other is later.
    pub fn ms_since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }

    /// UTC with milliseconds, such as `2026-12-01T20:00:00.000Z`. Moments that RFC 3339 cannot write are moved to the
    /// nearest that it can.
    pub fn to_rfc3339(self) -> String {
        let ms = self.clamp(Self::MIN, Self::MAX).0;
        let (year, month, day) = civil_from_days(ms.div_euclid(MS_PER_DAY));
        let of_day = ms.rem_euclid(MS_PER_DAY);
        let (hour, minute) = (of_day / MS_PER_HOUR, of_day / MS_PER_MINUTE % 60);
        let (second, ms) = (of_day / 1_000 % 60, of_day % 1_000);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
    }

    /// Reads a `date-time` of RFC 3339, section 5.6, with any offset; fractions beyond milliseconds are dropped.
    pub fn parse_rfc3339(text: &str) -> Result<Self, NotATime> {
        parse(text.as_bytes())
            .filter(|time| (Self::MIN..=Self::MAX).contains(time))
            .ok_or(NotATime)
    }
}

impl fmt::Display for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

impl Serialize for UnixMillis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for UnixMillis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse_rfc3339(&text).map_err(de::Error::custom)
    }
}

fn parse(text: &[u8]) -> Option<UnixMillis> {
    let (date, rest) = text.split_at_checked(10)?;
    let (time, rest) = rest.split_at_checked(9)?;
    let &[y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1] = date else {
        return None;
    };
    let &[b'T' | b't', h0, h1, b':', n0, n1, b':', s0, s1] = time else {
        return None;
    };
    let (year, month, day) = (
        digits(&[y0, y1, y2, y3])?,
        digits(&[m0, m1])?,
        digits(&[d0, d1])?,
    );
    let (hour, minute, second) = (digits(&[h0, h1])?, digits(&[n0, n1])?, digits(&[s0, s1])?);
    if !(1..=12).contains(&month) || !(1..=days_in_month(year, month)).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (fraction_ms, offset) = parse_fraction(rest)?;
    let local = days_from_civil(year, month, day) * MS_PER_DAY
        + hour * MS_PER_HOUR
        + minute * MS_PER_MINUTE;
    Some(UnixMillis(
        local + second * 1_000 + fraction_ms - parse_offset_ms(offset)?,
    ))
}

/// Milliseconds of a `time-secfrac`, if there is one, and what follows it.
fn parse_fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some((b'.', fraction)) = text.split_first() else {
        return Some((0, text));
    };
    let length = fraction
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let (fraction, rest) = fraction.split_at(length);
    let place = |at: usize| fraction.get(at).map_or(0, |byte| i64::from(byte - b'0'));
    (length > 0).then(|| (place(0) * 100 + place(1) * 10 + place(2), rest))
}

fn parse_offset_ms(text: &[u8]) -> Option<i64> {
    match *text {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), h0, h1, b':', m0, m1] => {
            let (hours, minutes) = (digits(&[h0, h1])?, digits(&[m0, m1])?);
            let ms = hours * MS_PER_HOUR + minutes * MS_PER_MINUTE;
            (hours <= 23 && minutes <= 59).then_some(if sign == b'+' { ms } else { -ms })
        }
        _ => None,
    }
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |value, byte| {
        byte.is_ascii_digit()
            .then(|| value * 10 + i64::from(byte - b'0'))
    })
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date. Years are counted from March, so that the leap day is the last of its year, and
/// fall into eras of 400 years, which all have the same length.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * DAYS_PER_ERA + day_of_era - DAYS_TO_1970
}

/// The date so many days after 1970-01-01: the inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + DAYS_TO_1970;
    let (era, day_of_era) = (days.div_euclid(DAYS_PER_ERA), days.rem_euclid(DAYS_PER_ERA));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

const MS_PER_MINUTE: i64 = 60_000;
const MS_PER_HOUR: i64 = 60 * MS_PER_MINUTE;
const MS_PER_DAY: i64 = 24 * MS_PER_HOUR;
/// Days of 400 Gregorian years.
const DAYS_PER_ERA: i64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const DAYS_TO_1970: i64 = 719_468;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_examples_of_rfc_3339_section_5_8_are_read() {
        let read = |text| UnixMillis::parse_rfc3339(text).map(UnixMillis::to_rfc3339);
        assert_eq!(
            read("1985-04-12T23:20:50.52Z").unwrap(),
            "1985-04-12T23:20:50.520Z"
        );
        assert_eq!(
            read("1996-12-19T16:39:57-08:00").unwrap(),
            "1996-12-20T00:39:57.000Z"
        );
        assert_eq!(
            read("1937-01-01T12:00:27.87+00:20").unwrap(),
            "1937-01-01T11:40:27.870Z"
        );
        assert_eq!(
            UnixMillis::parse_rfc3339("2026-12-01T20:00:00Z"),
            Ok(UnixMillis(1_796_155_200_000))
        );
        assert_eq!(
            read("2024-02-29T00:00:00Z").unwrap(),
            "2024-02-29T00:00:00.000Z"
        );
        assert_eq!(
            read("2000-02-29T00:00:00Z").unwrap(),
            "2000-02-29T00:00:00.000Z"
        );
        assert_eq!(UnixMillis::MIN.to_rfc3339(), "0000-01-01T00:00:00.000Z");
        assert_eq!(UnixMillis::MAX.to_rfc3339(), "9999-12-31T23:59:59.999Z");
        assert_eq!(
            UnixMillis(i64::MAX).to_rfc3339(),
            UnixMillis::MAX.to_rfc3339()
        );
    }

    #[test]
    fn what_is_not_a_time_is_refused() {
        for text in [
            "",
            "2026-12-01",
            "2026-12-01T20:00:00",
            "2026-12-01 20:00:00Z",
            "2026-12-01T20:00Z",
            "2026-13-01T20:00:00Z",
            "2026-00-01T20:00:00Z",
            "2026-02-29T20:00:00Z",
            "1900-02-29T20:00:00Z",
            "2026-12-01T24:00:00Z",
            "2026-12-01T20:60:00Z",
            "1990-12-31T23:59:60Z",
            "2026-12-01T20:00:00.Z",
            "2026-12-01T20:00:00+0100",
            "2026-12-01T20:00:00+24:00",
            "2026-12-01T20:00:00Zjunk",
            "+026-12-01T20:00:00Z",
            "0000-01-01T00:00:00+00:01",
            "９999-12-01T20:00:00Z",
        ] {
            assert_eq!(UnixMillis::parse_rfc3339(text), Err(NotATime), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_moment_survives_writing_and_reading(ms in UnixMillis::MIN.0..=UnixMillis::MAX.0) {
            prop_assert_eq!(UnixMillis::parse_rfc3339(&UnixMillis(ms).to_rfc3339()), Ok(UnixMillis(ms)));
        }

        #[test]
        fn days_follow_one_another(days in -719_528_i64..2_932_895) {
            let (year, month, day) = civil_from_days(days);
            let expected = if day < days_in_month(year, month) { (year, month, day + 1) }
                else if month < 12 { (year, month + 1, 1) } else { (year + 1, 1, 1) };
            prop_assert_eq!(civil_from_days(days + 1), expected);
        }

        #[test]
        fn hostile_text_never_panics(text in "\\PC{0,40}") {
            let _ = UnixMillis::parse_rfc3339(&text);
        }
    }
}
