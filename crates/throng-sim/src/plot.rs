//! An outcome as a picture: two panels over the seconds, as SVG that is readable on light and dark pages.

use std::fmt::Write as _;

use crate::outcome::{Outcome, Series};
use crate::scenario::Service;

/// One line of a panel.
struct Curve<'a> {
    name: &'a str,
    class: &'a str,
    values: &'a [u64],
}

const WIDTH: u64 = 760;
const LEFT: u64 = 62;
const RIGHT: u64 = 12;
const PANEL_HEIGHT: u64 = 170;
const PANEL_STEP: u64 = 238;
const TOP: u64 = 62;
const HEIGHT: u64 = TOP + 2 * PANEL_STEP - 18;
/// Lines across a panel.
const TICKS: u64 = 4;
/// A panel has no more points than its width shows.
const POINTS_MAX: usize = 360;

const STYLE: &str = "text{font:12px sans-serif;fill:#57606a}.title{font-weight:bold;font-size:14px}\
.grid{stroke:#8c959f;stroke-opacity:.35}path{fill:none;stroke-width:1.8;stroke-linejoin:round}\
.places{stroke:#8c959f;stroke-dasharray:5 4}.wanting{stroke:#d4731f}.listening{stroke:#2f81f7}\
.queued{stroke:#a371f7}.joins{stroke:#2da44e}.refusals{stroke:#e5534b}\
@media(prefers-color-scheme:dark){text{fill:#b1bac4}}";

/// The picture.
pub fn svg(outcome: &Outcome) -> String {
    let series = &outcome.series;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\
         <style>{STYLE}</style>\n<text class=\"title\" x=\"{LEFT}\" y=\"18\">{}</text>\n",
        escaped(&title(outcome))
    );
    let people = [
        curve("want to hear it", "wanting", &series.wanting),
        curve("places", "places", &series.places),
        curve("hold a ticket", "queued", &series.queued),
        curve("listen", "listening", &series.listening),
    ];
    panel(&mut svg, TOP, "people", series, &people);
    let doors = [
        curve("refused", "refusals", &series.refusals),
        curve("let in", "joins", &series.joins),
    ];
    panel(&mut svg, TOP + PANEL_STEP, "in a second", series, &doors);
    svg.push_str("</svg>\n");
    svg
}

fn title(outcome: &Outcome) -> String {
    let service = match outcome.service {
        Service::Naive => "service without a plan",
        Service::Throng => "Throng",
    };
    format!("{} ({service}, seed {})", outcome.title, outcome.seed)
}

fn curve<'a>(name: &'a str, class: &'a str, values: &'a [u64]) -> Curve<'a> {
    Curve {
        name,
        class,
        values,
    }
}

fn panel(svg: &mut String, top: u64, unit: &str, series: &Series, curves: &[Curve<'_>]) {
    let values = curves.iter().flat_map(|curve| curve.values);
    let most = round_up(values.copied().max().unwrap_or(0));
    let last_s = series.second.last().copied().unwrap_or(0);
    let last_s = last_s.max(1).next_multiple_of(60);
    let bottom = top + PANEL_HEIGHT;
    legend(svg, top - 12, unit, curves);
    for tick in 0..=TICKS {
        let y = bottom - PANEL_HEIGHT * tick / TICKS;
        let x = LEFT + plot_width() * tick / TICKS;
        let (right, label_x, label_y) = (WIDTH - RIGHT, LEFT - 6, y + 4);
        let value = short(most * tick / TICKS);
        let at = clock(last_s * tick / TICKS);
        let below = bottom + 17;
        write_line(
            svg,
            format_args!(
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y}\" y2=\"{y}\"/>\
             <text x=\"{label_x}\" y=\"{label_y}\" text-anchor=\"end\">{value}</text>\
             <text x=\"{x}\" y=\"{below}\" text-anchor=\"middle\">{at}</text>"
            ),
        );
    }
    for curve in curves {
        let path = path(&series.second, curve.values, last_s, most, bottom);
        write_line(
            svg,
            format_args!("<path class=\"{}\" d=\"{path}\"/>", curve.class),
        );
    }
}

fn legend(svg: &mut String, y: u64, unit: &str, curves: &[Curve<'_>]) {
    write_line(
        svg,
        format_args!("<text x=\"{LEFT}\" y=\"{y}\">{unit}:</text>"),
    );
    let mut x = LEFT + 84;
    for curve in curves {
        let (end, words, middle) = (x + 22, x + 28, y - 4);
        let (class, name) = (curve.class, curve.name);
        write_line(
            svg,
            format_args!(
                "<path class=\"{class}\" d=\"M{x} {middle}H{end}\"/><text x=\"{words}\" y=\"{y}\">{name}</text>"
            ),
        );
        x += 48 + 7 * name.len() as u64;
    }
}

fn path(seconds: &[u64], values: &[u64], last_s: u64, most: u64, bottom: u64) -> String {
    let step = seconds.len().div_ceil(POINTS_MAX).max(1);
    let points = seconds.iter().zip(values).step_by(step);
    let mut path = String::new();
    for (second, value) in points {
        let x = LEFT + plot_width() * second / last_s;
        let y = bottom - PANEL_HEIGHT * value / most;
        let stroke = if path.is_empty() { 'M' } else { 'L' };
        let _ = write!(path, "{stroke}{x} {y}");
    }
    path
}

fn write_line(svg: &mut String, line: std::fmt::Arguments<'_>) {
    // Text takes whatever is written.
    let _ = writeln!(svg, "{line}");
}

const fn plot_width() -> u64 {
    WIDTH - LEFT - RIGHT
}

/// The next number that begins with 1, 2, 4 or 8 and has only zeros then.
fn round_up(number: u64) -> u64 {
    let mut unit = 1;
    loop {
        if let Some(step) = [1, 2, 4, 8]
            .into_iter()
            .find(|step| step * unit >= number.max(4))
        {
            return step * unit;
        }
        unit *= 10;
    }
}

fn short(number: u64) -> String {
    match number {
        0..=9_999 => number.to_string(),
        10_000..=999_999 => format!("{} k", number / 1_000),
        _ => format!("{}.{} M", number / 1_000_000, number / 100_000 % 10),
    }
}

fn clock(second: u64) -> String {
    format!("{}:{:02}", second / 60, second % 60)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_up_to_what_an_axis_can_say() {
        let seen = [0, 5, 8, 9, 1_400_000, 8_000_000].map(round_up);
        assert_eq!(seen, [4, 8, 8, 10, 2_000_000, 8_000_000]);
        assert_eq!(
            [9_999, 20_000, 1_250_000].map(short),
            ["9999", "20 k", "1.2 M"]
        );
        assert_eq!(clock(605), "10:05");
    }
}
