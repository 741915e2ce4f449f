//! `vertical`, `ramp:60s`, `curve:FILE.csv`: the shapes of an arrival as they are written on the command line.

use std::fmt;
use std::fs;
use std::str::FromStr;

use throng_rehearsal::arrival::Curve;

use crate::client::listen::parse_duration;

/// A shape, and how it was written.
#[derive(Clone, Debug)]
pub struct Shape {
    /// The curve.
    pub curve: Curve,
    written: String,
}

impl Shape {
    /// As one would say it.
    pub(super) fn in_words(&self) -> String {
        match self.written.split_once(':') {
            Some(("ramp", time)) => format!("over {time}"),
            Some((_, file)) => format!("by the curve of {file}"),
            None => "all at once".to_owned(),
        }
    }
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let curve = match text.split_once(':') {
            None if text == "vertical" => Curve::Vertical,
            Some(("ramp", time)) => Curve::Ramp {
                over_us: u64::try_from(parse_duration(time)?.as_micros())
                    .map_err(|_| "too long a ramp".to_owned())?,
            },
            Some(("curve", file)) => {
                let text = fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
                Curve::from_csv(&text).map_err(|error| format!("{file}: {error}"))?
            }
            _ => return Err("not vertical, ramp:TIME or curve:FILE.csv".to_owned()),
        };
        Ok(Self {
            curve,
            written: text.to_owned(),
        })
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_read_as_they_are_written() {
        let shape: Shape = "ramp:1m".parse().unwrap();
        assert_eq!(
            shape.curve,
            Curve::Ramp {
                over_us: 60_000_000
            }
        );
        assert_eq!(shape.to_string(), "ramp:1m");
        assert_eq!(shape.in_words(), "over 1m");
        assert_eq!("vertical".parse::<Shape>().unwrap().curve, Curve::Vertical);
        for wrong in ["", "ramp", "ramp:x", "curve:/nowhere/at/all.csv", "flat:1s"] {
            assert!(wrong.parse::<Shape>().is_err(), "{wrong}");
        }
    }
}
