//! Files and functions that a person can read in one go.

use super::{Finding, Source, rust};

/// Beyond this a file has become the one that nobody dares to split.
const FILE_LINES_MAX: usize = 700;
/// Beyond this a file is worth a look.
const FILE_LINES_RULE: usize = 400;
/// Beyond this a function cannot be held in the head.
const FUNCTION_LINES_MAX: usize = 70;

pub(super) fn openings(sources: &[Source]) -> Vec<Finding> {
    let silent = sources
        .iter()
        .filter(|source| source.is_rust() && !source.text.starts_with("//!"));
    silent
        .map(|source| Finding::new(source, 1, "a file opens with its contract (`//!`)"))
        .collect()
}

pub(super) fn file_lengths(sources: &[Source]) -> Vec<Finding> {
    longer_than(sources, FILE_LINES_MAX)
}

/// Not wrong yet.
pub(super) fn long_files(sources: &[Source]) -> Vec<Finding> {
    longer_than(sources, FILE_LINES_RULE)
}

fn longer_than(sources: &[Source], limit: usize) -> Vec<Finding> {
    let lengths = sources
        .iter()
        .filter(|source| source.is_rust())
        .map(|source| (source, source.text.lines().count()));
    let long = lengths.filter(|(_, lines)| *lines > limit);
    long.map(|(source, lines)| Finding::new(source, 0, format!("{lines} lines (limit {limit})")))
        .collect()
}

pub(super) fn function_lengths(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| source.is_rust()) {
        for function in rust::functions(&rust::code_only(&source.text)) {
            if function.lines > FUNCTION_LINES_MAX {
                let words = format!(
                    "`{}` has {} lines (limit {FUNCTION_LINES_MAX})",
                    function.name, function.lines
                );
                findings.push(Finding::new(source, function.line, words));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    #[test]
    fn a_file_without_a_contract_is_found() {
        assert_eq!(
            openings(&[source("a.rs", "fn a() {}"), source("b.rs", "//! B.\n")]).len(),
            1
        );
    }

    #[test]
    fn a_file_over_the_limit_is_found_and_one_at_the_limit_is_not() {
        let at = |lines: usize| [source("a.rs", &"//\n".repeat(lines))];
        assert_eq!(file_lengths(&at(FILE_LINES_MAX)).len(), 0);
        assert_eq!(file_lengths(&at(FILE_LINES_MAX + 1)).len(), 1);
        assert_eq!(long_files(&at(FILE_LINES_RULE + 1)).len(), 1);
    }

    #[test]
    fn a_function_over_the_limit_is_found() {
        let of = |lines: usize| {
            [source(
                "a.rs",
                &format!("fn a() {{\n{}}}", "x;\n".repeat(lines - 2)),
            )]
        };
        assert_eq!(function_lengths(&of(FUNCTION_LINES_MAX)).len(), 0);
        assert_eq!(function_lengths(&of(FUNCTION_LINES_MAX + 1)).len(), 1);
    }
}
