//! Lines over time: an inline SVG that is stretched to the room there is, with its numbers beside it as text, so that they
//! are as large on a telephone as on a desk. For those who do not see it, the same in words.

use std::fmt::Write;

use crate::words::grouped;

/// Lines that share an axis.
pub(super) struct Plot {
    pub(super) title: &'static str,
    /// What the numbers at the axis count.
    pub(super) unit: &'static str,
    /// Digits of a value behind the point: 3 where it is in thousandths of the unit.
    pub(super) decimals: u32,
    pub(super) lines: Vec<Line>,
}

/// One of them: milliseconds and value.
pub(super) struct Line {
    pub(super) name: &'static str,
    pub(super) points: Vec<(u64, u64)>,
}

/// What all plots of a page have in common.
pub(super) struct Times {
    /// Where they end.
    pub(super) end_ms: u64,
    /// When somebody was first left without.
    pub(super) trouble_ms: Option<u64>,
}

/// Both sides of the drawing, before it is stretched.
const SIDE: u64 = 1_000;
/// More points than pixels draw the same line.
const POINTS_MAX: usize = 1_800;
/// Numbers at an axis, besides zero.
const TICKS_MAX: u64 = 6;
/// Seconds between two numbers at the axis of time.
const STEPS_SECONDS: [u64; 14] = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 21_600,
];

impl Plot {
    /// Writes the figure; one sentence where there is nothing to draw.
    pub(super) fn write(&self, times: &Times, page: &mut String) {
        let seen = self.lines.iter().filter(|line| !line.points.is_empty());
        let seen: Vec<_> = seen.collect();
        let points = seen.iter().flat_map(|line| &line.points);
        let _ = writeln!(
            page,
            "<figure>\n<figcaption><h3>{}</h3> <span>{}</span></figcaption>",
            self.title, self.unit
        );
        match points.map(|(_, value)| *value).max() {
            None => page.push_str("<p>Not seen from here.</p>\n"),
            Some(0) => page.push_str("<p>None.</p>\n"),
            Some(most) => self.draw(&seen, most, times, page),
        }
        page.push_str("</figure>\n");
    }

    fn draw(&self, seen: &[&Line], most: u64, times: &Times, page: &mut String) {
        let ticks = ticks(most);
        let top = ticks.last().copied().unwrap_or(1);
        page.push_str("<ul>\n");
        for (place, line) in seen.iter().enumerate() {
            let _ = writeln!(
                page,
                "<li><svg class=\"key\" aria-hidden=\"true\"><path class=\"line l{place}\" d=\"M0 4h28\"/></svg>{}</li>",
                line.name
            );
        }
        let _ = writeln!(
            page,
            "</ul>\n<div class=\"plot\">\n\
             <svg viewBox=\"0 0 {SIDE} {SIDE}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">",
            self.in_words(seen, most)
        );
        grid(&ticks, top, times, page);
        for (place, line) in seen.iter().enumerate() {
            let points = line.drawn(times.end_ms, top);
            let _ = writeln!(
                page,
                "<polyline class=\"line l{place}\" points=\"{points}\"/>"
            );
        }
        page.push_str("</svg>\n");
        self.write_numbers(&ticks, times.end_ms, page);
        page.push_str("</div>\n");
    }

    /// The numbers at both axes, by their place in percent.
    fn write_numbers(&self, ticks: &[u64], end_ms: u64, page: &mut String) {
        let (top, step) = (
            ticks.last().copied().unwrap_or(1),
            ticks.get(1).copied().unwrap_or(1),
        );
        page.push_str("<div class=\"values\" aria-hidden=\"true\">");
        for tick in ticks {
            let (at, value) = (percent(*tick, top), self.shown(*tick, step));
            let _ = write!(page, "<span style=\"bottom:{at}\">{value}</span>");
        }
        page.push_str("</div>\n<div class=\"times\" aria-hidden=\"true\">");
        for second in seconds(end_ms) {
            let at = percent(second * 1_000, end_ms);
            let _ = write!(
                page,
                "<span style=\"left:{at}\">{}</span>",
                time(second, end_ms)
            );
        }
        page.push_str("</div>\n");
    }

    /// A value in the unit, with as many digits as a step takes.
    fn shown(&self, value: u64, step: u64) -> String {
        let whole = 10_u64.pow(self.decimals);
        let digits = (0..self.decimals)
            .find(|digits| step.is_multiple_of(10_u64.pow(self.decimals - digits)));
        let digits = digits.unwrap_or(self.decimals);
        let part = value % whole / 10_u64.pow(self.decimals - digits);
        match digits {
            0 => grouped(value / whole),
            _ => format!(
                "{}.{part:0width$}",
                grouped(value / whole),
                width = digits as usize
            ),
        }
    }

    fn in_words(&self, seen: &[&Line], most: u64) -> String {
        // Two digits behind the point are enough to say it.
        let step = 10_u64.pow(self.decimals.saturating_sub(2));
        let last = seen.iter().map(|line| {
            let value = line.points.last().map_or(0, |(_, value)| *value);
            format!("{} {}", line.name, self.shown(value, step))
        });
        let last: Vec<String> = last.collect();
        format!(
            "{}, {}: at most {}; at the end {}",
            self.title,
            self.unit,
            self.shown(most, step),
            last.join(", ")
        )
    }
}

impl Line {
    /// Its points, as the drawing has them.
    fn drawn(&self, end_ms: u64, top: u64) -> String {
        let step = self.points.len().div_ceil(POINTS_MAX).max(1);
        let points = self.points.iter().step_by(step).map(|(at_ms, value)| {
            let (x, y) = (scaled(*at_ms, end_ms), SIDE - scaled(*value, top));
            format!("{x},{y}")
        });
        points.collect::<Vec<_>>().join(" ")
    }
}

/// Lines at the numbers, and one where somebody was first left without.
fn grid(ticks: &[u64], top: u64, times: &Times, page: &mut String) {
    let mut path = String::new();
    for tick in ticks {
        let _ = write!(path, "M0 {}h{SIDE}", SIDE - scaled(*tick, top));
    }
    let _ = writeln!(page, "<path class=\"grid\" d=\"{path}\"/>");
    if let Some(trouble_ms) = times.trouble_ms {
        let x = scaled(trouble_ms, times.end_ms);
        let _ = writeln!(page, "<path class=\"mark\" d=\"M{x} 0v{SIDE}\"/>");
    }
}

/// Round values from zero to the first that is not below the most.
fn ticks(most: u64) -> Vec<u64> {
    let most = most.max(1);
    let steps = (0..19).flat_map(|power| [1, 2, 5].map(|digit| digit * 10_u64.pow(power)));
    let step = steps
        .into_iter()
        .find(|step| most.div_ceil(*step) <= TICKS_MAX);
    let step = step.unwrap_or(most);
    (0..=most.div_ceil(step)).map(|tick| tick * step).collect()
}

/// Seconds at which the axis of time has a number.
fn seconds(end_ms: u64) -> impl Iterator<Item = u64> {
    let end = end_ms / 1_000;
    let step = STEPS_SECONDS
        .into_iter()
        .find(|step| end / step <= TICKS_MAX);
    let step = step.unwrap_or(end.max(1));
    (0..=end / step).map(move |tick| tick * step)
}

/// A time in the unit that suits the whole.
fn time(second: u64, end_ms: u64) -> String {
    match end_ms {
        0..=420_000 => format!("{second} s"),
        420_001..=14_400_000 => format!("{} min", second / 60),
        _ => format!("{} h", second / 3_600),
    }
}

/// A share of the whole in percent, with a digit behind the point.
fn percent(part: u64, whole: u64) -> String {
    let tenths = scaled(part, whole);
    format!("{}.{}%", tenths / 10, tenths % 10)
}

/// A share of the whole, as length in the drawing.
fn scaled(part: u64, whole: u64) -> u64 {
    let length = u128::from(part) * u128::from(SIDE) / u128::from(whole.max(1));
    u64::try_from(length).unwrap_or(SIDE).min(SIDE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_at_the_axes_are_round_few_and_reach_over_the_most() {
        for most in [
            0,
            1,
            3,
            7,
            60,
            200,
            999,
            1_001,
            8_000_000,
            u64::from(u32::MAX),
        ] {
            let ticks = ticks(most);
            assert!(ticks.len() <= 7 && ticks[0] == 0, "{most}: {ticks:?}");
            assert!(*ticks.last().unwrap() >= most, "{most}: {ticks:?}");
        }
        assert_eq!(ticks(700), [0, 200, 400, 600, 800]);
        let times = |end_ms| {
            let times = seconds(end_ms).map(|second| time(second, end_ms));
            times.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(times(6_500), "0 s 1 s 2 s 3 s 4 s 5 s 6 s");
        assert_eq!(times(90_000), "0 s 15 s 30 s 45 s 60 s 75 s 90 s");
        assert_eq!(times(700_000), "0 min 2 min 4 min 6 min 8 min 10 min");
        assert_eq!(times(20_000_000), "0 h 1 h 2 h 3 h 4 h 5 h");
    }

    #[test]
    fn a_value_is_shown_in_its_unit_with_the_digits_that_a_step_takes() {
        let plot = |decimals| Plot {
            title: "",
            unit: "",
            decimals,
            lines: Vec::new(),
        };
        assert_eq!(plot(3).shown(1_200, 200), "1.2");
        assert_eq!(plot(3).shown(2_000, 1_000), "2");
        assert_eq!(plot(3).shown(45, 5), "0.045");
        assert_eq!(plot(6).shown(1_250_000_000, 250_000_000), "1,250");
        assert_eq!(plot(0).shown(8_000_000, 1), "8,000,000");
    }
}
