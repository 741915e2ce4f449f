//! `cargo xtask prove fuzz`: every target of `fuzz/`, or those that are named, for some seconds, from its seeds and what earlier runs discovered.

use std::ffi::OsString;
use std::fmt::Write;
use std::process::{Command, Stdio};

use super::Call;
use crate::shell::{cargo, is_on_path, must, output, program, root, target};

/// For each target, unless `--seconds` says otherwise: what is wrong near the seeds shows by then.
const SECONDS: u32 = 60;
/// What `fuzz/` was written for.
const TOOL: &str = "cargo-fuzz@0.13.2";
/// Lines of a finding that are shown: its message and where it came from. The input is kept in `fuzz/artifacts`.
const SHOWN_LINES: usize = 60;

/// Findings and inputs of every target, or of those that are named. A finding does not stop the targets after it.
pub(super) fn every_target(call: &Call) -> Result<String, String> {
    let tool = tool()?;
    let listed = output(&mut fuzz(&tool, &["list"]))?;
    let targets = wanted(&listed, &call.cases)?;
    must(&mut fuzz(&tool, &["build"]))?;
    let time = format!("-max_total_time={}", call.seconds.unwrap_or(SECONDS));
    let mut text = String::new();
    for name in targets {
        let mut run = fuzz(&tool, &["run", name, "--", &time, "-timeout=10"]);
        let ended = run
            .stderr(Stdio::piped())
            .output()
            .map_err(|error| format!("cargo fuzz could not be started: {error}"))?;
        let told = String::from_utf8_lossy(&ended.stderr);
        let findings = u8::from(!ended.status.success());
        if findings > 0 {
            let shown: Vec<&str> = told.lines().filter(|line| !is_progress(line)).collect();
            println!("{}", shown[..shown.len().min(SHOWN_LINES)].join("\n"));
        }
        let inputs = inputs(&told);
        writeln!(
            text,
            "{name}\t{findings} findings in {inputs} inputs\t<= 0 findings"
        )
        .expect("writing to a string does not fail");
    }
    Ok(text)
}

/// The targets that were named, or all.
fn wanted<'a>(listed: &'a str, named: &[String]) -> Result<Vec<&'a str>, String> {
    if let Some(name) = named
        .iter()
        .find(|name| !listed.lines().any(|line| line == *name))
    {
        let known: Vec<&str> = listed.lines().collect();
        return Err(format!("`{name}` is not among: {}", known.join(", ")));
    }
    let is_wanted = |line: &&str| named.is_empty() || named.iter().any(|name| name == line);
    Ok(listed.lines().filter(is_wanted).collect())
}

/// cargo-fuzz from the search path, else our own below `target/`.
fn tool() -> Result<OsString, String> {
    if is_on_path("cargo-fuzz") {
        return Ok("cargo-fuzz".into());
    }
    let tools = target().join("tools");
    let own = tools.join("bin/cargo-fuzz");
    if !own.is_file() {
        must(cargo(&["install", "--quiet", "--locked", TOOL, "--root"]).arg(tools))?;
    }
    Ok(own.into())
}

fn fuzz(tool: &OsString, words: &[&str]) -> Command {
    let mut command = program(tool, &["fuzz"]);
    command
        .args(words)
        .current_dir(root().join("fuzz"))
        // Its compiler flags are unstable ones; the compiler stays the one that builds the product.
        .env("RUSTC_BOOTSTRAP", "1")
        // SQLite, which is C, has two constants of one name.
        .env("ASAN_OPTIONS", "detect_odr_violation=0");
    command
}

/// The fuzzer begins a line of progress with the number of inputs so far: `#4151  DONE   cov: …`.
fn is_progress(line: &str) -> bool {
    line.starts_with('#') && line.as_bytes().get(1).is_some_and(u8::is_ascii_digit)
}

fn inputs(told: &str) -> u64 {
    let last = told.lines().rfind(|line| is_progress(line));
    last.and_then(|line| line[1..].split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_that_is_not_there_is_named() {
        assert_eq!(wanted("feed\nhead\n", &[]).unwrap(), ["feed", "head"]);
        let head = wanted("feed\nhead\n", &["head".to_owned()]);
        assert_eq!(head.unwrap(), ["head"]);
        let wrong = wanted("feed\nhead\n", &["tail".to_owned()]).unwrap_err();
        assert!(
            wrong.contains("tail") && wrong.contains("feed, head"),
            "{wrong}"
        );
    }

    #[test]
    fn the_last_line_of_progress_counts_the_inputs() {
        let told = "INFO: Seed: 1\n#7\tINITED cov: 9 ft: 9\n#4151\tDONE   cov: 21 ft: 39\nDone 4151 runs\n    #0 0x55 in main\n";
        assert_eq!(inputs(told), 4151);
        assert_eq!(inputs("error: could not compile\n"), 0);
    }
}
