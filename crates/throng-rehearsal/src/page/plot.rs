//! Lines over time as an inline SVG, for people who see and, in words, for those who do not.

use std::fmt::Write;

/// Lines that share an axis.
pub(super) struct Plot {
    pub(super) title: &'static str,
    pub(super) unit: &'static str,
    pub(super) lines: Vec<Line>,
}

/// One of them: milliseconds and value.
pub(super) struct Line {
    pub(super) name: &'static str,
    pub(super) points: Vec<(u64, u64)>,
}

const WIDTH: u64 = 900;
const HEIGHT: u64 = 220;
/// Room for the numbers.
const LEFT: u64 = 90;
const BOTTOM: u64 = 24;
const TOP: u64 = 10;
/// More points than pixels draw the same line.
const POINTS_MAX: usize = 1_800;

impl Plot {
    pub(super) fn write(&self, page: &mut String) {
        let points = || self.lines.iter().flat_map(|line| line.points.iter());
        let end_ms = points().map(|(at_ms, _)| *at_ms).max().unwrap_or(0).max(1);
        let top = points().map(|(_, value)| *value).max().unwrap_or(0).max(1);
        let _ = write!(
            page,
            "<h2>{}</h2>\n<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">\n",
            self.title,
            LEFT + WIDTH,
            TOP + HEIGHT + BOTTOM,
            self.in_words(top),
        );
        self.write_axes(end_ms, top, page);
        for (place, line) in self.lines.iter().enumerate() {
            let colour = format!("var(--c{})", place % 4);
            let step = line.points.len().div_ceil(POINTS_MAX).max(1);
            let path: Vec<String> = line
                .points
                .iter()
                .step_by(step)
                .map(|(at_ms, value)| {
                    let x = LEFT + at_ms * WIDTH / end_ms;
                    let y = TOP + HEIGHT - scaled(*value, top);
                    format!("{x},{y}")
                })
                .collect();
            let _ = write!(
                page,
                "<polyline points=\"{}\" style=\"stroke:{colour}\"/>\n\
                 <text x=\"{}\" y=\"{}\" style=\"fill:{colour}\">{}</text>\n",
                path.join(" "),
                LEFT + 10 + 130 * place as u64,
                TOP + 12,
                line.name,
            );
        }
        page.push_str("</svg>\n");
    }

    fn write_axes(&self, end_ms: u64, top: u64, page: &mut String) {
        for quarter in [0, 2, 4] {
            let y = TOP + HEIGHT - HEIGHT * quarter / 4;
            let _ = write!(
                page,
                "<path class=\"axis\" d=\"M{LEFT} {y}h{WIDTH}\"/>\n\
                 <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}{}</text>\n",
                LEFT - 8,
                y + 4,
                top / 4 * quarter + top % 4 * quarter / 4,
                self.unit,
            );
            let _ = writeln!(
                page,
                "<text x=\"{}\" y=\"{}\" text-anchor=\"{}\">{} s</text>",
                LEFT + WIDTH * quarter / 4,
                TOP + HEIGHT + 18,
                if quarter == 4 { "end" } else { "middle" },
                end_ms * quarter / 4_000,
            );
        }
    }

    fn in_words(&self, top: u64) -> String {
        let last = self.lines.iter().map(|line| {
            let value = line.points.last().map_or(0, |(_, value)| *value);
            format!("{} {value}{}", line.name, self.unit)
        });
        let last: Vec<String> = last.collect();
        format!(
            "{}: at most {top}{}; at the end {}",
            self.title,
            self.unit,
            last.join(", ")
        )
    }
}

/// A value in pixels of height.
fn scaled(value: u64, top: u64) -> u64 {
    let height = u128::from(value) * u128::from(HEIGHT) / u128::from(top);
    u64::try_from(height).unwrap_or(HEIGHT)
}
