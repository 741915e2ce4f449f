//! How a crowd comes and goes: how many of it have, by when. Pure.

use serde::{Deserialize, Serialize};

/// Points of a curve at most: a second each for a day, and a file that is none is refused early.
const POINTS_MAX: usize = 86_400;

/// The shape of an arrival or a departure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Curve {
    /// By the points of a file, straight lines between them.
    Points(Vec<Point>),
    /// Evenly over this time.
    Ramp {
        /// The time.
        over_us: u64,
    },
    /// All at once.
    Vertical,
}

/// How many have come by a moment, of the number at the last point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// Since the beginning.
    pub at_us: u64,
    /// How many by then.
    pub people: u64,
}

/// Why a file is no curve.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CurveError {
    /// A line is not two numbers.
    #[error("line {0}: not `seconds,people`")]
    Line(usize),
    /// Time or people go back.
    #[error("line {0}: time must rise, and the number of people must not fall")]
    Order(usize),
    /// Nobody comes.
    #[error("nobody ever comes")]
    Nobody,
    /// Too long.
    #[error("more than {POINTS_MAX} points")]
    Long,
}

impl Curve {
    /// Reads `seconds,people` lines: how many have come by then. A first line of words is a heading. The numbers are a
    /// shape: whatever the last one is, by then the whole crowd has come.
    pub fn from_csv(text: &str) -> Result<Self, CurveError> {
        let mut points: Vec<Point> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Some(point) = Point::parse(line) else {
                if index == 0 {
                    continue;
                }
                return Err(CurveError::Line(index + 1));
            };
            let follows = |last: &Point| point.at_us > last.at_us && point.people >= last.people;
            if !points.last().is_none_or(follows) {
                return Err(CurveError::Order(index + 1));
            }
            if points.len() == POINTS_MAX {
                return Err(CurveError::Long);
            }
            points.push(point);
        }
        if points.last().is_none_or(|last| last.people == 0) {
            return Err(CurveError::Nobody);
        }
        Ok(Self::Points(points))
    }

    /// How many of a crowd have come so long after the beginning.
    pub fn arrived(&self, after_us: u64, crowd: u32) -> u32 {
        let share = |part: u64, whole: u64| {
            let people = u128::from(crowd) * u128::from(part.min(whole)) / u128::from(whole.max(1));
            u32::try_from(people).unwrap_or(crowd)
        };
        match self {
            Self::Vertical => crowd,
            Self::Ramp { over_us } if after_us >= *over_us => crowd,
            Self::Ramp { over_us } => share(after_us, *over_us),
            Self::Points(points) => {
                let whole = points.last().map_or(1, |last| last.people);
                share(people_by(points, after_us), whole)
            }
        }
    }

    /// When all have come.
    pub fn length_us(&self) -> u64 {
        match self {
            Self::Vertical => 0,
            Self::Ramp { over_us } => *over_us,
            Self::Points(points) => points.last().map_or(0, |last| last.at_us),
        }
    }
}

fn people_by(points: &[Point], after_us: u64) -> u64 {
    let next = points.partition_point(|point| point.at_us <= after_us);
    let before = next.checked_sub(1).map_or(
        Point {
            at_us: 0,
            people: 0,
        },
        |index| points[index],
    );
    let Some(after) = points.get(next) else {
        return before.people;
    };
    let (span_us, passed_us) = (after.at_us - before.at_us, after_us - before.at_us);
    let risen = u128::from(after.people - before.people) * u128::from(passed_us)
        / u128::from(span_us.max(1));
    before.people + u64::try_from(risen).unwrap_or(u64::MAX)
}

impl Point {
    fn parse(line: &str) -> Option<Self> {
        let (seconds, people) = line.split_once([',', ';', '\t'])?;
        let seconds: f64 = seconds.trim().parse().ok()?;
        let people = people.trim().parse().ok()?;
        if !(0.0..=SECONDS_MAX).contains(&seconds) {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and a year"
        )]
        let at_us = (seconds * 1e6) as u64;
        Some(Self { at_us, people })
    }
}

/// A year.
const SECONDS_MAX: f64 = 31_536_000.0;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::SECOND_US;

    #[test]
    fn a_vertical_crowd_is_there_at_once_and_a_ramp_comes_evenly() {
        assert_eq!(Curve::Vertical.arrived(0, 7), 7);
        let ramp = Curve::Ramp {
            over_us: 60 * SECOND_US,
        };
        assert_eq!(ramp.arrived(0, 600), 0);
        assert_eq!(ramp.arrived(SECOND_US, 600), 10);
        assert_eq!(ramp.arrived(61 * SECOND_US, 600), 600);
        assert_eq!(Curve::Ramp { over_us: 0 }.arrived(0, 600), 600);
    }

    #[test]
    fn a_curve_is_a_shape_that_is_scaled_to_the_crowd() {
        let curve = Curve::from_csv("second,people\n0,0\n10,100\n20,1000\n").unwrap();
        assert_eq!(curve.length_us(), 20 * SECOND_US);
        assert_eq!(curve.arrived(5 * SECOND_US, 2_000), 100);
        assert_eq!(curve.arrived(15 * SECOND_US, 2_000), 1_100);
        assert_eq!(curve.arrived(30 * SECOND_US, 2_000), 2_000);
    }

    #[test]
    fn a_file_that_is_no_curve_is_refused_by_its_line() {
        assert_eq!(Curve::from_csv("0,1\n1,x"), Err(CurveError::Line(2)));
        assert_eq!(Curve::from_csv("0,5\n1,4"), Err(CurveError::Order(2)));
        assert_eq!(Curve::from_csv("1,5\n1,6"), Err(CurveError::Order(2)));
        assert_eq!(Curve::from_csv("a,b\n\n"), Err(CurveError::Nobody));
        assert_eq!(Curve::from_csv("0,1\n-1,2"), Err(CurveError::Line(2)));
    }

    proptest! {
        /// Whatever the shape: nobody leaves again, nobody comes twice, and in the end all are there.
        #[test]
        fn arrivals_never_fall_and_end_with_everyone(
            steps in proptest::collection::vec((1_u64..5_000_000, 0_u64..1_000), 1..30),
            crowd in 0_u32..2_000_000,
            looks in proptest::collection::vec(0_u64..200_000_000, 1..40),
        ) {
            let (mut at_us, mut people) = (0, 0);
            let mut points: Vec<Point> = steps.iter().map(|(wait, more)| {
                at_us += wait;
                people += more;
                Point { at_us, people }
            }).collect();
            points.push(Point { at_us: at_us + 1, people: people + 1 });
            let curve = Curve::Points(points);
            let mut looks = looks;
            looks.sort_unstable();
            let seen: Vec<u32> = looks.iter().map(|look| curve.arrived(*look, crowd)).collect();
            prop_assert!(seen.is_sorted());
            prop_assert!(seen.iter().all(|some| *some <= crowd));
            prop_assert_eq!(curve.arrived(curve.length_us(), crowd), crowd);
        }
    }
}
