//! `throng simulate`: a scenario in the deterministic world, and what comes of it.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::ProgressBar;
use serde::Serialize;
use throng_sim::{Outcome, Scenario};

use super::Error;

/// Run a scenario in a deterministic world: real decision code, simulated people and nodes.
///
/// Fails when a limit of the scenario does not hold. The same seed gives the same result.
#[derive(Args, Clone, Debug)]
pub struct SimulateArgs {
    /// The scenario.
    #[arg(value_name = "SCENARIO.toml")]
    pub scenario: PathBuf,
    /// The seed of all chance.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// People who are simulated one by one; where more come, each stands for several, and nodes are as much smaller.
    #[arg(long, value_name = "N", default_value_t = throng_sim::INDIVIDUALS, value_parser = clap::value_parser!(u32).range(1..=INDIVIDUALS_MAX))]
    pub individuals: u32,
    /// Draw what happened into this file.
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Print the outcome as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Each takes some 150 bytes.
const INDIVIDUALS_MAX: i64 = 20_000_000;

#[derive(Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    outcome: &'a Outcome,
    /// The limits that do not hold.
    beyond: &'a [String],
}

/// Runs the scenario and prints what came of it.
pub fn run(args: &SimulateArgs, output: &mut dyn Write) -> Result<(), Error> {
    let scenario = read(&args.scenario)?;
    let bar = if args.json {
        ProgressBar::hidden()
    } else {
        ProgressBar::new(scenario.duration_s.into())
    };
    let mut passed = |second: u32| bar.set_position(second.into());
    let outcome = throng_sim::run(&scenario, args.seed, args.individuals, &mut passed);
    bar.finish_and_clear();
    if let Some(path) = &args.svg {
        fs::write(path, throng_sim::plot::svg(&outcome)).map_err(|source| file(path, source))?;
    }
    let beyond = outcome.beyond(&scenario.limits);
    if args.json {
        let answer = Answer {
            outcome: &outcome,
            beyond: &beyond,
        };
        let line = serde_json::to_string(&answer).map_err(io::Error::from)?;
        writeln!(output, "{line}")?;
    } else {
        write_words(&outcome, output)?;
    }
    output.flush()?;
    if beyond.is_empty() {
        Ok(())
    } else {
        Err(Error::Limits(beyond.join("; ")))
    }
}

/// A scenario from its file.
fn read(path: &Path) -> Result<Scenario, Error> {
    let text = fs::read_to_string(path).map_err(|source| file(path, source))?;
    let wrong = |reason: String| Error::Usage(format!("{}: {reason}", path.display()));
    let scenario: Scenario = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    match scenario.nonsense() {
        Some(reason) => Err(wrong(reason)),
        None => Ok(scenario),
    }
}

fn file(path: &Path, source: io::Error) -> Error {
    Error::File {
        path: path.to_owned(),
        source,
    }
}

fn write_words(outcome: &Outcome, output: &mut dyn Write) -> io::Result<()> {
    writeln!(output, "{}\n", outcome.title)?;
    let mut row = |name: &str, value: String| writeln!(output, "{name:<18}{value}");
    row("people", outcome.people.to_string())?;
    row("heard in time", outcome.heard_in_time.to_string())?;
    row("heard late", outcome.heard_late.to_string())?;
    row("never heard", outcome.never_heard.to_string())?;
    let waits = outcome.wait_s;
    row(
        "waited",
        format!(
            "{:.1} s on average, half {:.1} s, 99 % {:.1} s, longest {:.1} s",
            waits.mean, waits.p50, waits.p99, waits.max
        ),
    )?;
    row("goodput", format!("{:.1} %", outcome.goodput * 100.0))?;
    row("evicted", outcome.evicted.to_string())?;
    if let Some(healed_s) = outcome.healed_s {
        row("put out by faults", outcome.interrupted.to_string())?;
        row("not back", outcome.not_back.to_string())?;
        row("healed after", format!("{healed_s} s"))?;
    }
    row("out of order", outcome.queue_order_violations.to_string())?;
    let books = if outcome.ledger_balanced {
        "balance"
    } else {
        "do not balance"
    };
    row("books", books.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCENARIO: &str = "title = \"x\"\nduration_s = 20\nnodes = { count = 1, listeners_max = 50 }\n\
        limits = { never_percent_max = LIMIT }\n\
        [[crowd]]\npeople = 100\narrive = [[5, 1]]\nstay_s = 600\npatience_s = 60\n";

    fn simulate(text: &str) -> (Result<(), Error>, String) {
        let folder = tempfile::tempdir().unwrap();
        let scenario = folder.path().join("x.toml");
        fs::write(&scenario, text).unwrap();
        let args = SimulateArgs {
            scenario,
            seed: 7,
            individuals: 1_000,
            svg: Some(folder.path().join("x.svg")),
            json: true,
        };
        let mut output = Vec::new();
        let result = run(&args, &mut output);
        if !output.is_empty() {
            let svg = fs::read_to_string(folder.path().join("x.svg")).unwrap();
            assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        }
        (result, String::from_utf8(output).unwrap())
    }

    #[test]
    fn a_scenario_is_answered_in_json_and_a_limit_that_does_not_hold_is_a_failure() {
        let (result, output) = simulate(&SCENARIO.replace("LIMIT", "60"));
        assert!(result.is_ok(), "{result:?}");
        let answer: serde_json::Value = serde_json::from_str(&output).unwrap();
        for name in [
            "seed",
            "people",
            "heard_in_time",
            "heard_late",
            "never_heard",
            "evicted",
            "goodput",
        ] {
            assert!(answer[name].is_number(), "{name}");
        }
        assert_eq!(answer["ledger_balanced"], true);
        assert_eq!(answer["series"]["second"].as_array().unwrap().len(), 20);
        let (result, output) = simulate(&SCENARIO.replace("LIMIT", "10"));
        assert_eq!(result.unwrap_err().exit_code(), 1);
        assert!(output.contains("\"beyond\":[\"percent who never heard"));
    }

    #[test]
    fn a_file_that_is_no_scenario_is_wrong_usage() {
        for (from, to) in [
            ("people", "persons"),
            ("count = 1", "count = 0"),
            ("[[5, 1]]", "[]"),
        ] {
            let (result, _) = simulate(&SCENARIO.replace("LIMIT", "60").replace(from, to));
            assert_eq!(result.unwrap_err().exit_code(), 2, "{to}");
        }
    }
}
