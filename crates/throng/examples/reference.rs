//! Prints the generated parts of the reference: `config`, the sample file, or `cli`, every command with its help.
//!
//! `cargo xtask doc` writes them to `docs/reference/`.
#![expect(clippy::print_stdout, reason = "its output is the document")]

use std::process::ExitCode;

use clap::{Command, CommandFactory};
use throng::{cli::Cli, config};

/// Columns of the help, whatever the terminal is.
const WIDTH: usize = 100;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("cli") => print!("{}", commands()),
        Some("config") => print!("{}", config::sample()),
        _ => return ExitCode::from(2),
    }
    ExitCode::SUCCESS
}

fn commands() -> String {
    let mut program = Cli::command().term_width(WIDTH);
    program.build();
    let mut text =
        String::from("# Commands\n\nWritten by `cargo xtask doc` from the program's own help.\n");
    describe(&mut program, &mut text);
    text
}

fn describe(command: &mut Command, text: &mut String) {
    let name = command
        .get_bin_name()
        .unwrap_or_else(|| command.get_name())
        .to_owned();
    let help = command.render_long_help().to_string();
    let lines: Vec<&str> = help.trim_end().lines().map(str::trim_end).collect();
    let lines = lines.join("\n");
    text.extend(["\n## ", &name, "\n\n```text\n", &lines, "\n```\n"]);
    for subcommand in command
        .get_subcommands_mut()
        .filter(|subcommand| subcommand.get_name() != "help" && !subcommand.is_hide_set())
    {
        describe(subcommand, text);
    }
}
