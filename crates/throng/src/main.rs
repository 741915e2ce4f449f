//! The program `throng`.

use std::process::ExitCode;

fn main() -> ExitCode {
    throng::cli::main()
}
