//! The project's own commands: `cargo xtask` lists them. Standard library only, so that they are there in seconds.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command speaks on the terminal"
)]

mod doc;
mod figures;
mod install;
mod shell;
mod test;
mod tidy;
mod tree;

use std::process::ExitCode;

use shell::Outcome;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test [--only tidy|rust|players]   all that must pass; installs what the tests need
  tidy                              the rules that no compiler knows
  doc [--check]                     writes the generated reference, or says that it is stale
  bench [NAME…] [--check] [--write] figures; --check fails over a limit, --write keeps them in docs/benchmarks.md
        [--listeners N]             for bench air (15000), august (1400000), held and storm (200000), overload (2000);
                                    for prove soak and upgrades (5000)
  prove [NAME…] [--check] [--write] suites too long for `test`; --write keeps the result in docs/proofs.md
        faults [CASE…]              those of its cases, as disk-full or store-locked
        fuzz [TARGET…]              those of its targets
        [--seconds N]               for each fuzz target (60), for soak (7200)
  screenshots                       takes the pictures in docs/screenshots, of every page in every state
";

/// Exit status of a wrong call, as in the program itself.
const WRONG_USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&words) {
        None => {
            eprint!("{USAGE}");
            ExitCode::from(WRONG_USAGE)
        }
        Some(Err(reason)) => {
            eprintln!("xtask: {reason}");
            ExitCode::FAILURE
        }
        Some(Ok(())) => ExitCode::SUCCESS,
    }
}

/// `None` when the words are no call of ours.
fn run(words: &[&str]) -> Option<Outcome> {
    match words {
        ["test"] => Some(test::run(None)),
        ["test", "--only", group] => Some(test::run(Some(test::Group::named(group)?))),
        ["tidy"] => Some(tidy::run()),
        ["doc"] => Some(doc::write()),
        ["doc", "--check"] => Some(doc::check()),
        ["bench", rest @ ..] => Some(figures::run(&figures::BENCH, &figures::Call::read(rest)?)),
        ["screenshots"] => Some(figures::screenshots()),
        ["prove", rest @ ..] => Some(figures::run(&figures::PROVE, &figures::Call::read(rest)?)),
        _ => None,
    }
}
