//! One figure, and whether it keeps its limit.

use std::fmt;

/// A figure as a measurement printed it.
pub(super) struct Row {
    figure: String,
    value: String,
    limit: Option<Limit>,
}

enum Limit {
    AtLeast(String),
    AtMost(String),
    /// What we aim at, in words: a time of one machine, which is shown and not asserted.
    Target(String),
}

impl Row {
    /// A line `figure<TAB>value<TAB>limit`, else `None`.
    pub(super) fn read(line: &str) -> Option<Self> {
        let mut cells = line.split('\t').map(str::trim);
        let (figure, value, limit) = (cells.next()?, cells.next()?, cells.next()?);
        let limit = match limit.split_once(' ') {
            Some(("<=", most)) => Some(Limit::AtMost(most.to_owned())),
            Some((">=", least)) => Some(Limit::AtLeast(least.to_owned())),
            Some(("target", words)) => Some(Limit::Target(words.to_owned())),
            _ => None,
        };
        Some(Self {
            figure: figure.to_owned(),
            value: value.to_owned(),
            limit,
        })
    }

    /// Whether the value keeps its limit. What is not a number keeps none.
    pub(super) fn holds(&self) -> bool {
        match &self.limit {
            None | Some(Limit::Target(_)) => true,
            Some(Limit::AtLeast(least)) => {
                number(&self.value) >= number(least) && number(&self.value).is_some()
            }
            Some(Limit::AtMost(most)) => {
                number(&self.value) <= number(most) && number(&self.value).is_some()
            }
        }
    }

    /// A row of the document's table.
    pub(super) fn markdown(&self) -> String {
        format!(
            "| {} | {} | {} |\n",
            self.figure,
            self.value,
            self.limit_words()
        )
    }

    fn limit_words(&self) -> String {
        match &self.limit {
            None => "–".to_owned(),
            Some(Limit::AtLeast(least)) => format!("≥ {least}"),
            Some(Limit::AtMost(most)) => format!("≤ {most}"),
            Some(Limit::Target(words)) => format!("(target {words})"),
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.holds() {
            ""
        } else {
            "  BEYOND ITS LIMIT"
        };
        write!(
            f,
            "{:<48} {:>14}  {}{mark}",
            self.figure,
            self.value,
            self.limit_words()
        )
    }
}

/// The number that a cell begins with; its unit follows.
fn number(cell: &str) -> Option<f64> {
    cell.split(' ')
        .next()?
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(line: &str) -> bool {
        Row::read(line).is_some_and(|row| row.holds())
    }

    #[test]
    fn a_figure_beyond_its_limit_does_not_hold() {
        assert!(holds("join p99\t150 ms\t<= 150 ms"));
        assert!(!holds("join p99\t151 ms\t<= 150 ms"));
        assert!(holds("score\t3.2\t>= 3"));
        assert!(!holds("score\t2.9\t>= 3"));
        assert!(holds("cold build\t400 s\t-"));
    }

    #[test]
    fn a_time_of_one_machine_is_shown_beside_its_target_and_asserted_by_nobody() {
        let row = Row::read("delay p95\t130 ms\ttarget <= 120 ms").unwrap();
        assert!(row.holds());
        assert_eq!(
            row.markdown(),
            "| delay p95 | 130 ms | (target <= 120 ms) |\n"
        );
    }

    #[test]
    fn what_is_not_a_number_keeps_no_limit() {
        assert!(!holds("join p99\tnan ms\t<= 150 ms"));
        assert!(!holds("join p99\tnever\t>= 1"));
    }

    #[test]
    fn other_lines_are_not_figures() {
        assert!(Row::read("connecting to the space").is_none());
    }
}
