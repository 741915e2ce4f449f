//! Words that must not stand in the tree.

use super::{Finding, Source, rust};

/// Split, so that this file does not find itself.
const LEFTOVERS: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("#[ign", "ore"),
];

/// Folders of one machine. Split for the same reason.
const MACHINE_PATHS: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/tm", "p/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
];

/// Hosts that may serve what a lock file names; any other is the mirror of one machine.
const REGISTRIES: &[&str] = &[
    "https://registry.npmjs.org/",
    "registry+https://github.com/rust-lang/crates.io-index",
];

/// Words that say nothing about what a type is.
const EMPTY_NAMES: &[&str] = &[
    "Common", "Data", "Handler", "Helper", "Info", "Manager", "Util", "Utils",
];

pub(super) fn leftovers(sources: &[Source]) -> Vec<Finding> {
    lines_with(sources, LEFTOVERS, |word| format!("`{word}` is left over"))
}

pub(super) fn machine_paths(sources: &[Source]) -> Vec<Finding> {
    let mut findings = lines_with(sources, MACHINE_PATHS, |word| {
        format!("`{word}` is a path of one machine")
    });
    for source in sources.iter().filter(|source| is_lock(source)) {
        for (index, line) in source.text.lines().enumerate() {
            let names_place = line.contains("\"resolved\":") || line.starts_with("source = ");
            if names_place && !REGISTRIES.iter().any(|registry| line.contains(registry)) {
                findings.push(Finding::new(
                    source,
                    index + 1,
                    "a registry that others do not have",
                ));
            }
        }
    }
    findings
}

/// Lock files are made, and full of chance letters.
fn is_lock(source: &Source) -> bool {
    source.path.ends_with("-lock.json") || source.path.ends_with("Cargo.lock")
}

fn lines_with(sources: &[Source], words: &[&str], say: impl Fn(&str) -> String) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| !is_lock(source)) {
        for (index, line) in source.text.lines().enumerate() {
            let found = words.iter().filter(|word| line.contains(**word));
            findings.extend(found.map(|word| Finding::new(source, index + 1, say(word))));
        }
    }
    findings
}

/// Types named after nothing, and functions that begin with `get_`.
pub(super) fn glossary(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| source.is_rust()) {
        let code = rust::code_only(&source.text);
        for (index, line) in code.lines().enumerate() {
            let words: Vec<&str> = line
                .split(|c: char| !(c.is_alphanumeric() || c == '_'))
                .collect();
            for pair in words.windows(2) {
                let empty = match pair[0] {
                    "struct" | "enum" | "trait" => {
                        EMPTY_NAMES.iter().any(|word| pair[1].ends_with(word))
                    }
                    "fn" => pair[1].starts_with("get_"),
                    _ => false,
                };
                if empty {
                    findings.push(Finding::new(
                        source,
                        index + 1,
                        format!("`{}` does not say what it is", pair[1]),
                    ));
                }
            }
        }
    }
    findings
}

/// A test that waits is slow, and one day wrong.
pub(super) fn sleeping_tests(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| source.is_rust()) {
        let code = rust::code_only(&source.text);
        for range in rust::test_code(&source.path, &code) {
            for (at, _) in code[range.clone()].match_indices("sleep(") {
                if in_paused_time(&code[range.start..range.start + at]) {
                    continue;
                }
                let line = rust::line_of(&code, range.start + at);
                findings.push(Finding::new(source, line, "a test does not sleep"));
            }
        }
    }
    findings
}

/// Whether the test that this code ends in runs by a clock that jumps to the next deadline instead of waiting.
fn in_paused_time(before: &str) -> bool {
    let begins = before.rfind("#[tokio::test").max(before.rfind("#[test]"));
    begins.is_some_and(|at| before[at..].starts_with("#[tokio::test(start_paused = true"))
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    #[test]
    fn what_is_left_over_is_found_in_every_language() {
        for word in LEFTOVERS {
            assert_eq!(
                leftovers(&[source("web/a.js", &format!("// {word} later"))]).len(),
                1,
                "{word}"
            );
        }
    }

    #[test]
    fn a_path_of_one_machine_is_found() {
        for path in MACHINE_PATHS {
            assert_eq!(
                machine_paths(&[source("docs/a.md", &format!("see {path}x"))]).len(),
                1,
                "{path}"
            );
        }
    }

    #[test]
    fn a_mirror_in_a_lock_file_is_found_and_the_public_registry_is_not() {
        let lock = |host: &str| {
            [source(
                "tests/package-lock.json",
                &format!("  \"resolved\": \"{host}x.tgz\","),
            )]
        };
        assert_eq!(machine_paths(&lock("https://registry.npmjs.org/")).len(), 0);
        assert_eq!(machine_paths(&lock("https://mirror.example/")).len(), 1);
    }

    #[test]
    fn a_type_named_after_nothing_is_found() {
        let found = |text: &str| glossary(&[source("a.rs", text)]).len();
        assert_eq!(found("pub struct SpaceManager;"), 1);
        assert_eq!(found("enum FrameData { A }"), 1);
        assert_eq!(found("fn get_space() {}"), 1);
        assert_eq!(
            found("struct Database; struct DataLock; fn get() {} // struct SpaceManager"),
            0
        );
    }

    #[test]
    fn a_test_that_sleeps_is_found_and_the_program_may() {
        let text =
            "fn real() { sleep(x) }\n#[cfg(test)]\nmod tests { fn t() {\n thread::sleep(y) } }";
        let found = sleeping_tests(&[source("a.rs", text)]);
        assert_eq!(
            found.iter().map(|finding| finding.line).collect::<Vec<_>>(),
            [4]
        );
    }

    #[test]
    fn a_sleep_in_paused_time_waits_for_nothing_and_the_next_test_is_not_excused() {
        let text = "#[tokio::test(start_paused = true)]\nasync fn a() { sleep(x) }\n#[test]\nfn b() { sleep(x) }";
        let found = sleeping_tests(&[source("src/a/tests.rs", text)]);
        assert_eq!(
            found.iter().map(|finding| finding.line).collect::<Vec<_>>(),
            [4]
        );
    }
}
