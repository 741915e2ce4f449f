//! What a person sees of a rehearsal: a line that moves while it runs, figures at the end; or lines of JSON.

use std::io::{self, Write};

use indicatif::{ProgressBar, ProgressStyle};
use throng_rehearsal::SECOND_US;
use throng_rehearsal::orders::Orders;
use throng_rehearsal::verdict::{Second, Summary};
use throng_rehearsal::words;

use super::sound::Heard;
use crate::client::Error;

/// The view while it runs.
pub(super) struct View<'a> {
    bar: ProgressBar,
    json: bool,
    output: &'a mut dyn Write,
    /// The first failure to write; the crowd runs on, and the command fails at its end.
    failed: Option<io::Error>,
}

impl<'a> View<'a> {
    /// A bar as long as the rehearsal, or none for JSON.
    pub(super) fn new(json: bool, orders: &Orders, output: &'a mut dyn Write) -> Self {
        let seconds = (orders.end_us() - orders.begin_us).div_ceil(SECOND_US);
        let bar = if json {
            ProgressBar::hidden()
        } else {
            ProgressBar::new(seconds)
        };
        let style = ProgressStyle::with_template("{bar:20} {pos}/{len} s  {msg}");
        bar.set_style(style.expect("the template names what there is"));
        Self {
            bar,
            json,
            output,
            failed: None,
        }
    }

    /// Shows a second.
    pub(super) fn second(&mut self, second: &Second) {
        if self.json {
            let written = serde_json::to_string(second)
                .map_err(io::Error::from)
                .and_then(|line| writeln!(self.output, "{line}"))
                .and_then(|()| self.output.flush());
            self.failed = self.failed.take().or(written.err());
            return;
        }
        self.bar.set_position(second.at_ms / 1_000);
        self.bar.set_message(in_words(second));
    }

    /// Takes the bar away.
    pub(super) fn finish(self) -> Result<(), Error> {
        self.bar.finish_and_clear();
        match self.failed {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }
}

fn in_words(second: &Second) -> String {
    let server = second
        .server_cpu_millicores
        .map(|used| format!("server {}, ", cores(used)))
        .unwrap_or_default();
    format!(
        "{} hear, {} joins/s, {} failed, {} gaps; {server}crowd {}",
        second.listening,
        second.joins,
        second.failed,
        second.gaps,
        cores(second.client_cpu_millicores)
    )
}

fn cores(millicores: u64) -> String {
    format!(
        "{}.{:02} cores",
        millicores / 1_000,
        millicores % 1_000 / 10
    )
}

/// The figures at the end.
pub(super) fn write_words(
    summary: &Summary,
    samples: &[Heard],
    output: &mut dyn Write,
) -> io::Result<()> {
    writeln!(output, "{}\n", words::verdict(summary))?;
    for (name, value) in words::figures(summary) {
        writeln!(output, "{name:<16}{value}")?;
    }
    for heard in samples {
        writeln!(output, "{:<16}{}", "sample", heard.in_words())?;
    }
    Ok(())
}
