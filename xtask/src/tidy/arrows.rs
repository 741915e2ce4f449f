//! Which crate may know which, and what the pure ones may not touch.

use super::{Finding, Source, rust};

/// Crates that decide without IO, clock or chance.
pub(super) const PURE_CRATES: &[&str] = &["throng-core", "throng-media"];

/// Each crate, the crates of ours that it may use, and those that its tests may use besides. Arrows point down.
const ARROWS: &[(&str, &[&str], &[&str])] = &[
    (
        "throng",
        &[
            "throng-air",
            "throng-archive",
            "throng-core",
            "throng-media",
            "throng-rehearsal",
            "throng-sim",
            "throng-stage",
        ],
        &[],
    ),
    ("throng-air", &["throng-core"], &[]),
    ("throng-archive", &["throng-core"], &["throng-media"]),
    ("throng-core", &[], &[]),
    ("throng-media", &["throng-core"], &[]),
    ("throng-rehearsal", &[], &["throng-core", "throng-media"]),
    (
        "throng-sim",
        &["throng-air", "throng-core", "throng-rehearsal"],
        &[],
    ),
    ("throng-stage", &[], &[]),
    ("xtask", &[], &[]),
];

/// Crates that are deterministic as the pure ones are, around code that is not: what they take of it decides, and acts
/// nowhere.
const DETERMINISTIC_CRATES: &[&str] = &["throng-sim"];

/// What only the binary may depend on, and tests: the command line and files that people write are its alone.
const OF_THE_BINARY: &[&str] = &["clap", "toml"];

/// What the `clippy.toml` of a pure crate bans.
const BANNED: &[&str] = &[
    "std::time::Instant::now",
    "std::time::SystemTime::now",
    "std::thread::spawn",
    "std::thread::sleep",
    "std::collections::HashMap",
    "std::collections::HashSet",
    "std::sync::Mutex",
    "std::sync::RwLock",
];

/// What a pure crate does not reach for outside its tests; a ban by path sees no module.
const UNREACHED: &[&str] = &[
    "std::env",
    "std::fs",
    "std::io",
    "std::net",
    "std::process",
    "std::thread",
];

pub(super) fn between_crates(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources
        .iter()
        .filter(|source| source.path != "Cargo.toml" && source.path.ends_with("/Cargo.toml"))
    {
        let Some(name) = package_name(&source.text) else {
            continue;
        };
        let Some((_, uses, tests)) = ARROWS.iter().find(|(crate_name, ..)| *crate_name == name)
        else {
            if source.path.starts_with("crates/") {
                findings.push(Finding::new(
                    source,
                    0,
                    format!("`{name}` is not in the table of arrows"),
                ));
            }
            continue;
        };
        for (line, section, dependency) in dependencies(&source.text) {
            let ours = ARROWS
                .iter()
                .any(|(crate_name, ..)| *crate_name == dependency);
            let allowed = uses.contains(&dependency)
                || (section == "dev-dependencies" && tests.contains(&dependency));
            if ours && !allowed {
                findings.push(Finding::new(
                    source,
                    line,
                    format!("`{name}` must not know `{dependency}`"),
                ));
            }
            if OF_THE_BINARY.contains(&dependency)
                && name != "throng"
                && section != "dev-dependencies"
            {
                findings.push(Finding::new(
                    source,
                    line,
                    format!("`{dependency}` belongs to the binary alone"),
                ));
            }
        }
    }
    findings
}

/// `cargo run` without a name must mean the program, though xtask is a program too.
pub(super) fn one_program_by_default(sources: &[Source]) -> Vec<Finding> {
    const DEFAULT: &str = "default-members = [\"crates/throng\"]";
    let root = sources.iter().find(|source| source.path == "Cargo.toml");
    let silent = root.filter(|root| !root.text.lines().any(|line| line == DEFAULT));
    let words = format!("`cargo run` does not know which program is meant: `{DEFAULT}`");
    silent
        .map(|root| Finding::new(root, 0, words))
        .into_iter()
        .collect()
}

fn package_name(manifest: &str) -> Option<&str> {
    let line = manifest.lines().find(|line| line.starts_with("name = "))?;
    line.split('"').nth(1)
}

/// Line, section and name of every dependency.
fn dependencies(manifest: &str) -> impl Iterator<Item = (usize, &str, &str)> {
    let mut section = "";
    manifest
        .lines()
        .enumerate()
        .filter_map(move |(index, line)| {
            if let Some(name) = line.strip_prefix('[') {
                section = name.trim_end_matches(']');
                return None;
            }
            let name = line
                .split([' ', '.', '='])
                .next()
                .filter(|name| !name.is_empty() && !name.starts_with('#'))?;
            section
                .ends_with("dependencies")
                .then_some((index + 1, section, name))
        })
}

pub(super) fn pure_crates_ban(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in PURE_CRATES.iter().chain(DETERMINISTIC_CRATES) {
        let path = format!("crates/{name}/clippy.toml");
        let text = sources
            .iter()
            .find(|source| source.path == path)
            .map_or("", |source| source.text.as_str());
        let missing = BANNED
            .iter()
            .filter(|banned| !text.contains(&format!("\"{banned}\"")));
        findings.extend(missing.map(|banned| Finding {
            path: path.clone(),
            line: 0,
            words: format!("`{banned}` is not banned"),
        }));
    }
    findings
}

pub(super) fn pure_crates_reach(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let pure = |path: &str| {
        PURE_CRATES
            .iter()
            .chain(DETERMINISTIC_CRATES)
            .any(|name| path.starts_with(&format!("crates/{name}/src/")))
    };
    for source in sources
        .iter()
        .filter(|source| source.is_rust() && pure(&source.path))
    {
        let code = rust::code_only(&source.text);
        let tests = rust::test_code(&source.path, &code);
        for module in UNREACHED {
            for (at, _) in code.match_indices(module) {
                let whole = !code
                    .as_bytes()
                    .get(at + module.len())
                    .is_some_and(|&byte| rust::is_word(byte));
                if whole && !tests.iter().any(|range| range.contains(&at)) {
                    findings.push(Finding::new(
                        source,
                        rust::line_of(&code, at),
                        format!("a pure crate reaches for `{module}`"),
                    ));
                }
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    fn manifest(name: &str, rest: &str) -> [Source; 1] {
        [source(
            &format!("crates/{name}/Cargo.toml"),
            &format!("[package]\nname = \"{name}\"\n\n{rest}"),
        )]
    }

    #[test]
    fn an_arrow_that_points_up_is_found() {
        let found = between_crates(&manifest(
            "throng-core",
            "[dependencies]\nthrong-media.workspace = true\n",
        ));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].line, 5);
    }

    #[test]
    fn what_only_tests_may_use_is_found_in_the_program() {
        let with = |section: &str| {
            manifest(
                "throng-archive",
                &format!("[{section}]\nthrong-media = {{ path = \"x\" }}\n"),
            )
        };
        assert_eq!(between_crates(&with("dependencies")).len(), 1);
        assert_eq!(between_crates(&with("dev-dependencies")).len(), 0);
    }

    #[test]
    fn a_crate_without_a_row_is_found() {
        assert_eq!(between_crates(&manifest("throng-utils", "")).len(), 1);
    }

    #[test]
    fn the_command_line_belongs_to_the_binary() {
        assert_eq!(
            between_crates(&manifest(
                "throng-air",
                "[dependencies]\nclap.workspace = true\n"
            ))
            .len(),
            1
        );
        assert_eq!(
            between_crates(&manifest(
                "throng",
                "[dependencies]\nclap.workspace = true\n"
            ))
            .len(),
            0
        );
    }

    #[test]
    fn a_workspace_with_two_programs_and_no_default_is_found() {
        let root = |line: &str| [source("Cargo.toml", &format!("[workspace]\n{line}\n"))];
        assert_eq!(one_program_by_default(&root("")).len(), 1);
        assert_eq!(
            one_program_by_default(&root("default-members = [\"crates/throng\"]")).len(),
            0
        );
    }

    #[test]
    fn a_pure_crate_without_its_bans_is_found() {
        let all = format!("{BANNED:?}");
        let all_crates = || PURE_CRATES.iter().chain(DETERMINISTIC_CRATES);
        let kept = all_crates().map(|name| source(&format!("crates/{name}/clippy.toml"), &all));
        assert_eq!(pure_crates_ban(&kept.collect::<Vec<_>>()).len(), 0);
        assert_eq!(
            pure_crates_ban(&[]).len(),
            BANNED.len() * all_crates().count()
        );
    }

    #[test]
    fn a_pure_crate_that_reaches_for_a_file_is_found() {
        let found =
            |text: &str| pure_crates_reach(&[source("crates/throng-core/src/a.rs", text)]).len();
        assert_eq!(found("use std::fs;"), 1);
        assert_eq!(found("use std::fmt; // std::fs"), 0);
        assert_eq!(found("#[cfg(test)]\nmod tests { use std::fs; }"), 0);
    }
}
