//! Programs that we call, and where things lie.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Done, or why not, in words for a person.
pub(crate) type Outcome = Result<(), String>;

/// The root of the checkout: cargo tells where xtask lies.
pub(crate) fn root() -> PathBuf {
    let xtask =
        env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from("xtask"), PathBuf::from);
    xtask
        .parent()
        .map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// Where everything built or installed goes.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root().join("target"), |target| root().join(target))
}

/// The cargo that runs us, in the root of the checkout.
pub(crate) fn cargo(words: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(words)
        .current_dir(root())
        .env("INSTA_UPDATE", "no");
    command
}

/// The same, with clippy as the compiler of our own crates: what it lints is what is built, and nothing is read twice.
/// `cargo clippy` would read all dependencies once more, a fifth of all the time that tests take from cold.
pub(crate) fn linting_cargo(words: &[&str]) -> Command {
    let mut command = cargo(words);
    let beside = env::var_os("CARGO").map(|cargo| Path::new(&cargo).with_file_name(CLIPPY));
    let clippy = beside.filter(|clippy| clippy.exists());
    command
        .env("RUSTC_WORKSPACE_WRAPPER", clippy.unwrap_or(CLIPPY.into()))
        .env("CLIPPY_ARGS", ["--deny", "warnings", ""].join(BETWEEN));
    command
}

/// Clippy as a compiler, and what stands between the words that it is told (as `cargo clippy` does it).
const CLIPPY: &str = "clippy-driver";
const BETWEEN: &str = "__CLIPPY_HACKERY__";

/// Builds the program, its examples and its tests. All at once, because cargo chooses the features of the dependencies
/// by what is built together: anything less would build most of them a second time.
pub(crate) fn build_all() -> Outcome {
    must(&mut linting_cargo(&[
        "build",
        "--workspace",
        "--all-targets",
        "--quiet",
    ]))
}

/// Builds the program and its examples. By the same compiler, and with the examples for the same features: after
/// [`build_all`] it is there already.
pub(crate) fn build_program() -> Outcome {
    must(&mut linting_cargo(&[
        "build",
        "--workspace",
        "--bins",
        "--examples",
        "--quiet",
    ]))
}

/// A command from the search path, in the root of the checkout.
pub(crate) fn program(name: impl AsRef<OsStr>, words: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(words).current_dir(root());
    command
}

/// Runs it with our terminal; a failure names the command.
pub(crate) fn must(command: &mut Command) -> Outcome {
    let shown = shown(command);
    match command.status() {
        Err(error) => Err(format!("`{shown}` could not be started: {error}")),
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{shown}` failed ({status})")),
    }
}

/// Runs it and gives its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let shown = shown(command);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("`{shown}` could not be started: {error}"))?;
    if !output.status.success() {
        return Err(format!("`{shown}` failed ({})", output.status));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("`{shown}` did not print text"))
}

/// Whether it runs and succeeds, without a word on the terminal.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// Whether the search path has a program of this name.
pub(crate) fn is_on_path(name: &str) -> bool {
    env::var_os("PATH")
        .is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(name).is_file()))
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
