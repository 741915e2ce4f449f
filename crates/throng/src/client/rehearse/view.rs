//! What a person sees of a rehearsal: two lines that move while it runs, or where there is no terminal a line each
//! second, and figures at the end; or lines of JSON.

use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressStyle};
use throng_rehearsal::SECOND_US;
use throng_rehearsal::orders::Orders;
use throng_rehearsal::verdict::{Evidence, Second, Summary};
use throng_rehearsal::words;

use super::sound::Heard;
use crate::client::Error;

/// The view while it runs.
pub(super) struct View<'a> {
    kind: Kind,
    asked: u32,
    output: &'a mut dyn Write,
    /// The first failure to write; the crowd runs on, and the command fails at its end.
    failed: Option<io::Error>,
}

/// For whom it is.
enum Kind {
    /// Somebody at a terminal.
    Bar(ProgressBar),
    /// A program.
    Json,
    /// Somebody who reads it later, in a log.
    Lines,
}

impl<'a> View<'a> {
    /// A bar as long as the rehearsal where there is a terminal, and none for JSON.
    pub(super) fn new(json: bool, orders: &Orders, output: &'a mut dyn Write) -> Self {
        let seconds = (orders.end_us() - orders.begin_us).div_ceil(SECOND_US);
        let kind = if json {
            Kind::Json
        } else if io::stderr().is_terminal() {
            let style = ProgressStyle::with_template("{bar:20} {pos}/{len} s  {msg}");
            let style = style.expect("the template names what there is");
            let bar = ProgressBar::new(seconds).with_style(style);
            bar.set_message("the crowd gets ready");
            Kind::Bar(bar)
        } else {
            Kind::Lines
        };
        Self {
            kind,
            asked: orders.listeners,
            output,
            failed: None,
        }
    }

    /// Shows a second.
    pub(super) fn second(&mut self, second: &Second) {
        let (hearing, trouble) = in_words(second, self.asked);
        match &self.kind {
            Kind::Bar(bar) => {
                bar.set_position(second.at_ms / 1_000);
                // In two lines it fits a terminal of 80 columns.
                bar.set_message(format!("{hearing}\n{trouble}"));
            }
            Kind::Json => {
                let written = serde_json::to_string(second)
                    .map_err(io::Error::from)
                    .and_then(|line| writeln!(self.output, "{line}"))
                    .and_then(|()| self.output.flush());
                self.failed = self.failed.take().or(written.err());
            }
            Kind::Lines => {
                let at = second.at_ms / 1_000;
                // A log that nobody reads stops nothing.
                let _ = writeln!(io::stderr(), "{at:>4} s  {hearing}; {trouble}");
            }
        }
    }

    /// Takes the bar away.
    pub(super) fn finish(self) -> Result<(), Error> {
        if let Kind::Bar(bar) = self.kind {
            bar.finish_and_clear();
        }
        match self.failed {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }
}

/// Who hears, and what goes wrong at which cost.
fn in_words(second: &Second, asked: u32) -> (String, String) {
    let hearing = format!(
        "{} of {asked} hear, {} joins/s",
        second.listening, second.joins
    );
    let server = second
        .server_cpu_millicores
        .map(|used| format!("server {}, ", cores(used)))
        .unwrap_or_default();
    let trouble = format!(
        "failed {}, refused {}, lost {}, gaps {}; CPU {server}crowd {}",
        second.failed,
        second.refused,
        second.lost,
        second.gaps,
        cores(second.client_cpu_millicores)
    );
    (hearing, trouble)
}

/// In cores.
fn cores(millicores: u64) -> String {
    format!("{}.{:02}", millicores / 1_000, millicores % 1_000 / 10)
}

/// The figures at the end.
pub(super) fn write_words(
    (evidence, summary): (&Evidence, &Summary),
    samples: &[Heard],
    output: &mut dyn Write,
) -> io::Result<()> {
    // A sentence a line, so that a terminal of 80 columns breaks none.
    let verdict = words::verdict(evidence).replace(". ", ".\n");
    writeln!(output, "{verdict}\n")?;
    for (name, value) in words::figures(summary) {
        writeln!(output, "{name:<16}{value}")?;
    }
    for heard in samples {
        writeln!(output, "{:<16}{}", "decoded", heard.in_words())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_listeners_fit_a_terminal_of_80_columns() {
        let second = Second {
            listening: 1_400_000,
            joins: 20_000,
            failed: 99_999,
            refused: 99_999,
            lost: 999,
            gaps: 99_999,
            server_cpu_millicores: Some(15_000),
            client_cpu_millicores: 15_000,
            ..Second::default()
        };
        let (hearing, trouble) = in_words(&second, 1_400_000);
        // The bar, a day's seconds of a day, and the spaces between.
        let bar = 20 + " 86400/86400 s  ".len();
        assert!(bar + hearing.len() <= 80, "{hearing}");
        assert!(trouble.len() <= 80, "{trouble}");
        assert!(trouble.ends_with("CPU server 15.00, crowd 15.00"));
    }
}
