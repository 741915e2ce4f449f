//! `cargo xtask tidy`: the rules of the house that no compiler knows. Each is a function of the text of the checkout.

mod arrows;
pub(crate) mod page;
mod papers;
mod routes;
mod rust;
mod shape;
mod words;

use std::path::Path;

use crate::shell::{Outcome, cargo, must, output, program, root};
use crate::tree::{self, Source};

/// Knows no clock, thread, file or socket: what builds for it is pure.
const WASM: &str = "wasm32-unknown-unknown";

/// What a rule found.
pub(crate) struct Finding {
    path: String,
    /// From 1; 0 speaks of the whole file.
    line: usize,
    words: String,
}

impl Finding {
    fn new(source: &Source, line: usize, words: impl Into<String>) -> Self {
        Self {
            path: source.path.clone(),
            line,
            words: words.into(),
        }
    }
}

type Rule = fn(&[Source]) -> Vec<Finding>;

const RULES: &[Rule] = &[
    arrows::between_crates,
    arrows::one_program_by_default,
    arrows::pure_crates_ban,
    arrows::pure_crates_reach,
    page::weight,
    papers::links,
    papers::metrics,
    routes::described,
    shape::file_lengths,
    shape::function_lengths,
    shape::openings,
    words::glossary,
    words::leftovers,
    words::machine_paths,
    words::sleeping_tests,
];

/// Fails when a rule finds something.
pub(crate) fn run() -> Outcome {
    let sources = tree::read(&root())?;
    let findings: Vec<Finding> = RULES.iter().flat_map(|rule| rule(&sources)).collect();
    for finding in &findings {
        println!("{}:{}: {}", finding.path, finding.line, finding.words);
    }
    for notice in shape::long_files(&sources) {
        println!("notice: {}: {}", notice.path, notice.words);
    }
    if !findings.is_empty() {
        return Err(format!("{} findings", findings.len()));
    }
    pure_crates_build_for_wasm()
}

fn pure_crates_build_for_wasm() -> Outcome {
    if !has_wasm()? {
        // Where there is no rustup, or no way to its server, the build is left out and said to be.
        let _ = output(&mut program("rustup", &["target", "add", WASM]));
    }
    if !has_wasm()? {
        println!(
            "notice: the {WASM} target is not installed: purity is proved by bans and reach alone"
        );
        return Ok(());
    }
    for pure in arrows::PURE_CRATES {
        must(&mut cargo(&[
            "check",
            "--quiet",
            "--package",
            pure,
            "--target",
            WASM,
        ]))?;
    }
    Ok(())
}

fn has_wasm() -> Result<bool, String> {
    let folder = output(&mut program(
        "rustc",
        &["--print", "target-libdir", "--target", WASM],
    ))?;
    Ok(Path::new(folder.trim()).is_dir())
}

#[cfg(test)]
fn source(path: &str, text: &str) -> Source {
    Source {
        path: path.to_owned(),
        text: text.to_owned(),
    }
}
