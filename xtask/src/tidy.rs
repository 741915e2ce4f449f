//! `cargo xtask tidy`: the rules of the house that no compiler knows. Each is a function of the text of the checkout.

mod arrows;
pub(crate) mod page;
mod papers;
mod rust;
mod shape;
mod words;

use crate::shell::{Outcome, cargo, must, output, program, root};
use crate::tree::{self, Source};

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

/// No clock, thread, file or socket exists on wasm32-unknown-unknown: what builds there is pure.
fn pure_crates_build_for_wasm() -> Outcome {
    const TARGET: &str = "wasm32-unknown-unknown";
    let folder = output(&mut program(
        "rustc",
        &["--print", "target-libdir", "--target", TARGET],
    ))?;
    if !std::path::Path::new(folder.trim()).is_dir() {
        println!(
            "notice: the {TARGET} target is not installed: purity is proved by bans and reach alone"
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
            TARGET,
        ]))?;
    }
    Ok(())
}

#[cfg(test)]
fn source(path: &str, text: &str) -> Source {
    Source {
        path: path.to_owned(),
        text: text.to_owned(),
    }
}
